"""A worker as a process of its own, for tests: its systems live in the test's process.

`python -m tests.scenarios.worker_process ADDRESS PORT` takes jobs until SIGTERM; the connectors of
its engine call those that `Systems` offers on that port.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.managers import BaseManager
from typing import Any

from koppel import config
from koppel.connectors.base import Connector
from koppel.engine import Engine
from koppel.processes.worker import Worker
from koppel.store import Store, open_store
from tests.scenarios.pair import KEY

READY = "ready "
"""Begins the lease that a worker takes when it has begun to take jobs."""
_SECRET = b"for tests only"
_NOT_OFFERED = ("party_figures", "party_standing", "value_lists")
"""What some connectors can and those of a memory system cannot."""


class Caller:
    """A connector of the test's process, one call at a time, with latency and faults on top."""

    def __init__(self, connector: Connector, latency: float = 0.0) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self.latency = latency
        self.before: Callable[[str], None] = lambda name: None

    def call(self, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Call it; the latency is outside of the lock, as on a network."""
        time.sleep(self.latency)
        self.before(name)
        with self._lock:
            return getattr(self._connector, name)(*arguments, **named)


class Systems:
    """Offers connectors to other processes, in threads of this one."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        class Manager(BaseManager):
            pass

        Manager.register("caller", callable=callers.__getitem__, exposed=["call"])
        self._server: Any = Manager(("127.0.0.1", 0), authkey=_SECRET).get_server()
        self.port: int = self._server.address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class Remote:
    """The same connector in a worker's process."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _NOT_OFFERED:
            raise AttributeError(name)
        return lambda *arguments, **named: self._proxy.call(name, arguments, named)


def spawn(address: str, port: int) -> subprocess.Popen[bytes]:
    """Start one."""
    command = [sys.executable, "-m", "tests.scenarios.worker_process", address, str(port)]
    return subprocess.Popen(command)


def main(address: str, port: int) -> None:
    """Take jobs until SIGTERM."""

    class Manager(BaseManager):
        pass

    Manager.register("caller")
    manager: Any = Manager(("127.0.0.1", port), authkey=_SECRET)
    manager.connect()

    def connect(type_name: str, settings: Mapping[str, str]) -> Connector:
        remote: Any = Remote(manager.caller(settings["system"]))
        return remote  # type: ignore[no-any-return]

    store = open_store(address, clock=config.now, key=KEY, migrate=False)
    worker = Worker(
        address, store, lambda: Engine(Store(config.now, KEY), connect=connect, patience=5)
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker.start()
    store.lease.take(f"{READY}{worker.name}", worker.name, seconds=3600)
    stop.wait()
    worker.stop(30)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
