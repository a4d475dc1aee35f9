"""The canonical model: exact money, addresses that know what they do not know, bytes and back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pycountry
import pytest
from msgspec import UNSET

from koppel.errors import Defect
from koppel.model import (
    ENTITIES,
    Address,
    Money,
    Ref,
    agree,
    decode_canonical,
    encode_canonical,
    field_types,
    minor_units,
)
from koppel.model.values import _MINOR_UNITS


@pytest.mark.parametrize(
    ("currency", "places"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CHF", 2), ("CLF", 4), ("HUF", 2)]
)
def test_minor_units_are_those_of_iso_4217(currency: str, places: int) -> None:
    assert minor_units(currency) == places


def test_every_currency_with_odd_minor_units_exists() -> None:
    assert all(pycountry.currencies.get(alpha_3=code) for code in _MINOR_UNITS)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("1.005", "EUR", "1.01"),
        ("-1.005", "EUR", "-1.01"),
        ("0.5", "JPY", "1"),
        ("1.0005", "KWD", "1.001"),
    ],
)
def test_money_is_rounded_half_up(amount: str, currency: str, rounded: str) -> None:
    assert Money(Decimal(amount), currency).rounded() == Money(Decimal(rounded), currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(1.5, "EUR"), (Decimal("NaN"), "EUR"), (Decimal(1), "EURO"), (Decimal(1), "eur")],
)
def test_money_is_exact_and_in_a_known_currency(amount: Any, currency: str) -> None:
    with pytest.raises(ValueError):
        Money(amount, currency)


def test_money_of_two_currencies_is_not_added() -> None:
    euro = Money(Decimal(1), "EUR")
    assert euro + euro - euro == -Money(Decimal(-1), "EUR")
    with pytest.raises(ValueError, match="EUR and CHF"):
        euro + Money(Decimal(1), "CHF")


def test_an_unknown_part_of_an_address_agrees_with_anything() -> None:
    crm = Address(line1="Hauptstr. 1", city="Ulm", po_box="12")
    erp = Address(name=None, line1="Hauptstr. 1", city="Ulm", country=None)
    assert crm != erp
    assert agree(crm, erp)
    assert not agree(crm, Address(line1="Hauptstr. 2", city="Ulm"))


def test_an_empty_part_disagrees_with_a_filled_one() -> None:
    assert not agree(Address(city="Ulm", country=None), Address(city="Ulm", country="DE"))


@pytest.mark.parametrize("empty", [None, "", (), Address(), Address(city=None, name="")])
def test_all_ways_of_having_no_value_agree(empty: Any) -> None:
    assert agree(empty, None)
    assert agree(None, empty)
    assert not agree(empty, "x")
    assert not agree(empty, False)


def test_an_address_reads_like_one() -> None:
    address = Address(line1="Weg 1", line2="Hof\nTor", postal_code="89073", city="Ulm", po_box="9")
    assert str(address) == "Weg 1, Hof, Tor, PO box 9, 89073 Ulm"
    assert address.part("country") is None
    assert address.country is UNSET


SAMPLES = [
    ("partner", {}),
    ("partner", {"name": "Müller", "phone": None, "active": True, "roles": ("customer",)}),
    ("partner", {"billing_address": Address(city="Ulm", name=None), "shipping_address": None}),
    ("contact", {"partner": Ref("partner", "12"), "family_name": "Bär"}),
    ("contact", {"partner": Ref("partner", native="C7")}),
    (
        "partner",
        {
            "x_limit": Decimal("10.00"),
            "x_since": date(2020, 2, 29),
            "x_seen": datetime(2020, 1, 1, tzinfo=UTC),
            "x_tags": ("a", "b"),
            "x_flag": False,
            "x_count": 3,
            "x_none": None,
            "x_place": Address(city="Ulm"),
            "x_boss": Ref("contact", "4"),
        },
    ),
]


@pytest.mark.parametrize(("entity", "values"), SAMPLES)
def test_a_record_comes_back_from_its_bytes_with_all_types(
    entity: str, values: dict[str, Any]
) -> None:
    found = decode_canonical(entity, encode_canonical(values))
    assert found == values
    assert [type(value) for value in found.values()] == [type(v) for v in values.values()]
    hash(tuple(found.values()))


def test_an_unknown_part_stays_unknown_in_bytes() -> None:
    raw = encode_canonical({"billing_address": Address(city="Ulm", country=None)})
    found = decode_canonical("partner", raw)["billing_address"]
    assert found.country is None
    assert found.po_box is UNSET


@pytest.mark.parametrize("raw", [b"{", b'{"name": 3}', b'{"nonsense": 1}'])
def test_bytes_of_something_else_are_a_defect(raw: bytes) -> None:
    with pytest.raises(Defect, match="partner"):
        decode_canonical("partner", raw)


def test_a_value_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_canonical({"x_odd": object()})


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_field_says_its_type(entity: str) -> None:
    types = field_types(entity)
    assert set(types) == set(ENTITIES[entity].__struct_fields__)
    assert all("Unset" not in str(hint) for hint in types.values())
