"""Koppel's first page: how things stand, and what needs a person, in ten seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.insight.silence import silence
from koppel.store.models import Run
from koppel.store.standing import Share
from koppel.web import charts, words
from koppel.web.inbox import counts
from koppel.web.rights import needs, rights_of
from koppel.web.sentences import in_language
from koppel.web.service import current
from koppel.web.templatetags.show import day, number

DAYS = 30
RUNS = 8


@needs("view")
def home(request: HttpRequest) -> HttpResponse:
    """Are both systems up, is everything in step, what waits, what ran."""
    service = current()
    standing = service.store.standing
    entities = rights_of(request).among("view", service.store.documents.names("rule"))
    shares = standing.shares(entities)
    days = standing.days(DAYS)
    total: Counter[str] = sum(days.values(), Counter())
    context = {
        "systems": [_system(row) for row in service.store.connections.all()],
        "shares": shares,
        "whole": _whole(shares),
        "oldest": standing.oldest_unsynchronised(),
        "alarms": list(_alarms()),
        "waits": list(_waits(request)),
        "runs": service.store.runs.recent(RUNS),
        "last_poll": service.watch.last_poll,
        "figures": [
            (_("Writes to the CRM"), total["crm"]),
            (_("Writes to the ERP"), total["erp"]),
            (_("Conflicts opened"), total["conflicts"]),
            (_("Conflicts settled"), total["decided"]),
            (_("Values put back"), total["notices"]),
            (
                _("Runs"),
                Run.objects.filter(started_at__gte=service.clock() - timedelta(days=DAYS)).count(),
            ),
        ],
        "chart": _chart(days),
    }
    return render(request, "web/home.html", context)


def _system(row: Any) -> dict[str, Any]:
    if row.paused:
        return {"row": row, "colour": "bad", "state": _("paused"), "why": row.paused}
    if row.away_since:
        return {"row": row, "colour": "bad", "state": _("does not answer"), "since": row.away_since}
    watch = current().watch
    seen = [row.seen_at, None if watch.last_error else watch.last_poll]
    last = max((one for one in seen if one is not None), default=None)
    return {"row": row, "colour": "good", "state": _("answers"), "seen": last}


def _whole(shares: list[Share]) -> float | None:
    active = sum(one.active for one in shares)
    return sum(one.in_step for one in shares) / active if active else None


def _alarms() -> Iterator[str]:
    """What is wrong with the coupling itself, in sentences."""
    service = current()
    if service.watch.last_error and service.store.runs.last(state="held") is None:
        yield in_language(service.watch.last_error)
    for alarm in service.store.alarms.open():
        yield f"{in_language(alarm.text)} {in_language(alarm.remedy)}".strip()
    for (entity, side), hours in service.store.standing.flows().items():
        found = silence(hours, service.clock())
        if found is not None:
            yield _(
                "No change of %(entity)s was seen from the %(side)s for %(hours)d hours; normally "
                "there are about %(rate)s per hour at these times. Check whether the system still "
                "reports its changes."
            ) % {
                "entity": words.word(words.ENTITIES, entity),
                "side": words.word(words.SIDES, side),
                "hours": found.hours,
                "rate": number(found.per_hour, 1),
            }


def _waits(request: HttpRequest) -> Iterator[dict[str, Any]]:
    """What needs a person: how many, what it means, where to settle it."""
    many = counts()
    told = {
        "plans": ngettext(
            "%(many)s plan is held: it looks like an accident, and nothing is written until you "
            "approve or reject it.",
            "%(many)s plans are held: they look like accidents, and nothing is written until you "
            "approve or reject them.",
            many["plans"],
        ),
        "conflicts": ngettext(
            "%(many)s field was changed in both systems: say which value counts.",
            "%(many)s fields were changed in both systems: say which values count.",
            many["conflicts"],
        ),
        "matches": ngettext(
            "%(many)s pair of records may be the same company or person: say whether it is.",
            "%(many)s pairs of records may be the same company or person: say whether they are.",
            many["matches"],
        ),
        "quarantine": ngettext(
            "%(many)s record was refused by a system twice: put the cause right.",
            "%(many)s records were refused by a system twice: put the causes right.",
            many["quarantine"],
        ),
        "orders": ngettext(
            "%(many)s order is held by a rule.",
            "%(many)s orders are held by a rule.",
            many["orders"],
        ),
        "changes": ngettext(
            "%(many)s order was changed in the CRM too late: decide in the ERP.",
            "%(many)s orders were changed in the CRM too late: decide in the ERP.",
            many["changes"],
        ),
    }
    for tab, text in told.items():
        if many[tab]:
            yield {
                "text": text % {"many": number(many[tab])},
                "address": reverse("inbox_tab", kwargs={"tab": tab}),
                "urgent": tab in ("plans", "quarantine"),
            }


def _chart(days: Mapping[date, Counter[str]]) -> charts.Chart:
    """The writes of each day, to the CRM and to the ERP."""
    rows = tuple(
        charts.Row(day(one), charts.cells((many["crm"], many["erp"]), number), when=f"{one}")
        for one, many in sorted(days.items())
    )
    series = (_("Writes to the CRM"), _("Writes to the ERP"))
    return charts.Chart(_("Writes per day"), _("Day"), series, rows, sides=True)
