"""What a serving Koppel asks the workers for, where it does not do the work itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from koppel.engine import seen
from koppel.engine.errand import Errand, Errands
from koppel.engine.queue import HINTS, ORDERS, PRESS, JobQueue
from koppel.engine.runner import Engine
from koppel.engine.watch import Press
from koppel.errors import KoppelError, TryLater
from koppel.processes.desk import OrderDesk
from koppel.processes.orders import Orders
from koppel.processes.worker import ORDER_LANE, lane_of
from koppel.store import Store
from koppel.sync.rule import Side


class AskedWatch:
    """The watch's face, with the work done by workers."""

    def __init__(
        self,
        queue: JobQueue,
        store: Store,
        pairs: Callable[[], Mapping[str, Sequence[str]]],
        make_engine: Callable[[], Engine] | None = None,
    ) -> None:
        self._queue = queue
        self._store = store
        self._pairs = pairs
        self._make_engine = make_engine
        self.errands = Errands()
        self._doing = threading.Lock()

    def _lane(self, entity: str) -> str | None:
        found = (pair for pair, entities in self._pairs().items() if entity in entities)
        return next(found, None)

    def hint(self, entity: str, side: Side, record: str) -> None:
        """A record may have changed: kept in the store, so that no crash forgets it."""
        self._store.hints.add(entity, side, record)
        pair = self._lane(entity)
        if pair is not None:
            with seen.span("hint", entity=entity, side=side):
                # They gather until a worker looks at the queue, and while it deals with others.
                self._queue.put(lane_of(pair), "hinted", pair, priority=HINTS, once="hinted")

    def press(
        self, entity: str, side: Side, record: str, *, user: str, timeout: float = 25.0
    ) -> Press:
        """Synchronise one record now; waits at most `timeout` seconds for the result."""
        press = Press(entity=entity, side=side, record=record, user=user)
        pair = self._lane(entity)
        try:
            if pair is not None:
                id = self._queue.put(
                    lane_of(pair), "press", entity, side, record, user,
                    priority=PRESS, once=f"press {entity} {side} {record}",
                )  # fmt: skip
                number = self._queue.result(id, timeout)
                press.run = None if number is None else self._store.runs.get(number)
        except KoppelError as error:
            press.error = error
        press.done.set()
        return press

    def errand(self, errand: Errand) -> Errand:
        """Do it in a thread of this process, with the leases that keep workers away meanwhile."""
        self.errands.add(errand)
        threading.Thread(target=self._errands, name="koppel-errand", daemon=True).start()
        return errand

    def _errands(self) -> None:
        if self._make_engine is None:
            return
        with self._doing:
            waiting = self.errands.take()
            if not waiting:
                return
            engine = self._make_engine()
            try:
                for errand in waiting:
                    errand.run(engine)
            finally:
                engine.close()
                engine.store.close()

    @property
    def last_error(self) -> str:
        """What troubles the workers, pair by pair."""
        return " ".join(f"{row.pair}: {row.trouble}" for row in self._pulses() if row.trouble)

    @property
    def last_poll(self) -> datetime | None:
        """When a pair was looked at last."""
        return max((row.last_poll for row in self._pulses() if row.last_poll), default=None)

    def _pulses(self) -> list[Any]:
        return self._store.pulses.all()


class AskedDesk(OrderDesk):
    """The order desk of a process that only serves: it answers, and workers do the work."""

    def __init__(self, make_engine: Callable[[], Engine], queue: JobQueue) -> None:
        super().__init__(make_engine, _nobody_here)
        self._queue = queue

    def go_on(self, id: str, timeout: float) -> bool:
        """Have an order gone on with; False where that takes longer than `timeout` seconds."""
        job = self._queue.put(ORDER_LANE, "order", id, priority=ORDERS, once=f"order {id}")
        return self._queue.result(job, timeout) is not None

    def _poll(self, orders: Orders) -> bool:
        return True


def _nobody_here(record: str, user: str) -> None:
    raise TryLater("the workers bring customers into the ERP", after=2)
