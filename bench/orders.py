"""Orders: how fast they are handed over, how soon a delivery shows, what watching many costs.

On the real pair each order with ten lines is handed over by Koppel, one after the other, and right
after it the calls that changed something in Tryton are sent once more for another order: that tight
loop is what Tryton itself sustains with the very same calls, in the same minute on the same
machine. Watching ten thousand orders runs on memory systems, where every call is counted.

`python -m bench.orders ORDERS SAMPLES OPEN` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from koppel import config
from koppel.connectors.base import Connector
from koppel.connectors.creme import CremeConnector
from koppel.connectors.http import Reply
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.tryton import TrytonConnector
from koppel.processes.orders import Orders
from koppel.store.opening import open_store, setup_django

setup_django()

from koppel.store.orders import status_of  # noqa: E402
from koppel.testing.sales import SALE  # noqa: E402
from lab.tryton_sales_human import TrytonSalesHuman  # noqa: E402
from tests.scenarios.real import RealPair  # noqa: E402
from tests.scenarios.real_orders import QUOTE, RealSales  # noqa: E402
from tests.scenarios.selling import make_selling  # noqa: E402

LINES = 10
POLL = 5.0
"""Seconds between two looks at the ERP, as `koppel serve` does it."""
PATIENCE = 60.0
POLLS = 5


@dataclass
class Tap:
    """The changing calls of one connector, and how many calls there were."""

    connector: TrytonConnector | CremeConnector
    calls: int = 0
    effects: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        session: Any = self.connector._session
        session = getattr(session, "_http", session)
        self._request = session.request
        session.request = self._counted

    def _counted(self, method: str, path: str = "", **options: Any) -> Reply:
        self.calls += 1
        if options["effect"]:
            self.effects.append({"path": path, **options})
        return self._request(method, path, **options)

    def take(self) -> tuple[int, list[dict[str, Any]]]:
        """Calls and effects since this was last asked."""
        taken = self.calls, self.effects
        self.calls, self.effects = 0, []
        return taken

    def again(self, effects: list[dict[str, Any]], key: str) -> float:
        """Send them once more for an order of another key; seconds."""
        begun = time.perf_counter()
        made: int | None = None
        for effect in effects:
            options = dict(effect)
            path, payload = options.pop("path"), dict(options.pop("payload"))
            method, params = payload["method"], list(payload["params"])
            if method.endswith(".koppel_transfer"):
                params[0] = key
            else:
                params[0] = made
            reply = self._request("POST", path, payload={**payload, "params": params}, **options)
            if not isinstance(reply.body, dict) or "error" in reply.body:
                raise SystemExit(f"the tight loop was refused: {reply.content[:300]!r}")
            if method.endswith(".koppel_transfer"):
                made = reply.body["result"]["id"]
        return time.perf_counter() - begun


def measure(orders: int, samples: int, watched: int) -> dict[str, Any]:
    """Everything."""
    with tempfile.TemporaryDirectory() as folder:
        pair = RealPair("bench-orders", "demo", Path(folder))
        try:
            with pair.connectors() as connectors:
                sales = RealSales.begin(pair, connectors["crm"], connectors["erp"])
                found = _real(sales, orders, samples)
        finally:
            pair.stop()
    return {**found, "watch": _watch(watched)}


def _real(sales: RealSales, orders: int, samples: int) -> dict[str, Any]:
    taps: dict[str, Tap] = {}

    def tapped(name: str, inner: Connector) -> Connector:
        if isinstance(inner, TrytonConnector | CremeConnector):
            taps[name] = Tap(inner)
        return inner

    working = sales.orders(tapped)
    customer = sales.prospect()
    _handed_over(working, sales, _quote(sales, customer))
    tap, crm = taps["tryton"], taps["creme"]
    tap.take(), crm.take()
    koppel, tight, calls, made = 0.0, 0.0, 0, []
    for number in range(orders):
        quote = _quote(sales, customer)
        begun = time.perf_counter()
        _handed_over(working, sales, quote)
        koppel += time.perf_counter() - begun
        many, effects = tap.take()
        calls += many
        tight += tap.again(effects, f"bench-{number}")
        made.append(quote)
    transfer = {
        "orders": orders,
        "lines": LINES,
        "seconds": round(koppel, 2),
        "per_second": round(orders / koppel, 2),
        "tight_seconds": round(tight, 2),
        "tight_per_second": round(orders / tight, 2),
        "ratio": round(tight / koppel, 3),
        "calls": round(calls / orders, 1),
        "calls_crm": round(crm.take()[0] / orders, 1),
    }
    return {"transfer": transfer, "delivery": _deliveries(working, sales, tap, made[:samples])}


def _quote(sales: RealSales, customer: str) -> str:
    lines = [sales.line(n % len(sales.products), str(n + 1)) for n in range(LINES)]
    return sales.quote(*lines, target=customer)


def _handed_over(working: Orders, sales: RealSales, quote: str) -> None:
    row = working.transfer(QUOTE, quote, user="bench")
    if row.state != "done":
        raise SystemExit(f"an order was not handed over: {row.state} {row.why}")


def _deliveries(working: Orders, sales: RealSales, tap: Tap, quotes: list[str]) -> dict[str, Any]:
    """A delivery is posted at a moment of its own within the polling interval, each time."""
    human = TrytonSalesHuman.admin(sales.pair.tryton)
    seconds: list[float] = []
    calls = polls = 0
    next_poll = time.perf_counter()
    try:
        for number, quote in enumerate(quotes):
            (sale,) = sales.sales_of(quote)
            pause = POLL * ((number * 0.381966) % 1.0)
            while time.perf_counter() < next_poll + pause - POLL:
                time.sleep(0.02)
            human.ship(sale.id)
            posted = time.perf_counter()
            tap.take()
            while time.perf_counter() - posted < PATIENCE:
                time.sleep(max(0.0, next_poll - time.perf_counter()))
                working.poll()
                polls += 1
                next_poll = max(next_poll + POLL, time.perf_counter())
                if _shipped(working, quote):
                    break
            seconds.append(time.perf_counter() - posted)
            calls += tap.take()[0]
    finally:
        human.close()
    ordered = sorted(seconds)
    return {
        "samples": len(ordered),
        "poll_seconds": POLL,
        "median": round(median(ordered), 2),
        "p95": round(quantiles(ordered, n=20)[-1], 2),
        "slowest": round(ordered[-1], 2),
        "calls_per_poll": round(calls / max(1, polls), 1),
    }


def _shipped(working: Orders, quote: str) -> bool:
    link = working.systems.store.orders.of_crm(QUOTE, quote)
    told = status_of(link) if link is not None else None
    return told is not None and all(line.open == 0 for line in told.lines if line.ordered)


def _watch(count: int) -> dict[str, Any]:
    """That many open orders of a memory ERP: calls and seconds of polls that find nothing."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.sqlite3"
        open_store(template, clock=config.now).close()
        selling = make_selling(Path(folder) / "pair", template)
        (customer,) = selling.pair.store.couplings.each("partner")
        for number in range(count):
            line = {
                "type": "line",
                "product_code": "P-001",
                "quantity": Decimal(number % 50 + 1),
                "unit_price": Decimal("9.90"),
            }
            fields = {"party": customer.erp_id, "currency": "EUR", "lines": [line]}
            selling.erp.create(SALE, fields, "clerk")
        called: dict[str, MemoryConnector] = {}

        def kept(name: str, inner: MemoryConnector) -> Connector:
            called[name] = inner
            return inner

        selling.pair.wrap = kept
        working = selling.orders()
        begun = time.perf_counter()
        taken = working.poll()
        first = time.perf_counter() - begun
        working.poll()
        before = called["erp"].calls.total()
        begun, own = time.perf_counter(), time.process_time()
        for _ in range(POLLS):
            working.poll()
        spent, own = time.perf_counter() - begun, time.process_time() - own
        calls = (called["erp"].calls.total() - before) / POLLS
    return {
        "orders": count,
        "taken": taken,
        "first_seconds": round(first, 1),
        "poll_seconds": round(spent / POLLS, 3),
        "own_seconds": round(own / POLLS, 3),
        "calls_per_poll": calls,
        "calls_per_100": round(100 * calls / count, 4),
    }


if __name__ == "__main__":
    print(json.dumps(measure(*(int(one) for one in sys.argv[1:4]))))
