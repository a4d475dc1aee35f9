"""Runs with their plans, and the journal: what was written, why, and how to take it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.engine import hand
from koppel.engine.runner import Engine
from koppel.errors import KoppelError
from koppel.store.models import Coupling, Journal, Run, Step
from koppel.store.runs import decode_body
from koppel.web import words
from koppel.web.errands import begin
from koppel.web.notes import note, trouble
from koppel.web.records import journal_lines, names_in, referred
from koppel.web.rights import looked, needs, require, rights_of, who
from koppel.web.service import current

PAGE = 50
QUIET = ("rebase",)
"""Kinds of steps that write nothing and ask nobody."""

UNDER_WAY = ("planning", "applying")
UNDOABLE = ("done", "waiting", "interrupted")
STATES = (
    "done", "held", "ready", "waiting", "interrupted", "failed", "superseded", "applying",
)  # fmt: skip


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


@needs("view", anywhere=True)
def runs(request: HttpRequest) -> HttpResponse:
    """All runs, newest first."""
    rows = Run.objects.order_by("-id")
    asked = {name: request.GET.get(name, "") for name in ("kind", "state", "user", "before")}
    if asked["kind"]:
        rows = rows.filter(kind=asked["kind"])
    if asked["state"]:
        rows = rows.filter(state=asked["state"])
    if asked["user"]:
        rows = rows.filter(user__icontains=asked["user"])
    if before := _whole(asked["before"]):
        rows = rows.filter(id__lt=before)
    found = list(rows[: PAGE + 1])
    context = {
        "runs": found[:PAGE],
        "next": found[PAGE - 1].id if len(found) > PAGE else None,
        "asked": asked,
        "kinds": ("sync", "plan", "undo"),
        "states": STATES,
    }
    return render(request, "web/runs.html", context)


def run_or_404(number: int) -> Run:
    """A run by its number."""
    row = Run.objects.filter(id=number).first()
    if row is None:
        raise Http404
    return row


@needs("view", anywhere=True)
def run(request: HttpRequest, number: int) -> HttpResponse:
    """One run: its plan, what it wrote, why, and what it left."""
    row = run_or_404(number)
    rows = Step.objects.filter(run_id=row.id).order_by("number")
    counts = current().store.runs.count_steps(row)
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    rows = rows.filter(kind=kind) if kind else rows.exclude(kind__in=QUIET)
    if state:
        rows = rows.filter(state=state)
    entities = rights_of(request).among("view", _entities(row))
    rows = rows.filter(entity__in=entities)
    after = _whole(request.GET.get("after", ""))
    found = list(rows.filter(number__gt=after)[: PAGE + 1])
    steps = _steps(found[:PAGE])
    context = {
        "run": row,
        "steps": steps,
        "names": referred(request, _values(steps)),
        "next": found[PAGE - 1].number if len(found) > PAGE else None,
        "kinds": [(name, many) for name, many in sorted(counts.items()) if ":" not in name],
        "kind": kind,
        "state": state,
        "writes": current().store.journal.count(row.id),
        "may_undo": row.state in UNDOABLE and row.kind != "undo",
        "may_apply": row.state in ("ready", "held"),
        "under_way": words.word(words.STATES, row.state) if row.state in UNDER_WAY else "",
        "undone_by": Run.objects.filter(undoes_id=row.id, state="done").first(),
    }
    looked(request, len(found[:PAGE]))
    return render(request, "web/run.html", context)


def _entities(row: Run) -> list[str]:
    return list(Step.objects.filter(run_id=row.id).values_list("entity", flat=True).distinct())


def _steps(rows: Sequence[Step]) -> list[dict[str, Any]]:
    """Steps with what they say; `known`: their pair is there, and has a page."""
    wanted = [row.coupling for row in rows if row.coupling]
    known = set(Coupling.objects.filter(id__in=wanted).values_list("id", flat=True))
    return [
        {"row": row, "body": decode_body(row.body), "known": row.coupling in known} for row in rows
    ]


def _values(steps: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """All values that stand in steps."""
    for step in steps:
        body = step["body"]
        for change in body.changes:
            yield from (change.old, change.new)
        for conflict in body.conflicts:
            yield from (conflict.crm, conflict.erp)
        for notice in body.notices:
            yield from (notice.lost, notice.kept)


@require_POST
@needs("approve")
def undo(request: HttpRequest, number: int) -> HttpResponse:
    """Plan to take a run back; the plan is shown before anything is written."""
    run_or_404(number)
    user = who(request)
    current().store.audit_log.write(user, "plan undo", f"run {number}")
    label = _("Plan how to take run %(number)d back") % {"number": number}
    return begin(
        request,
        lambda engine: engine.undo(number, user=user),
        label,
        f"/runs/{number}",
        opens_run=True,
    )


@require_POST
@needs("approve")
def apply(request: HttpRequest, number: int) -> HttpResponse:
    """Carry a plan out; a held one is approved by this."""
    row = run_or_404(number)
    user, approve = who(request), row.state == "held"

    def work(engine: Engine) -> Run:
        return engine.apply(engine.store.runs.get(number), user=user, approve=approve)

    if not approve:
        current().store.audit_log.write(user, "apply", f"run {number}")
    label = _("Carry out run %(number)d") % {"number": number}
    return begin(request, work, label, f"/runs/{number}", opens_run=True)


@require_POST
@needs("approve")
def reject(request: HttpRequest, number: int) -> HttpResponse:
    """Drop a plan that waits; nothing is written."""
    row = run_or_404(number)
    if row.state not in ("ready", "held"):
        trouble(request, _("This plan does not wait any more."))
    else:
        held = row.state == "held"
        current().store.runs.end(row, "superseded")
        current().store.audit_log.write(who(request), "reject", f"run {number}")
        note(
            request,
            _(
                "Rejected; nothing was written. The next poll plans anew, and asks again as long "
                "as the cause is there."
            )
            if held
            else _("Dropped; nothing was written."),
        )
    return redirect("run", number=number)


@require_POST
@needs("approve")
def sync_now(request: HttpRequest) -> HttpResponse:
    """Bring everything into step now, or only plan it."""
    user, only_plan = who(request), bool(request.POST.get("plan"))

    def work(engine: Engine) -> Run:
        if only_plan:
            return engine.plan(user=user, trigger="plan")
        return engine.sync(user=user, trigger="manual")

    current().store.audit_log.write(user, "plan" if only_plan else "synchronise", "everything")
    label = _("Make a plan") if only_plan else _("Synchronise everything")
    return begin(request, work, label, "/runs", opens_run=True)


@needs("view", anywhere=True)
def journal(request: HttpRequest) -> HttpResponse:
    """What was written, newest first; found by name, record, system and state."""
    asked = {
        name: request.GET.get(name, "").strip()
        for name in ("q", "entity", "side", "state", "before", "run")
    }
    service = current()
    entities = rights_of(request).among("view", service.store.documents.names("rule"))
    rows = Journal.objects.filter(entity__in=entities).order_by("-id")
    for name in ("entity", "side", "state"):
        if asked[name]:
            rows = rows.filter(**{name: asked[name]})
    if asked["run"]:
        rows = rows.filter(run_id=_whole(asked["run"]))
    if asked["q"]:
        named = Coupling.objects.filter(label__icontains=asked["q"]).values("id")
        rows = rows.filter(Q(coupling__in=named) | Q(record=asked["q"]) | Q(coupling=asked["q"]))
    if before := _whole(asked["before"]):
        rows = rows.filter(id__lt=before)
    found = list(rows[: PAGE + 1])
    lines = journal_lines(found[:PAGE])
    labels = {
        key: row.label
        for key, row in service.store.couplings.by_id({e.coupling for e in found}).items()
    }
    for line in lines:
        line["label"] = labels.get(line["entry"].coupling, "")
        line["known"] = line["entry"].coupling in labels
    looked(request, len(lines))
    context = {
        "lines": lines,
        "names": names_in(request, lines),
        "asked": asked,
        "entities": entities,
        "states": ("done", "refused", "void", "unknown", "intent"),
        "next": found[PAGE - 1].id if len(found) > PAGE else None,
    }
    return render(request, "web/journal.html", context)


@require_POST
@needs("decide")
def coupling_word(request: HttpRequest, coupling: str) -> HttpResponse:
    """Break a pair, or take one up again."""
    store = current().store
    row = store.couplings.by_id([coupling]).get(coupling)
    if row is None:
        raise Http404
    require(request, "decide", row.entity)
    try:
        if request.POST.get("word") == "break":
            hand.part(store, coupling, by=who(request), leave=bool(request.POST.get("leave")))
            note(request, _("The pair is broken; both records stay."))
            return redirect("home")
        hand.remake(store, coupling, by=who(request))
        note(request, _("The pair is taken up again."))
    except KoppelError as error:
        trouble(request, error)
    return redirect("coupling", coupling=coupling)
