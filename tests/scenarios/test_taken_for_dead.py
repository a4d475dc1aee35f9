"""A worker that is taken for dead, and is not: it wakes up when another one has done its work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from koppel.engine import writing
from koppel.errors import TryLater
from koppel.store.work_models import Lease
from koppel.testing.generated import erp_fields, fill_crm, partners
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems, Ticking, pair_on


@pytest.fixture(scope="module")
def address(databases: Databases) -> str:
    """One database for all of them."""
    return databases.fresh()


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))]
)
def shared(request: pytest.FixtureRequest) -> Iterator[PairOfSystems]:
    """A pair on either store."""
    if request.param == "sqlite":
        yield request.getfixturevalue("pair")
    else:
        address: str = request.getfixturevalue("address")
        yield pair_on(empty(address, Ticking()))
    connections.close_all()


class Sleeper:
    """An engine in a thread of its own that stops at a boundary until it is woken."""

    def __init__(self, pair: PairOfSystems, where: str) -> None:
        self.asleep, self.wake = threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self._where = where
        self._engine = pair.engine()
        self._engine._boundary = self._boundary
        self._thread = threading.Thread(target=self._run)

    def _boundary(self, name: str) -> None:
        if name == self._where and not self.asleep.is_set():
            self.asleep.set()
            assert self.wake.wait(120)

    def _run(self) -> None:
        try:
            self._engine.sync()
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()

    def until_asleep(self) -> None:
        self._thread.start()
        assert self.asleep.wait(120)
        # What a minute without a sign of life does.
        Lease.objects.filter(name__startswith="pair").update(until=Ticking()())

    def until_done(self) -> None:
        self.wake.set()
        self._thread.join(120)
        assert not self._thread.is_alive()


def names(pair: PairOfSystems) -> dict[str, list[Any]]:
    crm = [row.fields["name"] for row in pair.crm.table("organisation").rows.values()]
    erp = [row.fields["name"] for row in pair.erp.table("party").rows.values()]
    return {"crm": sorted(map(str, crm)), "erp": sorted(map(str, erp))}


@pytest.mark.parametrize("where", ["recovered", "intents journalled", "written to crm"])
def test_who_wakes_up_late_doubles_nothing_and_settles_nothing(
    shared: PairOfSystems, where: str
) -> None:
    fill_crm(shared.crm, 2)
    for partner in list(partners(6))[2:]:
        shared.erp_human.create("party", erp_fields(partner))
    sleeper = Sleeper(shared, where)
    sleeper.until_asleep()
    assert shared.sync().state == "done"
    after = names(shared)
    journal = shared.store.journal.recent(500)
    # It wakes up in the worst place: it has looked at its clock already, and sends what it has.
    sleeper.until_done()
    assert isinstance(sleeper.error, TryLater)
    assert "taken the work over" in str(sleeper.error)
    assert names(shared) == after
    assert len(after["crm"]) == len(after["erp"]) == 6
    assert [(row.key, row.state) for row in shared.store.journal.recent(500)] == [
        (row.key, row.state) for row in journal
    ]
    assert shared.sync().counts["writes"] == 0
    assert shared.store.couplings.count("partner", "active") == 6


def test_who_was_silent_sends_nothing_more(
    pair: PairOfSystems, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = writing.Writing(pair.store, ["crm/erp"])
    with leases:
        leases.alive()
        monkeypatch.setattr(leases, "_renewed", leases._renewed - writing.SECONDS)
        with pytest.raises(TryLater, match="silent for too long"):
            leases.alive()
        assert leases.renew()
        leases.alive()


def test_two_pairs_are_written_at_the_same_time_and_one_pair_never(pair: PairOfSystems) -> None:
    with writing.Writing(pair.store, ["crm/erp"]):
        failures: list[str] = []

        def others() -> None:
            try:
                with writing.Writing(pair.store, ["crm2/erp2"]):
                    pass
                with pytest.raises(TryLater, match="another Koppel is at work"):
                    writing.Writing(pair.store, ["crm2/erp2", "crm/erp"]).__enter__()
                if pair.store.lease.holder("pair crm2/erp2"):
                    failures.append("half of the leases was kept")
            finally:
                connections.close_all()

        thread = threading.Thread(target=others)
        thread.start()
        thread.join(30)
        assert not failures
    assert not pair.store.lease.alive("pair")
