"""Figures: what holds for whatever is bought, billed and paid."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from koppel.insight import customers, payment, trade

TODAY = date(2026, 11, 25)
cents = st.integers(-10_000_000, 10_000_000).map(lambda cent: Decimal(cent) / 100)
days = st.dates(date(2020, 1, 1), date(2027, 12, 31))
bills = st.lists(
    st.builds(
        trade.Bill,
        day=st.none() | days,
        net=cents,
        gross=cents,
        open=cents,
        due=st.none() | days,
        paid=st.none() | days,
    ),
    max_size=40,
)


@given(bills)
def test_months_and_years_sum_to_the_whole_turnover(some: list[trade.Bill]) -> None:
    months = trade.turnover_by_month(some)
    dated = sum((bill.net for bill in some if bill.day), Decimal(0))
    assert sum(months.values(), Decimal(0)) == dated
    assert sum(trade.by_year(months).values(), Decimal(0)) == dated


@given(bills)
def test_the_rolling_year_is_the_sum_of_its_days(some: list[trade.Bill]) -> None:
    year = trade.rolling_year(some, TODAY)
    start = date(2025, 11, 25)
    assert year.now == sum(
        (bill.net for bill in some if bill.day and start < bill.day <= TODAY), Decimal(0)
    )


@given(bills, days)
def test_buckets_sum_to_all_that_is_open_and_split_at_today(
    some: list[trade.Bill], today: date
) -> None:
    found = payment.ageing(some, today)
    assert sum(found.values(), Decimal(0)) == sum((bill.open for bill in some), Decimal(0))
    late = sum(
        (bill.open for bill in some if (day := bill.due or bill.day) and day < today), Decimal(0)
    )
    assert payment.overdue(some, today) == late


@given(st.dictionaries(st.integers(), cents, max_size=60))
def test_abc_follows_turnover_and_covers_four_fifths(turnover: dict[int, Decimal]) -> None:
    found = customers.abc(turnover)
    assert set(found) == set(turnover)
    buying = {key: amount for key, amount in turnover.items() if amount > 0}
    assert {key for key, name in found.items() if name == ""} == set(turnover) - set(buying)
    for one, first in buying.items():
        for two, second in buying.items():
            if first > second:
                assert found[one] <= found[two]
    whole = sum(buying.values(), Decimal(0))
    of_a = sum((buying[key] for key in buying if found[key] == "A"), Decimal(0))
    assert of_a >= whole * Decimal("0.8")


@given(
    st.dictionaries(
        st.integers(),
        st.builds(customers.Buying, last=days, orders=st.integers(1, 50), money=cents),
        min_size=1,
        max_size=60,
    )
)
def test_rfm_never_turns_an_order_round(some: dict[int, customers.Buying]) -> None:
    found = customers.rfm(some)
    for one, first in some.items():
        assert found[one].segment in customers.SEGMENTS
        for two, second in some.items():
            if first.last <= second.last:
                assert found[one].recency <= found[two].recency
            if first.money == second.money:
                assert found[one].money == found[two].money


@given(st.lists(days, max_size=30))
def test_whoever_keeps_the_rhythm_is_never_quiet(some: list[date]) -> None:
    found = customers.rhythm(some)
    assert found.orders == len(set(some))
    if found.last is None or found.days is None:
        assert not found.quiet(TODAY)
        return
    assert not found.quiet(found.last + timedelta(days=2 * found.days))
    assert found.quiet(found.last + timedelta(days=max(30, 2 * found.days) + 1))


def test_figures_of_an_example_reckoned_by_hand() -> None:
    line = trade.Line(net=Decimal("100.00"), ordered=Decimal(3), open=Decimal(1))
    sale = trade.Sale(day=TODAY, net=Decimal(100), state="confirmed", lines=(line,))
    assert trade.backlog(sale) == Decimal("33.33")
    some = [
        trade.Bill(day=date(2026, 1, 1), due=date(2026, 1, 15), paid=date(2026, 1, 11),
                   net=Decimal(100), gross=Decimal(100)),
        trade.Bill(day=date(2026, 2, 1), due=date(2026, 2, 15), paid=date(2026, 3, 3),
                   net=Decimal(300), gross=Decimal(300)),
    ]  # fmt: skip
    assert payment.days_to_pay(some) == Decimal("25.0")
    assert payment.days_late(some) == Decimal("11.0")
    assert payment.behaviour(some) == "late"
    quotes = [
        trade.Quote(net=Decimal(10), won=True),
        trade.Quote(net=Decimal(30), expires=date(2026, 1, 1)),
        trade.Quote(net=Decimal(5)),
    ]
    rate = trade.quote_rate(quotes, TODAY)
    assert (rate.won, rate.lost, rate.open) == (1, 1, 1)
    assert (rate.by_number, rate.by_value) == (Decimal("50.0"), Decimal("25.0"))
    assert customers.trend(trade.Compared(now=Decimal(130), before=Decimal(100))) == "growing"
    assert customers.trend(trade.Compared(now=Decimal(0), before=Decimal(100))) == "gone"
    assert trade.margin(Decimal(100), Decimal(60)) == Decimal("40.0")
    assert trade.margin(Decimal(100), None) is None
