"""How fast the pages are when the store is large, on SQLite and on PostgreSQL.

Fills a replica with made-up partners, orders, lines and invoices (`bench.pages_rows`) and reckons
the figures. Then `koppel serve` runs on it, and twenty people in a process of their own search as
one types, open customers and read the figures of the house (`bench.people`). `python -m bench.pages
PARTNERS sqlite|postgresql` prints one line of JSON; five orders of three lines for each partner.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.pages_rows import TODAY, Size, fill
from bench.people import KINDS, Call, Load, ask, visits
from koppel import config
from koppel.store import Store, open_store
from koppel.store.address import ENVIRONMENT
from koppel.store.secrets import find_key
from lab.postgres import Postgres
from lab.system import free_port

PEOPLE = 20
CALLS = 15
"""Calls of each person and kind."""
ALONE = 40
"""Calls of each kind by one person alone, for the work that a page takes."""
READY = "processes answer pages"
PATIENCE = 300.0
KOPPEL = Path(sys.executable).with_name("koppel")


@dataclass(frozen=True)
class Place:
    """A home folder, and the store that belongs to it."""

    home: Path
    address: Path | str
    environment: dict[str, str]

    def megabytes(self) -> int:
        """What the store takes on the disk."""
        from django.db import connection

        if isinstance(self.address, Path):
            return round(self.address.stat().st_size / 1e6)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0] / 1e6)


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """A new one; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="koppel-pages-") as folder:
        home = Path(folder)
        if kind == "sqlite":
            yield Place(home, home / "koppel.sqlite3", {})
            return
        # With all the safety that it has where it is used: what is committed is on the disk.
        server = Postgres(Path(tempfile.mkdtemp(prefix="koppel-postgres-")))
        server.start()
        try:
            address = server.create("koppel")
            yield Place(home, address, {ENVIRONMENT: address})
        finally:
            server.remove()


def reckon() -> tuple[float, float]:
    """Seconds for the figures of all customers, and for those of the house."""
    from koppel.store.figures import FigureStore

    figures = FigureStore(config.now)
    started = time.perf_counter()
    while figures.reckon(TODAY, 2_000):
        pass
    first = time.perf_counter() - started
    started = time.perf_counter()
    figures.overview(TODAY)
    return first, time.perf_counter() - started


@contextmanager
def serving(here: Place, processes: int) -> Iterator[int]:
    """`koppel serve` meanwhile; its port."""
    port, log = free_port(), here.home / "serve.log"
    command = [
        KOPPEL, "--home", here.home, "serve", "--port", port, "--processes", processes,
    ]  # fmt: skip
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(word) for word in command],
            stdout=out, stderr=out, env={**os.environ, **here.environment},
        )  # fmt: skip
    try:
        ready = "Koppel serves" if processes == 1 else READY
        until = time.monotonic() + PATIENCE
        while ready not in log.read_text():
            if server.poll() is not None or time.monotonic() > until:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(60)


def sessions(home: Path) -> list[str]:
    """One for each person, as signing in makes them."""
    from koppel.web import serving

    serving.prepare(home, "127.0.0.1")
    return [_browser().cookies["koppel_session"].value for _ in range(PEOPLE)]


def _browser() -> Any:
    from django.contrib.auth import get_user_model
    from django.test import Client

    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="bench"))
    return web


def alone(partners: int) -> dict[str, dict[str, float]]:
    """For each kind, the processor time of a page in milliseconds, and its questions."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    chance, web = random.Random(7), _browser()
    work: dict[str, list[float]] = {kind: [] for kind in KINDS}
    asked: dict[str, int] = {}
    for turn in range(ALONE + 5):
        for kind, address, part in visits(chance, partners):
            headers = {"HX-Request": "true"} if part else {}
            if turn < 5:
                with CaptureQueriesContext(connection) as found:
                    web.get(address, headers=headers)
                asked[kind] = len(found)
                continue
            started = time.process_time()
            web.get(address, headers=headers)
            work[kind].append(time.process_time() - started)
    return {
        kind: {"cpu_ms": round(statistics.median(work[kind]) * 1000, 1), "questions": asked[kind]}
        for kind in KINDS
    }


def measured(here: Place, load: Load, processes: int) -> dict[str, Any]:
    """What the people found: for each kind the median and the 95th percentile."""
    before = os.getloadavg()[0]
    with serving(here, processes) as port:
        load.port = port
        made = ask(load)
    return {
        "processes": processes,
        "load_before": round(before, 1),
        "load_after": round(os.getloadavg()[0], 1),
        "per_second": round(len(made.calls) / made.seconds, 1),
        "generator": round(made.work / made.seconds, 3),
        "pages": {kind: _told([one for one in made.calls if one.kind == kind]) for kind in KINDS},
    }


def _told(rows: list[Call]) -> dict[str, float]:
    took = sorted(row.seconds for row in rows)
    return {
        "calls": len(rows),
        "median_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(took[int(len(took) * 0.95)] * 1000, 1),
        "bytes": max(row.size for row in rows),
    }


def first_load() -> int:
    """Bytes of a customer's page with all that it asks for, where nothing is cached yet."""
    web = _browser()
    page = web.get("/customers/1").content
    named = set(re.findall(rb'(?:src|href)="(/static/[^"]+)', page))
    total = len(page)
    for address in named:
        answer = web.get(address.decode(), headers={"Accept-Encoding": "gzip"})
        if answer.status_code != 200:
            raise SystemExit(f"the page names {address.decode()}, which is not there")
        total += sum(len(part) for part in answer.streaming_content)
    return total


def run(size: Size, kind: str) -> dict[str, Any]:
    """Fill, reckon and measure on a store of its own."""
    with place(kind) as here:
        key = find_key(here.home, create=True)
        store = open_store(here.address, clock=config.now, key=key)
        store.people.add("bench", "a password of five words", ["clerk"])
        took = fill(size)
        customers, house = reckon()
        return {
            "store": "PostgreSQL" if kind == "postgresql" else "SQLite",
            "partners": size.partners,
            "orders": size.orders,
            "lines": size.orders * size.lines,
            "megabytes": here.megabytes(),
            "filled_s": {name: round(value, 1) for name, value in took.items()},
            "customers_s": round(customers, 1),
            "house_s": round(house, 1),
            **on_it(here, store, size),
        }


def on_it(here: Place, store: Store, size: Size) -> dict[str, Any]:
    """What is measured on a filled store: alone, with one process, and with as many as is usual."""
    from koppel.connectors import registry
    from koppel.engine.lines import Lines
    from koppel.web import service
    from koppel.web.front import Elsewhere
    from koppel.web.page_process import usual

    load = Load(0, sessions(here.home), size.partners, CALLS)
    lines = Lines(store, registry.connect)
    service.use(service.Service(store, lines, Elsewhere(), config.now))
    work, first = alone(size.partners), first_load()
    service._current.clear()
    store.close()
    runs = [measured(here, load, many) for many in dict.fromkeys((1, usual()))]
    pages = {kind: runs[-1]["pages"][kind] | work[kind] for kind in KINDS}
    return {"first_bytes": first, "pages": pages, "runs": runs}


if __name__ == "__main__":
    many = int(sys.argv[1])
    print(json.dumps(run(Size(many, many * 5), sys.argv[2])))
