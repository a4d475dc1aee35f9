"""Links: native ids of one side <-> coupling ids, with those that the present plan will make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from koppel.connectors.base import Gone, Record
from koppel.engine.lines import Lane, Line
from koppel.store import Store
from koppel.store.models import Run
from koppel.sync.rule import SIDES, Side

_KEPT = 20_000


class Links:
    """Looks links up and remembers the answers, for one page or one plan."""

    def __init__(
        self, store: Store, run: Run | None = None, parents: Mapping[str, Line] | None = None
    ) -> None:
        self._store = store
        self._run = run
        self._parents = parents or {}
        self._countries: dict[tuple[str, str], str | None] = {}
        self._couplings: dict[tuple[str, Side, str], str | None] = {}
        self._records: dict[tuple[str, Side, str], str | None] = {}

    def prepare(self, lane: Lane, records: Iterable[Record | Gone]) -> None:
        """Look up in one go what the references of these records point to."""
        if len(self._couplings) > _KEPT:
            self._couplings = {}
        for name, entity in lane.mapper.references.items():
            natives = lane.mapper.natives.get(name, ())
            wanted = {
                str(record.fields[native])
                for record in records
                if isinstance(record, Record)
                for native in natives
                if record.fields.get(native) is not None
            }
            missing = [
                native for native in wanted if (entity, lane.side, native) not in self._couplings
            ]
            if missing:
                known = self._store.couplings.versions(entity, lane.side, missing)
                left = [native for native in missing if native not in known]
                planned = (
                    self._store.runs.planned_link(self._run, entity, lane.side, left)
                    if self._run is not None and left
                    else {}
                )
                over = self._over(entity, known.values())
                for native in missing:
                    link = known[native][0] if native in known else planned.get(native)
                    self._couplings[entity, lane.side, native] = None if link in over else link

    def country_of(self, entity: str, coupling: str) -> str | None:
        """The country (alpha-2) of a coupled record, planned ones included: the ERP's word first.

        A contact's national phone numbers are read as those of its partner's country.
        """
        key = (entity, coupling)
        if key not in self._countries:
            if len(self._countries) > _KEPT:
                self._countries = {}
            self._countries[key] = self._country(entity, coupling)
        return self._countries[key]

    def _country(self, entity: str, coupling: str) -> str | None:
        line = self._parents.get(entity)
        if line is None:
            return None
        records = self._contents(entity, coupling)
        for side in reversed(SIDES):
            record = records.get(side)
            if isinstance(record, Record):
                country = line.lanes[side].mapper.country(record)
                if country:
                    return country
        return None

    def _contents(self, entity: str, coupling: str) -> dict[Side, Record | Gone | None]:
        row = self._store.couplings.by_id([coupling]).get(coupling)
        if row is not None:
            return {side: row.base(side) for side in SIDES}
        if self._run is None:
            return {}
        ids = self._store.runs.planned_records(self._run, coupling)
        return {
            side: found.content
            for side, record in ids.items()
            for found in self._store.replica.get(entity, side, [record]).values()
        }

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
            return known[0] if known[0] not in self._over(entity, [known]) else None
        if self._run is None:
            return None
        return self._store.runs.planned_link(self._run, entity, side, [record]).get(record)

    def _over(self, entity: str, known: Iterable[tuple[str, str, str]]) -> set[str]:
        """Those of them that are over, or will be with this plan: nothing is made there."""
        states = {coupling: state for coupling, _, state in known}
        over = {coupling for coupling, state in states.items() if state in ("parted", "undone")}
        left = [coupling for coupling in states if coupling not in over]
        if left and self._run is not None:
            over |= self._store.runs.planned_ends(self._run, entity, left)
        return over


def unlinked(entity: str, record: str) -> None:
    """Resolves nothing: for who looks at a record's own values only."""
