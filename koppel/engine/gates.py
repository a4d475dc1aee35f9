"""Gated connectors: no call beyond the budget that all processes share, none to who is down.

Every call of a connector is one unit of its connection's budget (document `budget`), whatever it
needs on the wire; a call takes a whole batch of records. It waits for its turn up to `PATIENCE`
seconds, then it is `TryLater`. Budgets are split by urgency: who is less urgent leaves a part of
each second and day to who is more so.

The circuit: after three calls in a row that were not answered nobody asks for a while, and all are
told so at once; then one call tries. It closes by itself when that one is answered. A system's own
`Retry-After` closes the gate for just as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from koppel.connectors.base import ASKED
from koppel.engine import seen
from koppel.engine.budget import SHARES, Limit, Urgency
from koppel.errors import TryLater
from koppel.store import Store
from koppel.store.lease import me

FAILURES, FIRST_CLOSED, LONGEST_CLOSED = 3, 5.0, 120.0
PATIENCE = 30.0
_LOOK = 1.0
"""Seconds for which what is known of a gate is good enough."""

_CALLS = ASKED | {"changes", "ids", "fetch", "find", "write", "recover", "describe", "now"}


class Gated:
    """A connector whose calls pass the gate of its connection; what it promises stays the same."""

    def __init__(
        self,
        inner: Any,
        name: str,
        store: Store,
        limit: Limit,
        urgency: Callable[[], Urgency],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._name = name
        self._store = store
        self._limit = limit
        self._urgency = urgency
        self._sleep = sleep
        self._looked = 0.0
        self._troubled = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _CALLS:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            with self._passing(name):
                return found(*arguments, **named)

        return call

    @contextmanager
    def _passing(self, call: str) -> Iterator[None]:
        self._open()
        with self._slot():
            self._turn()
            begun = time.perf_counter()
            try:
                with seen.span(f"{self._name}.{call}", connection=self._name):
                    yield
            except TryLater as error:
                self._refused(error)
                seen.calls.labels(self._name, call, "later").inc()
                raise
            finally:
                seen.call_seconds.labels(self._name, call).observe(time.perf_counter() - begun)
        seen.calls.labels(self._name, call, "answered").inc()
        if self._troubled:
            self._store.gates.answered(self._name)
            self._troubled = False

    def _open(self) -> None:
        """`TryLater` while the gate is closed."""
        if time.monotonic() - self._looked < _LOOK:
            return
        wait, why = self._store.gates.closed(self._name)
        if wait > 0:
            self._troubled = True
            raise TryLater(
                f"is not asked for another {wait:.0f} s: {why}", place=self._name, after=wait
            )
        if why:
            self._troubled = True
        self._looked = time.monotonic()

    def _refused(self, error: TryLater) -> None:
        self._looked = 0.0
        self._troubled = True
        if error.after:
            self._store.gates.close(self._name, error.after, error.message)
        else:
            self._store.gates.failed(
                self._name, error.message,
                limit=FAILURES, first=FIRST_CLOSED, longest=LONGEST_CLOSED,
            )  # fmt: skip

    def _turn(self) -> None:
        """Wait until the budget has room for one more call."""
        if self._limit.per_second is None and self._limit.per_day is None:
            return
        waited = 0.0
        while True:
            wait = self._store.gates.ask(
                self._name,
                per_second=self._limit.per_second,
                per_day=self._limit.per_day,
                share=SHARES[self._urgency()],
            )
            if wait <= 0:
                return
            if waited + wait > PATIENCE:
                raise TryLater(
                    f"its budget is used up for another {wait:.0f} s",
                    place=self._name,
                    after=wait,
                    remedy="It is set in the document 'budget'",
                )
            self._sleep(wait)
            waited += wait

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """One of so many calls at the same time, by all processes together."""
        if self._limit.concurrent is None:
            yield
            return
        holder, waited = me(), 0.0
        while True:
            for number in range(self._limit.concurrent):
                slot = f"call {self._name} {number}"
                if self._store.lease.holder(slot) != holder and self._store.lease.take(
                    slot, holder, seconds=120
                ):
                    try:
                        yield
                    finally:
                        self._store.lease.give_back(slot, holder)
                    return
            if waited > PATIENCE:
                raise TryLater("is busy with our own calls", place=self._name, after=2)
            self._sleep(0.05)
            waited += 0.05
