"""The demo's Tryton has sales in every state, as a person would have left them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from koppel.connectors.base import Record
from koppel.connectors.tryton import TrytonConnector
from lab.tryton import TrytonLab
from tests.conftest import Instances

pytestmark = pytest.mark.tryton


@pytest.fixture(scope="module")
def demo(instances: Instances) -> Iterator[TrytonConnector]:
    running = instances.start("tryton", "demo")
    connector = TrytonConnector(**running.koppel)
    yield connector
    connector.close()


def records(demo: TrytonConnector, resource: str) -> list[Record]:
    ids = [id for id, _ in demo.ids(resource).items]
    return [one for one in demo.fetch(resource, ids).values() if isinstance(one, Record)]


def test_the_demo_has_sixty_sales_in_every_state(demo: TrytonConnector) -> None:
    sales = records(demo, "sale.sale")
    assert {sale.id for sale in sales} == {
        str(number) for number in TrytonLab().seeded("demo")["sales"].values()
    }
    assert len(sales) == 60
    states = Counter(sale.fields["state"] for sale in sales)
    assert set(states) >= {"draft", "quotation", "processing", "done", "cancelled"}
    shipped = Counter(sale.fields["shipment_state"] for sale in sales)
    assert set(shipped) >= {"waiting", "partially shipped", "sent"}
    paid = Counter(sale.fields["payment_status"] for sale in sales)
    assert set(paid) >= {"open", "partial", "paid", "overdue"}
    assert {sale.fields["dunning_level"] for sale in sales} == {0, 1, 2, 3}
    kinds = {one["type"] for sale in sales for one in sale.fields["invoices"]}
    assert kinds == {"invoice", "credit_note"}


def test_every_total_is_the_sum_of_its_parts(demo: TrytonConnector) -> None:
    for sale in records(demo, "sale.sale"):
        fields = sale.fields
        lines = [line["amount"] for line in fields["lines"] if line["type"] == "line"]
        assert sum(lines) == fields["untaxed_amount"]
        assert sum(tax["amount"] for tax in fields["taxes"]) == fields["tax_amount"]


def test_the_demo_has_forty_products_with_units_taxes_and_stock(demo: TrytonConnector) -> None:
    products = {one.fields["code"]: one.fields for one in records(demo, "product.product")}
    assert len(products) == 40
    assert {one["unit"] for one in products.values()} == {"C62", "MTR", "LTR", "KGM", "HUR"}
    rates = {str(tax["rate"]) for one in products.values() for tax in one["taxes"]}
    assert rates == {"0.19", "0.07", "0"}
    assert [code for code, one in products.items() if not one["active"]] == ["P-040"]
    assert products["P-001"]["quantity"] > 0
