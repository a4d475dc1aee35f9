"""Figures kept ready: of each customer, and of the whole house.

`reckon` takes up the customers whose documents changed; `overview` sums the house in the database
and judges customers against each other (ABC, RFM). Formulas are those of `koppel.insight`; amounts
of different currencies are never added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Min, Q, QuerySet, Sum

from koppel import typed
from koppel.insight import customers, payment, trade
from koppel.store import bulk
from koppel.store.opening import Clock
from koppel.store.seen_models import Bill, Customer, Figure, Overview, Sale, SaleLine, exact

DIMENSIONS: Mapping[str, str] = {
    "region": "region", "class": "abc", "salesperson": "salesperson", "country": "country",
    "sector": "sector",
}  # fmt: skip
"""By what the house's figures are split: name -> column of the customer."""
_LIVE = tuple(sorted(trade.LIVE))
_RECKONED = (
    "currency", "orders", "first_order", "last_order", "rhythm", "quiet_from", "turnover",
    "turnover_before", "intake", "backlog", "open_items", "overdue", "paid_gross", "paid_days",
    "late_days", "behaviour", "trend", "dunning", "figures_at", "dirty",
)  # fmt: skip
_FIGURE = ("customer", "month", "currency", "turnover", "intake", "orders")
MONTHS = 36
_TOP = 15
_JUDGED = 2_000
"""Customers of one transaction: whoever looks at a page meanwhile waits for its line in the log."""
LISTED = 10
"""Customers of each kind that are named beside the house's figures."""


class _Sold(NamedTuple):
    """What figures need to know of an order."""

    party: str
    state: str
    day: date | None
    currency: str
    net: Decimal
    backlog: Decimal


class _Billed(NamedTuple):
    """What figures need to know of an invoice."""

    party: str
    day: date | None
    due: date | None
    paid: date | None
    currency: str
    net: Decimal
    gross: Decimal
    open: Decimal
    dunning: int


class FigureStore:
    """Reckons and reads figures."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    # One customer.

    def reckon(self, today: date, limit: int = 300) -> int:
        """Reckon at most `limit` customers whose documents changed; how many those were."""
        some = list(Customer.objects.filter(dirty=True).order_by("id")[:limit])
        if some:
            self._reckon(some, today)
        return len(some)

    def reckon_one(self, customer: Customer, today: date) -> None:
        """Reckon this customer now."""
        self._reckon([customer], today)

    def _reckon(self, some: Sequence[Customer], today: date) -> None:
        parties = [one.erp_id for one in some if one.erp_id is not None]
        sales: dict[str, list[_Sold]] = defaultdict(list)
        bills: dict[str, list[_Billed]] = defaultdict(list)
        for part in bulk.chunks(parties):
            orders = Sale.objects.filter(side="erp", kind="order", party__in=part)
            for row in orders.order_by("id").values_list(*_Sold._fields):
                sales[row[0]].append(_Sold(*row))
            posted = Bill.objects.filter(party__in=part, counted=True)
            for row in posted.order_by("id").values_list(*_Billed._fields):
                bills[row[0]].append(_Billed(*row))
        now = self._clock()
        figures: list[Figure] = []
        for one in some:
            party = one.erp_id or ""
            figures += _judged(one, sales.get(party, []), bills.get(party, []), today)
            one.figures_at, one.dirty = now, False
        ids = [one.id for one in some]
        with transaction.atomic():
            bulk.update(Customer, _RECKONED, ("id",), bulk.rows(Customer, (*_RECKONED, "id"), some))
            bulk.execute("DELETE FROM store_figure WHERE customer IN ({ids})", ids)
            bulk.insert(Figure, _FIGURE, bulk.rows(Figure, _FIGURE, figures))

    def new_day(self, today: date) -> bool:
        """Has the day changed since the last overview? Then everything is reckoned again."""
        row = Overview.objects.order_by("-at").first()
        if row is None or row.at.date() >= today:
            return False
        Customer.objects.update(dirty=True)
        return True

    # The house.

    def currencies(self) -> list[str]:
        """Currencies of posted invoices and orders, the most frequent first."""
        found: Counter[str] = Counter()
        for rows in (Bill.objects.all(), Sale.objects.filter(side="erp")):
            for name, many in rows.values_list("currency").annotate(many=Count("id")).order_by():
                if name:
                    found[name] += many
        return [name for name, _ in found.most_common()]

    def overview(self, today: date) -> None:
        """Reckon the house, and judge customers against each other."""
        self._judge_all()
        now = self._clock()
        for currency in self.currencies():
            raw = msgspec.json.encode(self._house(currency, today))
            Overview.objects.update_or_create(
                currency=currency, defaults={"content": raw, "at": now}
            )

    def read(self, currency: str = "") -> tuple[dict[str, Any], Overview] | None:
        """The figures of the house as `overview` left them; of the main currency by default."""
        if not currency:
            rows = list(Overview.objects.all())
            row = max(rows, key=lambda one: len(bytes(one.content)), default=None)
        else:
            row = Overview.objects.filter(currency=currency).first()
        return (typed.from_json(bytes(row.content)), row) if row is not None else None

    def _judge_all(self) -> None:
        rows = list(
            Customer.objects.filter(Q(orders__gt=0) | ~Q(turnover=0) | ~Q(abc="")).values_list(
                "id", "currency", "turnover", "last_order", "orders", "intake", "abc", "rfm",
                "segment",
            )
        )  # fmt: skip
        classes: dict[int, str] = {}
        for currency in {row[1] for row in rows}:
            classes |= customers.abc({row[0]: row[2] for row in rows if row[1] == currency})
        scores = customers.rfm(
            {
                row[0]: customers.Buying(last=row[3], orders=row[4], money=row[5])
                for row in rows
                if row[3] is not None
            }
        )
        changed = []
        for id, *_, abc, rfm, segment in rows:
            score = scores.get(id)
            told = (
                classes.get(id, ""),
                score.code if score else "",
                score.segment if score else "",
            )
            if told != (abc, rfm, segment):
                changed.append((*told, id))
        for part in bulk.chunks(changed, _JUDGED):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.executemany(
                    "UPDATE store_customer SET abc = %s, rfm = %s, segment = %s WHERE id = %s", part
                )

    def _house(self, currency: str, today: date) -> dict[str, Any]:
        posted = Bill.objects.filter(currency=currency, counted=True)
        orders = Sale.objects.filter(side="erp", kind="order", currency=currency)
        buying = Customer.objects.filter(currency=currency)
        paid = buying.aggregate(
            gross=Sum("paid_gross"), days=Sum("paid_days"), late=Sum("late_days")
        )
        return {
            "today": today,
            "currency": currency,
            "months": self._months(posted, orders, today),
            "year": _compared(posted, date(today.year, 1, 1), today),
            "rolling": _compared(posted, trade.year_before(today) + timedelta(days=1), today),
            "intake": _compared(
                orders.filter(state__in=_LIVE), date(today.year, 1, 1), today
            ),
            "backlog": _sum(orders, "backlog"),
            "open": _sum(posted, "open"),
            "ageing": _ageing(posted, today),
            "quotes": _quotes(currency, today),
            "days_to_pay": _mean(paid["days"], paid["gross"]),
            "days_late": _mean(paid["late"], paid["gross"]),
            "trends": list(
                buying.values("trend").annotate(
                    many=Count("id"), now=Sum("turnover"), before=Sum("turnover_before")
                ).order_by("trend")
            ),
            "quiet": buying.filter(quiet_from__lte=today).count(),
            "listed": {
                name: list(rows.values_list("id", flat=True))
                for name, rows in listed(currency, today).items()
            },
            "classes": list(
                buying.exclude(abc="").values("abc").annotate(
                    many=Count("id"), now=Sum("turnover")
                ).order_by("abc")
            ),
            "segments": list(
                buying.exclude(segment="").values("segment").annotate(
                    many=Count("id"), now=Sum("turnover")
                ).order_by("segment")
            ),
            "split": {name: _split(column, currency, today) for name, column in DIMENSIONS.items()},
            "items": _items(currency, today),
            "read": posted.aggregate(at=Min("read_at"))["at"],
        }  # fmt: skip

    @staticmethod
    def _months(posted: QuerySet[Any], orders: QuerySet[Any], today: date) -> list[dict[str, Any]]:
        start = trade.months_back(trade.month_of(today), MONTHS - 1)
        turnover = _by_month(posted, start)
        intake = _by_month(orders.filter(state__in=_LIVE), start)
        months = [trade.months_back(trade.month_of(today), back) for back in range(MONTHS)][::-1]
        return [
            {
                "month": month,
                "turnover": turnover.get(month, trade.ZERO),
                "intake": intake.get(month, trade.ZERO),
            }
            for month in months
        ]


def listed(currency: str, today: date) -> dict[str, QuerySet[Customer]]:
    """The customers to be named beside the house's figures, the weightiest first."""
    buying = Customer.objects.filter(currency=currency)
    chosen = {
        "growing": buying.filter(trend="growing").order_by("-turnover", "id"),
        "shrinking": buying.filter(trend__in=("shrinking", "gone")).order_by(
            "-turnover_before", "id"
        ),
        "quiet": buying.filter(quiet_from__lte=today).order_by("-turnover_before", "-intake", "id"),
    }
    return {name: rows[:LISTED] for name, rows in chosen.items()}


def _judged(
    one: Customer, sales: Sequence[_Sold], bills: Sequence[_Billed], today: date
) -> list[Figure]:
    """Set a customer's figures; its months."""
    seen = Counter([row.currency for row in bills] + [row.currency for row in sales])
    one.currency = seen.most_common(1)[0][0] if seen else ""
    own = [_bill(row) for row in bills if row.currency == one.currency]
    live = [row for row in sales if row.state in trade.LIVE]
    habit = customers.rhythm(row.day for row in live if row.day is not None)
    year = trade.rolling_year(own, today)
    paid = [bill for bill in own if bill.paid and bill.day and bill.gross > 0]
    one.orders, one.first_order, one.last_order = len(live), habit.first, habit.last
    one.rhythm, one.quiet_from = habit.days, habit.quiet_from
    one.turnover, one.turnover_before = year.now, year.before
    one.intake = _total(row.net for row in live if row.currency == one.currency)
    one.backlog = _total(row.backlog for row in live if row.currency == one.currency)
    one.open_items = _total(bill.open for bill in own)
    one.overdue = payment.overdue(own, today)
    one.paid_gross = _total(bill.gross for bill in paid)
    one.paid_days = _total(bill.gross * (bill.paid - bill.day).days for bill in paid)  # type: ignore[operator]
    one.late_days = _total(
        bill.gross * (bill.paid - (bill.due or bill.day)).days  # type: ignore[operator]
        for bill in paid
    )
    one.behaviour, one.trend = payment.behaviour(own), customers.trend(year)
    one.dunning = max((row.dunning for row in bills if row.open), default=0)
    return _figures(one.id, live, bills)


def _figures(customer: int, sales: Sequence[_Sold], bills: Sequence[_Billed]) -> list[Figure]:
    found: dict[tuple[date, str], Figure] = {}

    def of(day: date, currency: str) -> Figure:
        key = trade.month_of(day), currency
        if key not in found:
            found[key] = Figure(
                customer=customer, month=key[0], currency=currency, turnover=trade.ZERO,
                intake=trade.ZERO, orders=0,
            )  # fmt: skip
        return found[key]

    for bill in bills:
        if bill.day is not None:
            of(bill.day, bill.currency).turnover += bill.net
    for sale in sales:
        if sale.day is not None:
            figure = of(sale.day, sale.currency)
            figure.intake += sale.net
            figure.orders += 1
    return list(found.values())


def _bill(row: _Billed) -> trade.Bill:
    return trade.Bill(
        day=row.day, net=row.net, gross=row.gross, open=row.open, due=row.due, paid=row.paid
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, trade.ZERO)


def _sum(rows: QuerySet[Any], column: str) -> Decimal:
    found: Decimal | None = rows.aggregate(found=Sum(column))["found"]
    return found if found is not None else trade.ZERO


def _mean(days: Decimal | None, gross: Decimal | None) -> Decimal | None:
    if not days and not gross:
        return None
    return ((days or trade.ZERO) / gross).quantize(Decimal("0.1")) if gross else None


def _compared(rows: QuerySet[Any], start: date, today: date) -> dict[str, Decimal | None]:
    """A period until today, and the same a year before."""
    before, until = trade.year_before(start), trade.year_before(today)
    if start == trade.year_before(today) + timedelta(days=1):
        before, until = trade.year_before(until) + timedelta(days=1), until
    told = trade.Compared(
        now=_sum(rows.filter(day__gte=start, day__lte=today), "net"),
        before=_sum(rows.filter(day__gte=before, day__lte=until), "net"),
    )
    return {"now": told.now, "before": told.before, "change": told.change}


def _by_month(rows: QuerySet[Any], start: date) -> dict[date, Decimal]:
    found: dict[date, Decimal] = {}
    for year, month, amount in (
        rows.filter(day__gte=start)
        .values_list("day__year", "day__month")
        .annotate(amount=Sum("net"))
        .order_by()
    ):
        found[date(year, month, 1)] = amount
    return found


def _ageing(posted: QuerySet[Bill], today: date) -> dict[str, Decimal]:
    found = dict.fromkeys(payment.BUCKETS, trade.ZERO)
    for due, day, amount in (
        posted.exclude(open=0).values_list("due", "day").annotate(amount=Sum("open")).order_by()
    ):
        found[payment.bucket(due or day, today)] += amount
    return found


def _quotes(currency: str, today: date) -> dict[str, Any]:
    rows = Sale.objects.filter(
        kind="quote", currency=currency, day__gte=trade.year_before(today)
    ).values_list("net", "won", "lost", "until")
    told = trade.quote_rate(
        (trade.Quote(net=net, won=won, lost=lost, expires=until) for net, won, lost, until in rows),
        today,
    )
    return {
        "won": told.won, "lost": told.lost, "open": told.open, "by_number": told.by_number,
        "by_value": told.by_value, "won_net": told.won_net,
    }  # fmt: skip


_SPLIT = """
SELECT c.{column}, SUM(CASE WHEN f.month >= %s THEN f.turnover ELSE 0 END),
 SUM(CASE WHEN f.month < %s THEN f.turnover ELSE 0 END),
 SUM(CASE WHEN f.month >= %s THEN f.intake ELSE 0 END), COUNT(DISTINCT c.id)
FROM store_figure f JOIN store_customer c ON c.id = f.customer
WHERE f.currency = %s AND f.month >= %s GROUP BY c.{column} ORDER BY 2 DESC LIMIT 100
"""


def _split(column: str, currency: str, today: date) -> list[dict[str, Any]]:
    """This year and last year, the largest first."""
    start = date(today.year, 1, 1)
    before = date(today.year - 1, 1, 1)
    with connection.cursor() as cursor:
        cursor.execute(_SPLIT.format(column=column), [start, start, start, currency, before])
        return [
            {
                "name": name, "now": exact(now or 0), "before": exact(last or 0),
                "intake": exact(intake or 0), "many": many,
            }
            for name, now, last, intake, many in cursor.fetchall()
        ]  # fmt: skip


def _items(currency: str, today: date) -> list[dict[str, Any]]:
    """Products with the largest order intake of the last twelve months."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.item, MAX(l.name), SUM(l.net), COUNT(*) FROM store_sale s"
            " JOIN store_saleline l ON l.sale = s.id"
            " WHERE s.side = 'erp' AND s.kind = 'order' AND s.currency = %s AND s.day > %s"
            f" AND s.state IN ({', '.join(['%s'] * len(_LIVE))}) AND l.item <> ''"
            f" GROUP BY l.item ORDER BY 3 DESC, 1 LIMIT {_TOP}",
            [currency, trade.year_before(today), *_LIVE],
        )
        return [
            {"item": item, "name": name, "net": exact(net or 0), "lines": many}
            for item, name, net, many in cursor.fetchall()
        ]


def top_items(party: str, currency: str, limit: int = 10) -> list[dict[str, Any]]:
    """What a customer of the ERP ordered most, by net amount, over all time."""
    rows = (
        SaleLine.objects.filter(
            sale__in=Sale.objects.filter(
                side="erp", kind="order", party=party, currency=currency, state__in=_LIVE
            ).values("id")
        )
        .exclude(item="")
        .values("item")
        .annotate(net=Sum("net"), cost=Sum("cost"), lines=Count("id"), name=Min("name"))
        .order_by("-net", "item")[:limit]
    )
    return list(rows)


__all__ = ["DIMENSIONS", "LISTED", "FigureStore", "top_items"]
