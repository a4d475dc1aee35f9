"""Processes: which step, since when, why it waits, what it remembers, and its log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from koppel.errors import NeedsUser
from koppel.store.codec import decode, encode
from koppel.store.opening import Clock
from koppel.store.order_models import Process, ProcessEntry

LIVE = ("running", "waiting", "held")
"""running: at work, or to be taken up after a crash. waiting: for a system. held: for a person."""


class ProcessStore:
    """Reads and writes processes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def begin(
        self, kind: str, subject: str, *, key: str, user: str, label: str = ""
    ) -> tuple[Process, bool]:
        """The live process about a subject, made where there is none; was it made just now?"""
        now = self._clock()
        for _ in range(3):
            row = self.live(kind, subject)
            if row is not None:
                return row, False
            try:
                with transaction.atomic():
                    row = Process.objects.create(
                        id=uuid.uuid4().hex,
                        kind=kind,
                        subject=subject,
                        key=key,
                        label=label,
                        state="running",
                        since=now,
                        trace=uuid.uuid4().hex,
                        user=user,
                        next_at=now,
                        made_at=now,
                    )
                return row, True
            except IntegrityError:
                continue  # Somebody else pressed in this very moment: theirs is the one.
        raise NeedsUser(f"{subject} is begun again and again at this moment", remedy="Try again")

    def live(self, kind: str, subject: str) -> Process | None:
        """The process that is not at its end, if there is one."""
        return Process.objects.filter(kind=kind, subject=subject, state__in=LIVE).first()

    def latest(self, kind: str, subject: str) -> Process | None:
        """The newest process about a subject, live or not."""
        return Process.objects.filter(kind=kind, subject=subject).order_by("-made_at").first()

    def get(self, id: str) -> Process:
        """A process by its id or an unmistakable beginning of it; `NeedsUser` where there is none.

        What it is about serves too: the newest of that subject.
        """
        rows = list(Process.objects.filter(id__startswith=id)[:2]) if id else []
        if len(rows) == 1:
            return rows[0]
        about = Process.objects.filter(subject=id).order_by("-made_at").first()
        if about is None:
            raise NeedsUser(f"there is no process '{id}'", remedy="List: koppel order list")
        return about

    def list(self, *, states: Sequence[str] = (), limit: int = 50) -> list[Process]:
        """The newest first."""
        rows = Process.objects.all()
        if states:
            rows = rows.filter(state__in=states)
        return [*rows.order_by("-made_at")[:limit]]

    def due(self, now: datetime, limit: int = 50) -> Sequence[Process]:
        """Those that may go on: at work when a process died, or done with waiting."""
        rows = Process.objects.filter(state__in=["running", "waiting"], next_at__lte=now)
        return [*rows.order_by("next_at")[:limit]]

    def save(self, row: Process, **values: Any) -> None:
        """Change columns; `since` moves with the step and the state."""
        if "state" in values or "step" in values:
            values.setdefault("since", self._clock())
        for name, value in values.items():
            setattr(row, name, value)
        row.save(update_fields=list(values))

    def memo(self, row: Process) -> dict[str, Any]:
        """The results of the steps that are done, by name."""
        found: dict[str, Any] = decode(row.memo) if row.memo else {}
        return found

    def remember(self, row: Process, memo: dict[str, Any]) -> None:
        """Keep the results of the steps that are done."""
        row.memo = encode(memo)
        row.save(update_fields=["memo"])

    def log(self, row: Process, text: str, *, step: str = "") -> None:
        """Add a sentence to the log."""
        ProcessEntry.objects.create(process=row, at=self._clock(), step=step or row.step, text=text)

    def entries(self, row: Process) -> Sequence[ProcessEntry]:
        """The log, oldest first."""
        return list(ProcessEntry.objects.filter(process=row).order_by("id"))
