"""PostgreSQL goes away in the middle of a run, and comes back: nothing is lost, nothing doubled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, connections

from koppel.config import now
from koppel.engine.watch import Pace, Watch
from koppel.engine.webhooks import Bell
from koppel.processes.replica_desk import ReplicaDesk, ReplicaPace
from koppel.store import Store
from koppel.testing.generated import erp_fields, fill_crm, partners
from lab.postgres import Postgres
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems, pair_on

pytestmark = pytest.mark.xdist_group("postgres")

PATIENCE = 120.0


@pytest.fixture(scope="module")
def server(databases: Databases) -> Postgres:
    """The server that is stopped and started."""
    return databases.server


@pytest.fixture
def pair(databases: Databases, server: Postgres) -> Iterator[PairOfSystems]:
    """A pair whose store is on it."""
    if "gone" not in _made:
        _made["gone"] = databases.fresh()
    yield pair_on(empty(_made["gone"], now))
    if not server.running():
        server.start()
    connections.close_all()


_made: dict[str, str] = {}


@pytest.mark.parametrize("where", ["intents journalled", "answers received", "page settled"])
def test_a_run_whose_store_goes_away_is_made_good_by_the_next(
    pair: PairOfSystems, server: Postgres, where: str
) -> None:
    fill_crm(pair.crm, 2)
    for partner in list(partners(4))[2:]:
        pair.erp_human.create("party", erp_fields(partner))

    def gone(name: str) -> None:
        if name == where and server.running():
            server.stop()

    pair.boundary = gone
    with pytest.raises(DatabaseError):
        pair.sync()
    connections.close_all()
    pair.boundary = lambda name: None
    server.start()
    assert pair.sync().state == "done"
    assert pair.sync().counts["writes"] == 0
    assert len(pair.crm.table("organisation").order) == 4
    assert len(pair.erp.table("party").order) == 4
    assert pair.store.couplings.count("partner", "active") == 4
    assert not pair.store.journal.open_intents()


def test_the_watch_outlives_its_store(pair: PairOfSystems, server: Postgres) -> None:
    fill_crm(pair.crm, 1, contacts=0)

    watch = Watch(pair.engine, now, Pace(poll=0.3, away=0.3, gather=0.05))
    watch.start()
    try:
        wait(lambda: len(pair.erp.table("party").order) == 1, "the first one never came")
        server.stop()
        wait(lambda: "store" in watch.last_error, "it does not say that its store is away")
        fill_crm(pair.crm, 1, seed=2, contacts=0)
        pressed = watch.press("partner", "crm", "2", user="test", timeout=10)
        assert pressed.run is None
        server.start()
        wait(lambda: len(pair.erp.table("party").order) == 2, "it never went on")
        wait(lambda: not watch.last_error, "it does not say that all is well again")
    finally:
        watch.stop()


def test_views_and_webhooks_outlive_their_store(pair: PairOfSystems, server: Postgres) -> None:
    fill_crm(pair.crm, 1, contacts=0)
    views = ReplicaDesk(pair.engine, ReplicaPace(poll=0.1, away=0.1))
    bell = Bell(lambda: Store(now, pair.store.webhooks._key), pause=0.1)
    views.start()
    bell.start()
    try:
        server.stop()
        wait(lambda: "store" in views.last_error, "the views do not say that the store is away")
        wait(lambda: "store" in bell.last_error, "the webhooks do not say that the store is away")
        server.start()
        wait(lambda: not views.last_error, "the views never went on")
        wait(lambda: not bell.last_error, "the webhooks never went on")
    finally:
        views.stop()
        bell.stop()


def wait(until: Callable[[], object], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)
