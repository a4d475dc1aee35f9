"""Schedules, quiet hours and alarms on their page: checked as they are typed, kept as versions."""

from __future__ import annotations

import pytest

from koppel.engine import schedules
from tests.scenarios.web_desk import Desk

JOB = {"does": "job", "name": "nightly", "run": "sync", "cron": "30 2 * * *", "late": "60"}


def changed(desk: Desk, **told: object) -> str:
    answer = desk.web.post("/setup/schedules/change", told, follow=True)
    return str(answer.content.decode())


def checked(desk: Desk, **told: object) -> str:
    return str(desk.web.post("/setup/schedules/check", told).content.decode())


def test_a_job_is_made_changed_and_taken_out_with_its_next_times_shown(
    desk: Desk,
) -> None:
    changed(desk, does="zone", zone="Europe/Zurich")
    assert "02:30" in checked(desk, **JOB)
    page = changed(desk, **JOB)
    assert "Saved" in page
    assert "times of Europe/Zurich" in page
    assert page.count("02:30") >= 3
    assert "04:15" in changed(desk, **JOB | {"cron": "15 4 * * 1-5", "entity": ["partner"]})
    (job,) = schedules.live(desk.pair.store).jobs.values()
    assert (job.cron, job.entities) == ("15 4 * * 1-5", ("partner",))
    changed(desk, does="remove", name="nightly")
    assert not schedules.live(desk.pair.store).jobs


@pytest.mark.parametrize(
    ("wrong", "place", "said"),
    [
        ({"cron": "61 2 * * *"}, "jobs.nightly.cron", "no cron expression"),
        ({"run": "dance"}, "jobs.nightly.run", "nothing that can be run"),
        ({"late": "soon"}, "jobs.nightly.late", "must be whole minutes"),
        ({"name": "Night ly"}, "jobs.Night ly", "cannot name a job"),
        ({"entity": ["ghost"]}, "jobs.nightly.entities", "is no entity"),
    ],
)
def test_a_wrong_job_is_told_with_place_and_remedy_and_not_kept(
    desk: Desk,
    wrong: dict[str, object],
    place: str,
    said: str,
) -> None:
    told = JOB | wrong
    for page in (checked(desk, **told), changed(desk, **told)):
        assert place in page
        assert said in page
    assert not schedules.live(desk.pair.store).jobs


def test_quiet_hours_and_push_only_are_set_for_one_system(desk: Desk) -> None:
    name = desk.pair.store.connections.all()[0].name
    told = {"does": "system", "connection": name, "way": "push", "seconds": ""}
    changed(desk, **told, quiet="mon-fri 8:00-12:00\r\n22-6")
    found = schedules.live(desk.pair.store)
    assert found.poll[name] == 0
    assert [span.text for span in found.quiet[name]] == ["mon-fri 8:00-12:00", "22-6"]
    assert "no span of hours" in checked(desk, **told, quiet="all day")
    assert "a number of seconds" in checked(desk, **told | {"way": "poll", "seconds": "often"})
    changed(desk, **told | {"way": "poll", "seconds": "2,5"})
    assert schedules.live(desk.pair.store).poll[name] == 2.5
    changed(desk, **told | {"way": "serve"})
    assert name not in schedules.live(desk.pair.store).poll


def test_a_version_is_compared_with_the_live_one_and_made_live_again(
    desk: Desk,
) -> None:
    changed(desk, **JOB)
    changed(desk, **JOB | {"cron": "0 5 * * *"})
    page = desk.see("/setup/schedules/versions/1")
    assert "-cron = &quot;30 2 * * *&quot;" in page
    assert "+cron = &quot;0 5 * * *&quot;" in page
    first = desk.pair.store.documents.get("schedule", "koppel", 1)
    assert first is not None
    changed(desk, does="text", text=first)
    assert schedules.live(desk.pair.store).jobs["nightly"].cron == "30 2 * * *"
    assert desk.pair.store.documents.versions("schedule", "koppel")[0].version == 3


def test_a_job_is_run_at_once_and_what_came_of_it_is_told(desk: Desk) -> None:
    changed(desk, **JOB)
    desk.edit_crm(email="by@night.example")
    assert "nightly: done" in desk.press("/setup/schedules/run/nightly")
    assert desk.erp_emails() == ["by@night.example"]
    assert desk.web.post("/setup/schedules/run/ghost").status_code == 404


def test_an_alarm_stands_on_the_first_page_until_somebody_closes_it(
    desk: Desk,
) -> None:
    alarm = desk.pair.store.alarms.raise_("schedule", "nightly", "The job nightly failed: away")
    assert "The job nightly failed" in desk.see("/")
    assert "The job nightly failed" in desk.see("/setup/schedules")
    desk.press(f"/setup/alarms/{alarm.id}/close")
    assert "The job nightly failed" not in desk.see("/")
