"""Orders through one, two and four workers on PostgreSQL, over systems with a latency.

Both systems live in this process and answer each call after 50 ms. So many orders of ten lines wait
when the workers begin; while they flow, a customer's phone is edited now and then and hinted at,
which shows whether one kind of work holds up another. Each number of workers has a database and
systems of its own. `python -m bench.workers ORDERS WORKERS...` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connections

from koppel import config
from koppel.engine.queue import JobQueue
from koppel.mapping.orders import shipped_order_mapping
from koppel.processes.asked import AskedWatch
from koppel.processes.orders import Orders
from koppel.processes.settings import KIND, NAME, shipped_settings
from koppel.store.models import Conflict, Process
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.testing.sales import QUOTE, SALE, SalesSystem, sales_crm
from lab.postgres import Postgres
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems, pair_on
from tests.scenarios.worker_process import Caller, Systems, spawn

LATENCY = 0.05
LINES = 10
EDIT_EVERY = 1.0
"""Seconds between two edits of a phone number."""
PATIENCE = 600.0
BUDGET = "[poll]\nevery = 1.0\nlongest = 2.0\naway = 1.0\n"


@dataclass
class Floor:
    """Two selling systems, a store on PostgreSQL, and quotes that wait to be handed over."""

    pair: PairOfSystems
    erp: SalesSystem
    customer: str
    party: str
    called: Counter[str] = field(default_factory=Counter)
    begun: float = 0.0
    """When the systems were called first: how long processes take to start is not measured."""

    def callers(self) -> dict[str, Caller]:
        """The systems as workers reach them, each call counted."""
        made = {name: Caller(one, LATENCY) for name, one in self.pair.connectors.items()}
        lock = threading.Lock()

        def counted(name: str) -> None:
            with lock:
                self.begun = self.begun or time.monotonic()
                self.called[name] += 1

        for caller in made.values():
            caller.before = counted
        return made


def measure(orders: int, workers: list[int]) -> dict[str, Any]:
    """All numbers of workers, one after the other."""
    server = Postgres.for_tests()
    server.start()
    try:
        databases = Databases(server)
        runs = [_run(databases.fresh(), orders, many) for many in workers]
    finally:
        connections.close_all()
        server.remove()
    return {"orders": orders, "lines": LINES, "latency_ms": LATENCY * 1000, "runs": runs}


def _floor(address: str, orders: int) -> Floor:
    erp, crm = SalesSystem(), sales_crm()
    erp.rates = {f"P-{number:03}": Decimal(19) for number in range(1, LINES + 1)}
    pair = pair_on(empty(address, config.now), entities=("partner",), crm=crm, erp=erp)
    documents = pair.store.documents
    documents.put("mapping", "crm/order", shipped_order_mapping("memory_crm"))
    documents.put(KIND, NAME, shipped_settings().replace('"sale.sale"', f'"{SALE}"'))
    documents.put("budget", "budget", BUDGET)
    (partner,) = partners(1)
    customer = pair.crm_human.create("organisation", crm_fields(partner, role="customer"))
    party = pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    lines = [
        {
            "kind": "item", "product_code": code, "name": f"Product {code}",
            "quantity": Decimal(2), "unit": "piece", "unit_price": Decimal("9.90"),
            "discount": Decimal(0), "discount_unit": "percent", "vat": rate,
        }
        for code, rate in erp.rates.items()
    ]  # fmt: skip
    working = Orders(pair.engine())
    for number in range(orders):
        fields = {
            "number": f"QUO-{number}", "name": f"Offer {number}", "organisation": customer,
            "currency": "EUR", "status": "Pending", "lines": lines,
        }  # fmt: skip
        working.begin(QUOTE, pair.crm_human.create(QUOTE, fields), user="bench")
    return Floor(pair, erp, customer, party)


def _run(address: str, orders: int, many: int) -> dict[str, Any]:
    floor = _floor(address, orders)
    store = floor.pair.store
    systems = Systems(floor.callers())
    queue = JobQueue(address, "bench")
    watch = AskedWatch(queue, store, lambda: {"crm/erp": ["partner"]})
    queue.counts()  # The first question makes the queue's own tables ready.
    begun = time.monotonic()
    workers = [spawn(address, systems.port) for _ in range(many)]
    waits: list[float] = []
    last = 0.0
    try:
        edited: tuple[str, float] | None = None
        while not last or edited:
            now, left = time.monotonic(), Process.objects.exclude(state="done").count()
            if now - begun > PATIENCE:
                raise SystemExit(f"{left} orders are not handed over")
            if not left and not last:
                last = now
            if edited and edited[0] in _phones(floor):
                waits.append(now - edited[1])
                edited = None
            elif (
                not edited and floor.begun and left and now - floor.begun > len(waits) * EDIT_EVERY
            ):
                phone = f"+4922155{many}{len(waits):04}"
                floor.pair.crm_human.edit("organisation", floor.customer, {"phone": phone})
                edited = phone, now
                watch.hint("partner", "crm", floor.customer)
            time.sleep(0.05)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)
        queue.stop(0)
    made = Counter(row.fields["koppel_key"] for row in floor.erp.table(SALE).order)
    seconds = last - floor.begun
    return {
        "workers": many,
        "seconds": round(seconds, 2),
        "per_second": round(orders / seconds, 2),
        "calls": floor.called.total(),
        "doubled": sum(made.values()) - orders,
        "conflicts": Conflict.objects.count(),
        "edits": len(waits),
        "slowest_edit": round(max(waits, default=0.0), 2),
    }


def _phones(floor: Floor) -> set[str]:
    ways = floor.erp.row("party", floor.party).fields["contact_mechanisms"]
    return {way["value"].replace(" ", "") for way in ways}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), [int(one) for one in sys.argv[2:]])))
