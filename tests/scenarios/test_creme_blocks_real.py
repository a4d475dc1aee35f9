"""Koppel's blocks on Creme's own pages, with the real Koppel and the real Tryton behind them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from koppel.connectors.base import Record
from koppel.processes.orders import Orders
from lab.creme_seller import CremeSeller
from lab.tryton_sales_human import TrytonSalesHuman
from tests.scenarios.real import ORGANISATION, wait_until
from tests.scenarios.real_orders import QUOTE, RealSales

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("sales")]


@pytest.fixture
def clara(selling: RealSales) -> Iterator[CremeSeller]:
    """A salesperson who may hand orders over."""
    human = CremeSeller.salesperson(selling.pair.creme, "clara")
    yield human
    human.close()


@pytest.fixture
def clerk(selling: RealSales) -> Iterator[TrytonSalesHuman]:
    human = TrytonSalesHuman.admin(selling.pair.tryton)
    yield human
    human.close()


def money(amount: Decimal) -> str:
    """As Creme writes it in English."""
    return f"{amount:,.2f}"


def order_of(selling: RealSales, quote: str) -> Record:
    (sale,) = selling.sales_of(quote)
    return sale


def test_who_presses_on_a_quote_reads_the_erps_number_state_and_date_on_the_same_page(
    selling: RealSales, clara: CremeSeller
) -> None:
    quote = selling.quote(selling.line(0, "4"), selling.line(1, "2"))
    with selling.pair.serving("--poll", "3600"):
        assert clara.press_transfer(QUOTE, quote).status_code == 200
        wait_until(lambda: "Number in the ERP" in clara.block(QUOTE, quote))
        block = clara.block(QUOTE, quote)
    sale = order_of(selling, quote)
    for part in (sale.fields["number"], "Confirmed", "Planned delivery", "just now"):
        assert part in block, f"{part} is missing in: {block}"
    for line in sale.fields["lines"]:
        assert line["product_code"] in block


def test_the_block_of_a_customer_follows_the_erp_from_the_backlog_to_the_last_open_item(
    selling: RealSales, clara: CremeSeller, clerk: TrytonSalesHuman
) -> None:
    customer = selling.prospect()
    quote = selling.quote(selling.line(0, "4"), target=customer)
    orders: Orders = selling.orders()
    assert orders.transfer(QUOTE, quote, user="clara").state == "done"
    sale = order_of(selling, quote)
    net, gross = sale.fields["untaxed_amount"], sale.fields["total_amount"]

    def block() -> str:
        assert clara.press_refresh(ORGANISATION, customer).status_code == 200
        return clara.block(ORGANISATION, customer)

    with selling.pair.serving("--poll", "3600"):
        ordered = block()
        for part in ("Order backlog", money(net), sale.fields["number"], "Exposure"):
            assert part in ordered, f"{part} is missing in: {ordered}"
        clerk.ship(sale.id)
        invoice = clerk.invoice(sale.id)
        invoiced = block()
        number = order_of(selling, quote).fields["invoices"][0]["number"]
        for part in ("Open items", money(gross), number, "Open"):
            assert part in invoiced, f"{part} is missing in: {invoiced}"
        clerk.pay(invoice, gross)
        assert "Paid" in block()
