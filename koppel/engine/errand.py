"""An errand: what a person asked for on a page, done by the watch's thread, with its progress.

A page does not wait for it; it asks how far it is. Errands live as long as the process.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError

from koppel.engine.runner import Engine
from koppel.errors import Defect, KoppelError
from koppel.store.away import away

logger = logging.getLogger(__name__)

KEPT = 300
"""How many errands are remembered; the oldest that are done go first."""

Work = Callable[[Engine], Any]


@dataclass
class Errand:
    """One errand. `result` is what the work gave back, mostly a run; or `error` says why not."""

    work: Work
    user: str
    label: str
    back: str = "/"
    """Where the page leads when it is done."""
    opens_run: bool = False
    """Whether it leads to the page of the run that came of it."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    doing: str = ""
    many: int = 0
    result: Any = None
    error: KoppelError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def tell(self, what: str, many: int) -> None:
        """Progress, as the engine tells it: what is being done, and how many records more."""
        if what != self.doing:
            self.doing, self.many = what, 0
        self.many += many

    def run(self, engine: Engine) -> None:
        """Do it; never raises."""
        before, engine.progress = engine.progress, self.tell
        try:
            self.result = self.work(engine)
        except KoppelError as error:
            self.error = error
        except DatabaseError as error:
            self.error = away(error)
        except Exception as error:
            # A defect in what one person asked for must not end the watch; it is told to them.
            logger.exception("a defect stopped an errand")
            self.error = Defect(f"a defect stopped it: {error}")
        finally:
            engine.progress = before
            self.done.set()


class Errands:
    """All errands of this process, by id."""

    def __init__(self) -> None:
        self._all: dict[str, Errand] = {}
        self._waiting: list[Errand] = []
        self._lock = threading.Lock()

    def add(self, errand: Errand) -> Errand:
        """Line it up."""
        with self._lock:
            self._all[errand.id] = errand
            self._waiting.append(errand)
            for old in [one for one in self._all.values() if one.done.is_set()][: -KEPT or None]:
                del self._all[old.id]
        return errand

    def get(self, id: str) -> Errand | None:
        """An errand by its id."""
        return self._all.get(id)

    def take(self) -> list[Errand]:
        """Those that wait; they are taken off the line."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def __bool__(self) -> bool:
        return bool(self._waiting)
