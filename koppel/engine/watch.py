"""The watch: brings changes across while Koppel serves, by hints, by polling and at a press.

One thread does all the writing. Hints for one record coalesce; a pressed button goes before hints,
and hints before polling. A system that is away is asked again later, and nobody is held up. How
often each system is looked at, and when it is left in peace, is a schedule; a press never waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from django.db import DatabaseError

from koppel.engine.ahead import Given, ReadAhead
from koppel.engine.errand import Errand, Errands
from koppel.engine.hints import Hint, Hints, selection_of
from koppel.engine.polling import Polling
from koppel.engine.runner import Engine
from koppel.errors import Defect, KoppelError, TryLater
from koppel.store import Store
from koppel.store.away import away
from koppel.store.models import Run
from koppel.sync.rule import Side

logger = logging.getLogger(__name__)

INTRODUCTION = (
    "The introduction is under way: nothing runs by itself before its load is done. koppel guide"
)


@dataclass
class Press:
    """Somebody wants one record in step now, and waits for the answer."""

    entity: str
    side: Side
    record: str
    user: str
    done: threading.Event = field(default_factory=threading.Event)
    run: Run | None = None
    error: KoppelError | None = None


@dataclass
class Pace:
    """How often things happen, in seconds."""

    poll: float = 5.0
    sweep: float = 600.0
    gather: float = 0.02
    """How long the hints of one save are waited for, from the first of them. Those that come
    during a run wait for its end, and then no longer."""
    away: float = 15.0


class Watching(Protocol):
    """What the pages ask of whoever watches, in this process or by workers."""

    errands: Errands

    def hint(self, entity: str, side: Side, record: str) -> None:
        """A record may have changed."""

    def press(
        self, entity: str, side: Side, record: str, *, user: str, timeout: float = 25.0
    ) -> Press:
        """Synchronise one record now; waits at most `timeout` seconds for the result."""

    def errand(self, errand: Errand) -> Errand:
        """Do something a person asked for as soon as possible; returns at once."""

    @property
    def last_error(self) -> str:
        """What troubles it; empty where nothing does."""

    @property
    def last_poll(self) -> datetime | None:
        """When it looked last."""


class Watch:
    """The thread. `engine` is made inside it, for a database connection belongs to its thread."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        clock: Callable[[], datetime],
        pace: Pace | None = None,
    ) -> None:
        self._make_engine = make_engine
        self._clock = clock
        self.pace = pace or Pace()
        self._hints = Hints()
        self._presses: list[Press] = []
        self.errands = Errands()
        self._there = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="koppel-watch", daemon=True)
        self.last_error: str = ""
        self.last_poll: datetime | None = None
        self._next_sweep = clock()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finish what is being done, then stop. `timeout` in seconds."""
        with self._there:
            self._stopping = True
            self._there.notify_all()
        self._thread.join(timeout)

    def hint(self, entity: str, side: Side, record: str) -> None:
        """A record may have changed."""
        with self._there:
            self._hints.add((entity, side, record))
            self._there.notify_all()

    def press(
        self, entity: str, side: Side, record: str, *, user: str, timeout: float = 25.0
    ) -> Press:
        """Synchronise one record now; waits at most `timeout` seconds for the result."""
        press = Press(entity=entity, side=side, record=record, user=user)
        with self._there:
            self._presses.append(press)
            self._there.notify_all()
        press.done.wait(timeout)
        return press

    def errand(self, errand: Errand) -> Errand:
        """Do something a person asked for as soon as possible; returns at once."""
        with self._there:
            self.errands.add(errand)
            self._there.notify_all()
        return errand

    def _run(self) -> None:
        engine = self._make_engine()
        polling = Polling(engine.store, self._clock, self.pace.poll)
        self._next_sweep = self._clock() + timedelta(seconds=self.pace.sweep)
        try:
            while not self._stopping:
                try:
                    self._turn(engine, polling)
                except DatabaseError as error:
                    self._no_store(error)
        finally:
            for press in self._presses:
                press.done.set()
            engine.close()
            engine.store.close()

    def _turn(self, engine: Engine, polling: Polling) -> None:
        """Wait until there is something to do, and do it."""
        polling.follow()
        presses, hints, given = self._wait(polling.until())
        if self._stopping:
            return
        for press in presses:
            self._press(engine, press)
        for errand in self.errands.take():
            errand.run(engine)
        if hints and not polling.quiet():
            self._guarded(engine, partial(self._hinted, engine, hints, given))
        due = polling.due()
        if polling.introduction:
            self.last_error = INTRODUCTION
        elif self.last_error == INTRODUCTION:
            self.last_error = ""
        if due:
            self._look(engine, polling, due)

    def _look(self, engine: Engine, polling: Polling, due: list[str]) -> None:
        sweep = self._clock() >= self._next_sweep
        if sweep:
            engine.lines.refresh()
        fine = self._guarded(
            engine, partial(engine.sync, trigger="poll", sweep=sweep, connections=due)
        )
        self.last_poll = self._clock()
        polling.looked(due, again=None if fine else self.pace.away)
        if sweep and fine:
            self._next_sweep = self._clock() + timedelta(seconds=self.pace.sweep)

    def _no_store(self, error: DatabaseError) -> None:
        """The store is away: told, and looked for again after a while, over a new connection."""
        self.last_error = away(error).message
        logger.error("%s", self.last_error)
        with self._there:
            if not self._stopping:
                self._there.wait(self.pace.away)

    def _wait(self, until: datetime) -> tuple[list[Press], list[Hint], Given]:
        """Until there is something to do; a short while longer if hints come in."""
        with self._there:
            while not (self._stopping or self._presses or self._hints or self.errands):
                left = (until - self._clock()).total_seconds()
                if left <= 0:
                    break
                self._there.wait(left)
            end = self._hints.since + self.pace.gather
            while (
                self._hints
                and not self._hints.ready
                and not (self._presses or self.errands or self._stopping)
                and (left := end - time.monotonic()) > 0
            ):
                self._there.wait(left)
            presses, self._presses = self._presses, []
            return presses, *self._hints.take()

    def _press(self, engine: Engine, press: Press) -> None:
        try:
            press.run = engine.sync(
                selection={press.entity: {press.side: [press.record]}},
                trigger="button",
                user=press.user,
            )
        except KoppelError as error:
            press.error = error
        except DatabaseError as error:
            press.error = away(error)
            raise
        except Exception as error:
            # A defect in what one person asked for must not end the watch; it is told to them.
            logger.exception("a defect stopped a press")
            press.error = Defect(f"a defect stopped it: {error}")
        finally:
            press.done.set()

    def _hinted(self, engine: Engine, hints: list[Hint], given: Given) -> None:
        selection = selection_of(hints)
        ahead = ReadAhead(engine.store, self._following)
        engine.sync(selection=selection, trigger="hint", sweep=False, given=given, ahead=ahead)
        with self._there:
            self._hints.found(ahead.found())

    def _following(self, entity: str, side: Side, most: int) -> Sequence[str]:
        with self._there:
            return self._hints.following(entity, side, most)

    def _guarded(self, engine: Engine, work: Callable[[], Any]) -> bool:
        """Do it unless a held plan waits for a person; note trouble, and go on."""
        if held(engine.store) is not None:
            self.last_error = "a plan is held and waits for a person"
            return True
        try:
            work()
        except TryLater as error:
            self.last_error = str(error)
            logger.warning("a system is away: %s", error)
            return False
        except KoppelError as error:
            self.last_error = str(error)
            logger.error("a run stopped: %s", error)
            engine.lines.refresh()
            return False
        except DatabaseError:
            raise
        except Exception as error:
            # A defect in one run must not end the watch unseen: it is told, and tried again later.
            self.last_error = f"a defect stopped the last run: {error}"
            logger.exception("a defect stopped the run")
            return False
        self.last_error = ""
        return True


def held(store: Store) -> Run | None:
    """The plan that waits for a person, where there is one."""
    return store.runs.held()
