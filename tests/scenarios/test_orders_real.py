"""Quote to cash on the real Creme and the real Tryton."""

from __future__ import annotations

import threading
from contextlib import suppress
from decimal import Decimal

import pytest

from koppel.connectors.base import Act, Connector, Record, Written
from koppel.errors import Interrupted, KoppelError, NeedsUser
from koppel.processes.views import order_view
from koppel.store.order_models import Process
from koppel.testing.chaos import FaultPlan, FaultyConnector
from tests.scenarios.real import PARTY
from tests.scenarios.real_orders import QUOTE, SALE, RealSales
from tests.scenarios.selling import A_CLERK_CONFIRMS, ONLY_A_DRAFT

CALLS_OF_A_TRANSFER = ["party_standing", "describe", *["write sale.sale"] * 3]
"""What Tryton is asked for an order of a customer it knows: who that is, by new processes once what
it has at all, then the order is made, given a number and confirmed, each answered with the whole
order."""

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("sales")]


def assert_one_whole_order(selling: RealSales, quote: str, where: str = "") -> Record:
    (sale,) = selling.sales_of(quote)
    assert sale.fields["state"] in ("confirmed", "processing", "done"), where
    seen = selling.crm.fetch(QUOTE, [quote])[quote]
    assert isinstance(seen, Record)
    assert seen.fields["erp_number"] == sale.fields["number"], where
    assert sale.fields["untaxed_amount"] == seen.fields["total_no_vat"], where
    assert sale.fields["total_amount"] == seen.fields["total_vat"], where
    lines = [one for one in sale.fields["lines"] if one["type"] == "line"]
    assert len(lines) == len(seen.fields["lines"]), where
    return sale


def until_done(selling: RealSales, quote: str) -> Process:
    for _ in range(6):
        orders = selling.orders()
        row = orders.begin(QUOTE, quote, user="clara")
        if row.state == "done":
            return row
        with suppress(KoppelError):
            orders.go_on(row.id)
    raise AssertionError(f"the order does not arrive: {row.state}, {row.step}, {row.why}")


def test_a_quote_of_a_prospect_becomes_an_order_of_a_customer_to_the_cent(
    selling: RealSales,
) -> None:
    quote = selling.quote(
        selling.line(0, "3", discount="10"),
        selling.line(1, "2"),
        {"on_the_fly_item": "Freight", "quantity": Decimal(1), "unit_price": Decimal("58.90"),
         "vat": Decimal("19.00")},
        customer_reference="PO-4711",
    )  # fmt: skip
    row = selling.orders().transfer(QUOTE, quote, user="clara")
    assert (row.state, row.why) == ("done", "")
    sale = assert_one_whole_order(selling, quote)
    assert sale.fields["reference"] == "PO-4711"
    party = selling.erp.fetch(PARTY, [sale.fields["party"]])[sale.fields["party"]]
    assert isinstance(party, Record)
    view = order_view(selling.store, QUOTE, quote)
    assert (view["state"], view["erp_number"]) == ("confirmed", sale.fields["number"])
    assert [one["open"] for one in view["lines"]][:2] == [Decimal(3), Decimal(2)]


def test_five_presses_by_three_people_at_once_make_one_order(selling: RealSales) -> None:
    quote = selling.quote()
    selling.orders().begin(QUOTE, quote, user="clara")
    done: list[str] = []

    def press(user: str) -> None:
        with suppress(KoppelError):
            row = selling.orders().transfer(QUOTE, quote, user=user)
            done.append(row.state)

    threads = [
        threading.Thread(target=press, args=(user,))
        for user in ("clara", "paul", "eve", "clara", "paul")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    until_done(selling, quote)
    assert_one_whole_order(selling, quote)


def test_a_wrong_rate_holds_the_order_and_leaves_nothing_in_the_erp(selling: RealSales) -> None:
    quote = selling.quote(selling.line(0, "1", vat="7.00"), selling.line(1, "1"))
    row = selling.orders().transfer(QUOTE, quote, user="clara")
    assert row.state == "held"
    assert "not those of the CRM" in row.why
    assert selling.sales_of(quote) == []


def test_a_transfer_killed_at_any_call_makes_exactly_one_order(selling: RealSales) -> None:
    killed = 0
    target = selling.prospect()
    while True:
        plan = FaultPlan()

        def wrap(name: str, inner: Connector, plan: FaultPlan = plan) -> Connector:
            return FaultyConnector(inner, plan) if name == "tryton" else inner

        quote = selling.quote(target=target)
        plan.kill_at(killed + 1)
        try:
            row = selling.orders(wrap).transfer(QUOTE, quote, user="clara")
        except Interrupted:
            killed += 1
            until_done(selling, quote)
            assert_one_whole_order(selling, quote, f"killed at boundary {killed}")
            continue
        assert (row.state, row.why) == ("done", "")
        break
    assert [call.path for call in plan.calls] == CALLS_OF_A_TRANSFER
    assert killed == 2 * len(CALLS_OF_A_TRANSFER)


def test_a_reply_that_is_lost_in_any_call_makes_exactly_one_order(selling: RealSales) -> None:
    place = 0
    target = selling.prospect()
    while True:
        plan = FaultPlan()

        def wrap(name: str, inner: Connector, plan: FaultPlan = plan) -> Connector:
            return FaultyConnector(inner, plan) if name == "tryton" else inner

        quote = selling.quote(target=target)
        with plan.fault("drop_reply", after=place) as fault, suppress(KoppelError):
            selling.orders(wrap).transfer(QUOTE, quote, user="clara")
        if not fault.hits:
            break
        place += 1
        until_done(selling, quote)
        assert_one_whole_order(selling, quote, f"reply lost in call {place}")
    assert place >= len(CALLS_OF_A_TRANSFER)


def test_an_edit_after_confirmation_becomes_a_change_request(selling: RealSales) -> None:
    orders = selling.orders()
    orders.poll()
    quote = selling.quote()
    orders.transfer(QUOTE, quote, user="clara")
    selling.edited(QUOTE, quote, {"lines": [selling.line(0, "9")]})
    orders.poll()
    (message,) = order_view(selling.store, QUOTE, quote)["messages"]
    assert message.startswith("Change request")
    (sale,) = selling.sales_of(quote)
    assert sale.fields["lines"][0]["quantity"] == Decimal(2)


def test_cancelling_goes_both_ways_and_the_next_transfer_is_a_new_order(
    selling: RealSales,
) -> None:
    with selling.settings(A_CLERK_CONFIRMS):
        orders = selling.orders()
        by_clerk, by_sales = selling.quote(), selling.quote()
        orders.transfer(QUOTE, by_clerk, user="clara")
        row = orders.transfer(QUOTE, by_sales, user="clara")
        (sale,) = selling.sales_of(by_clerk)
        (outcome,) = selling.erp.write(
            [Act(resource=SALE, key=f"clerk-{sale.id}", id=sale.id, action="cancel")]
        )
        assert isinstance(outcome, Written), outcome
        orders.watch.poll_erp()
        assert order_view(selling.store, QUOTE, by_clerk)["state"] == "cancelled"
        orders.cancel(row.id, user="clara")
        (sale,) = selling.sales_of(by_sales)
        assert sale.fields["state"] == "cancelled"
        again = orders.transfer(QUOTE, by_sales, user="clara")
        assert (again.state, again.why) == ("done", "")
        assert again.key.endswith("#2")


def test_an_order_under_way_cannot_be_cancelled_and_tryton_says_why(selling: RealSales) -> None:
    orders = selling.orders()
    quote = selling.quote()
    row = orders.transfer(QUOTE, quote, user="clara")
    with pytest.raises(NeedsUser, match='"cancel" is not possible from there'):
        orders.cancel(row.id, user="clara")
    assert_one_whole_order(selling, quote)


def test_a_draft_follows_the_edits_of_the_crm(selling: RealSales) -> None:
    with selling.settings(*ONLY_A_DRAFT):
        orders = selling.orders()
        orders.poll()
        quote = selling.quote(selling.line(0, "2"))
        row = orders.transfer(QUOTE, quote, user="clara")
        assert (row.state, row.why) == ("done", "")
        selling.edited(QUOTE, quote, {"lines": [selling.line(0, "5"), selling.line(1, "1")]})
        orders.poll()
        (sale,) = selling.sales_of(quote)
        assert [one["quantity"] for one in sale.fields["lines"]] == [Decimal(5), Decimal(1)]
        seen = selling.crm.fetch(QUOTE, [quote])[quote]
        assert isinstance(seen, Record)
        assert sale.fields["untaxed_amount"] == seen.fields["total_no_vat"]


def test_an_erp_at_rest_is_asked_once(selling: RealSales) -> None:
    plan = FaultPlan()
    orders = selling.orders(lambda name, inner: FaultyConnector(inner, plan))
    orders.watch.poll_erp()
    before = len(plan.calls)
    orders.watch.poll_erp()
    asked = [call for call in plan.calls[before:] if call.method in ("changes", "fetch")]
    assert len(asked) <= 2  # Koppel reads the last minute again: stamps come late.
