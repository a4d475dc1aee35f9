"""Products on the real pair: made, priced, counted and out of trade in Tryton, seen in Creme."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from koppel.connectors.base import Connector, Create, Outcome, Record, Update, Written
from lab.tryton_sales_human import TrytonSalesHuman
from tests.live.creme_inside import inside
from tests.scenarios.real import RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

CRM, ERP = "products.product", "product.product"
numbers = count(1)
run = uuid4().hex[:5].upper()

RIGHT = """
from creme.creme_core.models import UserRole
from koppel_creme import rights
role = UserRole.objects.get(name="Koppel")
role.special_permissions = [rights.keep_lists] if may else []
role.save()
"""


@dataclass
class Shelf:
    """The pair, a person at Tryton's products, and Creme as it is."""

    pair: RealPair
    clerk: TrytonSalesHuman
    crm: Connector

    def product(self, name: str, price: str | None = "12.50", **more: Any) -> str:
        code = f"W-{run}{next(numbers)}"
        amount = Decimal(price) if price is not None else None
        return self.clerk.add_product(code, amount, name=f"{name} {code}", **more)

    def seen(self, product: str) -> Mapping[str, Any]:
        """What Creme has of a product of Tryton."""
        (crm,) = [c for c, e in self.pair.coupled("product").items() if e == product]
        found = self.crm.fetch(CRM, [crm])[crm]
        assert isinstance(found, Record)
        return {"id": crm, **found.fields}

    def known(self, product: str) -> bool:
        return product in self.pair.coupled("product").values()

    def write(self, wish: Any) -> Outcome:
        (outcome,) = self.crm.write([wish])
        return outcome

    def typed(self, fields: Mapping[str, Any]) -> str:
        """A product that somebody typed into Creme."""
        outcome = self.write(Create(resource=CRM, key=uuid4().hex, fields=dict(fields)))
        assert isinstance(outcome, Written)
        return outcome.after.id


@pytest.fixture(scope="module")
def shelf(real_pair: RealPair) -> Iterator[Shelf]:
    clerk = TrytonSalesHuman.admin(real_pair.tryton)
    with real_pair.connectors() as connectors:
        real_pair.run()
        yield Shelf(real_pair, clerk, connectors["crm"])
    clerk.close()


def test_a_product_of_the_erp_is_in_the_crm_with_price_tax_unit_category_and_stock(
    shelf: Shelf,
) -> None:
    product = shelf.product("Grease", "18.55", unit="kg", tax="Goods 7 %", categories=["Bulk"])
    shelf.clerk.number_product(product, "4006381333931")
    shelf.clerk.stock(product, 180.75)
    shelf.pair.run()
    seen = shelf.seen(product)
    assert seen["erp_code"].startswith("W-")
    assert seen["name"].startswith("Grease")
    assert (seen["gtin"], seen["unit"], seen["category_name"]) == ("4006381333931", "kg", "Bulk")
    assert (seen["unit_price"], seen["erp_currency"]) == (Decimal("18.55"), "EUR")
    assert (seen["tax_category"], seen["tax_rate"]) == ("AA", Decimal("7.00"))
    assert (seen["stock"], seen["erp_status"]) == (180, "For sale")
    shelf.pair.at_rest()


def test_price_name_category_and_stock_follow_the_erp(shelf: Shelf) -> None:
    product = shelf.product("Valve", "38.75", categories=["Valves"])
    shelf.pair.run()
    id = shelf.seen(product)["id"]
    shelf.clerk.change_product(
        product, price=Decimal("41.10"), name="Ball valve DN 25", description="Brass,\nwith lever"
    )
    shelf.clerk.stock(product, 400)
    shelf.clerk.rename_category("Valves", "Valves and fittings")
    shelf.pair.run()
    seen = shelf.seen(product)
    assert seen["id"] == id
    assert (seen["name"], seen["unit_price"]) == ("Ball valve DN 25", Decimal("41.10"))
    assert seen["description"] == "Brass,\nwith lever"
    assert (seen["category_name"], seen["stock"]) == ("Valves and fittings", 400)


def test_a_product_out_of_trade_keeps_its_record_and_says_so(shelf: Shelf) -> None:
    stopped, blocked = shelf.product("Pump"), shelf.product("Box")
    shelf.pair.run()
    shelf.clerk.stop_selling(stopped)
    shelf.clerk.change_product(blocked, salable=False)
    shelf.pair.run()
    assert shelf.seen(stopped)["erp_status"] == "Discontinued"
    assert shelf.seen(blocked)["erp_status"] == "Not for sale"


def test_what_has_no_price_is_not_offered_until_it_has_one(shelf: Shelf) -> None:
    product = shelf.product("Test bench", None)
    shelf.pair.run()
    assert not shelf.known(product)
    shelf.clerk.change_product(product, price=Decimal(9900))
    shelf.pair.run()
    assert shelf.seen(product)["unit_price"] == 9900


def test_a_price_typed_over_in_the_crm_is_put_back(shelf: Shelf) -> None:
    product = shelf.product("Hose", "7.94")
    shelf.pair.run()
    edit = Update(
        resource=CRM,
        key=uuid4().hex,
        id=shelf.seen(product)["id"],
        expected=None,
        fields={"unit_price": Decimal(5)},
    )
    assert isinstance(shelf.write(edit), Written)
    shelf.pair.run()
    assert shelf.seen(product)["unit_price"] == Decimal("7.94")


def test_a_product_that_sales_typed_is_found_by_its_number_and_not_made_again(
    shelf: Shelf,
) -> None:
    product = shelf.product("Coupling KU 28")
    code = f"W-{run}{next(numbers) - 1}"
    name = f"Coupling KU 28 {code}"
    typed = shelf.typed({"name": name, "erp_code": code, "unit_price": Decimal(1)})
    mine = shelf.typed({"name": f"Sample case {run}", "unit_price": Decimal(3)})
    shelf.pair.run()
    seen = shelf.seen(product)
    assert seen["id"] == typed
    assert (seen["unit_price"], seen["erp_status"]) == (Decimal("12.50"), "For sale")
    assert mine not in shelf.pair.coupled("product")


def test_an_unknown_category_is_held_by_name_where_koppel_may_not_add_it(shelf: Shelf) -> None:
    inside(shelf.pair.creme, RIGHT, may=False)
    try:
        product = shelf.product("Ladder", categories=[f"Ladders {run}"])
        shelf.pair.run()
        shelf.pair.run()
        assert not shelf.known(product)
        reason = shelf.pair.waits("product")[product]
        assert f"no product category 'Ladders {run}'" in reason
        assert "add it there, or let Koppel keep Creme's value lists" in reason
    finally:
        inside(shelf.pair.creme, RIGHT, may=True)
    with shelf.pair.engine() as engine:
        (row,) = [one for one in engine.store.inbox.quarantine() if one.record == product]
        engine.store.inbox.release(row.id)
    shelf.pair.run()
    assert shelf.seen(product)["category_name"] == f"Ladders {run}"
