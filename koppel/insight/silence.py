"""Is a flow of changes silent that normally is not? A flow is one entity from one side.

The rhythm is taken from the same hours of the week before: a night or a Sunday without changes is
no alarm where there never are any. Pure: the counts come from the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

WEEKS = 4
"""Weeks of rhythm that are looked at."""
LEAST_HOURS = 2
"""A silence shorter than this is none."""
EXPECTED = 12.0
"""So many changes must be missing. By chance alone (Poisson) that happens once in 160,000 times."""


class Silence(Struct, frozen=True, kw_only=True):
    """Nothing for `hours` hours, where `per_hour` changes an hour are normal at these times."""

    hours: int
    per_hour: float
    missing: float


def silence(counts: Mapping[datetime, int], now: datetime) -> Silence | None:
    """None where nothing is unusual. `counts`: full hour (UTC) -> changes, of the last weeks.

    Only full hours count; the rhythm must be known for at least two weeks.
    """
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    seen = [hour for hour, many in counts.items() if many]
    if not seen or min(seen) > this_hour - timedelta(weeks=2):
        return None
    last = max(seen)
    hours = int((this_hour - last) / timedelta(hours=1)) - 1
    if hours < LEAST_HOURS:
        return None
    missing = sum(_usual(counts, last + timedelta(hours=one)) for one in range(1, hours + 1))
    if missing < EXPECTED:
        return None
    return Silence(hours=hours, per_hour=missing / hours, missing=missing)


def _usual(counts: Mapping[datetime, int], hour: datetime) -> float:
    """The mean of the same hour of the week in the weeks before."""
    begun = min(counts)
    before = [hour - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
    known = [counts.get(one, 0) for one in before if one >= begun]
    return sum(known) / len(known) if known else 0.0
