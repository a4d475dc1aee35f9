"""Choosing customers: the filters of the list, which are also what a target group is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from django.db import connection
from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Cast, Concat, StrIndex

from koppel.store import searching
from koppel.store.seen_models import Customer

FOUND = 200
"""A search shows at most so many."""
SORTS: Mapping[str, tuple[str, ...]] = {
    "name": ("name_key", "id"),
    "number": ("number", "id"),
    "town": ("town", "id"),
    "turnover": ("turnover", "id"),
    "backlog": ("backlog", "id"),
    "open": ("open_items", "id"),
    "last": ("last_order", "id"),
}
_PLAIN: Mapping[str, str] = {
    "abc": "abc", "segment": "segment", "trend": "trend", "region": "region",
    "country": "country", "salesperson": "salesperson", "sector": "sector",
    "behaviour": "behaviour",
}  # fmt: skip
FILTERS: tuple[str, ...] = (*_PLAIN, "days", "quiet", "overdue", "where")
"""The names that a filter of customers may have."""


def choose(asked: Mapping[str, str], today: date) -> QuerySet[Customer]:
    """The customers that all filters keep; `q` is a search, whose order is by how well they fit.

    `days`: at least one order, and none for so many days. `where`: `both`, `crm`, `erp`. What a
    filter cannot read is left out of account.
    """
    rows = Customer.objects.all()
    for name, column in _PLAIN.items():
        if asked.get(name):
            rows = rows.filter(**{column: asked[name]})
    days = asked.get("days", "")
    if days.isascii() and days.isdigit() and len(days) < 6:
        rows = rows.filter(last_order__lte=today - timedelta(days=int(days)))
    if asked.get("quiet"):
        rows = rows.filter(quiet_from__lte=today)
    if asked.get("overdue"):
        rows = rows.filter(overdue__gt=0)
    where = asked.get("where", "")
    if where == "both":
        rows = rows.filter(crm_id__isnull=False, erp_id__isnull=False)
    elif where == "crm":
        rows = rows.filter(erp_id__isnull=True)
    elif where == "erp":
        rows = rows.filter(crm_id__isnull=True)
    query = asked.get("q", "").strip()
    if query:
        ids = searching.search(query, FOUND)
        rows = rows.filter(id__in=ids)
        if ids and not asked.get("sort"):
            return rows.order_by(_place(ids), "id")
    return rows.order_by(*order(asked.get("sort", "")))


def _place(ids: Sequence[int]) -> StrIndex:
    """Where a row stands among these: one expression, whatever their number."""
    row = Concat(Value(","), Cast("id", CharField()), Value(","))
    return StrIndex(Value(f",{','.join(map(str, ids))},"), row)


def order(sort: str, sorts: Mapping[str, tuple[str, ...]] = SORTS) -> tuple[str, ...]:
    """The columns of a sort; a minus before its name turns it round."""
    name = sort.removeprefix("-")
    columns = sorts.get(name, next(iter(sorts.values())))
    return tuple(f"-{column}" for column in columns) if sort.startswith("-") else columns


_VALUES = """
WITH RECURSIVE found(value) AS (
 SELECT MIN({column}) FROM store_customer WHERE {column} > ''
 UNION ALL
 SELECT (SELECT MIN({column}) FROM store_customer WHERE {column} > found.value) FROM found
 WHERE found.value IS NOT NULL)
SELECT value FROM found WHERE value IS NOT NULL LIMIT %s
"""


def values_of(column: str, limit: int = 200) -> list[str]:
    """The values that a filter offers: from one to the next in the index, not row by row."""
    name = connection.ops.quote_name(column)
    with connection.cursor() as cursor:
        cursor.execute(_VALUES.format(column=name), [limit])
        return [str(row[0]) for row in cursor.fetchall()]


__all__ = ["FILTERS", "FOUND", "SORTS", "choose", "order", "values_of"]
