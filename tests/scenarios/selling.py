"""A pair of memory systems that sell, with the order processes on it, for scenario tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from koppel.connectors.memory_system import Row
from koppel.mapping.orders import shipped_order_mapping
from koppel.processes.orders import Orders
from koppel.processes.settings import KIND, NAME, shipped_settings
from koppel.store.order_models import Process
from koppel.testing.chaos import FaultPlan, FaultyConnector
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.testing.sales import QUOTE, SALE, SalesSystem, sales_crm
from tests.scenarios.pair import PairOfSystems, make_pair

RATES = {"P-001": Decimal(19), "P-002": Decimal(7), "P-003": Decimal(0), "P-004": Decimal(19)}
SETTINGS = shipped_settings()
A_CLERK_CONFIRMS = ('confirmation = "koppel"', 'confirmation = "erp"')
ONLY_A_DRAFT = (A_CLERK_CONFIRMS, ("[transfer]\n", '[transfer]\nuntil = "draft"\n'))
"""Texts of the settings that are replaced: how far Koppel takes an order."""


def line(
    code: str, quantity: str, price: str, *, discount: str = "0", unit: str = "percent", **more: Any
) -> dict[str, Any]:
    """A line of a quote; its tax rate is that of the product."""
    return {
        "kind": "item",
        "product_code": code,
        "name": f"Product {code}",
        "quantity": Decimal(quantity),
        "unit": "piece",
        "unit_price": Decimal(price),
        "discount": Decimal(discount),
        "discount_unit": unit,
        "vat": RATES.get(code, Decimal(19)),
        **more,
    }


@dataclass
class Selling:
    """The pair, its customers, and a way to make quotes and look at the ERP's orders."""

    pair: PairOfSystems
    erp: SalesSystem
    customer: str
    prospect: str
    plan: FaultPlan = field(default_factory=FaultPlan)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def settings(self, *changes: tuple[str, str], more: str = "") -> None:
        """The shipped settings with some texts replaced and more added."""
        text = SETTINGS
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.pair.store.documents.put(KIND, NAME, text + more)

    def quote(self, *lines: dict[str, Any], **fields: Any) -> str:
        """A quote of the coupled customer; its id."""
        number = next(self._numbers)
        return self.pair.crm_human.create(
            QUOTE,
            {
                "number": f"QUO-{number}",
                "name": f"Offer {number}",
                "organisation": self.customer,
                "currency": "EUR",
                "status": "Pending",
                "lines": list(lines) or [line("P-001", "2", "10.00")],
                **fields,
            },
        )

    def orders(self) -> Orders:
        """The processes, as after a restart."""
        return Orders(self.pair.engine(), boundary=lambda name: self.plan.end())

    def transfer(self, quote: str, user: str = "clara") -> Process:
        return self.orders().transfer(QUOTE, quote, user=user)

    def sales(self) -> list[Row]:
        """All orders that the ERP has."""
        return [row for row in self.erp.table(SALE).order if row.gone is None]

    def sale(self) -> Row:
        (row,) = self.sales()
        return row

    def human(self, fields: dict[str, Any]) -> None:
        """A clerk changes the ERP's only order."""
        self.erp.update(SALE, self.sale().id, fields, "clerk")


def make_selling(folder: Path, template: Path) -> Selling:
    """A customer that is coupled, a prospect that is not, four products at three rates."""
    folder.mkdir(parents=True, exist_ok=True)
    clock: Callable[[], float] = itertools.count(1.0).__next__
    erp = SalesSystem(clock=clock)
    erp.rates = dict(RATES)
    pair = make_pair(folder, template, crm=sales_crm(clock=clock), erp=erp)
    pair.store.documents.put("mapping", "crm/order", shipped_order("memory_crm"))
    pair.store.documents.put(KIND, NAME, SETTINGS.replace('"sale.sale"', f'"{SALE}"'))
    one, two = partners(2)
    customer = pair.crm_human.create("organisation", crm_fields(one, role="customer"))
    pair.erp_human.create("party", erp_fields(one))
    prospect = pair.crm_human.create("organisation", crm_fields(two, role="prospect"))
    pair.sync()
    found = Selling(pair, erp, customer, prospect)
    pair.wrap = lambda name, inner: FaultyConnector(inner, found.plan)
    return found


def shipped_order(connector: str) -> str:

    return shipped_order_mapping(connector)
