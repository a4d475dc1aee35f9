"""The decision about one coupling: the design's table and its deletion matrix, as one function.

Pure and total: each combination of presences has an answer, and the answer says why. Nothing is
ever deleted where the surviving record changed since the last sync.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec.structs import replace

from koppel.sync.merge import LABEL, Shown, creation, merge, same
from koppel.sync.rule import SIDES, CreatePolicy, Rule, Side, holds, other
from koppel.sync.state import Decision, FieldConflict, Merge, View

Answer = Literal["uncouple", "delete", "create"]
"""A person's decision about a whole record, given as `resolved[""]`: end the pair, remove the
surviving record too, or make the missing record again from the survivor."""

WHOLE = ""
"""The field name of a conflict about the record as a whole."""


def decide(
    rule: Rule,
    crm: View,
    erp: View,
    *,
    open_conflicts: frozenset[str] = frozenset(),
    resolved: Mapping[str, Any] | None = None,
    shown: Shown | None = None,
    dormant: bool = False,
    target_coupled: bool = False,
) -> Decision:
    """What to do with one pair, coupled or still to be made.

    `dormant`: the coupling sleeps already. `target_coupled`: the record that a side was merged
    into has a coupling of its own. `open_conflicts`, `resolved`, `shown` as in `merge`; the name ""
    stands for the record as a whole, and its resolution is an `Answer`.
    """
    views: dict[Side, View] = {"crm": crm, "erp": erp}
    presences = {crm.presence, erp.presence}
    if "none" in presences:
        return _uncoupled(rule, views)
    if presences == {"present"}:
        return _both_present(rule, crm, erp, open_conflicts, resolved or {}, shown, dormant)
    for side in SIDES:
        if views[side].presence == "merged" and views[side].merged_into is not None:
            return _merged(views, side, target_coupled, (resolved or {}).get(WHOLE))
    for side in SIDES:
        if views[side].presence == "present":
            answer = (resolved or {}).get(WHOLE)
            if answer == "delete" and not _as_shown(views[side], side, shown):
                answer = None
            return _gone(rule, views, other(side), dormant, answer)
    return Decision(kind="uncouple", why="Both records are gone; the pair is over.")


def _uncoupled(rule: Rule, views: Mapping[Side, View]) -> Decision:
    """One side has no record: create it there if the rule allows."""
    for side in SIDES:
        target, source = views[side], views[other(side)]
        if target.presence != "none" or source.presence != "present":
            continue
        policy = rule.create.get(side, CreatePolicy())
        canonical = source.now or {}
        label, giver = LABEL[side], LABEL[other(side)]
        if not source.in_scope:
            return Decision(kind="nothing", why=f"The {giver}'s record is outside the scope.")
        if not policy.allowed:
            return Decision(kind="nothing", why=f"The rule creates no records in the {label}.")
        if not holds(policy.when, canonical):
            why = f"The record does not meet the rule's conditions to enter the {label} yet."
            return Decision(kind="nothing", why=why)
        why = f"The record exists only in the {giver}; the rule creates it in the {label}."
        return Decision(kind="create", side=side, why=why, merge=creation(rule, side, canonical))
    return Decision(kind="nothing", why="There is no record to couple.")


def _both_present(
    rule: Rule,
    crm: View,
    erp: View,
    open_conflicts: frozenset[str],
    resolved: Mapping[str, Any],
    shown: Shown | None,
    dormant: bool,
) -> Decision:
    outside = [LABEL[s] for s, v in zip(SIDES, (crm, erp), strict=True) if not v.in_scope]
    if outside:
        where = " and the ".join(outside)
        if dormant:
            return Decision(kind="nothing", why=f"The pair sleeps: out of scope in the {where}.")
        why = f"The record left the scope in the {where}; nothing is written or deleted."
        return Decision(kind="sleep", why=why)
    merged = merge(rule, crm, erp, open_conflicts, resolved, shown)
    if WHOLE in open_conflicts:
        merged = replace(merged, closed=merged.closed | {WHOLE})
    if dormant:
        return Decision(kind="wake", why="The record is in scope again.", merge=merged)
    if merged.changes or merged.conflicts or merged.closed:
        return Decision(kind="merge", why=_summary(merged), merge=merged)
    return Decision(kind="nothing", why="Both sides are in step.", merge=merged)


def _summary(merged: Merge) -> str:
    parts = []
    for side in SIDES:
        count = len(merged.to(side))
        if count:
            parts.append(f"the {LABEL[side]} receives {_fields(count)}")
    if merged.conflicts:
        count = len(merged.conflicts)
        parts.append(f"{_fields(count)} {'waits' if count == 1 else 'wait'} for a person")
    if merged.closed and not parts:
        parts.append(f"the conflict about {_fields(len(merged.closed))} is over")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:] + "."


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _merged(
    views: Mapping[Side, View], side: Side, target_coupled: bool, answer: Answer | None
) -> Decision:
    """A side's record was merged into another one of the same system."""
    target = views[side].merged_into
    label = LABEL[side]
    if not target_coupled:
        why = f"The {label}'s record was merged into {target}; the pair follows it."
        return Decision(kind="follow", side=side, to=target, why=why)
    if answer == "uncouple":
        return Decision(kind="uncouple", why="A person decided to end the pair.")
    why = (
        f"The {label}'s record was merged into {target}, which is coupled already; "
        "a person decides which pair stays."
    )
    return _whole_conflict(views, why)


def _gone(
    rule: Rule, views: Mapping[Side, View], lost: Side, dormant: bool, answer: Answer | None
) -> Decision:
    """The deletion matrix: the record on `lost` is gone, the other side's survives."""
    keeper = other(lost)
    survivor = views[keeper]
    event = "was put in the trash" if views[lost].presence == "trashed" else "is gone"
    event = f"The {LABEL[lost]}'s record {event}"
    if answer in get_args(Answer):
        return _answered(rule, views, lost, answer)
    if dormant or not survivor.in_scope:
        why = f"{event}; the pair was out of scope and is over."
        return Decision(kind="uncouple", why=why)
    if moved(survivor):
        why = f"{event}, but the {LABEL[keeper]}'s was changed since; a person decides."
        return _whole_conflict(views, why)
    policy = rule.delete.get(keeper, "uncouple")
    if policy == "delete":
        why = f"{event}; the rule removes the {LABEL[keeper]}'s too."
        return Decision(kind="delete", side=keeper, why=why)
    if policy == "ask":
        return _whole_conflict(views, f"{event}; the rule leaves the decision to a person.")
    why = f"{event}; the {LABEL[keeper]}'s stays, and the pair is over."
    return Decision(kind="uncouple", why=why)


def _answered(
    rule: Rule, views: Mapping[Side, View], lost: Side, answer: Answer | None
) -> Decision:
    keeper = other(lost)
    if answer == "delete":
        why = f"A person decided to remove the {LABEL[keeper]}'s record too."
        return Decision(kind="delete", side=keeper, why=why)
    if answer == "create":
        why = f"A person decided to make the {LABEL[lost]}'s record again."
        made = creation(rule, lost, views[keeper].now or {})
        return Decision(kind="create", side=lost, why=why, merge=made)
    return Decision(kind="uncouple", why="A person decided to end the pair.")


def _whole_conflict(views: Mapping[Side, View], why: str) -> Decision:
    crm, erp = views["crm"], views["erp"]
    conflict = FieldConflict(
        field=WHOLE,
        crm_base=crm.base,
        erp_base=erp.base,
        crm=crm.now,
        erp=erp.now,
        why=why,
    )
    return Decision(kind="conflict", why=why, merge=Merge(conflicts=(conflict,)))


def _as_shown(view: View, side: Side, shown: Shown | None) -> bool:
    """Is the survivor what a person saw who decided to remove it? (Else nobody has seen it.)"""
    told = (shown or {}).get(WHOLE, (None, None))[SIDES.index(side)]
    return told is None or not moved(replace(view, base=told))


def moved(view: View) -> bool:
    """Did a record change since its base? One that was never in step counts as changed."""
    if view.base is None or view.now is None:
        return True
    return any(
        not same(view.now.get(name), view.base.get(name))
        for name in view.now.keys() | view.base.keys()
    )
