"""A PostgreSQL for tests: one cluster per test process, a database per test module or test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime

import pytest
from django.db import connections

from koppel.store import Store, open_store
from koppel.store.opening import Clock
from koppel.testing.store_given import KEY
from lab.postgres import Postgres, binaries
from lab.system import LabError


class Databases:
    """Makes databases from a migrated template, and empties them."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        open_store(server.create("template_koppel"), clock=_never, key=KEY).close()

    def fresh(self) -> str:
        """The address of a migrated, empty database."""
        return self.server.create(f"koppel_{next(self._numbers)}", "template_koppel")


def _never() -> datetime:
    raise AssertionError("nothing is stamped while tables are made")


def start() -> Iterator[Databases]:
    """For a session's fixture; skips by name where PostgreSQL is not installed."""
    try:
        binaries()
    except LabError as error:
        pytest.skip(str(error))
    server = Postgres.for_tests()
    server.start()
    try:
        yield Databases(server)
    finally:
        connections.close_all()
        server.remove()


def empty(address: str, clock: Clock, key: bytes = KEY) -> Store:
    """The same database again, without a row: quicker than a new one."""
    from django.apps import apps
    from django.db import connection

    store = open_store(address, clock=clock, key=key, migrate=False)
    tables = ", ".join(f'"{m._meta.db_table}"' for m in apps.get_app_config("store").get_models())
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    return store
