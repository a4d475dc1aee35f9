"""What is sold: items and their prices, by the names of UBL 2.1.

Item numbers are those of the ERP, units are codes of UN/ECE Recommendation 20, tax rates are in
percent with the category of UNCL 5305. Prices are exact and never rounded here.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from koppel.model.values import Money, Text

Status = Literal["for_sale", "not_for_sale", "discontinued"]


class Tax(Struct, frozen=True, kw_only=True):
    """A tax as an invoice shows it: category (BT-151) and rate in percent (BT-152)."""

    rate: Decimal
    category: str = "S"
    name: str = ""


class Product(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A product or service as the ERP sells it.

    `number` is the seller's own (BT-155), `gtin` the item's standard number (BT-157), `unit` of
    Rec 20 (BT-130). `list_price` is for one unit, without tax, in `currency` (ISO 4217) and before
    any customer's conditions. `tax_rate` is in percent. `available` is what lies in stock, in the
    unit; None where no stock is kept.
    """

    number: Text = UNSET
    gtin: Text = UNSET
    name: Text = UNSET
    description: Text = UNSET
    unit: Text = UNSET
    category: Text = UNSET
    list_price: Decimal | UnsetType | None = UNSET
    currency: Text = UNSET
    tax_category: Text = UNSET
    tax_rate: Decimal | UnsetType | None = UNSET
    available: Decimal | UnsetType | None = UNSET
    status: Status | UnsetType | None = UNSET


class Price(Struct, frozen=True, kw_only=True):
    """The price of one unit from a quantity on (BT-146), as the ERP told it at a time."""

    item: str
    amount: Money
    unit: str
    from_quantity: Decimal = Decimal(0)
    valid_from: date | None = None
    valid_to: date | None = None
    price_list: str = ""
