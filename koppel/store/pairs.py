"""The working tables of matching: candidates, scores and the pairs made from them.

Temporary and on disk, so that a first coupling of any size needs the same memory. They belong to
the thread's connection and hold one entity at a time; `begin` empties them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from django.db import connection, transaction

from koppel.store import bulk
from koppel.sync.rule import SIDES, Side

Scored = tuple[str, str, float, str, tuple[str, ...]]
"""CRM record, ERP record, value, band, reasons."""

Kind = Literal["couple", "review"]

COMMON = 60
"""A weak blocking key shared by more records than this tells too little and is passed over."""
CROWD = 400
"""The same for a strong key: an address of a business park, a switchboard's number."""
PAGE = 2000

_TABLES = {
    "candidate": "crm varchar(120), erp varchar(120), PRIMARY KEY (crm, erp)",
    "scored": (
        "crm varchar(120), erp varchar(120), value double precision, band varchar(12),"
        " reasons text, alone boolean DEFAULT false, family varchar(120), PRIMARY KEY (crm, erp)"
    ),
    "paired": (
        "kind varchar(8), crm varchar(120), erp varchar(120), value double precision,"
        " reasons text, PRIMARY KEY (kind, crm, erp)"
    ),
}
_INDEXES = ("scored (erp)", "paired (crm)", "paired (erp)", "scored (family, crm, erp)")

# CROSS JOIN with WHERE: SQLite then takes the tables in this order, from the few fresh records to
# their keys; left to itself, and without statistics, it reads all keys for each of them. That both
# are of the entity is asked again at the end: two entities' keys may be the same number by chance.
_CANDIDATES = """
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT k.key
        FROM store_replica f CROSS JOIN store_blockkey k
        WHERE f.entity = %s AND f.fresh AND NOT f.coupled AND k.replica = f.id
    ),
    rare AS MATERIALIZED (
        SELECT asked.key
        FROM asked CROSS JOIN store_blockkey k
        WHERE k.key = asked.key
        GROUP BY asked.key
        HAVING MIN(k.side) <> MAX(k.side)
            AND COUNT(*) <= CASE WHEN (asked.key & 1) = 1 THEN %s ELSE %s END
    ),
    pairs AS MATERIALIZED (
        SELECT DISTINCT a.replica AS crm, b.replica AS erp
        FROM rare CROSS JOIN store_blockkey a CROSS JOIN store_blockkey b
        WHERE a.key = rare.key AND a.side = 'crm' AND b.key = rare.key AND b.side = 'erp'
    )
    INSERT INTO candidate (crm, erp)
    SELECT ra.record, rb.record
    FROM pairs CROSS JOIN store_replica ra CROSS JOIN store_replica rb
    WHERE ra.id = pairs.crm AND ra.entity = %s AND rb.id = pairs.erp AND rb.entity = %s
        AND ((ra.fresh AND NOT ra.coupled) OR (rb.fresh AND NOT rb.coupled))
"""

_AGAIN = re.sub(r"\b(f|ra|rb)\.fresh AND ", "", _CANDIDATES)
"""The same for all uncoupled records, whether a plan has dealt with them or not."""

_ANY = "SELECT 1 FROM store_replica WHERE entity = %s AND side = %s LIMIT 1"

_MARK_ALONE = """
    UPDATE scored SET alone = true
    WHERE NOT EXISTS (SELECT 1 FROM scored o WHERE o.crm = scored.crm AND o.erp <> scored.erp)
        AND NOT EXISTS (SELECT 1 FROM scored o WHERE o.erp = scored.erp AND o.crm <> scored.crm)
"""

_FIRST_FAMILY = "UPDATE scored SET family = crm WHERE NOT alone"
# Within a crm all rows have the same family to begin with; from then on both are brought in line
# by turns, until neither finds a smaller one beside it.
_JOIN_FAMILIES = """
    UPDATE scored SET family = (SELECT MIN(o.family) FROM scored o WHERE o.{by} = scored.{by})
    WHERE NOT alone AND EXISTS
        (SELECT 1 FROM scored o WHERE o.{by} = scored.{by} AND o.family < scored.family)
"""


class PairStore:
    """Reads and writes the working tables, always in sets."""

    def begin(self) -> None:
        """Empty tables."""
        with transaction.atomic(), connection.cursor() as cursor:
            for name, columns in _TABLES.items():
                cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ({columns})")
                cursor.execute(f"DELETE FROM {name}")
            for number, columns in enumerate(_INDEXES):
                cursor.execute(f"CREATE INDEX IF NOT EXISTS {_schema()}work_{number} ON {columns}")

    def find_candidates(self, entity: str, *, again: bool = False) -> None:
        """Find the pairs that share a blocking key and of which at least one record is fresh.

        Keys that are common to many records are passed over. `again`: not coupled is enough.
        """
        if not all(bulk.ask(_ANY, entity, side) for side in SIDES):
            return
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                _AGAIN if again else _CANDIDATES, [entity, CROWD, COMMON, entity, entity]
            )

    def candidates(self, page: int = PAGE) -> Iterator[list[tuple[str, str]]]:
        """Pages of (CRM record, ERP record), sorted."""
        last = ("", "")
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT crm, erp FROM candidate WHERE (crm, erp) > (%s, %s)"
                    " ORDER BY crm, erp LIMIT %s",
                    [*last, page],
                )
                rows: list[tuple[str, str]] = cursor.fetchall()
            if rows:
                yield rows
                last = rows[-1]
            if len(rows) < page:
                return

    def add_scores(self, rows: Sequence[Scored]) -> None:
        """Scores of candidates that are worth a decision."""
        with transaction.atomic():
            bulk.put_working(
                "scored",
                ("crm", "erp", "value", "band", "reasons"),
                [(*row[:4], json.dumps(row[4])) for row in rows],
                unique=("crm", "erp"),
            )

    def settle_scores(self) -> None:
        """Drop the scores of records that are in a couple already; see which of the rest are alone.

        Alone: both records appear in no other score, so nothing but the score itself decides.
        """
        couples = "FROM paired WHERE kind = 'couple'"
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM scored WHERE crm IN (SELECT crm {couples})"
                f" OR erp IN (SELECT erp {couples})"
            )
            cursor.execute(_MARK_ALONE)

    def alone(self, page: int = PAGE) -> Iterator[list[Scored]]:
        """Pages of scores without a rival."""
        last = ("", "")
        while True:
            rows = self._scores("alone AND (crm, erp) > (%s, %s)", *last, limit=page)
            if rows:
                yield rows
                last = (rows[-1][0], rows[-1][1])
            if len(rows) < page:
                return

    def rivals(self, page: int = PAGE) -> Iterator[list[Scored]]:
        """All other scores, in whole families: no record of one list is in another list.

        A list has about `page` scores, and more only where one family has.
        """
        self._find_families()
        last = ("", "", "")
        kept: list[tuple[str, Scored]] = []
        while True:
            rows = self._in_families(last, page)
            if rows:
                last = (rows[-1][0], rows[-1][1][0], rows[-1][1][1])
            kept += rows
            if len(rows) < page:
                break
            # The last family may go on in the next page.
            whole = [score for family, score in kept if family != last[0]]
            kept = [(family, score) for family, score in kept if family == last[0]]
            if whole:
                yield whole
        if kept:
            yield [score for _, score in kept]

    def _find_families(self) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FIRST_FAMILY)
            moved = 1
            while moved > 0:
                moved = 0
                for by in ("erp", "crm"):
                    cursor.execute(_JOIN_FAMILIES.format(by=by))
                    moved += max(0, cursor.rowcount)

    def _in_families(self, last: tuple[str, str, str], page: int) -> list[tuple[str, Scored]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT family, crm, erp, value, band, reasons FROM scored"
                " WHERE family IS NOT NULL AND (family, crm, erp) > (%s, %s, %s)"
                f" ORDER BY family, crm, erp LIMIT {page}",
                last,
            )
            rows = cursor.fetchall()
        return [(row[0], (*row[1:5], _reasons(row[5]))) for row in rows]

    def _scores(self, where: str, *params: str, limit: int | None = None) -> list[Scored]:
        limited = "" if limit is None else f" LIMIT {limit}"
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT crm, erp, value, band, reasons FROM scored WHERE {where}"
                f" ORDER BY crm, erp{limited}",
                params,
            )
            rows = cursor.fetchall()
        return [(crm, erp, value, band, _reasons(raw)) for crm, erp, value, band, raw in rows]

    def add_pairs(
        self, kind: Kind, rows: Iterable[tuple[str, str, float, tuple[str, ...]]]
    ) -> None:
        """Pairs to couple or to ask about, as (CRM record, ERP record, value, reasons)."""
        with transaction.atomic():
            bulk.put_working(
                "paired",
                ("kind", "crm", "erp", "value", "reasons"),
                [(kind, crm, erp, value, json.dumps(reasons)) for crm, erp, value, reasons in rows],
                unique=("kind", "crm", "erp"),
            )

    def pairs(
        self, kind: Kind, page: int
    ) -> Iterator[list[tuple[str, str, float, tuple[str, ...]]]]:
        """Pages of pairs of a kind, sorted by records."""
        last = ("", "")
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT crm, erp, value, reasons FROM paired WHERE kind = %s"
                    " AND (crm, erp) > (%s, %s) ORDER BY crm, erp LIMIT %s",
                    [kind, *last, page],
                )
                rows = cursor.fetchall()
            if rows:
                yield [(crm, erp, value, _reasons(raw)) for crm, erp, value, raw in rows]
                last = (rows[-1][0], rows[-1][1])
            if len(rows) < page:
                return

    def paired(self, side: Side, records: Iterable[str]) -> set[str]:
        """Those of these records that are in a pair of either kind."""
        sql = f"SELECT {side} FROM paired WHERE {side} IN ({{ids}})"
        return {row[0] for row in bulk.select(sql, records)}


def _schema() -> str:
    # SQLite makes an index where it is told to; PostgreSQL where its table is, and refuses a name.
    return "temp." if connection.vendor == "sqlite" else ""


def _reasons(raw: str) -> tuple[str, ...]:
    return tuple(json.loads(raw))
