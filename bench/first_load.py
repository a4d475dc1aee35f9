"""A first load over HTTP, beside a hand-written loop that reads and writes the very same pages.

Both systems answer over HTTP with a latency, in processes of their own. What Koppel asked for is
recorded, and asked for again by an asyncio loop that does nothing else: both sides at once, each
with one call at a time, as Koppel does it. `python -m bench.first_load SIZE` prints JSON.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from bench.coupling import new_store, peak_mb, sync
from bench.systems import Remote, Side
from koppel.connectors.memory import MemoryConnector
from koppel.testing.endless import endless_erp
from koppel.testing.generated import memory_crm

LATENCY = 0.02
"""Seconds that each call takes besides the system's own work."""
TYPES = {"crm": "memory", "erp": "memory"}
Asked = tuple[str, tuple[Any, ...]]


def measure(size: int) -> dict[str, Any]:
    """Koppel's first load of that many partners into an empty CRM, then the loop into another."""
    with tempfile.TemporaryDirectory() as folder, _systems(size) as addresses:
        remotes: dict[Side, Over] = {side: Over(port) for side, port in addresses.items()}
        with new_store(Path(folder), TYPES) as store:
            done = sync(store, remotes)
        asked = {side: remote.asked for side, remote in remotes.items()}
    with _systems(size) as addresses:
        begun = time.perf_counter()
        asyncio.run(_loop(addresses, asked))
        loop = time.perf_counter() - begun
    return {
        "records": size,
        "latency_ms": LATENCY * 1000,
        "seconds": round(done.seconds, 2),
        "own_seconds": round(done.own_seconds, 2),
        "per_second": round(size / done.seconds, 1),
        "loop_seconds": round(loop, 2),
        "loop_per_second": round(size / loop, 1),
        "ratio": round(loop / done.seconds, 3),
        "calls": {side: len(calls) for side, calls in asked.items()},
        "peak_mb": round(peak_mb(), 1),
    }


class Over(Remote):
    """A connector to a system over HTTP, one connection for each thread that calls."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = threading.local()
        self.asked: list[Asked] = []
        self._waited = 0.0

    def ask(self, name: str, *arguments: Any) -> Any:
        """One call; what was asked is kept, unless it is asked once per connection."""
        if name in ("changes", "fetch", "write"):
            self.asked.append((name, arguments))
        if not hasattr(self._mine, "line"):
            self._mine.line = http.client.HTTPConnection("127.0.0.1", self._port)
        self._mine.line.request("POST", "/", pickle.dumps((name, arguments)))
        return pickle.loads(self._mine.line.getresponse().read())


async def _loop(addresses: Mapping[Side, int], asked: Mapping[Side, list[Asked]]) -> None:
    async def side(port: int, calls: list[Asked]) -> None:
        async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
            for call in calls:
                reply = await client.post(f"http://127.0.0.1:{port}/", content=pickle.dumps(call))
                pickle.loads(reply.content)

    await asyncio.gather(*(side(port, asked[name]) for name, port in addresses.items()))


@contextmanager
def _systems(size: int) -> Iterator[dict[Side, int]]:
    """An ERP with that many partners and an empty CRM; their ports."""
    context = multiprocessing.get_context("spawn")
    ports: dict[Side, int] = {}
    children = []
    for side, count in (("crm", 0), ("erp", size)):
        here, there = context.Pipe()
        child = context.Process(target=_serve, args=(there, side, count), daemon=True)
        child.start()
        children.append(child)
        ports["crm" if side == "crm" else "erp"] = here.recv()
    try:
        yield ports
    finally:
        for child in children:
            child.terminate()
            child.join(10)


def _serve(told: Connection, side: str, count: int) -> None:
    connector = MemoryConnector(memory_crm() if side == "crm" else endless_erp(count))
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """One call of the connector."""
            length = int(self.headers["Content-Length"])
            name, arguments = pickle.loads(self.rfile.read(length))
            time.sleep(LATENCY)
            with one_at_a_time:
                answer = pickle.dumps(getattr(connector, name)(*arguments))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
