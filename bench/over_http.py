"""Systems in processes of their own that answer over HTTP, each call after a latency.

`Over` is a connector to one, as seen from Koppel: one kept-alive connection for each thread that
calls. When each record was written over there is noted by that process on the machine's own steady
clock, so that it can be compared with the moment at which somebody edited the other side.
"""

from __future__ import annotations

import http.client
import multiprocessing
import pickle
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

from bench.systems import RESOURCES, Remote, Side
from koppel.connectors.base import Outcome, Written
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour, MemorySystem
from koppel.testing.endless import endless_crm, endless_erp
from koppel.testing.generated import memory_crm

ASKED = ("changes", "ids", "fetch", "write")
IDS_PAGE = 1000
"""Ids and versions that a call gives, as the real systems do."""
Asked = tuple[str, tuple[Any, ...]]


class Over(Remote):
    """A connector to a system over HTTP."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = threading.local()
        self._sent: list[bytes] = []
        self._counted: Counter[str] = Counter()
        self._waited = 0.0

    def ask(self, name: str, *arguments: Any) -> Any:
        """One call; what was asked is kept, unless it is asked once per connection."""
        sent = pickle.dumps((name, arguments))
        if name in ASKED:
            # As bytes: a hundred thousand things kept would be looked through by the collector.
            self._sent.append(sent)
            self._counted[name] += 1
        if not hasattr(self._mine, "line"):
            self._mine.line = http.client.HTTPConnection("127.0.0.1", self._port)
        self._mine.line.request("POST", "/", sent)
        return pickle.loads(self._mine.line.getresponse().read())

    @property
    def asked(self) -> list[Asked]:
        """All calls so far."""
        return [pickle.loads(sent) for sent in self._sent]

    def calls(self, name: str) -> int:
        """How many calls of a kind there were so far."""
        return self._counted[name]


class Desk:
    """The system of one process: its connector, its users, and when Koppel wrote what."""

    def __init__(self, system: MemorySystem, side: Side) -> None:
        self._system = system
        self._resource = RESOURCES[side]
        self._connector = MemoryConnector(system)
        self._written: list[tuple[str, float]] = []

    def edit(self, record: str, fields: Mapping[str, Any]) -> float:
        """Somebody edits a record here; when that was, on the steady clock."""
        self._system.update(self._resource, record, dict(fields), "human")
        return time.monotonic()

    def write(self, batch: Any) -> Any:
        """As the connector's, with the time noted."""
        outcomes: list[Outcome] = list(self._connector.write(batch))
        now = time.monotonic()
        self._written += [(out.after.id, now) for out in outcomes if isinstance(out, Written)]
        return outcomes

    def take_written(self) -> list[tuple[str, float]]:
        """Record and time of each write since this was last asked."""
        taken, self._written = self._written, []
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)


@contextmanager
def over_http(crm: int, erp: int, latency: float) -> Iterator[dict[Side, int]]:
    """A CRM and an ERP with that many partners (a CRM of none is an ordinary one); their ports."""
    context = multiprocessing.get_context("spawn")
    ports: dict[Side, int] = {}
    children = []
    counts: dict[Side, int] = {"crm": crm, "erp": erp}
    for side, count in counts.items():
        here, there = context.Pipe()
        child = context.Process(target=_serve, args=(there, side, count, latency), daemon=True)
        child.start()
        children.append(child)
        ports[side] = here.recv()
    try:
        yield ports
    finally:
        for child in children:
            child.terminate()
            child.join(10)


def _system(side: Side, count: int) -> MemorySystem:
    behaviour = Behaviour(ids_page=IDS_PAGE)
    if side == "crm":
        return endless_crm(count, behaviour) if count else memory_crm(behaviour)
    return endless_erp(count, behaviour)


def _serve(told: Connection, side: Side, count: int, latency: float) -> None:
    desk = Desk(_system(side, count), side)
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else the end of an answer waits for the receipt of its beginning, up to 40 ms.
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            """One call of the connector; the latency is outside of the lock, as on a network."""
            length = int(self.headers["Content-Length"])
            name, arguments = pickle.loads(self.rfile.read(length))
            time.sleep(latency)
            with one_at_a_time:
                answer = pickle.dumps(getattr(desk, name)(*arguments))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.send(server.server_address[1])
    server.serve_forever()
