"""The journal: intent before a write, outcome after it, and both contents."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.connectors.base import Create, Gone, Record, Write
from koppel.errors import NeedsUser
from koppel.store import bulk
from koppel.store.changes import journalled
from koppel.store.codec import encode_record, encode_write
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
        now = bulk.moment(self._clock())
        # A create that did not happen is tried again under its key; so it has one entry, as before.
        bulk.execute(
            "DELETE FROM store_journal WHERE state = 'void' AND key IN ({ids})",
            [write.key for _, write in planned if isinstance(write, Create)],
        )
        bulk.insert(
            Journal,
            (
                "key", "run_id", "step", "entity", "coupling", "side", "resource", "record",
                "state", "write", "before", "changes", "message", "intent_at",
            ),
            [
                (
                    write.key, run.id, step.number, step.entity, step.coupling, side,
                    write.resource, step.record(side) or "", "intent", encode_write(write),
                    encode_record(step.body.seen(side)), journalled(step.body.changes, side),
                    "", now,
                )
                for step, write in planned
            ],
        )  # fmt: skip

    def settle(self, outcomes: Sequence[tuple[str, str, Record | Gone | None, str]]) -> None:
        """Outcomes as (key, state, after, message); states: done, refused, void, unknown."""
        now = bulk.moment(self._clock())
        told = ("state", "message", "outcome_at", "after")
        bulk.update(
            Journal,
            (*told, "record"),
            ("key",),
            [
                (state, message, now, encode_record(after), after.id, key)
                for key, state, after, message in outcomes
                if after is not None
            ],
        )
        bulk.update(
            Journal,
            told,
            ("key",),
            [
                (state, message, now, None, key)
                for key, state, after, message in outcomes
                if after is None
            ],
        )

    def open_intents(self) -> list[Journal]:
        """Writes of which no outcome is known: a crash, or an answer that was lost."""
        return list(Journal.objects.filter(state__in=["intent", "unknown"]).order_by("id"))

    def of_run(self, run: int) -> list[Journal]:
        """All entries of a run, oldest first."""
        return list(Journal.objects.filter(run_id=run).order_by("id"))

    def count(self, run: int) -> int:
        """How many writes of a run were carried out."""
        sql = "SELECT COUNT(*) FROM store_journal WHERE run_id = %s AND state = 'done'"
        return int(bulk.ask(sql, run)[0][0])

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
