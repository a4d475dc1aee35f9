"""The shipped mappings against the real Tryton and the real Creme: what is written is read back.

A canonical record is created through one mapping, changed through it, and travels to the other
side and back without turning into an edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from koppel.connectors.base import Connector, Create, Record, Update, Written
from koppel.connectors.creme import CremeConnector
from koppel.connectors.tryton import TrytonConnector
from koppel.mapping.document import default_rule, load_mapping, load_rule, shipped_mapping
from koppel.mapping.fit import unfit
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.model import Address, Ref, agree
from lab.system import Running

RUN = uuid4().hex[:6]
KEYS = iter(f"mappings-{RUN}-{number}" for number in range(10_000))


class Side:
    """One real system with its mappings, and the links of the records that were made here."""

    def __init__(self, name: str, connector: Connector) -> None:
        self.connector = connector
        resources = connector.describe()
        self.mappers = {
            entity: compile_mapping(
                load_mapping(shipped_mapping(name, entity), source=f"{name}/{entity}.toml"),
                resources,
            )
            for entity in ("partner", "contact", "product")
        }
        self.links: dict[str, str] = {}

    def resolve(self, _entity: str, native: str) -> str | None:
        return next((c for c, known in self.links.items() if known == native), None)

    def locate(self, _entity: str, coupling: str) -> str | None:
        return self.links.get(coupling)

    def get(self, entity: str, record: Record) -> dict[str, Any]:
        return self.mappers[entity].get(record, self.resolve)

    def create(self, entity: str, values: Mapping[str, Any]) -> Record:
        mapper = self.mappers[entity]
        fields = mapper.put(values, None, self.locate)
        return self._written(Create(resource=mapper.resource, key=next(KEYS), fields=fields))

    def update(self, entity: str, record: Record, values: Mapping[str, Any]) -> Record:
        fields = self.mappers[entity].put(values, record, self.locate)
        if not fields:
            return record
        return self._written(
            Update(
                resource=record.resource,
                key=next(KEYS),
                id=record.id,
                expected=record.version,
                fields=fields,
            )
        )

    def _written(self, write: Create | Update) -> Record:
        (outcome,) = self.connector.write([write])
        assert isinstance(outcome, Written), outcome
        assert isinstance(outcome.after, Record)
        return outcome.after


@pytest.fixture(scope="module")
def erp(tryton: Running) -> Iterator[Side]:
    connector = TrytonConnector(**tryton.koppel)
    yield Side("tryton", connector)
    connector.close()


@pytest.fixture(scope="module")
def crm(creme: Running) -> Iterator[Side]:
    connector = CremeConnector(creme.url, creme.koppel["token"])
    yield Side("creme", connector)
    connector.close()


def home(line: str, **more: Any) -> Address:
    return Address(line1=line, postal_code="89073", city="Ulm", country="DE", **more)


PARTNERS: list[dict[str, Any]] = [
    {"name": "Nur ein Name"},
    {
        "name": "Müller & Söhne GmbH",
        "phone": "+49731123456",
        "fax": "+49731123457",
        "email": "info@mueller.example",
        "website": "https://www.mueller.example/über-uns",
        "tax_id": "DE136695976",
        "billing_address": home("Weg 1", line2="Hof 2\nTor 3"),
    },
    {
        "name": "Zürcher Präzision AG",
        "phone": "+41442212334;ext=12",
        "tax_id": "CHE107787577",
        "billing_address": Address(
            line1="Gasse 1", postal_code="8001", city="Zürich", country="CH"
        ),
        "shipping_address": Address(line1="Kai 2", postal_code="1204", city="Genève", country="CH"),
    },
    {
        "name": "Norsk Verktøy AS",
        "phone": "siehe Netz",
        "tax_id": "NO995525828MVA",
        "billing_address": Address(line1="Gata 1", city="Oslo", country="NO"),
    },
]
CHANGES: list[dict[str, Any]] = [
    {"phone": "+431234567", "email": None},
    {"billing_address": Address(line1="Neu 9", postal_code="1010", city="Wien", country="AT")},
    {"shipping_address": Address(line1="Rampe 4", city="Linz", country="AT")},
    {"shipping_address": None},
    {"tax_id": "ATU13585627", "name": "Anders Ges.m.b.H."},
    {"website": "https://x.example", "fax": None},
]


def differences(
    wanted: Mapping[str, Any], found: Mapping[str, Any], names: frozenset[str]
) -> dict[str, Any]:
    return {
        name: (value, found[name])
        for name, value in wanted.items()
        if name in names and not agree(value, found[name])
    }


def there_and_back(side: Side, entity: str, values: dict[str, Any], changes: Any) -> None:
    mapper = side.mappers[entity]
    record = side.create(entity, values)
    assert differences(values, side.get(entity, record), mapper.writable) == {}
    for change in changes:
        record = side.update(entity, record, change)
        found = side.get(entity, record)
        assert differences(change, found, mapper.writable) == {}
        assert mapper.put(found, record, side.locate) == {}


@pytest.mark.parametrize("values", PARTNERS, ids=lambda values: values["name"])
def test_tryton_gives_back_what_was_written(erp: Side, values: dict[str, Any]) -> None:
    iban = {"iban": "DE89370400440532013000", "language": "de"}
    there_and_back(erp, "partner", {**values, **iban}, CHANGES)


@pytest.mark.parametrize("values", PARTNERS, ids=lambda values: values["name"])
def test_creme_gives_back_what_was_written(crm: Side, values: dict[str, Any]) -> None:
    more = {"roles": ("customer", "supplier"), "number": "K-7", "description": "One.\n\nTwo."}
    there_and_back(crm, "partner", {**values, **more}, [*CHANGES, {"roles": ("prospect",)}])


PERSON = {
    "given_name": "Ann-Kathrin",
    "family_name": "von der Heide",
    "email": "a.heide@x.example",
    "mobile": "+491711234567",
}
PERSONAL = [{"given_name": "Eva"}, {"family_name": "García López"}, {"mobile": None}]


@pytest.mark.parametrize("name", ["crm", "erp"])
def test_a_contact_comes_back_with_its_partner(name: str, request: pytest.FixtureRequest) -> None:
    side: Side = request.getfixturevalue(name)
    employer = side.create("partner", {"name": f"Arbeitgeber {name}"})
    side.links["c1"] = employer.id
    there_and_back(side, "contact", {**PERSON, "partner": Ref("partner", "c1")}, PERSONAL)


test_a_contact_comes_back_with_its_partner = pytest.mark.tryton(
    pytest.mark.creme(test_a_contact_comes_back_with_its_partner)
)


@pytest.mark.parametrize("values", PARTNERS, ids=lambda values: values["name"])
def test_a_partner_that_went_across_is_no_edit_on_its_way_back(
    crm: Side, erp: Side, values: dict[str, Any]
) -> None:
    ours = crm.create("partner", {**values, "roles": ("customer",)})
    sent = crm.get("partner", ours)
    theirs = erp.create("partner", sent)
    back = erp.get("partner", theirs)
    shared = frozenset(sent) & frozenset(back) - {"number", "roles"}
    assert differences(sent, back, shared) == {}
    returned = {name: back[name] for name in shared}
    assert crm.mappers["partner"].put(returned, ours, crm.locate) == {}


@pytest.mark.parametrize("entity", ["partner", "contact", "product"])
def test_the_default_rules_fit_both_systems(crm: Side, erp: Side, entity: str) -> None:
    rule = load_rule(default_rule(entity), source=f"{entity}.toml")
    mappers: dict[Any, Mapper] = {"crm": crm.mappers[entity], "erp": erp.mappers[entity]}
    assert unfit(rule, mappers, source=f"{entity}.toml") == ()
