"""The store keeps its contract on SQLite and on PostgreSQL, and what only processes can show."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections

from koppel.errors import NeedsUser
from koppel.store import Store, open_store
from koppel.store.address import ENVIRONMENT, database_settings, find_address
from koppel.store.lease import me
from koppel.testing.store_contract import StoreContract
from koppel.testing.store_given import KEY, Clock, coupling, replica
from tests.postgres import Databases, empty


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


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from django.db import transaction
from koppel.store import open_store
from koppel.testing.store_given import KEY, coupling
def die():
    os.kill(os.getpid(), signal.SIGKILL)
store = open_store(sys.argv[1], clock=lambda: datetime.now(UTC), key=KEY, migrate=False)
"""
IN_A_TRANSACTION = """
with transaction.atomic():
    store.couplings.save([coupling(2)])
    store.couplings.move_cursors({("partner", "crm"): "9"})
    die()
"""


def killed(address: str | Path, program: str) -> None:
    """Let another process do this to the store until it kills itself."""
    command = [sys.executable, "-c", KILLED + program, str(address)]
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


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
        killed(path, IN_A_TRANSACTION)
        assert store.couplings.count() == 1
        assert store.couplings.cursor("partner", "crm") is None

    def test_a_process_killed_after_a_transaction_leaves_all_of_it(
        self, store: Store, path: Path
    ) -> None:
        killed(path, "store.couplings.save([coupling(1)])\ndie()\n")
        assert store.couplings.count() == 1

    def test_it_writes_ahead_and_survives_a_power_cut(self, store: Store) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)
            assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)


@pytest.fixture(scope="module")
def address(databases: Databases) -> str:
    return databases.fresh()


@pytest.mark.xdist_group("postgres")
class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, clock: Clock, address: str) -> Store:
        return empty(address, clock)

    @pytest.fixture
    def reopen(self, clock: Clock, address: str) -> Callable[[bytes], Store]:
        return lambda key: open_store(address, clock=clock, key=key, migrate=False)

    def test_a_process_killed_in_a_transaction_leaves_nothing_of_it(
        self, store: Store, address: str
    ) -> None:
        store.couplings.save([coupling(1)])
        killed(address, IN_A_TRANSACTION)
        assert store.couplings.count() == 1
        assert store.couplings.cursor("partner", "crm") is None

    def test_of_many_who_reach_for_the_lease_at_once_one_gets_it(self, store: Store) -> None:
        def take(number: int) -> bool:
            try:
                return store.lease.take("engine", f"elsewhere:{number}")
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1

    def test_many_rows_go_in_at_once_and_the_last_of_equals_counts(self, store: Store) -> None:
        rows = [replica(n, keys=((f"k{n % 7}", True),)) for n in range(1200)]
        store.replica.put([*rows, replica(5, coupled=True)])
        assert store.replica.count("partner", "crm") == 1200
        assert store.replica.count("partner", "crm", coupled=True) == 1

    def test_a_text_with_a_nul_goes_in_without_it(self, store: Store) -> None:
        row = coupling(1)
        row.label = "Müller\0 GmbH"
        store.couplings.save([row])
        (kept,) = store.couplings.by_id([row.id]).values()
        assert kept.label == "Müller� GmbH"


@pytest.mark.xdist_group("postgres")
def test_several_processes_that_begin_together_make_the_tables_once(
    databases: Databases,
) -> None:
    address = databases.server.create("begun_together")
    program = (
        "import sys; from koppel.store import open_store; from datetime import datetime, UTC;"
        "open_store(sys.argv[1], clock=lambda: datetime.now(UTC))"
    )
    begun = [subprocess.Popen([sys.executable, "-c", program, address]) for _ in range(3)]
    assert [child.wait(60) for child in begun] == [0, 0, 0]


@pytest.mark.xdist_group("postgres")
def test_a_server_that_does_not_let_us_in_is_told_without_the_password(
    databases: Databases,
) -> None:
    port = databases.server.port
    with pytest.raises(NeedsUser, match="cannot be opened") as told:
        open_store(f"postgresql://koppel:wr0ng-w0rd@127.0.0.1:{port}/koppel", clock=Clock())
    assert "wr0ng-w0rd" not in str(told.value)
    assert f"postgresql://127.0.0.1:{port}/koppel" in str(told.value)


def test_an_address_without_a_database_or_with_a_wrong_port_is_told() -> None:
    for address in ("postgresql://koppel@db.example", "postgresql://koppel@db.example:x/koppel"):
        with pytest.raises(NeedsUser):
            database_settings(address)


def test_a_file_with_the_address_that_others_can_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert find_address(tmp_path) == str(tmp_path / "koppel.sqlite3")
    file = tmp_path / "koppel.database"
    file.write_text("postgresql://koppel:secret@db.example/koppel\n")
    file.chmod(0o644)
    with pytest.raises(NeedsUser, match="read by others"):
        find_address(tmp_path)
    file.chmod(0o600)
    assert find_address(tmp_path) == "postgresql://koppel:secret@db.example/koppel"


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
