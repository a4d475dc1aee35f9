"""The interface for other programs: REST under `/api/v1`, described in OpenAPI 3.1.

A program shows a token (`koppel token add`) and may what its scopes and its user both may. Lists
come in pages; errors are problems as RFC 9457 has them. Asking twice does no harm: a decision that
was made is made again, a record that is in step stays so.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from ninja import Schema

from koppel.engine import hand
from koppel.engine.runner import steps_of
from koppel.store.codec import decode
from koppel.store.models import Conflict, Coupling, Review, Run
from koppel.sync.rule import SIDES, Side
from koppel.web.api_base import (
    PREFIX,
    PRESS_SECONDS,
    SILENT,
    UNKNOWN_TOKEN,
    Id,
    Limit,
    Moment,
    Number,
    Text,
    api,
    bearer,
    entities_of,
    may,
    page,
    plain,
    problem,
    since,
    user_of,
)
from koppel.web.api_description import described, strict
from koppel.web.records import canonical
from koppel.web.rights import TOKEN, Rights, declare
from koppel.web.service import current

# what is told


class CouplingOut(Schema):
    """A pair of records that belong together."""

    id: str
    entity: str
    crm_id: str | None
    erp_id: str | None
    state: str
    label: str
    in_step_at: datetime | None


class CouplingDetail(CouplingOut):
    """The same, with what each side held when it was last read, in canonical fields."""

    crm: dict[str, Any]
    erp: dict[str, Any]
    conflicts: list[str]


class ConflictOut(Schema):
    """A field that both sides changed."""

    number: int
    coupling: str
    entity: str
    field: str
    label: str
    why: str
    before: Any = None
    crm: Any = None
    erp: Any = None
    opened_at: datetime


class MatchOut(Schema):
    """Two records that may be the same."""

    number: int
    entity: str
    crm_id: str
    erp_id: str
    score: float
    reasons: list[str]


class RunOut(Schema):
    """A run."""

    id: int
    kind: str
    state: str
    trigger: str
    user: str
    started_at: datetime
    ended_at: datetime | None
    writes: int
    reasons: list[str]


class ChangeOut(Schema):
    """One field that was written, or would be."""

    record: str
    side: str
    field: str
    old: Any = None
    new: Any = None
    why: str


class StepOut(Schema):
    """One step of a run's plan."""

    number: int
    entity: str
    kind: str
    state: str
    label: str
    message: str
    changes: list[ChangeOut]


class Synchronised(Schema):
    """What came of a synchronisation; `run` None: Koppel is busy, and the record follows."""

    run: int | None
    state: str
    changes: list[ChangeOut]


class Status(Schema):
    """How the coupling stands."""

    waiting: dict[str, int]
    systems: dict[str, str]
    last_poll: datetime | None
    trouble: str


class Couplings(Schema):
    """A page; `next` goes into `after` for the following one."""

    items: list[CouplingOut]
    next: str | None


class Conflicts(Schema):
    """A page."""

    items: list[ConflictOut]
    next: int | None


class Matches(Schema):
    """A page."""

    items: list[MatchOut]
    next: int | None


class Runs(Schema):
    """A page, the newest first; `next` goes into `before`."""

    items: list[RunOut]
    next: int | None


class Steps(Schema):
    """A page."""

    items: list[StepOut]
    next: int | None


class Decision(Schema):
    """The CRM's value, the ERP's, the one before, or with `value` a text of one's own."""

    choice: Literal["crm", "erp", "base", "value"]
    value: str | None = None


class Answer(Schema):
    """What a person says of two records."""

    says: Literal["same", "different", "later"]


@api.get("/status", response=Status, operation_id="status")
def status(request: HttpRequest) -> Any:
    """How the coupling stands: what waits, and whether both systems answer."""
    may(request, "view")
    service = current()
    return {
        "waiting": dict(service.store.inbox.totals()),
        "systems": {
            row.name: "paused" if row.paused else "away" if row.away_since else "answers"
            for row in service.store.connections.all()
        },
        "last_poll": service.watch.last_poll,
        "trouble": service.watch.last_error,
    }


@api.get("/couplings", response=Couplings, operation_id="couplings")
def couplings(
    request: HttpRequest,
    entity: Text = "",
    state: Text = "",
    q: Text = "",
    crm_id: Text = "",
    erp_id: Text = "",
    after: Text = "",
    limit: Limit = 50,
) -> Any:
    """Pairs of records, by id; `q`: what the name contains; `crm_id`, `erp_id`: a record's."""
    rows = Coupling.objects.filter(entity__in=entities_of(request, "view", entity), id__gt=after)
    if state:
        rows = rows.filter(state=state)
    if q:
        rows = rows.filter(label__icontains=q)
    for column, wanted in (("crm_id", crm_id), ("erp_id", erp_id)):
        if wanted:
            rows = rows.filter(**{column: wanted})
    found = list(rows.order_by("id").defer("crm_base", "erp_base")[: limit + 1])
    return {
        "items": found[:limit],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


@api.get("/couplings/{coupling}", response=CouplingDetail, operation_id="coupling")
def coupling(request: HttpRequest, coupling: str) -> Any:
    """One pair with both sides."""
    service = current()
    row = service.store.couplings.by_id([coupling]).get(coupling)
    if row is None:
        raise Http404
    may(request, "view", row.entity)
    service.store.audit_log.write(user_of(request), "see", request.path)
    sides = {
        side: plain(dict(canonical(service, row.entity, side, row.base(side)))) for side in SIDES
    }
    return {
        **msgspec.structs.asdict(row),
        **sides,
        "in_step_at": service.store.couplings.in_step_at(coupling),
        "conflicts": list(service.store.inbox.open_fields([coupling]).get(coupling, {})),
    }


@api.post(
    "/records/{entity}/{side}/{record}/synchronise",
    response=Synchronised,
    operation_id="synchronise",
)
def synchronise(request: HttpRequest, entity: str, side: Literal["crm", "erp"], record: str) -> Any:
    """Bring one record into step now, and tell each field."""
    entities_of(request, "synchronise", entity)
    service = current()
    if entity not in service.store.documents.names("rule"):
        raise Http404
    here: Side = side
    user = user_of(request)
    service.store.audit_log.write(user, "synchronise", f"{entity} {side} {record}")
    pressed = service.watch.press(entity, here, record, user=user, timeout=PRESS_SECONDS)
    if pressed.error is not None:
        raise pressed.error
    if pressed.run is None:
        return {"run": None, "state": "waiting", "changes": []}
    return {
        "run": pressed.run.id,
        "state": pressed.run.state,
        "changes": [
            change
            for step in steps_of(service.store, pressed.run)
            if step.state == "done"
            for change in _changes(step)
        ],
    }


def _changes(step: Any) -> list[dict[str, Any]]:
    return [
        {
            "record": step.label,
            "side": one.side,
            "field": one.field,
            "old": plain(one.old),
            "new": plain(one.new),
            "why": one.why,
        }
        for one in step.body.changes
    ]


@api.get("/conflicts", response=Conflicts, operation_id="conflicts")
def conflicts(
    request: HttpRequest,
    entity: Text = "",
    coupling: Text = "",
    field: Text = "",
    after: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Fields that both sides changed and that wait for a person."""
    entities = entities_of(request, "view", entity)
    rows = Conflict.objects.filter(state="open", entity__in=entities, id__gt=after)
    for column, wanted in (("coupling", coupling), ("field", field)):
        if wanted:
            rows = rows.filter(**{column: wanted})
    found, last = page(list(rows.order_by("id")[: limit + 1]), limit)
    return {"items": [_conflict(row) for row in found], "next": last.id if last else None}


def _conflict(row: Conflict) -> Mapping[str, Any]:
    before, _erp_before, crm, erp = (plain(one) for one in decode(row.values))
    return {
        "number": row.id,
        "coupling": row.coupling,
        "entity": row.entity,
        "field": row.field,
        "label": row.label,
        "why": row.why,
        "before": before,
        "crm": crm,
        "erp": erp,
        "opened_at": row.opened_at,
    }


@api.post("/conflicts/{number}", response={204: None}, operation_id="resolve")
def resolve(request: HttpRequest, number: Id, decision: Decision) -> Any:
    """Decide a conflict; the next sync writes the value to the side that differs."""
    row = Conflict.objects.filter(id=number).first()
    if row is None:
        raise Http404
    may(request, "decide", row.entity)
    value = decision.value if decision.choice == "value" else decision.choice
    hand.resolve(current().store, number, value, by=user_of(request))
    return SILENT


@api.get("/matches", response=Matches, operation_id="matches")
def matches(
    request: HttpRequest,
    entity: Text = "",
    score: float = 0.0,
    after: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Two records that may be the same, and that wait for a person's word; `score`: at least."""
    entities = entities_of(request, "view", entity)
    rows = Review.objects.filter(state="open", entity__in=entities, id__gt=after, score__gte=score)
    found, last = page(list(rows.order_by("id")[: limit + 1]), limit)
    items = [
        {
            "number": row.id,
            "entity": row.entity,
            "crm_id": row.crm_id,
            "erp_id": row.erp_id,
            "score": row.score,
            "reasons": row.reasons,
        }
        for row in found
    ]
    return {"items": items, "next": last.id if last else None}


@api.post("/matches/{number}", response={204: None}, operation_id="answer")
def answer(request: HttpRequest, number: Id, told: Answer) -> Any:
    """Say of a proposed pair that it is the same, different, or later."""
    row = Review.objects.filter(id=number).first()
    if row is None:
        raise Http404
    may(request, "decide", row.entity)
    hand.answer(current().store, number, told.says, by=user_of(request))
    return SILENT


@api.get("/runs", response=Runs, operation_id="runs")
def runs(
    request: HttpRequest,
    state: Text = "",
    kind: Text = "",
    trigger: Text = "",
    begun: Moment = None,
    before: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Runs, the newest first; `begun`: at that moment or later."""
    may(request, "view")
    rows = Run.objects.order_by("-id")
    for column, wanted in (("state", state), ("kind", kind), ("trigger", trigger)):
        if wanted:
            rows = rows.filter(**{column: wanted})
    if begun is not None:
        rows = rows.filter(started_at__gte=since(begun)["at"])
    if before:
        rows = rows.filter(id__lt=before)
    found, last = page(list(rows[: limit + 1]), limit)
    return {"items": [run_told(row) for row in found], "next": last.id if last else None}


def run_told(row: Run) -> Mapping[str, Any]:
    """A run as the interface tells it."""
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "trigger": row.trigger,
        "user": row.user,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "writes": row.counts.get("writes", 0),
        "reasons": row.reasons,
    }


@api.get("/runs/{number}/steps", response=Steps, operation_id="steps")
def steps(request: HttpRequest, number: Id, after: Number = 0, limit: Limit = 50) -> Any:
    """The plan of a run, step by step: what was written, and why."""
    rights: Rights = request.rights  # type: ignore[attr-defined]
    may(request, "view")
    if not Run.objects.filter(id=number).exists():
        raise Http404
    told: list[dict[str, Any]] = []
    for steps_of_page in current().store.runs.steps(number):
        for step in steps_of_page:
            if step.number <= after or not rights("view", step.entity):
                continue
            told.append(
                {
                    "number": step.number,
                    "entity": step.entity,
                    "kind": step.kind,
                    "state": step.state,
                    "label": step.label,
                    "message": step.message,
                    "changes": _changes(step),
                }
            )
            if len(told) > limit:
                return {"items": told[:limit], "next": told[limit - 1]["number"]}
    return {"items": told, "next": None}


@declare(TOKEN)
def description(request: HttpRequest) -> HttpResponse:
    """The description of the interface in OpenAPI 3.1."""
    return JsonResponse(described())


@declare(TOKEN)
def unknown(request: HttpRequest, rest: str) -> HttpResponse:
    """Any other address of the interface: a problem too, and told to those with a token alone."""
    if current().store.tokens.number(bearer(request)) is None:
        return problem(401, UNKNOWN_TOKEN)
    return problem(404, "There is nothing at this address.")


def addresses() -> list[URLPattern]:
    """The addresses of the interface; each checks its token itself."""
    for more in ("api_work", "api_customers", "api_people"):
        importlib.import_module(f"koppel.web.{more}")
    seen: set[str] = set()
    found = [path(f"{PREFIX}openapi.json", description, name="api_description")]
    for pattern in api.urls[0]:
        route = str(pattern.pattern)
        if not isinstance(pattern, URLPattern) or not route or route in seen:
            continue
        seen.add(route)
        view = declare(TOKEN)(strict(pattern.callback, route))
        name = "api_" + route.replace("/", "_").replace("<", "").replace(">", "")
        found.append(path(PREFIX + route, view, name=name))
    found.append(path(f"{PREFIX}<path:rest>", csrf_exempt(unknown), name="api_unknown"))
    return found
