"""The processes that answer pages: begun and watched over by the one that does the work.

Until they are there the one that began them answers by itself. One that ends is begun again; all of
them end with the one that began them, however that ends.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from koppel import config

logger = logging.getLogger(__name__)

MOST = 4
"""Processes that are begun unless told otherwise, however many processors there are."""
PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before a process that ended is begun again: at first, and where it ends each time."""


def possible() -> bool:
    """Can this system hand sockets to other processes?"""
    return os.name == "posix" and hasattr(socket, "AF_UNIX")


def usual() -> int:
    """How many there are unless told otherwise: one for each processor; 1 means none of its own."""
    if not possible():
        return 1
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(processors, MOST)


class PageProcesses:
    """Begins them, begins again what ends, and ends them all. `ready` is called when all answer."""

    def __init__(
        self,
        home: Path,
        host: str,
        sockets: Sequence[socket.socket],
        engine: str,
        many: int,
        ready: Callable[[], None],
    ) -> None:
        numbers = [one.fileno() for one in sockets]
        told = [str(home), host, engine, *map(str, numbers)]
        self._command = [sys.executable, "-m", "koppel.web.page_process", *told]
        self._numbers = numbers
        self._many = many
        self._ready = ready
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._look, name="koppel-pages", daemon=True)

    def begin(self) -> None:
        """Begin them, and watch over them."""
        self._running = [self._begun() for _ in range(self._many)]
        self._watch.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End them; what they are answering is answered first, within `timeout` seconds."""
        self._stopping.set()
        for one in self._running:
            one.terminate()
        until = time.monotonic() + timeout
        for one in self._running:
            try:
                one.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        self._watch.join(1)

    def pids(self) -> list[int]:
        """The numbers of those that run."""
        return [one.pid for one in self._running if one.poll() is None]

    def _begun(self) -> subprocess.Popen[bytes]:
        # Its input ends when this process does, which is how it learns of that.
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, pass_fds=self._numbers)

    def _look(self) -> None:
        if all(_answers(one) for one in self._running):
            self._ready()
            logger.info("%d processes answer pages", self._many)
        pause = PAUSE
        while not self._stopping.wait(pause):
            ended = [place for place, one in enumerate(self._running) if one.poll() is not None]
            pause = min(2 * pause, LONGEST_PAUSE) if ended else PAUSE
            for place in ended:
                if not self._stopping.is_set():
                    code = self._running[place].returncode
                    logger.warning("a process that answers pages ended (%s): begun again", code)
                    self._running[place] = self._begun()


def _answers(one: subprocess.Popen[bytes]) -> bool:
    assert one.stdout is not None
    return bool(one.stdout.readline())


def main(home: str, host: str, engine: str, *numbers: str) -> None:
    """One such process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that began it.
    from koppel.connectors import registry
    from koppel.engine import seen
    from koppel.engine.lines import Lines
    from koppel.store import open_store
    from koppel.store.address import find_address
    from koppel.store.secrets import find_key
    from koppel.web import service, serving
    from koppel.web.front import Elsewhere, Front

    seen.log_as(os.environ.get("KOPPEL_LOG", ""))
    place = Path(home)
    store = open_store(
        find_address(place), clock=config.now, key=find_key(place), migrate=False,
        find_key=lambda: find_key(place),
    )  # fmt: skip
    serving.prepare(place, host)
    lines = Lines(store, registry.connect)
    service.use(service.Service(store, lines, Elsewhere(), config.now))
    sockets = [socket.socket(fileno=int(number)) for number in numbers]
    front = Front(serving.application(), engine)
    server = serving.server(front, *sockets, proxy=serving.trusted_proxy())
    threading.Thread(target=_end_with_parent, name="koppel-parent", daemon=True).start()
    stop = threading.Event()
    # Until here SIGTERM ends it at once. From now on it says so and raises nothing: an exception
    # out of nowhere gets lost where Python is not looking.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    serving.run(server, then=stop.set)
    print("ready", flush=True)
    serving.settle_until(stop)
    serving.finish(server)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    config.tell_crashes()
    main(*sys.argv[1:])
