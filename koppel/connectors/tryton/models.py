"""Which models one Tryton has, and their fields: asked for once until told to look again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from koppel.connectors.tryton.rpc import TrytonSession


class Models:
    """Asks one session: one call for the names of all models, one for the fields of each."""

    def __init__(self, session: TrytonSession) -> None:
        self._session = session
        self._names: frozenset[str] | None = None
        self._fields: dict[tuple[str, frozenset[str]], Mapping[str, Any]] = {}

    def forget(self) -> None:
        """Ask anew when it is next needed."""
        self._names = None
        self._fields.clear()

    def has(self, model: str) -> bool:
        """Is there a model of that name?"""
        if self._names is None:
            rows = self._session.call("ir.model", "search_read", [], 0, None, None, ["name"])
            self._names = frozenset(row["name"] for row in rows)
        return model in self._names

    def fields(self, model: str, wanted: Iterable[str]) -> Mapping[str, Any]:
        """What Tryton says of those of these fields that the model has; nothing without it."""
        names = frozenset(wanted)
        if not self.has(model):
            return {}
        if (model, names) not in self._fields:
            found: Mapping[str, Any] = self._session.call(model, "fields_get", sorted(names))
            self._fields[model, names] = found
        return self._fields[model, names]
