"""What is sold: items and their prices, by the names of UBL 2.1.

Item numbers are those of the ERP, units are codes of UN/ECE Recommendation 20, tax rates are in
percent with the category of UNCL 5305. Prices are exact and never rounded here.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec import Struct

from koppel.model.values import Money


class Tax(Struct, frozen=True, kw_only=True):
    """A tax as an invoice shows it: category (BT-151) and rate in percent (BT-152)."""

    rate: Decimal
    category: str = "S"
    name: str = ""


class Item(Struct, frozen=True, kw_only=True):
    """A product or service. `number` is the seller's own (BT-155), `unit` of Rec 20 (BT-130)."""

    number: str
    name: str
    description: str = ""
    unit: str = "C62"
    active: bool = True
    salable: bool = True
    categories: tuple[str, ...] = ()
    taxes: tuple[Tax, ...] = ()
    available: Decimal | None = None
    """In the item's unit; None where no stock is kept."""


class Price(Struct, frozen=True, kw_only=True):
    """The price of one unit from a quantity on (BT-146), as the ERP told it at a time."""

    item: str
    amount: Money
    unit: str
    from_quantity: Decimal = Decimal(0)
    valid_from: date | None = None
    valid_to: date | None = None
    price_list: str = ""
