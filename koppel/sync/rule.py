"""The sync rule: the user's own document that says, per entity, what travels where and who owns it.

A rule is plain values; `koppel.mapping.document` reads it from TOML and reports its faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

Side = Literal["crm", "erp"]
SIDES: tuple[Side, Side] = ("crm", "erp")

Owner = Literal["crm", "erp", "shared"]
Policy = Literal["ask", "crm", "erp", "newest", "union"]
First = Literal["ask", "crm", "erp", "newest"]
Direction = Literal["both", "to_crm", "to_erp", "none"]
DeletePolicy = Literal["uncouple", "delete", "ask"]


def other(side: Side) -> Side:
    """The opposite side."""
    return "erp" if side == "crm" else "crm"


class FieldRule(Struct, frozen=True, kw_only=True):
    """Who owns one canonical field, and what happens when both sides moved.

    `policy` counts only where the owner is `shared`. `direction` narrows the way: `to_erp` means
    that the ERP receives the field and the CRM never does. `fill` lets the owner's side receive a
    value while it has none, once, when a pair is coupled. `first` settles a difference at the first
    coupling of a shared field, when nobody has edited anything yet; without it `policy` does.
    """

    owner: Owner = "shared"
    policy: Policy = "ask"
    direction: Direction = "both"
    fill: bool = True
    first: First | None = None


class Condition(Struct, frozen=True, kw_only=True):
    """A test on one canonical field: `equals`, `contains` (a list), `present`, `one_of`."""

    field: str
    op: Literal["equals", "contains", "present", "one_of", "not_equals"] = "equals"
    value: Any = None


class CreatePolicy(Struct, frozen=True, kw_only=True):
    """May Koppel create records on a side? `when`: only if all conditions hold on the source.

    This is how a lifecycle event is named: a prospect reaches the ERP when `roles` contains
    `customer`, and not before.
    """

    allowed: bool = False
    when: tuple[Condition, ...] = ()


class MatchRule(Struct, frozen=True, kw_only=True):
    """Thresholds (0..1) of the bands: `couple` and above is coupled, `review` and above asked."""

    couple: float = 0.90
    review: float = 0.60
    within: str | None = None
    """A reference field that must agree already: contacts match only inside coupled partners."""


class Guards(Struct, frozen=True, kw_only=True):
    """Shares (0..1) and counts beyond which a plan is held for a person.

    A share is of the couplings of the entity and counts only from `least` steps on.
    """

    deletes: float = 0.05
    changes: float = 0.50
    creates: int = 500
    least: int = 20
    empty_side: bool = True


class Rule(Struct, frozen=True, kw_only=True):
    """One entity's sync rule. `connections` maps each side to a connection's name."""

    entity: str
    connections: Mapping[Side, str]
    needs: tuple[str, ...] = ()
    scope: Mapping[Side, tuple[Condition, ...]] = field(default_factory=dict)
    create: Mapping[Side, CreatePolicy] = field(default_factory=dict)
    """Keyed by the side on which the record would be created."""
    delete: Mapping[Side, DeletePolicy] = field(default_factory=dict)
    """Keyed by the side on which the surviving record lives: what happens to it."""
    fields: Mapping[str, FieldRule] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """A group's fields move together or not at all; its rule stands in `fields` under its name."""
    match: MatchRule = MatchRule()
    guards: Guards = Guards()


def holds(conditions: tuple[Condition, ...], canonical: Mapping[str, Any]) -> bool:
    """Do all conditions hold on a canonical record? No conditions: yes."""
    return all(_holds(condition, canonical.get(condition.field)) for condition in conditions)


def _holds(condition: Condition, value: Any) -> bool:
    match condition.op:
        case "equals":
            return bool(value == condition.value)
        case "not_equals":
            return bool(value != condition.value)
        case "contains":
            return value is not None and condition.value in value
        case "present":
            return value not in (None, "", (), [])
        case "one_of":
            return value in condition.value
