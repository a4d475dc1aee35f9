"""How fast a system is asked: writes an hour, calls a day, hours without writes, and what is left.

Both systems stay usable for their people while Koppel loads. Calls are counted per system and day
in the store, so that a load that is stopped and started again keeps to the same quota.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from koppel.connectors.base import ASKED, Connector, Outcome, Write
from koppel.engine.intake import Progress
from koppel.engine.lines import Lines
from koppel.errors import NeedsUser, TryLater
from koppel.store import Store

_CALLS = ASKED | {
    "check", "describe", "now", "changes", "ids", "fetch", "find", "write", "recover"
}  # fmt: skip
"""The methods of a connector that ask the system."""

AGAIN = "Start the same command again then; it goes on where it stopped"


@dataclass
class Pace:
    """How much one system is asked for; hours and days are those of the machine's time zone."""

    per_hour: int | None = None
    """Writes (records) an hour."""
    per_day: int | None = None
    """Calls a day, whatever they are for."""
    quiet: tuple[int, int] | None = None
    """From and to, in full hours: (8, 18) sends nothing from 8:00 until before 18:00."""

    def wait_until(self, now: datetime) -> datetime | None:
        """The end of the quiet hours, where `now` lies in them."""
        if self.quiet is None:
            return None
        first, last = self.quiet
        within = first <= now.hour < last if first < last else now.hour >= first or now.hour < last
        if not within:
            return None
        end = now.replace(hour=last % 24, minute=0, second=0, microsecond=0)
        return end if end > now else end + timedelta(days=1)


def quiet_hours(text: str) -> tuple[int, int] | None:
    """From "8-18"; None for an empty text."""
    if not text:
        return None
    first, dash, last = text.partition("-")
    if not dash or not first.isdigit() or not last.isdigit():
        raise NeedsUser(f"'{text}' is no span of hours", remedy="Write it as 8-18")
    hours = int(first), int(last)
    if not all(0 <= hour <= 24 for hour in hours) or hours[0] == hours[1]:
        raise NeedsUser(f"'{text}' is no span of hours", remedy="Write it as 8-18")
    return hours


def per_system(given: Sequence[str], names: Sequence[str], what: str) -> dict[str, int]:
    """Limits from "2000" (each system) and "tryton=2000" (one); `NeedsUser` for anything else."""
    found: dict[str, int] = {}
    for text in sorted(given, key=lambda one: "=" in one):
        name, equals, number = text.rpartition("=")
        if not number.isdigit() or int(number) < 1 or (equals and name not in names):
            raise NeedsUser(
                f"'{text}' is no limit for {what}",
                remedy=f"Write a number, or NAME=NUMBER with one of {', '.join(names)}",
            )
        found.update(dict.fromkeys([name] if equals else names, int(number)))
    return found


class Quota:
    """Counts the calls to one system in a day. Safe from several threads; `keep` is not."""

    def __init__(self, name: str, store: Store, clock: Callable[[], datetime]) -> None:
        self._name = name
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._day = clock().date()
        self._kept = store.calls.made(name, self._day)
        self._new = 0

    @property
    def made(self) -> int:
        """Calls of this day so far, those of earlier commands with them."""
        return self._kept + self._new

    def take(self, most: int | None) -> None:
        """One more call. Raises `TryLater` where the day has had `most`."""
        now = self._clock()
        with self._lock:
            if now.date() != self._day:
                self._day, self._kept, self._new = now.date(), 0, 0
            if most is not None and self.made >= most:
                tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(1)
                raise TryLater(
                    f"the {most:,} calls of this day are used up; more from {tomorrow:%d %b %H:%M}",
                    place=self._name,
                    after=(tomorrow - now).total_seconds(),
                    remedy=AGAIN,
                )
            self._new += 1

    def keep(self) -> None:
        """Write down what was counted since the last time; by the thread that has the store."""
        with self._lock:
            new, self._new = self._new, 0
            self._kept += new
            day = self._day
        if new:
            self._store.calls.add(self._name, day, new)


class Paced:
    """A connector that keeps to a pace: writes wait, and calls are counted against the quota."""

    def __init__(
        self,
        inner: Connector,
        pace: Pace,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        quota: Quota | None = None,
    ) -> None:
        self._inner = inner
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._quota = quota
        self._free = clock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if self._quota is None or name not in _CALLS:
            return found

        def counted(*arguments: Any, **named: Any) -> Any:
            self._count()
            return found(*arguments, **named)

        return counted

    def _count(self) -> None:
        if self._quota is not None:
            self._quota.take(self._pace.per_day)

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        """As the connector's, after a wait. Raises `TryLater` within the quiet hours."""
        now = self._clock()
        until = self._pace.wait_until(now)
        if until is not None:
            raise TryLater(
                f"quiet hours: nothing is written before {until:%H:%M}",
                after=(until - now).total_seconds(),
                remedy=AGAIN,
            )
        if self._pace.per_hour:
            if self._free > now:
                self._sleep((self._free - now).total_seconds())
            begun = max(self._free, now)
            self._free = begun + timedelta(seconds=3600 * len(batch) / self._pace.per_hour)
        self._count()
        return self._inner.write(batch)


@dataclass
class Pacing:
    """The paces of all systems of an engine, and their quotas."""

    paces: Mapping[str, Pace]
    quotas: dict[str, Quota] = field(default_factory=dict)

    def hold(
        self,
        lines: Lines,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """From now on the connectors of these lines keep to their paces."""
        for name, pace in self.paces.items():
            inner = lines.connector(name)
            quota = self.quotas[name] = Quota(name, lines.store, clock)
            paced: Any = Paced(inner, pace, clock=clock, sleep=sleep, quota=quota)
            lines.connectors[name] = paced

    def keep(self) -> None:
        """Write the counted calls down."""
        for quota in self.quotas.values():
            quota.keep()

    def left(self) -> str:
        """How many calls of the day are left, in words; empty where no quota is set."""
        words = [
            f"{max(0, pace.per_day - self.quotas[name].made):,} calls of {name} left today"
            for name, pace in self.paces.items()
            if pace.per_day is not None and name in self.quotas
        ]
        return ", ".join(words)


@dataclass
class Remaining:
    """A progress that tells how far the load is, how long it will take and what calls are left."""

    tell: Progress
    total: int
    pacing: Pacing | None = None
    timer: Callable[[], float] = time.monotonic
    done: int = 0
    _begun: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._begun = self.timer()

    def __call__(self, what: str, many: int) -> None:
        if self.pacing is not None:
            self.pacing.keep()
        if not what.startswith("writing"):
            self.tell(what, many)
            return
        self.done += many
        # Children that a parent released come on top of what was planned at first.
        total = max(self.total, self.done)
        spent = self.timer() - self._begun
        left = spent / max(1, self.done) * (total - self.done)
        minutes, seconds = divmod(round(left), 60)
        shown = f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
        calls = self.pacing.left() if self.pacing is not None else ""
        words = f"{what}: {self.done:,} of {total:,}, about {shown} left"
        self.tell(f"{words}; {calls}" if calls else words, self.done)
