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
from django.contrib.auth import get_user_model
from django.test import Client

from koppel.connectors.base import Document
from koppel.engine.lines import HINT_SECRET, Lines
from koppel.engine.watch import Watch
from koppel.processes.desk import DeskPace, OrderDesk
from koppel.processes.partner_promotion import couple_by
from koppel.testing.chaos import FaultyConnector
from koppel.testing.sales import QUOTE, SALE
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

    def tell(self, quote: str, what: str, **more: Any) -> Any:
        body = json.dumps({"user": "clara", **more}).encode()
        return self.send("POST", f"/api/orders/crm/{QUOTE}/{quote}/{what}", body)

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


def test_a_held_order_is_tried_again_and_cancelled_over_the_interface(creme: Creme) -> None:
    erp = creme.selling.erp
    erp.credit_limit = Decimal(1)
    quote = creme.selling.quote()
    assert creme.press(quote).json()["state"] == "held"
    told = creme.tell(quote, "retry", accept=["credit_limit_amount"]).json()
    assert (told["ok"], told["erp_number"]) == (True, "S-00001")
    told = creme.tell(quote, "cancel").json()
    assert told["state"] == "cancelled"
    assert creme.selling.sale().fields["state"] == "cancelled"
    again = creme.tell(quote, "retry")
    assert again.status_code == 409
    assert "is cancelled" in again.json()["message"]
    assert creme.tell("99", "cancel").status_code == 404


def test_a_person_decides_on_the_page_of_a_transfer(creme: Creme) -> None:
    creme.selling.erp.credit_limit = Decimal(1)
    store = creme.selling.pair.store
    store.people.add("boss", "a password of five words", ["clerk"])
    process = creme.press(creme.selling.quote()).json()["process"]
    page = Client(headers={"host": "127.0.0.1"})
    page.force_login(get_user_model().objects.get(username="boss"))
    shown = page.get(f"/processes/{process}").content.decode()
    assert "The order exceeds the customer&#x27;s credit limit" in shown
    assert 'name="accept" value="credit_limit_amount"' in shown
    page.post(f"/processes/{process}/retry", {"accept": "credit_limit_amount"})
    row = store.processes.get(process)
    assert (row.state, row.accepted) == ("done", ["credit_limit_amount"])
    assert any("boss tries again" in one.text for one in store.processes.entries(row))
    shown = page.get(f"/processes/{process}").content.decode()
    assert "S-00001" in shown
    assert row.trace in shown
    page.post(f"/processes/{process}/cancel")
    assert store.processes.get(process).state == "cancelled"


def test_an_order_entered_in_the_erp_has_a_page_with_its_invoice_as_printed(
    creme: Creme, monkeypatch: pytest.MonkeyPatch
) -> None:
    selling = creme.selling
    party = next(row.id for row in selling.erp.table("party").order)
    invoice = {
        "number": "R-1", "type": "invoice", "state": "posted", "amount_to_pay": Decimal("11.90"),
        "untaxed_amount": Decimal("10.00"), "tax_amount": Decimal("1.90"),
        "total_amount": Decimal("11.90"),
    }  # fmt: skip
    lines = [{"product_code": "P-001", "quantity": Decimal(1), "unit_price": Decimal("10.00")}]
    row = selling.erp.create(SALE, {"party": party, "lines": lines, "invoices": [invoice]}, "clerk")
    selling.erp.update(SALE, row.id, {"state": "processing"}, "clerk")
    path = f"/api/figures/crm/organisation/{selling.customer}"
    told = creme.send("GET", path, query="?fresh=1").json()
    (link,) = [one["url"] for one in told["orders"]]
    (paper,) = [one["url"] for one in told["invoices"]]
    selling.pair.store.people.add("eve", "a password of five words", ["sales"])
    page = Client(headers={"host": "127.0.0.1"})
    assert page.get(paper).status_code == 302
    page.force_login(get_user_model().objects.get(username="eve"))
    assert "P-001" in page.get(link).content.decode()
    # An ERP that prints nothing says so; one that prints is handed out as a download.
    assert page.get(paper).status_code == 404
    printed = Document(name="Invoice-R-1.odt", media_type="application/x-odt", content=b"paper")
    monkeypatch.setattr(
        FaultyConnector, "invoice_document", lambda self, invoice: printed, raising=False
    )
    answer = page.get(paper)
    assert (answer.status_code, answer.content) == (200, b"paper")
    assert answer.headers["Content-Type"] == "application/x-odt"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="Invoice-R-1.odt"'
    assert page.get(paper.rpartition("/")[0] + "/99").status_code == 404


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
