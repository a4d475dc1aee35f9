"""The connector contract on a real Creme CRM, for products, quotes, orders, invoices and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from koppel.connectors.base import Connector
from koppel.connectors.creme import CremeConnector
from koppel.connectors.http import Patience
from koppel.testing.chaos import FaultProxy
from koppel.testing.contract import ConnectorContract
from lab.creme_seller import CremeSeller
from lab.system import Running

pytestmark = pytest.mark.creme
QUICK = Patience(first_wait=0.01, longest_wait=0.05)
numbers = count(1)


@pytest.fixture(scope="module")
def root(creme: Running) -> Iterator[CremeSeller]:
    human = CremeSeller(creme.url, *creme.admin, creme.koppel["token"])
    yield human
    human.close()


@pytest.fixture(scope="module")
def customer(root: CremeSeller) -> str:
    fields = {"name": f"Kunde {next(numbers)} AG", "billing_address": {"city": "Ulm"}}
    return root.create("persons.organisation", fields)


@pytest.fixture(scope="module")
def product(root: CremeSeller) -> str:
    return root.create("products.product", {"name": "Pumpe", "unit_price": Decimal("12.50")})


class SalesContract(ConnectorContract):
    """What products and documents have in common."""

    key_field = "name"
    clear_field = "description"

    @pytest.fixture
    def faults(self, creme: Running) -> Iterator[FaultProxy]:
        with FaultProxy(creme.url) as proxy:
            yield proxy

    @pytest.fixture
    def connect(self, creme: Running, faults: FaultProxy) -> Iterator[Callable[..., Connector]]:
        made: list[CremeConnector] = []

        def connect(**options: Any) -> Connector:
            token = creme.koppel["token"]
            made.append(CremeConnector(faults.url, token, patience=QUICK, **options))
            return made[-1]

        yield connect
        for connector in made:
            connector.close()

    @pytest.fixture
    def connector(self, connect: Callable[..., Connector]) -> Connector:
        return connect()

    @pytest.fixture
    def reconnect(self, connect: Callable[..., Connector]) -> Callable[[], Connector]:
        return connect

    @pytest.fixture
    def impatient(self, connect: Callable[..., Connector]) -> Connector:
        return connect(timeout=2.0)

    @pytest.fixture
    def human(self, root: CremeSeller) -> CremeSeller:
        return root

    @pytest.fixture
    def secrets(self, creme: Running) -> tuple[str, ...]:
        return (creme.koppel["token"],)

    @pytest.fixture
    def change(self) -> Callable[[], tuple[str, Any]]:
        return lambda: ("description", f"Fassung {next(numbers)}")


class TestProducts(SalesContract):
    resource = "products.product"
    match_field = "erp_code"

    @pytest.fixture
    def new_fields(self) -> Callable[[], dict[str, Any]]:
        def new_product() -> dict[str, Any]:
            number = next(numbers)
            return {
                "name": f"Lager {number}",
                "erp_code": f"L-{number}",
                "unit_price": Decimal("7.35"),
                "unit": "C62",
                "description": "gut",
            }

        return new_product


class DocumentContract(SalesContract):
    """Documents, whose children are their lines."""

    match_field = "number"

    @pytest.fixture
    def children(self, product: str) -> tuple[str, Callable[[], dict[str, Any]], str]:
        def new_line() -> dict[str, Any]:
            number = next(numbers)
            line: dict[str, Any] = {"quantity": Decimal(number % 7 + 1), "vat": Decimal(19)}
            if number % 2:
                line["product"] = product
            else:
                line |= {"on_the_fly_item": "Fracht", "unit_price": Decimal("9.90")}
            return {**line, "comment": f"Zeile {number}"}

        return "lines", new_line, "comment"

    @pytest.fixture
    def new_fields(
        self, customer: str, children: tuple[str, Callable[[], dict[str, Any]], str]
    ) -> Callable[[], dict[str, Any]]:
        def new_document() -> dict[str, Any]:
            number = next(numbers)
            return {
                "name": f"Beleg {number}",
                "number": f"N-{number}",
                "target": customer,
                "currency": "EUR",
                "description": "dringend",
                "lines": [children[1]()],
            }

        return new_document


class TestQuotes(DocumentContract):
    resource = "billing.quote"

    @pytest.fixture
    def new_fields(
        self, customer: str, children: tuple[str, Callable[[], dict[str, Any]], str]
    ) -> Callable[[], dict[str, Any]]:
        def new_quote() -> dict[str, Any]:
            number = next(numbers)
            return {
                "name": f"Angebot {number}",
                "number": f"A-{number}",
                "target": customer,
                "discount": Decimal("2.50"),
                "customer_reference": f"B-{number}",
                "incoterm": "DAP",
                "description": "dringend",
                "lines": [children[1]()],
            }

        return new_quote


class TestSalesOrders(DocumentContract):
    resource = "billing.salesorder"


class TestInvoices(DocumentContract):
    resource = "billing.invoice"


class TestCreditNotes(DocumentContract):
    resource = "billing.creditnote"
