"""Couplings and cursors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from koppel.store import bulk
from koppel.store.codec import decode_record, encode_record
from koppel.store.models import Coupling, Cursor, Former
from koppel.store.opening import Clock
from koppel.store.values import CouplingRow, FormerPair
from koppel.sync.rule import Side

_COLUMNS = (
    "id", "entity", "crm_id", "erp_id", "state", "label", "crm_version", "erp_version",
    "crm_base", "erp_base", "made_by",
)  # fmt: skip
_READ = f"SELECT {', '.join(_COLUMNS)} FROM store_coupling"
_FORMER = ("entity", "crm_id", "erp_id", "coupling", "crm_base", "erp_base", "asked")
_FORMERS = f"SELECT {', '.join(_FORMER)} FROM store_former f WHERE f.entity = %s"
_FRESH = """EXISTS (SELECT 1 FROM store_replica r WHERE r.entity = f.entity AND r.side = '{side}'
    AND r.record = f.{side}_id AND r.fresh AND NOT r.coupled)"""
_PAIRED = """EXISTS (SELECT 1 FROM store_coupling c WHERE c.entity = store_former.entity
    AND c.crm_id = store_former.crm_id AND c.erp_id = store_former.erp_id)"""


class CouplingStore:
    """Reads and writes couplings; always in sets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def by_id(self, ids: Iterable[str]) -> dict[str, CouplingRow]:
        """The couplings of these ids."""
        rows = bulk.select(f"{_READ} WHERE id IN ({{ids}})", ids)
        return {row[0]: _value(row) for row in rows}

    def by_record(self, entity: str, side: Side, records: Iterable[str]) -> dict[str, CouplingRow]:
        """Native id -> coupling, for those that have one."""
        sql = f"{_READ} WHERE entity = %s AND {side}_id IN ({{ids}})"
        place = _COLUMNS.index(f"{side}_id")
        return {row[place]: _value(row) for row in bulk.select(sql, records, entity)}

    def versions(
        self, entity: str, side: Side, records: Iterable[str]
    ) -> dict[str, tuple[str, str, str]]:
        """Native id -> (coupling id, version at the last sync, state); without the bases."""
        sql = (
            f"SELECT {side}_id, id, {side}_version, state FROM store_coupling"
            f" WHERE entity = %s AND {side}_id IN ({{ids}})"
        )
        rows = bulk.select(sql, records, entity)
        return {record: (coupling, version, state) for record, coupling, version, state in rows}

    def locate(self, entity: str, side: Side, couplings: Iterable[str]) -> dict[str, str]:
        """Coupling id -> native id on a side."""
        sql = (
            f"SELECT id, {side}_id FROM store_coupling"
            f" WHERE {side}_id IS NOT NULL AND entity = %s AND id IN ({{ids}})"
        )
        return dict(bulk.select(sql, couplings, entity))

    def save(self, rows: Sequence[CouplingRow], *, in_step: bool = True) -> None:
        """Insert or update, bases included. Call inside the transaction of the outcome."""
        now = bulk.moment(self._clock())
        bulk.upsert(
            Coupling,
            (*_COLUMNS, "created_at", "in_step_at"),
            [
                (
                    row.id, row.entity, row.crm_id, row.erp_id, row.state, row.label,
                    row.crm_version, row.erp_version,
                    encode_record(row.crm_base), encode_record(row.erp_base), row.made_by,
                    now, now if in_step else None,
                )
                for row in rows
            ],
            unique=("id",),
            replace=(*_COLUMNS[2:], "in_step_at") if in_step else _COLUMNS[2:],
        )  # fmt: skip

    def free(self, rows: Sequence[CouplingRow]) -> None:
        """Let the records of these pairs leave the parted couplings in which they were left alone.

        Call before `save`, in the same transaction: a record is in one coupling at a time.
        """
        found: set[str] = set()
        for entity in {row.entity for row in rows}:
            here = [row for row in rows if row.entity == entity]
            for side in ("crm", "erp"):
                records = [row.record(side) for row in here]
                sql = (
                    "SELECT id FROM store_coupling WHERE state = 'parted' AND entity = %s"
                    f" AND {side}_id IN ({{ids}})"
                )
                found.update(id for (id,) in bulk.select(sql, filter(None, records), entity))
        self.remove(found - {row.id for row in rows})

    # pairs that were

    def remember(self, pairs: Sequence[FormerPair]) -> None:
        """Keep of these pairs, which are over, who was with whom."""
        bulk.upsert(
            Former,
            _FORMER,
            [
                (
                    one.entity, one.crm_id, one.erp_id, one.coupling,
                    encode_record(one.crm_base), encode_record(one.erp_base), one.asked,
                )
                for one in pairs
            ],
            unique=_FORMER[:3],
            replace=_FORMER[3:],
        )  # fmt: skip

    def former(
        self, entity: str, pairs: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], FormerPair]:
        """Those of these pairs (CRM record, ERP record) that were one before."""
        wanted = set(pairs)
        rows = bulk.select(
            f"{_FORMERS} AND f.crm_id IN ({{ids}})", {crm for crm, _ in wanted}, entity
        )
        found = map(_former, rows)
        return {ids: one for one in found if (ids := (one.crm_id, one.erp_id)) in wanted}

    def returned(self, entity: str) -> list[FormerPair]:
        """Former pairs of which a record is there as a new one, the latest first."""
        fresh = " OR ".join(_FRESH.format(side=side) for side in ("crm", "erp"))
        return [
            _former(row) for row in bulk.ask(f"{_FORMERS} AND ({fresh}) ORDER BY f.id DESC", entity)
        ]

    def together_again(self, entity: str, crm_ids: Iterable[str]) -> None:
        """Forget the former pairs of these records that are pairs now."""
        sql = f"DELETE FROM store_former WHERE entity = %s AND {_PAIRED} AND crm_id IN ({{ids}})"
        bulk.execute(sql, crm_ids, entity)

    def remove(self, ids: Iterable[str]) -> None:
        """Forget couplings; the records stay."""
        bulk.execute("DELETE FROM store_coupling WHERE id IN ({ids})", ids)

    def count(self, entity: str | None = None, state: str | None = None) -> int:
        """How many there are."""
        rows = Coupling.objects.all()
        if entity:
            rows = rows.filter(entity=entity)
        if state:
            rows = rows.filter(state=state)
        return rows.count()

    def each(self, entity: str, page: int = 500) -> Iterator[CouplingRow]:
        """All couplings of an entity by id, in pages, so that memory stays flat."""
        last = ""
        while True:
            rows = (
                Coupling.objects.filter(entity=entity, id__gt=last)
                .order_by("id")
                .values_list(*_COLUMNS)[:page]
            )
            for row in (found := list(rows)):
                yield _value(row)
            if len(found) < page:
                return
            last = found[-1][0]

    def in_step_at(self, coupling: str) -> str | None:
        """When both sides were last in step, as ISO 8601 in UTC."""
        row = Coupling.objects.filter(id=coupling).only("in_step_at").first()
        return row.in_step_at.isoformat() if row and row.in_step_at else None

    def cursor(self, entity: str, side: Side) -> str | None:
        """How far a side has been read; None before the first time."""
        row = Cursor.objects.filter(entity=entity, side=side).first()
        return row.value if row else None

    def cursor_at(self, entity: str, side: Side) -> datetime | None:
        """When a side was last read through; None before the first time."""
        row = Cursor.objects.filter(entity=entity, side=side).first()
        return row.moved_at if row else None

    def move_cursors(self, values: Mapping[tuple[str, Side], str]) -> None:
        """Move cursors, together with whatever else is in the transaction."""
        with transaction.atomic():
            for (entity, side), value in values.items():
                Cursor.objects.update_or_create(
                    entity=entity,
                    side=side,
                    defaults={"value": value, "moved_at": self._clock()},
                )

    def forget_cursors(self, entity: str | None = None) -> None:
        """Read everything again next time."""
        rows = Cursor.objects.all()
        (rows.filter(entity=entity) if entity else rows).delete()


def _former(row: Sequence[Any]) -> FormerPair:
    values = dict(zip(_FORMER, row, strict=True))
    for base in ("crm_base", "erp_base"):
        values[base] = decode_record(values[base])
    return FormerPair(**{**values, "asked": bool(values["asked"])})


def _value(row: Sequence[Any]) -> CouplingRow:
    *plain, crm_base, erp_base, made_by = row
    return CouplingRow(
        **dict(zip(_COLUMNS, plain, strict=False)),
        crm_base=decode_record(crm_base),
        erp_base=decode_record(erp_base),
        made_by=made_by,
    )
