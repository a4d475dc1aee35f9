"""Stops six to eight: write with the intent journalled first, read back, settle.

Everything that a page of steps produced is settled in one transaction: outcomes, bases, inbox. A
base moves only if all writes of its step were read back; so a crash, a refusal or a lost answer
leaves the old base, and the next run finds the same work again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import transaction

from koppel.connectors.base import (
    Act,
    Create,
    Delete,
    Outcome,
    Record,
    Unknown,
    Update,
    Write,
    Written,
)
from koppel.engine.intake import Progress
from koppel.engine.lines import Lane, Line
from koppel.engine.links import Links
from koppel.engine.settle import Failure, Settler
from koppel.errors import Defect, TryLater
from koppel.mapping.faults import BadValue, Unresolved
from koppel.store import Store
from koppel.store.codec import decode_record, decode_write
from koppel.store.models import Journal, Run
from koppel.store.values import PlannedStep
from koppel.sync.rule import SIDES, Side

PAGE = 100

Boundary = Callable[[str], None]
"""Called at each boundary of a run (before and after each effect), so that tests can stop there."""


def no_boundary(name: str) -> None:
    """Nothing to do at a boundary."""


@dataclass
class _Page:
    """The writes of one page of steps, per side, and what came of them."""

    writes: dict[Side, list[tuple[PlannedStep, Write]]] = field(
        default_factory=lambda: {"crm": [], "erp": []}
    )
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    away: TryLater | None = None


class Executor:
    """Carries the steps of a run out, entity by entity."""

    def __init__(
        self,
        store: Store,
        run: Run,
        lines: Mapping[str, Line],
        *,
        progress: Progress,
        boundary: Boundary = no_boundary,
        renew: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._run = run
        self._lines = lines
        self._progress = progress
        self._boundary = boundary
        self._renew = renew
        self.writes = 0

    def apply(self) -> None:
        """All planned steps of the run; raises `TryLater` where a system went away meanwhile."""
        for page in self._store.runs.steps(self._run, state="planned", page=PAGE):
            for entity in dict.fromkeys(step.entity for step in page):
                self._apply_page([s for s in page if s.entity == entity], self._lines[entity])
                self._progress(f"writing {entity}", len(page))
            self._renew()

    def _apply_page(self, steps: Sequence[PlannedStep], line: Line) -> None:
        page = self._prepare(steps, line)
        if page.writes["crm"] or page.writes["erp"]:
            with transaction.atomic():
                for side in SIDES:
                    self._store.journal.intend(self._run, side, page.writes[side])
            self._boundary("intents journalled")
            self._send(page, line)
            self._boundary("answers received")
        settler = Settler(self._store, self._run, line)
        with transaction.atomic():
            settler.settle(steps, page.writes, page.outcomes, page.failures)
        self.writes += sum(isinstance(out, Written) for out in page.outcomes.values())
        self._boundary("page settled")
        if page.away:
            raise page.away

    def _prepare(self, steps: Sequence[PlannedStep], line: Line) -> _Page:
        page = _Page()
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
        key = f"{step.coupling}-{self._run.id}-{step.number}-{lane.side}"
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
            return Create(resource=lane.resource, key=f"{step.coupling}-new", fields=fields)
        elif step.kind == "delete":
            return Delete(resource=lane.resource, key=key, id=record, expected=expected)
        else:
            current = seen if isinstance(seen, Record) else None
            fields = lane.mapper.put(step.body.writes[lane.side], current, links.locate(lane.side))
        return Update(resource=lane.resource, key=key, id=record, expected=expected, fields=fields)

    def _send(self, page: _Page, line: Line) -> None:
        """Both sides at the same time: they are two systems, and each has one caller."""
        busy = [side for side in SIDES if page.writes[side]]
        if len(busy) == 1:
            self._send_side(page, line.lanes[busy[0]])
        else:
            with ThreadPoolExecutor(2) as pool:
                for future in [
                    pool.submit(self._send_side, page, line.lanes[side]) for side in busy
                ]:
                    future.result()
        for side in busy:
            self._lost(page, line.lanes[side])

    def _send_side(self, page: _Page, lane: Lane) -> None:
        planned = page.writes[lane.side]
        size = max(1, lane.capabilities.max_write)
        for start in range(0, len(planned), size):
            part = [write for _, write in planned[start : start + size]]
            try:
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
        for _, write in page.writes[lane.side]:
            if isinstance(page.outcomes.get(write.key), Unknown):
                try:
                    recovered = lane.connector.recover(write)
                except TryLater as error:
                    page.away = error
                    return
                if recovered is None:
                    del page.outcomes[write.key]
                else:
                    page.outcomes[write.key] = recovered


def recover_open(store: Store, lines: Mapping[str, Line]) -> int:
    """Writes that a crash or a lost answer left open: find out, and settle each with its step.

    Must run before anything is planned. Raises `TryLater` where the system in question is away:
    nothing may be written to a coupling of which an open write is not known.
    """
    groups = dict.fromkeys((entry.run_id, entry.step) for entry in store.journal.open_intents())
    for run_number, number in groups:
        run = store.runs.get(run_number)
        step = next(
            step for page in store.runs.steps(run) for step in page if step.number == number
        )
        line = lines[step.entity]
        outcomes: dict[str, Outcome] = {}
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
                outcomes[write.key] = outcome
        with transaction.atomic():
            Settler(store, run, line).settle([step], writes, outcomes, {})
    return len(groups)


__all__ = ["Boundary", "Executor", "no_boundary", "recover_open"]
