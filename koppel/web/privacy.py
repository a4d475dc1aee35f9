"""Personal data: find one person, see and export what is kept, plan an erasure, approve it.

What was typed to find somebody is in no address and no log; who was looked at is, by number.
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.engine import erasing
from koppel.engine.runner import Engine
from koppel.errors import KoppelError
from koppel.store import retention
from koppel.store.people_models import Erasure
from koppel.store.personal import FATE, Subject
from koppel.sync.rule import SIDES, Side
from koppel.web.errands import begin
from koppel.web.notes import note, trouble
from koppel.web.rights import needs, require, rights_of, who
from koppel.web.service import current
from koppel.web.trade import today

SHOWN = 50


def subject_at(entity: str, side: str, record: str) -> Subject:
    """Who is at an address; 404 where nothing here knows the record."""
    if side not in SIDES:
        raise Http404
    here: Side = "crm" if side == "crm" else "erp"
    found = current().store.personal.subject(entity, here, record)
    if found is None:
        raise Http404
    return found


def whole(subject: Subject) -> dict[str, Any]:
    """Everything that Koppel keeps of one person, as JSON has it."""
    told: dict[str, Any] = {
        "entity": subject.entity,
        "records": subject.records,
        "label": subject.label,
        **current().store.personal.gather(subject).rows,
    }
    plain: dict[str, Any] = msgspec.to_builtins(told, str_keys=True, enc_hook=str)
    return plain


@needs("privacy")
def persons(request: HttpRequest) -> HttpResponse:
    """Find somebody; and the plans of erasures. The query comes by POST, so that no log has it."""
    store = current().store
    query, found = request.POST.get("q", ""), []
    if request.method == "POST":
        entities = rights_of(request).among("privacy", ("contact", "partner"))
        try:
            found = store.personal.find(query, entities)
        except KoppelError as error:
            trouble(request, error)
        store.audit_log.write(
            who(request), "find person", found=[" ".join(one.place) for one in found]
        )
    context = {
        "query": query,
        "asked": request.method == "POST",
        "found": found,
        "erasures": Erasure.objects.order_by("-id")[:SHOWN],
    }
    return render(request, "web/persons.html", context)


@needs("privacy", entity_in="entity", seen=True)
def person(request: HttpRequest, entity: str, side: str, record: str) -> HttpResponse:
    """What is kept of one person, how much of it, and what erasing would make of it."""
    store, subject = current().store, subject_at(entity, side, record)
    counts = store.personal.gather(subject).counts()
    rules = retention.live(store.documents)
    context = {
        "subject": subject,
        "records": subject.records,
        "rows": [(kind, many, *FATE[kind]) for kind, many in counts.items()],
        "kept": retention.kept(rules, store.personal.documents(subject), today()),
        "may_view": rights_of(request)("view", entity),
    }
    return render(request, "web/person.html", context)


@require_POST
@needs("privacy", entity_in="entity")
def export(request: HttpRequest, entity: str, side: str, record: str) -> HttpResponse:
    """All of it as a file."""
    subject = subject_at(entity, side, record)
    current().store.audit_log.write(who(request), "export person", " ".join(subject.place))
    text = msgspec.json.format(msgspec.json.encode(whole(subject)))
    answer = HttpResponse(text, content_type="application/json")
    answer.headers["Content-Disposition"] = 'attachment; filename="person.json"'
    return answer


@require_POST
@needs("privacy", entity_in="entity")
def erase(request: HttpRequest, entity: str, side: str, record: str) -> HttpResponse:
    """Plan the erasure: both systems are asked, nothing is changed."""
    subject, user, day = subject_at(entity, side, record), who(request), today()
    planned = _("Erasure %(number)d is planned; look at it and approve it.")

    def work(engine: Engine) -> str:
        return planned % {"number": erasing.plan(engine, subject, day, user=user).id}

    return begin(request, work, _("Plan the erasure"), "/persons")


@needs("privacy", seen=True)
def erasure(request: HttpRequest, number: int) -> HttpResponse:
    """A plan and what came of it."""
    row = get_object_or_404(Erasure, id=number)
    require(request, "privacy", row.entity)
    context = {
        "row": row,
        "open": row.state in ("planned", "partly"),
        "store": [(kind, many, *FATE[kind]) for kind, many in row.store.items() if kind in FATE],
    }
    return render(request, "web/erasure.html", context)


@require_POST
@needs("privacy")
def approve(request: HttpRequest, number: int) -> HttpResponse:
    """Carry a plan out."""
    row = get_object_or_404(Erasure, id=number)
    require(request, "privacy", row.entity)
    user, erased = who(request), _("The person is erased.")
    partly = _("A system did not do its part; look at the erasure, and approve it again.")

    def work(engine: Engine) -> str:
        done = erasing.carry_out(engine, number, user=user)
        return erased if done.state == "done" else partly

    return begin(request, work, _("Erase"), f"/persons/erasures/{number}")


@require_POST
@needs("privacy")
def reject(request: HttpRequest, number: int) -> HttpResponse:
    """Drop a plan."""
    row = get_object_or_404(Erasure, id=number)
    require(request, "privacy", row.entity)
    try:
        erasing.reject(current().store, row, user=who(request))
        note(request, _("The plan is dropped; nobody is erased."))
    except KoppelError as error:
        trouble(request, error)
    return redirect("erasure", number=number)
