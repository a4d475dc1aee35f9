"""The interface for other programs: REST under `/api/v1`, described in OpenAPI 3.1.

A program shows a token (`koppel token add`) and may what its scopes and its user both may. Lists
come in pages; errors are problems as RFC 9457 has them. Asking twice does no harm: a decision that
was made is made again, a record that is in step stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from ninja import NinjaAPI, Query, Schema
from ninja.errors import AuthenticationError, ValidationError
from ninja.security import HttpBearer

from koppel.engine import hand
from koppel.engine.runner import steps_of
from koppel.errors import KoppelError, TryLater
from koppel.store.codec import decode
from koppel.store.models import Conflict, Coupling, Review, Run
from koppel.store.people import Action
from koppel.sync.rule import SIDES, Side
from koppel.web.records import canonical
from koppel.web.rights import TOKEN, Rights, declare
from koppel.web.service import current

PREFIX = "api/v1/"
LARGEST_PAGE = 200
PRESS_SECONDS = 25.0
"""How long a synchronisation is waited for before it is said that the record follows."""


class Token(HttpBearer):
    """A token in the header `Authorization: Bearer ...`."""

    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        """The user's name; the request's rights are those of the user within the scopes."""
        service = current()
        found = service.store.tokens.find(token)
        if found is None:
            return None
        user, scopes = found
        rights = service.store.people.rights_of(user)
        request.rights = Rights(  # type: ignore[attr-defined]
            {(action, entity) for action, entity in rights if action in scopes}
        )
        return str(user.get_username())


api = NinjaAPI(
    title="Koppel",
    version="1",
    description=__doc__ or "",
    auth=Token(),
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
)


# problems (RFC 9457)


def problem(status: int, detail: str, **more: Any) -> HttpResponse:
    """What went wrong, in one sentence that says what helps."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JsonResponse(body, status=status, content_type="application/problem+json")


@api.exception_handler(KoppelError)
def _koppel_error(request: HttpRequest, error: KoppelError) -> HttpResponse:
    return problem(503 if isinstance(error, TryLater) else 409, str(error))


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "There is nothing at this address.")


@api.exception_handler(PermissionDenied)
def _denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, f"The token or its user may not: {error}.")


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem(401, "The token is missing, unknown or over. Make one: koppel token add")


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [{"place": list(map(str, one["loc"])), "message": one["msg"]} for one in error.errors]
    return problem(422, "The request does not fit its description.", errors=faults)


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


class Decision(Schema):
    """The CRM's value, the ERP's, the one before, or with `value` a text of one's own."""

    choice: Literal["crm", "erp", "base", "value"]
    value: str | None = None


class Answer(Schema):
    """What a person says of two records."""

    says: Literal["same", "different", "later"]


Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Number = Annotated[int, Query(ge=0, le=2**62)]


def _plain(value: Any) -> Any:
    """As JSON has it: decimals as text, dates in ISO 8601, addresses as objects."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=str)


def _may(request: HttpRequest, action: Action, entity: str = "") -> None:
    rights: Rights = request.rights  # type: ignore[attr-defined]
    if not rights(action, entity):
        raise PermissionDenied(f"{action} {entity}".strip())


def _entities(request: HttpRequest, action: Action, asked: str = "") -> list[str]:
    _may(request, action, asked)
    rights: Rights = request.rights  # type: ignore[attr-defined]
    return [asked] if asked else rights.among(action, current().store.documents.names("rule"))


def _user(request: HttpRequest) -> str:
    return str(request.auth)  # type: ignore[attr-defined]


@api.get("/status", response=Status, operation_id="status")
def status(request: HttpRequest) -> Any:
    """How the coupling stands: what waits, and whether both systems answer."""
    _may(request, "view")
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
    entity: str = "",
    state: str = "",
    q: str = "",
    after: str = "",
    limit: Limit = 50,
) -> Any:
    """Pairs of records, by id; `q`: what the name contains."""
    rows = Coupling.objects.filter(entity__in=_entities(request, "view", entity), id__gt=after)
    if state:
        rows = rows.filter(state=state)
    if q:
        rows = rows.filter(label__icontains=q)
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
    _may(request, "view", row.entity)
    service.store.audit_log.write(_user(request), "see", request.path)
    sides = {
        side: _plain(dict(canonical(service, row.entity, side, row.base(side)))) for side in SIDES
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
    _entities(request, "synchronise", entity)
    service = current()
    if entity not in service.store.documents.names("rule"):
        raise Http404
    here: Side = side
    user = _user(request)
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
            "old": _plain(one.old),
            "new": _plain(one.new),
            "why": one.why,
        }
        for one in step.body.changes
    ]


@api.get("/conflicts", response=Conflicts, operation_id="conflicts")
def conflicts(request: HttpRequest, entity: str = "", after: Number = 0, limit: Limit = 50) -> Any:
    """Fields that both sides changed and that wait for a person."""
    entities = _entities(request, "view", entity)
    rows = Conflict.objects.filter(state="open", entity__in=entities, id__gt=after)
    found = list(rows.order_by("id")[: limit + 1])
    return {
        "items": [_conflict(row) for row in found[:limit]],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


def _conflict(row: Conflict) -> Mapping[str, Any]:
    before, _erp_before, crm, erp = (_plain(one) for one in decode(row.values))
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
def resolve(request: HttpRequest, number: int, decision: Decision) -> Any:
    """Decide a conflict; the next sync writes the value to the side that differs."""
    row = Conflict.objects.filter(id=number).first() if number < 2**62 else None
    if row is None:
        raise Http404
    _may(request, "decide", row.entity)
    value = decision.value if decision.choice == "value" else decision.choice
    hand.resolve(current().store, number, value, by=_user(request))
    return 204, None


@api.get("/matches", response=Matches, operation_id="matches")
def matches(request: HttpRequest, entity: str = "", after: Number = 0, limit: Limit = 50) -> Any:
    """Two records that may be the same, and that wait for a person's word."""
    entities = _entities(request, "view", entity)
    rows = Review.objects.filter(state="open", entity__in=entities, id__gt=after)
    found = list(rows.order_by("id")[: limit + 1])
    items = [
        {
            "number": row.id,
            "entity": row.entity,
            "crm_id": row.crm_id,
            "erp_id": row.erp_id,
            "score": row.score,
            "reasons": row.reasons,
        }
        for row in found[:limit]
    ]
    return {"items": items, "next": found[limit - 1].id if len(found) > limit else None}


@api.post("/matches/{number}", response={204: None}, operation_id="answer")
def answer(request: HttpRequest, number: int, told: Answer) -> Any:
    """Say of a proposed pair that it is the same, different, or later."""
    row = Review.objects.filter(id=number).first() if number < 2**62 else None
    if row is None:
        raise Http404
    _may(request, "decide", row.entity)
    hand.answer(current().store, number, told.says, by=_user(request))
    return 204, None


@api.get("/runs", response=Runs, operation_id="runs")
def runs(request: HttpRequest, state: str = "", before: Number = 0, limit: Limit = 50) -> Any:
    """Runs, the newest first."""
    _may(request, "view")
    rows = Run.objects.order_by("-id")
    if state:
        rows = rows.filter(state=state)
    if before:
        rows = rows.filter(id__lt=before)
    found = list(rows[: limit + 1])
    return {
        "items": [_run(row) for row in found[:limit]],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


def _run(row: Run) -> Mapping[str, Any]:
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


@api.get("/runs/{number}/steps", response=list[StepOut], operation_id="steps")
def steps(request: HttpRequest, number: int, after: Number = 0, limit: Limit = 50) -> Any:
    """The plan of a run, step by step: what was written, and why."""
    rights: Rights = request.rights  # type: ignore[attr-defined]
    _may(request, "view")
    if number >= 2**62 or not Run.objects.filter(id=number).exists():
        raise Http404
    told: list[dict[str, Any]] = []
    for page in current().store.runs.steps(number):
        for step in page:
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
            if len(told) == limit:
                return told
    return told


@declare(TOKEN)
def description(request: HttpRequest) -> HttpResponse:
    """The description of the interface in OpenAPI 3.1."""
    return JsonResponse(api.get_openapi_schema(path_prefix=f"/{PREFIX}"))


def addresses() -> list[URLPattern]:
    """The addresses of the interface; each checks its token itself."""
    found = [path(f"{PREFIX}openapi.json", description, name="api_description")]
    for pattern in api.urls[0]:
        route = str(pattern.pattern)
        if not isinstance(pattern, URLPattern) or not route:
            continue
        view = declare(TOKEN)(pattern.callback)
        name = "api_" + route.replace("/", "_").replace("<", "").replace(">", "")
        found.append(path(PREFIX + route, view, name=name))
    return found
