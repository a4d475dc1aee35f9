"""The thread of a serving Koppel that keeps the rows for views in step.

It reads in bounded rounds, without a pause while there is more to read, and never holds up the
thread that writes. A system that is away is asked again later; the pages show what was read last.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError

from koppel.engine.runner import Engine
from koppel.errors import KoppelError
from koppel.processes.replication import Replication
from koppel.processes.systems import Systems
from koppel.store.away import away

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplicaPace:
    """How often things happen, in seconds."""

    poll: float = 15.0
    away: float = 60.0


class ReplicaDesk:
    """The thread. Its engine is made inside it, for a database connection belongs to its thread."""

    def __init__(self, make_engine: Callable[[], Engine], pace: ReplicaPace | None = None) -> None:
        self._make_engine = make_engine
        self._pace = pace or ReplicaPace()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="koppel-views", daemon=True)
        self.last_error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finish the round, then stop."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        engine = self._make_engine()
        filled: Replication | None = None
        try:
            while not self._stop.is_set():
                try:
                    filled = filled or Replication(Systems(engine.store, engine.lines))
                    more = filled.step()
                except KoppelError as error:
                    self.last_error = str(error)
                    logger.warning("views: %s", error)
                    self._stop.wait(self._pace.away)
                    continue
                except DatabaseError as error:
                    self.last_error = away(error).message
                    logger.error("views: %s", self.last_error)
                    self._stop.wait(self._pace.away)
                    continue
                self.last_error = ""
                if not more:
                    self._stop.wait(self._pace.poll)
        finally:
            engine.close()
            engine.store.close()
