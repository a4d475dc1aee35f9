"""Invoices, credit notes, what is paid of them, and reminders (EN 16931, UBL Reminder)."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

PaymentState = Literal["none", "open", "partial", "paid", "overdue", "cancelled"]
DocumentType = Literal["invoice", "credit_note"]


class Invoice(Struct, frozen=True, kw_only=True):
    """An invoice (UNCL 1001: 380) or a credit note (381), whose amounts are then negative.

    `open` is the amount that is still to be paid (BT-115), `due` the first open due date (BT-9).
    """

    id: str
    number: str
    currency: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    open: Decimal
    type: DocumentType = "invoice"
    state: str = "posted"
    date: datetime.date | None = None
    due: datetime.date | None = None
    status: PaymentState = "open"
    dunning_level: int = 0


class Dunning(Struct, frozen=True, kw_only=True):
    """The highest reminder that was sent, and when."""

    level: int
    date: datetime.date | None = None
