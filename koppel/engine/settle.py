"""Stop eight: what a page of steps came to, written down in one go.

Always called inside one transaction. A step settles if all its writes were written and read back;
otherwise its bases stay, and the record waits for the next pass or goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from koppel.connectors.base import Gone, Outcome, Record, Refused, Unknown, Write, Written
from koppel.engine.lines import Line
from koppel.mapping.faults import BadValue, Unresolved
from koppel.store import Store
from koppel.store.models import Run
from koppel.store.values import CouplingRow, FormerPair, PlannedStep
from koppel.sync.decide import WHOLE
from koppel.sync.merge import same
from koppel.sync.rule import SIDES, Side, other
from koppel.sync.state import FieldNotice

Writes = Mapping[Side, Sequence[tuple[PlannedStep, Write]]]

_NOTHING: tuple[Any, ...] = (None, "", [], ())

_REMEDY = {
    "invalid": "Correct the value in the system that it comes from",
    "duplicate": "Two records claim the same value; correct one of them",
    "forbidden": "Give Koppel's user the right, or take the field out of the rule",
    "in_use": "The record is in use there; deal with it in that system",
    "locked": "Unlock the record there, or wait until it is free",
    "missing": "The record is not there any more; break the coupling or restore it",
}


@dataclass(frozen=True)
class Failure:
    """Why a step could not be written. `waits_for`: a parent that has to come first."""

    reason: str
    remedy: str = ""
    transient: bool = False
    waits_for: tuple[str, str] | None = None

    @classmethod
    def of(cls, error: BadValue | Unresolved) -> Failure:
        """From what the mapping said."""
        if isinstance(error, Unresolved):
            return cls(
                reason=f"waits for its {error.entity}",
                transient=True,
                waits_for=(error.entity, error.coupling or ""),
            )
        return cls(reason=str(error), remedy="Correct the value in the system that it comes from")


class Settler:
    """Settles steps of one entity."""

    def __init__(self, store: Store, run: Run, line: Line) -> None:
        self._store = store
        self._run = run
        self._line = line
        self._supplies = {side: line.supplies(side) for side in SIDES}
        self.owing: dict[tuple[Side, str], Record] = {}
        """Records with values of their own for the other side, as they were read back."""
        self._over: list[FormerPair] = []
        self._lost: list[tuple[Side, str]] = []

    def settle(
        self,
        steps: Sequence[PlannedStep],
        writes: Writes,
        outcomes: Mapping[str, Outcome],
        failures: Mapping[int, Failure],
        replaced: Mapping[int, Sequence[FieldNotice]] | None = None,
    ) -> None:
        """All of it: journal, couplings, inbox, replicas, step states.

        `replaced`: step -> notices of writes that may have been done, though nothing proves it.
        """
        self._journal(writes, outcomes)
        sent: dict[int, dict[Side, Outcome | None]] = {}
        for side in SIDES:
            for step, write in writes[side]:
                sent.setdefault(step.number, {})[side] = outcomes.get(write.key)
        known = self._store.couplings.by_id(step.coupling for step in steps if step.coupling)
        keep: list[CouplingRow] = []
        halves: list[CouplingRow] = []
        done: list[int] = []
        for step in steps:
            failure = failures.get(step.number) or _failure(step, sent.get(step.number, {}))
            if failure is not None:
                self._failed(step, failure, sent.get(step.number, {}))
                perhaps = (replaced or {}).get(step.number, ())
                self._replaced(step, sent.get(step.number, {}), perhaps)
                half = self._half(step, known.get(step.coupling), sent.get(step.number, {}))
                if half is not None:
                    halves.append(half)
                    # That base holds what is in conflict, and would not tell of it any more.
                    self._conflicts(step)
                continue
            done.append(step.number)
            row = self._row(step, known.get(step.coupling), sent.get(step.number, {}))
            if row is not None:
                keep.append(row)
            self._inbox(step)
        made = {step.coupling for step in steps if step.kind in ("couple", "sleep")}
        new = [row for row in keep if row.id in made]
        created = {step.coupling for step in steps if step.kind == "create"}
        born = [row for row in keep if row.id in created]
        self._store.couplings.free([*new, *born])
        self._numbers_again(born, keep, sent={s.coupling: sent.get(s.number, {}) for s in steps})
        self._store.couplings.save(keep)
        self._part(new)
        self._store.couplings.save(halves, in_step=False)
        self._store.runs.mark_steps(self._run, done, "done")
        self._tidy(keep)
        self._store.inbox.wait_all(
            self._line.entity, list(self.owing), reason="has values of its own for the other side"
        )

    def _journal(self, writes: Writes, outcomes: Mapping[str, Outcome]) -> None:
        rows: list[tuple[str, str, Record | Gone | None, str]] = []
        for side in SIDES:
            for _, write in writes[side]:
                match outcomes.get(write.key):
                    case Written(after=after):
                        rows.append((write.key, "done", after, ""))
                    case Refused(message=message):
                        rows.append((write.key, "refused", None, message))
                    case Unknown(message=message):
                        rows.append((write.key, "unknown", None, message))
                    case None:
                        rows.append((write.key, "void", None, "it did not happen"))
        if rows:
            self._store.journal.settle(rows)

    def _row(
        self, step: PlannedStep, known: CouplingRow | None, sent: Mapping[Side, Outcome | None]
    ) -> CouplingRow | None:
        """The coupling as it stands after the step; None for steps that have none."""
        if step.kind == "review" or not step.coupling:
            return None
        if step.kind == "undo" and known is None:
            return None
        row = known or CouplingRow(
            id=step.coupling,
            entity=step.entity,
            crm_id=step.crm_id,
            erp_id=step.erp_id,
            made_by=step.body.reason[:200],
        )
        if step.kind == "undo" and "delete" in {w.op for w in step.body.native.values()}:
            row.state = "undone"
        if step.kind in ("uncouple", "delete"):
            row.state = "parted"
            self._gone(row, step, sent)
            return row
        if step.kind == "follow":
            for side in SIDES:
                if step.record(side) != row.record(side):
                    self._follow(row, side, step.record(side) or "")
            return row
        if step.kind == "conflict" and not all(
            isinstance(step.body.seen(side), Record) for side in SIDES
        ):
            return row
        row.label = step.label or row.label
        if step.kind == "create":
            self._gone(row, step, {})
        if step.kind != "undo":
            row.state = "dormant" if step.kind == "sleep" else "active"
        for side in SIDES:
            outcome = sent.get(side)
            after = outcome.after if isinstance(outcome, Written) else step.body.seen(side)
            if isinstance(outcome, Written) or (after is not None and step.kind != "undo"):
                assert after is not None
                row.put(side, after)
        if step.kind == "create":
            self._owe(row, step, sent)
        return row

    def _numbers_again(
        self,
        born: Sequence[CouplingRow],
        keep: Sequence[CouplingRow],
        sent: Mapping[str, Mapping[Side, Outcome | None]],
    ) -> None:
        """Numbers that a system gave to new records and had given before: those of then are gone.

        It was put back from a backup. Who was coupled with them is looked at again, and stands
        beside no record there until then.
        """
        here = {row.id: row for row in keep}
        for side in SIDES:
            given = {
                record: row.id
                for row in born
                if isinstance(sent.get(row.id, {}).get(side), Written)
                and (record := row.record(side))
            }
            if not given:
                continue
            known = self._store.couplings.by_record(self._line.entity, side, given)
            before = {row.id: row for row in known.values()} | here
            lost = [
                row
                for row in before.values()
                if given.get(row.record(side) or "", row.id) != row.id
            ]
            for row in lost:
                gone = Gone(resource=self._line.lanes[side].resource, id=row.record(side) or "")
                row.stand(side, None, gone)
                kept = row.record(other(side))
                if kept:
                    self._store.inbox.wait(
                        row.entity, other(side), kept, reason="its partner's number is another's"
                    )
            # Before the new ones are saved: a number is in one coupling at a time.
            self._store.couplings.save(lost, in_step=False)

    def _gone(
        self, row: CouplingRow, step: PlannedStep, sent: Mapping[Side, Outcome | None]
    ) -> None:
        """The records that are gone leave the coupling; who was with whom is remembered."""
        lost = []
        for side in SIDES:
            outcome = sent.get(side)
            deleted = isinstance(outcome, Written) and isinstance(outcome.after, Gone)
            if deleted or isinstance(step.body.seen(side), Gone):
                lost.append(side)
        if lost and row.crm_id and row.erp_id:
            self._over.append(
                FormerPair(
                    entity=row.entity,
                    crm_id=row.crm_id,
                    erp_id=row.erp_id,
                    coupling=row.id,
                    crm_base=row.crm_base,
                    erp_base=row.erp_base,
                    asked=WHOLE in step.body.closed,
                )
            )
        for side in lost:
            self._lost.append((side, row.record(side) or ""))
            row.stand(side, None)

    def _part(self, new: Sequence[CouplingRow]) -> None:
        """What is remembered of the pairs that ended; and of those that are pairs (again) by now.

        What was read of a record that is gone is forgotten: should it come back, it is new.
        """
        self._store.couplings.remember(self._over)
        asked = [(one.crm_id, one.erp_id) for one in self._over if one.asked]
        self._store.inbox.forget_same(self._line.entity, asked)
        for side, record in self._lost:
            self._store.replica.remove(self._line.entity, side, [record])
        crm_ids = [row.crm_id for row in new if row.crm_id and row.erp_id]
        self._store.couplings.together_again(self._line.entity, crm_ids)
        self._store.inbox.pairs_again([row.id for row in new])
        self._over, self._lost = [], []

    def _owe(
        self, row: CouplingRow, step: PlannedStep, sent: Mapping[Side, Outcome | None]
    ) -> None:
        """What the new record got from its own system (a number, a default) goes across next.

        The base is kept without it, so that the next pass finds it as something new.
        """
        for side, outcome in sent.items():
            after = outcome.after if isinstance(outcome, Written) else None
            if not isinstance(after, Record):
                continue
            given = step.body.writes.get(side, {})
            names = {
                name: filled
                for name, natives in self._supplies[side].items()
                if name not in given
                and (filled := [n for n in natives if after.fields.get(n) not in _NOTHING])
            }
            own = {native for filled in names.values() for native in filled}
            if own and not self._known(side, after, step.body.seen(other(side)), names):
                kept = {name: value for name, value in after.fields.items() if name not in own}
                row.put(side, structs.replace(after, fields=kept))
                self.owing[side, after.id] = after

    def _known(
        self, side: Side, after: Record, seen: Record | Gone | None, names: Iterable[str]
    ) -> bool:
        """Does the other side have these values already, so that nothing is left to be told?"""
        mapper = self._line.lanes[side].mapper
        if not isinstance(seen, Record) or any(name in mapper.references for name in names):
            return False
        try:
            here = mapper.get(after, _unlinked)
            there = self._line.lanes[other(side)].mapper.get(seen, _unlinked)
        except BadValue:
            return False
        return all(same(here.get(name), there.get(name)) for name in names)

    def _half(
        self, step: PlannedStep, known: CouplingRow | None, sent: Mapping[Side, Outcome | None]
    ) -> CouplingRow | None:
        """One of two writes succeeded: its side's base moves, but for what the other did not get.

        Else what that side made of the value (cut, rounded) would look like an edit next time.
        """
        if known is None or len(sent) < 2:
            return None
        for side in SIDES:
            outcome, base = sent.get(side), known.base(side)
            if not isinstance(outcome, Written) or not isinstance(base, Record):
                continue
            after = outcome.after
            if not isinstance(after, Record):
                continue
            natives = self._line.lanes[side].mapper.natives
            waiting = {
                native
                for name in step.body.writes.get(other(side), {})
                for native in natives.get(name, ())
            }
            kept = {name: base.fields[name] for name in waiting if name in base.fields}
            moved = Record(
                resource=after.resource,
                id=after.id,
                version=base.version,
                fields={**after.fields, **kept},
            )
            known.put(side, moved)
            return known
        return None

    def _follow(self, row: CouplingRow, side: Side, record: str) -> None:
        """Couple to the record that the old one was merged into; the next pass merges fields."""
        self._store.replica.remove(row.entity, side, [row.record(side) or ""])
        row.stand(side, record)
        self._store.inbox.wait(row.entity, side, record, reason="follows a merge")
        self._store.inbox.try_dependants(row.entity)

    def _inbox(self, step: PlannedStep) -> None:
        inbox = self._store.inbox
        if step.kind == "review":
            score, _, reasons = step.body.reason.partition(": ")
            inbox.propose(
                step.entity,
                step.crm_id or "",
                step.erp_id or "",
                score=float(score),
                reasons=reasons.split("; "),
            )
            return
        self._conflicts(step)
        if step.body.closed:
            inbox.close_conflicts(step.coupling, step.body.closed)
        if step.kind in ("uncouple", "delete"):
            inbox.pair_over(step.coupling)
        if step.body.notices:
            inbox.add_notices(self._run, step.coupling, step.entity, step.label, step.body.notices)

    def _conflicts(self, step: PlannedStep) -> None:
        if step.body.conflicts:
            self._store.inbox.open_conflicts(
                self._run, step.coupling, step.entity, step.label, step.body.conflicts
            )

    def _replaced(
        self,
        step: PlannedStep,
        sent: Mapping[Side, Outcome | None],
        perhaps: Sequence[FieldNotice],
    ) -> None:
        """One of two writes was done: what it replaced is told, though the step is not settled."""
        told = [one for one in step.body.notices if isinstance(sent.get(one.side), Written)]
        told += perhaps
        if told:
            self._store.inbox.add_notices(self._run, step.coupling, step.entity, step.label, told)

    def _tidy(self, rows: Sequence[CouplingRow]) -> None:
        """Replicas of coupled records, what waited for them, and moot proposals."""
        entity = self._line.entity
        for side in SIDES:
            records = [r for row in rows if (r := row.record(side))]
            following = {r.record(side) for r in rows if r.base(side) is None}
            settled = [r for r in records if r not in following]
            self._store.replica.settle(entity, side, records, coupled=True)
            self._store.inbox.done_waiting(entity, side, settled)
            self._store.inbox.healed(entity, side, settled)
            self._store.inbox.arrived(f"{entity}:{side}:{record}" for record in records)
        crm_ids = [row.crm_id for row in rows if row.crm_id and row.erp_id]
        erp_ids = [row.erp_id for row in rows if row.crm_id and row.erp_id]
        if crm_ids:
            self._store.inbox.close_reviews(entity, crm_ids, erp_ids)

    def _failed(
        self, step: PlannedStep, failure: Failure, sent: Mapping[Side, Outcome | None]
    ) -> None:
        """Count it against the record that the value comes from, and see to another try."""
        side = _blamed(step, sent)
        record = step.record(side) or step.record(other(side)) or ""
        side = side if step.record(side) else other(side)
        seen = step.body.seen(side)
        state = "waiting" if failure.transient else "refused"
        self._store.runs.mark_steps(self._run, [step.number], state, failure.reason)
        inbox = self._store.inbox
        if failure.transient:
            # Both sides are read again: what was refused as stale has moved without a notice.
            for each in SIDES:
                if each == side or step.record(each):
                    inbox.wait(
                        step.entity, each, step.record(each) or record, reason=failure.reason
                    )
            return
        quarantined = inbox.failed(
            step.entity,
            side,
            record,
            label=step.label,
            reason=failure.reason,
            remedy=failure.remedy,
            coupling=step.coupling,
            version=seen.version if isinstance(seen, Record) else "",
        )
        if quarantined:
            inbox.done_waiting(step.entity, side, [record])
        else:
            inbox.wait(step.entity, side, record, reason=failure.reason)


def _failure(step: PlannedStep, sent: Mapping[Side, Outcome | None]) -> Failure | None:
    """The first trouble among a step's outcomes."""
    for side, outcome in sent.items():
        where = "the CRM" if side == "crm" else "the ERP"
        if outcome is None:
            return Failure(reason=f"{where} did not get it", transient=True)
        if isinstance(outcome, Unknown):
            return Failure(reason=f"{where}: {outcome.message}", transient=True)
        if isinstance(outcome, Refused):
            # Gone meanwhile: both sides are read again, and the deletion is decided upon.
            gone = outcome.reason == "missing" and step.record(side) is not None
            if gone or outcome.reason in ("stale", "locked"):
                return Failure(reason=f"{where}: {outcome.message}", transient=True)
            named = f" ({', '.join(outcome.fields)})" if outcome.fields else ""
            return Failure(
                reason=f"{where} refused it{named}: {outcome.message}",
                remedy=_REMEDY.get(outcome.reason, ""),
            )
    return None


def _blamed(step: PlannedStep, sent: Mapping[Side, Outcome | None]) -> Side:
    """The side that the refused value comes from."""
    for side, outcome in sent.items():
        if not isinstance(outcome, Written):
            return other(side)
    writing = next((side for side in SIDES if side in step.body.writes), "erp")
    return other("crm" if writing == "crm" else "erp")


def _unlinked(entity: str, record: str) -> None:
    """No link is looked up: references are not what is compared."""
