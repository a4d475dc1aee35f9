"""The journal: intent before a write, outcome after it, and both contents."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.connectors.base import Gone, Record, Write
from koppel.errors import NeedsUser
from koppel.store.codec import encode, encode_record, encode_write
from koppel.store.models import Journal, Run
from koppel.store.opening import Clock
from koppel.store.values import PlannedStep
from koppel.sync.rule import Side


class JournalStore:
    """Writes intents and outcomes; reads them for recovery, undo and history."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def intend(self, run: Run, side: Side, planned: Sequence[tuple[PlannedStep, Write]]) -> None:
        """Write down what is about to be written. Must be committed before it is sent."""
        now = self._clock()
        Journal.objects.bulk_create(
            [
                Journal(
                    key=write.key,
                    run_id=run.id,
                    step=step.number,
                    entity=step.entity,
                    coupling=step.coupling,
                    side=side,
                    resource=write.resource,
                    record=step.record(side) or "",
                    write=encode_write(write),
                    before=encode_record(step.body.seen(side)),
                    changes=encode(
                        [
                            [c.field, c.old, c.new, c.owner, c.why]
                            for c in step.body.changes
                            if c.side == side
                        ]
                    ),
                    intent_at=now,
                )
                for step, write in planned
            ],
            batch_size=200,
        )

    def settle(self, outcomes: Sequence[tuple[str, str, Record | Gone | None, str]]) -> None:
        """Outcomes as (key, state, after, message); states: done, refused, void, unknown."""
        now = self._clock()
        rows = {
            row.key: row
            for start in range(0, len(outcomes), 400)
            for row in Journal.objects.filter(
                key__in=[key for key, *_ in outcomes[start : start + 400]]
            )
        }
        changed = []
        for key, state, after, message in outcomes:
            row = rows[key]
            row.state = state
            row.after = encode_record(after)
            row.message = message
            row.outcome_at = now
            if after is not None:
                row.record = after.id
            changed.append(row)
        Journal.objects.bulk_update(
            changed, ["state", "after", "message", "outcome_at", "record"], batch_size=100
        )

    def open_intents(self) -> list[Journal]:
        """Writes of which no outcome is known: a crash, or an answer that was lost."""
        return list(Journal.objects.filter(state__in=["intent", "unknown"]).order_by("id"))

    def of_run(self, run: int) -> list[Journal]:
        """All entries of a run, oldest first."""
        return list(Journal.objects.filter(run_id=run).order_by("id"))

    def count(self, run: int) -> int:
        """How many writes of a run were carried out."""
        return Journal.objects.filter(run_id=run, state="done").count()

    def last_writing_run(self) -> int:
        """The newest run that wrote something, undo runs excepted; `NeedsUser` if there is none."""
        rows = Journal.objects.filter(state="done").exclude(run__kind="undo")
        newest = rows.order_by("-run_id").values_list("run_id", flat=True).first()
        if newest is None:
            raise NeedsUser("no run has written anything yet; there is nothing to undo")
        return int(newest)

    def of_coupling(self, coupling: str, limit: int = 100) -> list[Journal]:
        """The history of one coupling, newest first."""
        return list(Journal.objects.filter(coupling=coupling).order_by("-id")[:limit])

    def recent(self, limit: int = 50) -> list[Journal]:
        """The newest entries."""
        return list(Journal.objects.order_by("-id")[:limit])
