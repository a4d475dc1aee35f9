"""Target groups: made of a filter, looked at as a plan, written into the CRM when approved."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.errors import KoppelError
from koppel.processes import target_groups
from koppel.store import selecting
from koppel.store.seen_models import Customer, TargetGroup
from koppel.web import orders
from koppel.web.notes import note, trouble
from koppel.web.rights import looked, needs, who
from koppel.web.service import current
from koppel.web.trade import today

LISTED = 50
WRITE_SECONDS = 60.0


@needs("approve", entity="partner")
def targets(request: HttpRequest) -> HttpResponse:
    """All groups; with a query, how many customers a new one would have."""
    if request.method == "POST":
        name, query = request.POST.get("name", "").strip()[:120], request.POST.get("query", "")
        try:
            row = target_groups.make(current().store, name or _("Group"), query[:2000], today(),
                                     user=who(request))  # fmt: skip
        except KoppelError as error:
            trouble(request, error)
            return redirect("targets")
        return redirect("target", number=row.id)
    query = request.GET.urlencode()
    asked = {key: value for key, value in parse_qsl(query) if key in (*selecting.FILTERS, "q")}
    found = selecting.choose(asked, today()).order_by("name_key", "id") if asked else None
    context: dict[str, Any] = {
        "groups": TargetGroup.objects.order_by("name"),
        "query": query,
        "many": found.count() if found is not None else 0,
        "some": found[:LISTED] if found is not None else (),
    }
    looked(request, len(context["some"]))
    return render(request, "web/targets.html", context)


@needs("approve", entity="partner")
def target(request: HttpRequest, number: int) -> HttpResponse:
    """One group with its plan."""
    row = get_object_or_404(TargetGroup, id=number)
    context: dict[str, Any] = {
        "group": row,
        "mark": _named(row.plan.get("mark", ())),
        "unmark": _named(row.plan.get("unmark", ())),
        "many": len(row.plan.get("mark", ())),
        "less": len(row.plan.get("unmark", ())),
        "marked": len(row.written),
    }
    looked(request, len(context["mark"]) + len(context["unmark"]))
    return render(request, "web/target.html", context)


def _named(ids: Any) -> list[Customer]:
    return list(Customer.objects.filter(crm_id__in=list(ids)[:LISTED]).order_by("name_key"))


@require_POST
@needs("approve", entity="partner")
def write_target(request: HttpRequest, number: int) -> HttpResponse:
    """Carry the plan out, or plan anew."""
    row = get_object_or_404(TargetGroup, id=number)
    user = who(request)
    try:
        if request.POST.get("again"):
            target_groups.make(current().store, row.name, row.query, today(), user=user)
        else:
            told = orders.desk().ask(
                lambda desk: target_groups.carry_out(desk.systems, row, user=user), WRITE_SECONDS
            )
            if told is None:
                note(request, _("It is being written; look again in a minute."))
            else:
                note(request, _("Written into the CRM."))
    except KoppelError as error:
        trouble(request, error)
    return redirect("target", number=number)
