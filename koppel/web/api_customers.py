"""The interface: customers from all sides, orders, invoices, and the figures of the house."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import Model, Q
from django.http import Http404, HttpRequest
from ninja import Schema

from koppel.store import searching, selecting
from koppel.store.seen_models import Bill, Customer, Delivery, Figure, Person, Sale, SaleLine
from koppel.sync.rule import SIDES
from koppel.web.api_base import Day, Id, Limit, Number, Text, api, may, page, plain, user_of
from koppel.web.customers import origins
from koppel.web.rights import Rights
from koppel.web.service import current
from koppel.web.trade import bill_state, today

LISTED = 100
"""Documents of a kind that are told with a customer; the lists have all."""

_MASTER = (
    "coupling", "crm_id", "erp_id", "name", "number", "tax_id", "email", "phone", "town",
    "postal_code", "country", "region", "sector", "salesperson", "active", "crm_read", "erp_read",
)  # fmt: skip
_FIGURES = (
    "currency", "orders", "first_order", "last_order", "rhythm", "quiet_from", "turnover",
    "turnover_before", "intake", "backlog", "open_items", "overdue", "behaviour", "trend", "abc",
    "rfm", "segment", "dunning", "credit_limit", "exposure", "blocked", "figures_at",
)  # fmt: skip
_SALE = (
    "side", "kind", "record", "party", "number", "title", "reference", "state", "payment", "day",
    "currency", "net", "tax", "gross", "backlog", "read_at",
)  # fmt: skip
_BILL = (
    "record", "party", "number", "kind", "day", "due", "paid", "currency", "net", "tax", "gross",
    "open", "dunning", "read_at",
)  # fmt: skip


class CustomerOut(Schema):
    """A customer or prospect; amounts are texts with all their digits."""

    id: int
    coupling: str | None
    crm_id: str | None
    erp_id: str | None
    name: str
    number: str
    tax_id: str
    email: str
    phone: str
    town: str
    postal_code: str
    country: str
    region: str
    sector: str
    salesperson: str
    active: bool
    crm_read: datetime | None
    erp_read: datetime | None
    figures: dict[str, Any] | None
    """None where the token or its user may not see money."""


class CustomerWhole(CustomerOut):
    """The same with the origin of each field, people, months and documents."""

    fields: list[dict[str, Any]]
    people: list[dict[str, Any]]
    months: list[dict[str, Any]]
    sales: list[dict[str, Any]]
    invoices: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]


class Customers(Schema):
    """A page."""

    items: list[CustomerOut]
    next: int | None


class Documents(Schema):
    """A page of orders, quotes and opportunities, or of invoices."""

    items: list[dict[str, Any]]
    next: int | None


class House(Schema):
    """The figures of the whole house in one currency, with when they were reckoned."""

    currency: str
    at: datetime
    figures: dict[str, Any]


def _told(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = plain({name: getattr(row, name) for name in names})
    return told


def _customer(request: HttpRequest, row: Customer) -> dict[str, Any]:
    rights: Rights = request.rights  # type: ignore[attr-defined]
    figures = _told(row, _FIGURES) if rights("figures") else None
    return {"id": row.id, **_told(row, _MASTER), "figures": figures}


@api.get("/customers", response=Customers, operation_id="customers")
def customers(
    request: HttpRequest,
    q: Text = "",
    where: Literal["", "both", "crm", "erp"] = "",
    abc: Text = "",
    segment: Text = "",
    trend: Text = "",
    region: Text = "",
    country: Text = "",
    salesperson: Text = "",
    after: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Customers and prospects of both systems; `q`: name, number, VAT id, mail, phone or town."""
    may(request, "view", "partner")
    asked = {
        "where": where, "abc": abc, "segment": segment, "trend": trend, "region": region,
        "country": country, "salesperson": salesperson,
    }  # fmt: skip
    rows = selecting.choose(asked, today()).filter(id__gt=after).order_by("id")
    if q.strip():
        rows = rows.filter(id__in=searching.search(q, selecting.FOUND))
    found, last = page(list(rows[: limit + 1]), limit)
    return {
        "items": [_customer(request, row) for row in found],
        "next": last.id if last else None,
    }


@api.get("/customers/{number}", response=CustomerWhole, operation_id="customer")
def customer(request: HttpRequest, number: Id) -> Any:
    """One customer from all sides."""
    may(request, "view", "partner")
    row = Customer.objects.filter(id=number).first()
    if row is None:
        raise Http404
    rights: Rights = request.rights  # type: ignore[attr-defined]
    current().store.audit_log.write(user_of(request), "see", request.path)
    return {
        **_customer(request, row),
        "fields": [_origin(one) for one in origins(current(), row)],
        "people": _people(row),
        **(_documents(row) if rights("figures") else _no_documents()),
    }


def _origin(told: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "value", "side", "at", "by", "rule")
    found: dict[str, Any] = plain({name: told[name] for name in names})
    return found


def _people(row: Customer) -> list[dict[str, Any]]:
    wanted = Q(pk__in=[])
    for side in SIDES:
        partner = row.crm_id if side == "crm" else row.erp_id
        if partner is not None:
            wanted |= Q(side=side, partner=partner)
    names = ("side", "record", "coupling", "name", "job", "email", "phone")
    return [_told(one, names) for one in Person.objects.filter(wanted).order_by("name", "id")]


def _no_documents() -> dict[str, list[Any]]:
    return {"months": [], "sales": [], "invoices": [], "deliveries": []}


def _documents(row: Customer) -> dict[str, list[Any]]:
    wanted = Q(pk__in=[])
    for side in SIDES:
        party = row.crm_id if side == "crm" else row.erp_id
        if party is not None:
            wanted |= Q(side=side, party=party)
    bills = Bill.objects.filter(party=row.erp_id) if row.erp_id else Bill.objects.none()
    sent = Delivery.objects.filter(party=row.erp_id) if row.erp_id else Delivery.objects.none()
    months = Figure.objects.filter(customer=row.id, currency=row.currency).order_by("month")
    names = ("record", "number", "state", "planned", "delivered_on")
    return {
        "months": [_told(one, ("month", "turnover", "intake", "orders")) for one in months],
        "sales": [
            {"id": one.id, **_told(one, _SALE)}
            for one in Sale.objects.filter(wanted).order_by("-day", "-id")[:LISTED]
        ],
        "invoices": [_bill(one) for one in bills.order_by("-day", "-id")[:LISTED]],
        "deliveries": [_told(one, names) for one in sent.order_by("-planned", "-id")[:LISTED]],
    }


def _bill(row: Bill) -> dict[str, Any]:
    return {"id": row.id, "state": bill_state(row), **_told(row, _BILL)}


@api.get("/orders", response=Documents, operation_id="orders")
def orders(
    request: HttpRequest,
    side: Literal["", "crm", "erp"] = "",
    kind: Literal["", "order", "quote", "opportunity"] = "",
    state: Text = "",
    party: Text = "",
    begun: Day = None,
    after: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Orders of the ERP; quotes, orders, opportunities of the CRM; `begun`: that day or later."""
    may(request, "figures")
    wanted = {"side": side, "kind": kind, "state": state, "party": party}
    rows = Sale.objects.filter(id__gt=after, **{n: value for n, value in wanted.items() if value})
    if begun is not None:
        rows = rows.filter(day__gte=begun)
    found, last = page(list(rows.order_by("id")[: limit + 1]), limit)
    return {
        "items": [{"id": one.id, **_told(one, _SALE)} for one in found],
        "next": last.id if last else None,
    }


@api.get("/orders/{number}", response=dict[str, Any], operation_id="order")
def order(request: HttpRequest, number: Id) -> Any:
    """One order or quote with its lines: how far each is delivered and invoiced."""
    may(request, "figures")
    row = Sale.objects.filter(id=number).first()
    if row is None:
        raise Http404
    current().store.audit_log.write(user_of(request), "see", request.path)
    names = (
        "position", "item", "name", "unit", "ordered", "delivered", "open", "invoiced", "net",
        "planned", "delivered_on", "status",
    )  # fmt: skip
    lines = SaleLine.objects.filter(sale=row.id).order_by("position")
    return {"id": row.id, **_told(row, _SALE), "lines": [_told(one, names) for one in lines]}


@api.get("/invoices", response=Documents, operation_id="invoices")
def invoices(
    request: HttpRequest,
    kind: Literal["", "invoice", "credit_note"] = "",
    party: Text = "",
    open: bool = False,
    begun: Day = None,
    after: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Invoices and credit notes; `open`: with something to pay; `begun`: of that day or later."""
    may(request, "figures")
    wanted = {"kind": kind, "party": party}
    rows = Bill.objects.filter(id__gt=after, **{n: value for n, value in wanted.items() if value})
    if open:
        rows = rows.exclude(open=0)
    if begun is not None:
        rows = rows.filter(day__gte=begun)
    found, last = page(list(rows.order_by("id")[: limit + 1]), limit)
    return {"items": [_bill(one) for one in found], "next": last.id if last else None}


@api.get("/figures", response=House, operation_id="figures")
def figures(request: HttpRequest, currency: Text = "") -> Any:
    """Turnover, intake, backlog, payment, customers: the house as it was last reckoned."""
    may(request, "figures")
    known = current().store.figures.read(currency)
    if known is None:
        raise Http404
    told, row = known
    return {"currency": row.currency, "at": row.at, "figures": told}
