"""The contract on the memory connector: the default, and each mix of capabilities."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from koppel.connectors.base import Connector
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour, MemorySystem
from koppel.testing.chaos import FaultPlan, FaultyConnector
from koppel.testing.contract import ConnectorContract, Faults
from koppel.testing.generated import memory_crm, memory_erp
from koppel.testing.human import Human, MemoryHuman

VARIANTS = {
    "default": Behaviour(),
    "stamps": Behaviour(changes="timestamp", deletes="tombstone", lock="timestamp"),
    "coarse stamps": Behaviour(
        changes="timestamp", deletes="scan", lock="timestamp", grain=1.0, create_key="external_id"
    ),
    "overlapping stamps": Behaviour(
        changes="timestamp", deletes="tombstone", grain=1.0, overlap_seconds=5
    ),
    "scan": Behaviour(changes="scan", deletes="scan", lock="none", create_key="lookup"),
    "lossy": Behaviour(
        lossy=True, upper=frozenset({"organisation.billing_city", "party.addresses.city"})
    ),
    "unordered": Behaviour(unordered=True, create_key="external_id"),
    "never deletes": Behaviour(deletes="never"),
    "no trash, one at a time": Behaviour(trash=False, max_write=1, max_fetch=2, ids_page=2),
    "drops unknown fields": Behaviour(drop_unknown=True, unique=frozenset({"party.code"})),
}


def ticking(step: float = 0.3) -> Callable[[], float]:
    """A clock that moves on by `step` seconds whenever somebody looks."""
    seconds = itertools.count()
    return lambda: 1_790_000_000 + next(seconds) * step


class MemoryContract(ConnectorContract):
    """What both memory systems give to the suite."""

    clear_field = "payment_term"
    match_field = "payment_term"

    @pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
    def behaviour(self, request: pytest.FixtureRequest) -> Behaviour:
        behaviour: Behaviour = request.param
        return behaviour

    @pytest.fixture
    def faults(self) -> Faults:
        return FaultPlan()

    @pytest.fixture
    def connector(self, system: MemorySystem, faults: FaultPlan) -> Connector:
        return FaultyConnector(MemoryConnector(system), faults)

    @pytest.fixture
    def reconnect(self, system: MemorySystem) -> Callable[[], Connector]:
        return lambda: MemoryConnector(system)

    @pytest.fixture
    def human(self, system: MemorySystem) -> Human:
        return MemoryHuman(system)

    @pytest.fixture
    def numbers(self) -> Iterator[int]:
        return itertools.count(1)

    @pytest.fixture
    def change(self, numbers: Iterator[int]) -> Callable[[], tuple[str, Any]]:
        return lambda: ("payment_term", f"net {next(numbers)}")


class TestMemoryErp(MemoryContract):
    resource = "party"
    key_field = "name"

    @pytest.fixture
    def system(self, behaviour: Behaviour) -> MemorySystem:
        return memory_erp(behaviour, clock=ticking() if behaviour.grain else None)

    @pytest.fixture
    def new_fields(self, numbers: Iterator[int]) -> Callable[[], dict[str, Any]]:
        def fields() -> dict[str, Any]:
            number = next(numbers)
            return {
                "name": f"Müller {number}",
                "code": f"C{number}",
                "payment_term": f"net {number}",
                "addresses": [{"street": f"Hauptstraße {number}", "city": "Köln"}],
                "contact_mechanisms": [{"type": "phone", "value": f"+49221{number}"}],
            }

        return fields

    @pytest.fixture
    def children(self, numbers: Iterator[int]) -> tuple[str, Callable[[], dict[str, Any]], str]:
        return "addresses", lambda: {"street": f"Ring {next(numbers)}", "city": "BONN"}, "street"


class TestMemoryCrm(MemoryContract):
    resource = "organisation"
    key_field = "name"

    @pytest.fixture(params=["default", "coarse stamps", "lossy"])
    def behaviour(self, request: pytest.FixtureRequest) -> Behaviour:
        return VARIANTS[request.param]

    @pytest.fixture
    def system(self, behaviour: Behaviour) -> MemorySystem:
        return memory_crm(behaviour, clock=ticking() if behaviour.grain else None)

    @pytest.fixture
    def new_fields(self, numbers: Iterator[int]) -> Callable[[], dict[str, Any]]:
        def fields() -> dict[str, Any]:
            number = next(numbers)
            return {
                "name": f"Mueller {number}",
                "role": "prospect",
                "payment_term": f"net {number}",
                "billing_city": "Köln",
            }

        return fields
