"""From which moment on a pass looks for changes, by a clock that people and summer time set back.

Time stamps are those of the database's clock, naive and in its own zone. What was written after the
clock was set back has a stamp before the cursor, and would never be told.

* In the hour that comes twice in autumn a pass looks back by that hour more.
* Where the clock stands before the cursor, somebody has set it back: the pass looks back by a day
  more. Where nobody looked for longer than the clock was set back, and that was longer than the
  overlap, nothing shows it, and what it hides is left to the sweep.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


def twice(moment: datetime, zone: ZoneInfo) -> timedelta:
    """How long the clock of the zone goes back in the hour in which this naive moment lies."""
    first = moment.replace(tzinfo=zone, fold=0).utcoffset()
    second = moment.replace(tzinfo=zone, fold=1).utcoffset()
    # The other way round in the hour in spring that does not exist.
    return max(timedelta(0), (first or timedelta(0)) - (second or timedelta(0)))


def start_of_pass(
    since: datetime, now: datetime | None, overlap: timedelta, zone: ZoneInfo
) -> datetime:
    """The moment from which on stamps are of interest. `now` is the database's clock, if known."""
    latest = since - twice(since, zone)
    if now is not None and now < latest:
        return now - overlap - DAY
    return latest - overlap
