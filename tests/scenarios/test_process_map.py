"""Steps of quote to cash are switched in the settings, and the process runs differently."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from koppel.errors import NeedsUser
from koppel.processes.views import order_view
from koppel.testing.sales import QUOTE, SALE
from tests.scenarios.selling import A_CLERK_CONFIRMS, Selling, make_selling


@pytest.fixture
def selling(tmp_path: Path, store_template: Path) -> Selling:
    return make_selling(tmp_path, store_template)


def switched(selling: Selling, **places: tuple[str, str]) -> None:
    """Put steps elsewhere: step -> (place of before, place)."""
    selling.settings(
        *((f'{step} = "{old}"', f'{step} = "{new}"') for step, (old, new) in places.items())
    )


def test_koppel_confirms_or_leaves_it_to_a_clerk(selling: Selling) -> None:
    selling.settings(A_CLERK_CONFIRMS)
    quote = selling.quote()
    assert selling.transfer(quote).state == "done"
    sale = selling.sale()
    assert (sale.fields["state"], bool(sale.fields["number"])) == ("quotation", True)
    assert order_view(selling.pair.store, QUOTE, quote)["state"] == "quoted"
    selling.human({"state": "processing"})
    selling.orders().poll()
    assert order_view(selling.pair.store, QUOTE, quote)["state"] == "confirmed"
    selling.settings()
    selling.transfer(selling.quote())
    assert [row.fields["state"] for row in selling.sales()] == ["processing", "processing"]


def test_orders_that_are_entered_in_the_erp_are_not_handed_over_and_shown_all_the_same(
    selling: Selling,
) -> None:
    switched(selling, order=("koppel", "erp"))
    quote = selling.quote()
    with pytest.raises(NeedsUser, match="orders are entered in the ERP here"):
        selling.transfer(quote)
    assert selling.sales() == []
    (customer,) = selling.pair.store.couplings.each("partner")
    line = {
        "type": "line", "product_code": "P-001", "quantity": Decimal(1),
        "unit_price": Decimal("9.90"),
    }  # fmt: skip
    fields = {"party": customer.erp_id, "currency": "EUR", "lines": [line]}
    selling.erp.create(SALE, fields, "clerk")
    selling.orders().poll()
    (link,) = selling.pair.store.orders.all()
    assert link.erp_id == selling.sale().id


def test_quotes_that_are_written_in_the_erp_are_not_handed_over(selling: Selling) -> None:
    switched(selling, quote=("crm", "erp"))
    with pytest.raises(NeedsUser, match="quotes are written in the ERP here"):
        selling.transfer(selling.quote())
    assert selling.sales() == []


def test_a_transfer_that_is_under_way_ends_though_its_step_was_switched(selling: Selling) -> None:
    quote = selling.quote()
    row = selling.orders().begin(QUOTE, quote, user="clara")
    switched(selling, order=("koppel", "erp"))
    assert selling.orders().transfer(QUOTE, quote, user="clara").id == row.id
    assert selling.sale().fields["state"] == "processing"


def test_only_a_person_hands_over_where_the_settings_say_so(selling: Selling) -> None:
    automatic = f'\n[[automatic]]\nresource = "{QUOTE}"\nstatus = "Won"\n'
    selling.settings(more=automatic)
    orders = selling.orders()
    orders.poll()
    selling.quote(status="Won")
    orders.poll()
    orders.run_due()
    assert len(selling.sales()) == 1
    switched(selling, order=("koppel", "person"))
    quote = selling.quote(status="Won")
    orders = selling.orders()
    orders.poll()
    orders.run_due()
    assert len(selling.sales()) == 1
    assert selling.transfer(quote).state == "done"
    assert len(selling.sales()) == 2


def test_what_another_system_does_is_not_shown_in_the_crm(selling: Selling) -> None:
    quote = selling.quote()
    selling.transfer(quote)
    lines = [
        {**line, "quantity_shipped": line["quantity"], "quantity_open": Decimal(0)}
        for line in selling.sale().fields["lines"]
    ]
    invoice = {
        "number": "R-1", "type": "invoice", "state": "posted",
        "untaxed_amount": Decimal(20), "tax_amount": Decimal(0), "total_amount": Decimal(20),
        "amount_to_pay": Decimal(0), "dunning_level": 0,
    }  # fmt: skip
    selling.human({"lines": lines, "invoices": [invoice]})
    orders = selling.orders()
    orders.poll()
    before = order_view(selling.pair.store, QUOTE, quote)
    assert (before["state"], before["payment"], len(before["invoices"])) == ("paid", "paid", 1)
    selling.settings(
        *((f'{step} = "erp"', f'{step} = "elsewhere"') for step in ("invoice", "payment")),
        ('dunning = "erp"', 'dunning = "elsewhere"'),
        ("dunning_from = 2", 'customers = ["nobody"]'),
    )
    after = order_view(selling.pair.store, QUOTE, quote)
    assert (after["state"], after["payment"], after["invoices"]) == ("delivered", "none", [])
