"""The store on SQLite keeps its contract, and what only a file and processes can show."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections

from koppel.errors import NeedsUser
from koppel.store import Store, open_store
from koppel.store.lease import me
from koppel.testing.store_contract import KEY, Clock, StoreContract, coupling


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty store, made once."""
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    open_store(path, clock=Clock(), key=KEY).close()
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "koppel.sqlite3"
    copy.write_bytes(template.read_bytes())
    return copy


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    connections.close_all()


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, clock: Clock, path: Path) -> Store:
        return open_store(path, clock=clock, key=KEY, migrate=False)

    @pytest.fixture
    def reopen(self, clock: Clock, path: Path) -> Callable[[bytes], Store]:
        return lambda key: open_store(path, clock=clock, key=key, migrate=False)

    def test_the_lease_of_a_dead_process_of_this_machine_is_free_at_once(
        self, store: Store
    ) -> None:
        with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
            gone.wait()
        host = me().rpartition(":")[0]
        assert store.lease.take("engine", f"{host}:{gone.pid}", seconds=3600)
        assert store.lease.take("engine", seconds=60)
        assert store.lease.holder("engine") == me()

    def test_a_process_killed_in_a_transaction_leaves_nothing_of_it(
        self, store: Store, path: Path
    ) -> None:
        store.couplings.save([coupling(1)])
        connections.close_all()
        child = os.fork()
        if child == 0:
            from django.db import transaction

            with transaction.atomic():
                store.couplings.save([coupling(2)])
                store.couplings.move_cursors({("partner", "crm"): "9"})
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert store.couplings.count() == 1
        assert store.couplings.cursor("partner", "crm") is None

    def test_a_process_killed_after_a_transaction_leaves_all_of_it(
        self, store: Store, path: Path
    ) -> None:
        connections.close_all()
        child = os.fork()
        if child == 0:
            store.couplings.save([coupling(1)])
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert store.couplings.count() == 1

    def test_it_writes_ahead_and_survives_a_power_cut(self, store: Store) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)
            assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_migrations_are_complete_and_can_be_repeated(path: Path) -> None:
    from django.core.management import call_command

    open_store(path, clock=Clock(), key=KEY)
    open_store(path, clock=Clock(), key=KEY)
    call_command("makemigrations", "store", check=True, dry_run=True, verbosity=0)


def test_a_file_that_is_no_store_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "koppel.sqlite3"
    path.write_bytes(b"This is a letter to my aunt, not a database. " * 40)
    with pytest.raises(NeedsUser, match="cannot be opened"):
        open_store(path, clock=Clock(), key=KEY)


def test_a_folder_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NeedsUser, match="cannot be opened"):
        open_store(tmp_path / "nowhere" / "koppel.sqlite3", clock=Clock(), key=KEY)


def test_a_store_can_be_copied_while_it_is_used(path: Path, tmp_path: Path) -> None:
    store = open_store(path, clock=Clock(), key=KEY, migrate=False)
    store.couplings.save([coupling(1)])
    with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "copy.sqlite3") as target:
        source.backup(target)
    copied = open_store(tmp_path / "copy.sqlite3", clock=Clock(), key=KEY)
    assert copied.couplings.count() == 1
