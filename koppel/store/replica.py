"""The replica: what was last read of each record, for matching; and the sweep table for deletes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from msgspec import Struct

from koppel.store import bulk
from koppel.store.blocking import number
from koppel.store.bulk import chunks
from koppel.store.codec import decode, decode_record, encode, encode_record
from koppel.store.models import BlockKey, Replica, Review
from koppel.store.opening import Clock
from koppel.store.values import ReplicaRow
from koppel.sync.rule import Side

_COLUMNS = (
    "entity", "side", "record", "version", "label", "content", "features", "coupled", "fresh",
)  # fmt: skip
_READ = f"SELECT {', '.join(_COLUMNS)} FROM store_replica"
_THESE = "entity = %s AND side = %s AND record IN ({ids})"

# By the replicas, not by a list of their ids: PostgreSQL, without statistics of a table that is
# being filled, takes such a list for half of it and reads all.
_DROP_KEYS = f"""
    DELETE FROM store_blockkey WHERE replica IN (SELECT id FROM store_replica WHERE {_THESE})
"""

_FRESH = "entity = %s AND fresh AND NOT coupled"
_BYTES = {"sqlite": "blob", "postgresql": "bytea"}

_MOVED = """
    SELECT c.{side}_id, c.state, s.record IS NOT NULL FROM store_coupling c
    LEFT JOIN sweep s ON s.record = c.{side}_id
    WHERE c.entity = %s AND c.{side}_id IS NOT NULL
        AND (s.record IS NULL OR s.version <> c.{side}_version)
"""
_COUPLED = "SELECT COUNT(*) FROM store_coupling WHERE entity = %s AND {side}_id IS NOT NULL"
_NEW = """
    SELECT s.record FROM sweep s
    LEFT JOIN store_coupling c ON c.entity = %s AND c.{side}_id = s.record
    LEFT JOIN store_replica r ON r.entity = %s AND r.side = %s AND r.record = s.record
    WHERE c.id IS NULL AND (r.id IS NULL OR r.version <> s.version)
"""
_VANISHED = """
    SELECT r.record FROM store_replica r LEFT JOIN sweep s ON s.record = r.record
    WHERE r.entity = %s AND r.side = %s AND NOT r.coupled AND s.record IS NULL
"""


class Swept(Struct, frozen=True):
    """Native ids that are new or have another version, and known ones that were not seen."""

    changed: list[str]
    missing: list[str]


class ReplicaStore:
    """Reads and writes replicas in sets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def put(self, rows: Sequence[ReplicaRow]) -> None:
        """Insert or replace, blocking keys included."""
        now = bulk.moment(self._clock())
        with transaction.atomic():
            bulk.upsert(
                Replica,
                (*_COLUMNS, "read_at"),
                [
                    (
                        row.entity, row.side, row.record, row.version, row.label,
                        encode_record(row.content), row.features, row.coupled, row.fresh, now,
                    )
                    for row in rows
                ],
                unique=_COLUMNS[:3],
                replace=(*_COLUMNS[3:], "read_at"),
            )  # fmt: skip
            groups: dict[tuple[str, Side], dict[str, ReplicaRow]] = {}
            for row in rows:
                groups.setdefault((row.entity, row.side), {})[row.record] = row
            for (entity, side), group in groups.items():
                bulk.execute(_DROP_KEYS, group, entity, side)
                self._put_keys(entity, side, group)

    @staticmethod
    def _put_keys(entity: str, side: Side, rows: Mapping[str, ReplicaRow]) -> None:
        sql = f"SELECT record, id FROM store_replica WHERE {_THESE}"
        ids: dict[str, int] = dict(bulk.select(sql, rows, entity, side))
        # A set, for two keys may be one number; in order, which is less work for the index.
        keys = {
            (number(entity, key, strong), side, ids[record])
            for record, row in rows.items()
            for key, strong in row.keys
        }
        bulk.insert(BlockKey, ("key", "side", "replica"), sorted(keys))

    def versions(
        self, entity: str, side: Side, records: Iterable[str]
    ) -> dict[str, tuple[str, bool]]:
        """Record -> (version, fresh), for those that are known."""
        sql = f"SELECT record, version, fresh FROM store_replica WHERE {_THESE}"
        rows = bulk.select(sql, records, entity, side)
        return {record: (version, bool(fresh)) for record, version, fresh in rows}

    def get(self, entity: str, side: Side, records: Iterable[str]) -> dict[str, ReplicaRow]:
        """Replicas of these records."""
        rows = bulk.select(f"{_READ} WHERE {_THESE}", records, entity, side)
        return {row[2]: _value(row) for row in rows}

    def traits(
        self, entity: str, side: Side, records: Iterable[str]
    ) -> dict[str, tuple[bytes, bool]]:
        """Record -> (features, coupled): all that matching needs."""
        sql = f"SELECT record, features, coupled FROM store_replica WHERE {_THESE}"
        rows = bulk.select(sql, records, entity, side)
        return {record: (bytes(raw), bool(coupled)) for record, raw, coupled in rows}

    def settle(self, entity: str, side: Side, records: Iterable[str], *, coupled: bool) -> None:
        """These records were dealt with: no plan need look at them until they change."""
        content = ", content = NULL" if coupled else ""
        bulk.execute(
            f"UPDATE store_replica SET fresh = %s, coupled = %s{content} WHERE {_THESE}",
            records, False, coupled, entity, side,
        )  # fmt: skip

    def settle_fresh(self, entity: str) -> None:
        """A plan that looked at all fresh records was carried out."""
        bulk.tell(f"UPDATE store_replica SET fresh = %s WHERE {_FRESH}", False, entity)

    def refresh(self, entity: str, side: Side, records: Iterable[str]) -> None:
        """Let the next plan look at these records again, as uncoupled ones."""
        bulk.execute(
            f"UPDATE store_replica SET fresh = %s, coupled = %s WHERE {_THESE}",
            records, True, False, entity, side,
        )  # fmt: skip

    def refresh_uncoupled(self, entity: str) -> None:
        """Let the next plan look at every uncoupled record of an entity again."""
        Replica.objects.filter(entity=entity, coupled=False).update(fresh=True)

    def refresh_reviewed(self, entity: str) -> None:
        """Let the next plan weigh again what waits for a person's word."""
        for side in ("crm", "erp"):
            asked = Review.objects.filter(entity=entity, state="open").values(f"{side}_id")
            rows = Replica.objects.filter(entity=entity, side=side, coupled=False)
            rows.filter(record__in=asked).update(fresh=True)

    def remove(self, entity: str, side: Side, records: Iterable[str]) -> None:
        """Forget records that are gone."""
        for part in chunks(records):
            bulk.execute(_DROP_KEYS, part, entity, side)
            bulk.execute(f"DELETE FROM store_replica WHERE {_THESE}", part, entity, side)

    def fresh(self, entity: str, side: Side, page: int = 200) -> Iterator[list[ReplicaRow]]:
        """Uncoupled records that no plan has dealt with yet, in pages."""
        last = 0
        while True:
            rows = list(
                Replica.objects.filter(
                    entity=entity, side=side, fresh=True, coupled=False, id__gt=last
                )
                .order_by("id")
                .values_list(*_COLUMNS, "id")[:page]
            )
            if rows:
                last = rows[-1][-1]
                yield [_value(row[:-1]) for row in rows]
            if len(rows) < page:
                return

    def any_fresh(self, entity: str, side: Side | None = None) -> bool:
        """Is there an uncoupled record (of that side) that no plan has dealt with yet?"""
        here, params = (" AND side = %s", [side]) if side else ("", [])
        sql = f"SELECT 1 FROM store_replica WHERE {_FRESH}{here} LIMIT 1"
        return bool(bulk.ask(sql, entity, *params))

    def count(self, entity: str, side: Side, *, coupled: bool | None = None) -> int:
        """How many records are known of a side."""
        rows = Replica.objects.filter(entity=entity, side=side)
        if coupled is not None:
            rows = rows.filter(coupled=coupled)
        return rows.count()

    def features(self, entity: str) -> Iterator[bytes]:
        """The features of all records, one after the other."""
        rows = Replica.objects.filter(entity=entity).values_list("features", flat=True)
        for raw in rows.iterator(chunk_size=2000):
            yield bytes(raw)

    # What reading has mapped, for the plan that follows in the same run and thread.

    def begin_mapped(self) -> None:
        """An empty table of mapped records."""
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE IF NOT EXISTS mapped (side varchar(3),"
                f" record varchar(120), body {_BYTES[connection.vendor]},"
                f" PRIMARY KEY (side, record)){bulk.keyed()}"
            )
            cursor.execute("DELETE FROM mapped")

    def keep_mapped(self, side: Side, mapped: Mapping[str, Mapping[str, Any]]) -> None:
        """The canonical values of these records."""
        bulk.put_working(
            "mapped",
            ("side", "record", "body"),
            [(side, record, encode(canonical)) for record, canonical in mapped.items()],
            unique=("side", "record"),
            replace=("body",),
        )

    def mapped(self, side: Side, records: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Those of these records that were kept."""
        sql = "SELECT record, body FROM mapped WHERE side = %s AND record IN ({ids})"
        return {record: decode(body) for record, body in bulk.select(sql, records, side)}

    # The sweep: the ids of one side as they are now, laid beside what the couplings say.

    def begin_sweep(self) -> None:
        """An empty sweep table."""
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE IF NOT EXISTS sweep"
                f" (record varchar(120) PRIMARY KEY, version varchar(200)){bulk.keyed()}"
            )
            cursor.execute("DELETE FROM sweep")

    def add_sweep(self, items: Sequence[tuple[str, str]]) -> None:
        """One page of (id, version)."""
        with transaction.atomic():
            bulk.put_working("sweep", ("record", "version"), items, unique=("record",))

    def swept(self) -> int:
        """How many records the sweep saw."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM sweep")
            return int(cursor.fetchone()[0])

    def swept_versions(self, records: Iterable[str]) -> dict[str, str]:
        """Record -> version, for those of these records that the sweep saw."""
        sql = "SELECT record, version FROM sweep WHERE record IN ({ids})"
        return dict(bulk.select(sql, records))

    def sweep_result(self, entity: str, side: Side) -> Swept:
        """What the sweep came to, beside the couplings and the uncoupled records.

        One pass over an index of the couplings, looking each up in what was seen. Only where more
        was seen than couplings name are the others looked for too.
        """
        moved = self._rows(_MOVED.format(side=side), entity)
        changed = [record for record, _, there in moved if there]
        missing = [
            record for record, state, there in moved if not there and state in ("active", "dormant")
        ]
        coupled = self._rows(_COUPLED.format(side=side), entity)[0][0]
        if self.swept() > coupled - sum(not there for *_, there in moved):
            changed += [row[0] for row in self._rows(_NEW.format(side=side), entity, entity, side)]
        missing += [row[0] for row in self._rows(_VANISHED, entity, side)]
        return Swept(changed=changed, missing=list(dict.fromkeys(missing)))

    @staticmethod
    def _rows(sql: str, *params: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            rows: list[Any] = cursor.fetchall()
        return rows


def _value(row: Sequence[Any]) -> ReplicaRow:
    entity, side, record, version, label, content, features, coupled, fresh = row
    return ReplicaRow(
        entity=entity,
        side=side,
        record=record,
        version=version,
        label=label,
        content=decode_record(content),
        features=bytes(features),
        coupled=bool(coupled),
        fresh=bool(fresh),
    )
