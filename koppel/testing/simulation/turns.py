"""Threads as turns: what an engine gives to a pool is done in one thread, in an order by chance.

Two systems written at the same time are two pieces of work whose order nobody knows. Here the
order comes from the seed, so that a run can be played again, and each order is tried some time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class _Turn(Future[Any]):
    def __init__(self, pool: Turns, work: Callable[[], Any]) -> None:
        super().__init__()
        self.pool = pool
        self.work = work

    def result(self, timeout: float | None = None) -> Any:
        self.pool.until(self)
        return super().result(timeout)

    def take(self) -> None:
        """Do it now."""
        try:
            self.set_result(self.work())
        except BaseException as error:
            self.set_exception(error)


class Turns(Executor):
    """A pool without threads. `dead` says that the process was killed: nothing is done any more."""

    def __init__(self, chance: random.Random, dead: Callable[[], bool]) -> None:
        self._chance = chance
        self._dead = dead
        self._waiting: list[_Turn] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        turn = _Turn(self, lambda: fn(*args, **kwargs))
        self._waiting.append(turn)
        if self._chance.random() < 0.5:
            self._next()
        return turn

    def until(self, turn: _Turn) -> None:
        """Do what waits until this one is done."""
        while not turn.done():
            self._next()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        while self._waiting and not cancel_futures and not self._dead():
            self._next()
        for turn in self._waiting:
            turn.cancel()
        self._waiting.clear()

    def _next(self) -> None:
        place = self._chance.randrange(len(self._waiting))
        self._waiting.pop(place).take()


class OneThread(Turns):
    """A pool of one: in the order in which it was given."""

    def _next(self) -> None:
        self._waiting.pop(0).take()
