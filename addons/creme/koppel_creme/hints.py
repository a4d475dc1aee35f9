"""Hints to Koppel: that a record may have changed, never what.

A hint leaves after the commit, from a thread of its own. It never delays or fails the user's save:
the queue is bounded, repeats coalesce, and what cannot be delivered is dropped, because Koppel also
asks for the changes by itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from django.db import transaction

from . import conf, koppel

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
GATHER_SECONDS = 0.2
PAUSE_SECONDS = 5.0
_TIMEOUT = 2.0

_local = threading.local()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While Koppel itself writes, no hints about it go back to Koppel."""
    before = getattr(_local, "quiet", False)
    _local.quiet = True
    try:
        yield
    finally:
        _local.quiet = before


def tell(resource: str, pk: int) -> None:
    """Send a hint once the present transaction is committed; returns at once."""
    if getattr(_local, "quiet", False) or not conf.koppel_url():
        return
    transaction.on_commit(lambda: _sender.put((resource, str(pk))), robust=True)


class Sender:
    """The queue and its thread, which starts with the first hint and so after any fork."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], None] = {}
        self._there = threading.Condition()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def put(self, hint: tuple[str, str]) -> None:
        """Queue a hint; when the queue is full it is dropped."""
        with self._there:
            if len(self._waiting) >= MOST_WAITING and hint not in self._waiting:
                self.dropped += 1
                return
            self._waiting[hint] = None
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="koppel-hints", daemon=True)
                self._thread.start()
            self._there.notify()

    def _run(self) -> None:
        while True:
            with self._there:
                while not self._waiting:
                    self._there.wait()
            time.sleep(GATHER_SECONDS)
            with self._there:
                batch, self._waiting = list(self._waiting), {}
            self._send(batch)

    def _send(self, batch: list[tuple[str, str]]) -> None:
        path = f"/hints/{conf.connection()}"
        for resource, pk in batch:
            answer = koppel.call("POST", path, {"resource": resource, "id": pk}, timeout=_TIMEOUT)
            if answer.reached and answer.status not in (401, 403):
                continue
            # The rest would only meet the same: wait a little, and leave it to Koppel to ask.
            if answer.reached:
                logger.warning("Koppel refuses Creme's hints; compare the two hint secrets.")
            else:
                logger.info("Koppel was not reached; %s hints were dropped.", len(batch))
            time.sleep(PAUSE_SECONDS)
            return


_sender = Sender()
