"""Undo: a plan that takes back what a run wrote, field by field, never over a person's edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from koppel.connectors.base import Create, Gone, Record, Update, Write
from koppel.engine.lines import Line
from koppel.store import Store
from koppel.store.bulk import chunks
from koppel.store.codec import decode_record, decode_write
from koppel.store.models import Run
from koppel.store.values import CouplingRow, NativeWrite, PlannedStep, StepBody
from koppel.sync.rule import SIDES, Side
from koppel.sync.state import FieldChange
from koppel.sync.undo import UndoDecision, invert

PAGE = 100


@dataclass
class _Written:
    """All that a run wrote to one record, taken together."""

    before: Record | Gone | None
    after: Record | Gone | None
    fields: set[str] = field(default_factory=set)


def plan_undo(store: Store, lines: Mapping[str, Line], undone: Run, run: Run) -> int:
    """Write the steps that take `undone` back into `run`; how many there are.

    Children are undone before their parents: the entities in reverse order.
    """
    number = 1
    for entity in reversed(list(lines)):
        written = _written(store, undone, entity)
        for couplings in chunks(written, PAGE):
            part = {coupling: written[coupling] for coupling in couplings}
            page = _page(store, lines[entity], part)
            for step in page:
                step.number = number
                number += 1
            store.runs.add_steps(run, page)
    return number - 1


def _page(
    store: Store, line: Line, written: Mapping[str, Mapping[Side, _Written]]
) -> list[PlannedStep]:
    """The steps of some couplings, with what stands there now read in one call per side."""
    known = store.couplings.by_id(written)
    current = {
        side: line.lanes[side].fetch(
            after.id
            for sides in written.values()
            if side in sides and (after := sides[side].after) is not None
        )
        for side in SIDES
    }
    steps = (
        _step(line, coupling, sides, known.get(coupling), current)
        for coupling, sides in written.items()
    )
    return [step for step in steps if step is not None]


def _written(store: Store, run: Run, entity: str) -> dict[str, dict[Side, _Written]]:
    found: dict[str, dict[Side, _Written]] = {}
    for entry in store.journal.of_run(run.id):
        if entry.state != "done" or entry.entity != entity:
            continue
        side: Side = "crm" if entry.side == "crm" else "erp"
        sides = found.setdefault(entry.coupling, {})
        write = decode_write(entry.write)
        before = None if isinstance(write, Create) else decode_record(entry.before)
        row = sides.setdefault(side, _Written(before=before, after=None))
        row.after = decode_record(entry.after)
        row.fields |= set(_fields(write))
    return found


def _fields(write: Write) -> Iterator[str]:
    if isinstance(write, Create | Update):
        yield from write.fields


def _step(
    line: Line,
    coupling: str,
    sides: Mapping[Side, _Written],
    known: CouplingRow | None,
    found: Mapping[Side, Mapping[str, Record | Gone]],
) -> PlannedStep | None:
    body = StepBody(reason="takes back what the run wrote", undoes=tuple(sides))
    ids: dict[Side, str | None] = {side: known.record(side) if known else None for side in SIDES}
    changes: list[FieldChange] = []
    refused: list[str] = []
    label = known.label if known else ""
    for side, written in sides.items():
        after = written.after
        if after is None:
            continue
        ids[side] = after.id
        lane = line.lanes[side]
        current = found[side][after.id]
        decision = invert(
            _native(written.before), _native(after), _native(current), sorted(written.fields)
        )
        refused += decision.refused
        native = _op(decision)
        if native is None:
            continue
        body.native[side] = native
        changes += _changes(side, decision, current)
        if side == "crm":
            body.crm = current
        else:
            body.erp = current
        if isinstance(current, Record):
            label = lane.mapper.label(current)
    if not body.native and not refused:
        return None
    body.changes, body.refused = tuple(changes), tuple(refused)
    return PlannedStep(
        number=0,
        entity=line.entity,
        coupling=coupling,
        kind="undo",
        label=label,
        crm_id=ids["crm"],
        erp_id=ids["erp"],
        state="planned" if body.native else "refused",
        message=" ".join(refused),
        body=body,
    )


def _op(decision: UndoDecision) -> NativeWrite | None:
    match decision.kind:
        case "update":
            return NativeWrite(op="update", fields=decision.fields)
        case "delete":
            return NativeWrite(op="delete")
        case "create":
            return NativeWrite(op="restore")
        case _:
            return None


def _changes(side: Side, decision: UndoDecision, current: Record | Gone) -> Iterator[FieldChange]:
    fields = current.fields if isinstance(current, Record) else {}
    why = "restores what stood there before the run"
    if decision.kind == "delete":
        yield FieldChange(
            field="(record)", side=side, old="there", new="removed", owner="shared", why=why
        )
    for name, value in decision.fields.items():
        yield FieldChange(
            field=name, side=side, old=fields.get(name), new=value, owner="shared", why=why
        )


def _native(record: Record | Gone | None) -> dict[str, Any] | None:
    return record.fields if isinstance(record, Record) else None
