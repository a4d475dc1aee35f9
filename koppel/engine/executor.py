"""Stops six to eight: write with the intent journalled first, read back, settle.

Everything that a page of steps produced is settled in one transaction: outcomes, bases, inbox. A
base moves only if all writes of its step were read back; so a crash, a refusal or a lost answer
leaves the old base, and the next run finds the same work again.

While a system works on one page, the page before is settled and the page after is prepared,
journalled and laid ready for its sender; what is sent is journalled first all the same, pages are
sent and settled in their order, and none is sent after one that did not get through.
"""

from __future__ import annotations

import contextvars
import hashlib
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import NoReturn

from django.db import transaction

from koppel.connectors.base import (
    Act,
    Create,
    Delete,
    Gone,
    Outcome,
    Record,
    Unknown,
    Update,
    Write,
    Written,
)
from koppel.engine import seen
from koppel.engine.ahead import ReadAhead
from koppel.engine.intake import Progress
from koppel.engine.lines import Lane, Line
from koppel.engine.links import Links
from koppel.engine.recovered import as_written, perhaps_replaced
from koppel.engine.settle import Failure, Settler
from koppel.errors import Defect, TryLater
from koppel.mapping.faults import BadValue, Unresolved
from koppel.store import Store
from koppel.store.codec import decode_record, decode_write
from koppel.store.durability import synchronous_commit
from koppel.store.models import Journal, Run
from koppel.store.values import PlannedStep
from koppel.sync.rule import SIDES, Side, other
from koppel.sync.state import FieldNotice

PAGE = 400
"""At most that many steps are settled together."""
FLYING = 2
"""Pages that are on their way at once: the next one waits with its sender while Koppel is busy."""
READ = 50
"""Steps that are taken from the store at once: less than a page, for a system waits meanwhile."""
WRITES = 60
"""At least that many writes to a system that takes them one by one make a page."""

_KEPT = 2000
"""Records that are kept for the next pass; the others are read again."""

Boundary = Callable[[str], None]
"""Called at each boundary of a run (before and after each effect), so that tests can stop there."""


Pool = Callable[[int], futures.Executor]
"""Gives so many threads; a simulation gives turns in one thread instead."""


def no_boundary(name: str) -> None:
    """Nothing to do at a boundary."""


@dataclass
class _Page:
    """The writes of one page of steps, per side, and what came of them."""

    steps: Sequence[PlannedStep]
    line: Line
    writes: dict[Side, list[tuple[PlannedStep, Write]]] = field(
        default_factory=lambda: {"crm": [], "erp": []}
    )
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    replaced: defaultdict[int, list[FieldNotice]] = field(default_factory=lambda: defaultdict(list))
    """Step -> what its writes may have replaced, though nothing proves that they were done."""
    away: TryLater | None = None
    broken: bool = False
    """Something went wrong on the way: what was journalled after it is not sent."""
    sending: list[Future[None]] = field(default_factory=list)


class Executor:
    """Carries the steps of a run out, entity by entity.

    `alive` is called before each batch is sent, `guard` inside each transaction: both raise where
    another one may be at work on the same couplings by now (`koppel.engine.writing`).
    """

    def __init__(
        self,
        store: Store,
        run: Run,
        lines: Mapping[str, Line],
        *,
        progress: Progress,
        boundary: Boundary = no_boundary,
        alive: Callable[[], None] = lambda: None,
        guard: Callable[[], None] = lambda: None,
        pool: Pool = ThreadPoolExecutor,
        ahead: ReadAhead | None = None,
    ) -> None:
        self._store = store
        self._ahead = ahead
        self._run = run
        self._lines = lines
        self._pool = pool
        self._progress = progress
        self._boundary = boundary
        self._alive = alive
        self._guard = guard
        self._callers: dict[Side, futures.Executor] = {}
        self._over = False
        self.writes = 0
        self.owing: dict[tuple[str, Side, str], Record] = {}
        """Some of the records that the next pass looks at, as they were just read back."""

    def apply(self) -> None:
        """All planned steps of the run; raises `TryLater` where a system went away meanwhile."""
        # Leaving waits for what is on its way: no write may come after the run was closed.
        with self._pool(1) as crm, self._pool(1) as erp:
            self._callers = {"crm": crm, "erp": erp}
            flying: deque[_Page] = deque()
            try:
                for steps, line in self._pages():
                    if flying and _depends(line, flying[-1].line):
                        self._land(flying)
                    page = self._prepare(steps, line)
                    self._journal(page)
                    self._launch(page, flying)
                self._land(flying)
            except BaseException:
                self._over = True
                raise
            if self._ahead:
                self._ahead.finish()

    def _pages(self) -> Iterator[tuple[list[PlannedStep], Line]]:
        """Steps of one entity each, as many as fill whole batches of the systems they go to."""
        steps: list[PlannedStep] = []
        left: dict[Side, int] = {}
        pages = self._store.runs.steps(self._run, state="planned", page=READ)
        for step in chain.from_iterable(pages):
            busy = [s for s in SIDES if s in step.body.writes or s in step.body.native]
            if steps and (
                step.entity != steps[0].entity
                or len(steps) >= PAGE
                or any(not left[side] for side in busy)
            ):
                yield steps, self._lines[steps[0].entity]
                steps = []
            if not steps:
                left = {side: _whole(lane) for side, lane in self._lines[step.entity].lanes.items()}
            steps.append(step)
            for side in busy:
                left[side] -= 1
        if steps:
            yield steps, self._lines[steps[0].entity]

    def _journal(self, page: _Page) -> None:
        if page.writes["crm"] or page.writes["erp"]:
            with synchronous_commit(), transaction.atomic():
                self._guard()
                for side in SIDES:
                    self._store.journal.intend(self._run, side, page.writes[side])
            self._boundary("intents journalled")

    def _launch(self, page: _Page, flying: deque[_Page]) -> None:
        """Send a page, once few enough others are on their way, and settle what came back."""
        back = None
        # What is read ahead is read where nothing is written: one page at a time.
        if len(flying) >= (1 if self._ahead else FLYING):
            back = flying.popleft()
            self._answers(back)
            if back.away:
                self._give_up(back, [*flying, page], back.away)
        self._send(page, flying[-1] if flying else None)
        flying.append(page)
        if back:
            self._settle(back)

    def _send(self, page: _Page, before: _Page | None) -> None:
        """Both sides at the same time: they are two systems, and each has one caller."""
        if self._ahead:
            self._ahead.finish()
        page.sending = [
            # With the trace and the subject of log lines, which belong to a thread otherwise.
            self._callers[side].submit(
                contextvars.copy_context().run, self._send_side, page, side, before
            )
            for side in SIDES
            if page.writes[side]
        ]
        if self._ahead and page.sending:
            self._ahead.begin(self._callers, page.line, [s for s in SIDES if page.writes[s]])

    def _land(self, flying: deque[_Page]) -> None:
        """Wait for all answers and settle the pages; raises `TryLater` where a system went away."""
        while flying:
            page = flying.popleft()
            self._answers(page)
            if page.away:
                self._give_up(page, flying, page.away)
            self._settle(page)

    def _give_up(self, page: _Page, behind: Iterable[_Page], away: TryLater) -> NoReturn:
        """Settle a page of which a system went away, and those behind it, sent or only journalled.

        What was journalled and never sent is settled as what did not happen.
        """
        self._settle(page)
        for one in behind:
            self._answers(one)
            self._settle(one)
        raise away

    def _answers(self, page: _Page) -> None:
        for future in page.sending:
            future.result()
        if page.sending:
            self._boundary("answers received")

    def _settle(self, page: _Page) -> None:
        settler = Settler(self._store, self._run, page.line)
        with transaction.atomic():
            self._guard()
            settler.settle(page.steps, page.writes, page.outcomes, page.failures, page.replaced)
        if len(self.owing) < _KEPT:
            self.owing |= {(page.line.entity, *key): found for key, found in settler.owing.items()}
        written = sum(isinstance(out, Written) for out in page.outcomes.values())
        self.writes += written
        seen.writes.inc(written)
        self._boundary("page settled")
        self._progress(f"writing {page.line.entity}", len(page.steps))

    def _prepare(self, steps: Sequence[PlannedStep], line: Line) -> _Page:
        page = _Page(steps, line)
        links = Links(self._store)
        for step in steps:
            try:
                for side in SIDES:
                    if side in step.body.writes or side in step.body.native:
                        write = self._write(step, line.lanes[side], links)
                        page.writes[side].append((step, write))
            except (Unresolved, BadValue) as error:
                page.failures[step.number] = Failure.of(error)
                for side in SIDES:
                    page.writes[side] = [p for p in page.writes[side] if p[0] is not step]
        return page

    def _write(self, step: PlannedStep, lane: Lane, links: Links) -> Write:
        record = step.record(lane.side)
        seen = step.body.seen(lane.side)
        # With the moment: a store that was put back from a backup gives runs' numbers out again.
        begun = int(self._run.started_at.timestamp() * 1000)
        key = f"{step.coupling}-{self._run.id}-{begun:x}-{step.number}-{lane.side}"
        expected = seen.version if isinstance(seen, Record) else None
        native = step.body.native.get(lane.side)
        if native is not None and record is not None:
            if native.op == "delete":
                return Delete(resource=lane.resource, key=key, id=record, expected=expected)
            if native.op == "restore":
                return Act(resource=lane.resource, key=key, id=record, action="restore")
            fields = dict(native.fields)
        elif record is None:
            fields = lane.mapper.put(step.body.writes[lane.side], None, links.locate(lane.side))
            # In place of one that is gone: not the same as that one, if it was made here, too.
            lost = seen.id if isinstance(seen, Gone) else ""
            again = f"-{hashlib.sha256(lost.encode()).hexdigest()[:12]}" if lost else ""
            key = f"{step.coupling}-new{again}"
            return Create(resource=lane.resource, key=key, fields=fields)
        elif step.kind == "delete":
            return Delete(resource=lane.resource, key=key, id=record, expected=expected)
        else:
            current = seen if isinstance(seen, Record) else None
            fields = lane.mapper.put(step.body.writes[lane.side], current, links.locate(lane.side))
        return Update(resource=lane.resource, key=key, id=record, expected=expected, fields=fields)

    def _send_side(self, page: _Page, side: Side, before: _Page | None) -> None:
        """All batches of a page to one side, unless the page before it did not get through."""
        if self._over or (before is not None and before.broken):
            page.broken = True
            return
        lane = page.line.lanes[side]
        try:
            self._batches(page, lane)
            self._lost(page, lane)
        except BaseException:
            page.broken = True
            raise
        page.broken |= page.away is not None

    def _batches(self, page: _Page, lane: Lane) -> None:
        planned = page.writes[lane.side]
        size = max(1, lane.capabilities.max_write)
        for start in range(0, len(planned), size):
            part = [write for _, write in planned[start : start + size]]
            steps = " ".join(step.coupling for step, _ in planned[start : start + size])
            try:
                self._alive()
                with seen.span("send", side=lane.side, entity=page.line.entity, couplings=steps):
                    outcomes = lane.connector.write(part)
            except TryLater as error:
                page.away = error
                return
            if len(outcomes) != len(part):
                raise Defect(
                    f"{len(part)} writes gave {len(outcomes)} outcomes",
                    place=f"{lane.name}, {lane.resource}",
                )
            page.outcomes.update(
                {write.key: out for write, out in zip(part, outcomes, strict=True)}
            )
            self._boundary(f"written to {lane.side}")

    def _lost(self, page: _Page, lane: Lane) -> None:
        """Answers that were lost: ask what became of the writes."""
        for step, write in page.writes[lane.side]:
            if isinstance(page.outcomes.get(write.key), Unknown):
                try:
                    recovered = lane.connector.recover(write)
                    if recovered is None:
                        found = perhaps_replaced(lane, step, write)
                        # At once, for the other side's sender may be about the same step.
                        page.replaced.setdefault(step.number, []).extend(found)
                except TryLater as error:
                    page.away = error
                    return
                if recovered is None:
                    del page.outcomes[write.key]
                else:
                    before = step.body.seen(lane.side)
                    page.outcomes[write.key] = as_written(write, before, recovered)


def _whole(lane: Lane) -> int:
    """How many writes of a page fill whole batches of that side."""
    size = max(1, lane.capabilities.max_write)
    return size * max(1, math.ceil(WRITES / size))


def _depends(line: Line, flying: Line) -> bool:
    """Do records of one line need what another one is making?"""
    needs = {entity for lane in line.lanes.values() for entity in lane.mapper.references.values()}
    return line.entity != flying.entity or line.entity in needs


Again = Mapping[tuple[str, Side, str], str]
"""(Entity, side, record) -> the coupling under which its other side was to be created."""


def recover_open(store: Store, lines: Mapping[str, Line]) -> Again:
    """Writes that a crash or a lost answer left open: find out, and settle each with its step.

    Must run before anything is planned. Raises `TryLater` where the system in question is away:
    nothing may be written to a coupling of which an open write is not known.

    Gives the creates that did not happen. They may happen yet, where a writer that was taken for
    dead wakes up: whoever creates for the same records must do it under the same key, so that the
    system takes both for one.
    """
    again: dict[tuple[str, Side, str], str] = {}
    groups = dict.fromkeys(
        (entry.run_id, entry.step)
        for entry in store.journal.open_intents()
        if entry.entity in lines
    )
    for run_number, number in groups:
        run = store.runs.get(run_number)
        step = store.runs.those(run, [number])[number]
        line = lines[step.entity]
        outcomes: dict[str, Outcome] = {}
        replaced: dict[int, list[FieldNotice]] = {number: []}
        writes: dict[Side, list[tuple[PlannedStep, Write]]] = {"crm": [], "erp": []}
        for entry in Journal.objects.filter(run_id=run_number, step=number):
            side: Side = "crm" if entry.side == "crm" else "erp"
            write = decode_write(entry.write)
            writes[side].append((step, write))
            after = decode_record(entry.after)
            if entry.state == "done" and after is not None:
                outcomes[write.key] = Written(after=after)
                continue
            outcome = line.lanes[side].connector.recover(write)
            if outcome is not None:
                outcomes[write.key] = as_written(write, step.body.seen(side), outcome)
                continue
            replaced[number] += perhaps_replaced(line.lanes[side], step, write)
            if isinstance(write, Create) and (origin := step.record(other(side))) is not None:
                again[step.entity, other(side), origin] = step.coupling
        with transaction.atomic():
            Settler(store, run, line).settle([step], writes, outcomes, {}, replaced)
    return again


__all__ = ["Again", "Boundary", "Executor", "Pool", "no_boundary", "recover_open"]
