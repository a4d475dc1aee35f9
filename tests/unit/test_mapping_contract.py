"""The shipped mappings keep the contract, on native records as different as they come.

The descriptions are those of the memory systems; the real ones are held to the same suite live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from koppel.connectors.base import Record, Resource
from koppel.mapping.document import load_mapping, shipped_mapping
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.testing.generated import (
    CRM_RESOURCES,
    ERP_RESOURCES,
    contact_fields,
    crm_fields,
    erp_fields,
    partners,
)
from koppel.testing.mapping_contract import MappingContract, applied


def compiled(name: str, entity: str, resources: Sequence[Resource]) -> Mapper:
    text = shipped_mapping(name, entity)
    return compile_mapping(load_mapping(text, source=f"{name}/{entity}.toml"), resources)


def as_records(resource: Resource, contents: Sequence[dict[str, Any]]) -> list[Record]:
    records = []
    for number, fields in enumerate(contents, start=1):
        made = applied(resource, None, fields)
        records.append(
            Record(resource=resource.name, id=str(number), version="1", fields=made.fields)
        )
    return records


class TestMemoryCrmPartner(MappingContract):
    lossy = frozenset({"roles"})

    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return CRM_RESOURCES

    @pytest.fixture
    def mapper(self, resources: Sequence[Resource]) -> Mapper:
        return compiled("memory_crm", "partner", resources)

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        ordinary = [crm_fields(partner) for partner in partners(6)]
        ordinary[1].update(shipping_street="Kai 7", shipping_city="Kiel", shipping_country="DE")
        ordinary[2].update(
            shipping_street=ordinary[2]["billing_street"],
            shipping_postal_code=ordinary[2]["billing_postal_code"],
            shipping_city=ordinary[2]["billing_city"],
            shipping_country=ordinary[2]["billing_country"],
        )
        ordinary[3].update(phone=" see  web ", website="WWW.X.example/", description="a\n\n b ")
        ordinary[4].update(billing_street="Weg 1\r\nHof 2\n\nTor 3", fax="0221/12 34 56")
        return as_records(CRM_RESOURCES[0], [*ordinary, {"name": "Only a name"}])


class TestMemoryErpPartner(MappingContract):
    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return ERP_RESOURCES

    @pytest.fixture
    def mapper(self, resources: Sequence[Resource]) -> Mapper:
        return compiled("memory_erp", "partner", resources)

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        ordinary = [erp_fields(partner) for partner in partners(6)]
        kai = {"street": "Kai 7", "city": "Kiel", "country": "DE"}
        ordinary[0]["addresses"].append({**kai, "delivery": True, "invoice": False})
        ordinary[1]["addresses"][0]["delivery"] = False
        ordinary[1]["addresses"].append({**kai, "delivery": True})
        ordinary[2]["addresses"] = [{**kai, "name": "Depot"}]
        ordinary[3]["contact_mechanisms"].append({"type": "phone", "value": "0221 999999"})
        ordinary[4]["identifiers"].append({"type": "iban", "code": "DE89 3704 0044 0532 0130 00"})
        return as_records(ERP_RESOURCES[0], [*ordinary, {"name": "Only a name"}])


class TestMemoryCrmContact(MappingContract):
    parent = "organisation"
    name = "memory_crm"

    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return CRM_RESOURCES

    @pytest.fixture
    def mapper(self, resources: Sequence[Resource]) -> Mapper:
        return compiled(self.name, "contact", resources)

    @pytest.fixture
    def records(self, resources: Sequence[Resource]) -> Sequence[Record]:
        people = [
            contact_fields(person, self.parent, str(partner.number))
            for partner in partners(4, contacts=2)
            for person in partner.contacts
        ]
        return as_records(resources[1], [*people, {"last_name": "Only"}])


class TestMemoryErpContact(TestMemoryCrmContact):
    parent = "party"
    name = "memory_erp"

    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return ERP_RESOURCES
