"""Quote to cash between two memory systems: one order, whole, to the cent, or held."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from koppel.errors import NeedsUser
from koppel.mapping.orders import shipped_order_mapping
from koppel.processes.views import figures_view, order_view, transfer_view
from koppel.testing.sales import QUOTE, SALE
from tests.scenarios.selling import ONLY_A_DRAFT, Selling, line, make_selling


@pytest.fixture
def selling(tmp_path: Path, store_template: Path) -> Selling:
    return make_selling(tmp_path, store_template)


def test_an_order_arrives_whole_confirmed_and_with_its_number_in_the_crm(selling: Selling) -> None:
    quote = selling.quote(
        line("P-001", "3", "9.99", discount="10"),
        line("P-002", "1.5", "20.00", discount="1.00", unit="line"),
        {"kind": "text", "name": "Deliver to gate 4"},
        reference="PO-77",
        requested=date(2026, 12, 1),
    )
    row = selling.transfer(quote)
    assert (row.state, row.why) == ("done", "")
    sale = selling.sale().fields
    assert sale["state"] == "processing"
    assert sale["reference"] == "PO-77"
    assert sale["shipping_date"] == date(2026, 12, 1)
    assert [one["type"] for one in sale["lines"]] == ["line", "line", "comment"]
    assert sale["untaxed_amount"] == Decimal("26.97") + Decimal("29.00")
    assert selling.pair.crm.row(QUOTE, quote).fields["erp_number"] == sale["number"] == "S-00001"
    view = order_view(selling.pair.store, QUOTE, quote)
    assert (view["state"], view["erp_number"]) == ("confirmed", "S-00001")
    assert [one["open"] for one in view["lines"]] == [Decimal(3), Decimal("1.5")]


def test_five_presses_by_three_people_make_one_order(selling: Selling) -> None:
    quote = selling.quote()
    rows = [selling.transfer(quote, user) for user in ("clara", "paul", "clara", "eve", "paul")]
    assert {row.id for row in rows} == {rows[0].id}
    assert selling.erp.made == 1
    assert transfer_view(selling.pair.store, rows[-1])["message"] == "Order S-00001 is in the ERP."


def test_a_prospect_becomes_a_customer_with_its_first_order(selling: Selling) -> None:
    quote = selling.quote(organisation=selling.prospect)
    row = selling.transfer(quote)
    assert (row.state, row.why) == ("done", "")
    crm = selling.pair.crm.row("organisation", selling.prospect).fields
    party = selling.erp.row("party", selling.sale().fields["party"]).fields
    assert crm["role"] == "customer"
    assert party["name"] == crm["name"]


def test_a_different_tax_rate_holds_the_order_and_leaves_nothing_in_the_erp(
    selling: Selling,
) -> None:
    quote = selling.quote(
        line("P-001", "1", "100.00"), line("P-002", "1", "50.00", vat=Decimal(19))
    )
    row = selling.transfer(quote)
    assert row.state == "held"
    assert "the ERP reckons otherwise" in row.why
    assert "taxable at 7 %: nothing in the CRM, 50.00 in the ERP." in row.details
    assert "gross: 178.50 in the CRM, 172.50 in the ERP." in row.details
    assert selling.sales() == []


def test_an_erp_that_compares_nothing_itself_is_compared_by_koppel(
    selling: Selling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("koppel.testing.sales._refuse_difference", lambda given, reckoned: None)
    quote = selling.quote(
        line("P-001", "1", "100.00"), line("P-002", "1", "50.00", vat=Decimal(19))
    )
    row = selling.transfer(quote)
    assert row.state == "held"
    assert "taxable at 7 %: nothing in the CRM, 50.00 in the ERP." in row.details
    assert selling.sales() == []
    selling.pair.crm_human.edit(
        QUOTE, quote, {"lines": [line("P-001", "1", "100.00"), line("P-002", "1", "50.00")]}
    )
    again = selling.orders().retry(row.id, user="clara")
    assert (again.state, again.why) == ("done", "")
    assert selling.sale().fields["total_amount"] == Decimal("172.50")


def rounds_by_line(selling: Selling) -> str:
    """A CRM that rounds tax line by line, with a quote on which that makes a cent."""
    mapping = shipped_order_mapping("memory_crm").replace('"rate"', '"line"')
    selling.pair.store.documents.put("mapping", "crm/order", mapping)
    return selling.quote(*(line("P-001", "1", "0.03") for _ in range(2)))


def test_tax_that_is_only_rounded_otherwise_is_taken_with_a_notice(selling: Selling) -> None:
    quote = rounds_by_line(selling)
    row = selling.transfer(quote)
    assert (row.state, row.why) == ("done", "")
    sale = selling.sale().fields
    assert (sale["untaxed_amount"], sale["total_amount"]) == (Decimal("0.06"), Decimal("0.07"))
    (notice,) = order_view(selling.pair.store, QUOTE, quote)["messages"]
    assert notice == (
        "The tax is 0.02 EUR in the CRM and 0.01 in the ERP, which counts: the CRM rounds line by "
        "line, halves up, the ERP once for each rate, halves up; every net amount is the same."
    )
    assert any(notice in one.text for one in selling.pair.store.processes.entries(row))


def test_whoever_wants_it_strict_gets_a_rounding_held(selling: Selling) -> None:
    selling.settings(('tax_rounding = "proved"', 'tax_rounding = "hold"'))
    row = selling.transfer(rounds_by_line(selling))
    assert row.state == "held"
    assert "tax_amount: 0.01 against 0.02" in " ".join([row.why, *row.details])
    assert selling.sales() == []


def test_a_person_may_take_the_amounts_of_the_erp(selling: Selling) -> None:
    quote = selling.quote(line("P-002", "1", "50.00", vat=Decimal(19)))
    held = selling.transfer(quote)
    row = selling.orders().retry(held.id, user="boss", accept=["difference"])
    assert row.state == "done"
    assert selling.sale().fields["total_amount"] == Decimal("53.50")
    log = [one.text for one in selling.pair.store.processes.entries(row)]
    assert any("Taken with the ERP's amounts" in one for one in log)


def test_seven_lines_at_three_rates_with_a_discount_on_the_order_agree_to_the_cent(
    selling: Selling,
) -> None:
    codes = ("P-001", "P-002", "P-003", "P-004", "P-001", "P-002", "P-004")
    quote = selling.quote(
        *(line(code, f"{n}.5", f"{n * 3}.33", discount="2.5") for n, code in enumerate(codes, 1)),
        discount=Decimal("3.75"),
    )
    row = selling.transfer(quote)
    assert (row.state, row.why) == ("done", "")
    sale = selling.sale().fields
    assert [one["description"] for one in sale["lines"]][-1] == "Discount 3.75 %"
    order = order_view(selling.pair.store, QUOTE, quote)
    assert order["gross"] == sale["total_amount"]


@pytest.mark.parametrize(
    ("trouble", "said", "who"),
    [
        ("credit", "exceeds the customer's credit limit", "--accept credit_limit_amount"),
        ("blocked", "The customer is blocked", "Accounting"),
        ("discontinued", "does not sell a product", "products"),
        ("unknown", "does not sell a product", "products"),
    ],
)
def test_a_refusal_is_told_in_a_sentence_with_who_can_help(
    trouble: str, said: str, who: str, selling: Selling
) -> None:
    if trouble == "credit":
        selling.erp.credit_limit = Decimal(5)
    party = next(row.id for row in selling.erp.table("party").order)
    if trouble == "blocked":
        selling.erp.blocked.add(party)
    if trouble == "discontinued":
        selling.erp.discontinued.add("P-001")
    code = "X-999" if trouble == "unknown" else "P-001"
    row = selling.transfer(selling.quote(line(code, "1", "10.00")))
    assert row.state == "held"
    assert said in row.why
    assert who in row.remedy
    assert all(sale.fields["state"] in ("draft", "quotation") for sale in selling.sales())
    assert len(selling.sales()) == (1 if trouble == "credit" else 0)


def test_who_may_accept_the_credit_limit_lets_the_order_go(selling: Selling) -> None:
    selling.erp.credit_limit = Decimal(5)
    held = selling.transfer(selling.quote())
    row = selling.orders().retry(held.id, user="boss", accept=["credit_limit_amount"])
    assert row.state == "done"
    assert selling.sale().fields["state"] == "processing"
    assert selling.erp.made == 1


def test_an_unknown_unit_holds_the_order_and_is_named(selling: Selling) -> None:
    row = selling.transfer(selling.quote(line("P-001", "1", "10.00") | {"unit": "fathom"}))
    assert (row.state, row.why) == ("held", "The unit 'fathom' is in no value table")


def test_rules_hold_an_order_or_hand_it_to_a_clerk_and_say_why(selling: Selling) -> None:
    selling.settings(
        more='[[incoming]]\nname = "Large"\ndecision = "clerk"\namount_over = "1000"\n'
        '[[incoming]]\nname = "Sensitive"\ndecision = "hold"\nitems = ["P-004"]\n'
    )
    clerk = selling.transfer(selling.quote(line("P-001", "1", "1000.00")))
    assert clerk.state == "done"
    assert selling.sale().fields["state"] == "draft"
    held = selling.transfer(selling.quote(line("P-004", "1", "10.00")))
    assert held.state == "held"
    assert "the rule 'Sensitive' holds the order: it holds P-004" in held.why
    log = [one.text for one in selling.pair.store.processes.entries(clerk)]
    assert any("Decision: clerk, because the order is worth 1190.00" in one for one in log)
    assert selling.orders().retry(held.id, user="boss", accept=["decision"]).state == "done"


def test_an_erp_that_is_down_is_waited_for(selling: Selling) -> None:
    quote = selling.quote()
    with selling.plan.fault("refuse", count=1000):
        row = selling.transfer(quote)
        assert row.state == "waiting"
        assert transfer_view(selling.pair.store, row)["ok"] is False
    selling.pair.store.processes.save(row, next_at=selling.pair.store.clock())
    (done,) = selling.orders().run_due()
    assert done.state == "done"
    assert selling.erp.made == 1


def test_delivery_invoice_payment_and_reminder_are_seen_line_by_line(selling: Selling) -> None:
    quote = selling.quote(line("P-001", "10", "10.00"), line("P-002", "4", "5.00"))
    selling.transfer(quote)
    store = selling.pair.store
    lines = selling.sale().fields["lines"]
    selling.human({
        "lines": [
            {"id": lines[0]["id"], "quantity_shipped": Decimal(4), "quantity_open": Decimal(6),
             "planned_date": date(2026, 11, 20), "status": "partly shipped"},
            {"id": lines[1]["id"], "quantity_shipped": Decimal(0), "quantity_open": Decimal(4)},
        ],
        "shipments": [{"number": "SH-1", "state": "done", "effective_date": date(2026, 11, 5)}],
        "invoices": [{
            "number": "INV-1", "type": "invoice", "state": "posted",
            "untaxed_amount": Decimal("40.00"), "tax_amount": Decimal("7.60"),
            "total_amount": Decimal("47.60"), "amount_to_pay": Decimal("47.60"),
            "invoice_date": date(2026, 10, 1), "due_date": date(2026, 10, 31),
        }],
        "dunning_level": 1,
    })  # fmt: skip
    assert selling.orders().watch.poll_erp() == 1
    view = order_view(store, QUOTE, quote)
    assert view["state"] == "partly delivered"
    assert [one["delivered"] for one in view["lines"]] == [Decimal(4), Decimal(0)]
    assert view["lines"][0]["planned"] == date(2026, 11, 20)
    assert view["shipments"][0]["number"] == "SH-1"
    assert view["invoices"][0]["status"] == "overdue"
    assert (view["payment"], view["dunning"]["level"]) == ("overdue", 1)
    party = selling.sale().fields["party"]
    figures = figures_view(store, party, None, store.orders.of_party(party))
    assert figures["turnover"] == Decimal("40.00")
    assert figures["open_items"] == Decimal("47.60")
    assert figures["backlog"] == Decimal("80.00")
    assert figures["dunning_level"] == 1
    assert selling.orders().watch.poll_erp() == 0


def test_an_order_entered_in_the_erp_is_seen_with_the_same_detail(selling: Selling) -> None:
    selling.transfer(selling.quote())
    sale = selling.sale().fields
    selling.erp.create(
        SALE,
        {"party": sale["party"], "currency": "EUR", "lines": [
            {"type": "line", "product_code": "P-002", "description": "By phone",
             "quantity": Decimal(2), "unit_price": Decimal("7.50")}]},
        "clerk",
    )  # fmt: skip
    assert selling.orders().watch.poll_erp() >= 1
    store = selling.pair.store
    (known,) = [one for one in store.orders.of_party(sale["party"]) if one.crm_id is None]
    assert known.state == "draft"
    figures = figures_view(store, sale["party"], None, store.orders.of_party(sale["party"]))
    assert len(figures["orders"]) == 2


def test_an_edit_is_carried_into_the_draft_and_becomes_a_request_once_confirmed(
    selling: Selling,
) -> None:
    selling.settings(*ONLY_A_DRAFT)
    quote = selling.quote(line("P-001", "2", "10.00"))
    selling.orders().poll()
    selling.transfer(quote)
    change = {"lines": [line("P-001", "5", "10.00")]}
    selling.pair.crm_human.edit(QUOTE, quote, change)
    selling.orders().poll()
    assert selling.sale().fields["untaxed_amount"] == Decimal("50.00")
    selling.erp.update(SALE, selling.sale().id, {"state": "processing"}, "clerk")
    selling.orders().poll()
    selling.pair.crm_human.edit(QUOTE, quote, {"lines": [line("P-001", "9", "10.00")]})
    selling.orders().poll()
    assert selling.sale().fields["untaxed_amount"] == Decimal("50.00")
    (message,) = order_view(selling.pair.store, QUOTE, quote)["messages"]
    assert message.startswith("Change request: the CRM says otherwise")


def test_a_late_edit_is_put_back_where_the_settings_say_so(selling: Selling) -> None:
    selling.settings(('late_change = "request"', 'late_change = "put_back"'))
    quote = selling.quote(line("P-001", "2", "10.00"))
    selling.orders().poll()
    selling.transfer(quote)
    here = selling.pair.crm.row(QUOTE, quote).fields["lines"][0]["id"]
    selling.pair.crm_human.edit(QUOTE, quote, {"lines": [{"id": here, "quantity": Decimal(9)}]})
    selling.orders().poll()
    assert selling.pair.crm.row(QUOTE, quote).fields["lines"][0]["quantity"] == Decimal(2)
    (message,) = order_view(selling.pair.store, QUOTE, quote)["messages"]
    assert message.startswith(
        "Put back, the ERP owns the order: quantity of P-001: 2 before, 9 now"
    )


def test_a_document_is_handed_over_when_its_status_says_so(selling: Selling) -> None:
    selling.settings(more='[[automatic]]\nresource = "quote"\nstatus = "Accepted"\n')
    quote = selling.quote()
    selling.orders().poll()
    selling.pair.crm_human.edit(QUOTE, quote, {"status": "Accepted"})
    orders = selling.orders()
    orders.poll()
    orders.run_due()
    assert selling.sale().fields["koppel_key"] == f"crm/quote/{quote}"


def test_cancelling_reaches_the_erp_and_the_next_transfer_is_a_new_order(selling: Selling) -> None:
    quote = selling.quote()
    row = selling.transfer(quote)
    selling.orders().cancel(row.id, user="clara")
    assert selling.sale().fields["state"] == "cancelled"
    assert order_view(selling.pair.store, QUOTE, quote)["state"] == "cancelled"
    again = selling.transfer(quote)
    assert (again.state, again.why) == ("done", "")
    assert [sale.fields["state"] for sale in selling.sales()] == ["cancelled", "processing"]


def test_a_cancelled_order_of_the_erp_is_told_to_the_crm(selling: Selling) -> None:
    selling.settings(('# [write_back.status]\n# cancelled = "Rejected"',
                      '[write_back.status]\ncancelled = "Rejected"'))  # fmt: skip
    quote = selling.quote()
    selling.transfer(quote)
    selling.human({"state": "cancelled"})
    selling.orders().poll()
    assert selling.pair.crm.row(QUOTE, quote).fields["status"] == "Rejected"


def test_a_delivered_order_cannot_be_cancelled_and_says_so(selling: Selling) -> None:
    row = selling.transfer(selling.quote())
    selling.human({"state": "done"})
    with pytest.raises(NeedsUser, match="cannot be cancelled"):
        selling.orders().cancel(row.id, user="clara")


def test_an_unchanged_thousand_orders_costs_one_call(selling: Selling) -> None:
    for _ in range(3):
        selling.transfer(selling.quote())
    orders = selling.orders()
    orders.watch.poll_erp()
    selling.pair.connectors["erp"].calls.clear()
    orders.watch.poll_erp()
    assert dict(selling.pair.connectors["erp"].calls) == {"changes": 1}


def test_an_order_of_the_same_key_for_another_customer_is_not_taken_for_this_one(
    selling: Selling,
) -> None:
    quote = selling.quote()
    other = selling.erp.create("party", {"name": "Somebody else"}, "clerk")
    lines = [{"product_code": "P-001", "quantity": Decimal(1), "unit_price": Decimal(1)}]
    selling.erp.create(SALE, {"party": other.id, "lines": lines}, "clerk", f"crm/quote/{quote}")
    row = selling.transfer(quote)
    assert row.state == "held"
    assert "for another customer already" in row.why
    done = selling.orders().retry(row.id, user="boss", accept=["again"])
    assert (done.state, done.key) == ("done", f"crm/quote/{quote}#2")
    assert len(selling.sales()) == 2
