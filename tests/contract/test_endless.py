"""The contract on systems that make their records on demand, and that they hold only edits."""

from __future__ import annotations

import pytest

from koppel.connectors.base import Record
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour, MemorySystem
from koppel.testing.endless import endless_crm, endless_erp
from tests.contract import test_memory as memory

MILLION = 1_000_000


class TestEndlessErp(memory.TestMemoryErp):
    @pytest.fixture(params=["default", "never deletes"])
    def behaviour(self, request: pytest.FixtureRequest) -> Behaviour:
        return memory.VARIANTS[request.param]

    @pytest.fixture
    def system(self, behaviour: Behaviour) -> MemorySystem:
        return endless_erp(7, behaviour)


def test_a_record_is_the_same_whenever_it_is_asked_for() -> None:
    one, two = (MemoryConnector(endless_erp(MILLION)) for _ in range(2))
    ids = ["1", "77", "1000000"]
    assert one.fetch("party", ids) == two.fetch("party", ids[::-1])
    assert len({record.fields["name"] for record in _records(one, ids)}) == 3


def test_both_systems_know_the_same_companies_under_their_numbers() -> None:
    crm, erp = MemoryConnector(endless_crm(MILLION)), MemoryConnector(endless_erp(MILLION))
    (organisation,) = crm.fetch("organisation", ["4711"]).values()
    (party,) = erp.fetch("party", ["4711"]).values()
    assert isinstance(organisation, Record)
    assert isinstance(party, Record)
    assert organisation.fields["name"] == party.fields["name"]
    assert organisation.fields["customer_number"] == party.fields["code"]


def test_only_what_was_changed_is_held() -> None:
    system = endless_erp(MILLION)
    connector = MemoryConnector(system)
    page = connector.ids("party")
    assert len(page.items) == Behaviour().ids_page
    assert page.next is not None
    now = connector.now("party")
    system.update("party", "1000000", {"name": "Neu"}, "human")
    assert system.held == 1
    assert [one.id for one in connector.changes("party", now, 10).changes] == ["1000000"]
    (record,) = _records(connector, ["1000000"])
    assert record.fields["name"] == "Neu"
    assert record.fields["addresses"]


def test_who_is_created_gets_the_next_number() -> None:
    system = endless_erp(3)
    assert system.create("party", {"name": "Vier"}, "human").id == "4"
    assert [row.id for row in system.table("party").living()] == ["1", "2", "3", "4"]


def _records(connector: MemoryConnector, ids: list[str]) -> list[Record]:
    found = connector.fetch("party", ids).values()
    return [record for record in found if isinstance(record, Record)]
