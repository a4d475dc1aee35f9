"""A worker: one of any number of processes, on any hosts, that do what the queues hold.

It knows the database's address and nothing else: systems, rules and secrets are in the store. Each
worker takes jobs (`koppel.engine.queue`), holds a lease of its own as a sign of life, and one of
them at a time is the pacemaker: it asks for looks at pairs that are due, for hinted records, for
orders that may go on, and hands the jobs of a worker that fell silent to the others.

A pair has one lane in which one job runs at a time, so a slow or failing connection holds up nobody
but its own pair; orders have theirs.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, close_old_connections, connections

from koppel.engine import seen
from koppel.engine.budget import Urgency, budget_of
from koppel.engine.queue import HINTS, ORDERS, POLL, PRESS, JobQueue, Lane
from koppel.engine.runner import Engine
from koppel.engine.schedules import live
from koppel.errors import KoppelError, TryLater
from koppel.mapping.schedule import quiet_until
from koppel.processes.orders import Orders
from koppel.processes.partner_promotion import ENTITY, check_run
from koppel.store import Store
from koppel.store.order_models import Process
from koppel.sync.rule import Side

logger = logging.getLogger(__name__)

SILENT = 20.0
"""Seconds without a sign of life after which a worker's jobs are handed over."""
BEAT = 1.0
"""Seconds between two looks of the pacemaker, and between two signs of life."""
ORDER_LANE, LOOK_LANE = "orders", "order looks"
_ASK_AGAIN = 5.0
"""Seconds after which an order that is still due is put into the queue once more."""
_KEEP_JOBS = timedelta(days=1)
_PRESS_SECONDS = 25.0


def lane_of(pair: str) -> str:
    """The queue of a pair."""
    return f"pair {pair}"


def worker_name() -> str:
    """A name that no other worker ever had: host, process, and chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Worker:
    """Takes jobs until it is told to stop. `make_engine` is called once per thread of work."""

    def __init__(
        self, address: str, store: Store, make_engine: Callable[[], Engine], name: str = ""
    ) -> None:
        self.name = name or worker_name()
        self._store = store
        self._make_engine = make_engine
        self._idle: list[Engine] = []
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._looked_for_orders = 0.0
        self.queue = JobQueue(
            address,
            self.name,
            {
                "look": self.look,
                "hinted": self.hinted,
                "press": self.press,
                "order": self.order,
                "orders": self.orders,
            },
        )
        self._asked: dict[tuple[str, datetime | None], float] = {}
        """Orders that were put into the queue, as they were due then, and when."""
        self._threads = [
            threading.Thread(target=self._every_beat, args=(work,), name=name, daemon=True)
            for name, work in (("koppel-life", self._live), ("koppel-pace", self._pace))
        ]

    def start(self) -> None:
        """Take jobs from now on."""
        self._live()
        for thread in self._threads[:1]:
            thread.start()
        self.queue.start(self.lanes())
        for thread in self._threads[1:]:
            thread.start()

    def stop(self, seconds: int = 60) -> None:
        """Take no more jobs, finish those under way, and go. What is left is done by others."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self.queue.stop(seconds)
        for engine in self._idle:
            engine.close()
        self._store.lease.give_back(f"worker {self.name}", self.name)
        self._store.lease.give_back("pacemaker", self.name)
        connections.close_all()

    # Jobs. Each may be done twice, at the same time even: leases and the journal make it harmless.

    def look(self, pair: str, sweep: bool) -> dict[str, Any]:
        """Look at both systems of a pair, and bring across what changed."""
        poll = budget_of(self._store).poll
        pulse = self._store.pulses.get(pair)
        every = pulse.every if pulse is not None else poll.every
        with self._engine("records") as engine:
            if self._store.runs.held(pair) is not None:
                self._store.pulses.looked(
                    pair, every=every, wait=every, sweep=None, trouble="a plan waits for a person"
                )
                return {"held": True}
            try:
                entities = engine.lines.pairs().get(pair, [])
                run = engine.sync(entities, trigger="poll", sweep=sweep) if entities else None
            except KoppelError as error:
                wait = poll.after_trouble(every)
                self._store.pulses.looked(
                    pair, every=wait, wait=wait, sweep=None, trouble=str(error)
                )
                if not isinstance(error, TryLater):
                    engine.lines.refresh()
                raise
        found = run is not None and bool(run.counts.get("writes"))
        wait = poll.after(every, found=found)
        self._store.pulses.looked(pair, every=wait, wait=wait, sweep=poll.sweep if sweep else None)
        return {"run": run.id if run is not None else None, "found": found}

    def hinted(self, pair: str) -> int:
        """Bring hinted records of a pair into step, until there are none; how many they were."""
        many = 0
        with self._engine("records") as engine:
            entities = engine.lines.pairs().get(pair, [])
            while not self._stopping.is_set() and self._store.runs.held(pair) is None:
                hints = self._store.hints.waiting(entities)
                if not hints:
                    break
                selection: dict[str, dict[Side, list[str]]] = {}
                for hint in hints:
                    sides = selection.setdefault(hint.entity, {})
                    sides.setdefault(hint.side, []).append(hint.record)
                engine.sync(selection=selection, trigger="hint", sweep=False)
                self._store.hints.done(hints)
                self._store.pulses.hurry(pair, budget_of(self._store).poll.every)
                many += len(hints)
        return many

    def press(self, entity: str, side: Side, record: str, user: str) -> int:
        """Synchronise one record now; the run's number."""
        with self._engine("press") as engine:
            run = engine.sync(selection={entity: {side: [record]}}, trigger="button", user=user)
            return int(run.id)

    def order(self, id: str) -> str:
        """Go on with an order; its state afterwards."""
        with self._engine("orders") as engine, seen.about(process=id):
            return str(Orders(engine, couple=self._couple).go_on(id).state)

    def orders(self) -> int:
        """Look at the orders of both systems; how many changed."""
        with self._engine("orders") as engine:
            return Orders(engine, couple=self._couple).poll()

    def _couple(self, record: str, user: str) -> None:
        """Bring a customer into step in the lane of its pair, before all that waits there."""
        pair = next(p for p, entities in self._pairs().items() if ENTITY in entities)
        id = self.queue.put(
            lane_of(pair), "press", ENTITY, "crm", record, user,
            priority=PRESS, once=f"press {ENTITY} crm {record}",
        )  # fmt: skip
        number = self.queue.result(id, _PRESS_SECONDS)
        if number is None:
            raise TryLater("the customer is being brought into the ERP", after=2)
        check_run(self._store.runs.get(number), self._store)

    @contextmanager
    def _engine(self, urgency: Urgency) -> Iterator[Engine]:
        """An engine that nobody else uses meanwhile."""
        close_old_connections()
        with self._guard:
            engine = self._idle.pop() if self._idle else None
        engine = engine or self._make_engine()
        engine.lines.urgency = urgency
        try:
            yield engine
        except DatabaseError as error:
            connections.close_all()
            raise TryLater(f"the database is away: {type(error).__name__}", after=5) from error
        finally:
            with self._guard:
                self._idle.append(engine)

    # The pacemaker.

    def _living(self) -> list[str]:
        return [name.removeprefix("worker ") for name in self._store.lease.alive("worker ")]

    def _live(self) -> None:
        self._store.lease.take(f"worker {self.name}", self.name, seconds=SILENT)

    def _pace(self) -> None:
        if self._store.lease.take("pacemaker", self.name, seconds=SILENT / 2):
            self.pace()

    def _every_beat(self, work: Callable[[], None]) -> None:
        """A thread: do it once a beat. A beat may take its time; the sign of life has its own."""
        while not self._stopping.wait(BEAT):
            try:
                close_old_connections()
                work()
            except (DatabaseError, KoppelError) as error:
                logger.warning("the pacemaker missed a beat", extra={"job": type(error).__name__})
                connections.close_all()
            except Exception:
                # Whatever it is, the next beat tries again: without one nobody would look.
                logger.exception("a defect in the pacemaker")

    def pace(self) -> None:
        """One beat: ask for all that is due, and hand over what the silent left."""
        store = self._store
        poll, pairs = budget_of(store).poll, self._pairs()
        self.queue.open(self.lanes())
        self.queue.recover(self._living)
        store.pulses.follow(pairs, poll.every, poll.sweep)
        now = store.clock()
        schedules = live(store)
        for pair, sweep in store.pulses.due().items():
            if quiet_until(schedules, pair.split("/"), now) is None:
                self.queue.put(lane_of(pair), "look", pair, sweep, priority=POLL, once="look")
        hinted = store.hints.entities()
        for pair, entities in pairs.items():
            if not hinted.isdisjoint(entities):
                self.queue.put(lane_of(pair), "hinted", pair, priority=HINTS, once="hinted")
        for row in self._to_ask(store.processes.due(now)):
            self.queue.put(ORDER_LANE, "order", row.id, priority=ORDERS, once=f"order {row.id}")
        if now.timestamp() - self._looked_for_orders >= poll.every and pairs:
            self._looked_for_orders = now.timestamp()
            self.queue.put(LOOK_LANE, "orders", priority=ORDERS, once="orders")
        self.queue.forget(int((now - _KEEP_JOBS).timestamp() * 1000))

    def _to_ask(self, due: Sequence[Process]) -> Iterator[Process]:
        """Orders that are not in the queue already, as far as this worker knows.

        After a while they are put there again: asking twice is harmless, only dear.
        """
        now = time.monotonic()
        self._asked = {key: at for key, at in self._asked.items() if now - at < _ASK_AGAIN}
        for row in due:
            key = row.id, row.next_at
            if key not in self._asked:
                yield row
                self._asked[key] = now

    def _pairs(self) -> dict[str, list[str]]:
        with self._guard:
            engine = self._idle.pop() if self._idle else None
        engine = engine or self._make_engine()
        try:
            return engine.lines.pairs()
        finally:
            with self._guard:
                self._idle.append(engine)

    def lanes(self) -> dict[str, Lane]:
        """All queues, with how many of their jobs run at once."""
        orders = budget_of(self._store).orders
        each = min(orders.per_worker, orders.at_once or orders.per_worker)
        alone = Lane(most=1)
        return {
            ORDER_LANE: Lane(orders.at_once, each),
            LOOK_LANE: alone,
            **{lane_of(pair): alone for pair in self._pairs()},
        }
