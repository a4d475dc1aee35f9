"""The engine: plan, apply, sync, undo. One writer at a time; safe to kill at any instant."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from koppel.connectors import registry
from koppel.connectors.base import Connector, Health, Record
from koppel.engine import seen
from koppel.engine.ahead import Given, ReadAhead
from koppel.engine.drafts import side_to_draft
from koppel.engine.executor import Again, Boundary, Executor, Pool, no_boundary, recover_open
from koppel.engine.intake import Intake, Progress, Work, put_back
from koppel.engine.interpreter import tune_interpreter
from koppel.engine.lines import Connect, Line, Lines
from koppel.engine.planner import Planner, steps_of
from koppel.engine.standing import moved_since
from koppel.engine.undoing import plan_undo
from koppel.engine.writing import Writing
from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.store import Store
from koppel.store.models import Run
from koppel.store.runs import ROUTINE
from koppel.sync.guards import PlanCounts, check_guards
from koppel.sync.rule import SIDES, Side, other

PASSES = 3
"""Stale writes, followed merges and children whose parent arrived are taken up in the same run."""

_ENDS = {"uncouple", "delete"}
"""Kinds of steps that end a pair."""

Selection = Mapping[str, Mapping[Side, Sequence[str]]]
"""Entity -> side -> native ids: synchronise just these."""


def _quiet(text: str, many: int) -> None:
    """No progress wanted."""


class Engine:
    """Everything that runs. `connect`, `boundary`, `new_id`, `sleep`, `pool`: seams for tests.

    `patience`: seconds to wait for another Koppel that is at work on the same store.
    """

    def __init__(
        self,
        store: Store,
        *,
        connect: Connect = registry.connect,
        progress: Progress = _quiet,
        boundary: Boundary = no_boundary,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        patience: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        pool: Pool = ThreadPoolExecutor,
    ) -> None:
        self.store = store
        self._pool = pool
        self._patience = patience
        self._sleep = sleep
        self.lines = Lines(store, connect)
        self.progress = progress
        self._boundary = boundary
        self._new_id = new_id
        self._leases: Writing
        self._again: Again = {}

    # questions

    def check(self, names: Sequence[str] = ()) -> dict[str, Health]:
        """Ask each connection how it is. A paused one that answers well is used again."""
        found: dict[str, Health] = {}
        for row in self.store.connections.all():
            if names and row.name not in names:
                continue
            try:
                health = self._connector(row.name).check()
            except (NeedsUser, TryLater) as error:
                health = Health(ok=False, system=row.type, version="", messages=(str(error),))
            if health.ok:
                self.store.connections.pause(row.name, "")
                self.store.connections.seen(row.name)
            found[row.name] = health
        return found

    def _connector(self, name: str) -> Connector:
        return self.lines.connector(name)

    # plan, apply, sync

    def plan(
        self,
        entities: Sequence[str] | None = None,
        *,
        selection: Selection | None = None,
        sweep: bool = True,
        user: str = "",
        trigger: str = "plan",
    ) -> Run:
        """Make a plan and change nothing in either system; the run is `ready` or `held`."""
        wanted = entities or (list(selection) if selection else None)
        with self._writing(wanted) as scope:
            run = self.store.runs.start(
                "plan", trigger=trigger, user=user, selection=selection, scope=scope
            )
            with self._closing(run):
                lines = self._begin(run, wanted)
                self._plan(run, lines, selection, sweep)
            return run

    def apply(self, run: Run, *, user: str = "", approve: bool = False) -> Run:
        """Carry a plan out, exactly as it is; refuses where the world has moved on since.

        A held plan needs `approve`. Raises `NeedsUser` where the run cannot be applied.
        """
        if run.state == "held" and not approve:
            raise NeedsUser(
                f"run {run.id} is held: {' '.join(run.reasons)}",
                remedy=f"Look at it with: koppel plan {run.id}. Then: koppel apply {run.id} "
                "--approve",
            )
        if run.state not in ("ready", "held"):
            raise NeedsUser(
                f"run {run.id} cannot be applied: it is {run.state}",
                remedy="Make a new plan with: koppel plan",
            )
        with self._writing(run.scope.split("\n")), self._closing(run):
            lines = self._begin(run, None)
            self._unmoved(run, lines)
            if approve:
                self.lines.accept()
                self.store.inbox.log(user or "command line", "approve", f"run {run.id}")
            lines = [line for line in lines if run.kind == "undo" or line.entity in run.counts]
            owing = self._apply(run, lines, self._cursors(run))
            if run.kind != "undo":
                self._passes(run, lines, owing)
            self._done(run)
        return run

    def sync(
        self,
        entities: Sequence[str] | None = None,
        *,
        selection: Selection | None = None,
        sweep: bool = True,
        user: str = "",
        trigger: str = "manual",
        connections: Collection[str] | None = None,
        given: Given | None = None,
        ahead: ReadAhead | None = None,
    ) -> Run:
        """Plan and apply in one go; a plan that a guard holds is left for a person.

        `connections`: only these are read for changes; what is found goes to both sides. `given`:
        what the run before has read ahead of the selection; `ahead` reads for the one after.
        """
        wanted = entities or (list(selection) if selection else None)
        with self._writing(wanted) as scope:
            run = self.store.runs.start(
                "sync", trigger=trigger, user=user, selection=selection, scope=scope
            )
            with self._closing(run):
                lines = self._begin(run, wanted)
                self._plan(run, lines, selection, sweep, connections, given)
                if run.state == "ready":
                    owing = self._apply(run, lines, self._cursors(run), ahead)
                    self._passes(run, lines, owing)
                    self._done(run)
            return run

    def undo(self, number: int, *, user: str = "") -> Run:
        """The inverse plan of a run, ready to be looked at and applied."""
        undone = self.store.runs.get(number)
        if undone.state not in ("done", "waiting", "interrupted"):
            raise NeedsUser(f"run {number} wrote nothing that could be undone: {undone.state}")
        with self._writing(undone.scope.split("\n")) as scope:
            run = self.store.runs.start(
                "undo", trigger="manual", user=user, undoes=number, scope=scope
            )
            with self._closing(run):
                lines = self._begin(run, None)
                plan_undo(self.store, {line.entity: line for line in lines}, undone, run)
                self.store.runs.update(run, state="ready", counts=self.store.runs.count_steps(run))
                self.store.runs.supersede(run)
            return run

    @contextmanager
    def alone(self, entities: Sequence[str]) -> Iterator[dict[str, Line]]:
        """The lines of these entities, while nobody else writes to their pairs.

        What a crash left open is found out first. `TryLater` where another Koppel is at work.
        """
        with self._writing(entities):
            self.lines.follow_documents()
            lines = {line.entity: line for line in self.lines.all(list(entities))}
            recover_open(self.store, lines)
            yield lines

    # the parts

    def _begin(self, run: Run, entities: Sequence[str] | None) -> list[Line]:
        """Recover what a crash left open, before anything new is planned."""
        self.store.runs.abandon_unfinished(run)
        self.lines.follow_documents()
        every = self._every(run)
        self._again = recover_open(self.store, {line.entity: line for line in every})
        self._boundary("recovered")
        known = [line.entity for line in every]
        for entity in entities or ():
            if entity not in known:
                raise NeedsUser(
                    f"no rule is about '{entity}'", remedy=f"There are: {', '.join(known)}"
                )
        return [line for line in every if not entities or line.entity in entities]

    def _every(self, run: Run) -> list[Line]:
        """The lines of all pairs that the run is about."""
        pairs = self.lines.pairs()
        return self.lines.all(
            [entity for pair in run.scope.split("\n") for entity in pairs.get(pair, ())]
        )

    def _plan(
        self,
        run: Run,
        lines: Sequence[Line],
        selection: Selection | None,
        sweep: bool,
        connections: Collection[str] | None = None,
        given: Given | None = None,
    ) -> None:
        reasons: list[str] = []
        counts: dict[str, Any] = {}
        cursors: list[list[str]] = []
        drift = self.lines.drift(lines)
        for line in lines:
            intake = self._intake(run, line)
            planner = self._planner(run, line, intake)
            everything = selection is None and connections is None
            if everything and (side := side_to_draft(self.store, line)):
                intake.draft(side, planner.draft)
            self._take_in(run, intake, line, selection, sweep, connections, given or {})
            work = intake.work
            if any(_ENDS & counts.get(parent, {}).keys() for parent in line.parents):
                # A child that was refused for want of its parent waits for another one by now.
                intake.failed_before()
            made = planner.plan(work)
            counts[line.entity] = {**made, "read": work.read, "echoes": work.echoes}
            cursors += [[line.entity, side, value] for side, value in work.cursors.items()]
            reasons += check_guards(line.rule.guards, self._counts(line, made, work))
            reasons += [put_back(line, side) for side in SIDES if side in work.anew]
            self._boundary(f"planned {line.entity}")
        reasons += drift
        state = "held" if reasons else "ready"
        with transaction.atomic():
            # What another Koppel has done meanwhile is not in this plan.
            self._leases.guard()
            self.store.runs.update(
                run, counts=counts, cursors=cursors, reasons=reasons, state=state
            )
            self.store.runs.supersede(run)

    def _take_in(
        self,
        run: Run,
        intake: Intake,
        line: Line,
        selection: Selection | None,
        sweep: bool,
        connections: Collection[str] | None,
        given: Given,
    ) -> None:
        if selection is not None:
            chosen = selection.get(line.entity, {})
            # Who names a record wants it in step now, also with what no poll has found yet.
            asked = run.trigger not in ROUTINE
            intake.only({side: list(ids) for side, ids in chosen.items()}, both=asked, given=given)
            last: list[Side] = []
        else:
            read = [
                side
                for side, lane in line.lanes.items()
                if connections is None or lane.name in connections
            ]
            sides = self._to_sweep(line, sweep)
            intake.changes(read)
            swept = [s for s in read if s in sides or s in intake.work.anew]
            intake.sweep(swept)
            last = (swept or read)[-1:]
        # Something is to be coupled or made: who stands on the other side, or came there since it
        # was read?
        for side in line.lanes:
            if side not in last and self.store.replica.any_fresh(line.entity, other(side)):
                intake.newcomers([side])

    def _intake(self, run: Run, line: Line) -> Intake:
        guard = self._leases.guard
        return Intake(self.store, line, run, self.progress, self._pool, guard)

    def _to_sweep(self, line: Line, sweep: bool) -> list[Side]:
        """The sides whose deletes no change tells of: by their nature, or as reading began anew.

        The latter after a run that was stopped before its cursors moved: who reads from the
        beginning hears of what lives, and not of what is gone since.
        """
        store, entity = self.store, line.entity
        sides: list[Side] = []
        for side, lane in line.lanes.items():
            scans = "scan" in (lane.capabilities.deletes, lane.capabilities.changes)
            if store.couplings.cursor(entity, side) is None:
                if store.couplings.count(entity) or store.replica.count(entity, side):
                    sides.append(side)
            elif sweep and scans:
                sides.append(side)
        return sides

    def _planner(self, run: Run, line: Line, intake: Intake) -> Planner:
        return Planner(
            self.store,
            line,
            run,
            intake,
            progress=self.progress,
            new_id=self._new_id,
            again=self._again,
        )

    def _counts(self, line: Line, made: Mapping[str, int], work: Work) -> PlanCounts:
        creates: dict[Side, int] = {side: made.get(f"create:{side}", 0) for side in SIDES}
        updates = made.get("update", 0)
        deletes = made.get("delete", 0) + made.get("uncouple", 0)
        # Counting a million takes longer than a run for one hint; of a few steps no guard asks.
        asked = work.seen or max(updates, deletes) >= max(line.rule.guards.least, 1)
        return PlanCounts(
            couplings=self.store.couplings.count(line.entity, "active") if asked else 0,
            creates=creates,
            unmatched=sum(creates.values()),
            updates=updates,
            deletes=deletes,
            seen=work.seen,
        )

    def _apply(
        self,
        run: Run,
        lines: Sequence[Line],
        cursors: Mapping[tuple[str, Side], str],
        ahead: ReadAhead | None = None,
    ) -> Mapping[tuple[str, Side, str], Record]:
        """Carry out what is planned; records just read back that the next pass will ask for."""
        self.store.runs.update(run, state="applying")
        executor = Executor(
            self.store,
            run,
            {line.entity: line for line in lines},
            progress=self.progress,
            boundary=self._boundary,
            alive=self._leases.alive,
            guard=self._leases.guard,
            pool=self._pool,
            ahead=ahead,
        )
        executor.apply()
        with transaction.atomic():
            self._leases.guard()
            self.store.couplings.move_cursors(cursors)
            for line in lines:
                if run.kind != "undo":
                    self.store.replica.settle_fresh(line.entity)
        self._boundary("cursors moved")
        return executor.owing

    def _passes(
        self, run: Run, lines: Sequence[Line], owing: Mapping[tuple[str, Side, str], Record]
    ) -> None:
        """Take up what the pass before left: stale writes, followed merges, released children.

        `owing`: some of these records, as they were read back a moment ago.
        """
        before: set[tuple[str, Side, str]] = set()
        for _ in range(PASSES):
            left = {
                (line.entity, side, record)
                for line in lines
                for side in SIDES
                for record in self.store.inbox.pending(line.entity, side)
            }
            if not left or left == before:
                return
            before = left
            for line in lines:
                chosen: dict[Side, list[str]] = {
                    side: [r for e, s, r in sorted(left) if (e, s) == (line.entity, side)]
                    for side in SIDES
                }
                intake = self._intake(run, line)
                intake.work.given = {
                    (side, record): found
                    for (entity, side, record), found in owing.items()
                    if entity == line.entity
                }
                intake.only(chosen)
                self._planner(run, line, intake).plan(intake.work)
                self._apply(run, [line], {})
            owing = {}

    def _cursors(self, run: Run) -> dict[tuple[str, Side], str]:
        return {
            (entity, "crm" if side == "crm" else "erp"): value
            for entity, side, value in run.cursors
        }

    def _done(self, run: Run) -> None:
        counts = dict(run.counts)
        counts["steps"] = self.store.runs.count_steps(run)
        counts["writes"] = self.store.journal.count(run.id)
        if run.trigger in ROUTINE and not counts["steps"]:
            self.store.runs.forget(run)
            return
        self.store.runs.end(run, "done", counts=counts)
        self.store.runs.supersede(run)
        lanes = [lane for line in self._every(run) for lane in line.lanes.values()]
        self.store.connections.seen(*{lane.name for lane in lanes})

    def _unmoved(self, run: Run, lines: Sequence[Line]) -> None:
        """Does every record that the plan was made from still have the version it had then?"""
        moved = moved_since(self.store, run, lines, self._pool)
        if moved:
            self.store.runs.end(run, "superseded")
            names = ", ".join(dict.fromkeys(moved[:5]))
            raise NeedsUser(
                f"run {run.id} is out of date: {len(moved)} records have changed since it was "
                f"made ({names}{', …' if len(moved) > 5 else ''})",
                remedy="Make a new plan with: koppel plan",
            )

    @contextmanager
    def _writing(self, wanted: Sequence[str] | None) -> Iterator[str]:
        """Hold the leases of the pairs of these entities (or pairs) while at work; their names.

        `TryLater` where another Koppel still is at work on one of them after `patience`.
        """
        tune_interpreter()
        pairs = self.lines.pairs()
        chosen = [
            pair
            for pair, entities in pairs.items()
            if not wanted or pair in wanted or not set(wanted).isdisjoint(entities)
        ] or list(pairs)
        with Writing(self.store, chosen, patience=self._patience, sleep=self._sleep) as leases:
            self._leases = leases
            with self.lines.steady():
                yield "\n".join(sorted(chosen))

    @contextmanager
    def _closing(self, run: Run) -> Iterator[None]:
        """Close the run with the consequence of whatever goes wrong; tell the outside of it."""
        begun = time.monotonic()
        number, trigger = str(run.id), run.trigger
        try:
            with (
                seen.about(run=number),
                seen.span(run.kind, run=number, trigger=trigger, pairs=run.scope),
            ):
                yield
        except TryLater as error:
            self.store.runs.end(run, "waiting", reasons=[str(error)])
            for name in {row.name for row in self.store.connections.all()}:
                if error.place.startswith(name):
                    self.store.connections.away(name)
            raise
        except KoppelError as error:
            if run.state not in ("superseded",):
                self.store.runs.end(run, "failed", reasons=[str(error)])
            raise
        finally:
            seen.runs.labels(trigger, run.state).inc()
            seen.run_seconds.labels(trigger).observe(time.monotonic() - begun)

    def close(self) -> None:
        """Close all connectors."""
        self.lines.close()


__all__ = ["Engine", "Selection", "steps_of"]
