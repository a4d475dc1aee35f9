"""Customers judged by what they buy: rhythm, trend, ABC class and RFM segment.

* Rhythm: the median number of days between one order day and the next; several orders on one day
  are one. It needs three order days. A customer is *quiet* once more than twice that rhythm (and at
  least 30 days) has gone by since the last order: each is measured by its own habit, not by all.
* Trend: turnover of the last twelve months against the twelve before: growing from +20 %, shrinking
  from -20 %; new where there was none before, gone where there is none now.
* ABC: customers by turnover, the largest first: A until 80 % of all, B until 95 %, C the rest
  (Pareto; Dickie 1951). A customer who crosses the line still belongs to the better class.
* RFM (Hughes 1994): recency, frequency and money, each from 1 to 5 by fifths of all customers;
  equal values get equal scores.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Literal, TypeVar

from msgspec import Struct

from koppel.insight.trade import ZERO, Compared

Trend = Literal["new", "growing", "steady", "shrinking", "gone", "none"]
Abc = Literal["A", "B", "C", ""]
K = TypeVar("K")
V = TypeVar("V", date, int, Decimal)
TRENDS: tuple[str, ...] = ("new", "growing", "steady", "shrinking", "gone", "none")
SEGMENTS: tuple[str, ...] = (
    "champion", "loyal", "promising", "new", "attention", "at risk", "lost",
)  # fmt: skip
QUIET_FACTOR = 2
QUIET_DAYS = 30
ENOUGH_DAYS = 3
CHANGE = Decimal(20)
A_SHARE, B_SHARE = Decimal("0.80"), Decimal("0.95")


class Rhythm(Struct, frozen=True, kw_only=True):
    """How often somebody orders: `days` between orders, None where it cannot be told yet."""

    orders: int
    first: date | None
    last: date | None
    days: int | None

    @property
    def quiet_from(self) -> date | None:
        """The first day on which the customer is quiet."""
        if self.days is None or self.last is None:
            return None
        return self.last + timedelta(days=max(QUIET_DAYS, QUIET_FACTOR * self.days) + 1)

    def quiet(self, today: date) -> bool:
        """Has it been too long since the last order, by the customer's own habit?"""
        start = self.quiet_from
        return start is not None and today >= start


def rhythm(days: Iterable[date]) -> Rhythm:
    """The rhythm of these order days."""
    some = sorted(set(days))
    gaps = [(after - before).days for before, after in pairwise(some)]
    return Rhythm(
        orders=len(some),
        first=some[0] if some else None,
        last=some[-1] if some else None,
        days=round(median(gaps)) if len(some) >= ENOUGH_DAYS else None,
    )


def trend(year: Compared) -> Trend:
    """A word for two years side by side."""
    if year.before <= 0:
        return "new" if year.now > 0 else "none"
    if year.now <= 0:
        return "gone"
    change = year.change or ZERO
    if change >= CHANGE:
        return "growing"
    return "shrinking" if change <= -CHANGE else "steady"


def abc(turnover: Mapping[K, Decimal]) -> dict[K, Abc]:
    """The class of each customer; none for whoever has no turnover."""
    buying = sorted(
        ((key, amount) for key, amount in turnover.items() if amount > 0),
        key=lambda one: -one[1],
    )
    whole = sum((amount for _, amount in buying), ZERO)
    found: dict[K, Abc] = dict.fromkeys(turnover, "")
    before = ZERO
    for key, amount in buying:
        share = before / whole
        found[key] = "A" if share < A_SHARE else "B" if share < B_SHARE else "C"
        before += amount
    return found


class Rfm(Struct, frozen=True, kw_only=True):
    """Three scores from 1 to 5; 5 is the best."""

    recency: int
    frequency: int
    money: int

    @property
    def code(self) -> str:
        """As it is written: 545."""
        return f"{self.recency}{self.frequency}{self.money}"

    @property
    def segment(self) -> str:
        """A word of `SEGMENTS` for the scores."""
        often = (self.frequency + self.money) / 2
        if self.recency >= 4:
            if often >= 4:
                return "champion"
            if often >= 3:
                return "loyal"
            return "promising" if self.frequency > 1 else "new"
        if self.recency == 3:
            return "loyal" if often >= 4 else "attention"
        return "at risk" if often >= 3 else "lost"


class Buying(Struct, frozen=True, kw_only=True):
    """What RFM looks at: the last order, how many there were, and what they came to."""

    last: date
    orders: int
    money: Decimal


def rfm(customers: Mapping[K, Buying]) -> dict[K, Rfm]:
    """The scores of all who ever ordered, among each other."""
    recency = sorted(one.last for one in customers.values())
    frequency = sorted(one.orders for one in customers.values())
    money = sorted(one.money for one in customers.values())
    return {
        key: Rfm(
            recency=_fifth(recency, one.last),
            frequency=_fifth(frequency, one.orders),
            money=_fifth(money, one.money),
        )
        for key, one in customers.items()
    }


def _fifth(ordered: Sequence[V], value: V) -> int:
    """1 to 5, by the middle of the places that this value has in the order."""
    first, last = bisect_left(ordered, value), bisect_right(ordered, value)
    return min(5, (first + last) * 5 // (2 * len(ordered)) + 1)
