"""Reading ahead: what the next run will look at is read while this one still writes.

A run for a few hints spends its time on two calls, one that reads in one system and one that writes
to the other. While the other one writes, the first is idle, and hints go on coming in.

What was read ahead is used only where the coupling's base on that side is the one that it was
before reading began: else a run in between has moved it, and the record is read again.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple

from koppel.connectors.base import Gone, Record
from koppel.engine.lines import Line
from koppel.errors import KoppelError
from koppel.store import Store
from koppel.sync.rule import SIDES, Side

logger = logging.getLogger(__name__)

Next = Callable[[str, Side, int], Sequence[str]]
"""Entity, side, how many at most -> the records of them that the next run will be about."""


class Early(NamedTuple):
    """A record that was read ahead, and its coupling's base version before that."""

    record: Record
    base: str


Given = Mapping[tuple[str, Side, str], Early]
"""(Entity, side, record) -> what was read ahead."""


class ReadAhead:
    """One run's reading for the next. `following` tells what that will be about."""

    def __init__(self, store: Store, following: Next) -> None:
        self._store = store
        self._following = following
        self._coming: list[tuple[str, Side, dict[str, str], Future[dict[str, Record | Gone]]]] = []
        self._found: dict[tuple[str, Side, str], Early] = {}

    def begin(self, callers: Mapping[Side, Executor], line: Line, busy: Sequence[Side]) -> None:
        """Have the systems that are not busy read what the next run wants of them.

        `finish` must come before anybody else calls them again.
        """
        for side in SIDES:
            lane = line.lanes[side]
            if side in busy:
                continue
            most = max(1, lane.capabilities.max_fetch)
            wanted = self._following(line.entity, side, most)
            known = self._store.couplings.versions(line.entity, side, wanted)
            bases = {record: version for record, (_, version, _) in known.items() if version}
            if bases:
                # With the trace and the subject of log lines, which belong to a thread otherwise.
                reading = callers[side].submit(
                    contextvars.copy_context().run, lane.fetch, list(bases)
                )
                self._coming.append((line.entity, side, bases, reading))

    def finish(self) -> None:
        """Wait for what is being read. Where that failed, the next run reads, and tells why."""
        for entity, side, bases, coming in self._coming:
            try:
                found = coming.result()
            except KoppelError as error:
                logger.info("nothing was read ahead: %s", error)
                continue
            for id, record in found.items():
                if isinstance(record, Record):
                    self._found[entity, side, id] = Early(record, bases[id])
        self._coming = []

    def found(self) -> Given:
        """What was read."""
        self.finish()
        return self._found


def still(given: Given, entity: str, side: Side, record: str, base: str) -> Record | None:
    """What was read ahead of a record, if its base is the same as it was then."""
    early = given.get((entity, side, record))
    return early.record if early is not None and early.base == base else None
