"""The desk: the thread of a serving Koppel that does everything about orders.

It hands orders over when a person presses, goes on with what waits, and looks at both systems every
few seconds. Whoever asks waits for the answer as long as they like; the work goes on without them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import DatabaseError

from koppel.engine.runner import Engine
from koppel.engine.watch import Watch
from koppel.errors import Defect, KoppelError, TryLater
from koppel.processes.orders import Orders
from koppel.processes.partner_promotion import ENTITY, Couple, check_run
from koppel.store import Store
from koppel.store.away import away

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class DeskPace:
    """How often things happen, in seconds. `figures`: how long a customer's figures are kept."""

    poll: float = 5.0
    away: float = 15.0
    figures: float = 30.0


class OrderDesk:
    """The thread. Its engine is made inside it, for a database connection belongs to its thread."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        couple: Couple,
        pace: DeskPace | None = None,
        address: str = "",
    ) -> None:
        self._address = address
        self._make_engine = make_engine
        self._couple = couple
        self.pace = pace or DeskPace()
        self._asked: list[tuple[Callable[[Orders], Any], Future[Any]]] = []
        self._there = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="koppel-orders", daemon=True)
        self._figures: dict[str, tuple[float, dict[str, Any] | None]] = {}
        self.last_error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finish what is being done, then stop."""
        with self._there:
            self._stopping = True
            self._there.notify_all()
        self._thread.join(timeout)

    def ask(self, work: Callable[[Orders], T], timeout: float) -> T | None:
        """Have something done by the desk; None where it takes longer than `timeout` seconds.

        Raises whatever the work raises.
        """
        future: Future[T] = Future()
        with self._there:
            self._asked.append((work, future))
            self._there.notify_all()
        try:
            return future.result(timeout)
        except TimeoutError:
            return None

    def go_on(self, id: str, timeout: float) -> bool:
        """Go on with an order now; False where that takes longer than `timeout` seconds."""
        return self.ask(lambda orders: orders.go_on(id).id, timeout) is not None

    def figures(self, party: str, *, fresh: bool, timeout: float) -> dict[str, Any] | None:
        """A customer's figures of the ERP, with `told_seconds` as their age; None if unknown."""
        at, known = self._figures.get(party, (0.0, None))
        if fresh or not at or time.monotonic() - at > self.pace.figures:
            try:
                told = self.ask(lambda orders: (orders.figures(party),), timeout)
            except TryLater:
                told = None
            if told is not None:
                at, known = time.monotonic(), told[0]
                self._figures[party] = (at, known)
        return None if known is None else {**known, "told_seconds": time.monotonic() - at}

    def _run(self) -> None:
        engine = self._make_engine()
        next_poll = time.monotonic()
        orders: Orders | None = None
        try:
            while True:
                asked = self._wait(next_poll)
                if self._stopping:
                    return
                try:
                    orders = orders or Orders(engine, couple=self._couple, address=self._address)
                except KoppelError as error:
                    self._fail(asked, error)
                    next_poll = time.monotonic() + self.pace.away
                    continue
                except DatabaseError as error:
                    self._fail(asked, away(error))
                    next_poll = time.monotonic() + self.pace.away
                    continue
                for work, future in asked:
                    _answer(orders, work, future)
                if time.monotonic() >= next_poll:
                    fine = self._poll(orders)
                    next_poll = time.monotonic() + (self.pace.poll if fine else self.pace.away)
        finally:
            self._fail(self._asked, TryLater("Koppel is stopping"))
            engine.close()
            engine.store.close()

    def _wait(self, until: float) -> list[tuple[Callable[[Orders], Any], Future[Any]]]:
        with self._there:
            while not self._stopping and not self._asked:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._there.wait(left)
            asked, self._asked = self._asked, []
            return asked

    def _fail(
        self, asked: list[tuple[Callable[[Orders], Any], Future[Any]]], error: KoppelError
    ) -> None:
        self.last_error = str(error)
        for _, future in asked:
            future.set_exception(error)

    def _poll(self, orders: Orders) -> bool:
        """A look at both systems and at what is due; False where a system is away."""
        fine = True
        for work in (orders.run_due, orders.poll, orders.run_due):
            try:
                work()
            except KoppelError as error:
                fine = False
                self.last_error = str(error)
                logger.warning("orders: %s", error)
            except DatabaseError as error:
                fine = False
                self.last_error = away(error).message
                logger.error("orders: %s", self.last_error)
            except Exception as error:
                # A defect about one order must not end the desk unseen: told, and tried again.
                fine = False
                self.last_error = f"a defect stopped the work on orders: {error}"
                logger.exception("a defect in the work on orders")
        if fine:
            self.last_error = ""
        return fine


def _answer(orders: Orders, work: Callable[[Orders], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work(orders))
    except KoppelError as error:
        future.set_exception(error)
    except DatabaseError as error:
        future.set_exception(away(error))
    except Exception as error:
        # A defect in what one person asked for must not end the desk; it is told to them.
        logger.exception("a defect stopped what was asked of the desk")
        future.set_exception(Defect(f"a defect stopped it: {error}"))


def couple_by_watch(watch: Watch, store: Store) -> Couple:
    """Coupling by the one thread that writes partners."""

    def couple(record: str, user: str) -> None:
        pressed = watch.press(ENTITY, "crm", record, user=user)
        if pressed.error is not None:
            raise pressed.error
        if pressed.run is None:
            raise TryLater("the customer is being brought into the ERP", after=2)
        check_run(pressed.run, store)

    return couple
