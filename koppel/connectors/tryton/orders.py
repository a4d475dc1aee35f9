"""From native fields of a sale to the order that Tryton's module `koppel` takes.

Codes become numbers here: units, currencies, terms, taxes. Those of products are left to Tryton to
look up, which has very many. Amounts that nobody can write (totals, an amount of a line) are what
the sender expects; Tryton compares them to the cent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from koppel.connectors.base import Fields
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.sales import CRM_FIELDS, LINE_TYPES
from koppel.connectors.tryton.values import FieldRefused

TEXTS = ("reference", "description", "comment", *CRM_FIELDS)
DATES = ("sale_date", "quotation_date", "shipping_date")
REFERENCES = (
    "party", "contact", "invoice_party", "invoice_address", "shipment_party", "shipment_address",
    "price_list",
)  # fmt: skip
CODED = {
    "payment_term": "account.invoice.payment_term",
    "currency": "currency.currency",
    "incoterm": "incoterm.incoterm",
}
EXPECTED = ("untaxed_amount", "tax_amount", "total_amount")
LINE_FIELDS = frozenset(
    {
        "id", "sequence", "type", "product", "product_code", "description", "note", "quantity",
        "unit", "unit_price", "base_price", "discount_rate", "taxes", "amount",
    }
)  # fmt: skip
"""What a line may tell; the rest of what is read is reckoned by Tryton."""


@dataclass(frozen=True)
class OrderBuilder:
    """Builds orders for one session."""

    codes: Codes

    def build(self, fields: Fields, *, new: bool) -> dict[str, Any]:
        """The order; `FieldRefused` where a field cannot be written so."""
        if new and not fields.get("party"):
            raise FieldRefused("an order needs a customer", "party")
        values: dict[str, Any] = {}
        expected: dict[str, Any] = {}
        order: dict[str, Any] = {"values": values, "expected": expected}
        for name, value in fields.items():
            if name == "lines":
                order["lines"] = self._lines(value)
            elif name in EXPECTED:
                expected[name] = _decimal(value, name)
            elif name == "taxes":
                expected[name] = [
                    [_decimal(tax.get("rate"), "taxes"), _decimal(tax.get("amount"), "taxes")]
                    for tax in _listed(value, "taxes")
                ]
            else:
                values[name] = self._value(name, value)
        return order

    def _value(self, name: str, value: Any) -> Any:
        if name in TEXTS:
            return _checked(value, str, name) or None
        if name in DATES:
            if isinstance(value, datetime):
                raise FieldRefused(f"{value!r} is not a day", name)
            return _checked(value, date, name)
        if name in REFERENCES:
            return _number(value, name)
        if name in CODED:
            if value is None:
                return None
            number = self.codes.number(CODED[name], str(value))
            if number is None:
                raise FieldRefused(f"Tryton knows no {name.replace('_', ' ')} {value!r}", name)
            return number
        raise FieldRefused(f"{name!r} of a sale cannot be written", name)

    def _lines(self, told: Any) -> list[dict[str, Any]]:
        lines = _listed(told, "lines")
        return [self._line(line) for line in lines]

    def _line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        strange = sorted(set(line) - LINE_FIELDS)
        if strange:
            raise FieldRefused(f"{strange[0]!r} of a line cannot be written", f"lines.{strange[0]}")
        kind = line.get("type") or "line"
        if kind not in LINE_TYPES:
            raise FieldRefused(f"there are no lines of type {kind!r}", "lines.type")
        made: dict[str, Any] = {} if line.get("id") else {"type": kind}
        for name, value in line.items():
            if name == "product_code":
                if value:
                    made["code"] = str(value)
                else:
                    made.setdefault("product", None)
            elif name in _LINE_VALUES:
                made[name] = _LINE_VALUES[name](value, f"lines.{name}")
            elif name == "unit" and value is not None:
                made[name] = self.codes.unit_number(str(value))
                if made[name] is None:
                    raise FieldRefused(f"Tryton knows no unit {value!r}", "lines.unit")
            elif name == "taxes" and value is not None:
                made[name] = [self._tax(tax) for tax in _listed(value, "lines.taxes")]
        if kind == "line" and not line.get("id") and made.get("quantity") is None:
            raise FieldRefused("a line needs a quantity", "lines.quantity")
        return made

    def _tax(self, told: Mapping[str, Any]) -> int:
        number = self.codes.tax_number(told)
        if number is None:
            rate, category = told.get("rate"), told.get("category")
            what = f"of the rate {rate}" + (f" and category {category}" if category else "")
            raise FieldRefused(f"Tryton knows no tax {what}", "lines.taxes")
        return number


def _checked(value: Any, type: type[Any], place: str) -> Any:
    if value is not None and not isinstance(value, type):
        raise FieldRefused(f"{value!r} is not a {type.__name__}", place)
    return value


def _number(value: Any, place: str) -> int | None:
    if value is None:
        return None
    if not str(value).isdigit():
        raise FieldRefused(f"{value!r} is not an id of Tryton", place)
    return int(value)


def _decimal(value: Any, place: str) -> Decimal | None:
    if value is None or isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise FieldRefused(f"{value!r} is not an exact number", place)


def _float(value: Any, place: str) -> float | None:
    number = _decimal(value, place)
    return None if number is None else float(number)


def _listed(value: Any, place: str) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise FieldRefused(f"{place} has to be a list of records", place)
    return value


def _text(value: Any, place: str) -> str | None:
    return _checked(value, str, place) or None


def _whole(value: Any, place: str) -> int | None:
    number: int | None = _checked(value, int, place)
    return number


_LINE_VALUES: dict[str, Callable[[Any, str], Any]] = {
    "id": _number,
    "sequence": _whole,
    "product": _number,
    "description": _text,
    "note": _text,
    "quantity": _float,
    "unit_price": _decimal,
    "base_price": _decimal,
    "discount_rate": _decimal,
    "amount": _decimal,
}
