"""What a person does by hand: make, break and re-make couplings, answer proposals, resolve."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction

from koppel.errors import NeedsUser
from koppel.store import Store
from koppel.store.codec import decode
from koppel.store.models import Conflict, Review
from koppel.store.values import CouplingRow
from koppel.sync.rule import SIDES


def make(store: Store, entity: str, crm_id: str, erp_id: str, *, by: str) -> None:
    """Say that two records belong together; the next sync couples them and merges their fields."""
    for side, record in zip(SIDES, (crm_id, erp_id), strict=True):
        known = store.couplings.versions(entity, side, [record])
        if record in known:
            raise NeedsUser(
                f"{side.upper()} record {record} is coupled already ({known[record][0]})",
                remedy=f"Break that coupling first: koppel couplings break {known[record][0]}",
            )
    with transaction.atomic():
        store.inbox.propose(entity, crm_id, erp_id, score=1.0, reasons=["said by a person"])
        store.inbox.unpart(entity, crm_id, erp_id)
        _refresh(store, entity, crm_id, erp_id, by)
        store.inbox.log(by, "couple", f"{entity} {crm_id} {erp_id}")


def part(store: Store, coupling: str, *, by: str, leave: bool = False) -> CouplingRow:
    """Break a pair; it is never proposed again. Both records stay.

    By default each is then matched anew like any uncoupled record; with `leave` both are left alone
    until a person couples them.
    """
    row = _get(store, coupling)
    with transaction.atomic():
        store.couplings.remove([coupling])
        if row.crm_id and row.erp_id:
            store.inbox.part(row.entity, row.crm_id, row.erp_id, by=by)
        store.inbox.pair_over(coupling)
        if leave:
            store.couplings.save(_alone(row), in_step=False)
        else:
            _refresh(store, row.entity, row.crm_id, row.erp_id, by)
        store.inbox.log(by, "break", coupling, entity=row.entity, crm=row.crm_id, erp=row.erp_id)
    return row


def remake(store: Store, coupling: str, *, by: str) -> CouplingRow:
    """Take a parted, undone or dormant coupling up again."""
    row = _get(store, coupling)
    if row.state == "active":
        raise NeedsUser(f"coupling {coupling} is active; there is nothing to take up again")
    with transaction.atomic():
        if row.state == "dormant":
            row.state = "active"
            store.couplings.save([row], in_step=False)
        else:
            store.couplings.remove([coupling])
        _refresh(store, row.entity, row.crm_id, row.erp_id, by)
        store.inbox.log(by, "remake", coupling, entity=row.entity)
    return row


def answer(store: Store, number: int, says: str, *, by: str) -> Review:
    """A proposed pair: `same`, `different` or `later`."""
    if says not in ("same", "different", "later"):
        raise NeedsUser(f"'{says}' is no answer", remedy="Say same, different or later")
    with transaction.atomic():
        row = store.inbox.answer(number, says, by=by)
        if says == "same":
            _both_free(store, row)
        if says != "later":
            _refresh(store, row.entity, row.crm_id, row.erp_id, by)
            store.replica.refresh_reviewed(row.entity)
        store.inbox.log(by, "answer", f"review {number}", says=says)
    return row


def _both_free(store: Store, row: Review) -> None:
    """Coupling is one to one: a record that is coupled cannot be the same as a third one."""
    for side, record in zip(SIDES, (row.crm_id, row.erp_id), strict=True):
        for coupling, _, state in store.couplings.versions(row.entity, side, [record]).values():
            if state == "active":
                raise NeedsUser(
                    f"{side.upper()} record {record} is coupled to another record already",
                    place=f"proposed pair {row.id}",
                    remedy="Merge the two duplicates in their own system, and Koppel follows; or "
                    f"break the other pair first: koppel couplings break {coupling}",
                )


def resolve(store: Store, number: int, value: Any, *, by: str) -> Conflict:
    """A conflict's value: `crm`, `erp` or `base` for what stands there, or a third value."""
    row = store.inbox.conflict(number)
    crm_base, _, crm, erp = decode(row.values)
    if row.field == "":
        chosen = value
    else:
        chosen = {"crm": crm, "erp": erp, "base": crm_base}.get(value, value)
    with transaction.atomic():
        row = store.inbox.resolve(number, chosen, by=by)
        store.inbox.log(by, "resolve", f"conflict {number}", field=row.field)
    return row


def _alone(row: CouplingRow) -> list[CouplingRow]:
    """One parted row for each record, so that neither is matched or created elsewhere."""
    rows = []
    for side in SIDES:
        record, base = row.record(side), row.base(side)
        if record and base is not None:
            kept = CouplingRow(
                id=uuid.uuid4().hex, entity=row.entity, state="parted", label=row.label
            )
            kept.put(side, base)
            rows.append(kept)
    return rows


def _refresh(store: Store, entity: str, crm_id: str | None, erp_id: str | None, by: str) -> None:
    """Have both records looked at in the next run, as uncoupled ones where they are uncoupled."""
    for side, record in zip(SIDES, (crm_id, erp_id), strict=True):
        if record:
            if not store.couplings.versions(entity, side, [record]):
                store.replica.refresh(entity, side, [record])
            store.inbox.wait(entity, side, record, reason=f"looked at by {by}")


def _get(store: Store, coupling: str) -> CouplingRow:
    found = store.couplings.by_id([coupling]).get(coupling)
    if found is None:
        raise NeedsUser(
            f"there is no coupling {coupling}", remedy="List them with: koppel couplings"
        )
    return found
