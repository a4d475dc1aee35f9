"""The first load: held until approved, gaps only if asked, at a pace, entity by entity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from koppel.connectors.base import Gone, Record
from koppel.engine.load import plan_load
from koppel.engine.pace import Pace, Paced, Pacing, Remaining, per_system, quiet_hours
from koppel.errors import Interrupted, NeedsUser, TryLater
from koppel.testing.generated import (
    contact_fields,
    crm_fields,
    erp_fields,
    fill_crm,
    fill_erp,
    partners,
)
from tests.scenarios.pair import PairOfSystems


def test_nothing_is_written_until_the_plan_is_approved(pair: PairOfSystems) -> None:
    fill_crm(pair.crm, 3)
    fill_erp(pair.erp, 5)
    engine = pair.engine()
    run = plan_load(engine, None)
    assert run.state == "held"
    assert not any(pair.connectors[side].calls["write"] for side in pair.connectors)
    assert pair.store.couplings.count() == 0
    with pytest.raises(NeedsUser, match="first load"):
        engine.apply(run)
    assert engine.apply(run, approve=True).state == "done"
    assert pair.store.couplings.count("partner", "active") == 5


def test_filling_gaps_replaces_no_value(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create(
        "organisation", {**crm_fields(partner), "payment_term": "prepaid", "phone": ""}
    )
    erp = pair.erp_human.create("party", {**erp_fields(partner), "payment_term": "net 60"})
    engine = pair.engine()
    engine.apply(plan_load(engine, None, fill="gaps"), approve=True)
    organisation = pair.crm_human.read("organisation", crm)
    party = pair.erp_human.read("party", erp)
    assert organisation is not None
    assert party is not None
    assert organisation["payment_term"] == "prepaid"
    assert party["payment_term"] == "net 60"
    assert str(organisation["phone"]).replace(" ", "") == partner.phone
    assert pair.sync().counts["writes"] == 0


def test_a_sample_loads_that_many_and_the_rest_follows(pair: PairOfSystems) -> None:
    fill_erp(pair.erp, 30, contacts=0)
    engine = pair.engine()
    engine.apply(plan_load(engine, ["partner"], sample=5), approve=True)
    assert pair.store.couplings.count("partner", "active") == 5
    engine.apply(plan_load(engine, ["partner"]), approve=True)
    assert pair.store.couplings.count("partner", "active") == 30
    assert len(pair.crm.table("organisation").rows) == 30


def test_a_load_that_is_killed_goes_on_where_it_stopped(pair: PairOfSystems) -> None:
    fill_erp(pair.erp, 150, contacts=0)
    pages = Counter[str]()

    def kill(name: str) -> None:
        pages[name] += 1
        if name == "page settled":
            raise Interrupted("killed")

    engine = pair.engine()
    run = plan_load(engine, ["partner"])
    pair.boundary = kill
    with pytest.raises(Interrupted):
        engine.apply(run, approve=True)
    pair.boundary = lambda name: None
    assert 0 < pair.store.couplings.count("partner", "active") < 150
    again = pair.engine()
    again.apply(plan_load(again, ["partner"]), approve=True)
    assert pair.store.couplings.count("partner", "active") == 150
    assert len(pair.crm.table("organisation").rows) == 150


class Watching:
    """A connector that notes which records of which resource are read."""

    def __init__(self, inner: Any, read: Counter[str]) -> None:
        self._inner = inner
        self._read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        self._read[resource] += len(ids)
        found: Mapping[str, Record | Gone] = self._inner.fetch(resource, ids)
        return found


def test_an_entity_that_is_added_later_does_not_read_the_first_again(pair: PairOfSystems) -> None:
    for partner in partners(12):
        crm = pair.crm_human.create("organisation", crm_fields(partner))
        erp = pair.erp_human.create("party", erp_fields(partner))
        person = partner.contacts[0]
        pair.crm_human.create("contact", contact_fields(person, "organisation", crm))
        pair.erp_human.create("contact", contact_fields(person, "party", erp))
    engine = pair.engine()
    engine.apply(plan_load(engine, ["partner"]), approve=True)
    assert pair.store.couplings.count("partner", "active") == 12
    assert pair.store.couplings.count("contact") == 0
    read: Counter[str] = Counter()
    pair.wrap = lambda name, inner: Watching(inner, read)  # type: ignore[assignment,return-value]
    later = pair.engine()
    later.apply(plan_load(later, ["contact"]), approve=True)
    assert pair.store.couplings.count("contact", "active") == 12
    assert read["contact"] >= 24
    assert read["organisation"] == read["party"] == 0


def test_writes_keep_the_pace(pair: PairOfSystems) -> None:
    now = [datetime(2026, 11, 2, 20, tzinfo=UTC)]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += timedelta(seconds=seconds)

    inner = pair.connectors["erp"]
    slow = Paced(inner, Pace(per_hour=60), clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        slow.write([])
    assert slept == []
    fill_erp(pair.erp, 1)
    pair.wrap = lambda name, one: slow if name == "erp" else one  # type: ignore[assignment,return-value]
    for partner in partners(4, seed=9):
        pair.crm_human.create("organisation", crm_fields(partner))
    engine = pair.engine()
    engine.apply(plan_load(engine, ["partner"]), approve=True)
    pair.crm_human.edit("organisation", "1", {"phone": "+49 30 5550001"})
    pair.sync()
    assert sum(slept) >= 60


def test_in_the_quiet_hours_nothing_is_written_and_the_end_is_named(pair: PairOfSystems) -> None:
    noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    held = Paced(
        pair.connectors["erp"],
        Pace(quiet=(8, 18)),
        clock=lambda: noon,
        sleep=lambda seconds: None,
    )
    with pytest.raises(TryLater, match="before 18:00") as caught:
        held.write([])
    assert caught.value.after == 6 * 3600
    assert quiet_hours("22-6") == (22, 6)
    assert Pace(quiet=(22, 6)).wait_until(noon) is None
    assert Pace(quiet=(22, 6)).wait_until(noon.replace(hour=23)) == noon.replace(day=3, hour=6)
    with pytest.raises(NeedsUser, match="no span of hours"):
        quiet_hours("evening")


def test_the_progress_tells_the_remaining_time() -> None:
    told: list[str] = []
    ticks = iter((0.0, 30.0))
    left = Remaining(lambda what, many: told.append(what), 400, timer=lambda: next(ticks))
    left("writing partner", 100)
    assert told == ["writing partner: 100 of 400, about 1 min 30 s left"]


def test_a_days_quota_of_calls_is_kept_over_restarts_and_what_is_left_is_told(
    pair: PairOfSystems,
) -> None:
    fill_erp(pair.erp, 30, contacts=0)
    now = [datetime(2026, 11, 2, 20, tzinfo=UTC)]
    told: list[str] = []

    def load(most: int) -> Pacing:
        """The load with a quota for the CRM, in a new engine as after a restart."""
        engine = pair.engine()
        pacing = Pacing({"crm": Pace(per_day=most), "erp": Pace()})
        pacing.hold(engine.lines, clock=lambda: now[0], sleep=lambda seconds: None)
        try:
            run = plan_load(engine, ["partner"])
            engine.progress = Remaining(lambda what, many: told.append(what), 30, pacing)
            engine.apply(run, approve=True)
        finally:
            pacing.keep()
        return pacing

    with pytest.raises(TryLater, match="2 calls of this day are used up; more from 03 Nov 00:00"):
        load(2)
    assert pair.store.calls.made("crm", now[0].date()) == 2
    with pytest.raises(TryLater, match="used up"):
        load(2)
    now[0] += timedelta(days=1)
    pacing = load(50)
    assert pair.store.couplings.count("partner", "active") == 30
    made = pair.store.calls.made("crm", now[0].date())
    assert 0 < made < 50
    assert pacing.left() == f"{50 - made} calls of crm left today"
    assert told[-1].startswith("writing partner: 30 of 30, about 0 s left; ")
    assert "calls of crm left today" in told[-1]


def test_limits_are_given_for_all_systems_or_for_one() -> None:
    names = ["creme", "tryton"]
    assert per_system(["2000", "creme=50"], names, "writes") == {"creme": 50, "tryton": 2000}
    assert per_system(["creme=50"], names, "writes") == {"creme": 50}
    for wrong in ("many", "0", "sap=5", "=5"):
        with pytest.raises(NeedsUser, match="is no limit for writes"):
            per_system([wrong], names, "writes")
