"""Sales on a real Tryton: handed over whole or not at all, and followed until they are paid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from koppel.connectors.base import Act, Create, Gone, Outcome, Record, Refused, Update, Written
from koppel.connectors.tryton import TrytonConnector
from lab.system import Running
from lab.tryton_sales_human import TrytonSalesHuman, today

SALE = "sale.sale"
TODAY = today()


@pytest.fixture(scope="module")
def clerk(tryton: Running) -> Iterator[TrytonSalesHuman]:
    human = TrytonSalesHuman.admin(tryton)
    yield human
    human.close()


@pytest.fixture(scope="module")
def connector(tryton: Running) -> Iterator[TrytonConnector]:
    made = TrytonConnector(**tryton.koppel, overlap_seconds=5)
    yield made
    made.close()


@pytest.fixture(scope="module")
def product(clerk: TrytonSalesHuman) -> str:
    return clerk.add_product(f"A-{uuid4().hex[:6]}", Decimal("9.99"))


@pytest.fixture(scope="module")
def book(clerk: TrytonSalesHuman) -> str:
    return clerk.add_product(f"B-{uuid4().hex[:6]}", Decimal("12.50"), tax="Goods 7 %")


@pytest.fixture
def customer(clerk: TrytonSalesHuman) -> str:
    fields = {"name": f"Kunde {uuid4().hex[:6]}", "addresses": [{"street": "Kai 3"}]}
    return clerk.people.create("party.party", fields)


@pytest.fixture
def order(customer: str, product: str, book: str) -> dict[str, Any]:
    return {
        "party": customer,
        "reference": "Q-2026-77",
        "payment_term": "net 14",
        "shipping_date": TODAY + timedelta(days=14),
        "lines": [
            {"product": product, "quantity": Decimal(10), "discount_rate": Decimal("0.1")},
            {"product": book, "quantity": Decimal(3)},
            {"type": "comment", "description": "Packed together, please"},
            {"description": "Freight", "quantity": Decimal(1), "unit_price": Decimal("19.00")},
        ],
    }


def made(connector: TrytonConnector, fields: dict[str, Any], key: str = "") -> Outcome:
    write = Create(resource=SALE, key=key or f"test-{uuid4()}", fields=fields)
    return connector.write([write])[0]


def record(outcome: Outcome) -> Record:
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record)
    return outcome.after


def act(connector: TrytonConnector, sale: Record, action: str, **fields: Any) -> Outcome:
    write = Act(
        resource=SALE, key="", id=sale.id, action=action, expected=sale.version, fields=fields
    )
    return connector.write([write])[0]


def now(connector: TrytonConnector, sale: str) -> dict[str, Any]:
    found = connector.fetch(SALE, [sale])[sale]
    assert isinstance(found, Record)
    return found.fields


@pytest.fixture
def confirmed(connector: TrytonConnector, clerk: TrytonSalesHuman, order: dict[str, Any]) -> Record:
    sale = record(made(connector, order))
    clerk.quote(sale.id)
    clerk.confirm(sale.id)
    found = connector.fetch(SALE, [sale.id])[sale.id]
    assert isinstance(found, Record)
    return found


def test_an_order_gets_the_prices_units_taxes_and_totals_of_the_erp(
    connector: TrytonConnector, order: dict[str, Any]
) -> None:
    fields = record(made(connector, order)).fields
    one, two, remark, freight = fields["lines"]
    assert (one["unit"], one["base_price"], one["unit_price"]) == (
        "C62", Decimal("9.9900"), Decimal("8.9910"),
    )  # fmt: skip
    assert [one["amount"], two["amount"], freight["amount"]] == [
        Decimal("89.91"), Decimal("37.50"), Decimal("19.00"),
    ]  # fmt: skip
    assert remark["type"] == "comment"
    # Tryton rounds half to even: 7 % of 37.50 are 2.62, not 2.63.
    assert {tax["rate"]: tax["amount"] for tax in fields["taxes"]} == {
        Decimal("0.19"): Decimal("17.08"), Decimal("0.07"): Decimal("2.62"),
    }  # fmt: skip
    assert fields["total_amount"] == fields["untaxed_amount"] + fields["tax_amount"]


def test_a_cent_of_difference_leaves_no_order_behind(
    connector: TrytonConnector, order: dict[str, Any]
) -> None:
    reckoned = connector.compare_order(order)
    key = f"test-{uuid4()}"
    wrong = {**order, "total_amount": reckoned.total_amount + Decimal("0.01")}
    outcome = made(connector, wrong, key)
    assert isinstance(outcome, Refused)
    assert outcome.fields == ("total_amount",)
    assert f"{reckoned.total_amount}" in outcome.message
    assert not connector.find(SALE, {"koppel_key": key})
    right = {**order, "total_amount": reckoned.total_amount}
    assert record(made(connector, right, key)).fields["koppel_key"] == key


def test_a_comparison_keeps_nothing(connector: TrytonConnector, order: dict[str, Any]) -> None:
    before = connector.ids(SALE).items
    comparison = connector.compare_order(order)
    assert connector.ids(SALE).items == before
    assert [line.amount for line in comparison.lines][:2] == [Decimal("89.91"), Decimal("37.50")]


@pytest.mark.parametrize(
    ("trouble", "told"), [("none", "has no price"), ("stopped", "is discontinued")]
)
def test_the_erps_refusal_is_a_sentence(
    connector: TrytonConnector, clerk: TrytonSalesHuman, customer: str, trouble: str, told: str
) -> None:
    price = None if trouble == "none" else Decimal(5)
    product = clerk.add_product(f"C-{uuid4().hex[:6]}", price)
    if trouble == "stopped":
        clerk.stop_selling(product)
    lines = [{"product": product, "quantity": Decimal(1)}]
    outcome = made(connector, {"party": customer, "lines": lines})
    assert isinstance(outcome, Refused)
    assert told in outcome.message
    assert outcome.fields == ("lines",)


def test_a_credit_limit_holds_the_confirmation_until_somebody_accepts_it(
    connector: TrytonConnector, clerk: TrytonSalesHuman, customer: str, order: dict[str, Any]
) -> None:
    clerk.limit_credit(customer, Decimal(5))
    sale = record(act(connector, record(made(connector, order)), "quote"))
    refused = act(connector, sale, "confirm")
    assert isinstance(refused, Refused)
    assert "credit limit" in refused.message
    assert refused.fields == ("accept:credit_limit_amount",)
    assert now(connector, sale.id)["state"] == "quotation"
    done = record(act(connector, sale, "confirm", accept=["credit_limit_amount"]))
    assert done.fields["state"] == "processing"


def test_an_action_out_of_turn_and_a_stale_one_are_refused(
    connector: TrytonConnector, clerk: TrytonSalesHuman, order: dict[str, Any]
) -> None:
    sale = record(made(connector, order))
    early = act(connector, sale, "confirm")
    assert isinstance(early, Refused)
    assert early.reason == "invalid"
    clerk.edit_child(SALE, sale.id)
    stale = act(connector, sale, "quote")
    assert isinstance(stale, Refused)
    assert stale.reason == "stale"


def test_a_confirmed_sale_takes_no_other_lines_but_what_the_crm_says_of_it(
    connector: TrytonConnector, confirmed: Record
) -> None:
    def update(fields: dict[str, Any]) -> Outcome:
        write = Update(resource=SALE, key="", id=confirmed.id, expected=None, fields=fields)
        return connector.write([write])[0]

    refused = update({"lines": []})
    assert isinstance(refused, Refused)
    assert refused.reason == "locked"
    told = record(update({"koppel_crm_owner": "Petra Sommer"}))
    assert told.fields["koppel_crm_owner"] == "Petra Sommer"


def test_partial_deliveries_show_in_each_line(
    connector: TrytonConnector, clerk: TrytonSalesHuman, confirmed: Record
) -> None:
    first, second = confirmed.fields["lines"][:2]
    cursor = connector.now(SALE)
    clerk.plan(confirmed.id, TODAY + timedelta(days=30))
    assert now(connector, confirmed.id)["lines"][0]["planned_date"] == TODAY + timedelta(days=30)
    clerk.ship(confirmed.id, {first["id"]: Decimal(4)})
    seen = now(connector, confirmed.id)
    assert seen["shipment_state"] == "partially shipped"
    line, other = seen["lines"][:2]
    assert (line["quantity_shipped"], line["quantity_open"]) == (Decimal(4), Decimal(6))
    assert (line["status"], other["status"]) == ("partly shipped", "confirmed")
    assert line["effective_date"] == TODAY
    assert confirmed.id in [one.id for one in connector.changes(SALE, cursor, 100).changes]
    clerk.ship(confirmed.id)
    assert [one["quantity_open"] for one in now(connector, confirmed.id)["lines"][:2]] == [0, 0]
    assert second["id"] == other["id"]


def test_an_invoice_is_followed_from_open_to_paid(
    connector: TrytonConnector, clerk: TrytonSalesHuman, confirmed: Record
) -> None:
    versions = set()

    def status() -> str:
        found = connector.fetch(SALE, [confirmed.id])[confirmed.id]
        assert isinstance(found, Record)
        versions.add(found.version)
        return str(found.fields["payment_status"])

    assert status() == "none"
    invoice = clerk.invoice(confirmed.id)
    assert status() == "open"
    clerk.pay(invoice, Decimal(20))
    assert status() == "partial"
    clerk.pay(invoice)
    assert status() == "paid"
    assert len(versions) == 4
    told = connector.fetch("account.invoice", [invoice])[invoice]
    assert isinstance(told, Record)
    assert told.fields["sales"] == [confirmed.id]
    assert told.fields["due_date"] == TODAY + timedelta(days=14)
    paper = connector.invoice_document(invoice)
    assert paper.content
    assert paper.name.endswith((".odt", ".pdf"))


@pytest.mark.parametrize("settle", [True, False])
def test_a_credit_note_belongs_to_the_sale(
    connector: TrytonConnector, clerk: TrytonSalesHuman, confirmed: Record, settle: bool
) -> None:
    invoice = clerk.invoice(confirmed.id)
    before = connector.fetch(SALE, [confirmed.id])[confirmed.id]
    assert isinstance(before, Record)
    credit = clerk.credit(invoice, settle=settle)
    after = connector.fetch(SALE, [confirmed.id])[confirmed.id]
    assert isinstance(after, Record)
    assert after.version != before.version
    kinds = {one["id"]: one["type"] for one in after.fields["invoices"]}
    assert kinds == {invoice: "invoice", credit: "credit_note"}
    note = connector.fetch("account.invoice", [credit])[credit]
    assert isinstance(note, Record)
    assert note.fields["total_amount"] == -before.fields["total_amount"]
    assert note.fields["origin_invoices"] == [invoice]


def test_an_overdue_invoice_is_dunned_level_by_level(
    connector: TrytonConnector, clerk: TrytonSalesHuman, customer: str, confirmed: Record
) -> None:
    clerk.let_dun(customer)
    clerk.invoice(confirmed.id)
    for level in (1, 2):
        clerk.dun(TODAY + timedelta(days=60))
        assert now(connector, confirmed.id)["dunning_level"] == level
    assert connector.party_figures([customer])[customer].dunning_level == 2


def test_a_price_enquiry_answers_in_the_currency_asked_for(
    connector: TrytonConnector, customer: str, product: str
) -> None:
    asked = {"party": customer, "product": product, "quantity": Decimal(5)}
    own = connector.price_enquiry(**asked)
    assert (own.unit_price, own.currency, own.unit) == (Decimal("9.9900"), "EUR", "C62")
    other = connector.price_enquiry(**asked, currency="CHF")
    assert (other.unit_price, other.currency) == (Decimal("9.3906"), "CHF")


def test_unchanged_sales_cost_one_call_per_poll(
    connector: TrytonConnector, confirmed: Record
) -> None:
    cursor = connector.now(SALE)
    before = connector.calls
    connector.changes(SALE, cursor, 1000)
    assert connector.calls - before == 1


def test_products_tell_price_unit_taxes_and_stock(connector: TrytonConnector, product: str) -> None:
    found = connector.fetch("product.product", [product])[product]
    assert isinstance(found, Record)
    fields = found.fields
    assert (fields["list_price"], fields["unit"], fields["salable"]) == (
        Decimal("9.99"), "C62", True,
    )  # fmt: skip
    assert [(tax["rate"], tax["category"]) for tax in fields["taxes"]] == [(Decimal("0.19"), "S")]


def test_what_a_changing_call_answers_is_what_a_read_says(
    connector: TrytonConnector, order: dict[str, Any]
) -> None:
    sale = record(made(connector, order))
    assert connector.fetch(SALE, [sale.id])[sale.id] == sale
    for action, state in (("quote", "quotation"), ("confirm", "processing")):
        sale = record(act(connector, sale, action))
        assert sale.fields["state"] == state
        assert connector.fetch(SALE, [sale.id])[sale.id] == sale
    assert sale.fields["shipments"]
    assert all(line["planned_date"] for line in sale.fields["lines"] if line["product"])


def test_an_order_takes_one_call_for_each_change(
    connector: TrytonConnector, order: dict[str, Any], product: str
) -> None:
    sale = record(made(connector, order))
    before = connector.calls
    sale = record(made(connector, {**order, "lines": order["lines"][:1]}))
    sale = record(act(connector, sale, "quote"))
    record(act(connector, sale, "confirm"))
    assert connector.calls - before == 3


def test_a_sale_that_cannot_be_processed_is_not_confirmed_and_says_why(
    connector: TrytonConnector, clerk: TrytonSalesHuman, customer: str
) -> None:
    product = clerk.add_product(f"E-{uuid4().hex[:6]}", Decimal(5))
    lines = [{"product": product, "quantity": Decimal(1)}]
    draft = record(made(connector, {"party": customer, "lines": lines}))
    sale = record(act(connector, draft, "quote"))
    category = clerk.account_by(product, None)
    outcome = act(connector, sale, "confirm")
    assert isinstance(outcome, Refused)
    assert "Account Category" in outcome.message
    assert now(connector, sale.id)["state"] == "quotation"
    clerk.account_by(product, category)
    assert record(act(connector, sale, "confirm")).fields["state"] == "processing"


def test_a_product_is_found_by_its_code_and_an_unknown_one_is_named(
    connector: TrytonConnector, clerk: TrytonSalesHuman, customer: str
) -> None:
    code = f"D-{uuid4().hex[:6]}"
    product = clerk.add_product(code, Decimal(5))
    lines = [{"product_code": code, "quantity": Decimal(2)}]
    fields = record(made(connector, {"party": customer, "lines": lines})).fields
    assert fields["lines"][0]["product"] == product
    lines.append({"product_code": f"{code}-X", "quantity": Decimal(2)})
    outcome = made(connector, {"party": customer, "lines": lines})
    assert isinstance(outcome, Refused)
    assert outcome.message == f'Line 2: there is no product with the code "{code}-X".'
    assert outcome.fields == ("lines",)


def test_a_customers_standing_is_told_with_its_record_in_one_call(
    connector: TrytonConnector, customer: str
) -> None:
    known = connector.fetch("party.party", [customer])[customer]
    before = connector.calls
    standing = connector.party_standing(customer, credit=True)
    assert connector.calls - before == 1
    assert standing.record == known
    assert (standing.dunning_level, standing.blocked) == (0, False)
    assert standing.exposure == 0
    assert connector.party_standing(customer, credit=False).exposure is None
    assert isinstance(connector.party_standing("999999999", credit=False).record, Gone)
