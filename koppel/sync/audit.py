"""The audit: do both sides of a coupling agree, and if not, why not?

Pure. It tells apart what a merge would still carry, what waits for a person, and what differs for
good because a system cuts, rounds or upper-cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from koppel.sync.merge import LABEL, is_empty, same, units
from koppel.sync.rule import SIDES, Rule
from koppel.sync.state import View

CUT = "cut"
"""How `storing` begins where one side holds only the beginning of the other one's value."""

Verdict = Literal["agree", "stored_differently", "pending", "conflict"]


class FieldAudit(Struct, frozen=True, kw_only=True):
    """One field on both sides. `why` is a sentence for people."""

    field: str
    verdict: Verdict
    crm: Any
    erp: Any
    why: str


def audit(
    rule: Rule, crm: View, erp: View, open_conflicts: frozenset[str] = frozenset()
) -> tuple[FieldAudit, ...]:
    """Every field that the rule lets travel and both sides know, in the order of the rule."""
    found = []
    ours, theirs = crm.now or {}, erp.now or {}
    for unit in units(rule, ours, theirs):
        for name in unit.fields:
            verdict, why = _judge(name, crm, erp, unit.name in open_conflicts)
            found.append(
                FieldAudit(field=name, verdict=verdict, crm=ours[name], erp=theirs[name], why=why)
            )
    return tuple(found)


def _judge(name: str, crm: View, erp: View, disputed: bool) -> tuple[Verdict, str]:
    views = {"crm": crm, "erp": erp}
    now = {side: (view.now or {})[name] for side, view in views.items()}
    if same(now["crm"], now["erp"]):
        return "agree", "Both sides hold the same value."
    if disputed:
        return "conflict", "Both sides changed it; a person decides."
    moved = [
        LABEL[side]
        for side in SIDES
        if name not in (views[side].base or {})
        or not same(now[side], (views[side].base or {})[name])
    ]
    if moved:
        return "pending", f"Changed in the {' and the '.join(moved)} since the last sync."
    return "stored_differently", "Each side keeps what it made of the value at the last sync."


def drifting(audits: Iterable[FieldAudit]) -> tuple[FieldAudit, ...]:
    """Those among them that the next sync or a person has to see to."""
    return tuple(one for one in audits if one.verdict in ("pending", "conflict"))


def storing(one: Any, two: Any) -> str:
    """How a system made one value of the other: cut, rounded, other letters; "" if none of it."""
    if is_empty(one) or is_empty(two):
        return "one side keeps nothing"
    if isinstance(one, str) and isinstance(two, str):
        short, long = sorted((one, two), key=len)
        if short.casefold() == long.casefold():
            return "other capitals"
        if short.split() == long.split():
            return "other blanks"
        if long.startswith(short.rstrip()):
            return f"{CUT} after {len(short)} characters"
    if isinstance(one, Decimal) and isinstance(two, Decimal) and abs(one - two) < 1:
        return "rounded"
    return ""
