"""A rule has to fit the mappings of its two sides."""

from __future__ import annotations

from koppel.connectors.base import FieldInfo, Resource
from koppel.mapping.document import default_rule, load_mapping, load_rule, shipped_mapping
from koppel.mapping.fit import unfit
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.sync.rule import Rule, Side
from koppel.testing.generated import CRM_RESOURCES, ERP_RESOURCES


def small(fields: str, writable: bool = True) -> Mapper:
    names = ("name", "phone", "email", "sector")
    resource = Resource(
        name="r",
        fields=tuple(
            FieldInfo(name=name, type="text", writable=writable or name == "name") for name in names
        ),
    )
    text = f'connector = "t"\nentity = "partner"\nresource = "r"\n[fields]\n{fields}'
    return compile_mapping(load_mapping(text, source="t.toml"), [resource])


def rule(rest: str) -> Rule:
    head = 'entity = "partner"\n[connections]\ncrm = "c"\nerp = "e"\n'
    return load_rule(head + rest, source="rule.toml")


def places(found: Rule, crm: Mapper, erp: Mapper) -> list[str]:
    sides: dict[Side, Mapper] = {"crm": crm, "erp": erp}
    faults = unfit(found, sides, source="rule.toml")
    assert all(fault.file == "rule.toml" and fault.remedy for fault in faults)
    return [fault.field for fault in faults]


CRM = 'name = "name"\nphone = "phone"\nemail = "email"\nsector = "sector"'
ERP = 'name = "name"\nphone = "phone"\nemail = "email"'


def test_a_field_that_both_know_needs_an_owner() -> None:
    found = rule('[fields]\nname = "shared"\nphone = "crm"')
    assert places(found, small(CRM), small(ERP)) == ["fields.email"]


def test_a_field_of_a_group_has_its_owner_by_the_group() -> None:
    found = rule('[groups]\nreach = ["phone", "email"]\n[fields]\nname = "erp"\nreach = "shared"')
    assert places(found, small(CRM), small(ERP)) == []


def test_a_field_must_not_travel_where_it_cannot_be_written() -> None:
    fields = '[fields]\nname = "shared"\nphone = "shared"\nemail = { owner = "erp" }'
    assert places(rule(fields), small(CRM), small(ERP, writable=False)) == ["fields.phone"]
    towards = fields.replace(
        'phone = "shared"', 'phone = { owner = "shared", direction = "to_crm" }'
    )
    assert places(rule(towards), small(CRM), small(ERP, writable=False)) == []


def test_a_condition_must_be_about_a_field_that_its_side_knows() -> None:
    found = rule(
        '[create.erp]\nwhen = [{ field = "roles", op = "present" }]\n'
        '[scope]\nerp = [{ field = "sector", op = "present" }]\n'
        '[fields]\nname = "shared"\nphone = "shared"\nemail = "shared"'
    )
    assert places(found, small(CRM), small(ERP)) == ["create.erp.when", "scope.erp"]


def test_the_default_rules_fit_the_memory_systems() -> None:
    for entity in ("partner", "contact"):
        sides: dict[Side, Mapper] = {}
        for side, resources in (("crm", CRM_RESOURCES), ("erp", ERP_RESOURCES)):
            text = shipped_mapping(f"memory_{side}", entity)
            document = load_mapping(text, source=f"memory_{side}/{entity}.toml")
            sides["crm" if side == "crm" else "erp"] = compile_mapping(document, resources)
        assert unfit(load_rule(default_rule(entity), source=entity), sides, source=entity) == ()
