"""The mappings of Tryton and Creme on records of the shape that their connectors give.

What the systems themselves say of their fields is checked live; here it is what matters of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from koppel.connectors.base import Choice, FieldInfo, FieldType, Record, Resource
from koppel.mapping.building import GROUP_LENSES
from koppel.mapping.document import default_rule, load_mapping, load_rule, shipped_mapping
from koppel.mapping.faults import BadValue, Unresolved
from koppel.mapping.fit import unfit
from koppel.mapping.lenses import REGISTRY
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.model import Address, Ref, agree
from koppel.testing.mapping_contract import MappingContract, applied, locate, resolve


def infos(types: Mapping[str, FieldType]) -> tuple[FieldInfo, ...]:
    return tuple(
        FieldInfo(name=name, type=kind, writable=name not in ("id", "is_managed"))
        for name, kind in types.items()
    )


def children(name: str, kind: FieldType, types: Mapping[str, FieldType]) -> FieldInfo:
    return FieldInfo(name=name, type=kind, fields=infos({"id": "text", **types}))


CHILDREN = (
    children(
        "identifiers",
        "list",
        {"type": "choice", "code": "text", "sequence": "integer", "active": "boolean"},
    ),
    children(
        "addresses",
        "list",
        {
            "party_name": "text", "attn": "text", "street": "text", "postal_code": "text",
            "city": "text", "country": "choice", "subdivision": "choice", "invoice": "boolean",
            "delivery": "boolean", "sequence": "integer", "active": "boolean",
        },
    ),
    children(
        "contact_mechanisms",
        "list",
        {
            "type": "choice", "value": "text", "name": "text", "sequence": "integer",
            "active": "boolean",
        },
    ),
    children("bank_accounts", "list", {"iban": "text"}),
)  # fmt: skip
PLAIN: Mapping[str, FieldType] = {
    "name": "text", "code": "text", "active": "boolean", "lang": "choice",
    "customer_payment_term": "choice",
}  # fmt: skip
EMPLOYER = FieldInfo(name="employer", type="reference", required=True, reference="party.party")
TRYTON = (
    Resource(name="party.party", fields=(*infos(PLAIN), *CHILDREN)),
    Resource(name="party.contact", fields=(*infos(PLAIN), *CHILDREN, EMPLOYER)),
)
PLACE: Mapping[str, FieldType] = dict.fromkeys(
    ("name", "address", "po_box", "zipcode", "city", "department", "state", "country"), "text"
)
SECTORS = (Choice("u1", "Food industry"), Choice("u2", "Wholesale"))
CREME = (
    Resource(
        name="persons.organisation",
        fields=(
            FieldInfo(name="name", type="text", required=True, max_length=200),
            *infos(dict.fromkeys(("code", "phone", "fax", "email", "url_site"), "text")),
            *infos({"tvaintra": "text", "siren": "text", "description": "text"}),
            *infos({"is_managed": "boolean", "roles": "references"}),
            FieldInfo(name="sector", type="choice", label="Sector", choices=SECTORS),
            children("billing_address", "object", PLACE),
            children("shipping_address", "object", PLACE),
        ),
    ),
    Resource(
        name="persons.contact",
        fields=(
            FieldInfo(name="last_name", type="text", required=True),
            *infos(dict.fromkeys(("first_name", "full_position", "description"), "text")),
            *infos(dict.fromkeys(("email", "phone", "mobile"), "text")),
            FieldInfo(name="civility", type="choice", choices=(Choice("u1", "Mr."),)),
            children("billing_address", "object", PLACE),
            children("shipping_address", "object", PLACE),
            FieldInfo(name="employer", type="reference", reference="persons.organisation"),
        ),
    ),
)


def compiled(connector: str, entity: str) -> Mapper:
    text = shipped_mapping(connector, entity)
    resources = {"tryton": TRYTON, "creme": CREME}[connector]
    return compile_mapping(load_mapping(text, source=f"{connector}/{entity}.toml"), resources)


def party(**fields: Any) -> Record:
    return applied(TRYTON[0], None, {"name": "Müller GmbH", "active": True, **fields})


def organisation(**fields: Any) -> Record:
    return applied(CREME[0], None, {"name": "Mueller", "roles": ["customer"], **fields})


def place(id: str, street: str, **more: Any) -> dict[str, Any]:
    plain = {"postal_code": "89073", "city": "Ulm", "country": "DE", "active": True}
    flags = {"invoice": False, "delivery": False}
    return {"id": id, "street": street, **plain, **flags, **more}


def means(id: str, kind: str, value: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": kind, "value": value, "active": True, **more}


def ulm(line: str, **more: Any) -> Address:
    return Address(line1=line, postal_code="89073", city="Ulm", country="DE", **more)


partner = compiled("tryton", "partner")
account = compiled("creme", "partner")
employee = compiled("tryton", "contact")
person = compiled("creme", "contact")


def written(record: Record, **changes: Any) -> Record:
    return applied(TRYTON[0], record, partner.put(changes, record, locate))


class TestTrytonPartner(MappingContract):
    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return TRYTON

    @pytest.fixture
    def mapper(self) -> Mapper:
        return partner

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        return [
            party(
                code="K1",
                lang="de",
                customer_payment_term="net 30",
                addresses=[place("1", "Weg 1\nHof 2\nTor 3", invoice=True, delivery=True)],
                contact_mechanisms=[
                    means("1", "phone", "0731/1234567", sequence=2),
                    means("2", "phone", "+49 731 7654321", sequence=1),
                    means("3", "email", "Info@X.Example"),
                    means("4", "website", "www.x.example"),
                    means("5", "fax", "0731 99", active=False),
                ],
                identifiers=[{"id": "1", "type": "eu_vat", "code": "DE136695976"}],
                bank_accounts=[{"id": "1", "iban": "DE89370400440532013000"}],
            ),
            party(
                lang="pt_BR",
                addresses=[
                    place("1", "Weg 1", invoice=True, party_name="Zentrale"),
                    place("2", "Kai 2", delivery=True, city="Kiel", postal_code="24103"),
                ],
                identifiers=[{"id": "1", "type": "ch_vat", "code": "CHE-107.787.577 MWST"}],
            ),
            party(addresses=[place("1", "Nur 1"), place("2", "Alt 2", active=False)]),
            party(
                addresses=[place("1", "Weg 1", delivery=True), place("2", "Weg 2", delivery=True)],
                identifiers=[{"id": "1", "type": "no_vat", "code": "NO995525828MVA"}],
                contact_mechanisms=[means("1", "mobile", "0171 1234567")],
            ),
            party(),
        ]


class TestCremePartner(MappingContract):
    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return CREME

    @pytest.fixture
    def mapper(self) -> Mapper:
        return account

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        home = {"id": "1", "name": "Billing address", "address": "Weg 1", "city": "Ulm"}
        return [
            organisation(
                phone="0731/123456",
                url_site="http://www.x.example/",
                tvaintra="DE 136 695 976",
                sector="u2",
                roles=["suspect", "customer"],
                description="One.\n\nTwo  three.\n",
                billing_address={**home, "country": "Deutschland", "po_box": "12"},
                shipping_address={"id": "2", "address": "Kai 1\nTor 2", "country": "Suisse"},
            ),
            organisation(roles=[], billing_address={**home, "country": "DE"}),
            organisation(
                email="INFO@x.example",
                billing_address=home,
                shipping_address={**home, "id": "2", "name": "Shipping address"},
            ),
            organisation(code="K7", fax="see web", tvaintra="on request"),
        ]


class TestTrytonContact(MappingContract):
    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return TRYTON

    @pytest.fixture
    def mapper(self) -> Mapper:
        return employee

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        people = [("Ludwig van Beethoven", "7"), ("García Márquez, Gabriel", "8"), ("Prince", "9")]
        phones = [means("1", "phone", "+49 731 123456"), means("2", "email", "A@b.example")]
        return [
            applied(
                TRYTON[1],
                None,
                {"name": name, "employer": boss, "active": True, "contact_mechanisms": phones},
            )
            for name, boss in people
        ]


class TestCremeContact(MappingContract):
    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        return CREME

    @pytest.fixture
    def mapper(self) -> Mapper:
        return person

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        return [
            applied(CREME[1], None, {"first_name": "Zoë", "last_name": "Bär", "employer": "3"}),
            applied(CREME[1], None, {"last_name": "Only", "civility": "u1", "phone": "0731 12345"}),
        ]


# Children.


def test_the_first_living_child_by_sequence_is_read() -> None:
    record = party(
        contact_mechanisms=[
            means("1", "phone", "+49 731 11111", active=False),
            means("2", "phone", "+49 731 22222", sequence=5),
            means("3", "phone", "+49 731 33333", sequence=2),
        ]
    )
    assert partner.get(record, resolve)["phone"] == "+4973133333"


def test_a_changed_child_keeps_its_id_and_the_others_stay_as_they_are() -> None:
    record = party(contact_mechanisms=[means("1", "phone", "+49 731 1"), means("2", "fax", "x")])
    (first, second) = partner.put({"phone": "+4973122222"}, record, locate)["contact_mechanisms"]
    assert first == {**record.fields["contact_mechanisms"][0], "value": "+49 731 22222"}
    assert second == record.fields["contact_mechanisms"][1]


def test_a_second_number_that_becomes_the_first_swaps_with_it() -> None:
    record = party(
        contact_mechanisms=[
            means("1", "phone", "+49 731 11111"),
            means("2", "phone", "0049 731 22222"),
        ]
    )
    after = written(record, phone="+4973122222").fields["contact_mechanisms"]
    assert [child["value"] for child in after] == ["0049 731 22222", "+49 731 11111"]


def test_several_fields_share_one_list() -> None:
    made = partner.put({"phone": "+4973111111", "email": "a@b.example", "fax": None}, None, locate)
    assert made["contact_mechanisms"] == [
        {"type": "phone", "value": "+49 731 11111"},
        {"type": "email", "value": "a@b.example"},
    ]


def test_a_cleared_child_is_removed() -> None:
    record = party(contact_mechanisms=[means("1", "phone", "+49 731 1"), means("2", "fax", "x")])
    after = written(record, phone=None)
    assert [child["id"] for child in after.fields["contact_mechanisms"]] == ["2"]


@pytest.mark.parametrize(
    ("tax_id", "kind", "code"),
    [
        ("DE136695976", "eu_vat", "DE136695976"),
        ("CHE107787577", "ch_vat", "CHE107787577MWST"),
        ("NO995525828MVA", "no_vat", "NO995525828MVA"),
        ("GB980780684", "gb_vat", "GB980780684"),
    ],
)
def test_the_kind_of_a_tax_id_follows_its_country(tax_id: str, kind: str, code: str) -> None:
    made = partner.put({"tax_id": tax_id}, None, locate)
    assert made["identifiers"] == [{"type": kind, "code": code}]
    moved = party(identifiers=[{"id": "1", "type": "eu_vat", "code": "ATU13585627"}])
    after = written(moved, tax_id=tax_id)
    assert [(i["id"], i["type"]) for i in after.fields["identifiers"]] == [("1", kind)]


def test_a_tax_id_that_tryton_would_refuse_is_told_before() -> None:
    with pytest.raises(BadValue) as caught:
        partner.put({"tax_id": "DE136695977"}, None, locate)
    assert caught.value.field == "tax_id"
    assert "'DE136695977' is not a valid VAT id" in str(caught.value)


# Addresses.


def test_one_address_for_both_is_no_shipping_address() -> None:
    both = party(addresses=[place("1", "Weg 1", invoice=True, delivery=True)])
    found = partner.get(both, resolve)
    assert agree(found["billing_address"], ulm("Weg 1"))
    assert found["shipping_address"] is None


def test_a_moved_company_takes_its_only_address_along() -> None:
    both = party(addresses=[place("1", "Weg 1", invoice=True, delivery=True, attn="Einkauf")])
    (moved,) = written(both, billing_address=ulm("Neu 9")).fields["addresses"]
    assert (moved["id"], moved["street"], moved["attn"]) == ("1", "Neu 9", "Einkauf")
    assert moved["invoice"]
    assert moved["delivery"]


def test_a_new_shipping_address_does_not_change_the_invoice_address() -> None:
    both = party(addresses=[place("1", "Weg 1", invoice=True, delivery=True)])
    first, second = written(both, shipping_address=ulm("Kai 2")).fields["addresses"]
    assert (first["street"], first["invoice"], first["delivery"]) == ("Weg 1", True, False)
    assert (second["street"], second["delivery"]) == ("Kai 2", True)


def test_a_shipping_address_that_is_there_already_is_flagged_rather_than_copied() -> None:
    record = party(
        addresses=[place("1", "Weg 1", invoice=True, delivery=True), place("2", "Kai 2")]
    )
    after = written(record, shipping_address=ulm("Kai 2"))
    assert [(a["id"], a["delivery"]) for a in after.fields["addresses"]] == [
        ("1", False),
        ("2", True),
    ]


def test_a_shipping_address_that_is_given_up_stays_in_the_list() -> None:
    record = party(
        addresses=[place("1", "Weg 1", invoice=True), place("2", "Kai 2", delivery=True)]
    )
    after = written(record, shipping_address=None)
    assert [a["street"] for a in after.fields["addresses"]] == ["Weg 1", "Kai 2"]
    assert partner.get(after, resolve)["shipping_address"] is None


def test_without_an_invoice_address_the_first_one_serves() -> None:
    record = party(addresses=[place("1", "Alt 1", active=False), place("2", "Weg 2")])
    assert agree(partner.get(record, resolve)["billing_address"], ulm("Weg 2"))


def test_creme_s_copy_of_the_billing_address_goes_with_it() -> None:
    home = {"address": "Weg 1", "zipcode": "89073", "city": "Ulm", "country": "Germany"}
    record = organisation(billing_address=dict(home), shipping_address=dict(home))
    fields = account.put({"billing_address": ulm("Neu 9")}, record, locate)
    assert fields["billing_address"]["address"] == "Neu 9"
    assert fields["shipping_address"]["address"] == "Neu 9"
    again = applied(CREME[0], record, fields)
    assert account.get(again, resolve)["shipping_address"] is None


def test_what_the_other_side_does_not_know_of_an_address_stays() -> None:
    record = organisation(
        billing_address={
            "id": "4", "name": "Main office", "address": "Weg 1", "po_box": "12",
            "department": "X", "country": "Allemagne",
        }
    )  # fmt: skip
    from_tryton = ulm("Weg 2", name=None)
    fields = account.put({"billing_address": from_tryton}, record, locate)["billing_address"]
    assert (fields["name"], fields["po_box"], fields["department"]) == ("Main office", "12", "X")
    assert fields["country"] == "Allemagne"


def test_both_sides_agree_after_an_address_went_across_and_back() -> None:
    home = {"address": "Weg 1\nHof 2", "zipcode": "89073", "city": "Ulm", "country": "Allemagne"}
    crm = organisation(billing_address={**home, "po_box": "12", "state": "BW"})
    sent = account.get(crm, resolve)["billing_address"]
    erp = applied(TRYTON[0], None, partner.put({"billing_address": sent}, None, locate))
    back = partner.get(erp, resolve)["billing_address"]
    assert agree(sent, back)
    assert account.put({"billing_address": back}, crm, locate) == {}


def test_an_unknown_country_is_told_with_its_place() -> None:
    record = organisation(billing_address={"city": "Poseidonis", "country": "Atlantis"})
    with pytest.raises(BadValue) as caught:
        account.get(record, resolve)
    assert caught.value.field == "billing_address.country"
    assert "'Atlantis' is not a country" in str(caught.value)
    assert caught.value.value == "Atlantis"


# References, names, the rest.


def test_a_contact_waits_for_its_partner() -> None:
    unknown = employee.get(
        applied(TRYTON[1], None, {"name": "A B", "employer": "7"}), lambda entity, id: None
    )
    assert unknown["partner"] == Ref("partner", native="7")
    with pytest.raises(Unresolved) as caught:
        employee.put({"partner": Ref("partner", "c9")}, None, lambda entity, id: None)
    assert (caught.value.field, caught.value.coupling) == ("partner", "c9")


def test_a_national_number_is_read_by_the_partner_s_country() -> None:
    record = applied(CREME[1], None, {"last_name": "B", "employer": "3", "phone": "044 221 23 34"})
    countries = {("partner", "partner:3"): "CH"}
    found = person.get(record, resolve, country_of=lambda e, c: countries.get((e, c)))
    assert found["phone"] == "+41442212334"
    assert person.get(record, resolve)["phone"] == "044 221 23 34"


def test_one_half_of_a_name_is_changed_without_the_other() -> None:
    record = applied(TRYTON[1], None, {"name": "Anna de Vries", "employer": "7"})
    assert employee.put({"family_name": "Bär"}, record, locate) == {"name": "Anna Bär"}
    assert employee.put({"given_name": "Eva"}, record, locate) == {"name": "Eva de Vries"}
    both = {"given_name": "Gabriel", "family_name": "García Márquez"}
    assert employee.put(both, None, locate)["name"] == "García Márquez, Gabriel"


def test_a_role_that_tryton_does_not_have_is_passed_over() -> None:
    assert "roles" not in partner.writable
    assert partner.put({"roles": ("supplier",)}, party(), locate) == {}


def test_roles_of_creme_that_koppel_does_not_know_stay() -> None:
    record = organisation(roles=["inactive_customer", "prospect"])
    fields = account.put({"roles": ("customer",)}, record, locate)
    assert sorted(fields["roles"]) == ["customer", "inactive_customer"]


@pytest.mark.parametrize(
    ("record", "label"),
    [
        (party(code="K-0042"), "Müller GmbH (K-0042)"),
        (party(), "Müller GmbH"),
        (party(name=None), "party.party new"),
    ],
)
def test_a_record_is_called_by_name_and_number(record: Record, label: str) -> None:
    assert partner.label(record) == label


def test_our_own_company_and_people_without_one_are_out_of_scope() -> None:
    assert account.scope(organisation(is_managed=False))
    assert not account.scope(organisation(is_managed=True))
    assert not person.scope(applied(CREME[1], None, {"last_name": "Free"}))
    assert person.scope(applied(CREME[1], None, {"last_name": "Bound", "employer": "1"}))


def test_a_custom_field_of_a_user_travels_both_ways() -> None:
    overlay = '[fields]\nx_limit = { native = "cf_7", lens = "decimal" }\n'
    text = shipped_mapping("creme", "partner")
    resource = Resource(
        name=CREME[0].name,
        fields=(*CREME[0].fields, FieldInfo(name="cf_7", type="decimal", scale=2)),
    )
    mapper = compile_mapping(load_mapping(text, source="creme", overlay=overlay), [resource])
    record = applied(resource, None, {"name": "X", "cf_7": "1000.004"})
    found = mapper.get(record, resolve)["x_limit"]
    assert str(found) == "1000.00"
    assert mapper.put({"x_limit": found}, record, locate) == {}
    assert mapper.put({"x_limit": None}, record, locate) == {"cf_7": None}


def test_the_default_rules_fit_tryton_and_creme() -> None:
    for entity, crm, erp in (("partner", account, partner), ("contact", person, employee)):
        rule = load_rule(default_rule(entity), source=entity)
        assert unfit(rule, {"crm": crm, "erp": erp}, source=entity) == ()


def test_the_examples_of_the_how_to_are_right() -> None:
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "map-your-own-fields.md"
    overlay, rule = re.findall(r"```toml\n(.*?)```", how_to.read_text(encoding="utf-8"), re.S)
    custom = (
        FieldInfo(name="cf_7", type="decimal", scale=2),
        FieldInfo(name="cf_8", type="text"),
    )
    resource = Resource(name=CREME[0].name, fields=(*CREME[0].fields, *custom))
    document = load_mapping(shipped_mapping("creme", "partner"), source="creme", overlay=overlay)
    mapper = compile_mapping(document, [resource])
    assert {"x_credit_limit", "x_class"} <= mapper.writable
    assert "description" not in mapper.fields
    assert set(load_rule(rule, source="rule").fields) == {"name", "x_credit_limit", "x_class"}


def test_the_how_to_names_every_lens() -> None:
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "map-your-own-fields.md"
    table = "\n".join(
        line for line in how_to.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    )
    named = set(re.findall(r"`(\w+)`", "\n".join(row.split("|")[1] for row in table.splitlines())))
    assert named == {*REGISTRY, *GROUP_LENSES}
