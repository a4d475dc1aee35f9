"""The guided introduction's memory: which step was done, when, by whom, and what came of it."""

from __future__ import annotations

from typing import Any

from koppel.store.models import GuideEntry
from koppel.store.opening import Clock


class GuideStore:
    """Appends entries; nothing is ever changed, so that the way to the go-live can be read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def add(self, step: str, state: str, *, by: str, result: dict[str, Any]) -> GuideEntry:
        """A step was `done` or `undone`, or `failed`."""
        return GuideEntry.objects.create(
            step=step, state=state, at=self._clock(), by=by, result=result
        )

    def last(self, step: str) -> GuideEntry | None:
        """What happened to a step last."""
        return GuideEntry.objects.filter(step=step).order_by("-id").first()

    def of(self, step: str) -> list[GuideEntry]:
        """All that happened to a step, newest first."""
        return list(GuideEntry.objects.filter(step=step).order_by("-id"))

    def under_way(self) -> bool:
        """Has somebody begun the introduction, and is its load not done (or undone again)?

        Meanwhile nothing is written by itself: a person decides when the load begins.
        """
        if not GuideEntry.objects.exclude(step__in=("connect", "schedules")).exists():
            return False
        load = self.last("load")
        return load is None or load.state != "done"

    def entries(self, limit: int = 200) -> list[GuideEntry]:
        """What happened, newest first."""
        return list(GuideEntry.objects.order_by("-id")[:limit])
