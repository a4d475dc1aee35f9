"""The audit's tables: what both sides have now, laid beside what the couplings say.

The ids and versions of both sides are temporary and on disk; only what differs comes out. They
belong to the thread's connection and hold one entity at a time; `begin` empties them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection, transaction
from msgspec import Struct

from koppel.store import bulk
from koppel.store.codec import decode, encode
from koppel.store.work_models import Agreement
from koppel.sync.rule import SIDES, Side

_COLUMNS = ("coupling", "entity", "crm_version", "erp_version", "documents", "differs")

_ACTIVE = "c.entity = %s AND c.state = 'active'"
_JOINED = (
    " FROM store_coupling c LEFT JOIN seen_crm a ON a.record = c.crm_id"
    " LEFT JOIN seen_erp b ON b.record = c.erp_id"
)
_UNMOVED = (
    "a.version IS NOT NULL AND b.version IS NOT NULL"
    " AND a.version = c.crm_version AND b.version = c.erp_version"
)
_KNOWN = (
    " LEFT JOIN store_agreement g ON g.coupling = c.id AND g.documents = %s"
    " AND g.crm_version = c.crm_version AND g.erp_version = c.erp_version"
)


# Chosen in one pass and then read by places: looking for the next page among a million couplings
# would go through all of them again, for each page.
_CHOSEN = {
    "sqlite": "INTEGER PRIMARY KEY",
    "postgresql": "integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
}
_PAGE = " WHERE ch.place > %s ORDER BY ch.place LIMIT %s"


class Moved(Struct, frozen=True):
    """A coupling of which a side is gone or has another version; `*_there`: is it living?"""

    coupling: str
    crm: str | None
    erp: str | None
    crm_there: bool
    erp_there: bool


class Single(Struct, frozen=True):
    """A living record without a coupling; `known`: Koppel has read this very version of it."""

    record: str
    label: str
    known: bool


class ProofStore:
    """Reads and writes the audit's tables, always in sets."""

    def begin(self) -> None:
        """Empty tables for one entity."""
        with transaction.atomic(), connection.cursor() as cursor:
            for side in SIDES:
                cursor.execute(
                    f"CREATE TEMPORARY TABLE IF NOT EXISTS seen_{side}"
                    " (record varchar(120) PRIMARY KEY, version varchar(200) NOT NULL)"
                    f"{bulk.keyed()}"
                )
                cursor.execute(f"DELETE FROM seen_{side}")
            cursor.execute(
                f"CREATE TEMPORARY TABLE IF NOT EXISTS chosen (place {_CHOSEN[connection.vendor]},"
                " coupling varchar(32) NOT NULL)"
            )

    def add(self, side: Side, items: Sequence[tuple[str, str]]) -> None:
        """One page of (id, version) of a side."""
        with transaction.atomic():
            bulk.put_working(
                f"seen_{side}",
                ("record", "version"),
                items,
                unique=("record",),
                replace=("version",),
            )

    def count_seen(self, side: Side) -> int:
        """How many living records a side has."""
        return int(self._rows(f"SELECT COUNT(*) FROM seen_{side}")[0][0])

    def count_unmoved(self, entity: str) -> int:
        """Active couplings of which both sides have the version of the last sync."""
        sql = f"SELECT COUNT(*){_JOINED} WHERE {_ACTIVE} AND {_UNMOVED}"
        return int(self._rows(sql, entity)[0][0])

    def moved(self, entity: str, page: int) -> Iterator[list[Moved]]:
        """Pages of active couplings of which a side is gone or has another version."""
        self._choose(f"{_JOINED} WHERE {_ACTIVE} AND NOT ({_UNMOVED})", entity)
        sql = (
            "SELECT ch.place, c.id, c.crm_id, c.erp_id, a.record IS NOT NULL, b.record IS NOT NULL"
        )
        for rows in self._chosen(f"{sql}{_of_chosen(_JOINED)}", page=page):
            yield [Moved(a, b, c, bool(d), bool(e)) for a, b, c, d, e in rows]

    def unproved(self, entity: str, documents: int, page: int) -> Iterator[list[str]]:
        """Pages of unmoved couplings whose bases have not been compared in this state yet."""
        where = f"{_ACTIVE} AND {_UNMOVED} AND g.coupling IS NULL"
        self._choose(f"{_JOINED}{_KNOWN} WHERE {where}", documents, entity)
        for rows in self._chosen("SELECT ch.place, ch.coupling FROM chosen ch", page=page):
            yield [row[0] for row in rows]

    def put(self, entity: str, documents: int, rows: Sequence[tuple[str, str, str, Any]]) -> None:
        """What comparing bases came to: (coupling, CRM version, ERP version, what differs)."""
        with transaction.atomic():
            bulk.upsert(
                Agreement,
                _COLUMNS,
                [
                    (coupling, entity, crm, erp, documents, encode(differs) if differs else b"")
                    for coupling, crm, erp, differs in rows
                ],
                unique=("coupling",),
                replace=_COLUMNS[1:],
            )

    def differing(
        self, entity: str, documents: int, page: int
    ) -> Iterator[list[tuple[str, Any, str, str | None, str | None]]]:
        """Pages of unmoved couplings whose bases differ: (coupling, what, label, CRM, ERP)."""
        where = f"{_ACTIVE} AND {_UNMOVED} AND LENGTH(g.differs) > 0"
        self._choose(f"{_JOINED}{_KNOWN} WHERE {where}", documents, entity)
        found = "FROM store_coupling c JOIN store_agreement g ON g.coupling = c.id"
        sql = "SELECT ch.place, c.id, g.differs, c.label, c.crm_id, c.erp_id "
        for rows in self._chosen(f"{sql}{_of_chosen(found)}", page=page):
            yield [(row[0], decode(row[1]), *row[2:]) for row in rows]

    def singles(self, entity: str, side: Side, page: int) -> Iterator[list[Single]]:
        """Pages of a side's living records that no coupling names."""
        sql = (
            "SELECT s.record, COALESCE(r.label, ''), COALESCE(r.version = s.version, false)"
            f" FROM seen_{side} s"
            f" LEFT JOIN store_coupling c ON c.entity = %s AND c.{side}_id = s.record"
            " LEFT JOIN store_replica r ON r.entity = %s AND r.side = %s AND r.record = s.record"
            " WHERE c.id IS NULL AND s.record > %s ORDER BY s.record LIMIT %s"
        )
        for rows in self._pages(sql, entity, entity, side, page=page):
            yield [Single(record, label, bool(known)) for record, label, known in rows]

    def _choose(self, found: str, *params: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM chosen")
            cursor.execute(
                f"INSERT INTO chosen (coupling) SELECT c.id{found} ORDER BY c.id", params
            )

    def _chosen(self, sql: str, *, page: int) -> Iterator[list[Any]]:
        """Pages of rows that begin with their place, without it."""
        last = self._rows("SELECT COALESCE(MIN(place), 1) - 1 FROM chosen")[0][0]
        while True:
            rows = self._rows(f"{sql}{_PAGE}", last, page)
            if rows:
                last = rows[-1][0]
                yield [row[1:] for row in rows]
            if len(rows) < page:
                return

    def _pages(self, sql: str, *params: Any, page: int) -> Iterator[list[Any]]:
        last = ""
        while True:
            rows = self._rows(sql, *params, last, page)
            if rows:
                yield rows
                last = rows[-1][0]
            if len(rows) < page:
                return

    @staticmethod
    def _rows(sql: str, *params: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            rows: list[Any] = cursor.fetchall()
        return rows


def _of_chosen(found: str) -> str:
    """The same, of the couplings that were chosen."""
    return found.replace(
        "FROM store_coupling c", "FROM chosen ch JOIN store_coupling c ON c.id = ch.coupling"
    )
