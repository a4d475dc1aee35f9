"""Budgets that all processes share, and the circuit that opens when a system is down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from koppel.engine.budget import Budget, Limit, Poll, Urgency, budget_of, parse_budget
from koppel.engine.gates import FAILURES, Gated
from koppel.errors import NeedsUser, TryLater
from koppel.store import Store
from koppel.testing.store_given import Clock
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems


@dataclass
class System:
    """Counts its calls, and fails as it is told."""

    calls: int = 0
    trouble: list[TryLater] = field(default_factory=list)

    def fetch(self, resource: str, ids: Any) -> str:
        self.calls += 1
        if self.trouble:
            raise self.trouble.pop(0)
        return "answer"


@pytest.fixture(scope="module")
def address(databases: Databases) -> str:
    """One database for all of them."""
    return databases.fresh()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))]
)
def store(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Store]:
    """A store of either kind with a clock that stands still."""
    if request.param == "sqlite":
        pair: PairOfSystems = request.getfixturevalue("pair")
        yield Store(clock, pair.store.connections._key)
    else:
        address: str = request.getfixturevalue("address")
        yield empty(address, clock)
    connections.close_all()


def gated(
    store: Store, system: System, clock: Clock, urgency: Urgency = "press", **limit: Any
) -> Gated:
    """One process's connector; waiting moves the clock on."""
    return Gated(system, "crm", store, Limit(**limit), lambda: urgency, sleep=clock.forward)


def test_all_processes_together_ask_no_more_than_so_often_a_second(
    store: Store, clock: Clock
) -> None:
    system = System()
    one, two = (gated(store, system, clock, per_second=5) for _ in range(2))
    begun = clock()
    for _ in range(10):
        one.fetch("r", [])
        two.fetch("r", [])
    assert system.calls == 20
    assert timedelta(seconds=3) <= clock() - begun <= timedelta(seconds=4)


def test_the_calls_of_a_day_end_and_come_back_at_midnight(store: Store, clock: Clock) -> None:
    system = System()
    one = gated(store, system, clock, per_day=3)
    for _ in range(3):
        one.fetch("r", [])
    with pytest.raises(TryLater, match="budget is used up") as told:
        one.fetch("r", [])
    assert told.value.after is not None
    clock.forward(told.value.after)
    assert one.fetch("r", []) == "answer"


def test_who_is_more_urgent_finds_a_part_of_the_budget_left(store: Store, clock: Clock) -> None:
    system = System()
    nightly = gated(store, system, clock, "nightly", per_day=10)
    for _ in range(5):
        nightly.fetch("r", [])
    with pytest.raises(TryLater):
        nightly.fetch("r", [])
    records = gated(store, system, clock, "records", per_day=10)
    for _ in range(2):
        records.fetch("r", [])
    with pytest.raises(TryLater):
        records.fetch("r", [])
    gated(store, system, clock, "orders", per_day=10).fetch("r", [])
    press = gated(store, system, clock, "press", per_day=10)
    for _ in range(2):
        press.fetch("r", [])
    with pytest.raises(TryLater):
        press.fetch("r", [])


def test_no_more_than_so_many_ask_at_the_same_time(store: Store, clock: Clock) -> None:
    system = System()
    for number in range(2):
        assert store.lease.take(f"call crm {number}", f"elsewhere:{number}", seconds=20)
    one = gated(store, system, clock, concurrent=2)
    # The others are gone without a word: their places are free when their leases end.
    assert one.fetch("r", []) == "answer"
    assert clock() >= Clock().now + timedelta(seconds=20)
    assert not store.lease.alive("call crm")


def test_retry_after_is_kept_to_by_everybody(store: Store, clock: Clock) -> None:
    system = System(trouble=[TryLater("too many requests", after=60)])
    one, two = (gated(store, system, clock) for _ in range(2))
    with pytest.raises(TryLater, match="too many"):
        one.fetch("r", [])
    with pytest.raises(TryLater, match="not asked for another 60 s") as told:
        two.fetch("r", [])
    assert told.value.after == 60
    assert system.calls == 1
    clock.forward(61)
    assert two.fetch("r", []) == "answer"
    assert store.gates.closed("crm") == (0.0, "")


def test_the_circuit_opens_when_a_system_is_down_and_closes_by_itself(
    store: Store, clock: Clock
) -> None:
    system = System(trouble=[TryLater("refused")] * (FAILURES + 1))
    one, two = (gated(store, system, clock) for _ in range(2))
    for _ in range(FAILURES):
        with pytest.raises(TryLater, match="refused"):
            one.fetch("r", [])
    with pytest.raises(TryLater, match="not asked for another 5 s"):
        two.fetch("r", [])
    assert system.calls == FAILURES
    clock.forward(6)
    with pytest.raises(TryLater, match="refused"):
        two.fetch("r", [])
    with pytest.raises(TryLater, match="not asked for another 10 s"):
        one.fetch("r", [])
    clock.forward(11)
    assert one.fetch("r", []) == "answer"
    assert store.gates.closed("crm") == (0.0, "")


def test_failures_that_do_not_follow_each_other_close_nothing(store: Store, clock: Clock) -> None:
    for _ in range(3 * FAILURES):
        # Each failure and each answer in a process of its own, as with calls from the shell.
        with pytest.raises(TryLater, match="refused"):
            gated(store, System(trouble=[TryLater("refused")]), clock).fetch("r", [])
        assert gated(store, System(), clock).fetch("r", []) == "answer"
    assert store.gates.closed("crm") == (0.0, "")


def test_a_look_that_finds_nothing_makes_the_next_one_later_and_work_brings_it_back() -> None:
    poll = Poll()
    waits = [poll.every]
    for _ in range(12):
        waits.append(poll.after(waits[-1], found=False))
    assert waits == sorted(waits)
    assert waits[-1] == poll.longest
    assert poll.after(waits[-1], found=True) == poll.every
    assert [poll.after_trouble(every) for every in (5.0, 15.0, 200.0)] == [15.0, 30.0, 300.0]
    assert poll.after(300.0, found=False) == poll.every


def test_a_budget_that_makes_no_sense_is_told(store: Store) -> None:
    assert budget_of(store) == Budget()
    for text in (
        "[limits.crm]\nper_second = 0",
        "[limits.crm]\nper_week = 3",
        "[poll",
        "[poll]\nevery = -1",
        "[orders]\nat_once = 0",
        "[orders]\nper_worker = 2.5",
    ):
        with pytest.raises(NeedsUser):
            parse_budget(text)


def test_how_many_orders_are_under_way_is_a_setting(store: Store) -> None:
    assert (budget_of(store).orders.per_worker, budget_of(store).orders.at_once) == (8, None)
    told = parse_budget("[orders]\nat_once = 6\nper_worker = 2").orders
    assert (told.at_once, told.per_worker) == (6, 2)
