"""What is sent is on the disk before, and what a run did is on the disk when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from koppel import config
from koppel.connectors.base import Connector, Outcome, Write
from koppel.engine import Engine
from koppel.errors import TryLater
from koppel.store import Store, open_store
from koppel.store.durability import asynchronous_commits, synchronous_commit
from koppel.testing.generated import fill_erp
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems, make_pair, pair_on
from tests.scenarios.selling import make_selling

ASK = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}
WAITS = {"sqlite": 2, "postgresql": "on"}


def waits() -> bool:
    """Do this thread's commits wait for the disk?"""
    with connection.cursor() as cursor:
        cursor.execute(ASK[connection.vendor])
        return bool(cursor.fetchone()[0] == WAITS[connection.vendor])


def as_in_earnest() -> None:
    """Tests do not wait for the disk otherwise."""
    with connection.cursor() as cursor:
        cursor.execute(
            "PRAGMA synchronous = FULL"
            if connection.vendor == "sqlite"
            else "SET synchronous_commit TO on"
        )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    open_store(path, clock=config.now).close()
    return path


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))]
)
def pair(request: pytest.FixtureRequest, tmp_path: Path, template: Path) -> Iterator[PairOfSystems]:
    if request.param == "sqlite":
        made = make_pair(tmp_path, template, entities=("partner",))
    else:
        databases: Databases = request.getfixturevalue("databases")
        made = pair_on(empty(databases.fresh(), config.now), entities=("partner",))
    as_in_earnest()
    yield made
    connections.close_all()


class Watched:
    """A connector that notes which kind of commit came last before it was asked to write."""

    def __init__(self, inner: Connector, commits: list[tuple[str, bool]]) -> None:
        self._inner = inner
        self._commits = commits
        self.before: list[tuple[str, bool]] = []

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        self.before.append(self._commits[-1])
        return self._inner.write(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@contextmanager
def noted(table: str = "journal") -> Iterator[list[tuple[str, bool]]]:
    """Each statement that writes rows of intents, with whether its commit waits for the disk."""
    found: list[tuple[str, bool]] = []
    inside = False

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal inside
        writes = sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))
        if writes and not inside and table in sql:
            inside = True
            found.append((sql.split()[0], waits()))
            inside = False
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def test_intents_are_on_the_disk_before_anything_is_sent(pair: PairOfSystems) -> None:
    fill_erp(pair.erp, 3, contacts=0)
    with noted() as commits:
        crm = Watched(pair.connectors["crm"], commits)
        pair.wrap = lambda name, inner: crm if name == "crm" else inner  # type: ignore[assignment, return-value]
        run = pair.sync()
    assert run.counts["writes"] == 3
    assert crm.before
    assert set(crm.before) == {("INSERT", True)}
    # What came of it is told without waiting: the intent would find it again.
    assert ("UPDATE", False) in commits


def test_when_a_run_is_over_commits_wait_for_the_disk_again(pair: PairOfSystems) -> None:
    during: list[bool] = []
    pair.boundary = lambda name: during.append(waits()) if name != "written to crm" else None
    fill_erp(pair.erp, 1, contacts=0)
    pair.sync()
    assert during
    assert not any(during)
    assert waits()


def test_a_run_that_another_one_keeps_out_leaves_commits_as_they_were(
    pair: PairOfSystems,
) -> None:
    store: Store = pair.store
    store.lease.take("pair crm/erp", "another-host:1/1")
    with pytest.raises(TryLater):
        Engine(store, connect=pair._connect).sync()
    assert waits()


def test_a_commit_that_must_last_waits_within_a_block_that_does_not(pair: PairOfSystems) -> None:
    with asynchronous_commits():
        assert not waits()
        with asynchronous_commits(), synchronous_commit():
            assert waits()
        assert not waits()
    assert waits()
    with synchronous_commit():
        assert waits()


def test_a_step_that_sends_something_is_on_the_disk_before(tmp_path: Path, template: Path) -> None:
    selling = make_selling(tmp_path, template)
    as_in_earnest()
    with noted("store_process") as commits:
        erp = Watched(selling.pair.connectors["erp"], commits)
        crm = Watched(selling.pair.connectors["crm"], commits)
        selling.pair.wrap = lambda name, inner: erp if name == "erp" else crm  # type: ignore[assignment, return-value]
        row = selling.transfer(selling.quote())
    assert (row.state, row.why) == ("done", "")
    assert len(erp.before) == 3
    assert {waited for _, waited in (*erp.before, *crm.before)} == {True}
    # What came of it, and what sent nothing, waits for nobody.
    assert [waited for _, waited in commits].count(False) > len(erp.before)
    assert waits()
