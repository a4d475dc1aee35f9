"""What the store gives and takes in bulk: plain values, not rows of an ORM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from koppel.connectors.base import Gone, Record
from koppel.sync.rule import Side
from koppel.sync.state import FieldChange, FieldConflict, FieldNotice


class CouplingRow(Struct, kw_only=True):
    """A coupling with both bases decoded.

    `state`: active, dormant (left the scope), undone (made undone by a person), parted.
    """

    id: str
    entity: str
    crm_id: str | None = None
    erp_id: str | None = None
    state: str = "active"
    label: str = ""
    crm_version: str = ""
    erp_version: str = ""
    crm_base: Record | Gone | None = None
    erp_base: Record | Gone | None = None
    made_by: str = ""

    def record(self, side: Side) -> str | None:
        """The native id on a side."""
        return self.crm_id if side == "crm" else self.erp_id

    def base(self, side: Side) -> Record | Gone | None:
        """What that side returned last time."""
        return self.crm_base if side == "crm" else self.erp_base

    @property
    def left_alone(self) -> bool:
        """Is the pair over, and one record of it left here without a partner?"""
        return self.state == "parted" and None in (self.crm_id, self.erp_id)

    def put(self, side: Side, record: Record | Gone) -> None:
        """Move a side's base to what it returned just now."""
        self.stand(side, record.id, record)

    def stand(self, side: Side, id: str | None, base: Record | Gone | None = None) -> None:
        """Stand beside another record of a side, or beside none; `base`: what is known of it."""
        version = base.version if isinstance(base, Record) else ""
        if side == "crm":
            self.crm_id, self.crm_version, self.crm_base = id, version, base
        else:
            self.erp_id, self.erp_version, self.erp_base = id, version, base


class FormerPair(Struct, frozen=True, kw_only=True):
    """A pair that ended as one of its records was gone, with both bases of then.

    `asked`: a person had it ended.
    """

    entity: str
    crm_id: str
    erp_id: str
    coupling: str
    crm_base: Record | Gone | None = None
    erp_base: Record | Gone | None = None
    asked: bool = False

    def record(self, side: Side) -> str:
        """The native id on a side."""
        return self.crm_id if side == "crm" else self.erp_id

    def base(self, side: Side) -> Record | Gone | None:
        """What that side returned last, as long as the pair was one."""
        return self.crm_base if side == "crm" else self.erp_base


class NativeWrite(Struct, frozen=True, kw_only=True):
    """A write in native terms, as undo needs it: `op` is update, delete or restore."""

    op: str
    fields: dict[str, Any] = field(default_factory=dict)


class StepBody(Struct, kw_only=True):
    """All that a step needs to be shown and carried out.

    `writes` are canonical changes per side; `native` (undo) replaces them. `crm` and `erp` are the
    records as seen when the plan was made: they become the bases when the step settles.
    """

    reason: str = ""
    writes: dict[str, dict[str, Any]] = field(default_factory=dict)
    native: dict[str, NativeWrite] = field(default_factory=dict)
    changes: Sequence[FieldChange] = ()
    conflicts: tuple[FieldConflict, ...] = ()
    notices: tuple[FieldNotice, ...] = ()
    closed: tuple[str, ...] = ()
    crm: Record | Gone | None = None
    erp: Record | Gone | None = None
    refused: tuple[str, ...] = ()
    undoes: tuple[str, ...] = ()

    def seen(self, side: Side) -> Record | Gone | None:
        """The record of a side as seen when the plan was made."""
        return self.crm if side == "crm" else self.erp


class PlannedStep(Struct, kw_only=True):
    """One row of a plan."""

    number: int
    entity: str
    coupling: str
    kind: str
    label: str = ""
    crm_id: str | None = None
    erp_id: str | None = None
    state: str = "planned"
    message: str = ""
    body: StepBody = field(default_factory=StepBody)

    def record(self, side: Side) -> str | None:
        """The native id on a side, None where the record is still to be made."""
        return self.crm_id if side == "crm" else self.erp_id


class ReplicaRow(Struct, kw_only=True):
    """What was read of a record, with what matching needs."""

    entity: str
    side: Side
    record: str
    version: str
    label: str
    content: Record | Gone | None
    features: bytes
    keys: tuple[tuple[str, bool], ...] = ()
    """Blocking keys, each with whether it is strong (an identifier, not a word)."""
    coupled: bool = False
    fresh: bool = True
