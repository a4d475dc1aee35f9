"""What came of scheduled jobs. When they are due is a document; see `koppel.engine.schedules`."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from koppel.store.opening import Clock
from koppel.store.work_models import ScheduleState


class ScheduleStore:
    """Remembers for each job when it was due last, when it ran, and how that ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def get(self, name: str) -> ScheduleState | None:
        """What is known of a job; None where it never ran."""
        return ScheduleState.objects.filter(name=name).first()

    def begin(self, name: str, due: datetime | None) -> bool:
        """A job begins. `due` None: by hand. False where another process has done this one."""
        with transaction.atomic():
            row, _ = ScheduleState.objects.select_for_update().get_or_create(name=name)
            if due is not None:
                if row.due is not None and row.due >= due:
                    return False
                row.due = due
            row.began, row.ended, row.outcome, row.text = self._clock(), None, "running", ""
            row.save()
            return True

    def known_from_now(self, name: str) -> None:
        """The job is new or another one: what was due before is none of its business."""
        ScheduleState.objects.update_or_create(name=name, defaults={"due": self._clock()})

    def end(self, name: str, outcome: str, text: str) -> None:
        """How it ended: `done`, `held`, `later` or `failed`, and a sentence."""
        ScheduleState.objects.filter(name=name).update(
            ended=self._clock(), outcome=outcome, text=text
        )

    def forget(self, name: str) -> None:
        """The job is no more."""
        ScheduleState.objects.filter(name=name).delete()
