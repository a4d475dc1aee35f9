"""When scheduled jobs are due: cron, time zones, daylight saving, quiet hours, missed times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.mapping.faults import DocumentFaults
from koppel.mapping.schedule import (
    Due,
    Job,
    Schedules,
    cron_trouble,
    due,
    load_schedules,
    moments,
    next_run,
    quiet_until,
    read_span,
    with_job,
    with_setting,
    without_job,
)

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = Job(name="nightly", run="sync", cron="30 2 * * *")


def at(text: str, zone: str = "Europe/Berlin", *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def times(job: Job, after: datetime, many: int) -> list[str]:
    """The job's next times as the clocks in Berlin show them, with their distance from UTC."""
    found = islice(moments(job, BERLIN, after), many)
    return [f"{moment.astimezone(BERLIN):%d.%m. %H:%M %z}" for moment in found]


def test_a_nightly_job_follows_the_clocks_of_its_time_zone() -> None:
    assert times(NIGHTLY, at("2026-07-01 12:00"), 2) == ["02.07. 02:30 +0200", "03.07. 02:30 +0200"]
    assert times(NIGHTLY, at("2026-12-01 12:00"), 1) == ["02.12. 02:30 +0100"]


def test_when_the_clocks_go_forward_a_job_in_the_gap_runs_right_after_it() -> None:
    assert times(NIGHTLY, at("2026-03-28 12:00"), 2) == ["29.03. 03:00 +0200", "30.03. 02:30 +0200"]


def test_when_the_clocks_go_back_a_job_in_the_doubled_hour_runs_once() -> None:
    assert times(NIGHTLY, at("2026-10-24 12:00"), 2) == ["25.10. 02:30 +0200", "26.10. 02:30 +0100"]
    # Asked in the second of the two hours, the first of them is over.
    assert times(NIGHTLY, at("2026-10-25 02:10", fold=1), 1) == ["26.10. 02:30 +0100"]


def test_an_hourly_job_runs_every_real_hour_of_a_changing_night() -> None:
    hourly = Job(name="hourly", run="audit", cron="0 * * * *")
    spring = list(islice(moments(hourly, BERLIN, at("2026-03-29 00:30")), 4))
    autumn = list(islice(moments(hourly, BERLIN, at("2026-10-25 00:30")), 5))
    for found in (spring, autumn):
        steps = {two - one for one, two in pairwise(found)}
        assert steps == {timedelta(hours=1)}


def schedules(text: str) -> Schedules:
    return load_schedules(text, source="schedule", connections=("creme", "tryton"))


DAY = """
time_zone = "Europe/Berlin"
[poll]
creme = 5
tryton = 60
[quiet]
tryton = ["mon-fri 8:00-18:00", "22-6"]
[jobs.nightly]
run = "sync"
cron = "30 2 * * *"
[jobs.proof]
run = "audit"
cron = "0 20 * * sun"
entities = ["partner"]
late = 120
"""


def test_the_document_says_what_runs_when() -> None:
    found = schedules(DAY)
    assert found.poll == {"creme": 5.0, "tryton": 60.0}
    assert found.jobs["proof"] == Job(
        name="proof", run="audit", cron="0 20 * * sun", entities=("partner",), late=120
    )
    assert found.jobs["nightly"].late == 60


def test_all_faults_of_the_document_are_told_at_once() -> None:
    text = """
    time_zone = "Mars/Olympus"
    polls = 1
    [poll]
    cream = 5
    tryton = -1
    [quiet]
    creme = ["evening", "25-26", "8-8"]
    [jobs.nightly]
    run = "synk"
    cron = "61 2 * * *"
    [jobs.never]
    run = "sync"
    cron = "0 0 30 2 *"
    entities = ["partners"]
    """
    with pytest.raises(DocumentFaults) as caught:
        schedules(text)
    told = str(caught.value)
    for part in (
        "Mars/Olympus", "polls", "poll.cream", "poll.tryton", "evening", "25-26", "8-8",
        "jobs.nightly.run", "jobs.nightly.cron", "jobs.never.cron", "jobs.never.entities",
    ):  # fmt: skip
        assert part in told, part


def test_quiet_hours_end_where_the_last_of_them_ends() -> None:
    found = schedules(DAY)
    assert quiet_until(found, ["creme"], at("2026-11-25 12:00")) is None
    assert quiet_until(found, ["tryton"], at("2026-11-25 12:00")) == at("2026-11-25 18:00")
    assert quiet_until(found, ["creme", "tryton"], at("2026-11-25 23:00")) == at("2026-11-26 06:00")
    assert quiet_until(found, ["tryton"], at("2026-11-26 05:59")) == at("2026-11-26 06:00")
    assert quiet_until(found, ["tryton"], at("2026-11-26 06:00")) is None
    # A Saturday is free by day.
    assert quiet_until(found, ["tryton"], at("2026-11-28 12:00")) is None


def test_quiet_spans_that_touch_are_one() -> None:
    found = schedules('[quiet]\ntryton = ["6-8", "8-10:15", "22-24"]')
    assert quiet_until(found, ["tryton"], at("2026-11-25 07:00", "UTC")) == at(
        "2026-11-25 10:15", "UTC"
    )
    assert quiet_until(found, ["tryton"], at("2026-11-25 23:00", "UTC")) == at(
        "2026-11-26 00:00", "UTC"
    )


def test_quiet_hours_last_as_the_clocks_say_when_they_change() -> None:
    found = schedules('time_zone = "Europe/Berlin"\n[quiet]\ntryton = ["22-6"]')
    begin = at("2026-10-24 22:00")
    end = quiet_until(found, ["tryton"], begin)
    assert end == at("2026-10-25 06:00")
    assert end - begin.astimezone(UTC) == timedelta(hours=9)


def test_a_job_in_quiet_hours_begins_when_they_end() -> None:
    found = schedules(DAY)
    planned = next_run(found, found.jobs["nightly"], ["creme", "tryton"], at("2026-11-25 12:00"))
    assert planned == Due(at=at("2026-11-26 02:30"), start=at("2026-11-26 06:00"))


def test_a_missed_job_is_made_up_for_a_while_and_only_once() -> None:
    found = schedules('time_zone = "Europe/Berlin"\n[jobs.n]\nrun = "sync"\ncron = "30 2 * * *"')
    job, names = found.jobs["n"], ["creme", "tryton"]
    done = at("2026-11-24 02:30")
    assert due(found, job, names, done, at("2026-11-25 02:29")) is None
    first = due(found, job, names, done, at("2026-11-25 03:20"))
    assert first is not None
    assert first.at == at("2026-11-25 02:30")
    assert due(found, job, names, first.at, at("2026-11-25 03:20")) is None
    assert due(found, job, names, done, at("2026-11-25 03:31")) is None
    # Three days of standstill: the newest time alone.
    late = due(found, job, names, done, at("2026-11-28 02:31"))
    assert late is not None
    assert late.at == at("2026-11-28 02:30")


def test_a_job_that_waits_for_the_end_of_quiet_hours_is_not_forgotten() -> None:
    found = schedules(DAY)
    job, names = found.jobs["nightly"], ["creme", "tryton"]
    done = at("2026-11-25 02:30")
    assert due(found, job, names, done, at("2026-11-26 03:00")) is None
    waited = due(found, job, names, done, at("2026-11-26 06:10"))
    assert waited == Due(at=at("2026-11-26 02:30"), start=at("2026-11-26 06:00"))


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),
    st.integers(0, 59),
    st.integers(0, 23),
)
def test_a_daily_job_runs_once_on_each_day(when: datetime, minute: int, hour: int) -> None:
    job = Job(name="n", run="sync", cron=f"{minute} {hour} * * *")
    found = list(islice(moments(job, BERLIN, when.replace(tzinfo=UTC)), 5))
    assert found == sorted(set(found))
    days = [moment.astimezone(BERLIN).date() for moment in found]
    assert [two - one for one, two in pairwise(days)] == [timedelta(1)] * 4


def test_the_document_is_edited_in_place() -> None:
    text = '# ours\ntime_zone = "Europe/Berlin"\n'
    text = with_job(text, NIGHTLY)
    text = with_setting(text, ("quiet", "tryton"), ["8-18"])
    assert text.startswith("# ours")
    found = schedules(text)
    assert found.jobs == {"nightly": NIGHTLY}
    assert found.quiet["tryton"] == (read_span("8-18"),)
    text = with_setting(without_job(text, "nightly"), ("quiet", "tryton"), None)
    assert schedules(text) == Schedules(zone="Europe/Berlin")
    assert without_job(text, "nightly") == text


def test_what_is_no_cron_expression_is_told() -> None:
    assert cron_trouble("*/15 8-18 * * mon-fri") == ""
    assert "minute, hour" in cron_trouble("2 * *")
    assert "never" in cron_trouble("0 0 31 2 *") or "no cron" in cron_trouble("0 0 31 2 *")
