"""What came of scheduled jobs. When they are due is a document; see `koppel.engine.schedules`."""

from __future__ import annotations

from datetime import datetime

from koppel.store.models import ScheduleState
from koppel.store.opening import Clock


class ScheduleStore:
    """Remembers for each job when it was due last, when it ran, and how that ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def get(self, name: str) -> ScheduleState | None:
        """What is known of a job; None where it never ran."""
        return ScheduleState.objects.filter(name=name).first()

    def begin(self, name: str, due: datetime | None) -> bool:
        """A job begins. `due` None: by hand. False where another process has done this one."""
        if due is not None and ScheduleState.objects.filter(name=name, due__gte=due).exists():
            return False
        values: dict[str, object] = {"began": self._clock(), "ended": None, "outcome": "running"}
        if due is not None:
            values["due"] = due
        ScheduleState.objects.update_or_create(name=name, defaults=values)
        return True

    def end(self, name: str, outcome: str, text: str) -> None:
        """How it ended: `done`, `held`, `later` or `failed`, and a sentence."""
        ScheduleState.objects.filter(name=name).update(
            ended=self._clock(), outcome=outcome, text=text
        )

    def forget(self, name: str) -> None:
        """The job is no more."""
        ScheduleState.objects.filter(name=name).delete()
