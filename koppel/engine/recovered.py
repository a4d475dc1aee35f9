"""What a recovered write leaves as a base: only what the write itself did.

After a crash or a lost answer the system is asked what became of a write, and shows the record as
it is by now. Somebody may have edited it since. What was not written is therefore taken from what
was seen before the write, so that the edit is still an edit in the next run; and the version is
left out then, so that the next run looks.

Where such an edit hides whether the write was done at all, it is done again; what it may have
replaced is told at once, for the next plan would not see it any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from koppel.connectors.base import Gone, Outcome, Record, Update, Write, Written
from koppel.engine.lines import Lane
from koppel.engine.links import unlinked
from koppel.mapping.faults import BadValue
from koppel.store.values import PlannedStep
from koppel.sync.merge import same
from koppel.sync.state import FieldNotice


def as_written(write: Write, seen: Record | Gone | None, outcome: Outcome) -> Outcome:
    """The outcome without what others did to the record since."""
    if not isinstance(outcome, Written) or not isinstance(write, Update):
        return outcome
    after = outcome.after
    if not isinstance(after, Record) or not isinstance(seen, Record):
        return outcome
    fields = {name: _field(name, write, seen, value) for name, value in after.fields.items()}
    if fields == after.fields:
        return outcome
    return Written(after=replace(after, fields=fields, version=""))


def perhaps_replaced(lane: Lane, step: PlannedStep, write: Write) -> list[FieldNotice]:
    """Of a write that shows no trace: the notices about values that do not stand there any more.

    The record is read; raises what connectors raise.
    """
    notices = [one for one in step.body.notices if one.side == lane.side]
    if not notices or not isinstance(write, Update):
        return []
    now = lane.fetch([write.id])[write.id]
    if not isinstance(now, Record) or now.version == write.expected:
        return []
    try:
        # Without links: of references no notice is told.
        canonical = lane.mapper.get(now, unlinked)
    except BadValue:
        return notices
    return [one for one in notices if not same(canonical.get(one.field), one.lost)]


def _field(name: str, write: Update, seen: Record, now: Any) -> Any:
    before: Any = seen.fields.get(name)
    if name not in write.fields:
        return before if name in seen.fields else now
    sent = write.fields[name]
    if _children(before) and _children(sent) and _children(now):
        return list(_kept(before, sent, now))
    return now


def _children(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(child, Mapping) and (child.get("id") is not None or "id" not in child)
        for child in value
    )


def _kept(
    before: Sequence[Mapping[str, Any]],
    sent: Sequence[Mapping[str, Any]],
    now: Sequence[Mapping[str, Any]],
) -> Iterator[Mapping[str, Any]]:
    """Of a list of children: those that the write changed as they are now, the others as before."""
    old = {child["id"]: child for child in before if "id" in child}
    given = {child["id"]: child for child in sent if child.get("id") is not None}
    left_alone = {
        id
        for id, child in given.items()
        if id in old and all(old[id].get(name) == value for name, value in child.items())
    }
    new = len(sent) - len(given)
    there = set()
    for child in now:
        id = child.get("id")
        there.add(id)
        if id in left_alone:
            yield old[id]
        elif id in old:
            yield child
        elif new:
            new -= 1
            yield child
    for id in old:
        if id in left_alone and id not in there:
            yield old[id]
