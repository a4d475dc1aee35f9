"""One person erased in the real systems: what Creme and Tryton hold afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from koppel.connectors.base import Gone
from lab.creme_human import CremeHuman
from tests.scenarios.real import CRM_CONTACT, ERP_CONTACT, ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

COMPANY, PERSON = "Xylander Werke GmbH", "Xanthippe"
WORDS = ("xanthippe", "quastorf", "xylander", "99887766")


@pytest.fixture(scope="module")
def clara(real_pair: RealPair) -> Iterator[CremeHuman]:
    found = CremeHuman.salesperson(real_pair.creme)
    yield found
    found.close()


def erase(pair: RealPair, entity: str, crm: str) -> dict[str, Any]:
    planned = pair.ask("person", "erase", entity, "crm", crm)
    assert planned["state"] == "planned"
    done = pair.koppel("person", "approve", str(planned["number"]), "--json")
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, told
    return told


def named(pair: RealPair) -> list[str]:
    """Living records of both systems in which something of the two still stands."""
    found = []
    for place, fields in pair.contents().items():
        text = json.dumps(fields, default=str, ensure_ascii=False).casefold()
        found += [f"{place}: {word}" for word in WORDS if word in text]
    return found


def test_a_contact_and_then_her_company_are_erased_in_creme_and_tryton(
    real_pair: RealPair, clara: CremeHuman
) -> None:
    company = clara.create(
        ORGANISATION,
        {
            "name": COMPANY,
            "phone": "+49 7361 99887766",
            "email": "info@xylander.example",
            "roles": ["customer"],
            "billing_address": {"address": "Xylanderstr. 1", "city": "Xanten"},
        },
    )
    contact = clara.create(
        CRM_CONTACT,
        {
            "first_name": PERSON,
            "last_name": "Quastorf",
            "email": "xanthippe@xylander.example",
            "employer": company,
        },
    )
    real_pair.run()
    party, person = real_pair.coupled()[company], real_pair.coupled("contact")[contact]
    assert named(real_pair)

    told = erase(real_pair, "contact", contact)
    assert (told["state"], {step["said"] for step in told["steps"]}) == ("done", {""})
    told = erase(real_pair, "partner", company)
    assert (told["state"], {step["said"] for step in told["steps"]}) == ("done", {""})

    assert named(real_pair) == []
    with real_pair.connectors() as connectors:
        for side, resource, number in (
            ("crm", CRM_CONTACT, contact),
            ("crm", ORGANISATION, company),
            ("erp", ERP_CONTACT, person),
            ("erp", PARTY, party),
        ):
            found = connectors[side].fetch(resource, [number])[number]
            assert isinstance(found, Gone) or "Erased-" in str(found.fields)
    real_pair.run()
    assert named(real_pair) == []
    assert real_pair.ask("person", "find", "Xylander") == []
