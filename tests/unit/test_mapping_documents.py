"""Mappings and rules as documents: what is wrong with them is told all at once, with a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import koppel
from koppel.connectors.base import Choice, FieldInfo, Resource
from koppel.mapping.document import (
    DocumentFaults,
    Fault,
    default_rule,
    dump_rule,
    load_mapping,
    load_rule,
    shipped_mapping,
)
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.mapping.orders import load_order_mapping, shipped_order_mapping
from koppel.sync.rule import Condition, CreatePolicy, FieldRule, Guards, MatchRule, Rule

TEXT = FieldInfo(name="id", type="text", writable=False)
PARTY = Resource(
    name="party",
    fields=(
        FieldInfo(name="name", type="text", required=True, max_length=10),
        FieldInfo(name="number", type="integer"),
        FieldInfo(name="stamp", type="text", writable=False),
        FieldInfo(name="active", type="boolean"),
        FieldInfo(
            name="sector", type="choice", label="Sector", choices=(Choice("a", "A"), Choice("b"))
        ),
        FieldInfo(name="parent", type="reference", reference="party"),
        FieldInfo(
            name="phones",
            type="list",
            fields=(
                TEXT,
                FieldInfo(name="kind", type="choice", choices=(Choice("work"), Choice("home"))),
                FieldInfo(name="number", type="text"),
            ),
        ),
        FieldInfo(
            name="home",
            type="object",
            fields=(TEXT, *(FieldInfo(name=n, type="text") for n in ("street", "city", "land"))),
        ),
    ),
)
HEAD = 'connector = "test"\nentity = "partner"\nresource = "party"\n'


def faults_of(text: str, overlay: str | None = None) -> list[Fault]:
    """All faults of a mapping, those of reading or else those of compiling."""
    with pytest.raises(DocumentFaults) as caught:
        compiled(text, overlay)
    assert str(caught.value)
    return list(caught.value.faults)


def compiled(text: str, overlay: str | None = None) -> Mapper:
    return compile_mapping(load_mapping(text, source="party.toml", overlay=overlay), [PARTY])


def only_fault(text: str, overlay: str | None = None) -> Fault:
    (fault,) = faults_of(text, overlay)
    return fault


def test_all_faults_are_told_at_once_each_with_file_field_and_remedy() -> None:
    text = HEAD + (
        '[label]\nname = ["nam"]\n'
        "[create]\nstamp = 'x'\nsector = 'c'\n"
        "[fields]\n"
        'nmae = "name"\n'
        'phone = "fone"\n'
        'email = { native = "number", lens = "email" }\n'
        'fax = { native = "number", lens = "fone" }\n'
        'website = { native = "stamp", lens = "url", form = "long" }\n'
    )
    faults = faults_of(text)
    assert [(fault.file, fault.field) for fault in faults] == [
        ("party.toml", "fields.nmae"),
        ("party.toml", "fields.phone.native"),
        ("party.toml", "fields.email.lens"),
        ("party.toml", "fields.fax.lens"),
        ("party.toml", "fields.website.form"),
        ("party.toml", "label"),
        ("party.toml", "create.stamp"),
        ("party.toml", "create.sector"),
    ]
    assert all(fault.message and fault.remedy for fault in faults)
    assert "Did you mean name" in faults[0].remedy
    assert "phone" in faults[3].remedy


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ("name = 'name'\nx_a = 'name'", "fields.x_a.native", "written by name already"),
        ("name = 'name'\nactive = 'stamp'", "fields.active.lens", "gives text"),
        ("name = 'name'\nphone = 'phones'", "fields.phone.lens", "does not work on phones"),
        ("name = 'name'\nphone = {native='name', lens='child', value='x'}",
         "fields.phone.native", "not a list of children"),
        ("name = 'name'\nphone = {native='phones', lens='child', value='numbr'}",
         "fields.phone.value", "no field 'numbr'"),
        ("name = 'name'\nphone = {native='phones', lens='child'}", "fields.phone.value", "missing"),
        ("name = 'name'\nphone = {native='phones', lens='child', value='number', where={kind='w'}}",
         "fields.phone.where", "none of the choices"),
        ("name = 'name'\nphone = {native='phones', lens='child', value='number', order=['seq']}",
         "fields.phone.order", "no field 'seq'"),
        ("name = 'name'\nphone = {native='phones', lens='child', value='number', clear='unset'}",
         "fields.phone.clear", "no flag"),
        ("name = 'name'\nphone = {native='phones', lens='child', value='number', trough='phone'}",
         "fields.phone.trough", "no such option"),
        ("name = 'name'\nbilling_address = {native='home', lens='address', parts={steet='street'}}",
         "fields.billing_address.parts.steet", "no part"),
        ("name = 'name'\nbilling_address = {native='home', lens='address', parts={city='town'}}",
         "fields.billing_address.parts.city", "no field 'town'"),
        ("name = 'name'\nbilling_address = {native='home', lens='address'}",
         "fields.billing_address.parts", "missing"),
        ("name = 'name'\nshipping_address = {native='home', lens='address', same_as='biling',"
         " parts={city='city'}}", "fields.shipping_address.same_as", "could be repeated"),
        ("name = 'name'\nsector = {native='sector', lens='table', values={c='x'}}",
         "fields.sector.values", "none of the choices"),
        ("name = 'name'\nroles = {lens='constant', value='customer'}", "fields.roles.lens",
         "gives text"),
        ("name = 'name'\nroles = {native='name', lens='constant', value=['customer']}",
         "fields.roles.native", "no native field"),
        ("number = {native='number', lens='integer'}\nname = 'name'", "fields.number.lens",
         "gives integer"),
        ("phone = 'stamp'", "fields", "name is required"),
        ("name = {native='name', readonly=true}", "fields", "name is required"),
        ("name = 'name'\nx_p = {native='parent', lens='reference', entity='planet'}",
         "fields.x_p.entity", "no entity"),
        ("name = {native='name', lens='split', part='given'}", "fields.name", ""),
    ],
)  # fmt: skip
def test_one_fault_is_told_with_its_place(fields: str, place: str, message: str) -> None:
    if not message:
        compiled(f"{HEAD}[fields]\n{fields}")
        return
    fault = only_fault(f"{HEAD}[fields]\n{fields}")
    assert fault.field == place
    assert message in fault.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("connector = ", ""),
        ('entity = "partner"\nresource = "party"\n[fields]\nname = "name"', "connector"),
        (HEAD.replace("partner", "planet") + '[fields]\nname = "name"', "entity"),
        (HEAD.replace("party", "partie") + '[fields]\nname = "name"', "resource"),
        (HEAD + 'colour = "red"\n[fields]\nname = "name"', "colour"),
        (HEAD, "fields"),
        (HEAD + "[fields]\nname = 3", "fields.name"),
        (HEAD + "[fields]\nname = {native = 3}", "fields.name.native"),
        (HEAD + 'supplied = ["nam"]\n[fields]\nname = "name"', "supplied"),
        (HEAD + '[region]\npaths = ["home.lnd"]\n[fields]\nname = "name"', "region.paths"),
        (HEAD + '[[scope]]\nnative = "activ"\n[fields]\nname = "name"', "scope 1.native"),
        (HEAD + '[[scope]]\nnative = "active"\nop = "is"\n[fields]\nname = "name"', "scope 1.op"),
    ],
)
def test_a_broken_document_is_told_with_its_place(text: str, place: str) -> None:
    faults = faults_of(text)
    assert place in [fault.field for fault in faults]
    assert all(fault.file == "party.toml" and fault.remedy for fault in faults)


def test_a_single_fault_reads_as_one_sentence_with_place_and_remedy() -> None:
    with pytest.raises(DocumentFaults) as caught:
        compiled(HEAD + '[fields]\nname = "name"\nphone = "stmp"')
    assert str(caught.value) == (
        "party.toml: fields.phone.native: party has no field 'stmp'. Did you mean stamp?"
    )


def test_an_overlay_adds_replaces_and_removes_fields() -> None:
    base = HEAD + '[fields]\nname = "name"\nsector = "sector"\nphone = "stamp"\n'
    overlay = (
        'remove = ["phone"]\n[fields]\nsector = { native = "sector", lens = "choice" }\n'
        'x_number = { native = "number", lens = "integer" }\nx_city = "home.city"\n'
    )
    mapper = compiled(base, overlay)
    assert mapper.fields == ("name", "sector", "x_number", "x_city")
    assert {"x_number", "x_city"} <= mapper.writable


def test_faults_of_an_overlay_name_the_overlay() -> None:
    base = HEAD + '[fields]\nname = "name"\n'
    overlay = 'remove = ["phone"]\nentity = "contact"\n[fields]\nx_colour = "color"\n'
    faults = faults_of(base, overlay)
    assert [(fault.file, fault.field) for fault in faults] == [
        ("party.toml (overlay)", "entity"),
        ("party.toml (overlay)", "remove"),
    ]
    fault = only_fault(base, '[region]\npaths = ["land"]\n')
    assert (fault.file, fault.field) == ("party.toml (overlay)", "region.paths")
    fault = only_fault(base, '[fields]\nx_colour = "color"\n')
    assert (fault.file, fault.field) == ("party.toml (overlay)", "fields.x_colour.native")


MAPPINGS = Path(koppel.__file__).parent / "mappings"
ORDERS = sorted(path for path in MAPPINGS.glob("*/order.toml") if path.parent.name != "processes")
SHIPPED = sorted(p for p in MAPPINGS.glob("[!r]*/*.toml") if p.stem not in ("order", "view"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_shipped_mapping_can_be_read(path: Path) -> None:
    text = shipped_mapping(path.parent.name, path.stem)
    document = load_mapping(text, source=path.name)
    assert document.entity == path.stem
    assert path.parent.name.startswith(document.connector)


@pytest.mark.parametrize("path", ORDERS, ids=lambda path: path.parent.name)
def test_every_shipped_order_mapping_can_be_read(path: Path) -> None:
    mapping = load_order_mapping(shipped_order_mapping(path.parent.name), source=path.name)
    assert path.parent.name.startswith(mapping.connector)
    assert mapping.resources


@pytest.mark.parametrize("side", ["crm", "erp"])
@pytest.mark.parametrize("entity", ["partner", "contact", "product"])
def test_every_field_of_a_shipped_mapping_has_an_owner(entity: str, side: str) -> None:
    rule = load_rule(default_rule(entity), source=entity)
    ruled = set(rule.fields) | {name for names in rule.groups.values() for name in names}
    for path in SHIPPED:
        if path.stem == entity:
            document = load_mapping(path.read_text(), source=path.name)
            assert {field.name for field in document.fields} <= ruled


def test_what_is_not_shipped_is_said_so() -> None:
    with pytest.raises(DocumentFaults, match="no mapping of partner for sap"):
        shipped_mapping("sap", "partner")
    with pytest.raises(DocumentFaults, match="no rule for planet"):
        default_rule("planet")


# Rules.

RULE = """
entity = "partner"
[connections]
crm = "creme"
erp = "tryton"
[fields]
name = "shared"
"""


def rule_faults(text: str) -> list[Fault]:
    with pytest.raises(DocumentFaults) as caught:
        load_rule(text, source="partner.toml")
    return list(caught.value.faults)


def test_all_faults_of_a_rule_are_told_at_once() -> None:
    faults = rule_faults(
        """
        entity = "partner"
        needs = ["planet"]
        colour = 1
        [connections]
        crm = "x"
        [create]
        erp = "yes"
        [create.crm]
        when = [{ field = "rolls", op = "has" }, { field = "roles", op = "contains" }]
        [delete]
        crm = "forget"
        [match]
        couple = 0.5
        review = 0.7
        within = "name"
        [guards]
        deletes = 5
        creates = -1
        [groups]
        bank = ["iban", "bic"]
        other = ["iban"]
        [fields]
        name = "mine"
        nmae = "crm"
        iban = { owner = "erp", policy = "ask" }
        phone = { owner = "shared", policy = "union" }
        email = { owner = "shared", fill = 1, way = "both" }
        """
    )
    places = {fault.field for fault in faults}
    assert {
        "colour", "needs", "connections.erp", "create.erp", "create.crm.when 1.op",
        "create.crm.when 2", "delete.crm", "match", "match.within", "guards.deletes",
        "guards.creates", "groups.bank", "groups.other", "fields.name.owner", "fields.nmae",
        "fields.iban", "fields.phone.policy", "fields.email.fill", "fields.email.way",
    } <= places  # fmt: skip
    assert all(fault.file == "partner.toml" and fault.remedy for fault in faults)


@pytest.mark.parametrize("text", ["entity = ", "", RULE.replace("partner", "planet")])
def test_a_rule_that_cannot_be_read_is_refused(text: str) -> None:
    assert rule_faults(text)


RULES: list[Rule] = [
    load_rule(RULE, source="rule"),
    load_rule(default_rule("partner"), source="partner"),
    load_rule(default_rule("contact"), source="contact"),
    Rule(
        entity="contact",
        connections={"crm": "a", "erp": "b"},
        needs=("partner",),
        scope={"crm": (Condition(field="active", value=True),), "erp": ()},
        create={
            "crm": CreatePolicy(allowed=False),
            "erp": CreatePolicy(
                allowed=True,
                when=(
                    Condition(field="partner", op="present"),
                    Condition(field="language", op="one_of", value=("de", "fr")),
                    Condition(field="x_points", op="not_equals", value=3),
                ),
            ),
        },
        delete={"crm": "delete", "erp": "ask"},
        fields={
            "email": FieldRule(owner="shared", policy="newest", direction="to_erp", fill=False),
            "name": FieldRule(owner="crm"),
            "x_points": FieldRule(owner="erp", direction="none"),
        },
        groups={"name": ("given_name", "family_name")},
        match=MatchRule(couple=0.8, review=0.5, within="partner"),
        guards=Guards(deletes=0.0, changes=1.0, creates=1, least=0, empty_side=False),
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.entity}-{len(rule.fields)}")
def test_a_rule_that_was_written_is_read_back(rule: Rule) -> None:
    assert load_rule(dump_rule(rule), source="rule") == rule
    assert dump_rule(load_rule(dump_rule(rule), source="rule")) == dump_rule(rule)


def test_a_prospect_stays_out_of_the_erp_by_default() -> None:
    when = load_rule(default_rule("partner"), source="partner").create["erp"].when
    assert when == (Condition(field="roles", op="contains", value="customer"),)


@pytest.mark.parametrize("name", ["sector", "description", "roles"])
def test_what_is_the_crms_own_never_reaches_the_erp_by_default(name: str) -> None:
    field: Any = load_rule(default_rule("partner"), source="partner").fields[name]
    assert field.direction in ("none", "to_crm")
