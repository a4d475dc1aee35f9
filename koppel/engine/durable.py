"""Durable processes: named steps, each done once, that go on where they stopped.

A step's intent is committed before its work begins and its result after it ended, so a process
that is killed at any instant goes on with the step at which it was: a step that was done is not
done again, one that was under way is. Its work must therefore look before it acts.

The disk is waited for where it counts: the intent of a step that sends something is on it before
the step begins, and everything is when the process stops. A power cut in between takes a process
back to a step that sent nothing, or to one that looks before it acts.

What stops a process decides how it goes on: `TryLater` waits and is tried again by itself, `Held`
and `NeedsUser` wait for a person, a `Defect` ends it. A kill leaves it `running`, due at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from django.db import transaction

from koppel.engine.executor import Boundary, no_boundary
from koppel.errors import Defect, KoppelError, NeedsUser, TryLater
from koppel.store import Store
from koppel.store.durability import asynchronous_commits, synchronous_commit
from koppel.store.order_models import Process

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_WAIT = 5.0
LONGEST_WAIT = 300.0
"""Seconds before a process that waits for a system is tried again: doubled up to this."""


class Held(KoppelError):
    """The process waits for a person. `details` are further sentences, line by line."""

    def __init__(
        self, message: str, *, place: str = "", remedy: str = "", details: Sequence[str] = ()
    ) -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.details = tuple(details)


class Ended(KoppelError):
    """The process is over before its last step, and rightly so: cancelled, or nothing to do."""


class Overtaken(KoppelError):
    """Another worker took the process over while this one was silent: it is left as it is."""


class Steps:
    """A running process as its work sees it."""

    def __init__(self, store: Store, row: Process, boundary: Boundary) -> None:
        self._store = store
        self._boundary = boundary
        self.row = row
        self._memo = store.processes.memo(row)

    def do(self, name: str, work: Callable[[], T], *, sends: bool = True) -> T:
        """The result of a step: remembered if it was done before, else by doing it now.

        A result is a plain value as the store keeps it (texts, numbers, dates, lists, dicts).
        `sends`: the step writes into a system; one that does so only sometimes calls `firm` first.
        """
        if name in self._memo:
            found: T = self._memo[name]
            return found
        lease = f"process-{self.row.id}"
        with synchronous_commit() if sends else nullcontext(), transaction.atomic():
            self._still_here(self._store.lease.take(lease))
            self._store.processes.save(self.row, step=name, state="running", why="", remedy="")
        self._boundary(f"before {name}")
        result = work()
        self._boundary(f"after {name}")
        self._memo[name] = result
        with transaction.atomic():
            # Whoever was silent for too long meanwhile leaves the rest to who took over.
            self._store.lease.hold(lease)
            self._store.processes.remember(self.row, self._memo)
        self._boundary(f"remembered {name}")
        return result

    def _still_here(self, ours: bool) -> None:
        """Who was silent for too long does not begin a step: others ended it, or are at it."""
        state = self._store.processes.get(self.row.id).state
        if not ours or state not in ("running", "waiting"):
            raise Overtaken(f"another worker has taken the process over, which is {state} now")

    def firm(self) -> None:
        """Wait until the intent of this step is on the disk: it is about to write after all."""
        with synchronous_commit():
            self._store.processes.save(self.row, step=self.row.step)

    def done(self, name: str) -> bool:
        """Was this step done already?"""
        return name in self._memo

    def forget(self, *names: str) -> None:
        """Do these steps again: what they found no longer holds."""
        for name in names:
            self._memo.pop(name, None)
        self._store.processes.remember(self.row, self._memo)

    def note(self, name: str, value: Any) -> None:
        """Remember a value that is no step of its own."""
        self._memo[name] = value
        self._store.processes.remember(self.row, self._memo)

    def noted(self, name: str) -> Any:
        """A value of `note`, or None."""
        return self._memo.get(name)

    def log(self, text: str) -> None:
        """A sentence for the process's log, and with its trace for Koppel's own."""
        logger.info("%s %s (trace %s): %s", self.row.kind, self.row.subject, self.row.trace, text)
        self._store.processes.log(self.row, text)


class Program:
    """What the threads of one program share: one lock for each process."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def lock_of(self, id: str) -> threading.Lock:
        """The lock of a process; the same for ever."""
        with self._guard:
            return self._locks.setdefault(id, threading.Lock())

    @classmethod
    @cache
    def this(cls) -> Program:
        """The program that runs here."""
        return cls()


class Durable:
    """Runs processes: at most one thread of one program works on each."""

    def __init__(
        self, store: Store, *, boundary: Boundary = no_boundary, program: Program | None = None
    ) -> None:
        self._store = store
        self._program = program or Program.this()
        self._boundary = boundary

    def run(self, id: str, work: Callable[[Steps], None]) -> Process:
        """Go on with a process until it ends or waits; where another is at it, leave it alone."""
        lock = self._program.lock_of(id)
        lease = f"process-{id}"
        with lock:
            row = self._store.processes.get(id)
            if row.state not in ("running", "waiting") or not self._store.lease.take(lease):
                return row
            try:
                with asynchronous_commits():
                    self._work(row, work)
            finally:
                self._store.lease.give_back(lease)
        return row

    def _work(self, row: Process, work: Callable[[Steps], None]) -> None:
        processes = self._store.processes
        processes.save(row, attempts=row.attempts + 1, state="running")
        try:
            work(Steps(self._store, row, self._boundary))
        except Overtaken as error:
            logger.info("%s %s: %s", row.kind, row.subject, error)
            row.refresh_from_db()
        except TryLater as error:
            wait = error.after or min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(row.attempts - 1, 6))
            self._stop(row, "waiting", error, next_at=self._store.clock() + timedelta(seconds=wait))
        except Ended as error:
            self._stop(row, "cancelled", error, ended_at=self._store.clock(), next_at=None)
        except (Held, NeedsUser) as error:
            details = list(error.details) if isinstance(error, Held) else []
            self._stop(row, "held", error, details=details, next_at=None)
        except (Defect, KoppelError) as error:
            self._stop(row, "failed", error, ended_at=self._store.clock(), next_at=None)
        else:
            processes.save(
                row, state="done", why="", remedy="", details=[], next_at=None,
                ended_at=self._store.clock(),
            )  # fmt: skip

    def _stop(self, row: Process, state: str, error: KoppelError, **values: Any) -> None:
        why = f"{error.place}: {error.message}" if error.place else error.message
        self._store.processes.save(row, state=state, why=why, remedy=error.remedy, **values)
        self._store.processes.log(row, f"{state}: {why}")


__all__ = ["Durable", "Ended", "Held", "Steps"]
