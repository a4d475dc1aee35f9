"""Native records as rows for views: what a page shows of a sale, an invoice, a customer.

The document `view` says which resources of a system are shown and where their fields are. Nothing
here asks a system or the store.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from koppel import typed
from koppel.connectors.base import Record, Resource
from koppel.errors import NeedsUser
from koppel.insight import trade
from koppel.model import Address
from koppel.model.values import is_currency
from koppel.processes import rules
from koppel.store import searching
from koppel.store.seen_models import (
    Article,
    Bill,
    BillLine,
    Customer,
    Delivery,
    Person,
    Sale,
    SaleLine,
)
from koppel.sync.rule import Rule, Side, other

KIND, NAME = "process", "view"
ZERO = Decimal(0)


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the lines of a document are."""

    list: str
    item: str = ""
    name: str = ""
    quantity: str = ""
    unit: str = ""
    net: str = ""


class Shown(Struct, frozen=True, forbid_unknown_fields=True):
    """One resource of the CRM, and where its fields are."""

    resource: str
    kind: Literal["opportunity", "quote", "order"]
    party: str
    title: str = ""
    number: str = ""
    state: str = ""
    day: str = ""
    until: str = ""
    currency: str = ""
    net: str = ""
    gross: str = ""
    owner: str = ""
    won: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    lines: Rows | None = None


class Crm(Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown of a CRM. `owner` is the partner's field for the salesperson."""

    owner: str = ""
    page: str = ""
    sales: tuple[Shown, ...] = ()


class Erp(Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of the ERP that speak the shapes of sales."""

    product: str = ""
    sale: str = ""
    invoice: str = ""
    shipment: str = ""
    pages: Mapping[str, str] = field(default_factory=dict)
    """How a record is opened, by the type of the connector."""


class View(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it; the CRM's part by the type of its connector."""

    erp: Erp = Erp()
    crm: Mapping[str, Crm] = field(default_factory=dict)


def parse_view(text: str, *, source: str = "view.toml") -> View:
    """Read the document; `NeedsUser` says what is wrong with it."""
    try:
        return typed.convert(tomllib.loads(text), View)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the document") from error


def shipped_view() -> str:
    """The document that Koppel brings along."""
    return (files("koppel") / "mappings" / "processes" / "view.toml").read_text(encoding="utf-8")


# Documents.


def sale_row(found: Record, today: date, now: datetime) -> tuple[Sale, list[SaleLine]]:
    """An order of the ERP."""
    told = rules.response(found.id, found.fields, today)
    lines = [
        SaleLine(
            position=one.position,
            item=one.item,
            name=one.description,
            unit=one.unit,
            ordered=one.ordered,
            delivered=one.delivered,
            open=one.open,
            invoiced=one.invoiced,
            net=one.net or ZERO,
            planned=one.planned,
            delivered_on=one.delivered_on,
            status=one.status,
        )
        for one in told.lines
    ]
    still = trade.Sale(
        day=told.ordered_on,
        net=told.net,
        state=told.state,
        lines=tuple(
            trade.Line(net=one.net or ZERO, ordered=one.ordered, open=max(one.open, ZERO))
            for one in told.lines
        ),
    )
    row = Sale(
        side="erp",
        kind="order",
        resource=found.resource,
        record=found.id,
        version=found.version,
        party=told.partner,
        number=told.number,
        title=_text(found.fields.get("description")),
        reference=told.buyer_reference[:200],
        state=told.state,
        payment=told.payment,
        day=told.ordered_on,
        until=told.requested_delivery,
        currency=told.currency,
        net=told.net,
        tax=told.tax,
        gross=told.gross,
        backlog=trade.backlog(still),
        won=told.state in trade.LIVE,
        lost=told.state == "cancelled",
        dunning=told.dunning.level if told.dunning else 0,
        salesperson=_text(found.fields.get("koppel_crm_owner"))[:120],
        read_at=now,
    )
    return row, lines


def bill_row(found: Record, now: datetime) -> tuple[Bill, list[BillLine]]:
    """An invoice or credit note of the ERP."""
    fields = found.fields
    lines = [
        BillLine(
            position=place,
            item=_text(line.get("product_code")),
            name=_text(line.get("description")),
            unit=_text(line.get("unit")),
            quantity=_number(line.get("quantity")),
            price=_number(line.get("unit_price")),
            net=_number(line.get("amount")),
        )
        for place, line in enumerate(fields.get("lines") or (), start=1)
        if line.get("type", "line") == "line"
    ]
    posted = fields.get("state") in ("posted", "paid")
    row = Bill(
        record=found.id,
        version=found.version,
        party=_text(fields.get("party")),
        number=_text(fields.get("number")),
        kind=_text(fields.get("type")) or "invoice",
        state=_text(fields.get("state")),
        day=fields.get("invoice_date"),
        due=fields.get("due_date"),
        paid=fields.get("paid_date"),
        currency=_text(fields.get("currency")),
        net=_number(fields.get("untaxed_amount")),
        tax=_number(fields.get("tax_amount")),
        gross=_number(fields.get("total_amount")),
        open=_number(fields.get("amount_to_pay")) if posted else ZERO,
        dunning=int(fields.get("dunning_level") or 0),
        dunned_on=fields.get("dunning_date"),
        sales=list(fields.get("sales") or ()),
        credits=list(fields.get("origin_invoices") or ()),
        counted=posted,
        read_at=now,
    )
    return row, lines


def delivery_row(found: Record, now: datetime) -> Delivery:
    """A shipment of the ERP."""
    fields = found.fields
    return Delivery(
        record=found.id,
        version=found.version,
        party=_text(fields.get("customer")),
        number=_text(fields.get("number")),
        state=_text(fields.get("state")),
        planned=fields.get("planned_date"),
        delivered_on=fields.get("effective_date"),
        sales=list(fields.get("sales") or ()),
        read_at=now,
    )


def article_row(found: Record, now: datetime) -> Article:
    """A product of the ERP."""
    fields = found.fields
    name, code = _text(fields.get("name")), _text(fields.get("code"))
    category = ", ".join(fields.get("categories") or ())
    return Article(
        record=found.id,
        version=found.version,
        code=code,
        name=name,
        name_key=searching.name_key(name),
        category=category,
        unit=_text(fields.get("unit")),
        price=fields.get("list_price"),
        cost=fields.get("cost_price") or None,
        stock=fields.get("quantity"),
        forecast=fields.get("forecast_quantity"),
        active=bool(fields.get("active", True)),
        search=searching.searchable([name, code, category]),
        read_at=now,
    )


def crm_sale_row(
    shown: Shown, resource: Resource, found: Record, now: datetime
) -> tuple[Sale, list[SaleLine]]:
    """A quote or an opportunity of the CRM."""
    fields = found.fields
    state = labelled(resource, shown.state, fields)
    names = shown.lines
    lines = [
        SaleLine(
            position=place,
            item=_text(line.get(names.item)),
            name=_text(line.get(names.name)),
            unit=_text(line.get(names.unit)),
            ordered=_number(line.get(names.quantity)),
            net=_number(line.get(names.net)),
        )
        for place, line in enumerate((fields.get(names.list) or ()) if names else (), start=1)
        if names
    ]
    net, gross = _number(fields.get(shown.net)), _number(fields.get(shown.gross))
    row = Sale(
        side="crm",
        kind=shown.kind,
        resource=found.resource,
        record=found.id,
        version=found.version,
        party=_text(fields.get(shown.party)),
        number=_text(fields.get(shown.number))[:120],
        title=_text(fields.get(shown.title)),
        state=state[:60],
        day=_day(fields.get(shown.day)),
        until=_day(fields.get(shown.until)),
        currency=_currency(resource, shown.currency, fields),
        net=net,
        tax=gross - net if gross else ZERO,
        gross=gross,
        won=state in shown.won,
        lost=state in shown.lost,
        salesperson=labelled(resource, shown.owner, fields)[:120],
        read_at=now,
    )
    return row, lines


# Customers and people.


class Seen(Struct, frozen=True, kw_only=True):
    """What one side tells of a partner."""

    record: str
    version: str
    canonical: Mapping[str, Any]
    label: str
    owner: str = ""
    at: datetime | None = None


def customer_row(
    rule: Rule, sides: Mapping[Side, Seen], coupling: str | None, people: Sequence[Person]
) -> Customer:
    """One row of both sides: the owner's value, else the other's."""
    crm, erp = sides.get("crm"), sides.get("erp")

    def value(name: str) -> Any:
        return chosen(rule, sides, name)[0]

    address = value("billing_address")
    place = address if isinstance(address, Address) else None
    name = _text(value("name")) or next((one.label for one in sides.values()), "")
    texts, phones = list[str](), list[str]()
    for one in sides.values():
        texts += [_text(one.canonical.get(key)) for key in _SEARCHED]
        phones += [_text(one.canonical.get(key)) for key in ("phone", "mobile", "fax")]
        for where in ("billing_address", "shipping_address"):
            found = one.canonical.get(where)
            if isinstance(found, Address):
                texts += [_text(found.city), _text(found.postal_code)]
    for person in people:
        texts += [person.name, person.email]
        phones.append(person.phone)
    postal, country = _part(place, "postal_code"), _part(place, "country")
    return Customer(
        coupling=coupling,
        crm_id=crm.record if crm else None,
        erp_id=erp.record if erp else None,
        crm_version=crm.version if crm else "",
        erp_version=erp.version if erp else "",
        name=name,
        name_key=searching.name_key(name),
        number=_text(value("number"))[:120],
        tax_id=_text(value("tax_id"))[:60],
        email=_text(value("email"))[:254],
        phone=(_text(value("phone")) or _text(value("mobile")))[:60],
        town=_part(place, "city")[:120],
        postal_code=postal[:20],
        country=country[:2],
        region=f"{country} {postal[:1]}".strip() if country else "",
        sector=_text(value("sector"))[:120],
        salesperson=(crm.owner if crm else "")[:120],
        roles=" ".join(value("roles") or ())[:200],
        active=value("active") is not False,
        search=searching.searchable(texts, phones=phones),
        crm_read=crm.at if crm else None,
        erp_read=erp.at if erp else None,
    )


_SEARCHED = ("name", "number", "tax_id", "email", "website", "registration_id")


def chosen(rule: Rule, sides: Mapping[Side, Seen], name: str) -> tuple[Any, Side | None]:
    """The value of a field that is shown, and the side it comes from."""
    group = next((key for key, members in rule.groups.items() if name in members), name)
    field_rule = rule.fields.get(group)
    first: Side = "crm" if field_rule is not None and field_rule.owner == "crm" else "erp"
    for side in (first, other(first)):
        one = sides.get(side)
        value = one.canonical.get(name) if one is not None else None
        if value not in (None, "", (), []):
            return value, side
    return None, None


def person_row(side: Side, found: Seen, partner: str, coupling: str, now: datetime) -> Person:
    """A contact."""
    fields = found.canonical
    name = " ".join(
        part for key in ("given_name", "family_name") if (part := _text(fields.get(key)))
    )
    return Person(
        side=side,
        record=found.record,
        version=found.version,
        coupling=coupling,
        partner=partner,
        name=name or found.label,
        job=_text(fields.get("job_title")),
        email=_text(fields.get("email"))[:254],
        phone=(_text(fields.get("phone")) or _text(fields.get("mobile")))[:60],
        read_at=found.at or now,
    )


def labelled(resource: Resource | None, name: str, fields: Mapping[str, Any]) -> str:
    """A field as people see it: the label of a choice, else the value."""
    if not name:
        return ""
    value = fields.get(name)
    if value is None:
        return ""
    info = resource.field(name) if resource is not None else None
    for choice in info.choices if info is not None else ():
        if choice.value == value:
            return choice.label or str(choice.value)
    return str(value)


def _currency(resource: Resource, name: str, fields: Mapping[str, Any]) -> str:
    """The code, which is a choice's value in one CRM and its label in another; empty where neither
    is one."""
    for text in (_text(fields.get(name)), labelled(resource, name, fields)):
        if is_currency(text):
            return text
    return ""


def _part(address: Address | None, name: str) -> str:
    return _text(getattr(address, name, None)) if address is not None else ""


def _text(value: Any) -> str:
    return "" if value is None or value is msgspec.UNSET else str(value)


def _number(value: Any) -> Decimal:
    if value is None or value == "":
        return ZERO
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return ZERO


def _day(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return None
