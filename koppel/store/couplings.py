"""Couplings and cursors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import transaction

from koppel.store.codec import decode_record, encode_record
from koppel.store.models import Coupling, Cursor
from koppel.store.opening import Clock
from koppel.store.values import CouplingRow
from koppel.sync.rule import Side

_IN = 400
"""Ids per IN list: below every database's limit on parameters."""


def chunks(ids: Iterable[str], size: int = _IN) -> Iterator[list[str]]:
    """Lists of at most `size`."""
    part: list[str] = []
    for item in ids:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


class CouplingStore:
    """Reads and writes couplings; always in sets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def by_id(self, ids: Iterable[str]) -> dict[str, CouplingRow]:
        """The couplings of these ids."""
        found: dict[str, CouplingRow] = {}
        for part in chunks(ids):
            for row in Coupling.objects.filter(id__in=part):
                found[row.id] = _value(row)
        return found

    def by_record(self, entity: str, side: Side, records: Iterable[str]) -> dict[str, CouplingRow]:
        """Native id -> coupling, for those that have one."""
        found: dict[str, CouplingRow] = {}
        for part in chunks(records):
            rows = Coupling.objects.filter(entity=entity, **{f"{side}_id__in": part})
            for row in rows:
                value = _value(row)
                record = value.record(side)
                if record is not None:
                    found[record] = value
        return found

    def versions(
        self, entity: str, side: Side, records: Iterable[str]
    ) -> dict[str, tuple[str, str, str]]:
        """Native id -> (coupling id, version at the last sync, state); without the bases."""
        found: dict[str, tuple[str, str, str]] = {}
        for part in chunks(records):
            rows = Coupling.objects.filter(entity=entity, **{f"{side}_id__in": part}).values_list(
                f"{side}_id", "id", f"{side}_version", "state"
            )
            for record, coupling, version, state in rows:
                found[record] = (coupling, version, state)
        return found

    def locate(self, entity: str, side: Side, couplings: Iterable[str]) -> dict[str, str]:
        """Coupling id -> native id on a side."""
        found: dict[str, str] = {}
        for part in chunks(couplings):
            rows = Coupling.objects.filter(
                entity=entity, id__in=part, **{f"{side}_id__isnull": False}
            )
            found.update(rows.values_list("id", f"{side}_id"))
        return found

    def save(self, rows: Sequence[CouplingRow], *, in_step: bool = True) -> None:
        """Insert or update, bases included. Call inside the transaction of the outcome."""
        now = self._clock()
        Coupling.objects.bulk_create(
            [
                Coupling(
                    id=row.id,
                    entity=row.entity,
                    crm_id=row.crm_id,
                    erp_id=row.erp_id,
                    state=row.state,
                    label=row.label,
                    crm_version=row.crm_version,
                    erp_version=row.erp_version,
                    crm_base=encode_record(row.crm_base),
                    erp_base=encode_record(row.erp_base),
                    created_at=now,
                    in_step_at=now if in_step else None,
                    made_by=row.made_by,
                )
                for row in rows
            ],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=[
                "crm_id", "erp_id", "state", "label", "crm_version", "erp_version",
                "crm_base", "erp_base", "made_by", *(["in_step_at"] if in_step else []),
            ],
            batch_size=200,
        )  # fmt: skip

    def remove(self, ids: Iterable[str]) -> None:
        """Forget couplings; the records stay."""
        for part in chunks(ids):
            Coupling.objects.filter(id__in=part).delete()

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
            rows = list(Coupling.objects.filter(entity=entity, id__gt=last).order_by("id")[:page])
            if not rows:
                return
            for row in rows:
                yield _value(row)
            last = rows[-1].id

    def in_step_at(self, coupling: str) -> str | None:
        """When both sides were last in step, as ISO 8601 in UTC."""
        row = Coupling.objects.filter(id=coupling).only("in_step_at").first()
        return row.in_step_at.isoformat() if row and row.in_step_at else None

    def cursor(self, entity: str, side: Side) -> str | None:
        """How far a side has been read; None before the first time."""
        row = Cursor.objects.filter(entity=entity, side=side).first()
        return row.value if row else None

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


def _value(row: Coupling) -> CouplingRow:
    return CouplingRow(
        id=row.id,
        entity=row.entity,
        crm_id=row.crm_id,
        erp_id=row.erp_id,
        state=row.state,
        label=row.label,
        crm_version=row.crm_version,
        erp_version=row.erp_version,
        crm_base=decode_record(row.crm_base),
        erp_base=decode_record(row.erp_base),
        made_by=row.made_by,
    )
