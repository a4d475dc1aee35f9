"""The signed interface for orders, and the desk behind it, on two memory systems."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from koppel.engine.lines import HINT_SECRET, Lines
from koppel.engine.watch import Watch
from koppel.processes.desk import DeskPace, OrderDesk
from koppel.processes.partner_promotion import couple_by
from koppel.testing.sales import QUOTE
from koppel.web import orders as web_orders
from koppel.web import service
from tests.scenarios.selling import Selling, make_selling

SECRET = "a shared secret"


class Creme:
    """A system that signs what it sends, as the CRM's add-on does."""

    def __init__(self, selling: Selling) -> None:
        self.selling = selling
        self.client = Client(headers={"host": "127.0.0.1"})

    def send(self, method: str, path: str, body: bytes = b"", *, query: str = "") -> Any:
        now = int(self.selling.pair.store.clock().timestamp())
        message = f"{now}.{method} {path}\n".encode() + body
        signature = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
        headers = {"Koppel-Timestamp": str(now), "Koppel-Signature": f"sha256={signature}"}
        call = self.client.post if method == "POST" else self.client.get
        options: dict[str, Any] = (
            {"data": body, "content_type": "application/json"} if method == "POST" else {}
        )
        return call(path + query, headers=headers, **options)

    def press(self, quote: str, user: str = "clara") -> Any:
        body = json.dumps({"user": user}).encode()
        return self.send("POST", f"/api/orders/crm/{QUOTE}/{quote}/transfer", body)

    def order(self, quote: str, query: str = "") -> Any:
        return self.send("GET", f"/api/orders/crm/{QUOTE}/{quote}", query=query).json()


@pytest.fixture
def creme(tmp_path: Path, store_template: Path) -> Iterator[Creme]:
    selling = make_selling(tmp_path, store_template)
    pair = selling.pair
    pair.store.connections.put(
        "crm", side="crm", type="memory", config={"system": "crm"}, secrets={HINT_SECRET: SECRET}
    )
    watch = Watch(pair.engine, pair.store.clock)
    desk = OrderDesk(pair.engine, couple_by(pair.engine()), DeskPace(poll=0.2))
    service.use(
        service.Service(
            store=pair.store,
            lines=Lines(pair.store, pair._connect),
            watch=watch,
            clock=pair.store.clock,
        )
    )
    web_orders.use(desk)
    desk.start()
    yield Creme(selling)
    desk.stop()


def test_the_button_hands_the_order_over_and_the_block_shows_it(creme: Creme) -> None:
    quote = creme.selling.quote()
    answer = creme.press(quote)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["ok"], told["state"], told["erp_number"]) == (True, "done", "S-00001")
    assert creme.press(quote, "paul").json()["erp_number"] == "S-00001"
    assert creme.selling.erp.made == 1
    block = creme.order(quote, "?fresh=1")
    assert (block["state"], block["erp_number"]) == ("confirmed", "S-00001")
    assert Decimal(block["lines"][0]["open"]) == 2
    assert block["age_seconds"] is not None


def test_a_held_order_is_told_with_the_reason(creme: Creme) -> None:
    creme.selling.erp.discontinued.add("P-001")
    quote = creme.selling.quote()
    told = creme.press(quote).json()
    assert (told["ok"], told["state"]) == (False, "held")
    assert told["message"].startswith("The ERP does not sell a product of this order")
    assert creme.order(quote)["messages"]


def test_the_figures_of_a_customer_come_from_its_orders(creme: Creme) -> None:
    creme.press(creme.selling.quote())
    path = f"/api/figures/crm/organisation/{creme.selling.customer}"
    told = creme.send("GET", path).json()
    assert Decimal(told["backlog"]) == Decimal("20.00")
    assert [one["number"] for one in told["orders"]] == ["S-00001"]
    assert creme.send("GET", path.replace("organisation/", "organisation/9")).status_code == 404


def test_a_wrong_signature_hands_nothing_over(creme: Creme) -> None:
    quote = creme.selling.quote()
    path = f"/api/orders/crm/{QUOTE}/{quote}/transfer"
    answer = creme.client.post(path, data=b"{}", content_type="application/json")
    assert answer.status_code == 401
    assert creme.selling.sales() == []
