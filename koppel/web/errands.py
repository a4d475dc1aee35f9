"""Errands on pages: begin one, follow it live, and read what came of it, field by field."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from koppel.engine.errand import Errand, Work
from koppel.engine.runner import Engine, steps_of
from koppel.store.models import Run
from koppel.sync.rule import SIDES, Side
from koppel.web.rights import needs, require, who
from koppel.web.service import current


def begin(
    request: HttpRequest, work: Work, label: str, back: str = "/", *, opens_run: bool = False
) -> HttpResponse:
    """Line up an errand, and go to the page (or show the part of a page) that follows it."""
    errand = Errand(work, who(request), label, back, opens_run)
    current().watch.errand(errand)
    if request.headers.get("HX-Request"):
        return render(request, "web/parts/errand.html", told(errand))
    return redirect("errand", errand=errand.id)


def told(errand: Errand) -> dict[str, Any]:
    """How far an errand is, and what came of it."""
    # Asked once: it may be done by the time that the page is made of this.
    done = errand.done.is_set()
    context: dict[str, Any] = {"errand": errand, "done": done}
    if done and isinstance(errand.result, Run):
        context.update(outcome(errand.result))
    return context


def outcome(run: Run) -> dict[str, Any]:
    """What a run wrote, field by field, and what it left for a person."""
    changes: list[dict[str, Any]] = []
    troubles: list[dict[str, str]] = []
    conflicts = 0
    for step in steps_of(current().store, run):
        conflicts += len(step.body.conflicts)
        if step.state == "done":
            changes += [{"label": step.label, "change": c} for c in step.body.changes]
        elif step.state not in ("planned",):
            troubles.append({"label": step.label, "state": step.state, "message": step.message})
    return {"run": run, "changes": changes[:200], "troubles": troubles[:50], "conflicts": conflicts}


@require_GET
@needs("view")
def errand(request: HttpRequest, errand: str) -> HttpResponse:
    """An errand while it is done, and what came of it."""
    found = current().watch.errands.get(errand)
    if found is None or found.user != who(request):
        raise Http404
    part = bool(request.headers.get("HX-Request"))
    if found.done.is_set() and found.opens_run and isinstance(found.result, Run):
        page = reverse("run", kwargs={"number": found.result.id})
        if not part:
            return redirect(page)
        answer = HttpResponse()
        answer.headers["HX-Redirect"] = page
        return answer
    return render(request, "web/parts/errand.html" if part else "web/errand.html", told(found))


@require_POST
@needs("synchronise")
def synchronise(request: HttpRequest, entity: str, side: str, record: str) -> HttpResponse:
    """The push-button: bring one record into step now."""
    if side not in SIDES:
        raise Http404
    require(request, "synchronise", entity)
    here: Side = "crm" if side == "crm" else "erp"
    user = who(request)

    def work(engine: Engine) -> Run:
        return engine.sync(selection={entity: {here: [record]}}, trigger="button", user=user)

    current().store.audit_log.write(user, "synchronise", f"{entity} {side} {record}")
    back = reverse("record", kwargs={"entity": entity, "side": side, "record": record})
    return begin(request, work, _("Synchronise"), back)
