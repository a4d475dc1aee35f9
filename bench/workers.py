"""Orders through one, two and four workers on PostgreSQL, over systems with a latency.

Both systems answer each call after 50 ms. So many orders of ten lines wait
when the workers begin; while they flow, a customer's phone is edited now and then and hinted at,
which shows whether one kind of work holds up another. Each number of workers has a database and
systems of its own.

Twice: as workers are set by default, where one worker has eight orders under way at once already;
and with one order at a time in each worker, where it is the workers that share out the waiting for
the systems. `python -m bench.workers ORDERS WORKERS...` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connections

from koppel import config
from koppel.engine.queue import JobQueue
from koppel.mapping.orders import shipped_order_mapping
from koppel.processes.asked import AskedWatch
from koppel.processes.orders import Orders
from koppel.processes.settings import KIND, NAME, shipped_settings
from koppel.store import Store
from koppel.store.models import Conflict
from koppel.store.order_models import Process
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.testing.sales import QUOTE, SALE, SalesSystem, sales_crm
from lab.postgres import Postgres
from tests.postgres import Databases, empty
from tests.scenarios.pair import PairOfSystems, pair_on
from tests.scenarios.worker_process import READY, Caller, Systems, spawn

LATENCY = 0.05
LINES = 10
EDIT_EVERY = 1.0
"""Seconds between two edits of a phone number."""
PATIENCE = 600.0
SETTLE = 2.0
"""Seconds after the last worker began to take jobs until the orders may go."""
BUDGET = "[poll]\nevery = 1.0\nlongest = 2.0\naway = 1.0\n"
EACH = 1
"""Orders at a time in each worker, in the second round."""
EACH_BUDGET = f"{BUDGET}[orders]\nper_worker = {EACH}\n"


@dataclass
class Floor:
    """Two selling systems, a store on PostgreSQL, and quotes that wait to be handed over."""

    pair: PairOfSystems
    erp: SalesSystem
    customer: str
    party: str
    called: Counter[str] = field(default_factory=Counter)

    def callers(self) -> dict[str, Caller]:
        """The systems as workers reach them, each call counted."""
        made = {name: Caller(one, LATENCY) for name, one in self.pair.connectors.items()}
        lock = threading.Lock()

        def counted(name: str) -> None:
            with lock:
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
        runs, each = (
            [_run(databases.fresh(), orders, many, budget) for many in workers]
            for budget in (BUDGET, EACH_BUDGET)
        )
    finally:
        connections.close_all()
        server.remove()
    return {
        "orders": orders,
        "lines": LINES,
        "latency_ms": LATENCY * 1000,
        "runs": runs,
        "each": EACH,
        "each_runs": each,
    }


def _floor(address: str, orders: int, budget: str) -> Floor:
    erp, crm = SalesSystem(), sales_crm()
    erp.rates = {f"P-{number:03}": Decimal(19) for number in range(1, LINES + 1)}
    pair = pair_on(empty(address, config.now), entities=("partner",), crm=crm, erp=erp)
    documents = pair.store.documents
    documents.put("mapping", "crm/order", shipped_order_mapping("memory_crm"))
    documents.put(KIND, NAME, shipped_settings().replace('"sale.sale"', f'"{SALE}"'))
    documents.put("budget", "budget", budget)
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
    # They wait until all workers are there: how long processes take to start is not measured.
    Process.objects.update(next_at=pair.store.clock() + timedelta(days=1))
    return Floor(pair, erp, customer, party)


def _run(address: str, orders: int, many: int, budget: str) -> dict[str, Any]:
    floor = _floor(address, orders, budget)
    store = floor.pair.store
    systems = Systems(floor.callers())
    queue = JobQueue(address, "bench")
    watch = AskedWatch(queue, store, lambda: {"crm/erp": ["partner"]})
    queue.counts()  # The first question makes the queue's own tables ready.
    workers = [spawn(address, systems.port) for _ in range(many)]
    waits: list[float] = []
    last = 0.0
    try:
        _ready(store, many)
        worked, begun = _worked(workers), time.monotonic()
        floor.called.clear()
        Process.objects.update(next_at=store.clock())
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
            elif not edited and left and now - begun > len(waits) * EDIT_EVERY:
                phone = f"+4922155{many}{len(waits):04}"
                floor.pair.crm_human.edit("organisation", floor.customer, {"phone": phone})
                edited = phone, now
                watch.hint("partner", "crm", floor.customer)
            time.sleep(0.05)
        worked = _worked(workers) - worked
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(60)
        queue.stop(0)
    made = Counter(row.fields["koppel_key"] for row in floor.erp.table(SALE).order)
    seconds = last - begun
    return {
        "workers": many,
        "seconds": round(seconds, 2),
        "own_seconds": round(worked, 2),
        "per_second": round(orders / seconds, 2),
        "calls": floor.called.total(),
        "doubled": sum(made.values()) - orders,
        "conflicts": Conflict.objects.count(),
        "edits": len(waits),
        "slowest_edit": round(max(waits, default=0.0), 2),
    }


def _ready(store: Store, many: int) -> None:
    """Wait until so many workers take jobs, and have looked at both systems."""
    until = time.monotonic() + PATIENCE
    while len(store.lease.alive(READY)) < many:
        if time.monotonic() > until:
            raise SystemExit("the workers never came")
        time.sleep(0.1)
    time.sleep(SETTLE)


def _worked(workers: Sequence[subprocess.Popen[bytes]]) -> float:
    """Seconds of a processor that the workers have used so far, where the system tells."""
    stats = [Path(f"/proc/{worker.pid}/stat") for worker in workers]
    ticks = [stat.read_text().rpartition(") ")[2].split()[11:13] for stat in stats if stat.exists()]
    return sum(int(one) for both in ticks for one in both) / os.sysconf("SC_CLK_TCK")


def _phones(floor: Floor) -> set[str]:
    ways = floor.erp.row("party", floor.party).fields["contact_mechanisms"]
    return {way["value"].replace(" ", "") for way in ways}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), [int(one) for one in sys.argv[2:]])))
