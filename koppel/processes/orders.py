"""Orders across both systems, for everything that has a face: begin, look at, retry, cancel, watch.

One instance belongs to one thread, as its engine does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from koppel.connectors.base import Act, Document, Gone, Refused
from koppel.engine.durable import Durable, Program, Steps
from koppel.engine.executor import Boundary, no_boundary
from koppel.engine.runner import Engine
from koppel.errors import NeedsUser
from koppel.processes.faces import Faces
from koppel.processes.order_transfer import BEFORE_THE_ERP as BEFORE
from koppel.processes.order_transfer import KIND, MAKE, OrderTransfer, next_key, subject_of
from koppel.processes.order_watch import OrderWatch
from koppel.processes.partner_promotion import Couple, Promotion, couple_by
from koppel.processes.price_enquiry import PriceEnquiry
from koppel.processes.settings import order_settings
from koppel.processes.systems import Systems, order_mapping, written
from koppel.processes.value_lists import ValueLists
from koppel.processes.views import printable
from koppel.store import Store
from koppel.store.order_models import OrderLink, Process
from koppel.store.orders import status_of
from koppel.store.processes import LIVE


class Orders:
    """The order processes over one engine. `couple` brings a partner into step.

    `program`: whose threads these are; another than this one is a seam for tests.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        couple: Couple | None = None,
        boundary: Boundary = no_boundary,
        address: str = "",
        program: Program | None = None,
    ) -> None:
        self.store: Store = engine.store
        self.systems = Systems(engine.store, engine.lines, address)
        self.watch = OrderWatch(self.systems)
        self.faces = Faces(self.systems)
        self.prices = PriceEnquiry(self.systems, engine.store.clock)
        self.lists = ValueLists(self.systems)
        self._promotion = Promotion(self.systems, couple or couple_by(engine))
        self._durable = Durable(engine.store, boundary=boundary, program=program)

    # Transfer.

    def begin(self, resource: str, record: str, *, user: str) -> Process:
        """The transfer of a document: the one that is under way, the one that is done, or a new.

        However often and by however many it is asked for, there is one.
        """
        self.systems.follow()
        return begin_transfer(self.store, self.systems.settings.crm, resource, record, user=user)

    def transfer(self, resource: str, record: str, *, user: str) -> Process:
        """Begin, and go on until it is done, waits or is held."""
        row = self.begin(resource, record, user=user)
        return self.go_on(row.id) if row.state in ("running", "waiting") else row

    def go_on(self, id: str) -> Process:
        """Take a process up where it stands."""
        self.systems.follow()
        return self._durable.run(id, self._work)

    def _work(self, steps: Steps) -> None:
        OrderTransfer(self.systems, self._promotion, steps).run()

    def run_due(self) -> list[Process]:
        """Go on with whatever a crash left, and with what has waited long enough."""
        return [self.go_on(row.id) for row in self.store.processes.due(self.store.clock())]

    def retry(self, id: str, *, user: str, accept: Sequence[str] = ()) -> Process:
        """Try a process again now, reading the document anew; `accept` answers questions with yes.

        Raises `NeedsUser` where it is at its end.
        """
        row = reopen(self.store, id, user=user, accept=accept)
        return self.go_on(row.id)

    # Cancel.

    def cancel(self, id: str, *, user: str) -> Process:
        """Stop a transfer; an order that is in the ERP already is cancelled there.

        Raises `NeedsUser` where the ERP refuses: then the order stands.
        """
        row = self.store.processes.get(id)
        links = [link for link in (self._link(row),) if link is not None]
        found = self.systems.erp.find(
            self.systems.settings.erp_resource, {"koppel_key": row.key}, limit=1
        )
        for seen in found:
            if seen.fields.get("state") == "cancelled":
                continue
            outcome = written(
                self.systems.erp,
                Act(
                    resource=seen.resource,
                    key=f"{row.key}-cancel-{seen.version}",
                    id=seen.id,
                    action="cancel",
                ),
            )
            if isinstance(outcome, Refused):
                raise NeedsUser(
                    f"the order cannot be cancelled: {outcome.message}",
                    place=row.label or row.subject,
                    remedy="It is under way in the ERP: a clerk there can stop or return it",
                )
            if isinstance(outcome.after, Gone):
                continue
        if found and links:
            self.watch.refresh([seen.id for seen in found])
        self.store.processes.save(
            row, state="cancelled", why=f"cancelled by {user}", remedy="",
            ended_at=self.store.clock(), next_at=None,
        )  # fmt: skip
        self.store.processes.log(row, f"Cancelled by {user}.")
        self.store.inbox.log(user, "cancel order", row.subject, trace=row.trace)
        return row

    def _link(self, row: Process) -> OrderLink | None:
        resource, _, record = row.subject.rpartition("/")
        return self.store.orders.of_crm(resource, record)

    # Watch.

    def poll(self, *, user: str = "Koppel") -> int:
        """One look at both systems; raises `TryLater` where one is away."""
        self.systems.follow()
        self.lists.follow()
        changed = self.watch.poll_erp() + self.faces.poll()
        return changed + self.watch.poll_crm(
            lambda resource, record: self.begin(resource, record, user=user)
        )

    def printed(self, link: OrderLink, invoice: str) -> Document:
        """An invoice of this order by the ERP's own report, as PDF or whatever the report makes.

        Raises `NeedsUser` where the order has no such invoice, or the ERP prints none.
        """
        told = status_of(link)
        known = {one.id for one in told.invoices if printable(one)} if told else set()
        if invoice not in known:
            raise NeedsUser(
                "this order has no such invoice", place=link.number or link.key,
                remedy="Those that can be printed are in: koppel order status",
            )  # fmt: skip
        ask = getattr(self.systems.erp, "invoice_document", None)
        if ask is None:
            raise NeedsUser("this ERP prints no invoices", place=self.systems.settings.erp)
        document: Document = ask(invoice)
        return document

    def figures(self, party: str) -> dict[str, Any] | None:
        """What the ERP reckons of a customer; None where it has no such function."""
        ask = getattr(self.systems.erp, "party_figures", None)
        if ask is None:
            return None
        told = ask([party]).get(party)
        if told is None:
            return None
        return {
            name: getattr(told, name, None)
            for name in (
                "currency", "credit_limit", "exposure", "receivable", "receivable_today",
                "overdue", "dunning_level", "blocked",
            )
        }  # fmt: skip


def find_order(store: Store, text: str) -> OrderLink:
    """An order by a document of the CRM or the ERP (`sale.sale/7`), or by its transfer.

    Raises `NeedsUser` where Koppel knows none.
    """
    subject = text if "/" in text else store.processes.get(text).subject
    resource, _, record = subject.rpartition("/")
    link = store.orders.of_crm(resource, record)
    if link is None and resource == order_settings(store).erp_resource:
        link = store.orders.of_erp([record]).get(record)
    if link is None:
        raise NeedsUser(
            f"there is no order of {text} in the ERP",
            remedy="Hand it over: koppel order transfer. One of the ERP is seen at the next look",
        )
    return link


def begin_transfer(store: Store, crm: str, resource: str, record: str, *, user: str) -> Process:
    """The process, without going on with it: a web request may do this in its own thread.

    Raises `NeedsUser` where the step that it begins with runs in the ERP.
    """
    subject = subject_of(resource, record)
    latest = store.processes.latest(KIND, subject)
    link = store.orders.of_crm(resource, record)
    key = latest.key if latest is not None else f"{crm}/{subject}"
    if link is not None and link.state in ("cancelled", "gone") and link.key == key:
        key = next_key(key)
    elif latest is not None and latest.state == "done":
        return latest
    if latest is None or latest.state not in LIVE:
        _refuse_elsewhere(store, crm, resource)
    with transaction.atomic():
        row, made = store.processes.begin(KIND, subject, key=key, user=user)
        said = "hands the order over" if made else "asks for it too"
        store.processes.log(row, f"{user} {said}.")
        store.inbox.log(user, "transfer order", subject, trace=row.trace)
    if row.state == "held" and not made:
        return reopen(store, row.id, user=user)
    if row.state == "waiting":
        store.processes.save(row, next_at=store.clock())
    return row


def _refuse_elsewhere(store: Store, crm: str, resource: str) -> None:
    steps = order_settings(store).steps
    for step, what in (("quote", "quotes are written"), ("order", "orders are entered")):
        if getattr(steps, step) != "erp":
            continue
        if step == "quote" and resource not in order_mapping(store, crm).quotes:
            continue
        raise NeedsUser(
            f"{what} in the ERP here, so this document is not handed over",
            place=resource,
            remedy=f"Enter it in the ERP; where the step runs says the order settings: "
            f"steps.{step}",
        )


def reopen(store: Store, id: str, *, user: str, accept: Sequence[str] = ()) -> Process:
    """Let a process that is held or waits go on; what was read of the CRM is read anew."""
    row = store.processes.get(id)
    if row.state not in ("held", "waiting", "running"):
        raise NeedsUser(
            f"this transfer is {row.state}", place=row.subject,
            remedy="Hand the order over again: koppel order transfer",
        )  # fmt: skip
    memo = store.processes.memo(row)
    if MAKE not in memo:
        store.processes.remember(row, {k: v for k, v in memo.items() if k not in BEFORE})
    accepted = sorted({*row.accepted, *accept})
    store.processes.save(
        row, state="running", accepted=accepted, next_at=store.clock(), why="", remedy="",
        details=[],
    )  # fmt: skip
    said = f", accepting {', '.join(accept)}" if accept else ""
    store.processes.log(row, f"{user} tries again{said}.")
    store.inbox.log(user, "retry order", row.subject, accept=list(accept))
    return row


__all__ = ["Orders", "begin_transfer", "find_order", "reopen"]
