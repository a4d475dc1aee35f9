"""What a coupled system calls: signed hints, the card on its pages, and its push-button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from koppel import typed
from koppel.connectors.base import Record
from koppel.engine.runner import steps_of
from koppel.processes.cards import make_link
from koppel.store.values import CouplingRow
from koppel.sync.rule import Side
from koppel.web.rights import SIGNED, declare
from koppel.web.service import Service, current

LARGEST = 4096

_STATES = {
    "active": "in step",
    "dormant": "asleep: the record left the scope of the rule",
    "undone": "undone by a person",
    "parted": "parted by a person, or because one side was deleted",
}


class Hint(msgspec.Struct, forbid_unknown_fields=True):
    """A record of the sender that may have changed."""

    resource: str
    id: str


class Press(msgspec.Struct):
    """The user of the sender who pressed the button."""

    user: str = ""


class Wish(msgspec.Struct):
    """The user of the sender who wants to see a card, and whether that one may see money."""

    user: str = ""
    figures: bool = False


View = Callable[..., HttpResponse]
Form = TypeVar("Form")


def trouble(status: int, message: str) -> JsonResponse:
    return JsonResponse({"ok": False, "message": message}, status=status)


def verified(
    request: HttpRequest, connection: str, *, once: bool, largest: int = LARGEST
) -> HttpResponse | None:
    """None if the message may be read; else the refusal. `largest`: of its body, in bytes."""
    # The second for messages in chunks, which tell no length beforehand.
    if int(request.META.get("CONTENT_LENGTH") or 0) > largest or len(request.body) > largest:
        return trouble(413, "The message is too large.")
    fine = current().signed(
        connection,
        f"{request.method} {request.path}",
        request.headers.get("Koppel-Timestamp", ""),
        request.headers.get("Koppel-Signature", ""),
        request.body,
        once=once,
    )
    return None if fine else trouble(401, "The signature does not fit, or is too old.")


def asked(request: HttpRequest, connection: str, form: type[Form]) -> Form | HttpResponse:
    """What a system asks for, once, or the refusal. An empty body asks nothing in particular."""
    refusal = verified(request, connection, once=True)
    if refusal is not None:
        return refusal
    try:
        return typed.from_json(request.body or b"{}", form)
    except (msgspec.MsgspecError, RecursionError) as error:
        return trouble(400, f"This cannot be read: {error}.")


@declare(SIGNED)
@csrf_exempt
@require_POST
def hint(request: HttpRequest, connection: str) -> HttpResponse:
    """A hint: 202 at once, the work is done later. Repeats are harmless and answered alike."""
    refusal = verified(request, connection, once=False)
    if refusal is not None:
        return refusal
    try:
        told = typed.from_json(request.body, Hint)
    except (msgspec.MsgspecError, RecursionError) as error:
        return trouble(400, f"This is no hint: {error}.")
    service = current()
    found = service.entity_of(connection, told.resource)
    if found is not None:
        service.watch.hint(*found, told.id)
    return JsonResponse({"ok": True, "coupled": found is not None}, status=202)


@declare(SIGNED)
@csrf_exempt
@require_GET
def card(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """What Koppel knows of one record, for the block on the system's own page."""
    refusal = verified(request, connection, once=False)
    if refusal is not None:
        return refusal
    service = current()
    found = service.entity_of(connection, resource)
    if found is None:
        return trouble(404, "No rule couples records of this kind.")
    entity, side = found
    row = service.store.couplings.by_record(entity, side, [record]).get(record)
    told = _card(service, entity, side, record, row)
    # The system has shown by its signature that it is itself; whom it lets see this is its matter.
    link = make_link(
        service.store, entity, side, record, user=f"somebody in {connection}", figures=True,
        told=False,
    )  # fmt: skip
    return JsonResponse({**told, "card": link.path})


@declare(SIGNED)
@csrf_exempt
@require_POST
def card_link(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """A link to a record's card, for a person of that system who asked for it just now."""
    told = asked(request, connection, Wish)
    if isinstance(told, HttpResponse):
        return told
    service = current()
    found = service.card_of(connection, resource, record)
    if found is None:
        return trouble(404, "No rule couples records of this kind.")
    entity, side = found
    user = f"{told.user or 'somebody'} in {connection}"
    link = make_link(service.store, entity, side, record, user=user, figures=told.figures)
    return JsonResponse({"ok": True, "card": link.path, "until": link.until.isoformat()})


def _card(
    service: Service, entity: str, side: Side, record: str, row: CouplingRow | None
) -> dict[str, Any]:
    store = service.store
    stuck = [
        entry.reason
        for entry in store.inbox.quarantine()
        if (entry.entity, entry.side, entry.record) == (entity, side, record)
    ]
    if row is None:
        asked = store.inbox.under_review(entity, side, [record])
        state = "a proposed match waits for a person" if asked else "not coupled"
        return _answer(False, state, None, None, 0, f"/records/{entity}/{side}/{record}", stuck)
    open_fields = store.inbox.open_fields([row.id]).get(row.id, {})
    return _answer(
        row.state == "active",
        _STATES.get(row.state, row.state),
        _number(service, entity, row),
        store.couplings.in_step_at(row.id),
        len(open_fields),
        f"/couplings/{row.id}",
        stuck,
    )


def _answer(
    coupled: bool,
    state: str,
    number: str | None,
    at: str | None,
    conflicts: int,
    url: str,
    messages: list[str],
) -> dict[str, Any]:
    return {
        "coupled": coupled,
        "state": state,
        "erp_number": number,
        "last_in_step": at,
        "conflicts": conflicts,
        "url": url,
        "messages": messages,
    }


def _number(service: Service, entity: str, row: CouplingRow) -> str | None:
    """The ERP's number of the record, as the mapping reads it."""
    if not isinstance(row.erp_base, Record):
        return None
    rule = next(rule for rule in service.lines.rules() if rule.entity == entity)
    mapper = service.lines.mapper(rule.connections["erp"], entity, offline=True)
    number = mapper.get(row.erp_base, lambda kind, native: None).get("number")
    return None if number is None else str(number)


@declare(SIGNED)
@csrf_exempt
@require_POST
def press(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """Synchronise one record now, and tell what changed field by field."""
    told = asked(request, connection, Press)
    if isinstance(told, HttpResponse):
        return told
    service = current()
    found = service.entity_of(connection, resource)
    if found is None:
        return trouble(404, "No rule couples records of this kind.")
    entity, side = found
    user = f"{told.user or 'somebody'} in {connection}"
    service.store.inbox.log(user, "synchronise", f"{entity} {side} {record}")
    return JsonResponse(_pressed(service, entity, side, record, user))


def _pressed(service: Service, entity: str, side: Side, record: str, user: str) -> dict[str, Any]:
    pressed = service.watch.press(entity, side, record, user=user)
    if pressed.error is not None:
        return {"ok": False, "changes": [], "message": str(pressed.error)}
    if pressed.run is None:
        return {
            "ok": False,
            "changes": [],
            "message": "Koppel is busy; the record follows as soon as possible.",
        }
    steps = list(steps_of(service.store, pressed.run))
    changes = [
        {"side": c.side, "field": c.field, "old": _text(c.old), "new": _text(c.new)}
        for step in steps
        for c in step.body.changes
        if step.state == "done"
    ]
    troubles = [step.message for step in steps if step.state in ("refused", "waiting")]
    conflicts = sum(len(step.body.conflicts) for step in steps)
    if pressed.run.state == "held":
        troubles.append("The plan is held for a person: " + " ".join(pressed.run.reasons))
    message = " ".join(troubles) or _summary(len(changes), conflicts)
    return {"ok": not troubles, "changes": changes, "message": message}


def _summary(changes: int, conflicts: int) -> str:
    if conflicts:
        return f"{changes} fields brought into step; {conflicts} wait for a person."
    return f"{changes} fields brought into step." if changes else "Both sides are in step."


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, msgspec.Struct):
        parts = msgspec.structs.astuple(value)
        return ", ".join(str(part) for part in parts if part)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
