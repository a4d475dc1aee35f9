"""An alarm for a flow that fell silent, and none for a night, a Sunday or a slow hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from koppel.insight.silence import silence

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
OFFICE = range(8, 18)


def office_weeks(weeks: int, per_hour: int = 40) -> dict[datetime, int]:
    """So many weeks of office hours with changes, from a Monday on."""
    return {
        MONDAY + timedelta(days=7 * week + day, hours=hour): per_hour
        for week in range(weeks)
        for day in range(5)
        for hour in OFFICE
    }


def test_six_silent_hours_of_a_busy_flow_are_told() -> None:
    counts = office_weeks(4)
    wednesday = MONDAY + timedelta(weeks=3, days=2)
    seen = {hour: many for hour, many in counts.items() if hour <= wednesday + timedelta(hours=9)}
    found = silence(seen, wednesday + timedelta(hours=16, minutes=10))
    assert found is not None
    assert found.hours == 6
    assert round(found.per_hour) == 40


def test_nights_and_weekends_are_no_silence() -> None:
    counts = office_weeks(3)
    friday = MONDAY + timedelta(weeks=2, days=4)
    for now in (friday + timedelta(hours=23), friday + timedelta(days=2, hours=15)):
        assert silence(counts, now) is None


def test_a_slow_flow_may_be_silent_for_hours() -> None:
    counts = office_weeks(3, per_hour=1)
    monday = MONDAY + timedelta(weeks=3)
    assert silence(counts, monday + timedelta(hours=14)) is None


def test_a_young_flow_has_no_rhythm_yet() -> None:
    counts = office_weeks(1)
    assert silence(counts, MONDAY + timedelta(days=4, hours=23)) is None
    assert silence({}, MONDAY) is None
