"""How fast the pages are when the store is large, on SQLite and on PostgreSQL.

Fills a replica with made-up partners, orders, lines and invoices, then lets twenty threads at once
search as one types, open customers and read the figures of the house. Times are those of the whole
answer inside Koppel's own web stack (without the network), on this machine.
`python -m bench.pages PARTNERS sqlite|postgresql` prints one line of JSON; five orders of three
lines for each partner.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from koppel import config
from lab.postgres import Postgres

PEOPLE = 20
CALLS = 15
"""Calls of each person and kind."""
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = NOW.date()
PART = 5_000
_ROOTS = (
    "Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz",
    "Hoffmann", "Köhler", "Krüger", "Jäger", "Böhm", "Groß", "Lindner", "Vogt", "Sauer", "Brandt",
)  # fmt: skip
_TRADES = (
    "Stahlbau", "Maschinenbau", "Elektrotechnik", "Holzbau", "Druckerei", "Logistik", "Werkzeuge",
    "Kunststofftechnik", "Brauereitechnik", "Hydraulik", "Verpackungen", "Gartenbau",
)  # fmt: skip
_TOWNS = (
    "Berlin", "Hamburg", "München", "Köln", "Frankfurt", "Düsseldorf", "Leipzig", "Nürnberg",
    "Würzburg", "Göttingen", "Lübeck", "Saarbrücken",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is made up."""

    partners: int
    orders: int
    lines: int = 3
    """Of each order."""


def fill(size: Size, seed: int = 1) -> dict[str, float]:
    """Make the rows; seconds of each part."""
    from django.db import transaction

    from koppel.store import searching
    from koppel.store.seen_models import Bill, Customer, Sale, SaleLine

    chance = random.Random(seed)
    took: dict[str, float] = {}

    def timed(name: str, rows: Iterator[Any], model: Any) -> None:
        started = time.perf_counter()
        with transaction.atomic():
            for part in _parts(rows):
                model.objects.bulk_create(part, batch_size=PART)
        took[name] = time.perf_counter() - started

    timed("partners", (_customer(n, chance) for n in range(size.partners)), Customer)
    timed("orders", (_sale(n, size, chance) for n in range(size.orders)), Sale)
    timed(
        "lines",
        (_line(n, k, chance) for n in range(size.orders) for k in range(size.lines)),
        SaleLine,
    )
    timed("invoices", (_bill(n, size, chance) for n in range(size.orders)), Bill)
    started = time.perf_counter()
    searching.rebuild()
    took["index"] = time.perf_counter() - started
    return took


def _customer(n: int, chance: random.Random) -> Any:
    from koppel.store.searching import name_key, searchable
    from koppel.store.seen_models import Customer

    root, trade = chance.choice(_ROOTS), chance.choice(_TRADES)
    name, number, town = f"{root} {trade} {n} GmbH", f"K{n:07}", chance.choice(_TOWNS)
    email = f"info{n}@{root.lower()}.example"
    phone, tax = f"+4930{n:07}", f"DE{100_000_000 + n}"
    return Customer(
        name=name, name_key=name_key(name), number=number, erp_id=str(n), crm_id=str(n), town=town,
        email=email, phone=phone, tax_id=tax, country="DE", postal_code=f"{n % 90_000 + 10_000}",
        region=f"DE {n % 9 + 1}", salesperson=f"Sales {n % 40}",
        search=searchable([name, number, town, email, tax], phones=[phone]),
    )  # fmt: skip


def _day(n: int) -> date:
    return TODAY - timedelta(days=n * 7919 % 1460)


def _net(n: int) -> int:
    return 50 + n * 104_729 % 5_000


def _sale(n: int, size: Size, chance: random.Random) -> Any:
    from koppel.store.seen_models import Sale

    state = ("confirmed", "partly delivered", "delivered", "invoiced", "paid")[n % 5]
    return Sale(
        side="erp", kind="order", resource="sale.sale", record=str(n), number=f"SO{n:08}",
        party=str(chance.randrange(size.partners)), state=state, payment="open", day=_day(n),
        currency="EUR", net=_net(n), gross=_net(n), backlog=_net(n) if n % 5 < 2 else 0,
        read_at=NOW,
    )  # fmt: skip


def _line(n: int, place: int, chance: random.Random) -> Any:
    from koppel.store.seen_models import SaleLine

    return SaleLine(
        sale=n + 1, position=place + 1, item=f"A{(n * 3 + place) % 5_000}", name="Part",
        ordered=3, delivered=1, open=2, net=_net(n) // 3, unit="C62", status="partly shipped",
    )  # fmt: skip


def _bill(n: int, size: Size, chance: random.Random) -> Any:
    from koppel.store.seen_models import Bill

    day = _day(n)
    still = n % 20 == 0
    return Bill(
        record=str(n), number=f"RE{n:08}", party=str(chance.randrange(size.partners)),
        state="posted", counted=True, day=day, due=day + timedelta(days=30),
        paid=None if still else day + timedelta(days=20 + n % 30), currency="EUR", net=_net(n),
        gross=_net(n), open=_net(n) if still else 0, read_at=NOW,
    )  # fmt: skip


def _parts(rows: Iterator[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    for row in rows:
        part.append(row)
        if len(part) == PART:
            yield part
            part = []
    if part:
        yield part


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


def measure(people: int = PEOPLE, calls: int = CALLS) -> dict[str, dict[str, float]]:
    """Twenty people at once, each pausing about a second between two calls as people do.

    For each kind of page: the median and the 95th percentile in milliseconds, the processor time
    of a call, and the largest answer in bytes.
    """
    from django.db import connections

    asked: list[tuple[str, float, float, int]] = []
    lock = threading.Lock()

    def person(number: int) -> None:
        chance, web = random.Random(number), _browser()
        web.get("/customers")
        for _ in range(calls):
            for kind, address, part in _visits(chance):
                time.sleep(chance.uniform(0.2, 1.0))
                started, cpu = time.perf_counter(), time.thread_time()
                answer = web.get(address, headers={"HX-Request": "true"} if part else {})
                told = time.perf_counter() - started, time.thread_time() - cpu
                assert answer.status_code == 200, address
                with lock:
                    asked.append((kind, *told, len(answer.content)))
        connections.close_all()

    threads = [threading.Thread(target=person, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {kind: _told([one for one in asked if one[0] == kind]) for kind in _KINDS}


_KINDS = ("search", "customer", "orders", "insight")


def _visits(chance: random.Random) -> list[tuple[str, str, bool]]:
    root, number = chance.choice(_ROOTS), chance.randrange(1, 1_000)
    query = chance.choice((root[:4], f"{root} {chance.choice(_TRADES)[:5]}", f"K00{number:04}"))
    return [
        ("search", f"/customers?q={query}", True),
        ("customer", f"/customers/{number}", False),
        ("orders", "/orders", False),
        ("insight", "/insight", False),
    ]


def _told(rows: list[tuple[str, float, float, int]]) -> dict[str, float]:
    took = sorted(row[1] for row in rows)
    return {
        "calls": len(rows),
        "median_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(took[int(len(took) * 0.95)] * 1000, 1),
        "cpu_ms": round(statistics.mean(row[2] for row in rows) * 1000, 1),
        "bytes": max(row[3] for row in rows),
    }


def _browser() -> Any:
    from django.contrib.auth import get_user_model
    from django.test import Client

    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="bench"))
    return web


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


@contextmanager
def _database(kind: str) -> Iterator[Path | str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "koppel.sqlite3"
        return
    server = Postgres.for_tests()
    server.start()
    try:
        yield server.create("koppel")
    finally:
        server.remove()


def _megabytes(database: Path | str) -> int:
    from django.db import connection

    if isinstance(database, Path):
        return round(database.stat().st_size / 1e6)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SELECT pg_database_size(current_database())")
        return round(cursor.fetchone()[0] / 1e6)


def run(size: Size, kind: str) -> dict[str, Any]:
    """Fill, reckon and measure on a store of its own."""
    from koppel.connectors import registry
    from koppel.engine import Engine
    from koppel.engine.lines import Lines
    from koppel.engine.watch import Watch
    from koppel.store import open_store
    from koppel.web import service

    with _database(kind) as database:
        store = open_store(database, clock=config.now)
        store.people.add("bench", "a password of five words", ["clerk"])
        watch = Watch(lambda: Engine(store), config.now)
        lines = Lines(store, registry.connect)
        service.use(service.Service(store, lines, watch, config.now))
        took = fill(size)
        megabytes = _megabytes(database)
        customers, house = reckon()
        pages = measure()
        found = {
            "store": "PostgreSQL" if kind == "postgresql" else "SQLite",
            "partners": size.partners,
            "orders": size.orders,
            "lines": size.orders * size.lines,
            "megabytes": megabytes,
            "filled_s": {name: round(value, 1) for name, value in took.items()},
            "customers_s": round(customers, 1),
            "house_s": round(house, 1),
            "first_bytes": first_load(),
            "pages": pages,
        }
        store.close()
        service._current.clear()
    return found


if __name__ == "__main__":
    many = int(sys.argv[1])
    print(json.dumps(run(Size(many, many * 5), sys.argv[2])))
