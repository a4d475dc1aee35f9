"""What was last read of customers, products and sales documents: put, removed and looked up.

Sets are written in one transaction each. A customer row is one coupling or one record without one;
`stale` compares it with the couplings and replicas that the synchronisation keeps anyway, so that
nothing is read from a system twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Model
from msgspec import Struct

from koppel.store import bulk, searching
from koppel.store.opening import Clock
from koppel.store.seen_models import (
    Article,
    Bill,
    BillLine,
    Customer,
    Delivery,
    Person,
    Sale,
    SaleLine,
)

M = TypeVar("M", bound=Model)

_MASTER = (
    "coupling", "crm_id", "erp_id", "crm_version", "erp_version", "name", "name_key", "number",
    "tax_id", "email", "phone", "town", "postal_code", "country", "region", "sector",
    "salesperson", "roles", "active", "search", "crm_read", "erp_read", "dirty",
)  # fmt: skip
_STALE = """
SELECT c.id, c.crm_id, c.erp_id FROM store_coupling c
LEFT JOIN store_customer v ON v.coupling = c.id
WHERE c.entity = 'partner' AND c.state = 'active'
AND (v.id IS NULL OR v.crm_version <> c.crm_version OR v.erp_version <> c.erp_version
     OR COALESCE(v.crm_id, '') <> COALESCE(c.crm_id, '')
     OR COALESCE(v.erp_id, '') <> COALESCE(c.erp_id, ''))
ORDER BY c.id LIMIT %s
"""
_LOOSE = """
SELECT r.side, r.record FROM store_replica r
LEFT JOIN store_customer v ON {join}
WHERE r.entity = 'partner' AND r.side = %s AND r.coupled = %s
AND (v.id IS NULL OR (v.coupling IS NULL AND v.{side}_version <> r.version))
ORDER BY r.id LIMIT %s
"""
_LOST = """
SELECT v.id FROM store_customer v
LEFT JOIN store_coupling c ON c.id = v.coupling AND c.state = 'active'
LEFT JOIN store_replica r ON v.coupling IS NULL AND r.entity = 'partner' AND r.coupled = %s
 AND r.side = CASE WHEN v.crm_id IS NULL THEN 'erp' ELSE 'crm' END
 AND r.record = COALESCE(v.crm_id, v.erp_id)
WHERE c.id IS NULL AND r.id IS NULL LIMIT %s
"""


class Stale(Struct, frozen=True):
    """Customers to be built: couplings, and records without one as (side, record)."""

    couplings: tuple[str, ...] = ()
    loose: tuple[tuple[str, str], ...] = ()
    lost: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.couplings or self.loose or self.lost)


class SeenStore:
    """Reads and writes the rows that are made for views."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    # Customers.

    def stale(self, limit: int = 500) -> Stale:
        """At most `limit` of each kind."""
        with connection.cursor() as cursor:
            cursor.execute(_STALE, [limit])
            couplings = tuple(row[0] for row in cursor.fetchall())
            loose: list[tuple[str, str]] = []
            for side in ("crm", "erp"):
                sql = _LOOSE.format(join=f"v.{side}_id = r.record", side=side)
                cursor.execute(sql, [side, False, limit])
                loose += [(row[0], row[1]) for row in cursor.fetchall()]
            cursor.execute(_LOST, [False, limit])
            lost = tuple(row[0] for row in cursor.fetchall())
        return Stale(couplings, tuple(loose), lost)

    def put_customers(self, rows: Sequence[Customer]) -> None:
        """Insert or replace; a row takes the place of all rows that have one of its ids."""
        with transaction.atomic():
            old = self._same(rows)
            before = {one.id: one.search for one in old}
            taken = self._taken(rows, old)
            gone = [one.id for one in old if one.id not in taken]
            searching.reindex_gone(gone, before)
            Customer.objects.filter(id__in=gone).delete()
            new = [row for row in rows if row.pk is None]
            known = [row for row in rows if row.pk is not None]
            for row in rows:
                row.dirty = True
            # First the ids out of the way: two rows may have exchanged theirs.
            Customer.objects.filter(id__in=[row.pk for row in known]).update(
                crm_id=None, erp_id=None, coupling=None
            )
            Customer.objects.bulk_update(known, _MASTER, batch_size=100)
            Customer.objects.bulk_create(new, batch_size=100)
            searching.reindex([row.pk for row in rows], before)

    @staticmethod
    def _same(rows: Sequence[Customer]) -> list[Customer]:
        found: dict[int, Customer] = {}
        for column in ("coupling", "crm_id", "erp_id"):
            keys = [value for row in rows if (value := getattr(row, column)) is not None]
            for part in bulk.chunks(keys):
                for one in Customer.objects.filter(**{f"{column}__in": part}):
                    found[one.id] = one
        return list(found.values())

    @staticmethod
    def _taken(rows: Sequence[Customer], old: Sequence[Customer]) -> set[int]:
        by_key: dict[tuple[str, str], int] = {}
        for one in old:
            for column in ("coupling", "erp_id", "crm_id"):
                value = getattr(one, column)
                if value is not None:
                    by_key.setdefault((column, value), one.id)
        taken: set[int] = set()
        for row in rows:
            for column in ("coupling", "erp_id", "crm_id"):
                id = by_key.get((column, getattr(row, column) or ""))
                if id is not None and id not in taken:
                    row.pk = id
                    taken.add(id)
                    break
        return taken

    def remove_customers(self, ids: Sequence[int]) -> None:
        """Customers that no system has any more."""
        with transaction.atomic():
            before = dict(Customer.objects.filter(id__in=ids).values_list("id", "search"))
            searching.reindex_gone(list(ids), before)
            Customer.objects.filter(id__in=ids).delete()

    def by_party(
        self, side: str, records: Iterable[str], only: Sequence[str] = ()
    ) -> dict[str, Customer]:
        """Native id -> customer; with `only` no more of each than these columns."""
        name, found = f"{side}_id", {}
        for part in bulk.chunks(set(records)):
            rows = Customer.objects.filter(**{f"{name}__in": part})
            for one in rows.only(name, *only) if only else rows:
                found[str(getattr(one, name))] = one
        return found

    def touch(self, side: str, records: Iterable[str]) -> None:
        """Something of these customers changed: their figures are reckoned again."""
        sql = f"UPDATE store_customer SET dirty = %s WHERE {side}_id IN ({{ids}})"
        bulk.execute(sql, {record for record in records if record}, True)

    # Everything else.

    def put_people(self, rows: Sequence[Person]) -> None:
        """Contacts; their customers are found by their names too, so these are built again."""
        _upsert(Person, rows, ("side", "record"))

    def put_articles(self, rows: Sequence[Article]) -> None:
        """Products."""
        _upsert(Article, rows, ("record",))

    def put_sales(self, rows: Sequence[tuple[Sale, Sequence[SaleLine]]]) -> None:
        """Sales with their lines."""
        with transaction.atomic():
            sales = [row for row, _ in rows]
            _upsert(Sale, sales, ("side", "resource", "record"))
            ids = _ids(Sale, sales, ("side", "resource", "record"))
            lines: list[SaleLine] = []
            for sale, some in rows:
                for line in some:
                    line.sale = ids[sale.side, sale.resource, sale.record]
                    lines.append(line)
            for part in _parts(list(ids.values())):
                SaleLine.objects.filter(sale__in=part).delete()
            SaleLine.objects.bulk_create(lines, batch_size=200)
            for side in ("crm", "erp"):
                self.touch(side, (row.party for row in sales if row.side == side))

    def put_bills(self, rows: Sequence[tuple[Bill, Sequence[BillLine]]]) -> None:
        """Invoices with their lines."""
        with transaction.atomic():
            bills = [row for row, _ in rows]
            _upsert(Bill, bills, ("record",))
            ids = _ids(Bill, bills, ("record",))
            lines: list[BillLine] = []
            for bill, some in rows:
                for line in some:
                    line.bill = ids[(bill.record,)]
                    lines.append(line)
            for part in _parts(list(ids.values())):
                BillLine.objects.filter(bill__in=part).delete()
            BillLine.objects.bulk_create(lines, batch_size=200)
            self._count_credited(bills)
            self.touch("erp", (row.party for row in bills))

    @staticmethod
    def _count_credited(bills: Sequence[Bill]) -> None:
        """A cancelled invoice counts where a credit note credits it, whichever came first."""
        credited = {one for row in bills if row.counted for one in row.credits}
        cancelled = {row.record for row in bills if row.state == "cancelled"}
        parties = {row.party for row in bills if row.record in cancelled}
        for part in bulk.chunks(parties):
            notes = Bill.objects.filter(party__in=part, kind="credit_note", counted=True)
            for credits in notes.values_list("credits", flat=True):
                credited |= cancelled & set(credits)
        for part in bulk.chunks(credited):
            Bill.objects.filter(record__in=part, state="cancelled").update(counted=True)

    def put_deliveries(self, rows: Sequence[Delivery]) -> None:
        """Shipments."""
        _upsert(Delivery, rows, ("record",))

    def versions(self, model: type[Model], records: Iterable[str], **where: Any) -> dict[str, str]:
        """Record -> version, of those that are known."""
        found: dict[str, str] = {}
        for part in bulk.chunks(records):
            rows = model._default_manager.filter(record__in=part, **where)
            found.update(rows.values_list("record", "version"))
        return found

    def remove(self, model: type[Model], records: Iterable[str], **where: Any) -> None:
        """Forget records that are gone, lines included."""
        for part in bulk.chunks(records):
            rows = model._default_manager.filter(record__in=part, **where)
            if model in (Sale, Bill):
                self.touch("erp", rows.values_list("party", flat=True))
                ids = list(rows.values_list("pk", flat=True))
                SaleLine.objects.filter(sale__in=ids if model is Sale else []).delete()
                BillLine.objects.filter(bill__in=ids if model is Bill else []).delete()
            rows.delete()

    def won(self, resource: str, records: Iterable[str]) -> None:
        """These quotes of the CRM became orders."""
        for part in bulk.chunks(records):
            Sale.objects.filter(side="crm", resource=resource, record__in=part).update(won=True)


def _upsert(model: type[M], rows: Sequence[M], unique: tuple[str, ...]) -> None:
    columns = [
        column.name for column in model._meta.concrete_fields if column.name not in (*unique, "id")
    ]
    model._default_manager.bulk_create(
        rows, update_conflicts=True, unique_fields=unique, update_fields=columns, batch_size=100
    )


def _ids(
    model: type[M], rows: Sequence[M], unique: tuple[str, ...]
) -> Mapping[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    for part in bulk.chunks([str(vars(row)["record"]) for row in rows]):
        for *key, id in model._default_manager.filter(record__in=part).values_list(*unique, "id"):
            found[tuple(key)] = id
    return found


def _parts(ids: Sequence[int], size: int = 400) -> Iterable[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
