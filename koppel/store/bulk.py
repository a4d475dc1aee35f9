"""Many rows in one statement: what the ORM is too slow for when a run has a hundred thousand.

Plain SQL that SQLite and PostgreSQL both understand, made from the models' tables and columns.
Columns are named as in the database (`run_id`, not `run`); every column without a default of the
database must be given. Blobs come back as bytes, booleans as what the driver gives (`bool()` them).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Model

_IN = 400
"""Ids per IN list: below every database's limit on parameters."""

Row = Sequence[Any]


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


def moment(at: datetime) -> Any:
    """A point in time as the database's driver takes it."""
    return connection.ops.adapt_datetimefield_value(at)


def insert(model: type[Model], columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Add rows."""
    _many(_insert(model._meta.db_table, columns), rows)


def upsert(
    model: type[Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    unique: tuple[str, ...],
    replace: tuple[str, ...],
) -> None:
    """Add rows; where one with the same `unique` columns is there, set its `replace` columns."""
    _many(_upsert(model._meta.db_table, columns, unique, replace), rows)


def update(
    model: type[Model], columns: tuple[str, ...], where: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Set `columns` of the rows that `where` tells; each row gives first those, then these."""
    _many(_update(model._meta.db_table, columns, where), rows)


def select(sql: str, ids: Iterable[str], *params: Any) -> Iterator[Any]:
    """The rows of a query whose `{ids}` stands for these ids, after its other parameters."""
    for part in chunks(ids):
        yield from _rows(sql, part, params)


def execute(sql: str, ids: Iterable[str], *params: Any) -> int:
    """A statement like that of `select`; how many rows it touched."""
    touched = 0
    for part in chunks(ids):
        with connection.cursor() as cursor:
            cursor.execute(_filled(sql, len(part)), [*params, *part])
            touched += max(0, cursor.rowcount)
    return touched


def _rows(sql: str, part: Sequence[str], params: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(_filled(sql, len(part)), [*params, *part])
        rows: list[Row] = cursor.fetchall()
    return rows


def _many(sql: str, rows: Sequence[Row]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def _filled(sql: str, many: int) -> str:
    return sql.replace("{ids}", ", ".join(["%s"] * many))


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join(["%s"] * len(columns))
    return f'INSERT INTO "{table}" ({_names(columns)}) VALUES ({marks})'


@cache
def _upsert(
    table: str, columns: tuple[str, ...], unique: tuple[str, ...], replace: tuple[str, ...]
) -> str:
    sets = ", ".join(f'"{column}" = excluded."{column}"' for column in replace)
    return f"{_insert(table, columns)} ON CONFLICT ({_names(unique)}) DO UPDATE SET {sets}"


@cache
def _update(table: str, columns: tuple[str, ...], where: tuple[str, ...]) -> str:
    sets = ", ".join(f'"{column}" = %s' for column in columns)
    tests = " AND ".join(f'"{column}" = %s' for column in where)
    return f'UPDATE "{table}" SET {sets} WHERE {tests}'
