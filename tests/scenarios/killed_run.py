"""One run over the real systems in a process of its own, which may be killed within it.

The processes come from multiprocessing's fork server, which has one thread: a copy of a process
with several threads can wait for ever for a lock that one of the others held when it was made.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from koppel.cli.session import Session
from koppel.connectors import registry
from koppel.engine import Engine
from koppel.store import Store
from koppel.testing.chaos import FaultPlan, FaultyConnector

T = TypeVar("T")
LONGEST_SECONDS = 120
"""What a run of a few records takes at the very most."""
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


class Bounded(FaultyConnector):
    """A boundary after each call that reads, and before and after each single write.

    To die before a call that reads is to die after whatever was before it.
    """

    def _read(self, method: str, resource: str, call: Callable[[], T]) -> T:
        result = call()
        self.plan.end()
        return result


def synchronise(home: Path, kill_at: int | None = None) -> int:
    """One sync; its exit code, negative for a signal. `kill_at` counts the boundaries from 1."""
    child = _processes.Process(target=_run, args=(home, kill_at))
    child.start()
    child.join(LONGEST_SECONDS)
    code = child.exitcode
    if code is None:
        child.kill()
        raise AssertionError(f"the run did not end within {LONGEST_SECONDS} s")
    return code


def _run(home: Path, kill_at: int | None) -> None:
    store = Session(home=home, user="test").store()
    run = _engine(store, kill_at).sync(user="test")
    raise SystemExit(0 if run.state == "done" else 2)


def _engine(store: Store, kill_at: int | None) -> Engine:
    if kill_at is None:
        return Engine(store)
    plan = FaultPlan()
    plan.kill_at(kill_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return Engine(
        store,
        connect=lambda kind, settings: Bounded(registry.connect(kind, settings), plan),
        boundary=lambda name: plan.end(),
    )
