"""What the figures are reckoned from, and turnover, order intake, backlog and quote success.

All amounts are net, in one currency: whoever asks picks the currency, and nothing is converted.
Days are local days of the ERP. Nothing here rounds, so sums equal the ERP's own to the cent.

* Turnover: posted invoices less credit notes by invoice date (what § 277 (1) HGB calls revenue:
  after deductions and without value added tax). An invoice that was credited counts on its own
  date, its credit note on its own, as in the books.
* Order intake: orders that were confirmed, whatever became of them but cancellation, by their date.
* Backlog: of orders that are confirmed, each line's net amount times the share still to be
  delivered, rounded half up to the cent for each order.
* Quote-to-order rate: quotes that became an order, of those that are decided (ordered, refused or
  expired); open quotes do not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from msgspec import Struct

ZERO = Decimal(0)
CENT = Decimal("0.01")
LIVE = frozenset({"confirmed", "partly delivered", "delivered", "invoiced", "paid"})
"""States of an order that count as intake."""


class Line(Struct, frozen=True, kw_only=True):
    """One line of an order: its net amount, and how much was ordered and is still to be sent."""

    net: Decimal
    ordered: Decimal
    open: Decimal
    item: str = ""


class Sale(Struct, frozen=True, kw_only=True):
    """An order of the ERP."""

    day: date | None
    net: Decimal
    state: str
    lines: tuple[Line, ...] = ()


class Bill(Struct, frozen=True, kw_only=True):
    """A posted invoice, or a credit note with negative amounts."""

    day: date | None
    net: Decimal
    gross: Decimal = ZERO
    open: Decimal = ZERO
    due: date | None = None
    paid: date | None = None


class Quote(Struct, frozen=True, kw_only=True):
    """An offer: `won` it became an order, `lost` it was refused."""

    net: Decimal
    won: bool = False
    lost: bool = False
    expires: date | None = None


class Compared(Struct, frozen=True, kw_only=True):
    """A figure beside that of the period before; `change` in percent, None without a basis."""

    now: Decimal
    before: Decimal

    @property
    def change(self) -> Decimal | None:
        """(now - before) / before, in percent; None where there was nothing before."""
        if self.before <= 0:
            return None
        return ((self.now - self.before) / self.before * 100).quantize(Decimal("0.1"))


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def months_back(month: date, many: int) -> date:
    """The month `many` months before (after, where negative)."""
    number = month.year * 12 + month.month - 1 - many
    return date(number // 12, number % 12 + 1, 1)


def year_before(day: date) -> date:
    """The same day a year before; the 28th for the 29th of February."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def turnover_by_month(bills: Iterable[Bill]) -> dict[date, Decimal]:
    """Turnover of each month that has any document."""
    found: dict[date, Decimal] = defaultdict(Decimal)
    for bill in bills:
        if bill.day is not None:
            found[month_of(bill.day)] += bill.net
    return dict(found)


def intake_by_month(sales: Iterable[Sale]) -> dict[date, Decimal]:
    """Order intake of each month that has any."""
    found: dict[date, Decimal] = defaultdict(Decimal)
    for sale in sales:
        if sale.day is not None and sale.state in LIVE:
            found[month_of(sale.day)] += sale.net
    return dict(found)


def by_year(months: Mapping[date, Decimal]) -> dict[int, Decimal]:
    """The sums of years."""
    found: dict[int, Decimal] = defaultdict(Decimal)
    for month, amount in months.items():
        found[month.year] += amount
    return dict(found)


def year_to_date(bills: Iterable[Bill], today: date) -> Compared:
    """This year until today, beside last year until the same day."""
    now = before = ZERO
    last = year_before(today)
    for bill in bills:
        if bill.day is None:
            continue
        if bill.day.year == today.year and bill.day <= today:
            now += bill.net
        elif bill.day.year == last.year and bill.day <= last:
            before += bill.net
    return Compared(now=now, before=before)


def rolling_year(bills: Iterable[Bill], today: date) -> Compared:
    """The year that ends today, beside the year before it."""
    start = year_before(today)
    earlier = year_before(start)
    now = before = ZERO
    for bill in bills:
        if bill.day is None or bill.day > today:
            continue
        if bill.day > start:
            now += bill.net
        elif bill.day > earlier:
            before += bill.net
    return Compared(now=now, before=before)


def backlog(sale: Sale) -> Decimal:
    """What is ordered and still to be delivered, net."""
    if sale.state not in LIVE:
        return ZERO
    found = sum(
        (line.net * line.open / line.ordered for line in sale.lines if line.ordered and line.open),
        ZERO,
    )
    return found.quantize(CENT, rounding=ROUND_HALF_UP)


class QuoteRate(Struct, frozen=True, kw_only=True):
    """How quotes fared; rates in percent, None where none is decided."""

    won: int
    lost: int
    open: int
    won_net: Decimal
    decided_net: Decimal

    @property
    def by_number(self) -> Decimal | None:
        """Won of those decided, by their number."""
        return _percent(Decimal(self.won), Decimal(self.won + self.lost))

    @property
    def by_value(self) -> Decimal | None:
        """Won of those decided, by their net amounts."""
        return _percent(self.won_net, self.decided_net)


def quote_rate(quotes: Iterable[Quote], today: date) -> QuoteRate:
    """Count quotes as won, lost (refused, or expired before today) and open."""
    won = lost = still = 0
    won_net = decided = ZERO
    for quote in quotes:
        if quote.won:
            won += 1
            won_net += quote.net
            decided += quote.net
        elif quote.lost or (quote.expires is not None and quote.expires < today):
            lost += 1
            decided += quote.net
        else:
            still += 1
    return QuoteRate(won=won, lost=lost, open=still, won_net=won_net, decided_net=decided)


def top_items(sales: Iterable[Sale], limit: int) -> list[tuple[str, Decimal]]:
    """The items with the largest order intake, the largest first; ties by name."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for sale in sales:
        if sale.state in LIVE:
            for line in sale.lines:
                if line.item:
                    found[line.item] += line.net
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))[:limit]


def margin(net: Decimal, cost: Decimal | None) -> Decimal | None:
    """The margin in percent of the net amount; None where the ERP gives no cost."""
    return None if cost is None else _percent(net - cost, net)


def _percent(part: Decimal, whole: Decimal) -> Decimal | None:
    if whole <= 0:
        return None
    return (part / whole * 100).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)
