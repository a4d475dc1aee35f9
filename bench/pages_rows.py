"""Made-up customers, contacts, products, orders, lines and invoices for the pages, in bulk.

Each kind of row is made as the database takes it and goes in by COPY on PostgreSQL and by one
prepared statement on SQLite, in transactions of a few tens of thousands.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection, transaction

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = NOW.date()
PART = 20_000
"""Rows of one transaction."""
ITEMS = 5_000
ROOTS = (
    "Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz",
    "Hoffmann", "Köhler", "Krüger", "Jäger", "Böhm", "Groß", "Lindner", "Vogt", "Sauer", "Brandt",
)  # fmt: skip
TRADES = (
    "Stahlbau", "Maschinenbau", "Elektrotechnik", "Holzbau", "Druckerei", "Logistik", "Werkzeuge",
    "Kunststofftechnik", "Brauereitechnik", "Hydraulik", "Verpackungen", "Gartenbau",
)  # fmt: skip
TOWNS = (
    "Berlin", "Hamburg", "München", "Köln", "Frankfurt", "Düsseldorf", "Leipzig", "Nürnberg",
    "Würzburg", "Göttingen", "Lübeck", "Saarbrücken",
)  # fmt: skip
_STATES = ("confirmed", "partly delivered", "delivered", "invoiced", "paid")
_CENTS = 10_000
"""Amounts are kept in ten-thousandths."""
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Size:
    """How much is made up."""

    partners: int
    orders: int
    lines: int = 3
    """Of each order."""


def fill(size: Size, seed: int = 1) -> dict[str, float]:
    """Make the rows; seconds of each part."""
    from koppel.store import seen_models as seen

    took: dict[str, float] = {}

    def put(name: str, model: Any, given: dict[str, Any], rows: Iterator[Row], *own: str) -> None:
        started = time.perf_counter()
        _put(model, own, given, rows)
        took[name] = time.perf_counter() - started

    chance = random.Random(seed)
    read = {"read_at": NOW}
    sold = {"side": "erp", "kind": "order", "resource": "sale.sale", "payment": "open", **read}
    billed = {"state": "posted", "counted": True, **read}
    put("partners", seen.Customer, {"country": "DE", "dirty": True}, _customers(size, chance),
        "name", "name_key", "number", "erp_id", "crm_id", "town", "email", "phone", "tax_id",
        "postal_code", "region", "salesperson", "search")  # fmt: skip
    put("people", seen.Person, {"side": "crm", **read}, _people(size, chance),
        "record", "partner", "name", "email", "phone")  # fmt: skip
    put("products", seen.Article, read, _articles(), "record", "code", "name", "name_key")
    put("orders", seen.Sale, {"currency": "EUR", **sold}, _sales(size, chance),
        "record", "number", "party", "state", "day", "net", "gross", "backlog")  # fmt: skip
    part = {"unit": "C62", "ordered": 3, "delivered": 1, "open": 2, "status": "partly shipped"}
    put("lines", seen.SaleLine, part, _lines(size), "sale", "position", "item", "name", "net")
    put("invoices", seen.Bill, {"currency": "EUR", **billed}, _bills(size, chance),
        "record", "number", "party", "day", "due", "paid", "net", "gross", "open")  # fmt: skip
    took["index"] = _indexed()
    return took


def _put(model: Any, own: tuple[str, ...], given: dict[str, Any], rows: Iterator[Row]) -> None:
    """The columns that `rows` give, then the same values for all: those given, and defaults."""
    from koppel.store import bulk

    left = [f for f in model._meta.concrete_fields if f.column not in own and not f.primary_key]
    plain = model(**given)
    same = tuple(f.get_db_prep_save(getattr(plain, f.attname), connection) for f in left)
    columns = (*own, *(field.column for field in left))
    while part := [(*row, *same) for row in islice(rows, PART)]:
        with transaction.atomic():
            bulk.insert(model, columns, part)


def _indexed() -> float:
    """Make the index of the search; PostgreSQL learns by itself how values are spread, later."""
    from koppel.store import searching

    started = time.perf_counter()
    searching.rebuild()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return time.perf_counter() - started


def _customers(size: Size, chance: random.Random) -> Iterator[Row]:
    from koppel.store.searching import name_key, searchable

    for n in range(size.partners):
        root, trade = chance.choice(ROOTS), chance.choice(TRADES)
        name, number, town = f"{root} {trade} {n} GmbH", f"K{n:07}", chance.choice(TOWNS)
        email = f"info{n}@{root.lower()}.example"
        phone, tax = f"+4930{n:07}", f"DE{100_000_000 + n}"
        search = searchable([name, number, town, email, tax], phones=[phone])
        yield (
            name, name_key(name), number, str(n), str(n), town, email, phone, tax,
            f"{n % 90_000 + 10_000}", f"DE {n % 9 + 1}", f"Sales {n % 40}", search,
        )  # fmt: skip


def _people(size: Size, chance: random.Random) -> Iterator[Row]:
    for n in range(size.partners):
        name = chance.choice(ROOTS)
        yield str(n), str(n), f"Anna {name}", f"anna{n}@{name.lower()}.example", f"+49170{n:07}"


def _articles() -> Iterator[Row]:
    for n in range(ITEMS):
        yield str(n), f"A{n}", f"Part {n}", f"part {n}"


def _day(n: int) -> date:
    return TODAY - timedelta(days=n * 7919 % 1460)


def _net(n: int) -> int:
    return (50 + n * 104_729 % 5_000) * _CENTS


def _sales(size: Size, chance: random.Random) -> Iterator[Row]:
    for n in range(size.orders):
        net, party = _net(n), str(chance.randrange(size.partners))
        yield (
            str(n), f"SO{n:08}", party, _STATES[n % 5], _day(n).isoformat(), net, net,
            net if n % 5 < 2 else 0,
        )  # fmt: skip


def _lines(size: Size) -> Iterator[Row]:
    for n in range(size.orders):
        net = _net(n) // size.lines
        for place in range(size.lines):
            yield n + 1, place + 1, f"A{(n * 3 + place) % ITEMS}", "Part", net


def _bills(size: Size, chance: random.Random) -> Iterator[Row]:
    for n in range(size.orders):
        day, net = _day(n), _net(n)
        still = n % 20 == 0
        paid = None if still else (day + timedelta(days=20 + n % 30)).isoformat()
        yield (
            str(n), f"RE{n:08}", str(chance.randrange(size.partners)), day.isoformat(),
            (day + timedelta(days=30)).isoformat(), paid, net, net, net if still else 0,
        )  # fmt: skip
