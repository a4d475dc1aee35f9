"""Links: native ids of one side <-> coupling ids, with those that the present plan will make."""

from __future__ import annotations

from collections.abc import Callable

from koppel.store import Store
from koppel.store.models import Run
from koppel.sync.rule import Side


class Links:
    """Looks links up and remembers the answers, for one page or one plan."""

    def __init__(self, store: Store, run: Run | None = None) -> None:
        self._store = store
        self._run = run
        self._couplings: dict[tuple[str, Side, str], str | None] = {}
        self._records: dict[tuple[str, Side, str], str | None] = {}

    def resolve(self, side: Side) -> Callable[[str, str], str | None]:
        """(entity, native id) -> coupling id."""

        def look(entity: str, record: str) -> str | None:
            key = (entity, side, record)
            if key not in self._couplings:
                self._couplings[key] = self._find(entity, side, record)
            return self._couplings[key]

        return look

    def locate(self, side: Side) -> Callable[[str, str], str | None]:
        """(entity, coupling id) -> native id on that side."""

        def look(entity: str, coupling: str) -> str | None:
            key = (entity, side, coupling)
            if key not in self._records:
                self._records[key] = self._store.couplings.locate(entity, side, [coupling]).get(
                    coupling
                )
            return self._records[key]

        return look

    def _find(self, entity: str, side: Side, record: str) -> str | None:
        known = self._store.couplings.versions(entity, side, [record]).get(record)
        if known is not None:
            return known[0]
        if self._run is None:
            return None
        return self._store.runs.planned_link(self._run, entity, side, [record]).get(record)
