"""What faces show of an order and of a customer: plain values, with the age of each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from koppel.model.billing import Invoice
from koppel.model.fulfilment import OrderResponse
from koppel.processes.order_transfer import KIND, order_of, subject_of
from koppel.processes.rules import as_of
from koppel.processes.settings import order_settings
from koppel.store import Store
from koppel.store.order_models import OrderLink, Process
from koppel.store.orders import status_of

ZERO = Decimal(0)
RECORD_OF_ORDER = "record:order"
"""The couplings between the ERP's orders and the CRM's records of them."""

_SAID = {
    "running": "The order is on its way to the ERP.",
    "waiting": "The ERP is away; the order follows as soon as it answers.",
    "held": "The order waits for a person.",
    "failed": "The transfer failed.",
    "cancelled": "The order was cancelled.",
    "done": "The order is in the ERP.",
}


def transfer_view(store: Store, row: Process) -> dict[str, Any]:
    """The answer to the button: where the transfer stands, and why it waits."""
    resource, _, record = row.subject.rpartition("/")
    link = store.orders.of_crm(resource, record)
    told = _told(store, link)
    number = told.number if told else ""
    message = row.why or _SAID.get(row.state, row.state)
    if row.state == "done":
        message = f"Order {number} is in the ERP." if number else _SAID["done"]
    message = message if message.endswith((".", "!", "?")) else f"{message}."
    message = message[:1].upper() + message[1:]
    if row.remedy:
        message = f"{message} {row.remedy}."
    return {
        "ok": row.state == "done",
        "state": row.state,
        "step": row.step,
        "since": row.since.isoformat(),
        "erp_number": number or None,
        "message": message,
        "url": f"/processes/{row.id}",
        "lines": list(row.details),
        "process": row.id,
        "trace": row.trace,
    }


def order_view(store: Store, resource: str, record: str) -> dict[str, Any]:
    """All that is known of a document's order in the ERP."""
    row = store.processes.latest(KIND, subject_of(resource, record))
    link = store.orders.of_crm(resource, record)
    if link is None and row is None:
        # It may be a record that was written from an order of the ERP.
        own = store.couplings.by_record(RECORD_OF_ORDER, "crm", [record]).get(record)
        link = store.orders.of_erp([str(own.erp_id)]).get(str(own.erp_id)) if own else None
    return _view(store, row, link)


def link_view(store: Store, link: OrderLink) -> dict[str, Any]:
    """The same of an order of the ERP, whether it came from the CRM or was entered there."""
    row = None
    if link.crm_id is not None:
        row = store.processes.latest(KIND, subject_of(link.crm_resource, link.crm_id))
    return _view(store, row, link)


def _view(store: Store, row: Process | None, link: OrderLink | None) -> dict[str, Any]:
    told = _told(store, link)
    messages = []
    if link is not None and link.note:
        messages.append(link.note)
    if row is not None and row.state in ("held", "waiting", "failed") and row.why:
        messages += [row.why, *(one for one in row.details if one not in row.why)]
        if row.remedy:
            messages.append(row.remedy)
    found: dict[str, Any] = {
        "state": told.state if told else (row.state if row else "not transferred"),
        "erp_number": (told.number or None) if told else None,
        "erp_status": told.native_state if told else None,
        "lines": [],
        "shipments": [],
        "invoices": [],
        "dunning": {},
        "credit": {},
        "age_seconds": _age(store.clock(), link.seen_at) if link is not None else None,
        "messages": messages,
        "url": _url(row, link),
        "process": row.state if row is not None else None,
        "trace": row.trace if row is not None else (link.trace or None if link else None),
        "currency": told.currency if told else None,
    }
    if told is not None:
        found |= _details(told, link)
    elif row is not None and row.snapshot is not None:
        found["lines"] = _asked(row)
    return found


def _url(row: Process | None, link: OrderLink | None) -> str:
    if row is not None:
        return f"/processes/{row.id}"
    return f"/linked-orders/{link.id}" if link is not None else ""


def invoice_url(link: OrderLink, invoice: Invoice) -> str:
    """Where the ERP's own print of an invoice is; empty where there is none yet."""
    return f"/linked-orders/{link.id}/invoices/{invoice.id}" if printable(invoice) else ""


def printable(invoice: Invoice) -> bool:
    """Has the ERP posted it? Before, it is no document yet."""
    return invoice.state in ("posted", "paid")


def _told(store: Store, link: OrderLink | None) -> OrderResponse | None:
    told = status_of(link) if link is not None else None
    if told is None:
        return None
    return order_settings(store).steps.shown(as_of(told, store.clock().date()))


def _details(told: OrderResponse, link: OrderLink | None) -> dict[str, Any]:
    return {
        "payment": told.payment,
        "net": told.net,
        "tax": told.tax,
        "gross": told.gross,
        "lines": [
            {
                "position": one.position,
                "item": one.item,
                "description": one.description,
                "ordered": one.ordered,
                "delivered": one.delivered,
                "open": one.open,
                "invoiced": one.invoiced,
                "unit": one.unit,
                "planned": one.planned,
                "delivered_on": one.delivered_on,
                "net": one.net,
                "status": one.status,
            }
            for one in told.lines
        ],
        "shipments": [
            {
                "number": one.number,
                "state": one.state,
                "planned": one.planned,
                "delivered": one.delivered_on,
            }
            for one in told.shipments
        ],
        "invoices": [
            {
                "id": one.id,
                "number": one.number,
                "type": one.type,
                "date": one.date,
                "due": one.due,
                "net": one.net,
                "tax": one.tax,
                "gross": one.gross,
                "open": one.open,
                "status": one.status,
                "dunning_level": one.dunning_level,
                "url": invoice_url(link, one) if link is not None else "",
            }
            for one in told.invoices
        ],
        "dunning": {"level": told.dunning.level, "date": told.dunning.date} if told.dunning else {},
    }


def _asked(row: Process) -> list[dict[str, Any]]:
    """The lines as the CRM has them, before the ERP has said anything."""
    order = order_of(row.snapshot)
    return [
        {
            "position": line.position,
            "item": line.item,
            "description": line.name,
            "ordered": line.quantity,
            "delivered": ZERO,
            "open": line.quantity,
            "planned": None,
            "status": "not transferred",
        }
        for line in (order.lines if order else ())
        if line.kind != "text"
    ]


def figures_view(
    store: Store, party: str, told: Mapping[str, Any] | None, links: Sequence[OrderLink]
) -> dict[str, Any]:
    """A customer's figures: what the ERP says of credit, and the sums of the orders it told.

    `turnover` is net of posted invoices less credit notes, `open_items` what is unpaid of them,
    `backlog` the net value of what is ordered and not delivered. Amounts in one currency only: the
    one that most orders have.
    """
    known = [(link, one) for link in links if (one := _told(store, link)) is not None]
    orders = [one for _link, one in known]
    of_invoice = {invoice.id: link for link, one in known for invoice in one.invoices}
    living = [one for one in orders if one.state != "cancelled"]
    currency = str((told or {}).get("currency") or (living[0].currency if living else "EUR"))
    counted = [one for one in living if one.currency == currency]
    invoices = {
        one.id: one
        for order in counted
        for one in order.invoices
        if one.state in ("posted", "paid")
    }
    backlog = sum((_backlog(one) for one in counted if one.state not in ("draft", "quoted")), ZERO)
    seen = [link.seen_at for link in links]
    said = dict(told or {})
    return {
        "currency": currency,
        "turnover": sum((one.net for one in invoices.values()), ZERO),
        "open_items": said["receivable"]
        if said.get("receivable") is not None
        else sum((one.open for one in invoices.values()), ZERO),
        "overdue": said.get("overdue"),
        "backlog": backlog,
        "credit_limit": said.get("credit_limit"),
        "exposure": said.get("exposure"),
        "dunning_level": said.get("dunning_level")
        or max((one.dunning.level for one in counted if one.dunning), default=0),
        "blocked": bool(said.get("blocked")),
        "orders": [
            {
                "number": one.number,
                "state": one.state,
                "date": one.ordered_on,
                "net": one.net,
                "gross": one.gross,
                "currency": one.currency,
                "payment": one.payment,
                "reference": one.buyer_reference,
                "planned": _next(one),
                "url": f"/linked-orders/{link.id}",
            }
            for link, one in known
        ],
        "invoices": [
            {
                "number": one.number,
                "type": one.type,
                "date": one.date,
                "due": one.due,
                "net": one.net,
                "tax": one.tax,
                "gross": one.gross,
                "open": one.open,
                "status": one.status,
                "dunning_level": one.dunning_level,
                "url": invoice_url(of_invoice[one.id], one),
            }
            for one in invoices.values()
        ],
        "party": party,
        "age_seconds": _age(store.clock(), min(seen)) if seen else 0.0,
    }


def _next(order: OrderResponse) -> date | None:
    """When the next delivery of what is open is planned."""
    return min((one.planned for one in order.lines if one.planned and one.open > 0), default=None)


def _backlog(order: OrderResponse) -> Decimal:
    found = ZERO
    for line in order.lines:
        if line.ordered and line.net is not None and line.open > 0:
            found += line.net * line.open / line.ordered
    return found.quantize(Decimal("0.01"))


def _age(now: datetime, then: datetime) -> float:
    return max(0.0, round((now - then).total_seconds(), 1))
