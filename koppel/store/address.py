"""Which database: a SQLite file in the home folder, or PostgreSQL by its address.

The address is `KOPPEL_DATABASE_URL` or the one line of the file `koppel.database` in the home
folder, as `postgresql://user:password@host:5432/name`, with libpq's parameters behind a question
mark (`?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem`). It holds a password: the file must be
readable by its owner only, and no error shows more than host and name.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from koppel.errors import NeedsUser

ENVIRONMENT = "KOPPEL_DATABASE_URL"
FILE = "koppel.database"
SQLITE_FILE = "koppel.sqlite3"
_SCHEMES = ("postgresql", "postgres")

_SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        # FULL: an intent that was journalled must survive a power cut, not only a killed
        # process; the pages make it one fsync for a hundred records.
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            "PRAGMA cache_size=-32000;"
            # In pages of 4 kB. A page that many commits write goes to the database file once for
            # all of them; with SQLite's own 1,000 a first load copies most pages again and again.
            "PRAGMA wal_autocheckpoint=8000;"
        ),
    },
    "USER": "",
    "PASSWORD": "",
    "HOST": "",
    "PORT": "",
    # To open a file anew for each page would cost more than most pages ask of it.
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": False,
}


def find_address(home: Path) -> str:
    """Where the store of a home folder is: PostgreSQL's address, or the path of the SQLite file.

    Raises `NeedsUser` for an address file that others can read.
    """
    if value := os.environ.get(ENVIRONMENT, "").strip():
        return value
    file = home / FILE
    if not file.exists():
        return str(home / SQLITE_FILE)
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise NeedsUser(
            "the file with the database's address can be read by others",
            place=str(file),
            remedy=f"Run: chmod 600 {file}",
        )
    return file.read_text().strip()


def is_server(address: Path | str) -> bool:
    """Is this PostgreSQL, and not a file?"""
    return urlsplit(str(address)).scheme in _SCHEMES


def shown(address: Path | str) -> str:
    """The address without user, password and parameters, for messages."""
    if not is_server(address):
        return str(address)
    parts = urlsplit(str(address))
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"


def database_settings(address: Path | str) -> dict[str, Any]:
    """Django's settings of the database. Raises `NeedsUser` for an address without a name."""
    if not is_server(address):
        return {**_SQLITE, "NAME": str(address)}
    try:
        parts = urlsplit(str(address))
        port = parts.port
    except ValueError:
        raise NeedsUser("the database's port is no number", place=ENVIRONMENT) from None
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise NeedsUser(
            "the database's address names no database",
            place=ENVIRONMENT,
            remedy="Write it as postgresql://user:password@host:5432/koppel",
        )
    parameters = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parameters.pop("host", parts.hostname or "")),
        "PORT": str(port or ""),
        "OPTIONS": {"connect_timeout": 10, "application_name": "koppel", **parameters},
        # A page asks several times a second; a broken connection is found before it is used again.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
