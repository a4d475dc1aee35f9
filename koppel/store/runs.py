"""Runs and the steps of their plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from django.db.models import Count, Max

from koppel.errors import NeedsUser
from koppel.store.codec import decode, decode_record, encode, encode_record
from koppel.store.models import Run, Step
from koppel.store.opening import Clock
from koppel.store.values import NativeWrite, PlannedStep, StepBody
from koppel.sync.state import FieldChange, FieldConflict, FieldNotice


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
        selection: Mapping[str, Any] | None = None,
        undoes: int | None = None,
    ) -> Run:
        """A new run in the state `planning`."""
        return Run.objects.create(
            kind=kind,
            state="planning",
            trigger=trigger,
            user=user,
            started_at=self._clock(),
            selection=selection,
            undoes_id=undoes,
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
        """The newest runs."""
        return list(Run.objects.order_by("-id")[:limit])

    def last(self, *, state: str | None = None, kind: str | None = None) -> Run | None:
        """The newest run of a state or kind."""
        rows = Run.objects.order_by("-id")
        if state:
            rows = rows.filter(state=state)
        if kind:
            rows = rows.filter(kind=kind)
        return rows.first()

    def abandon_unfinished(self, keep: int) -> int:
        """Runs that a crash left behind: their plans are void, for the cursors never moved."""
        rows = Run.objects.filter(state__in=["planning", "applying"]).exclude(id=keep)
        return rows.update(state="interrupted", ended_at=self._clock())

    def supersede(self, keep: int) -> None:
        """Plans that wait (ready, held) are void once another plan was made."""
        Run.objects.filter(state__in=["ready", "held"]).exclude(id=keep).update(
            state="superseded", ended_at=self._clock()
        )

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
        Step.objects.bulk_create(
            [
                Step(
                    run_id=run.id,
                    number=step.number,
                    entity=step.entity,
                    coupling=step.coupling,
                    kind=step.kind,
                    state=step.state,
                    label=step.label,
                    crm_id=step.crm_id,
                    erp_id=step.erp_id,
                    body=encode_body(step.body),
                    message=step.message,
                )
                for step in steps
            ],
            batch_size=200,
        )

    def next_number(self, run: Run) -> int:
        """The number of the next step."""
        top = Step.objects.filter(run_id=run.id).aggregate(top=Max("number"))["top"]
        return 1 if top is None else top + 1

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
        while True:
            rows = Step.objects.filter(run_id=number, number__gt=last).order_by("number")
            if state:
                rows = rows.filter(state=state)
            if kinds:
                rows = rows.filter(kind__in=list(kinds))
            found = list(rows[:page])
            if not found:
                return
            last = found[-1].number
            yield [_step(row) for row in found]

    def mark_steps(self, run: Run, numbers: Iterable[int], state: str, message: str = "") -> None:
        """Set the state of steps."""
        wanted = list(numbers)
        for start in range(0, len(wanted), 400):
            Step.objects.filter(run_id=run.id, number__in=wanted[start : start + 400]).update(
                state=state, message=message
            )

    def count_steps(self, run: Run | int) -> dict[str, int]:
        """Kind -> number of steps, and `kind:state` likewise."""
        counts: dict[str, int] = {}
        number = run if isinstance(run, int) else run.id
        rows = Step.objects.filter(run_id=number).values_list("kind", "state")
        for kind, state, many in rows.annotate(many=Count("id")):
            counts[kind] = counts.get(kind, 0) + many
            counts[f"{kind}:{state}"] = many
        return counts

    def planned_link(
        self, run: Run, entity: str, side: str, records: Sequence[str]
    ) -> dict[str, str]:
        """Native id -> coupling id of couplings that this plan is going to make."""
        found: dict[str, str] = {}
        for start in range(0, len(records), 400):
            rows = Step.objects.filter(
                run_id=run.id,
                entity=entity,
                kind__in=["couple", "create", "follow"],
                **{f"{side}_id__in": records[start : start + 400]},
            )
            found.update(rows.values_list(f"{side}_id", "coupling"))
        return found


def encode_body(body: StepBody) -> bytes:
    """A step's body as bytes."""
    return encode(
        {
            "reason": body.reason,
            "writes": body.writes,
            "native": {side: msgspec.structs.asdict(w) for side, w in body.native.items()},
            "changes": [list(msgspec.structs.astuple(change)) for change in body.changes],
            "conflicts": [list(msgspec.structs.astuple(item)) for item in body.conflicts],
            "notices": [list(msgspec.structs.astuple(item)) for item in body.notices],
            "closed": list(body.closed),
            "crm": (encode_record(body.crm) or b"").decode(),
            "erp": (encode_record(body.erp) or b"").decode(),
            "refused": list(body.refused),
            "undoes": list(body.undoes),
        }
    )


def decode_body(raw: bytes | memoryview) -> StepBody:
    """The value of `encode_body`."""
    value = decode(raw)
    return StepBody(
        reason=value["reason"],
        writes=value["writes"],
        native={side: NativeWrite(**write) for side, write in value["native"].items()},
        changes=decode_items(FieldChange, value["changes"]),
        conflicts=decode_items(FieldConflict, value["conflicts"]),
        notices=decode_items(FieldNotice, value["notices"]),
        closed=tuple(value["closed"]),
        crm=decode_record(value["crm"].encode() or None),
        erp=decode_record(value["erp"].encode() or None),
        refused=tuple(value["refused"]),
        undoes=tuple(value["undoes"]),
    )


def decode_items(kind: Any, rows: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    """Structs from their tuples."""
    names = kind.__struct_fields__
    return tuple(kind(**dict(zip(names, row, strict=True))) for row in rows)


def _step(row: Step) -> PlannedStep:
    return PlannedStep(
        number=row.number,
        entity=row.entity,
        coupling=row.coupling,
        kind=row.kind,
        label=row.label,
        crm_id=row.crm_id,
        erp_id=row.erp_id,
        state=row.state,
        message=row.message,
        body=decode_body(row.body),
    )
