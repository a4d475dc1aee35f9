"""A store moves to PostgreSQL, is backed up while it is used, and comes back from yesterday."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connections

from koppel.errors import NeedsUser
from koppel.store import open_store
from koppel.store.address import FILE
from koppel.store.moving import backup, move, restore
from koppel.testing.generated import crm_fields, erp_fields, fill_crm, fill_erp, partners
from tests.postgres import Databases
from tests.scenarios.pair import KEY, PairOfSystems, Ticking
from tests.unit.test_cli import Shell, coupled, shell, template

__all__ = ["coupled", "shell", "template"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    connections.close_all()


@pytest.mark.xdist_group("postgres")
def test_a_filled_store_moves_to_postgresql_is_equal_and_goes_on(
    pair: PairOfSystems, databases: Databases
) -> None:
    fill_crm(pair.crm, 30)
    fill_erp(pair.erp, 30)
    pair.sync()
    store = apps.get_app_config("store")
    rows = {model: model._base_manager.count() for model in store.get_models()}
    address = databases.server.create("moved")
    moved = {one.table: one.rows for one in move(address)}
    filled = {m._meta.db_table: many for m, many in rows.items() if many}
    filled.pop("store_lease", None)
    assert {name: moved[name] for name in filled} == filled
    assert moved["store_coupling"] == 60
    with pytest.raises(NeedsUser, match="a store in this database already"):
        move(address)
    # Goes on there: nothing is read or written anew, and a new change travels.
    pair.store = open_store(address, clock=Ticking(), key=KEY)
    assert pair.sync().counts["writes"] == 0
    crm = next(iter(pair.crm.table("organisation").rows))
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550100"})
    assert pair.sync().counts["writes"] == 1


@pytest.mark.xdist_group("postgres")
def test_the_command_moves_proves_and_points_to_the_new_store(
    shell: Shell, coupled: tuple[str, str], databases: Databases
) -> None:
    address = databases.server.create("moved_by_command")
    told = shell.ask("migrate-store", address)
    assert {one["table"]: one["rows"] for one in told["tables"]}["store_coupling"] == 1
    assert told["address"] == f"postgresql://127.0.0.1:{databases.server.port}/moved_by_command"
    file = shell.home / FILE
    assert file.stat().st_mode & 0o077 == 0
    (shell.home / "koppel.sqlite3").unlink()
    assert "0 writes" in shell("sync")
    # And a backup of it, put back after something else happened.
    dump = shell.home / "koppel.dump"
    told = json.loads(shell("backup", str(dump), "--json"))
    assert told["bytes"] > 1000
    shell.crm_human.edit("organisation", coupled[0], {"phone": "+49 221 5550199"})
    assert "1 writes" in shell("sync")
    shell("restore", str(dump))
    assert "0 writes" in shell("sync")


def fresh(pair: PairOfSystems, file: Path) -> None:
    """The pair as after a restart, on the store at this file."""
    connections.close_all()
    pair.store = open_store(file, clock=Ticking(), key=KEY, migrate=False)


def test_a_store_from_yesterdays_backup_finds_its_way_back_and_doubles_nothing(
    pair: PairOfSystems, tmp_path: Path
) -> None:
    fill_crm(pair.crm, 20)
    fill_erp(pair.erp, 20)
    pair.sync()
    file = tmp_path / "koppel.sqlite3"
    yesterday = tmp_path / "yesterday.sqlite3"
    assert backup(str(file), yesterday) > 10_000
    assert yesterday.stat().st_mode & 0o077 == 0
    # A day's work: edits each way, new records each way, all brought across.
    people = list(partners(26))
    crm_ids = list(pair.crm.table("organisation").rows)
    erp_ids = list(pair.erp.table("party").rows)
    pair.crm_human.edit("organisation", crm_ids[0], {"phone": "+49 221 5550100"})
    pair.erp_human.edit("party", erp_ids[1], {"name": "Renamed GmbH"})
    for partner in people[20:23]:
        pair.crm_human.create("organisation", crm_fields(partner))
    for partner in people[23:26]:
        pair.erp_human.create("party", erp_fields(partner))
    assert pair.sync().state == "done"
    before = {side: _living(system) for side, system in _systems(pair)}
    # The disk is gone; last night's backup is all there is.
    connections.close_all()
    restore(str(file), yesterday)
    fresh(pair, file)
    pair.crm_human.edit("organisation", crm_ids[2], {"phone": "+49 221 5550102"})
    run = pair.sync()
    if run.state == "held":
        run = pair.engine().apply(run, approve=True)
    assert run.state == "done"
    after = {side: _living(system) for side, system in _systems(pair)}
    assert {side: len(rows) for side, rows in after.items()} == {
        side: len(rows) for side, rows in before.items()
    }
    assert pair.store.couplings.count("partner", "active") == 26
    assert not pair.store.inbox.conflicts()
    assert pair.sync().counts["writes"] == 0


def _systems(pair: PairOfSystems) -> list[tuple[str, list[dict[str, object]]]]:
    return [
        ("crm", [row.fields for row in pair.crm.table("organisation").rows.values()]),
        ("erp", [row.fields for row in pair.erp.table("party").rows.values()]),
    ]


def _living(rows: list[dict[str, object]]) -> list[object]:
    return [fields["name"] for fields in rows]


def test_a_backup_never_overwrites_and_a_letter_is_no_backup(
    pair: PairOfSystems, tmp_path: Path
) -> None:
    file = str(tmp_path / "koppel.sqlite3")
    there = tmp_path / "there.sqlite3"
    there.write_text("a letter to my aunt")
    with pytest.raises(NeedsUser, match="such a file already"):
        backup(file, there)
    kept = shutil.copy(file, tmp_path / "kept")
    with pytest.raises(NeedsUser, match="cannot be restored"):
        restore(file, there)
    assert Path(file).read_bytes() == Path(kept).read_bytes()
    with pytest.raises(NeedsUser, match="no address of PostgreSQL"):
        move("koppel.sqlite3")
