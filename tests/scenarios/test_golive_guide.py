"""The guided introduction on two systems in memory: each step done, shown, repeated and undone."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.engine import schedules
from koppel.engine.guide import NAMES, Guide, coming, standings
from koppel.engine.polling import Polling
from koppel.engine.runner import steps_of
from koppel.errors import Interrupted, NeedsUser
from koppel.mapping.faults import DocumentFaults
from koppel.testing.generated import crm_fields, fill_crm, fill_erp, partners
from tests.scenarios.pair import PairOfSystems


@pytest.fixture
def filled(pair: PairOfSystems) -> PairOfSystems:
    """Thirty partners in the ERP, ten of them in the CRM too, one of these twice."""
    fill_crm(pair.crm, 10)
    fill_erp(pair.erp, 30)
    pair.crm_human.create("organisation", crm_fields(next(iter(partners(1)))))
    return pair


def guide(pair: PairOfSystems) -> Guide:
    return Guide(pair.engine(), user="ada")


def states(pair: PairOfSystems) -> dict[str, str]:
    return {one.step.name: one.state for one in standings(pair.store)}


def contents(pair: PairOfSystems) -> dict[str, Any]:
    """All living records of both systems."""
    return {
        name: {row.id: dict(row.fields) for row in system.table(name).living()}
        for system in (pair.crm, pair.erp)
        for name in system.tables
        if system.table(name).rows
    }


def through(pair: PairOfSystems, last: str) -> Guide:
    """All steps up to this one."""
    steps = guide(pair)
    for name in NAMES[: NAMES.index(last) + 1]:
        if name == "schedules":
            steps.schedules(zone="Europe/Berlin", batch="30 2 * * *", audit="30 4 * * *")
        else:
            getattr(steps, name)()
    return steps


def test_all_steps_lead_from_two_connections_to_a_coupling_that_runs(filled: PairOfSystems) -> None:
    assert set(states(filled).values()) == {"open"}
    through(filled, "schedules")
    assert set(states(filled).values()) == {"done"}
    assert coming(filled.store) is None
    loaded = filled.store.guide.last("load")
    assert loaded is not None
    assert loaded.by == "ada"
    assert loaded.result["in_step"]
    assert loaded.result["coupled"]["partner"] == 29
    assert filled.sync().counts["writes"] == 0


def test_nothing_is_written_before_the_sample(filled: PairOfSystems) -> None:
    before = contents(filled)
    through(filled, "plan")
    assert contents(filled) == before
    assert not any(filled.connectors[side].calls["write"] for side in filled.connectors)
    planned = filled.store.guide.last("plan")
    assert planned is not None
    assert planned.result["kinds"]["partner"]["create"] == 20
    assert planned.result["first"][0]["changes"]
    assert filled.store.couplings.count() == 0


def test_the_matching_puts_doubtful_pairs_to_a_person_and_heeds_the_answer(
    filled: PairOfSystems,
) -> None:
    steps = through(filled, "match")
    matched = filled.store.guide.last("match")
    assert matched is not None
    assert matched.result["proposed"] == matched.result["open"] == 2
    one, other = filled.store.inbox.reviews()
    filled.store.inbox.answer(one.id, "same", by="ada")
    filled.store.inbox.answer(other.id, "different", by="ada")
    again = steps.match()
    assert again.result["open"] == 0
    steps.undo("match")
    assert states(filled)["match"] == "undone"
    assert filled.store.inbox.answers("partner") == {}
    assert steps.match().result["open"] == 2


def test_a_sample_names_its_records_and_is_taken_back_without_a_trace(
    filled: PairOfSystems,
) -> None:
    before = contents(filled)
    steps = through(filled, "plan")
    done = steps.sample(5)
    assert len(done.result["records"]) == 5
    assert all(one["crm"]["id"] and one["erp"]["id"] for one in done.result["records"])
    assert contents(filled) != before
    back = steps.undo("sample")
    assert contents(filled) == before
    assert back.result["freed"] == 5
    assert filled.store.couplings.count() == 0
    assert len(steps.sample(7).result["records"]) == 7
    assert steps.load().result["in_step"]


def test_a_load_is_taken_back_whole_and_made_again(filled: PairOfSystems) -> None:
    before = contents(filled)
    steps = through(filled, "load")
    after = filled.store.couplings.count("partner", "active")
    steps.undo("load")
    steps.undo("sample")
    assert contents(filled) == before
    assert filled.store.couplings.count() == 0
    assert states(filled)["load"] == "undone"
    steps.plan()
    steps.load()
    assert filled.store.couplings.count("partner", "active") == after
    assert filled.sync().counts["writes"] == 0


def test_what_a_person_edited_since_is_left_and_named(filled: PairOfSystems) -> None:
    steps = through(filled, "load")
    loaded = filled.store.guide.last("load")
    assert loaded is not None
    *_, made = steps_of(filled.store, loaded.result["runs"][0], kinds=("create",))
    (row,) = filled.store.couplings.by_id([made.coupling]).values()
    resource = "organisation" if made.entity == "partner" else "contact"
    filled.crm_human.edit(resource, str(row.crm_id), {"phone": "+49 30 5550009"})
    back = steps.undo("load")
    assert f"{row.label}: 'phone' was edited since; the new record stays." in back.result["kept"]
    read = filled.crm_human.read(resource, str(row.crm_id))
    assert read is not None
    assert read["phone"] == "+49 30 5550009"
    assert made.coupling in filled.store.couplings.by_id([made.coupling])


def test_a_killed_load_goes_on_and_is_taken_back_with_what_it_had_written(
    filled: PairOfSystems,
) -> None:
    before = contents(filled)
    steps = through(filled, "plan")
    seen: list[str] = []

    def kill(name: str) -> None:
        seen.append(name)
        if name == "written to crm":
            raise Interrupted("killed")

    filled.boundary = kill
    with pytest.raises(Interrupted):
        steps.load()
    filled.boundary = lambda name: None
    assert states(filled)["load"] == "open"
    steps = guide(filled)
    assert steps.load().result["in_step"]
    steps.undo("load")
    assert contents(filled) == before


def test_a_step_is_to_be_repeated_when_one_before_it_was(filled: PairOfSystems) -> None:
    steps = through(filled, "plan")
    steps.owners()
    assert states(filled) == {
        "connect": "done", "assess": "done", "owners": "done", "match": "again",
        "plan": "again", "sample": "open", "load": "open", "schedules": "open",
    }  # fmt: skip
    following = coming(filled.store)
    assert following is not None
    assert following.step.name == "match"


def test_nothing_is_loaded_before_a_dry_run(filled: PairOfSystems) -> None:
    with pytest.raises(NeedsUser, match="'plan' comes first"):
        guide(filled).load()
    with pytest.raises(NeedsUser, match="'assess' comes first"):
        guide(filled).owners()
    with pytest.raises(NeedsUser, match="no step 'loda'"):
        guide(filled).undo("loda")
    with pytest.raises(NeedsUser, match="nothing to undo"):
        guide(filled).undo("load")


def test_edited_rules_are_checked_at_once_and_put_back_by_undo(filled: PairOfSystems) -> None:
    steps = through(filled, "assess")
    before = filled.store.documents.get("rule", "partner") or ""
    wrong = before.replace('phone = { owner = "shared"', 'phone = { owner = "sales"')
    with pytest.raises(DocumentFaults, match="owner"):
        steps.owners({"partner": wrong})
    unfit = before.replace('crm = "crm"', 'crm = "sap"')
    with pytest.raises(NeedsUser, match="no connection called 'sap'"):
        steps.owners({"partner": unfit})
    assert filled.store.documents.get("rule", "partner") == before
    assert states(filled)["owners"] == "failed"
    edited = before.replace(
        'phone = { owner = "shared", policy = "ask" }', 'phone = { owner = "crm" }'
    )
    assert edited != before
    steps.owners({"partner": edited})
    assert filled.store.documents.get("rule", "partner") == edited
    steps.undo("owners")
    assert filled.store.documents.get("rule", "partner") == before


def test_schedules_are_switched_on_and_off(filled: PairOfSystems) -> None:
    steps = through(filled, "schedules")
    text = filled.store.documents.get("schedule", "koppel") or ""
    assert "nightly" in text
    steps.undo("schedules")
    assert filled.store.documents.get("schedule", "koppel") == ""
    with pytest.raises(DocumentFaults, match="no time zone"):
        steps.schedules(zone="Nowhere", batch="", audit="")


def test_connections_in_use_are_not_forgotten(filled: PairOfSystems) -> None:
    steps = through(filled, "load")
    with pytest.raises(NeedsUser, match="are coupled over these connections"):
        steps.undo("connect")
    steps.undo("load")
    steps.undo("sample")
    assert steps.undo("connect").result["removed"] == ["crm", "erp"]
    with pytest.raises(NeedsUser, match="two connections are needed"):
        guide(filled).connect()


def test_while_the_introduction_is_under_way_nothing_runs_by_itself(filled: PairOfSystems) -> None:
    polling = Polling(filled.store, filled.store.clock, 5.0)
    polling.follow()
    assert polling.due() == ["crm", "erp"]
    steps = through(filled, "assess")
    assert polling.due() == []
    assert polling.introduction
    found = schedules.save(filled.store, '[jobs.n]\nrun = "sync"\ncron = "* * * * *"', user="ada")
    ended = schedules.run_and_keep(filled.engine(), found.jobs["n"], None)
    assert ended is not None
    assert (ended.state, ended.text) == ("held", "the introduction is under way")
    steps.skip("load")
    assert polling.due() == ["crm", "erp"]
    steps.undo("load")
    assert polling.due() == []
