"""Orders as both systems mean them: lines, allowances, charges and totals.

Names follow UBL 2.1, amounts the business terms of EN 16931. Amounts of a line are in the order's
currency; a rate or percentage is in percent (19 for 19 %).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from koppel.model.values import Address, is_currency

LineKind = Literal["item", "charge", "text"]


class OrderLine(Struct, frozen=True, kw_only=True):
    """One line. `net` (BT-131) is what the source itself reckons, after the line's discount.

    `kind`: an item, a charge without an item, or a text without an amount. `discount_percent` and
    `discount_amount` (for the whole line, BT-136) are taken off `quantity` times `price`.
    """

    position: int
    kind: LineKind = "item"
    source: str = ""
    """The id of the line in the system it comes from."""
    item: str = ""
    name: str = ""
    note: str = ""
    quantity: Decimal = Decimal(1)
    unit: str = "C62"
    price: Decimal = Decimal(0)
    discount_percent: Decimal = Decimal(0)
    discount_amount: Decimal = Decimal(0)
    net: Decimal = Decimal(0)
    tax_rate: Decimal | None = None
    tax_category: str = "S"
    """Of UNCL 5305; empty where the source tells none: then the rate alone says which tax it is."""


class Allowance(Struct, frozen=True, kw_only=True):
    """A discount (negative) or surcharge on the whole order for one tax rate (BG-20, BG-21)."""

    name: str
    amount: Decimal
    tax_rate: Decimal | None = None
    tax_category: str = "S"


class Taxed(Struct, frozen=True, kw_only=True):
    """An amount of which its side reckons tax: a line's, after every discount."""

    rate: Decimal
    amount: Decimal


class TaxSubtotal(Struct, frozen=True, kw_only=True):
    """One rate of the tax breakdown (BG-23): taxable amount (BT-116) and tax (BT-117)."""

    rate: Decimal
    taxable: Decimal
    amount: Decimal
    category: str = "S"


class Totals(Struct, frozen=True, kw_only=True):
    """Net (BT-109), tax by rate, gross (BT-112)."""

    net: Decimal
    taxes: tuple[TaxSubtotal, ...]
    gross: Decimal

    @property
    def tax(self) -> Decimal:
        """All tax (BT-110)."""
        return self.gross - self.net


class Person(Struct, frozen=True, kw_only=True):
    """Who receives the invoice or asks about the order (BG-9)."""

    name: str
    email: str = ""
    phone: str = ""


class Order(Struct, frozen=True, kw_only=True):
    """An order with all that the other side needs, and the totals that its own side reckons."""

    source: str
    """Connection, resource and id: `crm/billing.quote/12`."""
    number: str = ""
    name: str = ""
    partner: str
    """The native id of the customer on the side that told the order."""
    currency: str
    lines: tuple[OrderLine, ...]
    allowances: tuple[Allowance, ...] = ()
    totals: Totals
    taxed: tuple[Taxed, ...] = ()
    """What the source itself taxes, line by line."""
    buyer_reference: str = ""
    """The customer's own order number (BT-13)."""
    issued: date | None = None
    valid_to: date | None = None
    requested_delivery: date | None = None
    payment_terms: str = ""
    delivery_terms: str = ""
    note: str = ""
    status: str = ""
    contact: Person | None = None
    invoice_address: Address | None = None
    delivery_address: Address | None = None
    owner: str = ""
    url: str = ""
    made_from: str = ""
    """Resource and id of the quote that the order was made of, in the CRM."""

    def __post_init__(self) -> None:
        if not is_currency(self.currency):
            raise ValueError(f"{self.currency!r} is not a currency code of ISO 4217")
