"""Killed at every boundary of a run, and at every fault of every call: nothing lost or doubled.

The boundaries are enumerated, not sampled: a run is killed at its first boundary, then at its
second, and so on until it gets through. After each kill a new engine, as after a restart, must end
in the very same state as a run that nobody disturbed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from koppel.engine.load import Fill, plan_load
from koppel.errors import Interrupted, TryLater
from koppel.testing.chaos import FaultPlan, FaultyConnector, Kind
from koppel.testing.generated import contact_fields, crm_fields, erp_fields, partners
from tests.scenarios.pair import PairOfSystems, make_pair

SIZE = 4


def fill(pair: PairOfSystems) -> None:
    """Two coupled by match, one only in each system, one prospect; each with a contact."""
    people = list(partners(SIZE + 1))
    for place, partner in enumerate(people):
        if place != 2:
            role = "prospect" if place == SIZE else "customer"
            crm = pair.crm_human.create("organisation", crm_fields(partner, role=role))
            fields = contact_fields(partner.contacts[0], "organisation", crm)
            pair.crm_human.create("contact", fields)
        if place not in (3, SIZE):
            erp = pair.erp_human.create("party", erp_fields(partner))
            pair.erp_human.create("contact", contact_fields(partner.contacts[0], "party", erp))


def edit(pair: PairOfSystems) -> None:
    """People at work on both sides: changes each way, a promotion, a new name."""
    crm = {str(row.fields["name"]): id for id, row in pair.crm.table("organisation").rows.items()}
    erp = {str(row.fields["name"]): id for id, row in pair.erp.table("party").rows.items()}
    names = [partner.name for partner in partners(SIZE + 1)]
    pair.crm_human.edit("organisation", crm[names[0]], {"phone": "+49 221 5550100"})
    pair.erp_human.edit("party", erp[names[1]], {"payment_term": "net 60"})
    pair.crm_human.edit("organisation", crm[names[1]], {"email": "new@crm.example"})
    pair.crm_human.edit("organisation", crm[names[SIZE]], {"role": "customer"})
    pair.erp_human.edit("party", erp[names[2]], {"name": "Renamed GmbH"})


def state(pair: PairOfSystems) -> dict[str, object]:
    """Both systems and the couplings, in terms that do not depend on ids."""

    def living(pair_side: object, resource: str) -> list[tuple[object, ...]]:
        table = pair_side.table(resource)  # type: ignore[attr-defined]
        rows = [row.fields for row in table.rows.values() if not row.gone]
        return sorted((without_ids(fields) for fields in rows), key=repr)

    return {
        "organisations": living(pair.crm, "organisation"),
        "crm contacts": len(living(pair.crm, "contact")),
        "parties": living(pair.erp, "party"),
        "erp contacts": len(living(pair.erp, "contact")),
        "partners": pair.store.couplings.count("partner", "active"),
        "contacts": pair.store.couplings.count("contact", "active"),
        "conflicts": sorted(c.field for c in pair.store.inbox.conflicts()),
        "open": len(pair.store.journal.open_intents()),
        "quarantine": len(pair.store.inbox.quarantine()),
    }


def without_ids(value: object) -> object:
    """Ids are given in the order of work, which a kill changes; numbers likewise."""
    if isinstance(value, dict):
        skip = ("id", "organisation", "party", "code", "customer_number")
        return {key: without_ids(item) for key, item in value.items() if key not in skip}
    if isinstance(value, list):
        return [without_ids(item) for item in value]
    return value


class Rig:
    """A pair whose connectors and engine share one plan of faults and kills."""

    def __init__(self, folder: Path, template: Path) -> None:
        folder.mkdir(parents=True)
        self.plan = FaultPlan()
        self.pair = make_pair(folder, template)
        self.pair.wrap = lambda name, inner: FaultyConnector(inner, self.plan)
        self.pair.boundary = lambda name: self.plan.end()

    def until_done(self) -> None:
        """Run until everything is in step; a system that is away is asked again."""
        for _ in range(6):
            try:
                run = self.pair.sync()
            except TryLater:
                continue
            if run.state == "done" and not run.counts.get("writes"):
                return
        raise AssertionError("the pair does not come to rest")


def undisturbed(folder: Path, template: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What it comes to when nobody disturbs: after the first coupling, and after the edits."""
    rig = Rig(folder, template)
    fill(rig.pair)
    rig.until_done()
    first = state(rig.pair)
    edit(rig.pair)
    rig.until_done()
    return first, state(rig.pair)


def test_a_first_coupling_killed_at_any_boundary_ends_as_if_undisturbed(
    tmp_path: Path, store_template: Path
) -> None:
    expected = undisturbed(tmp_path / "calm", store_template)
    killed = 0
    while True:
        rig = Rig(tmp_path / f"kill-{killed + 1}", store_template)
        rig.plan.kill_at(killed + 1)
        fill(rig.pair)
        try:
            rig.pair.sync()
        except Interrupted:
            killed += 1
            rig.plan.clear()
            rig.until_done()
            assert state(rig.pair) == expected[0], f"killed at boundary {killed}"
            continue
        break
    assert killed > 40


def test_a_delta_run_killed_at_any_boundary_ends_as_if_undisturbed(
    tmp_path: Path, store_template: Path
) -> None:
    expected = undisturbed(tmp_path / "calm", store_template)
    killed = 0
    while True:
        rig = Rig(tmp_path / f"kill-{killed + 1}", store_template)
        fill(rig.pair)
        rig.until_done()
        edit(rig.pair)
        rig.plan.kill_at(killed + 1)
        try:
            rig.pair.sync()
        except Interrupted:
            killed += 1
            rig.plan.clear()
            rig.until_done()
            assert state(rig.pair) == expected[1], f"killed at boundary {killed}"
            continue
        break
    assert killed > 20


def test_a_run_killed_while_it_recovers_from_a_kill_ends_as_if_undisturbed(
    tmp_path: Path, store_template: Path
) -> None:
    expected = undisturbed(tmp_path / "calm", store_template)
    calls = Rig(tmp_path / "count", store_template)
    fill(calls.pair)
    calls.pair.sync()
    middle = calls.plan.boundary // 2
    second = 0
    while True:
        rig = Rig(tmp_path / f"twice-{second + 1}", store_template)
        fill(rig.pair)
        rig.plan.kill_at(middle)
        with pytest.raises(Interrupted):
            rig.pair.sync()
        rig.plan.kill_at(second + 1)
        try:
            rig.pair.sync()
        except Interrupted:
            second += 1
            rig.plan.clear()
            rig.until_done()
            assert state(rig.pair) == expected[0], f"killed again at boundary {second}"
            continue
        break
    assert second > 10


def load_until_done(rig: Rig, fill: Fill) -> None:
    """The same command again and again, as a person would give it after each kill."""
    for _ in range(6):
        engine = rig.pair.engine()
        run = plan_load(engine, None, fill=fill)
        if run.state != "held":
            return
        engine.apply(run, approve=True)
    raise AssertionError("the load does not come to an end")


@pytest.mark.parametrize("fill_how", ["owned", "gaps"])
def test_a_first_load_killed_at_any_boundary_ends_as_if_undisturbed(
    fill_how: Fill, tmp_path: Path, store_template: Path
) -> None:
    calm = Rig(tmp_path / "calm", store_template)
    fill(calm.pair)
    disagree(calm.pair)
    load_until_done(calm, fill_how)
    expected = state(calm.pair)
    killed = 0
    while True:
        rig = Rig(tmp_path / f"kill-{killed + 1}", store_template)
        fill(rig.pair)
        disagree(rig.pair)
        rig.plan.kill_at(killed + 1)
        try:
            engine = rig.pair.engine()
            engine.apply(plan_load(engine, None, fill=fill_how), approve=True)
        except Interrupted:
            killed += 1
            rig.plan.clear()
            load_until_done(rig, fill_how)
            assert state(rig.pair) == expected, f"killed at boundary {killed}"
            continue
        break
    assert killed > 40


def disagree(pair: PairOfSystems) -> None:
    """What the two coupled partners hold differently: a gap to fill, and a value to replace."""
    names = [partner.name for partner in partners(SIZE + 1)]
    crm = {str(row.fields["name"]): id for id, row in pair.crm.table("organisation").rows.items()}
    pair.crm_human.edit("organisation", crm[names[0]], {"phone": "", "payment_term": "prepaid"})
    pair.crm_human.edit("organisation", crm[names[1]], {"payment_term": "", "email": ""})


@pytest.mark.parametrize("kind", ["refuse", "slow", "cut", "drop_reply", "lose", "status"])
def test_a_fault_in_any_single_call_is_survived(
    kind: Kind, tmp_path: Path, store_template: Path
) -> None:
    expected = undisturbed(tmp_path / "calm", store_template)
    place = 0
    while True:
        rig = Rig(tmp_path / f"{kind}-{place}", store_template)
        fill(rig.pair)
        with rig.plan.fault(kind, after=place) as fault, suppress(TryLater):
            rig.pair.sync()
        if not fault.hits:
            break
        place += 1
        rig.until_done()
        assert state(rig.pair) == expected[0], f"{kind} in call {place}"
    assert place > 12
