"""Erasing one person from both systems and from Koppel: a plan first, then by a person's word.

On each side the fields that tell who it is are blanked, and then the record is deleted the way the
system's own user would: a trash, or a record on which documents hang, keeps no name. Where tax law
wants documents kept, the record stays with what a document has to name, and the plan says until
when. Nothing of it is journalled with values. It may be stopped and repeated at any instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET

from koppel.connectors.base import Delete, Gone, Outcome, Record, Refused, Unknown, Update, Written
from koppel.engine.lines import Lane, Line
from koppel.engine.runner import Engine
from koppel.errors import NeedsUser
from koppel.mapping.faults import BadValue, Unresolved
from koppel.model import PARTS, Address, agree
from koppel.store import Store, retention
from koppel.store.people_models import Erasure
from koppel.store.personal import ENTITIES, Subject
from koppel.store.retention import Kept
from koppel.sync.rule import SIDES, Side

ROUNDS = 12
"""So many times a record is blanked, one further phone or address each time."""
NAMES: Mapping[str, str] = {"partner": "name", "contact": "family_name"}
"""The field that takes the pseudonym, for a record without a name cannot be."""
TOLD_BY_DOCUMENTS = frozenset(
    ("name", "billing_address", "tax_id", "tax_number", "registration_id")
)
"""What an invoice has to name of the customer (Directive 2006/112/EC, Art. 226)."""
OF_THE_HOUSE = frozenset(
    ("kind", "number", "roles", "active", "payment_terms", "sector", "language", "partner")
)
"""What says nothing of the person without the rest."""


def plan(engine: Engine, subject: Subject, today: date, *, user: str) -> Erasure:
    """What would be done on each side and in the store; nothing is changed yet."""
    store = engine.store
    if subject.entity not in ENTITIES:
        raise NeedsUser(f"'{subject.entity}' is not about people")
    rules = retention.live(store.documents)
    kept = retention.kept(rules, store.personal.documents(subject), today)
    steps = []
    with engine.alone([subject.entity]) as lines:
        line = _line(lines, subject)
        for side, number in subject.records.items():
            lane = line.lanes[side]
            current = lane.fetch([number])[number]
            steps.append(_step(lane, number, current, [one for one in kept if one.side == side]))
    row = Erasure.objects.create(
        entity=subject.entity,
        records=dict(subject.records),
        label=subject.label,
        steps=steps,
        kept=msgspec.to_builtins(kept),
        store=store.personal.gather(subject).counts(),
        made_by=user,
        made_at=store.clock(),
    )
    store.audit_log.write(user, "plan erasure", f"erasure {row.id}", **_numbers(row))
    return row


def reject(store: Store, row: Erasure, *, user: str) -> None:
    """Leave the person as is; the plan keeps no name."""
    if row.state not in ("planned", "partly"):
        raise NeedsUser(f"erasure {row.id} is {row.state}")
    Erasure.objects.filter(id=row.id).update(state="rejected", label="", ended_at=store.clock())
    store.audit_log.write(user, "reject erasure", f"erasure {row.id}", **_numbers(row))


def carry_out(engine: Engine, number: int, *, user: str) -> Erasure:
    """Carry an approved plan out, and take the person out of the store.

    Where a side did not do its part the erasure is `partly` done, and can be carried out again.
    Raises `TryLater` where a system is away: then nothing of the store is gone yet.
    """
    store = engine.store
    row = Erasure.objects.filter(id=number).first()
    if row is None:
        raise NeedsUser(f"there is no erasure {number}", remedy="List: koppel person erasures")
    if row.state not in ("planned", "partly"):
        raise NeedsUser(f"erasure {number} is {row.state}", remedy="Make a new plan")
    pseudonym = f"Erased-{row.id}"
    with engine.alone([row.entity]) as lines:
        subject = subject_of(store, row)
        line = _line(lines, subject)
        steps = [_do(line.lanes[_side(step)], step, row.id, pseudonym) for step in row.steps]
        stays = [_side(step) for step in steps if step["record_is"] != "gone"]
        partly = any(step["said"] for step in steps)
        done = store.personal.forget(subject, pseudonym, stays)
        Erasure.objects.filter(id=row.id).update(
            state="partly" if partly else "done",
            label=pseudonym,
            steps=steps,
            store=done or row.store,
            approved_by=user,
            ended_at=store.clock(),
        )
        store.audit_log.write(
            user, "erase person", f"erasure {row.id}", **_numbers(row), partly=partly
        )
    row.refresh_from_db()
    return row


def subject_of(store: Store, row: Erasure) -> Subject:
    """Who it is about, as far as the store still knows."""
    records: dict[Side, str] = {side: row.records[side] for side in SIDES if side in row.records}
    couplings: list[str] = []
    label = row.label
    for side, record in records.items():
        found = store.personal.subject(row.entity, side, record)
        if found is not None:
            couplings += found.couplings
            label = label or found.label
    return Subject(
        entity=row.entity, records=records, couplings=tuple(dict.fromkeys(couplings)), label=label
    )


def _line(lines: Mapping[str, Line], subject: Subject) -> Line:
    if subject.entity not in lines:
        raise NeedsUser(f"no rule is about '{subject.entity}'")
    return lines[subject.entity]


def _side(step: Mapping[str, Any]) -> Side:
    return "crm" if step["side"] == "crm" else "erp"


def _numbers(row: Erasure) -> dict[str, Any]:
    return {"entity": row.entity, "records": dict(row.records)}


def _step(lane: Lane, number: str, current: Record | Gone, kept: Sequence[Kept]) -> dict[str, Any]:
    """One side's part: `erase` (blank and delete), `reduce` (blank what no document needs)."""
    step = {"side": lane.side, "record": number, "record_is": "there", "said": "", "until": ""}
    if isinstance(current, Gone) and not current.trashed:
        return {**step, "does": "nothing", "record_is": "gone", "fields": []}
    fields = [] if isinstance(current, Gone) else sorted(_blank(lane, current, bool(kept), ""))
    if kept:
        until = max(one.until for one in kept).isoformat()
        return {**step, "does": "reduce", "until": until, "fields": fields}
    return {**step, "does": "erase", "fields": fields}


def _blank(lane: Lane, record: Record, reduced: bool, pseudonym: str) -> dict[str, Any]:
    """Canonical changes that take the person out of a record; only of fields that hold a value."""
    try:
        now = lane.mapper.get(record, _nowhere)
    except BadValue:
        # A value that cannot be read can be cleared all the same.
        now = dict.fromkeys(lane.mapper.fields, "")
    stay = OF_THE_HOUSE | (TOLD_BY_DOCUMENTS if reduced else frozenset())
    found: dict[str, Any] = {}
    for name, value in now.items():
        if name not in lane.mapper.writable or name in stay or value is None:
            continue
        blank = _without(value, name == NAMES[lane.mapper.entity], pseudonym)
        if not agree(value, blank):
            found[name] = blank
    return found


def _without(value: Any, is_name: bool, pseudonym: str) -> Any:
    """What takes the place of a value: a system may keep an address that was merely cleared."""
    if isinstance(value, Address):
        known = [part for part in PARTS if getattr(value, part) is not UNSET]
        told = {**dict.fromkeys(known), "line1": pseudonym or None, "country": value.country}
        return Address(**told)
    return pseudonym if is_name else None


def _nowhere(_entity: str, _id: str) -> str | None:
    return None


def _do(lane: Lane, step: Mapping[str, Any], number: int, pseudonym: str) -> dict[str, Any]:
    """Do one side's part, and tell what became of the record and what the system refused."""
    record = str(step["record"])
    current = lane.fetch([record])[record]
    if isinstance(current, Gone) and not current.trashed:
        return {**step, "record_is": "gone", "said": ""}
    reduced = step["does"] == "reduce"
    said: list[str] = []
    key = f"erase-{number}-{lane.side}"
    if isinstance(current, Record):
        current, said = _blanked(lane, current, reduced, pseudonym, key)
    if reduced:
        return {**step, "record_is": "reduced", "said": " ".join(said)}
    deleted = _written(lane, Delete(resource=lane.resource, key=f"{key}-delete", id=record))
    if isinstance(deleted, Written):
        trashed = isinstance(deleted.after, Gone) and deleted.after.trashed
        # In the trash there is a record without a name, or with one where blanking was refused.
        return {**step, "record_is": "trashed" if trashed else "gone",
                "said": " ".join(said) if trashed else ""}  # fmt: skip
    if deleted.message and said:
        said.append(deleted.message)
    return {**step, "record_is": "blank", "said": " ".join(said)}


def _blanked(
    lane: Lane, record: Record, reduced: bool, pseudonym: str, key: str
) -> tuple[Record | Gone, list[str]]:
    """The record as it is afterwards, and what is wrong with it.

    Where a second phone or address comes forward once the first is gone, that goes next; where
    somebody edited the record meanwhile, it is looked at again.
    """
    current: Record | Gone = record
    for attempt in range(ROUNDS):
        if not isinstance(current, Record):
            return current, []
        try:
            wanted = _blank(lane, current, reduced, pseudonym)
            fields = lane.mapper.put(wanted, current, _nowhere)
        except (BadValue, Unresolved) as error:
            return current, [str(error)]
        if not fields:
            return current, [f"It keeps: {', '.join(sorted(wanted))}."] if wanted else []
        write = Update(
            resource=lane.resource,
            key=f"{key}-{attempt}-{current.version[-40:]}",
            id=current.id,
            expected=current.version,
            fields=fields,
        )
        outcome = _written(lane, write)
        if isinstance(outcome, Written):
            current = outcome.after
        elif isinstance(outcome, Refused) and outcome.reason == "stale":
            current = lane.fetch([record.id])[record.id]
        else:
            return current, [outcome.message]
    return current, ["It was edited again and again meanwhile."]


def _written(lane: Lane, write: Update | Delete) -> Outcome:
    """The outcome of one write; asked for again where the answer was lost."""
    (outcome,) = lane.connector.write([write])
    if isinstance(outcome, Unknown):
        return lane.connector.recover(write) or outcome
    return outcome
