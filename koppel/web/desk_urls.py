"""The addresses of schedules and alarms."""

from __future__ import annotations

from django.urls import URLPattern, path

from koppel.web import schedule_pages

PATHS: list[URLPattern] = [
    path("setup/schedules", schedule_pages.schedules, name="schedules"),
    path("setup/schedules/check", schedule_pages.check_schedule, name="check_schedule"),
    path("setup/schedules/change", schedule_pages.change_schedule, name="change_schedule"),
    path("setup/schedules/run/<str:name>", schedule_pages.run_schedule, name="run_schedule"),
    path(
        "setup/schedules/versions/<int:number>",
        schedule_pages.schedule_version,
        name="schedule_version",
    ),
    path("setup/alarms/<int:number>/close", schedule_pages.close_alarm, name="close_alarm"),
]
