"""A first load into a system that holds nothing is planned while it is read, and plans the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from koppel.connectors.base import Connector
from koppel.engine import standing
from koppel.engine.planner import steps_of
from koppel.errors import NeedsUser
from koppel.store.models import Run
from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.pair import PairOfSystems, make_pair

SIZE = 1500
"""More than are brought to the store together, in more pages than are read ahead."""
EARLY = 7
"""The page of changes before which somebody is at work: later ones tell of it."""


@pytest.fixture
def pair(tmp_path: Path, store_template: Path) -> PairOfSystems:
    pair = make_pair(tmp_path, store_template, entities=("partner",))
    for partner in partners(SIZE):
        pair.erp_human.create("party", erp_fields(partner))
    return pair


class Meanwhile:
    """Lets somebody work while a page of changes is asked for."""

    def __init__(self, inner: Connector, act: Callable[[], Any]) -> None:
        self._inner = inner
        self._act = act
        self._asked = 0

    def changes(self, *arguments: Any) -> Any:
        self._asked += 1
        if self._asked == EARLY:
            self._act()
        return self._inner.changes(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def plan(pair: PairOfSystems, meanwhile: Callable[[], Any] = lambda: None) -> Run:
    def wrap(name: str, inner: Connector) -> Any:
        return Meanwhile(inner, meanwhile) if name == "erp" else inner

    pair.wrap = wrap
    return pair.engine().plan()


def first(pair: PairOfSystems) -> str:
    return next(iter(pair.erp.table("party").living())).id


def creates(pair: PairOfSystems, run: Run) -> list[dict[str, Any]]:
    """What is to be made, without what numbers and names it in this plan."""
    steps = [step for step in steps_of(pair.store, run) if step.kind == "create" and step.erp_id]
    return [{**asdict(step), "number": 0, "coupling": ""} for step in steps]


def carried_out(pair: PairOfSystems, run: Run) -> None:
    pair.engine().apply(run, approve=True)
    assert pair.sync().counts["writes"] == 0


def test_drafts_are_what_a_plan_is_that_looks_for_matches(pair: PairOfSystems) -> None:
    drafted = plan(pair)
    # A stranger over there: what is here has to be laid beside what is there.
    pair.crm_human.create("organisation", {"name": "Zwölf Monde Gesellschaft"})
    looked_for = plan(pair)
    assert drafted.counts["partner"]["create"] == SIZE
    assert creates(pair, drafted) == creates(pair, looked_for)


def test_a_first_load_is_carried_out_and_then_nothing_is_left(pair: PairOfSystems) -> None:
    carried_out(pair, plan(pair))
    assert pair.store.couplings.count("partner", "active") == SIZE
    assert len(list(pair.crm.table("organisation").living())) == SIZE


def test_who_was_edited_while_others_were_read_is_planned_as_it_is_now(pair: PairOfSystems) -> None:
    record = first(pair)
    run = plan(pair, lambda: pair.erp_human.edit("party", record, {"name": "Neu & Söhne"}))
    made = [step for step in steps_of(pair.store, run) if step.erp_id == record]
    assert [step.body.writes["crm"]["name"] for step in made] == ["Neu & Söhne"]
    assert run.counts["partner"]["create"] == SIZE
    assert [step.number for step in steps_of(pair.store, run)] == list(range(1, SIZE + 1))
    carried_out(pair, run)


def test_who_went_while_others_were_read_is_not_made(pair: PairOfSystems) -> None:
    record = first(pair)
    run = plan(pair, lambda: pair.erp_human.delete("party", record))
    assert record not in {step.erp_id for step in steps_of(pair.store, run)}
    assert run.counts["partner"]["create"] == SIZE - 1
    carried_out(pair, run)


def test_who_came_to_the_other_side_meanwhile_is_coupled_and_not_made_twice(
    pair: PairOfSystems,
) -> None:
    twin = crm_fields(next(iter(partners(1))))
    run = plan(pair, lambda: pair.crm_human.create("organisation", twin))
    assert run.counts["partner"]["couple"] == 1
    assert run.counts["partner"]["create"] == SIZE - 1
    carried_out(pair, run)
    assert len(list(pair.crm.table("organisation").living())) == SIZE


def test_a_plan_of_all_that_a_system_holds_is_checked_by_a_sweep(pair: PairOfSystems) -> None:
    run = plan(pair)
    asked = pair.connectors["erp"].calls
    before = asked["fetch"], asked["ids"]
    pair.engine().apply(run, approve=True)
    assert (asked["fetch"] - before[0], asked["ids"] - before[1]) == (0, 1)


def test_two_systems_that_hold_nothing_are_asked_for_that_once(
    tmp_path: Path, store_template: Path
) -> None:
    pair = make_pair(tmp_path, store_template, entities=("partner",))
    pair.sync()
    asked = [connector.calls["ids"] for connector in pair.connectors.values()]
    pair.sync()
    assert [connector.calls["ids"] for connector in pair.connectors.values()] == asked


@pytest.mark.parametrize("what", ["edited", "gone"])
def test_the_sweep_finds_who_has_changed_since_the_plan(pair: PairOfSystems, what: str) -> None:
    assert standing.MANY <= SIZE
    run = plan(pair)
    if what == "edited":
        pair.erp_human.edit("party", first(pair), {"name": "Neu & Söhne"})
    else:
        pair.erp_human.delete("party", first(pair))
    with pytest.raises(NeedsUser, match="1 records have changed"):
        pair.engine().apply(run, approve=True)
    assert not list(pair.crm.table("organisation").living())
