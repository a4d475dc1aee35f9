"""Tryton's value tables (languages, countries, payment terms): numbers here, codes outside.

A code that is not there is looked up once more, so that a new row is found at once; a renamed row
is seen after `keep_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from koppel.connectors.base import Choice
from koppel.connectors.tryton.rpc import TrytonSession


@dataclass(frozen=True)
class TableSpec:
    """Where a code lives: the model, the field that is its code, the one that labels it.

    A large table is looked up by the rows needed, and offers no list of choices.
    """

    model: str
    code: str
    label: str
    large: bool = False


TABLES = {
    "ir.lang": TableSpec("ir.lang", "code", "name"),
    "country.country": TableSpec("country.country", "code", "name"),
    "country.subdivision": TableSpec("country.subdivision", "code", "name", large=True),
    "account.invoice.payment_term": TableSpec("account.invoice.payment_term", "name", "name"),
}


@dataclass
class _Loaded:
    code_of: dict[int, str] = field(default_factory=dict)
    id_of: dict[str, int] = field(default_factory=dict)
    label_of: dict[str, str] = field(default_factory=dict)
    at: float = 0.0


class ValueTables:
    """Reads the tables of one session when they are needed."""

    def __init__(
        self,
        session: TrytonSession,
        *,
        keep_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._keep = keep_seconds
        self._clock = clock
        self._loaded: dict[str, _Loaded] = {}

    def forget(self) -> None:
        """Read everything anew when it is next needed."""
        self._loaded.clear()

    def need(self, table: str, ids: Iterable[int]) -> None:
        """Make sure that `code` answers for these rows."""
        spec = TABLES[table]
        loaded = self._table(table)
        missing = [number for number in set(ids) if number not in loaded.code_of]
        if missing:
            self._read(spec, loaded, [["id", "in", missing]])

    def code(self, table: str, number: int) -> str:
        """The code of a row; its number where the table no longer has it."""
        self.need(table, [number])
        return self._loaded[table].code_of.get(number, str(number))

    def number(self, table: str, code: str) -> int | None:
        """The row with that code; None where there is none."""
        spec = TABLES[table]
        loaded = self._table(table)
        if code not in loaded.id_of:
            self._read(spec, loaded, [[spec.code, "=", code]])
        return loaded.id_of.get(code)

    def choices(self, table: str) -> tuple[Choice, ...]:
        """All values with their labels, sorted; empty for a large table."""
        if TABLES[table].large:
            return ()
        loaded = self._table(table)
        return tuple(Choice(code, loaded.label_of[code]) for code in sorted(loaded.id_of))

    def _table(self, table: str) -> _Loaded:
        spec = TABLES[table]
        loaded = self._loaded.get(table)
        if loaded is None or self._clock() - loaded.at > self._keep:
            loaded = self._loaded[table] = _Loaded(at=self._clock())
            if not spec.large:
                self._read(spec, loaded, [])
        return loaded

    def _read(self, spec: TableSpec, loaded: _Loaded, domain: list[Any]) -> None:
        rows = self._session.call(
            spec.model,
            "search_read",
            domain,
            0,
            None,
            [["id", "ASC"]],
            list({spec.code, spec.label}),
            context={"active_test": False},
        )
        for row in rows:
            code = row[spec.code]
            if code:
                loaded.code_of[row["id"]] = code
                # Of two rows with one code the older one is written.
                loaded.id_of.setdefault(code, row["id"])
                loaded.label_of.setdefault(code, row[spec.label] or code)
