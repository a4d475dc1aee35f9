"""The values that the pure heart works on: views of both sides, field changes, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from koppel.sync.rule import Owner, Side

Canonical = Mapping[str, Any]
"""Canonical field name -> value (see `koppel.model`); an absent field is unknown on that side."""

Presence = Literal["present", "gone", "trashed", "merged", "none"]


class View(Struct, frozen=True, kw_only=True):
    """One side of one coupling as seen now: `now` and `base` are what that side itself returned.

    `base` None: never in step yet. `presence` none: this side has no record (a coupling is to be
    made). `changed_at` in UTC, where the system tells.
    """

    presence: Presence = "present"
    id: str | None = None
    now: Canonical | None = None
    base: Canonical | None = None
    in_scope: bool = True
    merged_into: str | None = None
    changed_at: datetime | None = None


class FieldChange(Struct, frozen=True, kw_only=True):
    """One field that goes to one side: the plan's line. `why` is a sentence for people."""

    field: str
    side: Side
    old: Any
    new: Any
    owner: Owner
    why: str


class FieldConflict(Struct, frozen=True, kw_only=True):
    """Both sides moved and the policy is to ask. An empty `field` is about the whole record."""

    field: str
    crm_base: Any
    erp_base: Any
    crm: Any
    erp: Any
    why: str


class FieldNotice(Struct, frozen=True, kw_only=True):
    """A value was put back because its side does not own the field; the lost value is kept here."""

    field: str
    side: Side
    lost: Any
    kept: Any
    owner: Owner
    why: str


class Merge(Struct, frozen=True, kw_only=True):
    """The outcome of a field merge: what each side receives, field by field."""

    crm: dict[str, Any] = field(default_factory=dict)
    erp: dict[str, Any] = field(default_factory=dict)
    changes: tuple[FieldChange, ...] = ()
    conflicts: tuple[FieldConflict, ...] = ()
    notices: tuple[FieldNotice, ...] = ()
    closed: frozenset[str] = frozenset()
    """Fields whose open conflict is over once this is written: both sides agree, a person
    decided, or the rule no longer asks."""

    def to(self, side: Side) -> dict[str, Any]:
        """The fields that a side receives."""
        return self.crm if side == "crm" else self.erp


DecisionKind = Literal[
    "nothing",  # in step, or nothing that may travel
    "merge",  # field merge; may write either side, both or none
    "create",  # make the record on `side` from the other
    "delete",  # remove the surviving record on `side`
    "uncouple",  # the pair is over; the survivor stays
    "conflict",  # a person decides about the record as a whole
    "follow",  # a side was merged into `to`: couple to that record
    "sleep",  # out of scope: dormant coupling
    "wake",  # in scope again
]


class Decision(Struct, frozen=True, kw_only=True):
    """What to do with one coupling, and why, in a sentence for people."""

    kind: DecisionKind
    why: str
    side: Side | None = None
    to: str | None = None
    merge: Merge = Merge()
