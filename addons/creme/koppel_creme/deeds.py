"""The four things Koppel may do to a record, each through Creme's own models and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from creme.creme_core.core.deletion import entity_deletor_registry
from creme.creme_core.models import CremeEntity

from .errors import Invalid, Refusal
from .resources import Resource
from .session import Session

KINDS = ("create", "update", "delete", "act")
ACTIONS = ("restore",)


@dataclass
class Locked:
    """Records of one kind that are locked for this transaction, with the versions they have."""

    entities: Mapping[int, CremeEntity] = field(default_factory=dict)
    versions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A deed that was done: the record it was about, and whether that is gone now."""

    pk: int
    gone: bool = False


def do(session: Session, kind: Resource, wish: Mapping[str, Any], locked: Locked) -> Done:
    """Do what is wished, or raise a `Refusal` or one of Creme's own exceptions."""
    if kind.read_only:
        raise Refusal("forbidden", f"{kind.name} is only read by Koppel, never written.")
    if wish["kind"] == "create":
        return _create(session, kind, wish)
    entity = locked.entities.get(record_id(wish))
    if entity is None:
        raise Refusal("missing", f"{kind.name} {wish.get('id')} is not there any more.")
    if wish["kind"] == "act":
        return _act(session, kind, wish, entity)
    if entity.is_deleted:
        raise Refusal("missing", f"{kind.name} {entity.pk} is in the trash.")
    if not session.user.has_perm_to_view(entity):
        raise Refusal("forbidden", f"{session.user} may not view {kind.name} {entity.pk}.")
    expected = wish.get("expected")
    if expected is not None and locked.versions.get(entity.pk) != expected:
        raise Refusal("stale", f"{kind.name} {entity.pk} was changed since it was last read.")
    if wish["kind"] == "delete":
        return _delete(session, kind, entity)
    session.user.has_perm_to_change_or_die(entity)
    _fill(session, kind, entity, wish.get("fields", {}), new=False)
    return Done(entity.pk)


def record_id(wish: Mapping[str, Any]) -> int:
    """The id in a wish as a number; -1 for what can be none of Creme's."""
    text = str(wish.get("id", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _create(session: Session, kind: Resource, wish: Mapping[str, Any]) -> Done:
    session.user.has_perm_to_create_or_die(kind.model)
    entity = kind.model()
    entity.user = session.user
    _fill(session, kind, entity, wish.get("fields", {}), new=True)
    return Done(entity.pk)


def _fill(
    session: Session, kind: Resource, entity: CremeEntity, fields: Mapping[str, Any], *, new: bool
) -> None:
    kind.check_names(session, fields)
    # The columns come last: Creme's own check of them looks at the whole record.
    changed = [part.assign(session, entity, fields, new=new) for part in reversed(kind.parts)]
    if new or any(changed):
        entity.save()
    again = [part.follow(session, entity, fields, new=new) for part in kind.parts]
    if any(again):
        entity.save()


def _delete(session: Session, kind: Resource, entity: CremeEntity) -> Done:
    deletor = entity_deletor_registry.get(model=kind.model)
    if deletor is None:
        raise Refusal("forbidden", f"Creme has no way to delete {kind.name}.")
    deletor.check_permissions(user=session.user, entity=entity)
    deletor.perform(user=session.user, entity=entity)
    return Done(entity.pk, gone=True)


def _act(session: Session, kind: Resource, wish: Mapping[str, Any], entity: CremeEntity) -> Done:
    if wish.get("action") not in ACTIONS:
        raise Invalid(f"{kind.name} knows no action {wish.get('action')!r}.")
    session.user.has_perm_to_delete_or_die(entity)
    if entity.is_deleted:
        entity.restore()
    return Done(entity.pk)
