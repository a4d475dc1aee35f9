"""Runs and the steps of their plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from django.db.models import Q

from koppel import typed
from koppel.connectors.base import Gone, Record
from koppel.errors import NeedsUser
from koppel.store import bulk
from koppel.store.changes import KeptChanges, decode_items, encode_items
from koppel.store.codec import decode, decode_record, encode, encode_record
from koppel.store.models import Run, Step
from koppel.store.opening import Clock
from koppel.store.values import NativeWrite, PlannedStep, StepBody
from koppel.sync.rule import Side
from koppel.sync.state import FieldConflict, FieldNotice

ROUTINE = ("poll", "hint")
"""What triggers runs all the time: they are kept only if they had something to do."""

_COLUMNS = (
    "number", "entity", "coupling", "kind", "label", "crm_id", "erp_id", "state", "message",
    "body",
)  # fmt: skip
_NONE = msgspec.Raw(b"null")


def _plain(selection: Mapping[str, Mapping[Side, Iterable[str]]]) -> dict[str, Any]:
    return {
        entity: {side: list(records) for side, records in sides.items()}
        for entity, sides in selection.items()
    }


class RunStore:
    """Reads and writes runs and steps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(
        self,
        kind: str,
        *,
        trigger: str = "",
        user: str = "",
        selection: Mapping[str, Mapping[Side, Iterable[str]]] | None = None,
        undoes: int | None = None,
        scope: str = "",
    ) -> Run:
        """A new run in the state `planning`. `scope`: the pairs that it is about, line by line."""
        return Run.objects.create(
            kind=kind,
            state="planning",
            trigger=trigger,
            user=user,
            started_at=self._clock(),
            selection=None if selection is None else _plain(selection),
            undoes_id=undoes,
            scope=scope,
        )

    def get(self, number: int) -> Run:
        """A run by number; `NeedsUser` where there is none."""
        try:
            return Run.objects.get(id=number)
        except Run.DoesNotExist:
            raise NeedsUser(
                f"there is no run {number}", remedy="List the runs with: koppel status"
            ) from None

    def recent(self, limit: int = 20) -> list[Run]:
        """The newest runs; not those that look for changes, before they have found some."""
        looking = Q(state="planning", trigger__in=ROUTINE)
        return list(Run.objects.exclude(looking).order_by("-id")[:limit])

    def last(self, *, state: str | None = None, kind: str | None = None) -> Run | None:
        """The newest run of a state or kind."""
        rows = Run.objects.order_by("-id")
        if state:
            rows = rows.filter(state=state)
        if kind:
            rows = rows.filter(kind=kind)
        return rows.first()

    def standing(self, trigger: str) -> list[Run]:
        """Runs of a trigger that wrote, or were killed while they did, and are not undone."""
        undone = Run.objects.filter(undoes__isnull=False, state="done").values("undoes")
        rows = Run.objects.filter(
            trigger=trigger, state__in=["done", "waiting", "interrupted", "applying"]
        )
        return list(rows.exclude(id__in=undone).order_by("id"))

    def abandon_unfinished(self, keep: Run) -> int:
        """Runs that a crash left behind: their plans are void, for the cursors never moved.

        Only those about pairs of `keep`, whose leases its maker holds; others may be under way.
        """
        return self._close(keep, ["planning", "applying"], "interrupted")

    def supersede(self, keep: Run) -> None:
        """Plans that wait (ready, held) are void once another plan about their pairs was made.

        The plan of an undo is not, but by another undo: it names the versions that it was made
        from, and polling would else void it while a person still reads it.
        """
        self._close(keep, ["ready", "held"], "superseded", undo=keep.kind == "undo")

    def _close(self, keep: Run, states: Sequence[str], state: str, *, undo: bool = True) -> int:
        sql = "SELECT id, scope, kind FROM store_run WHERE state IN (%s, %s) AND id <> %s"
        rows = bulk.ask(sql, *states, keep.id)
        ids = [
            id for id, scope, kind in rows if meet(scope, keep.scope) and (undo or kind != "undo")
        ]
        if not ids:
            return 0
        return Run.objects.filter(id__in=ids).update(state=state, ended_at=self._clock())

    def held(self, pair: str = "") -> Run | None:
        """The newest plan about a pair (default: any) that waits for a person."""
        rows = Run.objects.filter(state="held").order_by("-id")
        return next((row for row in rows if not pair or meet(row.scope, pair)), None)

    def update(self, run: Run, **values: Any) -> None:
        """Set columns of a run, in the row and in the value."""
        for name, value in values.items():
            setattr(run, name, value)
        run.save(update_fields=list(values))

    def end(self, run: Run, state: str, **values: Any) -> None:
        """Close a run."""
        self.update(run, state=state, ended_at=self._clock(), **values)

    def forget(self, run: Run) -> None:
        """Drop a run that had nothing to do; the value stays usable, as done."""
        Run.objects.filter(id=run.id).delete()
        run.state, run.ended_at = "done", self._clock()

    def add_steps(self, run: Run, steps: Sequence[PlannedStep]) -> None:
        """Append a page of the plan."""
        bulk.insert(
            Step,
            ("run_id", *_COLUMNS),
            [
                (
                    run.id, step.number, step.entity, step.coupling, step.kind, step.label,
                    step.crm_id, step.erp_id, step.state, step.message, encode_body(step.body),
                )
                for step in steps
            ],
        )  # fmt: skip

    def drop_steps(self, run: Run, first: int) -> None:
        """Forget the steps of a plan in the making, from this number on."""
        bulk.tell("DELETE FROM store_step WHERE run_id = %s AND number >= %s", run.id, first)

    def next_number(self, run: Run) -> int:
        """The number of the next step."""
        sql = "SELECT COALESCE(MAX(number), 0) + 1 FROM store_step WHERE run_id = %s"
        return int(bulk.ask(sql, run.id)[0][0])

    def steps(
        self,
        run: Run | int,
        *,
        state: str | None = None,
        kinds: Iterable[str] = (),
        page: int = 200,
    ) -> Iterator[list[PlannedStep]]:
        """Pages of steps in their order."""
        last = 0
        number = run if isinstance(run, int) else run.id
        wanted = [*([state] if state else []), *kinds]
        sql = f"SELECT {', '.join(_COLUMNS)} FROM store_step WHERE run_id = %s AND number > %s"
        if state:
            sql += " AND state = %s"
        if len(wanted) > bool(state):
            sql += f" AND kind IN ({', '.join(['%s'] * (len(wanted) - bool(state)))})"
        sql += " ORDER BY number LIMIT %s"
        while True:
            found = bulk.ask(sql, number, last, *wanted, page)
            if found:
                last = found[-1][0]
                yield [_step(row) for row in found]
            if len(found) < page:
                return

    def those(self, run: Run | int, numbers: Iterable[int]) -> dict[int, PlannedStep]:
        """Number -> step, of these steps."""
        sql = f"SELECT {', '.join(_COLUMNS)} FROM store_step"
        sql += " WHERE run_id = %s AND number IN ({ids})"
        id = run if isinstance(run, int) else run.id
        return {row[0]: _step(row) for row in bulk.select(sql, numbers, id)}

    def sources(self, run: Run, page: int = 200) -> Iterator[list[Source]]:
        """Pages of the records that the planned steps of a run were made from."""
        last = 0
        while True:
            rows = bulk.ask(
                "SELECT number, entity, label, body FROM store_step WHERE run_id = %s"
                " AND number > %s AND state = 'planned' ORDER BY number LIMIT %s",
                run.id, last, page,
            )  # fmt: skip
            if rows:
                last = rows[-1][0]
                yield [
                    Source(entity=entity, side=side, id=head.id, version=head.version, label=label)
                    for _, entity, label, body in rows
                    for side, head in _heads(body)
                ]
            if len(rows) < page:
                return

    def planned(self, run: Run) -> dict[tuple[str, Side], int]:
        """Entity and side -> how many records of it the steps are about that are to be done."""
        sql = (
            "SELECT entity, COUNT(crm_id), COUNT(erp_id) FROM store_step"
            " WHERE run_id = %s AND state = 'planned' GROUP BY entity"
        )
        found: dict[tuple[str, Side], int] = {}
        for entity, crm, erp in bulk.ask(sql, run.id):
            found |= {(entity, "crm"): crm, (entity, "erp"): erp}
        return found

    def mark_steps(self, run: Run, numbers: Iterable[int], state: str, message: str = "") -> None:
        """Set the state of steps."""
        bulk.update(
            Step,
            ("state", "message"),
            ("run_id", "number"),
            [(state, message, run.id, number) for number in numbers],
        )

    def count_steps(self, run: Run | int) -> dict[str, int]:
        """Kind -> number of steps, and `kind:state` likewise."""
        counts: dict[str, int] = {}
        number = run if isinstance(run, int) else run.id
        sql = "SELECT kind, state, COUNT(*) FROM store_step WHERE run_id = %s GROUP BY kind, state"
        for kind, state, many in bulk.ask(sql, number):
            counts[kind] = counts.get(kind, 0) + many
            counts[f"{kind}:{state}"] = many
        return counts

    def planned_records(self, run: Run, coupling: str) -> dict[Side, str]:
        """The native ids of a coupling that this plan is going to make."""
        row = Step.objects.filter(run_id=run.id, coupling=coupling).only("crm_id", "erp_id").first()
        found: dict[Side, str | None] = (
            {"crm": row.crm_id, "erp": row.erp_id} if row is not None else {}
        )
        return {side: record for side, record in found.items() if record}

    def planned_link(
        self, run: Run, entity: str, side: str, records: Sequence[str]
    ) -> dict[str, str]:
        """Native id -> coupling id of couplings that this plan is going to make."""
        sql = (
            f"SELECT {side}_id, coupling FROM store_step WHERE run_id = %s AND entity = %s"
            f" AND kind IN ('couple', 'create', 'follow') AND {side}_id IN ({{ids}})"
        )
        return dict(bulk.select(sql, records, run.id, entity))

    def planned_ends(self, run: Run, entity: str, couplings: Sequence[str]) -> set[str]:
        """Those of the couplings that this plan is going to end."""
        sql = (
            "SELECT coupling FROM store_step WHERE run_id = %s AND entity = %s"
            " AND kind IN ('uncouple', 'delete') AND coupling IN ({ids})"
        )
        return {coupling for (coupling,) in bulk.select(sql, couplings, run.id, entity)}


def meet(one: str, other: str) -> bool:
    """Are two runs about a common pair? An empty scope is about all."""
    return not one or not other or not set(one.split("\n")).isdisjoint(other.split("\n"))


class _Body(msgspec.Struct, omit_defaults=True):
    """A step's body on its way into the table; what is empty is left out, records stay bytes."""

    reason: str = ""
    writes: msgspec.Raw = _NONE
    native: msgspec.Raw = _NONE
    changes: msgspec.Raw = _NONE
    conflicts: msgspec.Raw = _NONE
    notices: msgspec.Raw = _NONE
    closed: tuple[str, ...] = ()
    crm: msgspec.Raw = _NONE
    erp: msgspec.Raw = _NONE
    refused: tuple[str, ...] = ()
    undoes: tuple[str, ...] = ()


class Source(msgspec.Struct, frozen=True):
    """A record that a step was made from, as it was then."""

    entity: str
    side: Side
    id: str
    version: str
    label: str


class _Head(msgspec.Struct, array_like=True):
    """The beginning of a record as `encode_record` writes it."""

    resource: str
    id: str
    version: str


class _Heads(msgspec.Struct):
    """A step's body without all that is not asked for. Who is gone stands there as an object."""

    crm: _Head | dict[str, msgspec.Raw] | None = None
    erp: _Head | dict[str, msgspec.Raw] | None = None


_heads_decoder = typed.json_decoder(_Heads)


def _heads(raw: bytes | memoryview) -> Iterator[tuple[Side, _Head]]:
    heads = _heads_decoder.decode(raw)
    if isinstance(heads.crm, _Head):
        yield "crm", heads.crm
    if isinstance(heads.erp, _Head):
        yield "erp", heads.erp


_body_encoder = msgspec.json.Encoder()
_body_decoder = typed.json_decoder(_Body)


def encode_body(body: StepBody) -> bytes:
    """A step's body as bytes."""
    native = {side: msgspec.structs.asdict(write) for side, write in body.native.items()}
    return _body_encoder.encode(
        _Body(
            reason=body.reason,
            writes=_raw(body.writes),
            native=_raw(native),
            changes=_raw_items(body.changes),
            conflicts=_raw_items(body.conflicts),
            notices=_raw_items(body.notices),
            closed=body.closed,
            crm=msgspec.Raw(encode_record(body.crm) or b"null"),
            erp=msgspec.Raw(encode_record(body.erp) or b"null"),
            refused=body.refused,
            undoes=body.undoes,
        )
    )


def decode_body(raw: bytes | memoryview) -> StepBody:
    """The value of `encode_body`."""
    body = _body_decoder.decode(raw)
    return StepBody(
        reason=body.reason,
        writes=_value(body.writes) or {},
        native={side: NativeWrite(**w) for side, w in (_value(body.native) or {}).items()},
        changes=() if body.changes == _NONE else KeptChanges(bytes(body.changes)),
        conflicts=decode_items(FieldConflict, _value(body.conflicts) or ()),
        notices=decode_items(FieldNotice, _value(body.notices) or ()),
        closed=body.closed,
        crm=_record(body.crm),
        erp=_record(body.erp),
        refused=body.refused,
        undoes=body.undoes,
    )


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode(value)) if value else _NONE


def _raw_items(items: Sequence[Any]) -> msgspec.Raw:
    return msgspec.Raw(encode_items(items)) if items else _NONE


def _value(raw: msgspec.Raw) -> Any:
    return None if raw == _NONE else decode(bytes(raw))


def _record(raw: msgspec.Raw) -> Record | Gone | None:
    return None if raw == _NONE else decode_record(bytes(raw))


def _step(row: Sequence[Any]) -> PlannedStep:
    *plain, body = row
    return PlannedStep(**dict(zip(_COLUMNS, plain, strict=False)), body=decode_body(body))
