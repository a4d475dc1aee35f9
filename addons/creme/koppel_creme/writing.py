"""Writing for Koppel: each write in a transaction of its own, done once, answered with what is.

What it promises:

* A refused write changes nothing, and never stops the others of its batch.
* The key is stored in the transaction of the change. A repeat of a key answers what the first one
  answered, and does nothing; that holds as well while the first one is still under way.
* An expected version is compared under a lock on the record.
* Everything goes through Creme's own models: validation, history, workflows, trash, and the
  credentials of the user behind the token.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from creme.creme_core.core.deletion import entity_deletor_registry
from creme.creme_core.core.exceptions import ConflictError
from creme.creme_core.core.workflow import run_workflow_engine
from creme.creme_core.global_info import set_global_info
from creme.creme_core.models import CremeEntity
from creme.persons import get_address_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.db.transaction import atomic

from . import hints, reading
from .errors import BadCall, Invalid, Refusal
from .models import DoneWrite
from .parts.columns import refused
from .resources import Resource, resource
from .session import Session

logger = logging.getLogger(__name__)

MAX_WRITE = 200
_TRIES = 4
_KINDS = ("create", "update", "delete", "act")
ACTIONS = ("restore",)


def write(session: Session, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One outcome for each write, in the same order."""
    if len(batch) > MAX_WRITE:
        raise BadCall(400, "too_many", f"At most {MAX_WRITE} writes per call.")
    for wish in batch:
        _check_shape(wish)
    with hints.quiet():
        return [_outcome(session, wish) for wish in batch]


def recover(wish: Mapping[str, Any]) -> dict[str, Any] | None:
    """What became of a write; None: it did not happen.

    A write with the same key that is still under way is waited for: taking the key blocks until
    that one's transaction ends.
    """
    _check_shape(wish)
    try:
        with atomic():
            DoneWrite.objects.create(**_named(wish))
            raise _NotDone
    except _NotDone:
        return None
    except IntegrityError:
        return _done(wish)


class _NotDone(Exception):
    """Leaves a transaction without a trace."""


def _check_shape(wish: Any) -> None:
    if not isinstance(wish, Mapping) or wish.get("kind") not in _KINDS:
        raise BadCall(400, "bad_write", f"A write has one of the kinds {', '.join(_KINDS)}.")
    key = wish.get("key")
    if not isinstance(key, str) or not 0 < len(key) <= 200:
        raise BadCall(400, "bad_write", "A write needs a key of 1 to 200 characters.")
    if not isinstance(wish.get("fields", {}), Mapping):
        raise BadCall(400, "bad_write", "The fields of a write are an object.")
    resource(wish.get("resource", ""))


def _named(wish: Mapping[str, Any]) -> dict[str, str]:
    return {"key": wish["key"], "kind": wish["kind"], "resource": wish["resource"]}


def _done(wish: Mapping[str, Any]) -> dict[str, Any]:
    row = DoneWrite.objects.get(key=wish["key"])
    if (row.kind, row.resource) != (wish["kind"], wish["resource"]):
        return _refusal(
            Invalid(f"The key {wish['key']} belongs to another write ({row.kind} {row.resource}).")
        )
    return json.loads(row.outcome)


def _refusal(error: Refusal) -> dict[str, Any]:
    return {
        "kind": "refused",
        "reason": error.reason,
        "message": error.message,
        "fields": list(error.fields),
    }


def _outcome(session: Session, wish: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of one write; what another user's lock stopped is tried again a few times."""
    for attempt in range(1, _TRIES + 1):
        # Creme keeps the open line of a history for as long as a request: each write its own.
        set_global_info(user=session.user, per_request_cache={})
        try:
            return _attempt(session, wish)
        except OperationalError:
            if attempt == _TRIES:
                logger.warning("A write of Koppel met a lock %s times and was given up.", _TRIES)
                return _refusal(Refusal("locked", "Creme's database is busy; try again later."))
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def _attempt(session: Session, wish: Mapping[str, Any]) -> dict[str, Any]:
    kind = resource(wish["resource"])
    try:
        with atomic():
            # First of all the key: it makes a twin wait, and takes SQLite's lock before any read.
            try:
                with atomic():
                    row = DoneWrite.objects.create(**_named(wish))
            except IntegrityError:
                return _done(wish)
            with run_workflow_engine(user=session.user):
                pk, gone = _DO[wish["kind"]](session, kind, wish)
            outcome = {"kind": "written", "after": _after(session, kind, pk, gone)}
            row.outcome = json.dumps(outcome, ensure_ascii=False)
            row.save(update_fields=["outcome"])
            return outcome
    except Refusal as error:
        return _refusal(error)
    except ValidationError as error:
        faults = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        return _refusal(refused(faults))
    except PermissionDenied as error:
        return _refusal(Refusal("forbidden", _sentence(error)))
    except (ProtectedError, ConflictError) as error:
        return _refusal(Refusal("in_use", _sentence(error)))
    except OperationalError:
        raise
    except Exception as error:
        logger.exception("A write of Koppel failed inside Creme.")
        return _refusal(
            Invalid(f"Creme failed on this record ({type(error).__name__}); see its log.")
        )


def _sentence(error: Exception) -> str:
    return str(error.args[0]) if error.args else "Creme refused without a reason."


def _after(session: Session, kind: Resource, pk: int, gone: bool) -> dict[str, Any]:
    if gone:
        return {"gone": reading.gone(kind, pk, trashed=True)}
    return {"record": kind.read(session, [pk])[pk]}


def _create(session: Session, kind: Resource, wish: Mapping[str, Any]) -> tuple[int, bool]:
    session.user.has_perm_to_create_or_die(kind.model)
    entity = kind.model()
    entity.user = session.user
    _fill(session, kind, entity, wish.get("fields", {}), new=True)
    return entity.pk, False


def _update(session: Session, kind: Resource, wish: Mapping[str, Any]) -> tuple[int, bool]:
    entity = _locked(session, kind, wish)
    session.user.has_perm_to_change_or_die(entity)
    _fill(session, kind, entity, wish.get("fields", {}), new=False)
    return entity.pk, False


def _fill(
    session: Session, kind: Resource, entity: CremeEntity, fields: Mapping[str, Any], *, new: bool
) -> None:
    kind.check_names(session, fields)
    changed = [part.assign(session, entity, fields, new=new) for part in kind.parts]
    if new or any(changed):
        entity.save()
    again = [part.follow(session, entity, fields, new=new) for part in kind.parts]
    if any(again):
        entity.save()


def _delete(session: Session, kind: Resource, wish: Mapping[str, Any]) -> tuple[int, bool]:
    entity = _locked(session, kind, wish)
    deletor = entity_deletor_registry.get(model=kind.model)
    if deletor is None:
        raise Refusal("forbidden", f"Creme has no way to delete {kind.name}.")
    deletor.check_permissions(user=session.user, entity=entity)
    deletor.perform(user=session.user, entity=entity)
    return entity.pk, True


def _act(session: Session, kind: Resource, wish: Mapping[str, Any]) -> tuple[int, bool]:
    if wish.get("action") not in ACTIONS:
        raise Invalid(f"{kind.name} knows no action {wish.get('action')!r}.")
    entity = _row(kind, wish)
    session.user.has_perm_to_delete_or_die(entity)
    if entity.is_deleted:
        entity.restore()
    return entity.pk, False


def _row(kind: Resource, wish: Mapping[str, Any]) -> CremeEntity:
    """The record, locked until the transaction ends; its parent row stands for its children too."""
    text = str(wish.get("id", ""))
    pk = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
    CremeEntity.objects.select_for_update().filter(pk=pk).first()
    entity = kind.model.objects.filter(pk=pk).first()
    if entity is None:
        raise Refusal("missing", f"{kind.name} {text} is not there any more.")
    return entity


def _locked(session: Session, kind: Resource, wish: Mapping[str, Any]) -> CremeEntity:
    entity = _row(kind, wish)
    if entity.is_deleted:
        raise Refusal("missing", f"{kind.name} {entity.pk} is in the trash.")
    if not session.user.has_perm_to_view(entity):
        raise Refusal("forbidden", f"{session.user} may not view {kind.name} {entity.pk}.")
    expected = wish.get("expected")
    if expected is not None:
        list(get_address_model().objects.select_for_update().filter(object_id=entity.pk))
        here = kind.read(session, [entity.pk])[entity.pk]["version"]
        if here != expected:
            raise Refusal("stale", f"{kind.name} {entity.pk} was changed since it was last read.")
    return entity


_DO = {"create": _create, "update": _update, "delete": _delete, "act": _act}
