"""Moving a filled store from SQLite to PostgreSQL, with proof; and backups of a store in use.

`move` copies every table in one transaction and then reads both sides again, row by row: a count
and a digest of the content per table must agree, else nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from koppel.errors import Defect, NeedsUser
from koppel.store.address import database_settings, is_server, shown

TARGET = "target"
_PAGE = 1000
_LEFT = frozenset(("sessions.session", "store.lease"))
"""What does not move: log-ins of browsers, and who was at work."""

Tell = Callable[[str, int], None]


class Moved(Struct, frozen=True):
    """One table: how many rows it has on both sides, and the digest of their content."""

    table: str
    rows: int
    digest: str


def move(address: str, *, tell: Tell = lambda text, many: None) -> list[Moved]:
    """Copy the open store into the empty PostgreSQL database at `address`; what was compared.

    Nobody may write to the open store meanwhile. Raises `NeedsUser` where the database is not
    PostgreSQL, cannot be used or is in use, and `Defect` where a table came out otherwise.
    """
    from django.core.management import call_command
    from django.db import DatabaseError, connections, transaction

    if not is_server(address):
        raise NeedsUser(
            "this is no address of PostgreSQL",
            place=shown(address),
            remedy="Write it as postgresql://user:password@host:5432/koppel",
        )
    connections.settings[TARGET] = {
        **connections.settings["default"], **database_settings(address)
    }  # fmt: skip
    try:
        call_command("migrate", database=TARGET, verbosity=0, interactive=False)
        with transaction.atomic(using=TARGET):
            _refuse_filled(address)
            models = _models()
            for model in reversed(models):
                model._base_manager.using(TARGET).all().delete()
            for model in models:
                _copy(model, tell)
            _count_on(models)
            return [_compared(model, tell) for model in models]
    except DatabaseError as error:
        raise NeedsUser(
            f"the store cannot be moved: {str(error).strip().partition(chr(10))[0]}",
            place=shown(address),
            remedy="Check that the database exists, answers, and lets this user in",
        ) from error
    finally:
        connections[TARGET].close()
        del connections[TARGET]
        del connections.settings[TARGET]


def _refuse_filled(address: str) -> None:
    from koppel.store.models import Connection, Run

    if any(model.objects.using(TARGET).exists() for model in (Connection, Run)):
        raise NeedsUser(
            "there is a store in this database already",
            place=shown(address),
            remedy="Give an empty database",
        )


def _models() -> list[Any]:
    from django.apps import apps

    found = apps.get_models(include_auto_created=True)
    return [model for model in found if model._meta.label_lower not in _LEFT]


def _rows(model: Any, alias: str) -> Iterator[tuple[Any, ...]]:
    """All rows by their key, as plain values."""
    names = [field.attname for field in model._meta.concrete_fields]
    rows = model._base_manager.using(alias).order_by("pk").values_list(*names)
    for row in rows.iterator(chunk_size=_PAGE):
        yield tuple(_plain(value) for value in row)


def _plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    # PostgreSQL's texts hold no NUL.
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _copy(model: Any, tell: Tell) -> None:
    from django.db import connections, models

    target = connections[TARGET]
    fields = model._meta.concrete_fields
    dicts = [place for place, field in enumerate(fields) if isinstance(field, models.JSONField)]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    with (
        target.cursor() as cursor,
        cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as stream,
    ):
        for number, row in enumerate(_rows(model, "default"), 1):
            values = list(row)
            for place in dicts:
                values[place] = None if row[place] is None else json.dumps(row[place])
            stream.write_row(values)
            if number % _PAGE == 0:
                tell(f"moving {model._meta.db_table}", _PAGE)


def _count_on(models: Sequence[Any]) -> None:
    """New rows are numbered from behind the moved ones."""
    from django.core.management.color import no_style
    from django.db import connections

    with connections[TARGET].cursor() as cursor:
        for statement in connections[TARGET].ops.sequence_reset_sql(no_style(), list(models)):
            cursor.execute(statement)


def _compared(model: Any, tell: Tell) -> Moved:
    here, there = digest(model, "default"), digest(model, TARGET)
    table = model._meta.db_table
    tell(f"comparing {table}", here[0])
    if here != there:
        raise Defect(
            f"{here[0]} rows became {there[0]}, or their content differs; nothing was kept",
            place=table,
        )
    return Moved(table, *here)


def digest(model: Any, alias: str = "default") -> tuple[int, str]:
    """How many rows a table has, and a digest of their content that knows no database."""
    # A sum over the rows: databases sort texts by different rules, so the order must not count.
    many = total = 0
    for row in _rows(model, alias):
        many += 1
        one = hashlib.sha256("\x1f".join(map(_word, row)).encode()).digest()
        total = (total + int.from_bytes(one, "big")) % (1 << 256)
    return many, f"{total:064x}"


def _word(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def backup(address: str, file: Path) -> int:
    """Copy the store to a file while it is used; how many bytes the copy has.

    SQLite: its own online backup, checked afterwards. PostgreSQL: `pg_dump` in its custom format.
    The file is readable by its owner only, for it holds customers' data. Raises `NeedsUser`.
    """
    if file.exists():
        raise NeedsUser("there is such a file already", place=str(file), remedy="Give a new name")
    try:
        file.touch(mode=0o600)
        if is_server(address):
            _dump("pg_dump", address, "--format=custom", f"--file={file}")
        else:
            _copy_file(Path(address), file)
    except (OSError, sqlite3.Error) as error:
        file.unlink(missing_ok=True)
        raise NeedsUser(f"the backup failed: {error}", place=str(file)) from error
    except NeedsUser:
        file.unlink(missing_ok=True)
        raise
    return file.stat().st_size


def restore(address: str, file: Path) -> None:
    """Put a backup back in place of the store; nobody may use it meanwhile. Raises `NeedsUser`."""
    if not file.is_file():
        raise NeedsUser("there is no such file", place=str(file))
    if is_server(address):
        _dump("pg_restore", address, "--clean", "--if-exists", "--single-transaction", str(file))
        return
    making = Path(f"{address}.restoring")
    try:
        making.unlink(missing_ok=True)
        making.touch(mode=0o600)
        _copy_file(file, making)
        os.replace(making, address)
        for rest in ("-wal", "-shm"):
            Path(f"{address}{rest}").unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        making.unlink(missing_ok=True)
        raise NeedsUser(f"the backup cannot be restored: {error}", place=str(file)) from error


def _copy_file(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new, pages=2000)
        (found,) = new.execute("PRAGMA quick_check").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {found}")
        new.execute("SELECT 1 FROM store_coupling LIMIT 1")


def _dump(program: str, address: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise NeedsUser(
            f"{program} is not installed here",
            remedy="Install PostgreSQL's client (Debian, Ubuntu: apt install postgresql-client)",
        )
    settings = database_settings(address)
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}
    # By the environment: arguments can be seen by everybody on the machine.
    environment = {**os.environ, **{v: settings[k] for k, v in names.items() if settings[k]}}
    for name in ("sslmode", "sslrootcert"):
        if name in settings["OPTIONS"]:
            environment[f"PG{name.upper()}"] = settings["OPTIONS"][name]
    command = [found, f"--dbname={settings['NAME']}", "--no-owner", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines() or ["no word why"]
        raise NeedsUser(f"{program} failed: {last[-1]}", place=shown(address))
