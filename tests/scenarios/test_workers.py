"""Several workers on PostgreSQL: work flows, one is killed, one pair's trouble is its own."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.db import connection, connections

from koppel import config
from koppel.connectors.memory import MemoryConnector
from koppel.engine.budget import KIND, NAME
from koppel.engine.queue import JobQueue, Lane
from koppel.errors import TryLater
from koppel.mapping.document import default_rule, shipped_mapping
from koppel.processes.asked import AskedWatch
from koppel.processes.worker import ORDER_LANE, Worker
from koppel.store import Store
from koppel.store.models import Journal
from koppel.store.work_models import Pulse
from koppel.testing.generated import fill_crm, fill_erp, memory_crm, memory_erp
from koppel.testing.human import MemoryHuman
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems, pair_on
from tests.scenarios.worker_process import Caller, Systems, spawn

pytestmark = pytest.mark.xdist_group("postgres")

PATIENCE = 120.0
"""Seconds for what takes few, on a machine that others use too."""


@dataclass
class Workshop:
    """Two systems here, a store on PostgreSQL, and workers in processes of their own."""

    pair: PairOfSystems
    address: str
    callers: dict[str, Caller]
    systems: Systems
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.pair.store

    def start(self, many: int) -> None:
        self.workers += [spawn(self.address, self.systems.port) for _ in range(many)]
        wait(lambda: len(self.store.lease.alive("worker ")) >= len(self.living()), "no workers")

    def living(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None]

    def stop(self) -> None:
        for worker in self.living():
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:
                worker.kill()


def wait(until: Callable[[], object], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, otherwise
        time.sleep(0.3)


@pytest.fixture
def workshop(databases: Databases) -> Iterator[Workshop]:
    address = databases.fresh()
    pair = pair_on(empty(address, config.now))
    pair.store.documents.put("budget", "budget", "[poll]\nevery = 1.0\nlongest = 2.0\naway = 1.0\n")
    callers = {name: Caller(connector) for name, connector in pair.connectors.items()}
    shop = Workshop(pair, address, callers, Systems(callers))
    yield shop
    shop.stop()
    connections.close_all()


def in_step(shop: Workshop, many: int) -> bool:
    return shop.store.couplings.count("partner", "active") == many


def who_writes(shop: Workshop) -> subprocess.Popen[bytes]:
    """The worker that holds the pair at this moment, as soon as one does."""
    end = time.monotonic() + PATIENCE
    while not (busy := shop.store.lease.holder("pair crm/erp")):
        assert time.monotonic() < end, "nobody writes"
        time.sleep(0.002)
    pid = int(busy.rpartition(":")[2].partition("/")[0])
    return next(one for one in shop.workers if one.pid == pid)


def phones(shop: Workshop) -> set[str]:
    return {
        way["value"].replace(" ", "")
        for row in shop.pair.erp.table("party").rows.values()
        for way in row.fields["contact_mechanisms"]
        if way["type"] == "phone"
    }


def test_one_of_three_workers_is_killed_while_work_flows_and_nothing_is_lost_or_doubled(
    workshop: Workshop,
) -> None:
    fill_crm(workshop.pair.crm, 12, contacts=0)
    fill_erp(workshop.pair.erp, 12, contacts=0)
    for caller in workshop.callers.values():
        caller.latency = 0.02
    workshop.start(3)
    wait(lambda: in_step(workshop, 12), "the first coupling never came")
    crm = list(workshop.pair.crm.table("organisation").rows)
    wanted = {f"+492215550{number:03}" for number in range(len(crm))}
    queue = JobQueue(workshop.address, "tests")
    watch = AskedWatch(queue, workshop.store, lambda: {"crm/erp": ["partner", "contact"]})
    for number, record in enumerate(crm):
        phone = f"+49 221 5550{number:03}"
        workshop.pair.crm_human.edit("organisation", record, {"phone": phone})
        watch.hint("partner", "crm", record)
        if number == len(crm) // 2:
            who_writes(workshop).send_signal(signal.SIGKILL)
    wait(lambda: wanted <= phones(workshop), f"lost: {wanted - phones(workshop)}")
    wait(lambda: not workshop.store.hints.count(), "hints were left over")
    assert len(workshop.living()) == 2
    assert len(workshop.pair.erp.table("party").rows) == 12
    assert len(workshop.pair.crm.table("organisation").rows) == 12
    assert not workshop.store.journal.open_intents()
    # Pressed, and done by whoever is there.
    pressed = watch.press("partner", "crm", crm[0], user="test", timeout=PATIENCE)
    assert pressed.error is None
    assert pressed.run is not None
    # A rolling update: each goes when it has finished what it had, and new ones take over.
    first = workshop.living()
    workshop.start(1)
    for worker in first:
        worker.terminate()
    assert [worker.wait(60) for worker in first] == [0, 0]
    workshop.pair.crm_human.edit("organisation", crm[0], {"phone": "+49 221 5559999"})
    watch.hint("partner", "crm", crm[0])
    wait(lambda: "+492215559999" in phones(workshop), "the new worker does nothing")
    queue.stop(0)


def test_a_storm_of_hints_for_one_record_is_one_piece_of_work(workshop: Workshop) -> None:
    fill_crm(workshop.pair.crm, 1, contacts=0)
    fill_erp(workshop.pair.erp, 1, contacts=0)
    queue = JobQueue(workshop.address, "tests")
    watch = AskedWatch(queue, workshop.store, lambda: {"crm/erp": ["partner", "contact"]})
    (record,) = workshop.pair.crm.table("organisation").rows
    for _ in range(200):
        watch.hint("partner", "crm", record)
    assert workshop.store.hints.count() == 1
    assert sum(queue.counts().values()) == 1
    workshop.start(1)
    wait(lambda: not workshop.store.hints.count(), "the hint was left over")
    wait(lambda: in_step(workshop, 1), "not coupled")
    assert Journal.objects.count() <= 2
    queue.stop(0)


def test_a_pair_that_is_slow_and_fails_never_holds_up_another(workshop: Workshop) -> None:
    # Contacts are of another pair of systems here, of which one is down.
    for side, name, system in (
        ("crm", "crm2", memory_crm(name="crm2")),
        ("erp", "erp2", memory_erp(name="erp2")),
    ):
        workshop.store.connections.put(
            name, side=side, type="memory", config={"system": name}, secrets={}
        )
        text = shipped_mapping(f"memory_{side}", "contact")
        workshop.store.documents.put("mapping", f"{name}/contact", text)
        workshop.callers[name] = Caller(MemoryConnector(system))
    rule = default_rule("contact").replace('"crm"\nerp = "erp"', '"crm2"\nerp = "erp2"', 1)
    workshop.store.documents.put("rule", "contact", rule)

    def broken(name: str) -> None:
        time.sleep(3)
        raise TryLater("does not answer", place="crm2")

    workshop.callers["crm2"].before = broken
    fill_crm(workshop.pair.crm, 5, contacts=0)
    fill_erp(workshop.pair.erp, 5, contacts=0)
    workshop.start(1)
    wait(lambda: in_step(workshop, 5), "the good pair was held up")
    crm = next(iter(workshop.pair.crm.table("organisation").rows))
    human = MemoryHuman(workshop.pair.crm)
    begun = time.monotonic()
    for number in range(5):
        human.edit("organisation", crm, {"phone": f"+49 221 555010{number}"})
        phone = f"+49221555010{number}"
        wait(lambda phone=phone: phone in phones(workshop), "the good pair was held up")
    assert time.monotonic() - begun < PATIENCE / 2
    pulses = {row.pair: row for row in workshop.store.pulses.all()}
    assert pulses["crm/erp"].trouble == ""

    def other() -> Pulse:
        return Pulse.objects.get(pair="crm2/erp2")

    wait(lambda: "does not answer" in other().trouble, "the trouble is not told")
    wait(lambda: workshop.store.gates.closed("crm2")[0] > 0, "the circuit never opened")
    # When it answers again the circuit closes, and the pair goes on by itself.
    workshop.callers["crm2"].before = lambda name: None
    wait(lambda: other().last_poll is not None, "the other pair never came back")
    assert workshop.store.gates.closed("crm2") == (0.0, "")


def test_jobs_are_kept_as_json(workshop: Workshop) -> None:
    queue = JobQueue(workshop.address, "tests")
    queue.put("pair crm/erp", "look", "crm/erp", False, priority=30, once="look")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.inputs, s.serialization FROM dbos.workflow_status s"
            " JOIN dbos.workflow_input i USING (workflow_uuid)"
        )
        ((inputs, how),) = cursor.fetchall()
    assert how == "koppel_json"
    assert json.loads(inputs)["args"][:2] == ["look", ["crm/erp", False]]
    queue.stop(0)


def test_a_worker_hands_over_as_many_orders_at_once_as_is_set(workshop: Workshop) -> None:
    store = workshop.store
    worker = Worker(workshop.address, store, workshop.pair.engine)
    assert worker.lanes()[ORDER_LANE] == Lane(each=8)
    store.documents.put(KIND, NAME, "[orders]\nat_once = 6\nper_worker = 2")
    assert worker.lanes()[ORDER_LANE] == Lane(most=6, each=2)
    # Of fewer in all no worker may have more.
    store.documents.put(KIND, NAME, "[orders]\nat_once = 3\nper_worker = 5")
    assert worker.lanes()[ORDER_LANE] == Lane(most=3, each=3)
