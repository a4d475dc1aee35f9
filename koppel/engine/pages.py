"""The steps of a plan in the making: numbered, counted, and brought to the store in pages."""

from __future__ import annotations

from collections.abc import Callable

from koppel.store import Store
from koppel.store.models import Run
from koppel.store.values import PlannedStep

PAGE = 200


class StepPages:
    """Takes the steps of one entity; `told` is called with the size of each page."""

    def __init__(self, store: Store, run: Run, told: Callable[[int], None]) -> None:
        self._store = store
        self._run = run
        self._told = told
        self._first = self._number = store.runs.next_number(run)
        self._page: list[PlannedStep] = []
        self.counts: dict[str, int] = {}
        """Kind -> how many, and `kind:side` likewise of what is written."""

    def add(self, step: PlannedStep) -> None:
        """The next one; its number is given here."""
        step.number = self._number
        self._number += 1
        self._page.append(step)
        for kind in (step.kind, *(f"{step.kind}:{side}" for side in step.body.writes)):
            self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self._page) >= PAGE:
            self.flush()

    def flush(self) -> None:
        """Bring the rest to the store."""
        if self._page:
            self._store.runs.add_steps(self._run, self._page)
            self._told(len(self._page))
            self._page = []

    def discard(self) -> None:
        """Forget all of them, those in the store too; numbers begin anew."""
        self._store.runs.drop_steps(self._run, self._first)
        self._number = self._first
        self._page = []
        self.counts = {}
