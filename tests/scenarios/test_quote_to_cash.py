"""From the quote in Creme to the paid, credited or dunned invoice in Tryton, and back again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from koppel import config
from koppel.connectors.base import Record
from koppel.errors import NeedsUser
from koppel.processes.orders import Orders
from koppel.processes.views import link_view, order_view
from koppel.testing.chaos import Call, FaultProxy
from lab.tryton_sales_human import TrytonSalesHuman, today
from tests.scenarios.real import PARTY
from tests.scenarios.real_orders import QUOTE, RealSales
from tests.scenarios.selling import A_CLERK_CONFIRMS, ONLY_A_DRAFT

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("sales")]

TODAY = today()


@pytest.fixture(scope="module")
def clerk(selling: RealSales) -> Iterator[TrytonSalesHuman]:
    human = TrytonSalesHuman.admin(selling.pair.tryton)
    yield human
    human.close()


@pytest.fixture(scope="module")
def proxy(selling: RealSales) -> Iterator[FaultProxy]:
    with FaultProxy(selling.pair.tryton.url) as running:
        yield running


@pytest.fixture(scope="module")
def orders(selling: RealSales) -> Orders:
    return selling.orders()


@pytest.fixture
def later(selling: RealSales) -> Iterator[list[timedelta]]:
    """How far Koppel's clock is ahead of the world's; nothing at first."""
    ahead = [timedelta()]
    selling.open(lambda: config.now() + ahead[0])
    yield ahead
    selling.open()


def handed_over(selling: RealSales, orders: Orders, quote: str) -> Record:
    row = orders.transfer(QUOTE, quote, user="clara")
    assert (row.state, row.why) == ("done", "")
    (sale,) = selling.sales_of(quote)
    return sale


def seen(selling: RealSales, orders: Orders, quote: str) -> dict[str, Any]:
    """What the block on the quote's page shows after the next look at the ERP."""
    orders.watch.poll_erp()
    return order_view(selling.store, QUOTE, quote)


def document(selling: RealSales, quote: str) -> Record:
    found = selling.crm.fetch(QUOTE, [quote])[quote]
    assert isinstance(found, Record)
    return found


def amounts(view: dict[str, Any], *names: str) -> list[list[Any]]:
    return [[line[name] for name in names] for line in view["lines"]]


def test_a_quote_is_followed_until_it_is_paid(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    quote = selling.quote(selling.line(0, "4"), selling.line(1, "2", discount="5"))
    sale = handed_over(selling, orders, quote)
    clerk.plan(sale.id, TODAY + timedelta(days=9))
    view = seen(selling, orders, quote)
    assert (view["state"], view["payment"]) == ("confirmed", "none")
    assert [one[0] for one in amounts(view, "planned")] == [TODAY + timedelta(days=9)] * 2
    clerk.ship(sale.id)
    view = seen(selling, orders, quote)
    assert view["state"] == "delivered"
    assert amounts(view, "delivered", "open", "delivered_on") == [
        [Decimal(4), Decimal(0), TODAY], [Decimal(2), Decimal(0), TODAY],
    ]  # fmt: skip
    assert [one["delivered"] for one in view["shipments"]] == [TODAY]
    invoice = clerk.invoice(sale.id)
    (told,) = seen(selling, orders, quote)["invoices"]
    gross = document(selling, quote).fields["total_vat"]
    assert (told["gross"], told["open"], told["status"]) == (gross, gross, "open")
    assert told["net"] + told["tax"] == told["gross"]
    assert told["number"]
    clerk.pay(invoice, Decimal("10.00"))
    (told,) = seen(selling, orders, quote)["invoices"]
    assert (told["open"], told["status"]) == (gross - 10, "partial")
    clerk.pay(invoice)
    view = seen(selling, orders, quote)
    assert (view["state"], view["payment"]) == ("paid", "paid")


def test_a_clerk_confirms_where_the_process_map_says_so(
    selling: RealSales, clerk: TrytonSalesHuman
) -> None:
    with selling.settings(A_CLERK_CONFIRMS):
        orders = selling.orders()
        quote = selling.quote()
        row = orders.transfer(QUOTE, quote, user="clara")
        assert (row.state, row.why) == ("done", "")
        (sale,) = selling.sales_of(quote)
        assert (sale.fields["state"], sale.fields["shipments"]) == ("quotation", [])
        view = seen(selling, orders, quote)
        assert (view["state"], view["erp_number"]) == ("quoted", sale.fields["number"])
        clerk.confirm(sale.id)
        assert seen(selling, orders, quote)["state"] == "confirmed"
    with selling.settings(('order = "koppel"', 'order = "erp"')):
        with pytest.raises(NeedsUser, match="orders are entered in the ERP here"):
            selling.orders().transfer(QUOTE, other := selling.quote(), user="clara")
        assert selling.sales_of(other) == []


def test_a_product_out_of_trade_is_refused_in_a_sentence_and_leaves_nothing_behind(
    selling: RealSales, clerk: TrytonSalesHuman
) -> None:
    code = f"OUT-{uuid.uuid4().hex[:6]}"
    product = clerk.add_product(code, Decimal("5.00"))
    selling.know(code)
    line = {**selling.line(0, "1", price="5.00", vat="19"), "product_code": code}
    quote = selling.quote(selling.line(1, "2"), line)
    clerk.stop_selling(product)
    row = selling.orders().transfer(QUOTE, quote, user="clara")
    assert row.state == "held"
    assert row.why.startswith("The ERP does not sell a product of this order: Line 2")
    assert "Who keeps the products can release it" in row.remedy
    assert selling.sales_of(quote) == []


def test_an_edit_of_a_confirmed_order_is_put_back_where_the_settings_say_so(
    selling: RealSales,
) -> None:
    with selling.settings(('late_change = "request"', 'late_change = "put_back"')):
        orders = selling.orders()
        orders.poll()
        quote = selling.quote(selling.line(0, "2"))
        sale = handed_over(selling, orders, quote)
        selling.edited(QUOTE, quote, {"lines": [selling.line(0, "9")]})
        orders.poll()
        (message,) = order_view(selling.store, QUOTE, quote)["messages"]
        assert message.startswith("Put back, the ERP owns the order")
        (line,) = document(selling, quote).fields["lines"]
        assert (line["product_code"], line["quantity"]) == (
            selling.products[0]["code"], Decimal(2),
        )  # fmt: skip
        assert document(selling, quote).fields["total_vat"] == sale.fields["total_amount"]


def test_partial_deliveries_are_invoiced_in_parts_and_shown_line_by_line(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    quote = selling.quote(selling.line(0, "10"), selling.line(1, "6"))
    with selling.settings(*ONLY_A_DRAFT):
        sale = handed_over(selling, selling.orders(), quote)
    clerk.invoice_what_is_delivered(sale.id)
    clerk.quote(sale.id)
    clerk.confirm(sale.id)
    first, second = clerk.record(sale.id).fields["lines"]
    clerk.ship(sale.id, {first["id"]: Decimal(4), second["id"]: Decimal(6)})
    clerk.invoice(sale.id)
    view = seen(selling, orders, quote)
    assert view["state"] == "partly delivered"
    assert amounts(view, "ordered", "delivered", "open", "invoiced", "status") == [
        [Decimal(10), Decimal(4), Decimal(6), Decimal(4), "partly shipped"],
        [Decimal(6), Decimal(6), Decimal(0), Decimal(6), "invoiced"],
    ]
    clerk.ship(sale.id)
    clerk.invoice(sale.id)
    view = seen(selling, orders, quote)
    assert amounts(view, "open", "invoiced", "status") == [
        [Decimal(0), Decimal(10), "invoiced"], [Decimal(0), Decimal(6), "invoiced"],
    ]  # fmt: skip
    assert len(view["invoices"]) == len(view["shipments"]) == 2
    assert sum(one["net"] for one in view["invoices"]) == sale.fields["untaxed_amount"]


def test_a_credit_note_is_shown_beside_the_invoice_that_it_credits(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    quote = selling.quote()
    sale = handed_over(selling, orders, quote)
    clerk.credit(clerk.invoice(sale.id), settle=False)
    invoice, credit = seen(selling, orders, quote)["invoices"]
    assert (invoice["type"], credit["type"]) == ("invoice", "credit_note")
    assert [credit[name] for name in ("net", "tax", "gross")] == [
        -invoice[name] for name in ("net", "tax", "gross")
    ]
    assert credit["number"]
    assert credit["number"] != invoice["number"]


def test_an_invoice_becomes_overdue_by_the_calendar_and_is_dunned(
    selling: RealSales,
    orders: Orders,
    clerk: TrytonSalesHuman,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quote = selling.quote()
    sale = handed_over(selling, orders, quote)
    clerk.let_dun(sale.fields["party"])
    clerk.invoice(sale.id)
    (told,) = seen(selling, orders, quote)["invoices"]
    assert told["status"] == "open"
    assert told["due"] >= TODAY
    late = told["due"] - TODAY + timedelta(days=30)
    with monkeypatch.context() as clock:
        # Nobody writes anything: the day alone makes it so.
        clock.setattr(selling.store, "clock", lambda: config.now() + late)
        view = order_view(selling.store, QUOTE, quote)
        assert (view["payment"], view["invoices"][0]["status"]) == ("overdue", "overdue")
    clerk.dun(TODAY + late)
    clerk.dun(TODAY + late)
    assert seen(selling, orders, quote)["dunning"]["level"] == 2
    held = orders.transfer(QUOTE, selling.quote(target=document(selling, quote).fields["target"]),
                           user="clara")  # fmt: skip
    assert (held.state, "reminder of level 2" in held.why) == ("held", True)


def test_seven_lines_at_three_rates_with_a_discount_on_the_order_agree_to_the_cent(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    lines = []
    for number, rate in enumerate(("19", "7", "0", "19", "7", "0", "19"), 1):
        code, price = f"R-{uuid.uuid4().hex[:6]}", Decimal(f"{number * 3}.33")
        clerk.add_product(code, price, tax=f"Goods {rate} %")
        lines.append({
            "product_code": code, "quantity": Decimal(f"{number}"), "unit_price": price,
            "discount": Decimal("2.50"), "discount_unit": "percent", "vat": Decimal(f"{rate}.00"),
        })  # fmt: skip
    selling.know(*(line["product_code"] for line in lines))
    quote = selling.quote(*lines, discount=Decimal("3.75"))
    sale = handed_over(selling, orders, quote)
    crm = document(selling, quote).fields
    assert sale.fields["untaxed_amount"] == crm["total_no_vat"]
    view = order_view(selling.store, QUOTE, quote)
    difference = sale.fields["total_amount"] - crm["total_vat"]
    assert bool(difference) == any("rounds line by line" in one for one in view["messages"])
    assert abs(difference) <= Decimal("0.03")


def test_tax_that_creme_rounds_otherwise_is_taken_with_a_notice_or_held_where_one_is_strict(
    selling: RealSales, orders: Orders
) -> None:
    lines = [selling.line(0, "1", price="0.03") for _ in range(2)]
    quote = selling.quote(*lines)
    with selling.settings(('tax_rounding = "proved"', 'tax_rounding = "hold"')):
        row = selling.orders().transfer(QUOTE, quote, user="clara")
        assert row.state == "held"
        assert selling.sales_of(quote) == []
    row = selling.orders().retry(row.id, user="clara")
    assert (row.state, row.why) == ("done", "")
    (sale,) = selling.sales_of(quote)
    assert sale.fields["untaxed_amount"] == document(selling, quote).fields["total_no_vat"]
    (notice,) = order_view(selling.store, QUOTE, quote)["messages"]
    assert notice.startswith("The tax is 0.02 EUR in the CRM and 0.01 in the ERP, which counts")


def test_an_order_in_francs_is_handed_over_and_invoiced_in_francs(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    target = selling.prospect(
        address="Bahnhofstrasse 1", zipcode="8001", city="Zürich", country="Switzerland"
    )
    quote = selling.quote(
        selling.line(0, "3", price="117.45", discount="3"), selling.line(1, "2", price="9.39"),
        target=target, currency="CHF",
    )  # fmt: skip
    sale = handed_over(selling, orders, quote)
    crm = document(selling, quote).fields
    assert sale.fields["currency"] == "CHF"
    assert sale.fields["untaxed_amount"] == crm["total_no_vat"]
    clerk.ship(sale.id)
    clerk.pay(clerk.invoice(sale.id))
    view = seen(selling, orders, quote)
    assert (view["currency"], view["state"]) == ("CHF", "paid")
    assert view["invoices"][0]["gross"] == sale.fields["total_amount"]


def test_a_change_of_the_clerk_is_shown_in_the_crm(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    quote = selling.quote(selling.line(0, "2"))
    with selling.settings(*ONLY_A_DRAFT):
        sale = handed_over(selling, selling.orders(), quote)
    (line,) = sale.fields["lines"]
    clerk.edit("sale.sale", sale.id, {"lines": [{"id": line["id"], "quantity": Decimal(7)}]})
    view = seen(selling, orders, quote)
    assert amounts(view, "ordered") == [[Decimal(7)]]
    # Both have changed the draft: the clerk's word stands, the edit is a request.
    orders.poll()
    selling.edited(QUOTE, quote, {"lines": [selling.line(0, "3")]})
    clerk.quote(sale.id)
    orders.poll()
    view = order_view(selling.store, QUOTE, quote)
    assert amounts(view, "ordered") == [[Decimal(7)]]
    assert view["messages"][0].startswith("Change request")


def test_an_erp_that_is_away_for_a_day_gets_the_order_once_when_it_is_back(
    selling: RealSales, proxy: FaultProxy, later: list[timedelta]
) -> None:
    quote = selling.quote()
    away = selling.orders(settings={"url": proxy.url})
    with proxy.fault("refuse"):
        row = away.transfer(QUOTE, quote, user="clara")
        assert row.state == "waiting"
        for hours in (6, 12, 18, 24):
            later[0] = timedelta(hours=hours)
            assert [one.id for one in away.run_due()] == [row.id]
            row = selling.store.processes.get(row.id)
            assert row.state == "waiting"
            assert row.why
        assert selling.sales_of(quote) == []
    later[0] = timedelta(hours=25)
    (row,) = away.run_due()
    assert (row.state, row.why) == ("done", "")
    assert len(selling.sales_of(quote)) == 1
    assert away.run_due() == []


@pytest.mark.parametrize("call", ["koppel_transfer", "quote", "confirm"])
def test_a_reply_that_is_lost_after_the_commit_makes_one_order(
    selling: RealSales, proxy: FaultProxy, call: str
) -> None:
    wanted = call.encode()

    def changes(one: Call) -> bool:
        return wanted in one.body and b"sale.sale.koppel_" in one.body

    quote = selling.quote()
    with proxy.fault("drop_reply", match=changes) as fault:
        orders = selling.orders(settings={"url": proxy.url})
        row = orders.transfer(QUOTE, quote, user="clara")
    assert fault.hits == 1
    if row.state == "waiting":
        row = orders.retry(row.id, user="clara")
    assert (row.state, row.why) == ("done", "")
    (sale,) = selling.sales_of(quote)
    assert sale.fields["state"] == "processing"
    assert sale.fields["untaxed_amount"] == document(selling, quote).fields["total_no_vat"]


def test_an_order_entered_in_the_erp_is_shown_with_the_same_detail(
    selling: RealSales, orders: Orders, clerk: TrytonSalesHuman
) -> None:
    quote = selling.quote()
    party = handed_over(selling, orders, quote).fields["party"]
    number = clerk.create("sale.sale", {
        "party": party,
        "lines": [{"product_code": selling.products[0]["code"], "quantity": Decimal(5)},
                  {"product_code": selling.products[1]["code"], "quantity": Decimal(2)}],
    })  # fmt: skip
    clerk.quote(number)
    clerk.confirm(number)
    line = clerk.record(number).fields["lines"][0]["id"]
    clerk.ship(number, {line: Decimal(3)})
    clerk.invoice(number)
    orders.watch.poll_erp()
    (link,) = [one for one in selling.store.orders.of_party(party) if one.erp_id == number]
    assert (link.state, link.crm_id) == ("partly delivered", None)
    view = link_view(selling.store, link)
    assert view["erp_number"] == clerk.record(number).fields["number"]
    assert amounts(view, "ordered", "delivered", "open") == [
        [Decimal(5), Decimal(3), Decimal(2)], [Decimal(2), Decimal(0), Decimal(2)],
    ]  # fmt: skip
    assert len(view["invoices"]) == 1
    assert view["shipments"]


def test_a_price_far_from_the_erps_own_is_held_and_explained(selling: RealSales) -> None:
    rule = '\n[[incoming]]\nname = "Odd prices"\ndecision = "hold"\nprice_difference_over = 10\n'
    lines = (selling.line(0, "2"), selling.line(1, "1", discount="25"))
    with selling.settings(("[values.payment_terms]", f"{rule}\n[values.payment_terms]")):
        fair = selling.orders().transfer(QUOTE, selling.quote(lines[0]), user="clara")
        assert (fair.state, fair.why) == ("done", "")
        row = selling.orders().transfer(QUOTE, selling.quote(*lines), user="clara")
    code = selling.products[1]["code"]
    assert row.state == "held"
    assert f"the rule 'Odd prices' holds the order: the price of {code} is" in row.why
    assert "25 % below the ERP's" in row.why
    log = [one.text for one in selling.store.processes.entries(row)]
    assert any(one.startswith(f"The price of {code} is") for one in log)
    assert any(one.startswith("Decision: hold") for one in log)


def test_the_contact_receives_the_invoice_and_the_goods_go_to_the_delivery_address(
    selling: RealSales, orders: Orders
) -> None:
    target = selling.prospect()
    contact = selling.made("persons.contact", {
        "first_name": "Petra", "last_name": f"Sommer {uuid.uuid4().hex[:5]}",
        "employer": target, "email": f"petra.{uuid.uuid4().hex[:6]}@example.com",
    })  # fmt: skip
    place = {"name": "Shipping address", "address": "Hafenweg 12", "zipcode": "20457",
             "city": "Hamburg", "country": "Germany"}  # fmt: skip
    quote = selling.made(QUOTE, {
        "name": "For Petra", "target_contact": contact, "currency": "EUR", "issuing_date": TODAY,
        "lines": [selling.line(0, "1")], "shipping_address": place, "comment": "Ring twice.",
        "billing_address": {"name": "Billing address", "address": "Ringstraße 7",
                            "zipcode": "50667", "city": "Köln", "country": "Germany"},
    })  # fmt: skip
    sale = handed_over(selling, orders, quote)
    party = selling.erp.fetch(PARTY, [sale.fields["party"]])[sale.fields["party"]]
    assert isinstance(party, Record)
    address = {str(one["id"]): one for one in party.fields["addresses"]}
    assert address[sale.fields["shipment_address"]]["city"] == "Hamburg"
    assert address[sale.fields["invoice_address"]]["city"] == "Köln"
    assert "Petra Sommer" in (sale.fields["comment"] or "") or sale.fields["contact"]
    assert "Ring twice." in sale.fields["comment"]


def test_people_in_the_erp_see_where_a_sale_and_its_customer_come_from(
    selling: RealSales,
) -> None:
    quote = selling.quote()
    with selling.settings(
        ("partner = false", "partner = true"), ('url = ""', 'url = "https://koppel.example"')
    ):
        orders = selling.orders()
        orders.poll()
        sale = handed_over(selling, orders, quote)
        row = selling.store.processes.latest("order_transfer", f"{QUOTE}/{quote}")
        assert row is not None
        crm = document(selling, quote).fields
        assert sale.fields["koppel_crm_source"].startswith(crm["number"])
        assert row.trace in sale.fields["koppel_crm_source"]
        assert sale.fields["koppel_crm_url"] == f"https://koppel.example/processes/{row.id}"
        assert "clara" in sale.fields["koppel_crm_activity"]
        orders.poll()
        party = selling.erp.fetch(PARTY, [sale.fields["party"]])[sale.fields["party"]]
        assert isinstance(party, Record)
        assert party.fields["koppel_crm_owner"] == sale.fields["koppel_crm_owner"]
        assert f"persons.organisation {crm['target']}" in party.fields["koppel_crm_source"]
        assert sale.fields["number"] in party.fields["koppel_crm_activity"]
        assert party.fields["koppel_crm_url"].startswith("https://koppel.example/couplings/")
        assert orders.faces.poll() == 0


def record_of(selling: RealSales, resource: str, number: str) -> Record:
    """The CRM's record of a document of the ERP; there is one."""
    (found,) = selling.crm.find(resource, {"number": number})
    return found


def status_in_creme(selling: RealSales, record: Record) -> str:
    described = {one.name: one for one in selling.crm.describe()}[record.resource]
    info = described.field("status")
    assert info is not None
    return str({one.value: one.label for one in info.choices}[record.fields["status"]])


def test_documents_of_the_erp_become_records_of_the_crm_that_belong_to_the_erp(
    selling: RealSales, clerk: TrytonSalesHuman
) -> None:
    # 10 % off 9.99 needs four decimals, and amounts of three cents another cent of tax.
    lines = [selling.line(0, "1", price="0.03"), selling.line(1, "3", price="9.99", discount="10")]
    quote = selling.quote(*lines, selling.line(0, "1", price="0.03"))
    kept = [(f"\n{name} = false", f"\n{name} = true") for name in
            ("order", "invoice", "credit_note")]  # fmt: skip
    with selling.settings(*kept):
        orders = selling.orders()
        orders.poll()
        sale = handed_over(selling, orders, quote)
        order = record_of(selling, "billing.salesorder", sale.fields["number"])
        invoice_id = clerk.invoice(sale.id)
        orders.poll()
        (told,) = order_view(selling.store, QUOTE, quote)["invoices"]
        invoice = record_of(selling, "billing.invoice", told["number"])
        for one in (order, invoice):
            assert one.fields["total_no_vat"] == sale.fields["untaxed_amount"]
            assert one.fields["total_vat"] == sale.fields["total_amount"]
            assert one.fields["made_from"] == quote
            assert one.fields["target"] == document(selling, quote).fields["target"]
        assert invoice.fields["issuing_date"] == TODAY
        assert invoice.fields["expiration_date"] == told["due"]
        assert status_in_creme(selling, invoice) == "Sent"
        # Nothing has changed, so nothing is written.
        orders.poll()
        orders.watch.refresh([sale.id])
        again = record_of(selling, "billing.invoice", told["number"])
        assert again.version == invoice.version
        # The ERP owns it: an edit is put back.
        selling.edited("billing.invoice", invoice.id, {"comment": "mine", "lines": []})
        orders.poll()
        again = record_of(selling, "billing.invoice", told["number"])
        assert (again.id, again.fields["total_vat"]) == (invoice.id, sale.fields["total_amount"])
        assert any("was put back" in one.subject for one in selling.store.inbox.events(20))
        # What follows in the ERP follows here.
        clerk.credit(invoice_id)
        orders.poll()
        _paid, credit = order_view(selling.store, QUOTE, quote)["invoices"]
        note = record_of(selling, "billing.creditnote", credit["number"])
        assert note.fields["total_vat"] == -credit["gross"] == sale.fields["total_amount"]
        assert status_in_creme(selling, note) == "Consumed"
        # The record shows the ERP's order, and is not handed over a second time.
        view = order_view(selling.store, "billing.salesorder", order.id)
        assert view["erp_number"] == sale.fields["number"]
        pressed = orders.transfer("billing.salesorder", order.id, user="clara")
        assert (pressed.state, "nothing to hand over" in pressed.why) == ("cancelled", True)
