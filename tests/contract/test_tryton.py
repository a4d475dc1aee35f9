"""The connector contract on a real Tryton, for parties and for contact persons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, ClassVar

import pytest

from koppel.connectors.base import Connector
from koppel.connectors.http import Patience
from koppel.connectors.tryton import TrytonConnector
from koppel.testing.chaos import FaultProxy
from koppel.testing.contract import ConnectorContract
from lab.system import Running
from lab.tryton import TrytonLab
from lab.tryton_human import TrytonHuman

pytestmark = pytest.mark.tryton
QUICK = Patience(first_wait=0.01, longest_wait=0.05)
numbers = count(1)


@pytest.fixture(scope="module")
def tryton() -> Iterator[Running]:
    lab = TrytonLab(attached=True)
    lab.reset("contract", "bare")
    yield lab.start("contract", "bare")
    lab.stop("contract")


@pytest.fixture(scope="module")
def admin(tryton: Running) -> Iterator[TrytonHuman]:
    human = TrytonHuman.admin(tryton)
    yield human
    human.close()


class TrytonContract(ConnectorContract):
    """What parties and contacts have in common."""

    key_field = "name"
    clear_field = "lang"

    @pytest.fixture
    def faults(self, tryton: Running) -> Iterator[FaultProxy]:
        with FaultProxy(tryton.url) as proxy:
            yield proxy

    @pytest.fixture
    def connect(self, tryton: Running, faults: FaultProxy) -> Iterator[Callable[..., Connector]]:
        made: list[TrytonConnector] = []

        def connect(**options: Any) -> Connector:
            settings = {**tryton.koppel, "url": faults.url, "patience": QUICK, **options}
            made.append(TrytonConnector(**settings))
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
        return connect(timeout=1.0)

    @pytest.fixture
    def human(self, admin: TrytonHuman) -> TrytonHuman:
        return admin

    @pytest.fixture
    def secrets(self, tryton: Running) -> tuple[str, ...]:
        return (tryton.koppel["password"],)

    @pytest.fixture
    def new_fields(self) -> Callable[[], dict[str, Any]]:
        return new_party

    @pytest.fixture
    def change(self) -> Callable[[], tuple[str, Any]]:
        return lambda: ("name", f"Renamed {next(numbers)}")

    @pytest.fixture
    def children(self) -> tuple[str, Callable[[], dict[str, Any]], str]:
        return "addresses", new_address, "street"


def new_address() -> dict[str, Any]:
    return {"street": f"Hauptstraße {next(numbers)}", "city": "Köln", "country": "DE"}


def new_party() -> dict[str, Any]:
    number = next(numbers)
    return {
        "name": f"Müller {number} GmbH",
        "lang": "de",
        "addresses": [new_address()],
        "contact_mechanisms": [{"type": "email", "value": f"info{number}@example.com"}],
        "identifiers": [{"type": "eu_vat", "code": "DE136695976"}],
    }


class TestParties(TrytonContract):
    resource = "party.party"
    match_field: ClassVar[str] = "code"

    @pytest.fixture
    def new_fields(self) -> Callable[[], dict[str, Any]]:
        return lambda: {**new_party(), "code": f"K{next(numbers):05}"}


class TestContacts(TrytonContract):
    resource = "party.contact"

    @pytest.fixture(scope="class")
    def employer(self, admin: TrytonHuman) -> str:
        return admin.create("party.party", new_party())

    @pytest.fixture
    def new_fields(self, employer: str) -> Callable[[], dict[str, Any]]:
        return lambda: {**new_party(), "employer": employer}
