"""What the memory systems do beyond the contract: losses, references, stamps, counts, size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from koppel.connectors import registry
from koppel.connectors.base import (
    Act,
    Connector,
    Create,
    Delete,
    FieldInfo,
    Gone,
    Record,
    Refused,
    Resource,
    Unknown,
    Update,
    Written,
)
from koppel.connectors.memory import MemoryConnector, share
from koppel.connectors.memory_system import Behaviour, MemorySystem
from koppel.errors import Defect, Interrupted, NeedsUser, TryLater
from koppel.testing.chaos import FaultPlan, FaultyConnector
from koppel.testing.generated import (
    crm_fields,
    erp_fields,
    fill_crm,
    fill_erp,
    memory_crm,
    memory_erp,
    partners,
)


def create(connector: Connector, fields: dict[str, Any], resource: str = "party") -> Any:
    key = f"key {fields}"
    return connector.write([Create(resource=resource, key=key, fields=fields)])[0]


def record(outcome: Any) -> Record:
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record)
    return outcome.after


def test_a_lossy_system_cuts_trims_rounds_and_raises_to_capitals() -> None:
    lossy = Behaviour(lossy=True, upper=frozenset({"party.addresses.city"}))
    made = record(
        create(
            MemoryConnector(memory_erp(lossy)),
            {
                "name": f"  {'x' * 200}  ",
                "credit_limit": Decimal("10.005"),
                "addresses": [{"city": "Köln", "street": "Am Ring"}],
            },
        )
    )
    assert made.fields["name"] == "x" * 120
    assert made.fields["credit_limit"] == Decimal("10.01")
    assert made.fields["addresses"][0]["city"] == "KÖLN"
    assert made.fields["addresses"][0]["street"] == "Am Ring"


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"name": "x" * 121}, "name"),
        ({"name": 7}, "name"),
        ({"name": "x", "credit_limit": Decimal("1.001")}, "credit_limit"),
        ({"name": "x", "credit_limit": 1.5}, "credit_limit"),
        ({"name": "x", "person": 1}, "person"),
        ({"name": "x", "addresses": "Köln"}, "addresses"),
        ({"name": "x", "addresses": [{"id": "77", "city": "Köln"}]}, "addresses"),
        ({"name": "x", "addresses": [{"planet": "Mars"}]}, "addresses.planet"),
        ({"name": "x", "contact_mechanisms": [{"type": "phone"}]}, "contact_mechanisms.value"),
        (
            {"name": "x", "contact_mechanisms": [{"type": "pigeon", "value": "1"}]},
            "contact_mechanisms.type",
        ),
    ],
)
def test_a_strict_system_refuses_by_name(fields: dict[str, Any], blamed: str) -> None:
    outcome = create(MemoryConnector(memory_erp()), fields)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.fields) == ("invalid", (blamed,))


def test_a_reference_must_lead_somewhere_and_holds_its_target() -> None:
    connector = MemoryConnector(memory_crm())
    lost = create(connector, {"last_name": "Weiß", "organisation": "1"}, "contact")
    assert isinstance(lost, Refused)
    assert lost.fields == ("organisation",)
    parent = record(create(connector, {"name": "Weiß AG"}, "organisation"))
    child = record(create(connector, {"last_name": "Weiß", "organisation": parent.id}, "contact"))
    delete = Delete(resource="organisation", key="d", id=parent.id)
    in_use = connector.write([delete])[0]
    assert isinstance(in_use, Refused)
    assert in_use.reason == "in_use"
    connector.write([Delete(resource="contact", key="e", id=child.id)])
    assert isinstance(connector.write([delete])[0], Written)


def test_a_merge_takes_references_and_missing_values_along() -> None:
    system = memory_crm()
    connector = MemoryConnector(system)
    one = record(create(connector, {"name": "A", "phone": "1"}, "organisation"))
    two = record(create(connector, {"name": "B"}, "organisation"))
    child = record(create(connector, {"last_name": "C", "organisation": one.id}, "contact"))
    system.merge("organisation", one.id, two.id, "human")
    target = connector.fetch("organisation", [two.id])[two.id]
    assert isinstance(target, Record)
    assert (target.fields["name"], target.fields["phone"]) == ("B", "1")
    moved = connector.fetch("contact", [child.id])[child.id]
    assert isinstance(moved, Record)
    assert moved.fields["organisation"] == two.id


def test_a_taken_number_is_refused_as_a_duplicate() -> None:
    connector = MemoryConnector(memory_erp(Behaviour(unique=frozenset({"party.code"}))))
    record(create(connector, {"name": "A", "code": "7"}))
    outcome = create(connector, {"name": "B", "code": "7"})
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.fields) == ("duplicate", ("code",))


def test_children_are_found_by_their_values_as_they_change() -> None:
    connector = MemoryConnector(memory_erp())
    fields = {"name": "A", "contact_mechanisms": [{"type": "email", "value": "a@x.example"}]}
    made = record(create(connector, fields))
    match = {"contact_mechanisms.value": "a@x.example"}
    assert [one.id for one in connector.find("party", match)] == [made.id]
    update = Update(
        resource="party", key="u", id=made.id, expected=None, fields={"contact_mechanisms": []}
    )
    connector.write([update])
    assert connector.find("party", match) == []
    with pytest.raises(NeedsUser, match="pigeon"):
        connector.find("party", {"pigeon": "1"})


def test_what_was_returned_can_be_changed_without_changing_the_system() -> None:
    connector = MemoryConnector(memory_erp())
    made = record(create(connector, {"name": "A", "addresses": [{"city": "Köln"}]}))
    made.fields["addresses"][0]["city"] = "Bonn"
    made.fields["addresses"].append({})
    again = connector.fetch("party", [made.id])[made.id]
    assert isinstance(again, Record)
    assert [child["city"] for child in again.fields["addresses"]] == ["Köln"]


def test_an_action_sets_what_it_stands_for_and_is_recovered() -> None:
    document = Resource(
        name="order",
        fields=(FieldInfo(name="state", type="text"), FieldInfo(name="note", type="text")),
    )
    behaviour = Behaviour(actions={"confirm": ("state", "confirmed")})
    connector = MemoryConnector(MemorySystem("shop", [document], behaviour))
    assert connector.capabilities("order").actions == {"confirm"}
    made = record(create(connector, {"state": "draft"}, "order"))
    act = Act(resource="order", key="a", id=made.id, action="confirm", expected=made.version)
    assert connector.recover(act) is None
    confirmed = record(connector.write([act])[0])
    assert confirmed.fields["state"] == "confirmed"
    assert connector.recover(act) == Written(after=confirmed)


def test_a_clock_that_is_set_back_hides_no_change() -> None:
    times = iter([100.0, 50.0, 40.0])
    stamps = Behaviour(changes="timestamp", deletes="scan")
    connector = MemoryConnector(memory_erp(stamps, clock=lambda: next(times)))
    create(connector, {"name": "A"})
    cursor = connector.now("party")
    create(connector, {"name": "B"})
    create(connector, {"name": "C"})
    page = connector.changes("party", cursor, 10)
    assert {"2", "3"} <= {change.id for change in page.changes}
    assert page.changes[0].at is not None


def test_two_changes_in_one_second_have_two_versions() -> None:
    coarse = Behaviour(changes="timestamp", deletes="scan", lock="timestamp", grain=1.0)
    connector = MemoryConnector(memory_erp(coarse, clock=lambda: 100.0))
    made = record(create(connector, {"name": "A"}))
    update = Update(
        resource="party", key="u", id=made.id, expected=made.version, fields={"name": "B"}
    )
    changed = record(connector.write([update])[0])
    assert changed.version != made.version
    assert isinstance(connector.write([update])[0], Refused)


def test_a_caller_that_asks_for_too_much_is_a_defect() -> None:
    connector = MemoryConnector(memory_erp(Behaviour(max_fetch=2, max_write=1)))
    with pytest.raises(Defect, match="3 records"):
        connector.fetch("party", ["1", "2", "3"])
    writes = [Create(resource="party", key=str(n), fields={"name": "A"}) for n in range(2)]
    with pytest.raises(Defect, match="2 writes"):
        connector.write(writes)
    with pytest.raises(Defect, match="page of 0"):
        connector.changes("party", None, 0)
    with pytest.raises(Defect, match="cursor"):
        connector.changes("party", "moon:3", 10)


def test_calls_are_counted_and_take_their_time() -> None:
    slept: list[float] = []
    connector = MemoryConnector(memory_erp(Behaviour(latency=0.25)), sleep=slept.append)
    connector.check()
    connector.ids("party")
    connector.ids("party")
    assert connector.calls == {"check": 1, "ids": 2}
    assert slept == [0.25] * 3


def test_nothing_new_costs_the_same_for_few_and_for_many() -> None:
    for count in (10, 1000):
        system = memory_erp()
        fill_erp(system, count, contacts=0)
        connector = MemoryConnector(system)
        page = connector.changes("party", connector.now("party"), 200)
        assert (page.changes, page.more) == ((), False)
        assert connector.calls == {"now": 1, "changes": 1}


def test_the_same_seed_gives_the_same_partners() -> None:
    assert list(partners(50)) == list(partners(50))
    assert list(partners(50)) != list(partners(50, seed=2))
    assert len({partner.name for partner in partners(500)}) == 500


def test_both_systems_take_every_generated_partner() -> None:
    crm, erp = memory_crm(), memory_erp()
    fill_crm(crm, 30, contacts=2)
    fill_erp(erp, 30, contacts=2)
    assert len(crm.table("organisation").order) == len(erp.table("party").order) == 30
    assert len(crm.table("contact").order) == len(erp.table("contact").order) == 60
    first = next(partners(1))
    assert crm_fields(first)["name"] == erp_fields(first)["name"]


def test_a_shared_system_is_reached_by_its_settings() -> None:
    system = share(memory_crm(name="crm for test_memory"))
    connector = registry.connect("memory", {"system": "crm for test_memory", "user": "clara"})
    assert isinstance(connector, MemoryConnector)
    assert connector.system is system
    assert connector.check().user == "clara"
    with pytest.raises(NeedsUser, match="no memory system"):
        registry.connect("memory", {"system": "none such"})


def test_settings_that_are_missing_or_unknown_are_named() -> None:
    with pytest.raises(NeedsUser, match="missing setting system"):
        registry.connect("memory", {})
    with pytest.raises(NeedsUser, match="unknown setting colour") as caught:
        registry.connect("memory", {"system": "x", "colour": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_connector_type_that_is_not_there_is_told_with_the_nearest_name() -> None:
    assert "memory" in registry.known()
    assert [option.name for option in registry.options("memory")] == ["system", "user"]
    with pytest.raises(NeedsUser, match="Did you mean memory"):
        registry.connect("memroy", {})


# Faults at the methods of a connector.


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def faulty(plan: FaultPlan) -> FaultyConnector:
    return FaultyConnector(MemoryConnector(memory_erp()), plan)


def party(key: str) -> Create:
    return Create(resource="party", key=key, fields={"name": f"Party {key}"})


def test_trouble_in_the_middle_of_a_batch_leaves_the_rest_unknown(
    faulty: FaultyConnector, plan: FaultPlan
) -> None:
    batch = [party("a"), party("b"), party("c")]
    with plan.fault("refuse", after=1):
        outcomes = faulty.write(batch)
    assert [type(outcome) for outcome in outcomes] == [Written, Unknown, Unknown]
    assert [faulty.recover(write) is None for write in batch] == [False, True, True]
    with plan.fault("refuse"), pytest.raises(TryLater):
        faulty.write(batch)


def killed_everywhere(scenario: Callable[[FaultyConnector], None]) -> Iterator[FaultyConnector]:
    """The scenario on a fresh system, killed at each boundary in turn."""
    whole = FaultyConnector(MemoryConnector(memory_erp()))
    scenario(whole)
    for boundary in range(1, whole.plan.boundary + 1):
        connector = FaultyConnector(MemoryConnector(memory_erp()))
        connector.plan.kill_at(boundary)
        with pytest.raises(Interrupted):
            scenario(connector)
        yield connector


def test_a_scenario_is_killed_at_each_of_its_boundaries() -> None:
    batch = [party("a"), party("b")]

    def scenario(connector: FaultyConnector) -> None:
        connector.write(batch)
        connector.fetch("party", ["1"])

    made = []
    for connector in killed_everywhere(scenario):
        made.append(len(connector.ids("party").items))
        again = [connector.recover(write) for write in batch]
        missing = [write for write, found in zip(batch, again, strict=True) if found is None]
        connector.write(missing)
        assert len(connector.ids("party").items) == 2
    assert made == [0, 1, 1, 2, 2, 2]


def test_a_lost_delete_is_found_again(faulty: FaultyConnector, plan: FaultPlan) -> None:
    made = record(faulty.write([party("a")])[0])
    delete = Delete(resource="party", key="d", id=made.id, expected=made.version)
    with plan.fault("drop_reply", match="write"):
        assert isinstance(faulty.write([delete])[0], Unknown)
    found = faulty.recover(delete)
    assert isinstance(found, Written)
    assert isinstance(found.after, Gone)
