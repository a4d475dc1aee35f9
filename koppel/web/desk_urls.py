"""The addresses of schedules, alarms and mappings."""

from __future__ import annotations

from django.urls import URLPattern, path

from koppel.web import (
    api_cards,
    cards,
    events,
    hooks,
    inbox,
    interfaces,
    mappings,
    schedule_pages,
    setup,
)

OPERATIONS = (api_cards,)
"""Modules that add operations to the interface: it has their addresses once they are imported."""

PATHS: list[URLPattern] = [
    path("card/<str:token>", cards.card_page, name="card_page"),
    path(
        "api/card-link/<str:connection>/<str:resource>/<str:record>",
        hooks.card_link,
        name="card_link",
    ),
    path("errands/<str:errand>/events", events.errand_events, name="errand_events"),
    path("runs/<int:number>/events", events.run_events, name="run_events"),
    path("inbox/changes/done", inbox.seen_to, name="seen_to"),
    path("inbox/matches/answer", inbox.answer_many, name="answer_many"),
    path("setup/schedules", schedule_pages.schedules, name="schedules"),
    path("setup/schedules/check", schedule_pages.check_schedule, name="check_schedule"),
    path("setup/schedules/change", schedule_pages.change_schedule, name="change_schedule"),
    path("setup/schedules/run/<str:name>", schedule_pages.run_schedule, name="run_schedule"),
    path(
        "setup/schedules/versions/<int:number>",
        schedule_pages.schedule_version,
        name="schedule_version",
    ),
    path("setup/rules/<str:entity>/check", setup.check_rule, name="check_rule"),
    path("setup/rules/<str:entity>/mapping/<str:side>", mappings.mapping, name="mapping"),
    path(
        "setup/rules/<str:entity>/mapping/<str:side>/check",
        mappings.check_mapping,
        name="check_mapping",
    ),
    path(
        "setup/rules/<str:entity>/mapping/<str:side>/change",
        mappings.change_mapping,
        name="change_mapping",
    ),
    path(
        "setup/rules/<str:entity>/mapping/<str:side>/versions/<int:number>",
        mappings.mapping_version,
        name="mapping_version",
    ),
    path(
        "setup/rules/<str:entity>/mapping/<str:side>/fields/<str:field>",
        mappings.mapping_field,
        name="mapping_field",
    ),
    path("setup/interfaces", interfaces.interfaces, name="interfaces"),
    path("setup/webhooks", interfaces.add_webhook, name="add_webhook"),
    path("setup/webhooks/<int:number>", interfaces.webhook, name="webhook"),
    path("setup/webhooks/<int:number>/change", interfaces.change_webhook, name="change_webhook"),
    path("setup/card", interfaces.change_card, name="change_card"),
    path("setup/alarms/<int:number>/close", schedule_pages.close_alarm, name="close_alarm"),
]
