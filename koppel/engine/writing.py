"""Who may write: the leases of pairs of connections, kept alive while work lasts.

A pair is one CRM connection with one ERP connection. Who works on a coupling holds the lease of its
pair, so there are never two. A holder that is silent for longer than its lease (stopped, cut off,
out of memory) may wake up later and go on: before each batch it looks at its own clock (`alive`),
and in each transaction at the lease itself (`guard`). So it sends nothing more and settles nothing;
what it had sent is found by whoever took over, from the intents in the journal.

While the leases are held, commits do not wait for the disk (`koppel.store.durability`); what the
block did is on the disk once they are given back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from django.db import DatabaseError, connections

from koppel.errors import TryLater
from koppel.store import Store
from koppel.store.durability import asynchronous_commits
from koppel.store.lease import SECONDS, me

_ASK_AGAIN = 0.2
"""Seconds until a lease is asked for again."""
_RENEW = SECONDS / 4
"""Seconds between renewals."""
_MARGIN = 10.0
"""Seconds before the end of the lease from which on nothing is sent any more."""


def lease_of(pair: str) -> str:
    """The lease's name."""
    return f"pair {pair}"


class Writing:
    """Holds the leases of some pairs for as long as the block lasts.

    `patience`: seconds to wait for another Koppel that is at work on one of them; then `TryLater`.
    """

    def __init__(
        self,
        store: Store,
        pairs: Sequence[str],
        *,
        patience: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        # In one order for all, so that two who want the same pairs never wait for each other.
        self._names = [lease_of(pair) for pair in sorted(pairs)]
        self._patience = patience
        self._sleep = sleep
        self._holder = me()
        self._renewed = 0.0
        self._over = threading.Event()
        self._beat: threading.Thread | None = None
        self._commits = ExitStack()

    def __enter__(self) -> Self:
        self._commits.enter_context(asynchronous_commits())
        try:
            self._take()
        except BaseException:
            self._commits.close()
            raise
        self._renewed = time.monotonic()
        self._beat = threading.Thread(target=self._keep, name="koppel-lease", daemon=True)
        self._beat.start()
        return self

    def _take(self) -> None:
        waited = 0.0
        for place, name in enumerate(self._names):
            while not self._store.lease.take(name, self._holder):
                if waited >= self._patience:
                    self._give_back(self._names[:place])
                    raise TryLater(
                        f"another Koppel is at work ({self._store.lease.holder(name)})",
                        after=5,
                        remedy="Wait until it is done; `koppel status` shows what it does",
                    )
                self._sleep(_ASK_AGAIN)
                waited += _ASK_AGAIN

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._beat is not None:
            self._beat.join(_RENEW)
        self._commits.close()
        self._give_back(self._names)

    def _give_back(self, names: Sequence[str]) -> None:
        for name in names:
            self._store.lease.give_back(name, self._holder)

    def _keep(self) -> None:
        """Renew now and then; where that fails, `alive` and `guard` find out."""
        try:
            while not self._over.wait(_RENEW):
                try:
                    if not self.renew():
                        return
                except DatabaseError:
                    continue  # The database is away for a moment: the lease lasts a while yet.
        finally:
            connections.close_all()

    def renew(self) -> bool:
        """Lengthen all leases; False where one is somebody else's now."""
        begun = time.monotonic()
        if not all(self._store.lease.take(name, self._holder) for name in self._names):
            return False
        self._renewed = begun
        return True

    def alive(self) -> None:
        """May something be sent now? `TryLater` where the leases may be somebody else's already.

        Asks no database: it is called in the threads that send, before each batch.
        """
        if time.monotonic() - self._renewed > SECONDS - _MARGIN:
            raise TryLater(
                "this Koppel was silent for too long, and another one may have taken the work over",
                after=5,
            )

    def guard(self) -> None:
        """Inside a transaction: are the leases ours, and will they be to its end? `TryLater`."""
        for name in self._names:
            self._store.lease.hold(name, self._holder)
