"""Set-up: what runs by itself and when, quiet hours, polling, and the alarms that came of it.

The same document as `koppel schedule` writes: every change is checked at once and told with the
next times, and each one kept is a version that can be made live again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, get_args
from zoneinfo import available_timezones

import tomlkit.exceptions
from babel.dates import format_datetime
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from koppel.engine import schedules as engine
from koppel.engine.runner import Engine
from koppel.errors import KoppelError, NeedsUser
from koppel.mapping.faults import DocumentFaults, Fault
from koppel.mapping.schedule import (
    KIND,
    LATE,
    NAME,
    Job,
    Schedules,
    Task,
    load_schedules,
    moments,
    quiet_until,
    with_job,
    with_setting,
    without_job,
)
from koppel.store import Store
from koppel.web import words
from koppel.web.errands import begin
from koppel.web.notes import note, trouble
from koppel.web.rights import needs, who
from koppel.web.rulebook import difference
from koppel.web.sentences import in_language
from koppel.web.service import current
from koppel.web.templatetags.show import locale

TASKS: tuple[str, ...] = get_args(Task)
SHOWN = 3
"""Coming times of each job on the page; a check shows more of them."""
CHECKED = 6


@require_GET
@needs("view")
def schedules(request: HttpRequest) -> HttpResponse:
    """Jobs with their next times, systems with polling and quiet hours, alarms, versions."""
    return render(request, "web/setup/schedules.html", _page(current().store))


@require_POST
@needs("configure")
def check_schedule(request: HttpRequest) -> HttpResponse:
    """What is wrong with a change as far as it is typed, or when its job would run."""
    store = current().store
    text, faults = _changed(store, request.POST)
    context: dict[str, Any] = {"faults": faults}
    if not faults:
        found = _read(store, text)
        job = found.jobs.get(request.POST.get("name", "").strip())
        if request.POST.get("does") == "job" and job is not None:
            context["times"] = _coming(store, found, job, CHECKED)
        context["zone"] = found.zone
    return render(request, "web/parts/schedule_check.html", context)


@require_POST
@needs("configure")
def change_schedule(request: HttpRequest) -> HttpResponse:
    """Keep a change as a new version, or say all that is wrong with it."""
    store = current().store
    before = engine.text_of(store)
    text, faults = _changed(store, request.POST)
    if faults:
        context = _page(store) | {"faults": faults, "typed": _typed(request.POST)}
        return render(request, "web/setup/schedules.html", context, status=422)
    if text == before:
        note(request, _("Nothing was changed."))
    else:
        engine.save(store, text, user=who(request))
        note(request, _("Saved; a serving Koppel follows within seconds."))
    return redirect("schedules")


@require_POST
@needs("approve")
def run_schedule(request: HttpRequest, name: str) -> HttpResponse:
    """Run a job now, whatever its time."""
    job = _live(current().store)[0].jobs.get(name)
    if job is None:
        raise Http404
    user, language = who(request), translation.get_language()

    def work(at: Engine) -> str:
        ended = engine.run_and_keep(at, job, None, user=user)
        with translation.override(language):
            if ended is None:
                return _("Another process is doing it already.")
            return f"{name}: {words.word(words.STATES, ended.state)}. {in_language(ended.text)}"

    current().store.audit_log.write(user, "run job", name)
    return begin(request, work, _("Run %(name)s now") % {"name": name}, "/setup/schedules")


@require_GET
@needs("view")
def schedule_version(request: HttpRequest, number: int) -> HttpResponse:
    """A version of the schedule against the live one; it can be made live again."""
    documents = current().store.documents
    old, live = documents.get(KIND, NAME, number), documents.get(KIND, NAME)
    if old is None or live is None:
        raise Http404
    context = {
        "number": number,
        "text": old,
        "same": old == live,
        "lines": difference(old, live, (str(number), _("live"))),
    }
    return render(request, "web/setup/schedule_version.html", context)


@require_POST
@needs("decide")
def close_alarm(request: HttpRequest, number: int) -> HttpResponse:
    """A person has seen to what an alarm told."""
    store = current().store
    try:
        store.alarms.close(number, by=who(request))
    except KoppelError as error:
        trouble(request, error)
    else:
        store.audit_log.write(who(request), "close alarm", str(number))
        note(request, _("The alarm is closed."))
    return redirect("schedules")


# What the page shows.


def _page(store: Store) -> dict[str, Any]:
    found, faults = _live(store)
    now = store.clock()
    return {
        "jobs": [_job(store, found, job) for job in found.jobs.values()],
        "systems": [_system(found, row) for row in store.connections.all()],
        "zone": found.zone,
        "zones": sorted(available_timezones()),
        "tasks": TASKS,
        "entities": store.documents.names("rule"),
        "late": LATE,
        "quiet_until": _when(quiet_until(found, engine.connections_of(store), now), found),
        "alarms": store.alarms.open(),
        "versions": store.documents.versions(KIND, NAME),
        "text": engine.text_of(store),
        "faults": faults,
    }


def _live(store: Store) -> tuple[Schedules, Sequence[Fault]]:
    """The live schedules; with its faults in place of them where it has some."""
    try:
        return engine.live(store), ()
    except DocumentFaults as error:
        return Schedules(), error.faults


def _job(store: Store, found: Schedules, job: Job) -> dict[str, Any]:
    return {
        "job": job,
        "coming": _coming(store, found, job, SHOWN),
        "row": store.schedules.get(job.name),
    }


def _coming(store: Store, found: Schedules, job: Job, many: int) -> list[dict[str, Any]]:
    """The job's next times; `put_off` where quiet hours hold it up until then."""
    names = engine.connections_of(store)
    told = []
    for at in islice(moments(job, found.zone_info, store.clock()), many):
        put_off = quiet_until(found, names, at)
        told.append({"at": _when(at, found), "put_off": _when(put_off, found, "EEE HH:mm")})
    return told


def _when(moment: datetime | None, found: Schedules, pattern: str = "") -> str:
    """A moment on the clocks of the schedule's time zone."""
    if moment is None:
        return ""
    pattern = pattern or ("EEE dd.MM.y HH:mm" if locale() == "de" else "EEE d MMM y HH:mm")
    return str(format_datetime(moment, pattern, tzinfo=found.zone_info, locale=locale()))


def _system(found: Schedules, row: Any) -> dict[str, Any]:
    seconds = found.poll.get(row.name)
    return {
        "row": row,
        "way": "serve" if seconds is None else "poll" if seconds else "push",
        "seconds": seconds or "",
        "quiet": [span.text for span in found.quiet.get(row.name, ())],
    }


# A change.


def _changed(store: Store, form: QueryDict) -> tuple[str, Sequence[Fault]]:
    """The document with what the form says, and what is wrong with it then."""
    try:
        text = _text(engine.text_of(store), form)
        _read(store, text)
    except DocumentFaults as error:
        return "", error.faults
    except (NeedsUser, tomlkit.exceptions.TOMLKitError) as error:
        return "", (Fault(f"{KIND} {NAME}", "", str(error)),)
    return text, ()


def _read(store: Store, text: str) -> Schedules:
    names = engine.connections_of(store)
    return load_schedules(text, source=f"{KIND} {NAME}", connections=names)


def _text(before: str, form: QueryDict) -> str:
    does = form.get("does", "")
    if does == "job":
        return with_job(before, _wanted_job(form))
    if does == "remove":
        return without_job(before, form.get("name", ""))
    if does == "zone":
        return with_setting(before, ("time_zone",), form.get("zone", "").strip())
    if does == "system":
        return _with_system(before, form)
    if does == "text":
        return form.get("text", "").replace("\r\n", "\n")
    raise Http404


def _wanted_job(form: QueryDict) -> Job:
    run: Any = form.get("run", "")
    late = form.get("late", "").strip()
    return Job(
        name=form.get("name", "").strip(),
        run=run,
        cron=" ".join(form.get("cron", "").split()),
        entities=tuple(form.getlist("entity")),
        # What is no number becomes one that is refused with its place and remedy.
        late=int(late) if late.isdecimal() and len(late) < 8 else 0,
    )


def _with_system(before: str, form: QueryDict) -> str:
    name, way = form.get("connection", ""), form.get("way", "")
    spans = [one.strip() for one in form.get("quiet", "").replace(",", "\n").splitlines()]
    seconds: Any = {"serve": None, "push": 0}.get(way, form.get("seconds", "").strip())
    if isinstance(seconds, str):
        whole = seconds.replace(",", ".")
        seconds = float(whole) if whole.replace(".", "", 1).isdecimal() else seconds
    text = with_setting(before, ("poll", name), seconds)
    return with_setting(text, ("quiet", name), [one for one in spans if one] or None)


def _typed(form: QueryDict) -> Mapping[str, Any]:
    """What was typed, so that nobody types it twice."""
    return {**form.dict(), "entities": form.getlist("entity")}
