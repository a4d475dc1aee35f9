"""What a write sends to Tryton: only what changes, in Tryton's own form, or a refusal by name."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from koppel.connectors.base import Choice, FieldInfo, FieldType, Record
from koppel.connectors.tryton.records import Snapshot, snapshots
from koppel.connectors.tryton.schema import CONTACT, PARTY, ChildSpec, Leaf, Schema
from koppel.connectors.tryton.values import Builder, FieldRefused, holds


class Codes:
    """Stands for the value tables: countries and languages with their numbers."""

    numbers: ClassVar = {"DE": 61, "FR": 75, "de": 5, "en": 1}

    def need(self, table: str, ids: Any) -> None:
        assert table in ("country.country", "ir.lang")

    def number(self, table: str, code: str) -> int | None:
        return self.numbers.get(code)

    def code(self, table: str, number: int) -> str:
        return next(code for code, one in self.numbers.items() if one == number)


def leaf(name: str, type: FieldType = "text", table: str | None = None, **more: Any) -> Leaf:
    return Leaf(FieldInfo(name=name, type=type, label=name.title(), **more), table)


def child(name: str, model: str, *leaves: Leaf) -> ChildSpec:
    info = FieldInfo(name=name, type="list")
    return ChildSpec(info, model, {one.name: one for one in leaves})


SCHEMA = Schema(
    leaves={
        one.name: one
        for one in (
            leaf("name"),
            leaf("code"),
            leaf("lang", "choice", "ir.lang"),
            leaf("vip", "boolean"),
            leaf("limit", "decimal"),
            leaf("koppel_key", writable=False),
        )
    },
    children={
        "addresses": child(
            "addresses",
            "party.address",
            leaf("street"),
            leaf("city"),
            leaf("country", "choice", "country.country"),
            leaf("active", "boolean"),
        ),
        "contact_mechanisms": child(
            "contact_mechanisms",
            "party.contact_mechanism",
            leaf("type", "choice", choices=(Choice("phone"), Choice("email"))),
            leaf("value"),
        ),
    },
    bank=FieldInfo(name="bank_accounts", type="list"),
    relation_type=3,
    may_write_keys=True,
)
ROW: dict[str, Any] = {
    "id": 12,
    "_timestamp": "1.5",
    "koppel_version": "v1",
    "name": "Müller",
    "lang": 5,
    "vip": 1,
    "limit": None,
    "koppel_key": "k",
    "addresses.": [
        {"id": 4, "_timestamp": "1.6", "street": "A 1", "city": "", "country": 61, "active": 1},
        {"id": 5, "_timestamp": "1.7", "street": "B 2", "city": "Köln", "country": None}
        | {"active": 1},
    ],
    "contact_mechanisms.": [{"id": 7, "_timestamp": "1.8", "type": "phone", "value": "+49"}],
    "bank_accounts.": [
        {
            "id": 9,
            "_timestamp": "1.9",
            "numbers.": [{"id": 8, "_timestamp": "2.0", "type": "iban", "number_compact": "DE89"}],
        }
    ],
    "relations.": [
        {"id": 21, "type": 3, "to": 40},
        {"id": 20, "type": 3, "to": 30},
        {"id": 19, "type": 4, "to": 50},
    ],
}


def snapshot(resource: str = PARTY, heirs: dict[int, int] | None = None) -> Snapshot:
    return snapshots(SCHEMA, Codes(), resource, [ROW], heirs or {})["12"]


def builder(accounts: Mapping[str, int] | None = None) -> Builder:
    return Builder(SCHEMA, Codes(), accounts or {})


def update(fields: dict[str, Any], resource: str = PARTY, **accounts: int) -> dict[str, Any]:
    seen = snapshot(resource)
    return builder(accounts).update(fields, seen.record, seen.relations)


def test_a_row_becomes_a_record_with_codes_and_true_booleans() -> None:
    record = snapshot().record
    assert record == Record(
        resource=PARTY,
        id="12",
        version="v1",
        fields={
            "name": "Müller",
            "code": None,
            "lang": "de",
            "vip": True,
            "limit": None,
            "koppel_key": "k",
            "addresses": [
                {"id": "4", "street": "A 1", "city": None, "country": "DE", "active": True},
                {"id": "5", "street": "B 2", "city": "Köln", "country": None, "active": True},
            ],
            "contact_mechanisms": [{"id": "7", "type": "phone", "value": "+49"}],
            "bank_accounts": [{"id": "9", "iban": "DE89"}],
        },
    )


def test_a_contact_names_its_oldest_employer() -> None:
    seen = snapshot(CONTACT)
    assert seen.record.fields["employer"] == "30"
    assert seen.relations == ((20, 30), (21, 40))


def test_a_contact_of_a_merged_company_belongs_to_its_heir() -> None:
    seen = snapshot(CONTACT, heirs={30: 31})
    assert seen.record.fields["employer"] == "31"
    assert seen.record.version != snapshot(CONTACT).record.version
    assert snapshot(CONTACT, heirs={99: 31}).record == snapshot(CONTACT).record


def test_all_time_stamps_are_kept_for_trytons_own_check() -> None:
    assert snapshot().stamps == {
        "party.party,12": "1.5",
        "party.address,4": "1.6",
        "party.address,5": "1.7",
        "party.contact_mechanism,7": "1.8",
        "bank.account,9": "1.9",
        "bank.account.number,8": "2.0",
    }


def test_what_stays_is_not_sent() -> None:
    record = snapshot().record
    writable = {name: value for name, value in record.fields.items() if name != "koppel_key"}
    assert update(writable) == {}
    assert update({"limit": "" or None, "koppel_key": "k"}) == {}


def test_codes_become_numbers_and_none_clears() -> None:
    assert update({"lang": "en", "name": None}) == {"lang": 1, "name": None}


def test_a_decimal_stays_exact() -> None:
    assert update({"limit": Decimal("10.50")}) == {"limit": Decimal("10.50")}
    assert update({"limit": 7}) == {"limit": Decimal(7)}


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"lang": "xx"}, "lang"),
        ({"name": 5}, "name"),
        ({"vip": 1}, "vip"),
        ({"limit": True}, "limit"),
        ({"koppel_key": "other"}, "koppel_key"),
        ({"no_such": 1}, "no_such"),
        ({"employer": "1"}, "employer"),
        ({"addresses": [{"country": "XX"}]}, "addresses.country"),
        ({"addresses": [{"planet": "Earth"}]}, "addresses.planet"),
        ({"addresses": "Hauptstraße"}, "addresses"),
        ({"contact_mechanisms": [{"type": "smoke"}]}, "contact_mechanisms.type"),
        ({"bank_accounts": [{"iban": ""}]}, "bank_accounts.iban"),
    ],
)
def test_a_field_that_cannot_be_written_is_named(fields: dict[str, Any], blamed: str) -> None:
    with pytest.raises(FieldRefused) as caught:
        update(fields)
    assert caught.value.fields == (blamed,)


def test_children_are_changed_added_and_archived_by_their_ids() -> None:
    wanted = [{"id": "5", "city": "Bonn"}, {"street": "C 3", "country": "FR"}]
    assert update({"addresses": wanted}) == {
        "addresses": [
            ["write", [5], {"city": "Bonn"}],
            ["write", [4], {"active": False}],
            ["create", [{"country": 75, "street_unstructured": "C 3"}]],
        ]
    }


def test_children_that_tryton_cannot_archive_are_deleted() -> None:
    assert update({"contact_mechanisms": None}) == {"contact_mechanisms": [["delete", [7]]]}


def test_a_child_whose_id_is_no_longer_there_is_made_anew() -> None:
    kept = [{"id": "7"}, {"id": "99", "type": "email", "value": "a@b.example"}]
    assert update({"contact_mechanisms": kept}) == {
        "contact_mechanisms": [["create", [{"type": "email", "value": "a@b.example"}]]]
    }


def test_a_new_street_clears_the_structured_one() -> None:
    wanted = [{"id": "4", "street": "Z 9"}, {"id": "5"}]
    (action,) = update({"addresses": wanted})["addresses"]
    assert action[2]["street_unstructured"] == "Z 9"
    assert action[2]["street_name"] is None
    assert action[2]["building_number"] is None
    assert "street" not in action[2]


def test_an_iban_is_compared_without_blanks() -> None:
    assert update({"bank_accounts": [{"iban": "de 89"}]}) == {}


def test_an_iban_that_tryton_knows_is_tied_and_one_that_is_missing_untied() -> None:
    assert update({"bank_accounts": [{"iban": "DE77"}]}, DE77=33) == {
        "bank_accounts": [["add", [33]], ["remove", [9]]]
    }


def test_a_new_iban_makes_an_account() -> None:
    assert update({"bank_accounts": [{"id": "9"}, {"iban": "DE 77"}]}) == {
        "bank_accounts": [
            ["create", [{"numbers": [["create", [{"type": "iban", "number": "DE77"}]]]}]]
        ]
    }


def test_another_employer_changes_the_relation_in_force() -> None:
    assert update({"employer": "31"}, CONTACT) == {"relations": [["write", [20], {"to": 31}]]}
    assert update({"employer": "30"}, CONTACT) == {}


def test_a_contact_without_an_employer_is_refused() -> None:
    with pytest.raises(FieldRefused, match="needs an employer"):
        update({"employer": None}, CONTACT)
    with pytest.raises(FieldRefused, match="needs an employer"):
        builder().create(CONTACT, "k", {"name": "Anna"})


def test_a_new_party_carries_its_key_and_no_empty_address() -> None:
    assert builder().create(PARTY, "key-1", {"name": "X", "lang": "de"}) == {
        "name": "X",
        "lang": 5,
        "koppel_key": "key-1",
        "addresses": [],
    }


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"name": "Müller", "limit": ""}, True),
        ({"name": "Mueller"}, False),
        ({"bank_accounts": [{"iban": "de89"}]}, True),
        ({"contact_mechanisms": [{"value": "+49", "type": "phone"}]}, True),
        ({"contact_mechanisms": []}, False),
        ({"addresses": [{"street": "B 2"}, {"street": "A 1"}]}, True),
        ({"addresses": [{"street": "B 2"}, {"street": "B 2"}]}, False),
        ({"addresses": ["B 2", "A 1"]}, False),
    ],
)
def test_a_record_holds_what_was_written_whatever_the_ids(
    fields: dict[str, Any], held: bool
) -> None:
    assert holds(snapshot().record, fields) is held
