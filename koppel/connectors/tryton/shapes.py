"""Small things that the shapes of documents share: fields, amounts, taxes, payment status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from koppel.connectors.base import Choice, FieldInfo, FieldType
from koppel.connectors.tryton.codes import Codes

Row = Mapping[str, Any]
ZERO = Decimal(0)


def told(
    name: str,
    type: FieldType,
    label: str = "",
    *,
    writable: bool = False,
    required: bool = False,
    reference: str | None = None,
    choices: Iterable[str] | tuple[Choice, ...] = (),
    fields: tuple[FieldInfo, ...] = (),
) -> FieldInfo:
    """A described field; read only where nothing else is said."""
    listed = tuple(one if isinstance(one, Choice) else Choice(one, one) for one in choices)
    return FieldInfo(
        name=name,
        type=type,
        label=label or name.replace("_", " ").capitalize(),
        writable=writable,
        required=required,
        reference=reference,
        choices=listed,
        fields=fields,
    )


def rows_of(name: str, fields: Iterable[FieldInfo], *, writable: bool = False) -> FieldInfo:
    """A list of children, each with its id."""
    identity = told("id", "text", "ID")
    return told(name, "list", writable=writable, fields=(identity, *fields))


def amounts(*names: str, writable: bool = False) -> tuple[FieldInfo, ...]:
    """Amounts of money in the document's currency."""
    return tuple(told(name, "decimal", writable=writable) for name in names)


TAX_FIELDS = (
    told("name", "text"),
    told("rate", "decimal"),
    told("category", "text", "Category (UNCL 5305)"),
)
TAX_SUM_FIELDS = (*TAX_FIELDS, *amounts("base", "amount"))


def ref(number: int | None) -> str | None:
    """The id of another record."""
    return None if number is None else str(number)


def refs(numbers: Iterable[int] | None) -> list[str]:
    """The ids of other records, sorted by number."""
    return [str(number) for number in sorted(numbers or ())]


def text(value: Any) -> str | None:
    """A text, None where it is empty."""
    return value or None


def quantity(value: float | None) -> Decimal | None:
    """A quantity as an exact number; Tryton keeps quantities as floats of few digits."""
    return None if value is None else Decimal(repr(value)).normalize() + ZERO


def taxes_of(codes: Codes, numbers: Iterable[int] | None) -> list[dict[str, Any]]:
    """Taxes as native values, by id."""
    return [codes.tax(number) for number in sorted(numbers or ())]


def pointed(reference: str | None, model: str) -> str | None:
    """The id in a reference to that model (`model,12`), None for any other."""
    head, _, number = (reference or "").partition(",")
    return number if head == model and number.isdigit() else None


def payment_status(invoice: Row, today: date) -> str:
    """draft, cancelled, paid, overdue, partial or open; overdue comes before partial.

    Overdue depends on the day alone: an amount that is still to be paid was due before today.
    """
    state = invoice["state"]
    if state in ("draft", "validated"):
        return "draft"
    if state in ("paid", "cancelled"):
        return str(state)
    lines = invoice.get("lines_to_pay.") or ()
    still = [line for line in lines if not line["reconciliation"]]
    if lines and not still:
        return "paid"
    if any(line["maturity_date"] and line["maturity_date"] < today for line in still):
        return "overdue"
    amount = invoice["amount_to_pay"] or ZERO
    return "partial" if amount != invoice["total_amount"] else "open"


def due_date(invoice: Row) -> date | None:
    """The first day on which something still open is due, else the last of all."""
    lines = invoice.get("lines_to_pay.") or ()
    days = [line["maturity_date"] for line in lines if line["maturity_date"]]
    still = [
        line["maturity_date"]
        for line in lines
        if line["maturity_date"] and not line["reconciliation"]
    ]
    return min(still, default=max(days, default=None))


def dunning_level(invoice: Row) -> int:
    """The highest level to which an open line of the invoice was dunned; 0 for none.

    Levels count from 1 in the order of their procedure; a dunning that is still a draft does not
    count, nobody has sent it yet.
    """
    levels = [
        dunning["level."]["sequence"] or 0
        for line in invoice.get("lines_to_pay.") or ()
        for dunning in line.get("dunnings.") or ()
        if dunning["state"] != "draft" and not line["reconciliation"]
    ]
    return max(levels, default=0)


def is_credit(invoice: Row) -> bool:
    """Is a customer invoice a credit note? By its sequence once it is posted, else by its sum."""
    kind = invoice.get("sequence_type_cache")
    if kind:
        return bool(kind == "credit_note")
    return bool(invoice["total_amount"] < 0)


PAID_NAMES = (
    "state",
    "amount_to_pay",
    "total_amount",
    "untaxed_amount",
    "sequence_type_cache",
    "lines_to_pay.maturity_date",
    "lines_to_pay.reconciliation",
    "lines_to_pay.debit",
    "lines_to_pay.credit",
    "lines_to_pay.amount_second_currency",
    "lines_to_pay.dunnings.state",
    "lines_to_pay.dunnings.date",
    "lines_to_pay.dunnings.level.sequence",
)
"""What these functions need of an invoice."""
