"""`koppel serve` between the real systems: what people change in one arrives in the other.

Everybody works in the systems' own pages. How long things took is printed, not asserted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from lab.creme_human import CremeHuman
from lab.tryton_human import TrytonHuman
from tests.scenarios.real import ORGANISATION, PARTY, RealPair, wait_until

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

POLL_SECONDS = 5


@pytest.fixture(scope="module")
def served(real_pair: RealPair) -> Iterator[RealPair]:
    with real_pair.serving("--poll", str(POLL_SECONDS), "--sweep", "5"):
        yield real_pair


@pytest.fixture(scope="module")
def clara(served: RealPair) -> Iterator[CremeHuman]:
    human = CremeHuman.salesperson(served.creme)
    yield human
    human.close()


@pytest.fixture(scope="module")
def admin(served: RealPair) -> Iterator[TrytonHuman]:
    human = TrytonHuman.admin(served.tryton)
    yield human
    human.close()


def customer(name: str, phone: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "phone": phone,
        "roles": ["customer"],
        "billing_address": {"address": "Weg 1", "zipcode": "89073", "city": "Ulm"},
        **more,
    }


def parties(admin: TrytonHuman, name: str) -> list[str]:
    found = admin._session.call(PARTY, "search", [["name", "=", name]], 0, None, None)
    return [str(id) for id in found]


def mechanism(fields: Mapping[str, Any] | None, kind: str = "phone") -> Any:
    assert fields is not None
    return next((m for m in fields["contact_mechanisms"] if m["type"] == kind), None)


@pytest.fixture(scope="module")
def ids(served: RealPair, clara: CremeHuman, admin: TrytonHuman) -> tuple[str, str]:
    """A customer who was entered in Creme's page and has arrived in Tryton."""
    crm = clara.create(ORGANISATION, customer("Hafner Getriebe AG", "+49 731 1000"))
    took = wait_until(lambda: len(parties(admin, "Hafner Getriebe AG")) == 1)
    print(f"\na new customer of Creme was in Tryton after {took:.1f} s")
    (erp,) = parties(admin, "Hafner Getriebe AG")
    wait_until(lambda: (clara.read(ORGANISATION, crm) or {}).get("code") not in (None, ""))
    return crm, erp


def test_a_phone_changed_in_cremes_page_is_in_tryton(
    ids: tuple[str, str], clara: CremeHuman, admin: TrytonHuman
) -> None:
    clara.edit(ORGANISATION, ids[0], {"phone": "+49 731 2000"})
    took = wait_until(lambda: mechanism(admin.read(PARTY, ids[1]))["value"] == "+49 731 2000")
    print(f"\na phone changed in Creme's page was in Tryton after {took:.1f} s (goal: 5 s)")


def test_a_phone_changed_in_tryton_is_in_creme(
    ids: tuple[str, str], clara: CremeHuman, admin: TrytonHuman
) -> None:
    child = mechanism(admin.read(PARTY, ids[1]))
    admin.write_child("contact_mechanisms", child["id"], {"value": "+49 731 3000"})
    took = wait_until(lambda: "3000" in str((clara.read(ORGANISATION, ids[0]) or {}).get("phone")))
    print(
        f"\na phone changed in Tryton was in Creme after {took:.1f} s"
        f" (polling every {POLL_SECONDS} s)"
    )


def test_a_prospect_enters_tryton_when_it_is_made_a_customer_and_only_once(
    served: RealPair, clara: CremeHuman, admin: TrytonHuman
) -> None:
    fields = customer("Oberle Kunststoffe GmbH", "+49 731 4000")
    crm = clara.create(ORGANISATION, {**fields, "roles": ["prospect"]})
    other = clara.create(ORGANISATION, customer("Zeuge Armaturen GmbH", "+49 731 4500"))
    wait_until(lambda: len(parties(admin, "Zeuge Armaturen GmbH")) == 1)
    assert parties(admin, "Oberle Kunststoffe GmbH") == []
    clara.edit(ORGANISATION, crm, {"roles": ["customer"]})
    wait_until(lambda: len(parties(admin, "Oberle Kunststoffe GmbH")) == 1)
    clara.edit(ORGANISATION, crm, {"description": "Nice people."})
    clara.edit(ORGANISATION, crm, {"phone": "+49 731 4001"})
    (erp,) = parties(admin, "Oberle Kunststoffe GmbH")
    wait_until(lambda: mechanism(admin.read(PARTY, erp))["value"] == "+49 731 4001")
    assert parties(admin, "Oberle Kunststoffe GmbH") == [erp]
    assert other != crm


def test_what_sales_keeps_to_itself_never_reaches_tryton(
    ids: tuple[str, str], clara: CremeHuman, admin: TrytonHuman
) -> None:
    clara.edit(
        ORGANISATION,
        ids[0],
        {"description": "Geheimsache Hafner", "email": "kontakt@hafner.example"},
    )
    wait_until(lambda: mechanism(admin.read(PARTY, ids[1]), "email") is not None)
    assert "Geheimsache" not in repr(admin.read(PARTY, ids[1]))


def press(human: CremeHuman, id: str) -> httpx.Response:
    """Push *Synchronise now* on the record's page."""
    return human._web.post(
        f"/koppel/synchronise/{ORGANISATION}/{id}",
        headers={
            "X-CSRFToken": human._web.cookies["csrftoken"],
            "X-Requested-With": "XMLHttpRequest",
        },
    )


def block(human: CremeHuman, id: str) -> str:
    """Koppel's block on the record's page, without its tags."""
    text = human._web.get(f"/persons/organisation/{id}").text
    start = text.index("koppel-record-brick")
    end = text.find('<div class="brick ', start)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text[start:end]))


def test_the_block_on_cremes_page_tells_that_it_is_coupled_and_under_which_number(
    ids: tuple[str, str], served: RealPair, clara: CremeHuman, admin: TrytonHuman
) -> None:
    party = admin.read(PARTY, ids[1])
    assert party is not None
    wait_until(lambda: "Coupled" in block(clara, ids[0]))
    text = block(clara, ids[0])
    assert str(party["code"]) in text
    assert "in step" in text
    assert "Synchronise now" in text
    page = clara._web.get(f"/persons/organisation/{ids[0]}").text
    link = re.search(rf'href="({served.url}/couplings/\w+)"', page)
    assert link
    assert httpx.get(link[1], follow_redirects=True, trust_env=False).url.path == "/login"


def test_the_button_on_cremes_page_brings_the_record_into_step_at_once(
    ids: tuple[str, str], clara: CremeHuman, admin: TrytonHuman
) -> None:
    child = mechanism(admin.read(PARTY, ids[1]))
    admin.write_child("contact_mechanisms", child["id"], {"value": "+49 731 5000"})
    started = time.monotonic()
    answer = press(clara, ids[0])
    print(f"\nthe button answered after {time.monotonic() - started:.1f} s")
    assert answer.status_code == 200, answer.text
    assert "5000" in str((clara.read(ORGANISATION, ids[0]) or {})["phone"])


def test_a_record_deleted_in_creme_stays_in_tryton_and_is_not_made_again(
    served: RealPair, clara: CremeHuman, admin: TrytonHuman
) -> None:
    crm = clara.create(ORGANISATION, customer("Weg Damit GmbH", "+49 731 6000"))
    wait_until(lambda: len(parties(admin, "Weg Damit GmbH")) == 1)
    (erp,) = parties(admin, "Weg Damit GmbH")
    wait_until(lambda: (clara.read(ORGANISATION, crm) or {}).get("code") not in (None, ""))
    clara.delete(ORGANISATION, crm)
    wait_until(lambda: any(row["erp"] == erp for row in served.couplings(state="parted")))
    admin.edit(PARTY, erp, {"name": "Noch da GmbH"})
    marker = clara.create(ORGANISATION, customer("Danach AG", "+49 731 6500"))
    wait_until(lambda: len(parties(admin, "Danach AG")) == 1)
    assert admin.read(PARTY, erp) is not None
    with served.connectors() as connectors:
        again = connectors["crm"].find(ORGANISATION, {"name": "Noch da GmbH"})
    assert list(again) == []
    assert marker


def test_the_log_of_serve_holds_no_secret_and_no_error(served: RealPair) -> None:
    log = (served.home / "serve.log").read_text()
    for running in (served.creme, served.tryton):
        for name in ("token", "hint_secret", "password"):
            if name in running.koppel:
                assert running.koppel[name] not in log.replace("koppel serve", "")
    assert "Traceback" not in log
    assert " ERROR " not in log, log
