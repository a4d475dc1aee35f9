"""When each connection is looked at for changes, and whether it is quiet now.

It is quiet in the quiet hours of a system, and while the introduction is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from koppel.engine.schedules import connections_of, live
from koppel.errors import NeedsUser
from koppel.mapping.schedule import Schedules, quiet_until
from koppel.store import Store

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

LOOK = timedelta(seconds=20)
"""At least that often the schedules are looked at, for a person may have changed them."""


class Polling:
    """Keeps the next poll of each connection; `usual`: seconds between two where none are set.

    What could not be done in quiet hours is made up by a look at every connection when they end.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], usual: float) -> None:
        self._store = store
        self._clock = clock
        self._usual = usual
        self._newest = -1
        self._schedules = Schedules()
        self._names: list[str] = []
        self._next: dict[str, datetime] = {}
        self._missed = False
        self.trouble = ""
        self.introduction = False
        """Is the guided introduction under way, so that nothing may run by itself?"""

    def follow(self) -> None:
        """Read the schedules again where somebody has changed a document since."""
        newest = self._store.documents.newest()
        if newest == self._newest:
            return
        self._newest = newest
        self._names = connections_of(self._store)
        try:
            self._schedules, self.trouble = live(self._store), ""
        except NeedsUser as error:
            self.trouble = str(error)
        now = self._clock()
        for name in self._names:
            seconds = self._interval(name)
            if seconds is None:
                # Whatever was before Koppel began to serve is looked for once all the same.
                self._next.setdefault(name, now)
                continue
            soonest = now + timedelta(seconds=seconds)
            self._next[name] = min(self._next.get(name, now), soonest)
        self._next = {name: at for name, at in self._next.items() if name in self._names}

    def _interval(self, name: str) -> float | None:
        """Seconds between two looks; None: only hints and jobs."""
        return self._schedules.poll.get(name, self._usual) or None

    def quiet(self) -> bool:
        """Is nothing to be written by itself now? What is asked for meanwhile is missed."""
        self.introduction = self._store.guide.under_way()
        quiet = quiet_until(self._schedules, self._names, self._clock()) is not None
        if quiet or self.introduction:
            self._missed = True
        return quiet or self.introduction

    def due(self) -> list[str]:
        """The connections to look at now; none in quiet hours."""
        if self.quiet():
            return []
        if self._missed:
            self._missed = False
            return list(self._names)
        now = self._clock()
        return [name for name in self._names if self._next.get(name, now) <= now]

    def looked(self, names: Sequence[str], *, again: float | None = None) -> None:
        """These were looked at; `again`: seconds until the next try, where that went wrong."""
        now = self._clock()
        for name in names:
            seconds = self._interval(name) if again is None else again
            # None: until a person sets an interval, or quiet hours end.
            self._next[name] = now + timedelta(seconds=seconds) if seconds else _NEVER

    def until(self) -> datetime:
        """When to look again at what is due."""
        soonest = [] if self._missed else list(self._next.values())
        return min([self._clock() + LOOK, *soonest])
