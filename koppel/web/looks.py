"""Looks at lists, for the audit log: who, which page, how many records it showed.

The first look of a person at a page is written at once. What the same person looks at there within
the following minute, letter by letter of a search or page by page, is counted and becomes one more
line when the minute is over: a line for each letter would bury the log, and how much somebody saw
is told by the sums as well. What was typed to find somebody is in no line, nor is a digest of it:
whoever has the key could guess a name from one. Whom the person then opened is a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from koppel.store.auditlog import AuditLog

MINUTE = timedelta(minutes=1)
ACTION = "list"


@dataclass
class _Counted:
    """What followed a first look."""

    since: datetime
    last: datetime
    looks: int = 0
    records: int = 0
    searched: bool = False


class Looks:
    """The looks of one serving process."""

    def __init__(self, log: AuditLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock
        self._open: dict[tuple[str, str], _Counted] = {}
        self._lock = Lock()

    def add(self, user: str, page: str, records: int, *, searched: bool = False) -> None:
        """Somebody was shown so many records at an address."""
        self.settle()
        now = self._clock()
        with self._lock:
            known = self._open.get((user, page))
            if known is not None:
                known.looks += 1
                known.records += records
                known.last = now
                known.searched = known.searched or searched
                return
            self._open[user, page] = _Counted(now, now)
        self._write(user, page, searched, records=records)

    def settle(self, *, everything: bool = False) -> None:
        """Write the lines of the minutes that are over; with `everything` those under way too."""
        now = self._clock()
        with self._lock:
            over = {
                key: one
                for key, one in self._open.items()
                if everything or now - one.since >= MINUTE
            }
            for key in over:
                del self._open[key]
        try:
            while over:
                (user, page), one = next(iter(over.items()))
                if one.looks:
                    told = {"looks": one.looks, "records": one.records}
                    between = {"since": one.since.isoformat(), "until": one.last.isoformat()}
                    self._write(user, page, one.searched, **told, **between)
                del over[user, page]
        finally:
            # What could not be written, since the store is away, is written later.
            with self._lock:
                for key, left in over.items():
                    self._open.setdefault(key, left)

    def _write(self, user: str, page: str, searched: bool, **detail: object) -> None:
        self._log.write(user, ACTION, page, **detail, **({"searched": True} if searched else {}))
