"""Small canonical values: money, addresses, references. Frozen, hashable, exact.

A part of an address that is `UNSET` is unknown on the side that told it, which is something else
than `None`: that it is empty. `agree` is the comparison that knows the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

import pycountry
from msgspec import UNSET, Struct, UnsetType

Text = str | None | UnsetType
"""A text, None for an empty one, UNSET for an unknown one."""

_MINOR_UNITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
    "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip
"""ISO 4217 list one, where it is not two. (CLDR's digits are those of the street, not of ISO.)"""


@cache
def is_currency(code: str) -> bool:
    """Is it an alphabetic code of ISO 4217?"""
    return pycountry.currencies.get(alpha_3=code) is not None and code.isupper()


def minor_units(currency: str) -> int:
    """Decimal places of a currency by ISO 4217: EUR 2, JPY 0, KWD 3. `ValueError` if unknown."""
    if not is_currency(currency):
        raise ValueError(f"{currency!r} is not a currency code of ISO 4217")
    return _MINOR_UNITS.get(currency, 2)


class Money(Struct, frozen=True):
    """An exact amount in a currency of ISO 4217. `ValueError` for a float or an unknown code."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal) or not self.amount.is_finite():
            raise ValueError(f"{self.amount!r} is not an exact amount")
        minor_units(self.currency)

    def rounded(self) -> Money:
        """Rounded half up to the currency's minor units, as EN 16931 asks."""
        places = Decimal(1).scaleb(-minor_units(self.currency))
        return Money(self.amount.quantize(places, rounding=ROUND_HALF_UP), self.currency)

    def __add__(self, added: Money) -> Money:
        return Money(self.amount + self._same(added).amount, self.currency)

    def __sub__(self, taken: Money) -> Money:
        return Money(self.amount - self._same(taken).amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def _same(self, money: Money) -> Money:
        if money.currency != self.currency:
            raise ValueError(f"{self.currency} and {money.currency} cannot be reckoned together")
        return money


class Ref(Struct, frozen=True):
    """Points to another canonical record by the id of its coupling.

    `native` is the id on the side that told it, and only there while that record is not coupled.
    """

    entity: str
    coupling: str | None = None
    native: str | None = None

    @property
    def resolved(self) -> bool:
        return self.coupling is not None


class Address(Struct, frozen=True, omit_defaults=True):
    """A postal address. `country` is ISO 3166-1 alpha-2, `subdivision` what the side calls it.

    `line1` holds street and number, `line2` whatever lines follow.
    """

    name: Text = UNSET
    line1: Text = UNSET
    line2: Text = UNSET
    po_box: Text = UNSET
    postal_code: Text = UNSET
    city: Text = UNSET
    subdivision: Text = UNSET
    country: Text = UNSET

    def part(self, name: str) -> str | None:
        """A part, None where it is empty or unknown."""
        return getattr(self, name) or None

    def agrees(self, other: Address) -> bool:
        """Do all parts that both sides know hold the same?"""
        for name in PARTS:
            one, two = getattr(self, name), getattr(other, name)
            if one is not UNSET and two is not UNSET and (one or None) != (two or None):
                return False
        return True

    def __str__(self) -> str:
        return ", ".join(self._shown())

    def _shown(self) -> Iterator[str]:
        city = " ".join(filter(None, (self.part("postal_code"), self.part("city"))))
        box = self.part("po_box") and f"PO box {self.part('po_box')}"
        lines = (self.part("name"), self.part("line1"), self.part("line2"), box, city)
        for line in (*lines, self.part("subdivision"), self.part("country")):
            if line:
                yield line.replace("\n", ", ")


PARTS: tuple[str, ...] = Address.__struct_fields__


def agree(one: Any, two: Any) -> bool:
    """Are two canonical values the same, as far as both sides know them?

    As `==`, but for addresses, whose unknown parts agree with anything. All ways of having no
    value (None, empty text, empty list) count as one.
    """
    if one == two:
        return True
    if isinstance(one, Address) and isinstance(two, Address):
        return one.agrees(two)
    return _is_empty(one) and _is_empty(two)


def _is_empty(value: Any) -> bool:
    if isinstance(value, Address):
        return not any(value.part(name) for name in PARTS)
    return value is None or (isinstance(value, str | tuple) and not value)
