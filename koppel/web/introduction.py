"""Set-up: the guided introduction on pages, the same steps as `koppel guide`, run as errands."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N
from django.views.decorators.http import require_GET, require_POST

from koppel.engine.guide import NAMES, SAMPLE, Guide, Standing, coming, standings
from koppel.engine.load import Fill
from koppel.engine.pace import Pace, Pacing, Remaining, quiet_hours
from koppel.engine.runner import Engine
from koppel.errors import KoppelError
from koppel.insight.assess import Assumptions
from koppel.insight.assess_page import page
from koppel.store.models import Run
from koppel.web.errands import begin
from koppel.web.notes import note, trouble
from koppel.web.rights import looked, needs, rights_of, who
from koppel.web.service import current

TITLES: dict[str, tuple[str, str]] = {
    "connect": (N("Connect both systems"), N("Both answer, and their records are described.")),
    "assess": (
        N("Assess what they hold"),
        N("Reads both systems, writes to neither, and proposes owners."),
    ),
    "owners": (
        N("Choose owners"),
        N("The proposed rule, accepted or edited; it is checked at once."),
    ),
    "match": (
        N("Match and review"),
        N("Couples on paper only; doubtful pairs wait in the inbox."),
    ),
    "plan": (
        N("Dry run"),
        N("The exact plan: record, field, old and new value. Nothing is written."),
    ),
    "sample": (N("Load a sample"), N("Some records, to be looked at in both systems.")),
    "load": (N("Load all"), N("Everything else, at a pace, followed by the proof.")),
    "schedules": (
        N("Switch schedules on"),
        N("The nightly batch and the nightly audit."),
    ),
}
"""Each step's title and what it is for."""

_WRITING = ("sample", "load")
"""Steps that write into both systems: they carry out a plan, and need that right too."""

_WHOLE = re.compile(r"\d{1,9}")


@require_GET
@needs("view")
def introduction(request: HttpRequest) -> HttpResponse:
    """All steps with their state."""
    store = current().store
    following = coming(store)
    context = {
        "steps": [_shown(one, number) for number, one in enumerate(standings(store), start=1)],
        "next": following.step.name if following else None,
        "under_way": store.guide.under_way(),
    }
    return render(request, "web/setup/introduction.html", context)


@require_GET
@needs("view")
def step(request: HttpRequest, step: str) -> HttpResponse:
    """One step: what it came to, and the buttons that do, repeat and undo it."""
    store = current().store
    found = {one.step.name: one for one in standings(store)}
    if step not in found:
        raise Http404
    place = NAMES.index(step)
    context: dict[str, Any] = {
        "step": _shown(found[step], place + 1),
        "result": found[step].result,
        "before": NAMES[place - 1] if place else None,
        "after": NAMES[place + 1] if place + 1 < len(NAMES) else None,
        "report": found["assess"].result.get("report"),
        "assumed": Assumptions(),
        "size": SAMPLE,
        "reviews": len(store.inbox.reviews()),
    }
    if step == "owners":
        context["rules"] = _rules(found["assess"])
    if step == "assess" and context["report"]:
        context["entities"] = [_entity(one) for one in context["report"]["entities"]]
    named = (*found[step].result.get("first", ()), *found[step].result.get("records", ()))
    if named:
        looked(request, len(named))
    return render(request, "web/setup/step.html", context)


def _shown(one: Standing, number: int) -> dict[str, Any]:
    title, what = TITLES[one.step.name]
    return {
        "name": one.step.name,
        "number": number,
        "title": _(title),
        "what": _(what),
        "state": one.state,
        "at": one.at,
        "by": one.by,
        "error": one.result.get("error"),
        "skipped": one.result.get("skipped"),
    }


def _rules(assessed: Standing) -> list[dict[str, Any]]:
    """Each entity's proposed rule beside the live one, with what would change and why."""
    report = assessed.result.get("report") or {"entities": []}
    documents = current().store.documents
    return [
        {
            "entity": one["entity"],
            "live": documents.get("rule", one["entity"]) or "",
            "proposed": one["rule"],
            "proposals": [p for p in one["proposals"] if p["owner"] != p["now"]],
        }
        for one in report["entities"]
        if one["coupled"]
    ]


def _entity(one: dict[str, Any]) -> dict[str, Any]:
    seconds = one["load"]["seconds"] if one["load"] else 0
    return {**one, "minutes": max(1, math.ceil(seconds / 60))}


@require_GET
@needs("configure")
def assessment(request: HttpRequest) -> HttpResponse:
    """The whole assessment with its charts, as one file to keep or to hand on."""
    entry = current().store.guide.last("assess")
    if entry is None or "report" not in entry.result:
        raise Http404
    current().store.audit_log.write(who(request), "export", "assessment")
    answer = HttpResponse(page(entry.result["report"]), content_type="text/html; charset=utf-8")
    # It brings its own style, which this site's pages do not allow.
    answer.headers["Content-Disposition"] = 'attachment; filename="assessment.html"'
    return answer


@require_POST
@needs("configure")
def do_step(request: HttpRequest, step: str) -> HttpResponse:
    """Do a step, or do it again."""
    if step not in NAMES:
        raise Http404
    if step in _WRITING and not rights_of(request)("approve"):
        raise PermissionDenied(f"approve {step}")
    user = who(request)
    try:
        work = _work(request, step, user)
    except KoppelError as error:
        trouble(request, error)
        return redirect("step", step=step)
    current().store.audit_log.write(user, "introduction", step)
    return begin(request, work, _(TITLES[step][0]), reverse("step", kwargs={"step": step}))


@require_POST
@needs("configure")
def undo_step(request: HttpRequest, step: str) -> HttpResponse:
    """Take a step back."""
    if step not in NAMES:
        raise Http404
    if step in _WRITING and not rights_of(request)("approve"):
        raise PermissionDenied(f"approve {step}")
    user = who(request)

    def work(engine: Engine) -> None:
        Guide(engine, user=user).undo(step)

    current().store.audit_log.write(user, "undo introduction", step)
    label = _("Take back: %(title)s") % {"title": _(TITLES[step][0])}
    return begin(request, work, label, reverse("step", kwargs={"step": step}))


@require_POST
@needs("configure")
def skip_step(request: HttpRequest, step: str) -> HttpResponse:
    """Take a step for done without doing it."""
    if step not in NAMES:
        raise Http404
    store = current().store
    store.guide.add(step, "done", by=who(request), result={"skipped": True})
    store.audit_log.write(who(request), "skip introduction", step)
    note(request, _("The step is skipped."))
    return redirect("introduction")


def _work(request: HttpRequest, step: str, user: str) -> Callable[[Engine], None]:
    """The errand, with what the form says; raises `KoppelError` for what cannot be."""
    given = request.POST
    match step:
        case "assess":
            minutes = given.get("minutes", "")
            assumed = Assumptions(minutes_per_entry=float(minutes)) if _number(minutes) else None
            return lambda engine: _ignored(Guide(engine, user=user).assess(None, assumed))
        case "owners":
            rules = {
                name.removeprefix("rule-"): str(text).replace("\r\n", "\n")
                for name, text in given.items()
                if name.startswith("rule-")
            }
            return lambda engine: _ignored(Guide(engine, user=user).owners(rules or None))
        case "plan":
            fill: Fill = "gaps" if given.get("fill") == "gaps" else "owned"
            entities = [e for e in given.getlist("entity") if e] or None
            return lambda engine: _ignored(Guide(engine, user=user).plan(entities, fill=fill))
        case "sample":
            size = _whole(given.get("size", "")) or SAMPLE
            return lambda engine: _ignored(Guide(engine, user=user).sample(size))
        case "load":
            pace = Pace(
                per_hour=_whole(given.get("per_hour", "")),
                per_day=_whole(given.get("per_day", "")),
                quiet=quiet_hours(given.get("quiet", "").strip()),
            )
            return lambda engine: _load(engine, pace, user)
        case "schedules":
            zone = given.get("zone", "") or "UTC"
            batch, audit = given.get("batch", "").strip(), given.get("audit", "").strip()
            return lambda engine: _ignored(
                Guide(engine, user=user).schedules(zone=zone, batch=batch, audit=audit)
            )
        case "connect":
            return lambda engine: _ignored(Guide(engine, user=user).connect())
        case _:
            return lambda engine: _ignored(Guide(engine, user=user).match())


def _load(engine: Engine, pace: Pace, user: str) -> None:
    """The load, held to its pace; the watch's engine is given back as it was."""
    lines = engine.lines
    names = [row.name for row in engine.store.connections.all()]
    pacing = Pacing(dict.fromkeys(names, pace))
    before = {name: lines.connector(name) for name in names}
    told = engine.progress

    def apply(run: Run) -> Run:
        steps = engine.store.runs.count_steps(run)
        total = sum(many for kind, many in steps.items() if ":" not in kind)
        engine.progress = Remaining(told, total, pacing)
        return engine.apply(run, user=user, approve=True)

    try:
        pacing.hold(lines)
        lines.refresh()
        Guide(engine, user=user).load(apply=apply)
    finally:
        pacing.keep()
        engine.progress = told
        lines.connectors.update(before)
        lines.refresh()


def _ignored(entry: object) -> None:
    """What a step came to stands in the store; the page reads it there."""


def _number(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,4}(\.\d{1,2})?", text))


def _whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text.strip()) and int(text) else None
