"""The connector contract on a real Tryton, for sales."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from koppel.connectors.base import Connector
from koppel.connectors.http import Patience
from koppel.connectors.tryton import TrytonConnector
from koppel.testing.chaos import FaultProxy
from koppel.testing.contract import ConnectorContract
from lab.system import Running
from lab.tryton_sales_human import TrytonSalesHuman

QUICK = Patience(first_wait=0.01, longest_wait=0.05)
numbers = count(1)
run = uuid4().hex[:6]


@pytest.fixture(scope="module")
def clerk(tryton: Running) -> Iterator[TrytonSalesHuman]:
    human = TrytonSalesHuman.admin(tryton)
    yield human
    human.close()


@pytest.fixture(scope="module")
def customer(clerk: TrytonSalesHuman) -> str:
    return clerk.people.create(
        "party.party", {"name": f"Kunde {run} GmbH", "addresses": [{"street": "Hafen 1"}]}
    )


@pytest.fixture(scope="module")
def proxy(tryton: Running) -> Iterator[FaultProxy]:
    with FaultProxy(tryton.url) as running:
        yield running


@pytest.fixture(scope="module")
def connect(tryton: Running, proxy: FaultProxy) -> Iterator[Callable[..., Connector]]:
    made: list[TrytonConnector] = []

    def connect(**options: Any) -> Connector:
        settings = {**tryton.koppel, "url": proxy.url, "patience": QUICK, "overlap_seconds": 5}
        made.append(TrytonConnector(**{**settings, **options}))
        return made[-1]

    yield connect
    for connector in made:
        connector.close()


@pytest.fixture(scope="module")
def shared(connect: Callable[..., Connector]) -> Connector:
    return connect()


class TestSales(ConnectorContract):
    resource = "sale.sale"
    key_field = "reference"
    clear_field = "comment"
    match_field: ClassVar[str] = "description"

    @pytest.fixture
    def faults(self, proxy: FaultProxy) -> Iterator[FaultProxy]:
        yield proxy
        proxy.clear()

    @pytest.fixture
    def connector(self, shared: Connector) -> Connector:
        return shared

    @pytest.fixture
    def reconnect(self, connect: Callable[..., Connector]) -> Callable[[], Connector]:
        return connect

    @pytest.fixture
    def impatient(self, connect: Callable[..., Connector]) -> Connector:
        return connect(timeout=3.0)

    @pytest.fixture
    def human(self, clerk: TrytonSalesHuman) -> TrytonSalesHuman:
        return clerk

    @pytest.fixture
    def secrets(self, tryton: Running) -> tuple[str, ...]:
        return (tryton.koppel["password"],)

    @pytest.fixture
    def new_fields(self, customer: str) -> Callable[[], dict[str, Any]]:
        return lambda: {
            "party": customer,
            "reference": f"PO {run} {next(numbers)}",
            "description": f"Order {run} {next(numbers)}",
            "comment": "By lorry, please",
            "lines": [new_line(), {"type": "comment", "description": "One pallet"}],
        }

    @pytest.fixture
    def change(self) -> Callable[[], tuple[str, Any]]:
        return lambda: ("reference", f"Renamed {run} {next(numbers)}")

    @pytest.fixture
    def children(self) -> tuple[str, Callable[[], dict[str, Any]], str]:
        return "lines", new_line, "description"


def new_line() -> dict[str, Any]:
    return {
        "type": "line",
        "description": f"Pipe, cut to measure {next(numbers)}",
        "quantity": Decimal("2"),
        "unit_price": Decimal("12.50"),
    }
