"""Many rows in one statement: what the ORM is too slow for when a run has a hundred thousand.

Made from the models' tables and columns. SQLite runs one prepared statement for all rows;
PostgreSQL, where each statement is a journey, takes new rows by COPY and changes by statements over
hundreds of rows. Columns are named as in the database (`run_id`, not `run`); every column without a
default of the database must be given. Blobs come back as bytes or memoryview, booleans as what the
driver gives (`bool()` them).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import Model

_IN = 400
"""Ids per IN list: below every database's limit on parameters."""
_SET = 500
"""Rows per statement on PostgreSQL."""
_COPY_FROM = 8
"""From so many rows on, COPY is quicker than INSERT."""

T = TypeVar("T")
Row = Sequence[Any]


def chunks(ids: Iterable[T], size: int = _IN) -> Iterator[list[T]]:
    """Lists of at most `size`."""
    part: list[T] = []
    for item in ids:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def keyed() -> str:
    """Ends the definition of a working table whose rows are found by their primary key alone."""
    return " WITHOUT ROWID" if connection.vendor == "sqlite" else ""


def moment(at: datetime) -> Any:
    """A point in time as the database's driver takes it."""
    return connection.ops.adapt_datetimefield_value(at)


def insert(model: type[Model], columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Add rows."""
    table = model._meta.db_table
    if connection.vendor == "postgresql" and len(rows) >= _COPY_FROM:
        copy(table, columns, rows)
    else:
        _many(_insert(table, columns), _clean(rows))


def copy(table: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    """Add rows to a table of PostgreSQL by COPY."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{table}" ({_names(columns)}) FROM STDIN') as stream,
    ):
        for row in rows:
            stream.write_row(_without_nul(row))


def upsert(
    model: type[Model],
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    unique: tuple[str, ...],
    replace: tuple[str, ...],
) -> None:
    """Add rows; where one with the same `unique` columns is there, set its `replace` columns.

    Of several rows with the same `unique` columns the last one counts.
    """
    _put(model._meta.db_table, columns, rows, unique, replace)


def put_working(
    table: str,
    columns: tuple[str, ...],
    rows: Sequence[Row],
    *,
    unique: tuple[str, ...],
    replace: tuple[str, ...] = (),
) -> None:
    """The same for a working table; without `replace`, a row that is there already stays."""
    _put(table, columns, rows, unique, replace)


def rows(
    model: type[Model], columns: tuple[str, ...], found: Iterable[Model]
) -> list[tuple[Any, ...]]:
    """The columns of these rows as the database's driver takes them."""
    by_column = {field.column: field for field in model._meta.concrete_fields}
    fields = [by_column[name] for name in columns]
    # The connection itself: its stand-in would be asked for it again for each value.
    here = connections[DEFAULT_DB_ALIAS]
    return [
        tuple(field.get_db_prep_save(getattr(row, field.attname), here) for field in fields)
        for row in found
    ]


def update(
    model: type[Model], columns: tuple[str, ...], where: tuple[str, ...], rows: Sequence[Row]
) -> None:
    """Set `columns` of the rows that `where` tells; each row gives first those, then these."""
    table = model._meta.db_table
    if connection.vendor != "postgresql":
        _many(_update(table, columns, where), rows)
        return
    names = (*columns, *where)
    for start in range(0, len(rows), _SET):
        part = rows[start : start + _SET]
        values = ", ".join([_marks(len(names))] * len(part))
        sql = _update_set(table, columns, where, _types(model, names))
        _one(sql.replace("{values}", values), _flat(part))


def ask(sql: str, *params: Any) -> list[Row]:
    """The rows of a query: for what each run asks, where the ORM's own work would be most of it."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Row] = cursor.fetchall()
    return rows


def tell(sql: str, *params: Any) -> int:
    """A statement without rows; how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        touched: int = cursor.rowcount
    return max(0, touched)


def select(sql: str, ids: Iterable[Any], *params: Any) -> Iterator[Any]:
    """The rows of a query whose `{ids}` stands for these ids, after its other parameters."""
    for part in chunks(ids):
        yield from _rows(sql, part, params)


def execute(sql: str, ids: Iterable[Any], *params: Any) -> int:
    """A statement like that of `select`; how many rows it touched."""
    touched = 0
    for part in chunks(ids):
        with connection.cursor() as cursor:
            cursor.execute(_filled(sql, len(part)), [*params, *part])
            touched += max(0, cursor.rowcount)
    return touched


def _put(
    table: str,
    columns: tuple[str, ...],
    rows: Sequence[Row],
    unique: tuple[str, ...],
    replace: tuple[str, ...],
) -> None:
    if connection.vendor != "postgresql":
        _many(_insert(table, columns) + _on_conflict(unique, replace), rows)
        return
    places = [columns.index(name) for name in unique]
    # One statement must not touch a row twice; sorted, so that two writers never wait in a ring.
    last = {tuple(row[place] for place in places): row for row in rows}
    ordered = [last[key] for key in sorted(last)]
    for start in range(0, len(ordered), _SET):
        part = ordered[start : start + _SET]
        values = ", ".join([_marks(len(columns))] * len(part))
        sql = f'INSERT INTO "{table}" ({_names(columns)}) VALUES {values}'
        _one(sql + _on_conflict(unique, replace), _flat(part))


def _rows(sql: str, part: Sequence[Any], params: Sequence[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(_filled(sql, len(part)), [*params, *part])
        rows: list[Row] = cursor.fetchall()
    return rows


def _many(sql: str, rows: Sequence[Row]) -> None:
    if rows:
        # Outside a transaction each row would be committed by itself.
        with transaction.atomic(savepoint=False), connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def _one(sql: str, values: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _flat(rows: Iterable[Row]) -> list[Any]:
    return [value for row in rows for value in _without_nul(row)]


def _clean(rows: Sequence[Row]) -> Sequence[Row]:
    return [_without_nul(row) for row in rows] if connection.vendor == "postgresql" else rows


def _without_nul(row: Row) -> Row:
    """PostgreSQL's texts hold no NUL; what a label or message has of them is of no use to people.

    The record itself is kept whole: its content is bytes.
    """
    if any(type(value) is str and "\0" in value for value in row):
        return [v.replace("\0", "\N{REPLACEMENT CHARACTER}") if type(v) is str else v for v in row]
    return row


def _filled(sql: str, many: int) -> str:
    return sql.replace("{ids}", ", ".join(["%s"] * many))


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _marks(many: int) -> str:
    return f"({', '.join(['%s'] * many)})"


@cache
def _on_conflict(unique: tuple[str, ...], replace: tuple[str, ...]) -> str:
    sets = ", ".join(f'"{column}" = excluded."{column}"' for column in replace)
    then = f"UPDATE SET {sets}" if replace else "NOTHING"
    return f" ON CONFLICT ({_names(unique)}) DO {then}"


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f'INSERT INTO "{table}" ({_names(columns)}) VALUES {_marks(len(columns))}'


@cache
def _update(table: str, columns: tuple[str, ...], where: tuple[str, ...]) -> str:
    sets = ", ".join(f'"{column}" = %s' for column in columns)
    tests = " AND ".join(f'"{column}" = %s' for column in where)
    return f'UPDATE "{table}" SET {sets} WHERE {tests}'


@cache
def _types(model: type[Model], names: tuple[str, ...]) -> tuple[str, ...]:
    """The database's type of each column, for values that come as a list of texts."""
    by_column = {field.column: field for field in model._meta.concrete_fields}
    # As a reference to it would be: a number, where the column itself counts up.
    return tuple(_reference_type(by_column[name]) for name in names)


def _reference_type(field: Any) -> str:
    found: str | None = field.rel_db_type(connection)
    return found or "text"


@cache
def _update_set(
    table: str, columns: tuple[str, ...], where: tuple[str, ...], types: tuple[str, ...]
) -> str:
    casts = dict(zip((*columns, *where), types, strict=True))
    sets = ", ".join(f'"{column}" = v."{column}"::{casts[column]}' for column in columns)
    tests = " AND ".join(f't."{column}" = v."{column}"::{casts[column]}' for column in where)
    names = _names((*columns, *where))
    return f'UPDATE "{table}" t SET {sets} FROM (VALUES {{values}}) AS v ({names}) WHERE {tests}'
