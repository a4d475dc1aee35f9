"""Scheduled work between two systems: nightly batch, nightly audit, quiet hours, polling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from koppel.engine.polling import Polling
from koppel.engine.schedules import Scheduler, live, run_and_keep, save
from koppel.errors import TryLater
from koppel.mapping.faults import DocumentFaults
from koppel.testing.generated import fill_crm, fill_erp
from tests.scenarios.pair import PairOfSystems

NIGHT = """
time_zone = "Europe/Berlin"
[jobs.nightly]
run = "sync"
cron = "30 2 * * *"
[jobs.proof]
run = "audit"
cron = "0 4 * * *"
"""


class Hands:
    """A clock that a test moves; each look costs a microsecond, so that no two are alike."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def at(self, hour: int, minute: int = 0, *, days: int = 0) -> None:
        """To that time in Berlin's winter, so many days on."""
        day = (self.now + timedelta(days=days)).date()
        self.now = datetime(day.year, day.month, day.day, hour - 1, minute, tzinfo=UTC)


@pytest.fixture
def clock(pair: PairOfSystems) -> Hands:
    """Two coupled partners, at noon."""
    fill_crm(pair.crm, 2, contacts=0)
    fill_erp(pair.erp, 2, contacts=0)
    pair.sync()
    hands = Hands(datetime(2026, 11, 25, 11, tzinfo=UTC))
    pair.store.schedules._clock = hands
    return hands


def scheduler(pair: PairOfSystems, clock: Hands) -> Scheduler:
    return Scheduler(pair.engine, clock)


def phone(pair: PairOfSystems) -> Any:
    read = pair.erp_human.read("party", "1")
    assert read is not None
    return next(m["value"] for m in read["contact_mechanisms"] if m["type"] == "phone")


def test_the_nightly_batch_brings_the_days_changes_across_once(
    pair: PairOfSystems, clock: Hands
) -> None:
    save(pair.store, NIGHT, user="test")
    one = scheduler(pair, clock)
    pair.crm_human.edit("organisation", "1", {"phone": "+49 30 5550001"})
    assert one.look(pair.engine()) == pytest.approx(20)
    assert phone(pair) != "+49 30 5550001"
    clock.at(2, 30, days=1)
    one.look(pair.engine())
    assert phone(pair).replace(" ", "") == "+49305550001"
    row = pair.store.schedules.get("nightly")
    assert row is not None
    assert (row.outcome, row.text) == ("done", f"run {pair.store.runs.recent()[0].id}: 1 writes")
    runs = len(pair.store.runs.recent())
    one.look(pair.engine())
    # Another process that looks in the same minute finds it done.
    scheduler(pair, clock).look(pair.engine())
    assert len(pair.store.runs.recent()) == runs


def test_a_new_job_waits_for_its_next_time(pair: PairOfSystems, clock: Hands) -> None:
    clock.at(2, 45, days=1)
    save(pair.store, NIGHT, user="test")
    scheduler(pair, clock).look(pair.engine())
    row = pair.store.schedules.get("nightly")
    assert row is not None
    assert row.began is None


def test_the_nightly_audit_is_kept_and_alarms_when_something_is_not_in_step(
    pair: PairOfSystems, clock: Hands
) -> None:
    save(pair.store, NIGHT, user="test")
    one = scheduler(pair, clock)
    clock.at(4, days=1)
    one.look(pair.engine())
    kept = pair.store.audits.last()
    assert kept is not None
    assert (kept.trigger, kept.in_step) == ("schedule", True)
    assert kept.counts["partner"]["equal"] == 2
    assert pair.store.alarms.open() == []
    pair.erp_human.edit("party", "1", {"name": "Renamed AG"})
    # The notice of it is lost, so no poll will ever find it.
    cursor = pair.connectors["erp"].now("party")
    pair.store.couplings.move_cursors({("partner", "erp"): cursor})
    clock.at(4, days=1)
    one.look(pair.engine())
    (alarm,) = pair.store.alarms.open()
    assert "1 drifted" in alarm.text
    assert "koppel audit --repair" in alarm.remedy
    kept = pair.store.audits.last()
    assert kept is not None
    assert kept.findings[0]["because"] == "edited"
    assert pair.store.inbox.totals()["alarms"] == 1
    pair.sync(sweep=True, selection={"partner": {"erp": ["1"]}})
    clock.at(4, days=1)
    one.look(pair.engine())
    assert pair.store.alarms.open() == []


def test_a_system_that_is_away_is_asked_again_until_it_is_too_late(
    pair: PairOfSystems, clock: Hands
) -> None:
    save(pair.store, NIGHT, user="test")
    one = scheduler(pair, clock)
    away = Counter[str]()

    class Away:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def changes(self, *arguments: Any) -> Any:
            away["asked"] += 1
            if away["asked"] <= 2:
                raise TryLater("it does not answer", place="erp")
            return self._inner.changes(*arguments)

    pair.wrap = lambda name, inner: Away(inner) if name == "erp" else inner  # type: ignore[assignment,return-value]
    clock.at(2, 30, days=1)
    for _ in range(4):
        one.look(pair.engine())
        clock.now += timedelta(seconds=31)
    row = pair.store.schedules.get("nightly")
    assert row is not None
    assert row.outcome == "later"
    # Twice in two minutes: at once, and again after the minute of patience.
    assert away["asked"] == 2
    one.look(pair.engine())
    row = pair.store.schedules.get("nightly")
    assert row is not None
    assert row.outcome == "done"


def test_a_job_that_lost_the_database_is_done_when_it_is_back(
    pair: PairOfSystems, clock: Hands
) -> None:
    save(pair.store, NIGHT, user="test")
    one = scheduler(pair, clock)
    left = [OperationalError("the connection is closed")]

    class Losing:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def changes(self, *arguments: Any) -> Any:
            if left:
                raise left.pop()
            return self._inner.changes(*arguments)

    pair.wrap = lambda name, inner: Losing(inner) if name == "erp" else inner  # type: ignore[assignment,return-value]
    clock.at(2, 30, days=1)
    one.look(pair.engine())
    assert "the store is away" in one.last_error
    clock.now += timedelta(seconds=31)
    one.look(pair.engine())
    row = pair.store.schedules.get("nightly")
    assert row is not None
    assert row.outcome == "done"
    assert pair.store.alarms.open() == []


def test_a_held_batch_is_told_as_an_alarm(pair: PairOfSystems, clock: Hands) -> None:
    fill_crm(pair.crm, 30, contacts=0)
    fill_erp(pair.erp, 30, contacts=0)
    pair.sync()
    found = save(pair.store, NIGHT, user="test")
    for row in list(pair.crm.table("organisation").rows)[:25]:
        pair.crm_human.delete("organisation", row)
    ended = run_and_keep(pair.engine(), found.jobs["nightly"], None, user="test")
    assert ended is not None
    assert ended.state == "held"
    assert "was held" in pair.store.alarms.open()[0].text


def test_a_wrong_document_is_not_saved(pair: PairOfSystems) -> None:
    with pytest.raises(DocumentFaults, match="there is no such connection"):
        save(pair.store, "[quiet]\nerb = ['8-18']", user="test")
    assert live(pair.store).quiet == {}


def looks(polling: Polling, clock: Hands, seconds: int) -> list[tuple[int, Sequence[str]]]:
    """Second after second: which connections were looked at."""
    found = []
    begun = clock.now
    for second in range(seconds):
        clock.now = begun + timedelta(seconds=second, milliseconds=second)
        polling.follow()
        due = polling.due()
        if due:
            found.append((second, due))
            polling.looked(due)
    return found


def test_each_system_is_looked_at_in_its_own_interval(pair: PairOfSystems, clock: Hands) -> None:
    save(pair.store, "[poll]\ncrm = 0\nerp = 4", user="test")
    assert looks(Polling(pair.store, clock, 5.0), clock, 9) == [
        (0, ["crm", "erp"]),
        (4, ["erp"]),
        (8, ["erp"]),
    ]
    save(pair.store, "[poll]\ncrm = 3", user="test")
    assert looks(Polling(pair.store, clock, 5.0), clock, 7) == [
        (0, ["crm", "erp"]),
        (3, ["crm"]),
        (5, ["erp"]),
        (6, ["crm"]),
    ]


def test_when_quiet_hours_end_everything_is_looked_at(pair: PairOfSystems, clock: Hands) -> None:
    save(pair.store, '[poll]\ncrm = 0\nerp = 3600\n[quiet]\nerp = ["11:00-11:01"]', user="test")
    polling = Polling(pair.store, clock, 5.0)
    assert looks(polling, clock, 70) == [(60, ["crm", "erp"])]
    assert not polling.quiet()


def test_a_poll_of_one_system_reads_only_that_one(pair: PairOfSystems, clock: Hands) -> None:
    pair.crm_human.edit("organisation", "1", {"phone": "+49 30 5550001"})
    pair.erp_human.edit("party", "2", {"name": "Renamed AG"})
    before = {side: pair.connectors[side].calls["changes"] for side in ("crm", "erp")}
    run = pair.sync(trigger="poll", connections=["crm"])
    assert run.counts["writes"] == 1
    assert pair.connectors["erp"].calls["changes"] == before["erp"]
    assert pair.connectors["crm"].calls["changes"] > before["crm"]
    assert pair.sync(trigger="poll", connections=["erp"]).counts["writes"] == 1
