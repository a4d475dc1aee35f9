"""The connector contract on a real Creme CRM, for organisations and for contacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from koppel.connectors.base import Connector
from koppel.connectors.creme import CremeConnector
from koppel.connectors.http import Patience
from koppel.testing.chaos import FaultProxy
from koppel.testing.contract import ConnectorContract
from lab.creme_human import CremeHuman
from lab.system import Running

pytestmark = pytest.mark.creme
QUICK = Patience(first_wait=0.01, longest_wait=0.05)
numbers = count(1)


@pytest.fixture(scope="module")
def root(creme: Running) -> Iterator[CremeHuman]:
    human = CremeHuman(creme.url, *creme.admin, creme.koppel["token"])
    yield human
    human.close()


@pytest.fixture(scope="module")
def employer(root: CremeHuman) -> str:
    return root.create("persons.organisation", {"name": f"Arbeitgeber {next(numbers)} AG"})


class CremeContract(ConnectorContract):
    """What organisations and contacts have in common."""

    clear_field = "phone"
    match_field = "email"

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
        return connect(timeout=1.0)

    @pytest.fixture
    def human(self, root: CremeHuman) -> CremeHuman:
        return root

    @pytest.fixture
    def secrets(self, creme: Running) -> tuple[str, ...]:
        return (creme.koppel["token"],)

    @pytest.fixture
    def change(self) -> Callable[[], tuple[str, Any]]:
        return lambda: ("fax", f"+49 30 {next(numbers)}")

    @pytest.fixture
    def children(self) -> tuple[str, Callable[[], dict[str, Any]], str]:
        return "other_addresses", new_address, "city"


def new_address() -> dict[str, Any]:
    number = next(numbers)
    return {
        "address": f"Hauptstraße {number}\nHinterhaus",
        "zipcode": "50667",
        "city": f"Köln {number}",
    }


class TestOrganisations(CremeContract):
    resource = "persons.organisation"
    key_field = "name"

    @pytest.fixture
    def new_fields(self) -> Callable[[], dict[str, Any]]:
        def new_organisation() -> dict[str, Any]:
            number = next(numbers)
            return {
                "name": f"Müller {number} GmbH",
                "phone": f"+49 221 {number}",
                "email": f"info{number}@example.com",
                "billing_address": new_address(),
                "roles": ["customer"],
            }

        return new_organisation


class TestContacts(CremeContract):
    resource = "persons.contact"
    key_field = "last_name"

    @pytest.fixture
    def new_fields(self, employer: str) -> Callable[[], dict[str, Any]]:
        def new_contact() -> dict[str, Any]:
            number = next(numbers)
            return {
                "last_name": f"Çelik-Øster {number}",
                "first_name": "Zoë",
                "phone": f"+49 221 {number}",
                "email": f"zoe{number}@example.com",
                "billing_address": new_address(),
                "employer": employer,
            }

        return new_contact
