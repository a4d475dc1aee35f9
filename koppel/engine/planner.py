"""Stop five: from what was read to the steps of a plan, page by page, into the store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from koppel.connectors.base import Gone, Record
from koppel.engine.drafts import drafts_hold
from koppel.engine.intake import Intake, Mapped, Progress, Work
from koppel.engine.lines import Lane, Line, contents
from koppel.engine.pages import PAGE, StepPages
from koppel.engine.pairing import pair
from koppel.engine.returning import left_alone, returned
from koppel.mapping.faults import BadValue
from koppel.model import Ref
from koppel.store import Store
from koppel.store.bulk import chunks
from koppel.store.models import Run
from koppel.store.values import CouplingRow, FormerPair, PlannedStep, ReplicaRow, StepBody
from koppel.sync.decide import WHOLE, decide
from koppel.sync.identity import another
from koppel.sync.rule import SIDES, Side, holds, other
from koppel.sync.state import Decision, View

_KINDS = {"merge": "update", "nothing": "rebase"}
_NONE: frozenset[str] = frozenset()


class Planner:
    """Plans one entity of one run."""

    def __init__(
        self,
        store: Store,
        line: Line,
        run: Run,
        intake: Intake,
        *,
        progress: Progress,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        again: Mapping[tuple[str, Side, str], str] | None = None,
    ) -> None:
        self._store = store
        self._line = line
        self._run = run
        self._intake = intake
        self._new_id = new_id
        self._again = again or {}
        self._steps = StepPages(store, run, lambda many: progress(f"planning {line.entity}", many))
        self._followed: set[tuple[Side, str]] = set()
        self._beside: Mapping[Side, set[str]] = {}
        self._used: set[tuple[Side, str]] = set()
        self._single: set[tuple[Side, str]] = set()
        """Records that were to be coupled, and whose partner is gone."""
        self._drafted: Side | None = None
        self._mapped: dict[Side, Mapped] = {}
        """What is known of the canonical values of the new records of a page."""

    def draft(self, side: Side, rows: Sequence[ReplicaRow], mapped: Mapped) -> None:
        """Plan new records of a side while others are read; `plan` looks whether that holds."""
        self._drafted = side
        self._mapped = {side: mapped}
        self._create_page(side, rows)

    def plan(self, work: Work) -> dict[str, int]:
        """All steps, into the store; how many of each kind."""
        if self._drafted is not None:
            if drafts_hold(self._store, self._intake, self._line.entity, self._drafted):
                self._steps.flush()
                return self._steps.counts
            self._steps.discard()
        self._beside = work.beside
        for ids in chunks(work.touched, PAGE):
            self._touched(ids, work)
        fresh = self._store.replica.any_fresh(self._line.entity)
        back = returned(self._store, self._line) if fresh else []
        if pair(self._store, self._line, back=back):
            self._couple()
            for page in self._store.pairs.pairs("review", PAGE):
                for crm_id, erp_id, value, reasons in page:
                    if not (self._is_beside("crm", crm_id) and self._is_beside("erp", erp_id)):
                        self._review(crm_id, erp_id, value, reasons)
            for side in SIDES:
                self._create(side)
            self._mapped = {}
        self._steps.flush()
        for side, records in work.beside.items():
            # Who is about them reads them again.
            left = [record for record in records if (side, record) not in self._used]
            self._store.replica.remove(self._line.entity, side, left)
        return self._steps.counts

    def _is_beside(self, side: Side, record: str) -> bool:
        return record in self._beside.get(side, ())

    # coupled records that changed

    def _touched(self, ids: Sequence[str], work: Work) -> None:
        couplings = self._store.couplings.by_id(ids)
        waiting = self._store.inbox.open_fields(ids)
        decided = [
            c for c, fields in waiting.items() if any(v is not None for v in fields.values())
        ]
        shown = self._store.inbox.shown(decided) if decided else {}
        doubtful = {coupling for coupling, fields in waiting.items() if WHOLE in fields}
        records = {side: self._read(side, couplings.values(), work, doubtful) for side in SIDES}
        stuck = {
            side: self._store.inbox.quarantined(self._line.entity, side, records[side])
            for side in SIDES
        }
        for coupling in couplings.values():
            sides = work.touched[coupling.id]
            if all(self._still_stuck(coupling, side, records, stuck) for side in sides):
                continue
            self._one(coupling, records, waiting.get(coupling.id, {}), shown.get(coupling.id, {}))

    def _still_stuck(
        self,
        coupling: CouplingRow,
        side: Side,
        records: Mapping[Side, Mapping[str, Record | Gone]],
        stuck: Mapping[Side, Mapping[str, str]],
    ) -> bool:
        record = coupling.record(side) or ""
        found = records[side].get(record)
        return isinstance(found, Record) and stuck[side].get(record) == found.version

    def _read(
        self,
        side: Side,
        couplings: Iterable[CouplingRow],
        work: Work,
        doubtful: Container[str],
    ) -> dict[str, Record | Gone]:
        """The records of one side: fetched where they may have moved, else the base.

        A side that no change was reported of is taken to stand at its base where it checks the
        expected version on a write: a wrong guess is refused as stale and planned again. Not so
        for `doubtful` couplings, of which one side was gone when a person was asked about them.
        """
        lane = self._line.lanes[side]
        known: dict[str, Record | Gone] = {}
        wanted: list[str] = []
        for coupling in couplings:
            record = coupling.record(side)
            base = coupling.base(side)
            if record is None:
                continue
            if (side, record) in work.gone and work.gone[side, record].merged_into:
                known[record] = work.gone[side, record]
            elif (side, record) in work.given:
                known[record] = work.given[side, record]
            elif (
                side in work.touched[coupling.id]
                or coupling.id in doubtful
                or lane.capabilities.lock == "none"
                or not isinstance(base, Record)
            ):
                wanted.append(record)
            else:
                known[record] = base
        known.update(lane.fetch(wanted))
        return known

    def _one(
        self,
        coupling: CouplingRow,
        records: Mapping[Side, Mapping[str, Record | Gone]],
        waiting: Mapping[str, Any],
        shown: Mapping[str, tuple[Any, Any]],
    ) -> None:
        views: dict[Side, View] = {}
        seen: dict[Side, Record | Gone | None] = {}
        for side in SIDES:
            record = coupling.record(side)
            # Without a number it is gone for good, where that is known of it (`Settler`).
            base = coupling.base(side)
            seen[side] = records[side].get(record) if record else _gone_for_good(base)
            try:
                seen[side] = self._itself(side, seen[side], base)
                views[side] = replace(
                    self._view(side, seen[side], base),
                    changed_at=self._intake.work.at.get((side, record or "")),
                )
            except BadValue as error:
                found = seen[side]
                if isinstance(found, Record):
                    self._intake.bad(side, self._line.lanes[side], found, error)
                return
        resolved = {name: value[0] for name, value in waiting.items() if value is not None}
        decision = decide(
            self._line.rule,
            views["crm"],
            views["erp"],
            open_conflicts=frozenset(waiting),
            resolved=resolved,
            shown=shown,
            dormant=coupling.state == "dormant",
            target_coupled=self._target_coupled(views),
        )
        self._step(coupling, decision, seen, closing=tuple(resolved))

    def _itself(
        self, side: Side, now: Record | Gone | None, base: Record | Gone | None
    ) -> Record | Gone | None:
        """The record, or gone where another one stands under its number by now.

        That one is looked at in the next pass, as a new record.
        """
        if not (isinstance(now, Record) and isinstance(base, Record)) or now.fields == base.fields:
            return now
        was, found = self._canonical(side, base) or {}, self._canonical(side, now) or {}
        if not another(self._line.entity, was, found):
            return now
        self._store.inbox.wait(
            self._line.entity, side, now.id, reason="stands where another record was"
        )
        return Gone(resource=now.resource, id=now.id)

    def _target_coupled(self, views: Mapping[Side, View]) -> bool:
        for side, view in views.items():
            if view.presence == "merged" and view.merged_into:
                if (side, view.merged_into) in self._followed:
                    return True
                known = self._store.couplings.versions(self._line.entity, side, [view.merged_into])
                return view.merged_into in known
        return False

    def _view(self, side: Side, now: Record | Gone | None, base: Record | Gone | None) -> View:
        if now is None:
            return View(presence="none")
        if isinstance(now, Gone):
            presence = "merged" if now.merged_into else ("trashed" if now.trashed else "gone")
            return View(
                presence=presence,  # type: ignore[arg-type]
                id=now.id,
                base=self._canonical(side, base),
                merged_into=now.merged_into,
            )
        canonical = self._canonical(side, now) or {}
        same = isinstance(base, Record) and base.fields == now.fields
        return View(
            id=now.id,
            now=canonical,
            base=canonical if same else self._canonical(side, base),
            in_scope=self._in_scope(side, now, canonical),
        )

    def _in_scope(self, side: Side, record: Record, canonical: Mapping[str, Any]) -> bool:
        lane = self._line.lanes[side]
        conditions = self._line.rule.scope.get(side, ())
        return lane.mapper.scope(record) and holds(conditions, canonical)

    def _canonical(self, side: Side, record: Record | Gone | None) -> dict[str, Any] | None:
        if not isinstance(record, Record):
            return None
        if record.id in self._mapped.get(side, ()):
            return self._mapped[side][record.id]
        links = self._intake.links
        return self._line.lanes[side].mapper.get(
            record, links.resolve(side), country_of=links.country_of
        )

    def _step(
        self,
        coupling: CouplingRow,
        decision: Decision,
        seen: Mapping[Side, Record | Gone | None],
        *,
        closing: tuple[str, ...] = (),
        reasons: tuple[str, ...] = (),
        kind: str | None = None,
    ) -> None:
        merge = decision.merge
        kind = kind or _KINDS.get(decision.kind, decision.kind)
        if kind in ("update", "wake") and not merge.crm and not merge.erp and kind == "update":
            kind = "conflict" if merge.conflicts else "rebase"
        writes: dict[str, dict[str, Any]] = {
            side: dict(merge.to(side)) for side in SIDES if merge.to(side)
        }
        if kind == "delete" and decision.side:
            writes = {decision.side: {}}
        if kind == "follow" and decision.side and decision.to:
            self._followed.add((decision.side, decision.to))
        closed = set(merge.closed) | {
            name for name in closing if name not in {item.field for item in merge.conflicts}
        }
        why = " ".join((decision.why, *(f"Matched: {', '.join(reasons)}." for _ in reasons[:1])))
        self._steps.add(
            PlannedStep(
                number=0,
                entity=self._line.entity,
                coupling=coupling.id,
                kind=kind,
                label=self._label(seen) or coupling.label,
                crm_id=_aim(decision, "crm", coupling),
                erp_id=_aim(decision, "erp", coupling),
                body=StepBody(
                    reason=why,
                    writes=writes,
                    changes=merge.changes,
                    conflicts=merge.conflicts,
                    notices=merge.notices,
                    closed=tuple(sorted(closed)),
                    crm=seen["crm"],
                    erp=seen["erp"],
                ),
            )
        )

    def _label(self, seen: Mapping[Side, Record | Gone | None]) -> str:
        for side in reversed(SIDES):
            record = seen[side]
            if isinstance(record, Record):
                return self._line.lanes[side].mapper.label(record)
        return ""

    # records without a coupling

    def _couple(self) -> None:
        for page in self._store.pairs.pairs("couple", PAGE):
            ids: dict[Side, list[str]] = {
                "crm": [crm_id for crm_id, *_ in page],
                "erp": [erp_id for _, erp_id, *_ in page],
            }
            found = {side: contents(self._store, self._line, side, ids[side]) for side in SIDES}
            self._mapped = {side: self._intake.mapped(side, ids[side]) for side in SIDES}
            former = self._store.couplings.former(
                self._line.entity, [(crm_id, erp_id) for crm_id, erp_id, *_ in page]
            )
            left = left_alone(self._store, self._line.entity, ids)
            disputed = self._store.inbox.left_open({pair.coupling for pair in former.values()})
            for crm_id, erp_id, value, reasons in page:
                if self._is_beside("crm", crm_id) and self._is_beside("erp", erp_id):
                    continue
                self._used |= {("crm", crm_id), ("erp", erp_id)}
                if self._followed & {("crm", crm_id), ("erp", erp_id)}:
                    why = "another pair follows a merge to one of the two"
                    self._review(crm_id, erp_id, value, (*reasons, why))
                    continue
                pair = former.get((crm_id, erp_id))
                self._new_pair(
                    {"crm": found["crm"].get(crm_id), "erp": found["erp"].get(erp_id)},
                    reasons,
                    pair,
                    left.get(("crm", crm_id)) or left.get(("erp", erp_id)),
                    disputed.get(pair.coupling, _NONE) if pair is not None else _NONE,
                )

    def _new_pair(
        self,
        seen: Mapping[Side, Record | Gone | None],
        reasons: tuple[str, ...],
        former: FormerPair | None,
        taken_up: CouplingRow | None,
        disputed: frozenset[str],
    ) -> None:
        """Couple two records. What was a pair before is merged against both bases of then.

        `disputed`: fields that were in conflict when it ended; their bases do not tell of it.
        """
        for side, record in seen.items():
            if isinstance(record, Gone):
                self._store.replica.remove(self._line.entity, side, [record.id])
                self._single |= {
                    (far, found.id) for far, found in seen.items() if isinstance(found, Record)
                }
        if not all(isinstance(record, Record) for record in seen.values()):
            return
        bases: dict[Side, Record | Gone | None] = dict.fromkeys(SIDES)
        if former is not None:
            # What was mapped while reading is what the records are now.
            self._mapped = {}
            for side in SIDES:
                here = taken_up.base(side) if taken_up is not None else None
                bases[side] = here or former.base(side)
        try:
            views = {side: self._view(side, seen[side], bases[side]) for side in SIDES}
        except BadValue:
            return
        decision = decide(self._line.rule, views["crm"], views["erp"], open_conflicts=disputed)
        coupling = CouplingRow(
            id=taken_up.id if taken_up is not None else self._new_id(),
            entity=self._line.entity,
            crm_id=views["crm"].id,
            erp_id=views["erp"].id,
        )
        if decision.kind == "sleep" and former is None:
            return
        kind = "sleep" if decision.kind == "sleep" else "couple"
        self._step(coupling, decision, seen, reasons=reasons, kind=kind)

    def _review(self, crm_id: str, erp_id: str, value: float, reasons: tuple[str, ...]) -> None:
        entity = self._line.entity
        label = " / ".join(
            row.label
            for side, record in zip(SIDES, (crm_id, erp_id), strict=True)
            for row in self._store.replica.get(entity, side, [record]).values()
        )
        self._steps.add(
            PlannedStep(
                number=0,
                entity=entity,
                coupling="",
                kind="review",
                label=label,
                crm_id=crm_id,
                erp_id=erp_id,
                body=StepBody(reason=f"{value:.2f}: {'; '.join(reasons)}"),
            )
        )

    def _create(self, side: Side) -> None:
        """Fresh records of `side` that match nothing: made on the other side if the rule allows."""
        for page in self._store.replica.fresh(self._line.entity, side, PAGE):
            records = [row.record for row in page]
            held = self._store.pairs.paired(side, records)
            held -= {record for here, record in self._single if here == side}
            held |= self._store.couplings.versions(self._line.entity, side, records).keys()
            self._mapped = {side: self._intake.mapped(side, set(records) - held)}
            self._create_page(
                side,
                [
                    row
                    for row in page
                    if row.record not in held
                    and not self._is_beside(side, row.record)
                    and (side, row.record) not in self._followed
                ],
            )

    def _create_page(self, side: Side, rows: Sequence[ReplicaRow]) -> None:
        records = [row.record for row in rows]
        held = self._store.inbox.under_review(self._line.entity, side, records)
        for row in rows:
            if row.record not in held and isinstance(row.content, Record):
                self._create_one(side, row.content)

    def _create_one(self, side: Side, content: Record) -> None:
        lane = self._line.lanes[side]
        view = self._view(side, content, None)
        waits = self._unresolved(view.now or {}, side, lane)
        if waits:
            self._store.inbox.wait(
                self._line.entity,
                side,
                content.id,
                reason=f"waits for {waits.split(':')[0]}",
                waits_for=waits,
            )
            self._store.inbox.healed(self._line.entity, side, [content.id])
            return
        views: dict[Side, View] = {side: view, other(side): View(presence="none")}
        decision = decide(self._line.rule, views["crm"], views["erp"])
        if decision.kind != "create":
            return
        coupling = CouplingRow(
            id=self._again.get((self._line.entity, side, content.id)) or self._new_id(),
            entity=self._line.entity,
            crm_id=content.id if side == "crm" else None,
            erp_id=content.id if side == "erp" else None,
        )
        seen: dict[Side, Record | Gone | None] = {side: content, other(side): None}
        self._step(coupling, decision, seen)

    def _unresolved(self, canonical: Mapping[str, Any], side: Side, lane: Lane) -> str:
        """The parent (`entity:side:id`) that is not coupled yet, if there is one."""
        for name in lane.mapper.references:
            value = canonical.get(name)
            if isinstance(value, Ref) and value.coupling is None and value.native is not None:
                return f"{value.entity}:{side}:{value.native}"
        return ""


def _gone_for_good(base: Record | Gone | None) -> Gone | None:
    return base if isinstance(base, Gone) else None


def _aim(decision: Decision, side: Side, coupling: CouplingRow) -> str | None:
    """The record of a side that the step is about; None where it is to be made (again)."""
    if decision.side == side and decision.kind in ("follow", "create"):
        return decision.to
    return coupling.record(side)


def steps_of(store: Store, run: Run | int, *, kinds: Iterable[str] = ()) -> Iterator[PlannedStep]:
    """All steps of a run, one after the other, read in pages."""
    for page in store.runs.steps(run, kinds=kinds):
        yield from page
