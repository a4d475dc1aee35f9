"""Undo: the inverse of one journalled write, field by field, and never over a person's edit.

Pure, on native records as the journal keeps them: `before` and `after` the write as the system
returned them, and `current`, what it returns now. A field is restored only where it still stands
as the write left it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

Native = Mapping[str, Any]


class UndoDecision(Struct, frozen=True, kw_only=True):
    """How one write is taken back; `refused` are sentences, one for each field left as it is."""

    kind: Literal["nothing", "update", "delete", "create", "refused"]
    fields: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


def invert(
    before: Native | None, after: Native | None, current: Native | None, written: Iterable[str]
) -> UndoDecision:
    """The inverse of one write. None stands for "no such record" at that moment.

    A record that the write made is removed if nobody touched it since; one that it removed is made
    again; of one that it changed, the `written` fields are restored.
    """
    if before is None:
        return _unmake(after, current)
    if after is None:
        if current is not None:
            return UndoDecision(kind="nothing")
        return UndoDecision(kind="create", fields=_without_ids(before))
    if current is None:
        return UndoDecision(kind="refused", refused=("The record was removed since.",))
    restore, refused = undo_fields(before, after, current, written)
    if restore:
        return UndoDecision(kind="update", fields=restore, refused=refused)
    return UndoDecision(kind="refused" if refused else "nothing", refused=refused)


def _unmake(after: Native | None, current: Native | None) -> UndoDecision:
    if after is None or current is None:
        return UndoDecision(kind="nothing")
    edited = sorted(n for n in after.keys() | current.keys() if after.get(n) != current.get(n))
    if edited:
        refused = tuple(f"'{name}' was edited since; the new record stays." for name in edited)
        return UndoDecision(kind="refused", refused=refused)
    return UndoDecision(kind="delete")


def undo_fields(
    before: Native, after: Native, current: Native, written: Iterable[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What to write so that the `written` fields stand as before, and a sentence per refusal.

    Lists of children (dicts with an `"id"`) are undone child by child; such a list is given as a
    whole, with the children that a person edited or added since as they are now. A child that has
    to be made again has no id.
    """
    restore: dict[str, Any] = {}
    refused: list[str] = []
    for name in dict.fromkeys(written):
        old, wrote, now = before.get(name), after.get(name), current.get(name)
        if old == wrote or now == old:
            continue
        if _children(old) and _children(wrote) and _children(now):
            children, complaints = _undo_children(name, old or (), wrote or (), now or ())
            refused += complaints
            if children != list(now or ()):
                restore[name] = children
        elif now == wrote:
            restore[name] = old
        else:
            refused.append(f"'{name}' was edited since; it stays.")
    return restore, tuple(refused)


def _undo_children(
    name: str, before: Sequence[Native], after: Sequence[Native], current: Sequence[Native]
) -> tuple[list[dict[str, Any]], list[str]]:
    old = {child["id"]: child for child in before}
    wrote = {child["id"]: child for child in after if "id" in child}
    children: list[dict[str, Any]] = []
    refused: list[str] = []
    for child in current:
        key = child.get("id")
        if key not in wrote:
            children.append(dict(child))
        elif key not in old:
            if child != wrote[key]:
                refused.append(f"'{name}' {key} was edited since; it stays.")
                children.append(dict(child))
        else:
            names = sorted(old[key].keys() | wrote[key].keys())
            restore, complaints = undo_fields(old[key], wrote[key], child, names)
            refused += [f"'{name}' {key}: {sentence}" for sentence in complaints]
            children.append({**child, **restore})
    present = {child.get("id") for child in current}
    for key, child in old.items():
        if key in present:
            continue
        if key in wrote:
            refused.append(f"'{name}' {key} was removed since; it stays so.")
        else:
            children.append(_without_ids(child))
    return children, refused


def _children(value: Any) -> bool:
    """Is this a list of keyed children, or no value at all?"""
    return value is None or (
        isinstance(value, list | tuple)
        and all(isinstance(child, Mapping) and "id" in child for child in value)
    )


def _without_ids(record: Native) -> dict[str, Any]:
    """The record without its own id and without its children's, to be made anew."""
    made: dict[str, Any] = {}
    for name, value in record.items():
        if name == "id":
            continue
        if isinstance(value, list | tuple) and value and _children(value):
            made[name] = [_without_ids(child) for child in value]
        else:
            made[name] = value
    return made
