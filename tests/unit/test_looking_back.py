"""From which moment on Tryton is asked for changes, when clocks go back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.connectors.tryton.looking_back import start_of_pass

BERLIN, UNIVERSAL = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
OVERLAP, HOUR = timedelta(minutes=10), timedelta(hours=1)


def at(hour: int, minute: int = 0) -> datetime:
    """A moment of the night in which summer time ends."""
    return datetime(2026, 10, 25, hour, minute)


def test_a_pass_looks_back_by_the_overlap() -> None:
    assert start_of_pass(at(12), at(12, 5), OVERLAP, UNIVERSAL) == at(11, 50)
    assert start_of_pass(at(2, 59), at(3, 1), OVERLAP, UNIVERSAL) == at(2, 49)
    assert start_of_pass(at(12), None, OVERLAP, UNIVERSAL) == at(11, 50)


def test_in_the_hour_that_comes_twice_it_looks_back_by_that_hour_too() -> None:
    assert start_of_pass(at(2, 59), at(2, 40), OVERLAP, BERLIN) == at(1, 49)
    assert start_of_pass(at(2, 59), at(3, 30), OVERLAP, BERLIN) == at(1, 49)
    assert start_of_pass(at(3), at(3, 30), OVERLAP, BERLIN) == at(2, 50)


def test_the_hour_that_spring_leaves_out_changes_nothing() -> None:
    since = datetime(2026, 3, 29, 2, 30)
    assert start_of_pass(since, since + HOUR, OVERLAP, BERLIN) == since - OVERLAP


def test_a_clock_that_was_set_back_is_looked_behind_by_a_day() -> None:
    start = start_of_pass(at(12), at(11, 40), OVERLAP, UNIVERSAL)
    assert start == at(11, 30) - timedelta(days=1)


moments = st.datetimes(datetime(2026, 10, 24, 20), datetime(2026, 10, 25, 8)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(looked=moments, wrote=moments, late=st.timedeltas(timedelta(0), OVERLAP))
def test_what_is_written_after_a_pass_is_never_before_the_next_ones_start(
    looked: datetime, wrote: datetime, late: timedelta
) -> None:
    """The whole night through, also where the transaction began up to the overlap before."""
    wrote = max(looked, wrote)
    stamp = (wrote - late).astimezone(BERLIN).replace(tzinfo=None)
    since = looked.astimezone(BERLIN).replace(tzinfo=None)
    now = wrote.astimezone(BERLIN).replace(tzinfo=None)
    assert start_of_pass(since, now, OVERLAP, BERLIN) <= stamp


@pytest.mark.parametrize("step", [timedelta(minutes=6), HOUR, timedelta(days=30)])
def test_what_is_written_after_the_clock_was_set_back_is_told(step: timedelta) -> None:
    since = at(12)
    for waited in (timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=59)):
        now = since + waited - step
        if now < since:
            assert start_of_pass(since, now, OVERLAP, UNIVERSAL) <= since - step
