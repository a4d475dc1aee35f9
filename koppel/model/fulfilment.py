"""What became of an order: its answer line by line, and what was sent (UBL).

Quantities are in the line's own unit. `open` is what was ordered and neither sent nor cancelled.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from koppel.model.billing import Dunning, Invoice, PaymentState

OrderState = Literal[
    "draft", "quoted", "confirmed", "partly delivered", "delivered", "invoiced", "paid", "cancelled"
]


class LineStatus(Struct, frozen=True, kw_only=True):
    """Where one line stands."""

    position: int
    description: str
    ordered: Decimal
    delivered: Decimal = Decimal(0)
    open: Decimal = Decimal(0)
    invoiced: Decimal = Decimal(0)
    unit: str = ""
    item: str = ""
    planned: date | None = None
    delivered_on: date | None = None
    net: Decimal | None = None
    status: str = "draft"


class Despatch(Struct, frozen=True, kw_only=True):
    """A shipment (BT-16, BT-72)."""

    id: str
    number: str
    state: str
    planned: date | None = None
    delivered_on: date | None = None


class OrderResponse(Struct, frozen=True, kw_only=True):
    """The ERP's view of an order at one moment."""

    id: str
    number: str
    state: OrderState
    native_state: str
    partner: str
    currency: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    buyer_reference: str = ""
    ordered_on: date | None = None
    requested_delivery: date | None = None
    lines: tuple[LineStatus, ...] = ()
    shipments: tuple[Despatch, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    payment: PaymentState = "none"
    dunning: Dunning | None = None
