"""Koppel's pages, served to a browser from this process, with two memory systems behind them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from koppel.config import now
from koppel.store import open_store
from koppel.store.searching import name_key, searchable
from koppel.store.seen_models import Article, Bill, BillLine, Customer, Sale, SaleLine
from tests.scenarios.pair import KEY, START
from tests.scenarios.selling import Selling, make_selling
from tests.scenarios.web_desk import Desk, at_the_desk

NAME, PASSWORD = "anna", "a password of five words"


@dataclass
class House:
    """A served Koppel with something on every page, and what its pages can be opened with."""

    desk: Desk
    selling: Selling
    url: str
    contact: str = ""
    """A person of the CRM's customer, and an errand that was begun, once there is everything."""
    errand: str = ""

    def person(self, running: Any, language: str, width: int = 1280, **more: Any) -> Any:
        """A page of somebody signed in; its `troubles` are what the browser complained of."""
        context = running.new_context(
            locale=language, viewport={"width": width, "height": 900}, **more
        )
        page = context.new_page()
        page.troubles = []
        page.on("console", lambda m: page.troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(f"{self.url}/login")
        page.fill("#id_username", NAME)
        page.fill("#id_password", PASSWORD)
        page.click("main button[type=submit]")
        page.wait_for_selector("nav.parts")
        return page


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """Serve it, until left."""
    template = folder / "template.sqlite3"
    open_store(template, clock=lambda: START, key=KEY).close()
    selling = make_selling(folder, template)
    selling.pair.store.clock = now
    desks = at_the_desk(selling.pair)
    desk = next(desks)
    try:
        fill(desk)
        with _served() as url:
            yield House(desk, selling, url)
    finally:
        next(desks, None)


@contextmanager
def _served() -> Iterator[str]:
    from django.core.wsgi import get_wsgi_application
    from waitress import create_server

    server: Any = create_server(get_wsgi_application(), host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, name="house", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()
        thread.join(10)


def fill(desk: Desk) -> None:
    """A customer who bought and paid over two years, and owes something."""
    store = desk.pair.store
    today = now().date()
    known = Customer.objects.filter(crm_id=desk.crm).first()
    row = known or Customer(crm_id=desk.crm, name="Muster AG")
    row.erp_id, row.number, row.currency = desk.erp, "K1", "EUR"
    row.region, row.salesperson, row.country = "DE 5", "Paul", "DE"
    row.name_key, row.search = name_key(row.name), searchable([row.name, "K1"])
    store.seen.put_customers([row])
    bills, sales = [], []
    for back in range(0, 660, 33):
        day = today - timedelta(days=back)
        bills.append(_bill(desk.erp, back, day, unpaid=back < 100))
        sales.append(_sale(desk.erp, back, day))
    store.seen.put_bills(bills)
    store.seen.put_sales(sales)
    store.seen.put_articles(
        [Article(record="1", code="A1", name="Schraube", price=Decimal("411.5"), read_at=now())]
    )
    store.figures.reckon(today)
    store.figures.overview(today)


def _bill(party: str, back: int, day: date, *, unpaid: bool) -> tuple[Bill, list[BillLine]]:
    net = Decimal(1000 + back)
    gross = net * Decimal("1.19")
    row = Bill(
        party=party, record=f"{back}", number=f"RE{back}", currency="EUR", read_at=now(),
        state="posted" if unpaid else "paid", counted=True, day=day, due=day + timedelta(days=30),
        net=net, gross=gross, open=gross if unpaid else Decimal(0), sales=[f"{back}"],
    )  # fmt: skip
    return row, [BillLine(position=1, item="A1", name="Schraube", quantity=3, net=net)]


def _sale(party: str, back: int, day: date) -> tuple[Sale, list[SaleLine]]:
    net = Decimal(1000 + back)
    row = Sale(
        side="erp", kind="order", resource="sale.sale", record=f"{back}", number=f"SO{back}",
        state="delivered", payment="paid", day=day, net=net, gross=net * Decimal("1.19"),
        backlog=Decimal(0), party=party, currency="EUR", read_at=now(),
    )  # fmt: skip
    line = SaleLine(
        position=1, item="A1", name="Schraube", ordered=3, delivered=3, open=0, net=net,
        status="shipped", unit="C62",
    )  # fmt: skip
    return row, [line]
