"""How customers pay: days to pay, what is overdue and for how long, and a word for it.

* Days to pay: from invoice date to the day the invoice was settled, weighted with gross amounts
  (the average collection period of paid invoices; credit notes do not count).
* Overdue: the open amount of whatever was due before today, by age: not due, 1 to 30, 31 to 60,
  61 to 90 and more than 90 days (the usual aged trial balance). Credit that is open is counted
  with its negative amount in the bucket of its own date, so the buckets sum to the open items.
* Behaviour: prompt (on average at most on the due day), late (up to 14 days), slow (up to 45),
  bad (more). Unknown under two paid invoices.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Literal

from koppel.insight.trade import ZERO, Bill

BUCKETS: tuple[str, ...] = ("not due", "1-30", "31-60", "61-90", "over 90")
Behaviour = Literal["unknown", "prompt", "late", "slow", "bad"]
LATE_DAYS = 14
SLOW_DAYS = 45
ENOUGH = 2
_TENTH = Decimal("0.1")


def days_to_pay(bills: Iterable[Bill]) -> Decimal | None:
    """The weighted average in days; None where nothing was paid."""
    return _average((bill, (bill.paid - bill.day).days) for bill in _paid(bills))


def days_late(bills: Iterable[Bill]) -> Decimal | None:
    """The weighted average of days after the due date (negative: before it)."""
    return _average((bill, (bill.paid - bill.due).days) for bill in _paid(bills) if bill.due)


def behaviour(bills: Iterable[Bill]) -> Behaviour:
    """One word for how a customer pays."""
    paid = list(_paid(bills))
    late = days_late(paid)
    if late is None or len(paid) < ENOUGH:
        return "unknown"
    if late <= 0:
        return "prompt"
    if late <= LATE_DAYS:
        return "late"
    return "slow" if late <= SLOW_DAYS else "bad"


def bucket(due: date | None, today: date) -> str:
    """The bucket of an amount that was or will be due that day."""
    days = (today - due).days if due is not None else 0
    if days <= 0:
        return BUCKETS[0]
    return BUCKETS[min(4, 1 + (days - 1) // 30)]


def ageing(bills: Iterable[Bill], today: date) -> dict[str, Decimal]:
    """Open amounts by bucket; their sum is all that is open."""
    found = dict.fromkeys(BUCKETS, ZERO)
    for bill in bills:
        if bill.open:
            found[bucket(bill.due or bill.day, today)] += bill.open
    return found


def overdue(bills: Iterable[Bill], today: date) -> Decimal:
    """What of the open amounts was due before today."""
    buckets = ageing(bills, today)
    return sum((amount for name, amount in buckets.items() if name != BUCKETS[0]), ZERO)


class _Paid(Bill, frozen=True, kw_only=True):
    day: date
    paid: date


def _paid(bills: Iterable[Bill]) -> Iterable[_Paid]:
    for bill in bills:
        if bill.paid is not None and bill.day is not None and bill.gross > 0:
            yield _Paid(
                day=bill.day, net=bill.net, gross=bill.gross, open=bill.open, due=bill.due,
                paid=bill.paid,
            )  # fmt: skip


def _average(days: Iterable[tuple[Bill, int]]) -> Decimal | None:
    weight = total = ZERO
    for bill, many in days:
        weight += bill.gross
        total += bill.gross * many
    return (total / weight).quantize(_TENTH) if weight else None
