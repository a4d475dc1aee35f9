"""The customer of an order, in the ERP: found by its coupling, or promoted and made.

A prospect becomes a customer in the CRM first, by the same role that a person would give it; then
the ordinary sync makes it in the ERP, with the fields that the sync rule lets across and no others.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from koppel.connectors.base import Gone, Refused, Update
from koppel.engine.durable import Held
from koppel.engine.runner import Engine, steps_of
from koppel.errors import TryLater
from koppel.processes.systems import Systems, written
from koppel.store import Store
from koppel.store.models import Run

ENTITY, CUSTOMER, PROSPECT = "partner", "customer", "prospect"

Couple = Callable[[str, str], None]
"""(the CRM's id, user): bring this one partner into step now."""


class Found(Struct, frozen=True):
    """The customer in the ERP; `made` says that it came there by this order."""

    erp: str
    made: bool


def couple_by(engine: Engine) -> Couple:
    """Coupling by an engine of one's own."""

    def couple(record: str, user: str) -> None:
        run = engine.sync(selection={ENTITY: {"crm": [record]}}, trigger="order", user=user)
        check_run(run, engine.store)

    return couple


def check_run(run: Run, store: Store) -> None:
    """Held with the reason where a run did not bring the customer across."""
    if run.state == "held":
        raise Held(
            "the customer cannot be made in the ERP: " + " ".join(run.reasons),
            remedy=f"Look at it with: koppel plan {run.id}",
        )
    refused = [step.message for step in steps_of(store, run) if step.state == "refused"]
    if refused:
        raise Held(
            "the ERP does not take the customer: " + " ".join(refused),
            remedy="Put it right on the customer's page, then try again",
        )


class Promotion:
    """Finds or makes the customer."""

    def __init__(self, systems: Systems, couple: Couple) -> None:
        self._systems = systems
        self._couple = couple

    def known(self, record: str) -> str | None:
        """The ERP's id of a customer that is coupled."""
        store = self._systems.store
        row = store.couplings.by_record(ENTITY, "crm", [record]).get(record)
        return row.erp_id if row is not None and row.state == "active" else None

    def ensure(self, record: str, user: str, *, promote: bool, key: str) -> Found:
        """The customer in the ERP; held where a person must say which it is."""
        known = self.known(record)
        if known is not None:
            return Found(known, False)
        self._refuse_review(record)
        if promote:
            self._promote(record, key)
        self._couple(record, user)
        found = self.known(record)
        if found is not None:
            return Found(found, True)
        self._refuse_review(record)
        raise Held(
            "the customer is not in the ERP",
            place=self._name(record),
            remedy="Make it a customer in the CRM, or let the sync rule create it in the ERP",
        )

    def _refuse_review(self, record: str) -> None:
        if self._systems.store.inbox.under_review(ENTITY, "crm", [record]):
            raise Held(
                "the ERP may know this customer already",
                place=self._name(record),
                remedy="Say whether it is the same: koppel couplings review. Then try again",
            )

    def _promote(self, record: str, key: str) -> None:
        """Give it the role that lets it into the ERP, unless it has it."""
        name = self._systems.settings.crm
        mapper = self._systems.lines.mapper(name, ENTITY)
        seen = self._systems.crm.fetch(mapper.resource, [record])[record]
        if isinstance(seen, Gone):
            raise Held("the customer is gone from the CRM", remedy="Give the order a customer")
        roles = tuple(mapper.get(seen, lambda entity, native: None).get("roles") or ())
        if CUSTOMER in roles or "roles" not in mapper.natives:
            return
        wanted = tuple(sorted({*roles, CUSTOMER} - {PROSPECT}))
        fields = mapper.put({"roles": wanted}, seen, lambda entity, coupling: None)
        outcome = written(
            self._systems.crm,
            Update(
                resource=mapper.resource,
                key=f"{key}-promote",
                id=record,
                expected=seen.version,
                fields=fields,
            ),
        )
        if isinstance(outcome, Refused):
            if outcome.reason == "stale":
                raise TryLater("the customer was changed at this moment", after=1)
            raise Held(
                f"the CRM does not make the prospect a customer: {outcome.message}",
                remedy="Make it a customer by hand, then try again",
            )

    def _name(self, record: str) -> str:
        store = self._systems.store
        known = store.replica.get(ENTITY, "crm", [record]).get(record)
        return known.label if known is not None else f"customer {record}"
