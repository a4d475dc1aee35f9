"""The connector contract on a real Tryton, for parties and for contact persons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from lab.tryton_human import TrytonHuman

QUICK = Patience(attempts=2, first_wait=0.01, longest_wait=0.05)
numbers = count(1)
run = uuid4().hex[:6]


@pytest.fixture(scope="module")
def admin(tryton: Running) -> Iterator[TrytonHuman]:
    human = TrytonHuman.admin(tryton)
    yield human
    human.close()


@pytest.fixture(scope="module")
def proxy(tryton: Running) -> Iterator[FaultProxy]:
    with FaultProxy(tryton.url) as running:
        yield running


@pytest.fixture(scope="module")
def connect(tryton: Running, proxy: FaultProxy) -> Iterator[Callable[..., Connector]]:
    """Makes connectors through the proxy. To log in takes long, so tests share what they can."""
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


@pytest.fixture(scope="module")
def plain(connect: Callable[..., Connector]) -> Connector:
    return connect(use_module=False)


class TrytonContract(ConnectorContract):
    """What parties and contacts have in common."""

    key_field = "name"
    clear_field = "lang"

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
        return connect(timeout=2.0)

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
        return lambda: ("name", f"Renamed {run} {next(numbers)}")

    @pytest.fixture
    def children(self) -> tuple[str, Callable[[], dict[str, Any]], str]:
        return "addresses", new_address, "street"


def new_address() -> dict[str, Any]:
    return {"street": f"Hauptstraße {next(numbers)}", "city": "Köln", "country": "DE"}


def new_party() -> dict[str, Any]:
    number = next(numbers)
    return {
        "name": f"Müller {run} {number} GmbH",
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
        return lambda: {**new_party(), "code": f"K{run}{next(numbers):05}"}


class TestContacts(TrytonContract):
    resource = "party.contact"
    match_field: ClassVar[str] = "code"

    @pytest.fixture
    def employer(self, admin: TrytonHuman) -> str:
        return admin.create("party.party", new_party())

    @pytest.fixture
    def new_fields(self, employer: str) -> Callable[[], dict[str, Any]]:
        return lambda: {**new_party(), "code": f"K{run}{next(numbers):05}", "employer": employer}


class TestPartiesWithoutTheModule(TestParties):
    """The same where the server lacks Koppel's own module."""

    @pytest.fixture
    def connector(self, plain: Connector) -> Connector:
        return plain

    @pytest.fixture
    def reconnect(self, connect: Callable[..., Connector]) -> Callable[[], Connector]:
        return lambda: connect(use_module=False)

    @pytest.fixture
    def impatient(self, connect: Callable[..., Connector]) -> Connector:
        return connect(use_module=False, timeout=2.0)
