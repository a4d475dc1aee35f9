"""What Koppel says about an order and about a customer's figures, made ready for the pages.

Whatever Koppel answers, a page can show it: what is missing is left out, what is unknown is shown
as it came, amounts are written as the user writes numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from . import card, conf

FRESH_TIMEOUT = 30.0

_WORDS = {
    "draft": gettext_noop("Draft"),
    "quotation": gettext_noop("Quotation"),
    "quoted": gettext_noop("Quoted"),
    "confirmed": gettext_noop("Confirmed"),
    "processing": gettext_noop("In progress"),
    "partly_delivered": gettext_noop("Partly delivered"),
    "delivered": gettext_noop("Delivered"),
    "shipped": gettext_noop("Shipped"),
    "partly_shipped": gettext_noop("Partly shipped"),
    "invoiced": gettext_noop("Invoiced"),
    "partly_invoiced": gettext_noop("Partly invoiced"),
    "done": gettext_noop("Done"),
    "cancelled": gettext_noop("Cancelled"),
    "none": "",
    "open": gettext_noop("Open"),
    "partial": gettext_noop("Partly paid"),
    "paid": gettext_noop("Paid"),
    "overdue": gettext_noop("Overdue"),
    "posted": gettext_noop("Posted"),
    "waiting": gettext_noop("Waiting"),
    "running": gettext_noop("Running"),
    "transferred": gettext_noop("Transferred"),
    "held": gettext_noop("Held"),
    "failed": gettext_noop("Failed"),
    "refused": gettext_noop("Refused"),
    "not_transferred": gettext_noop("Not transferred"),
    "assigned": gettext_noop("Reserved"),
    "picked": gettext_noop("Picked"),
    "packed": gettext_noop("Packed"),
    "invoice": gettext_noop("Invoice"),
    "credit_note": gettext_noop("Credit note"),
    "exception": gettext_noop("Needs attention"),
    "for_sale": gettext_noop("For sale"),
    "not_for_sale": gettext_noop("Not for sale"),
    "discontinued": gettext_noop("Discontinued"),
}
"""Koppel's and the ERP's words for states, in the user's language; any other is shown as it is."""


@dataclass(frozen=True)
class Told:
    """One answer of Koppel: `trouble` is a sentence where there is nothing to show."""

    trouble: str = ""
    age: str = ""
    url: str = ""
    tiles: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of a table: the names under which Koppel may tell it, its title, what it holds."""

    names: tuple[str, ...]
    title: str
    kind: str = "text"


@dataclass(frozen=True)
class Cell:
    """One text in a table; `link` leads to more about its row, such as an invoice's document."""

    kind: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts that are ready to be shown."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(default=())


def order(resource: str, pk: int, *, fresh: bool = False) -> Told:
    """How the order stands in the ERP."""
    asked = _ask(f"/api/orders/{conf.connection()}/{resource}/{pk}", fresh)
    if asked.unknown:
        return Told(trouble=_("This document has not been transferred to the ERP yet."))
    if asked.trouble:
        return Told(trouble=asked.trouble)
    body = asked.body
    currency = as_text(body.get("currency"))
    tiles = [
        (_("State"), _word(body.get("state"))),
        (_("Number in the ERP"), as_text(body.get("erp_number"))),
        (_("Status in the ERP"), _word(body.get("erp_status"))),
        (_("Payment"), _word(body.get("payment"))),
        (_("Dunning"), _dunning(body.get("dunning"))),
        *_credit(body.get("credit"), currency),
    ]
    tables = (
        _table(_("Lines in the ERP"), body.get("lines"), _lines(), currency),
        _table(_("Shipments"), body.get("shipments"), _shipments(), currency),
        _table(_("Invoices"), body.get("invoices"), _invoices(), currency),
    )
    return _told(body, tiles, tables)


def figures(pk: int, *, fresh: bool = False) -> Told:
    """What the ERP knows about a customer in figures."""
    asked = _ask(f"/api/figures/{conf.connection()}/persons.organisation/{pk}", fresh)
    if asked.unknown:
        return Told(trouble=_("Koppel has no figures of this organisation; it is not coupled."))
    if asked.trouble:
        return Told(trouble=asked.trouble)
    body = asked.body
    currency = as_text(body.get("currency"))
    names = {
        "turnover": _("Turnover"),
        "open_items": _("Open items"),
        "overdue": _("Overdue"),
        "backlog": _("Order backlog"),
        "credit_limit": _("Credit limit"),
        "exposure": _("Exposure"),
    }
    tiles = [
        (label, _cell(body[name], "money", currency))
        for name, label in names.items()
        if not isinstance(body.get(name), list | dict | None)
    ]
    tiles.append((_("Dunning"), _dunning({"level": body.get("dunning_level")})))
    if body.get("blocked") is True:
        tiles.append((_("Deliveries"), _("blocked in the ERP")))
    tables = (
        _table(_("Orders in the ERP"), body.get("orders"), _orders(), currency),
        _table(_("Invoices"), body.get("invoices"), _invoices(), currency),
    )
    return _told(body, tiles, tables)


def product(pk: int, *, fresh: bool = False) -> Told:
    """Stock, price, tax and the price lists' steps of a product, as the ERP has them."""
    asked = _ask(f"/api/products/{conf.connection()}/products.product/{pk}", fresh)
    if asked.unknown:
        return Told(trouble=_("Koppel has no product of the ERP for this one; it is not coupled."))
    if asked.trouble:
        return Told(trouble=asked.trouble)
    body = asked.body
    currency, unit = as_text(body.get("currency")), as_text(body.get("unit"))
    tiles = [
        (_("Number in the ERP"), as_text(body.get("code"))),
        (_("Status in the ERP"), _word(body.get("status"))),
        (_("In stock"), _in(body.get("quantity"), unit)),
        (_("In stock when all is done that is planned"), _in(body.get("forecast_quantity"), unit)),
        (_("List price"), _cell(body.get("list_price"), "money", currency)),
        (_("VAT in percent"), _cell(body.get("tax_percent"), "number")),
        (_("Category"), as_text(body.get("category"))),
    ]
    steps = (
        Column(("price_list",), _("Price list")),
        Column(("from_quantity",), _("From quantity"), "number"),
        Column(("unit_price",), _("Price"), "money"),
        Column(("valid_from",), _("Valid from"), "date"),
        Column(("valid_to",), _("Valid to"), "date"),
    )
    told = _told(body, tiles, (_table(_("Price lists"), body.get("breaks"), steps, currency),))
    old = as_age(body.get("breaks_age_seconds"))
    if body.get("breaks") and body.get("breaks_age_seconds"):
        told = replace(told, messages=(*told.messages, f"{_('Price lists')}: {old}"))
    return told


def _in(value: Any, unit: str) -> str:
    """A quantity with its unit."""
    text = _cell(value, "number")
    return f"{text} {unit}".strip() if text else ""


@dataclass(frozen=True)
class Transfer:
    """What the button did: `message` for people; `ok` also while Koppel is still at it."""

    ok: bool
    message: str
    erp_number: str = ""
    url: str = ""
    lines: tuple[str, ...] = ()


def transfer(resource: str, pk: int, username: str) -> Transfer:
    """Ask Koppel to hand a document over, in the name of a Creme user."""
    if not conf.koppel_url():
        return Transfer(False, _("Koppel is not set up here."))
    body = card.press(f"/api/orders/{conf.connection()}/{resource}/{pk}/transfer", username)
    if body is None:
        return Transfer(
            False,
            _(
                "Koppel cannot be reached at the moment; it may have heard you all the same. "
                "Press again later: no second order is made."
            ),
        )
    ok = body["ok"] or (body["status"] == 200 and body.get("state") in ("running", "waiting"))
    number = as_text(body.get("erp_number"))
    message = as_text(body.get("message"))
    if not message:
        message = _("Transferred.") if ok else _("Koppel refused; its log tells more.")
    return Transfer(ok, message, number, card.link(body.get("url")), _sentences(body.get("lines")))


def _ask(path: str, fresh: bool) -> card.Asked:
    return card.ask(f"{path}?fresh=1", FRESH_TIMEOUT, pressed=True) if fresh else card.ask(path)


def _told(body: Mapping[str, Any], tiles: Sequence[tuple[str, str]], tables: Any) -> Told:
    return Told(
        age=as_age(body.get("age_seconds")),
        url=card.link(body.get("url")),
        tiles=tuple((label, text) for label, text in tiles if text),
        tables=tuple(table for table in tables if table.rows),
        messages=_sentences(body.get("messages")),
    )


# Tables.


def _lines() -> tuple[Column, ...]:
    return (
        Column(("position",), _("Position")),
        Column(("item",), _("ERP code"), "code"),
        Column(("description", "name", "product"), _("Description")),
        Column(("ordered",), _("Ordered"), "number"),
        Column(("delivered",), _("Delivered"), "number"),
        Column(("open",), _("Open"), "number"),
        Column(("unit",), _("Unit")),
        Column(("planned",), _("Planned delivery"), "date"),
        Column(("delivered_on", "actual"), _("Delivered on"), "date"),
        Column(("status",), _("Status"), "word"),
    )


def _shipments() -> tuple[Column, ...]:
    return (
        Column(("number",), _("Number"), "code"),
        Column(("planned", "planned_date"), _("Planned delivery"), "date"),
        Column(
            ("delivered", "delivered_on", "actual", "effective_date"), _("Delivered on"), "date"
        ),
        Column(("status", "state"), _("Status"), "word"),
    )


def _invoices() -> tuple[Column, ...]:
    return (
        Column(("number",), _("Number"), "code"),
        Column(("type",), _("Kind"), "word"),
        Column(("date",), _("Date"), "date"),
        Column(("due",), _("Due"), "date"),
        Column(("net",), _("Net"), "money"),
        Column(("tax",), _("Tax"), "money"),
        Column(("gross",), _("Gross"), "money"),
        Column(("open",), _("Open amount"), "money"),
        Column(("status",), _("Status"), "word"),
    )


def _orders() -> tuple[Column, ...]:
    return (
        Column(("number", "erp_number"), _("Number"), "code"),
        Column(("date",), _("Date"), "date"),
        Column(("description", "reference"), _("Description")),
        Column(("net",), _("Net"), "money"),
        Column(("gross", "total"), _("Gross"), "money"),
        Column(("planned",), _("Planned delivery"), "date"),
        Column(("status", "erp_status", "state"), _("Status"), "word"),
        Column(("payment",), _("Payment"), "word"),
    )


def _table(title: str, told: Any, columns: tuple[Column, ...], currency: str) -> Table:
    """The rows that Koppel told, with the columns of which at least one row says something."""
    rows = [row for row in told if isinstance(row, Mapping)] if isinstance(told, list) else []
    used = tuple(column for column in columns if any(_value(row, column) for row in rows))
    return Table(title, used, tuple(_row(row, used, currency) for row in rows))


def _row(row: Mapping[str, Any], columns: tuple[Column, ...], currency: str) -> tuple[Cell, ...]:
    own = as_text(row.get("currency")) or currency
    return tuple(
        Cell(
            column.kind,
            _cell(_value(row, column), column.kind, own),
            card.link(row.get("url")) if column.kind == "code" else "",
        )
        for column in columns
    )


def _value(row: Mapping[str, Any], column: Column) -> Any:
    found = (row.get(name) for name in column.names)
    return next((value for value in found if value is not None and value != ""), None)


# Texts.


def _cell(value: Any, kind: str, currency: str = "") -> str:
    if value is None or isinstance(value, Mapping | list):
        return ""
    if kind in ("money", "number"):
        return as_number(value, currency if kind == "money" else "", places=2 * (kind == "money"))
    if kind == "date":
        return _date(value)
    return _word(value) if kind == "word" else as_text(value)


def as_number(value: Any, currency: str, places: int) -> str:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return as_text(value)
    if not number.is_finite():
        return as_text(value)
    if places == 0:
        places = max(0, -int(number.normalize().as_tuple().exponent))
    text = number_format(number, decimal_pos=places, force_grouping=True)
    return f"{text}\N{NO-BREAK SPACE}{currency}" if currency else text


def _date(value: Any) -> str:
    try:
        return date_format(date.fromisoformat(str(value)[:10]), "SHORT_DATE_FORMAT")
    except ValueError:
        return as_text(value)


def _word(value: Any) -> str:
    text = as_text(value)
    known = _WORDS.get(text.replace(" ", "_").replace("-", "_").lower())
    if known is None:
        return text
    return _(known) if known else ""


def as_text(value: Any) -> str:
    return "" if value is None or isinstance(value, Mapping | list | bool) else str(value)


def _sentences(told: Any) -> tuple[str, ...]:
    return tuple(filter(None, map(as_text, told))) if isinstance(told, list) else ()


def _dunning(told: Any) -> str:
    """Level and date of the highest dunning; empty where there is none."""
    level = told.get("level") if isinstance(told, Mapping) else None
    if not level:
        return ""
    text = _("level {level}").format(level=level)
    day = _date(told["date"]) if told.get("date") else ""
    return f"{text} ({day})" if day else text


def _credit(told: Any, currency: str) -> list[tuple[str, str]]:
    if not isinstance(told, Mapping):
        return []
    currency = as_text(told.get("currency")) or currency
    found = [
        (_("Credit limit"), _cell(told.get("limit", told.get("credit_limit")), "money", currency)),
        (_("Exposure"), _cell(told.get("exposure"), "money", currency)),
    ]
    return [(label, text) for label, text in found if text]


def as_age(seconds: Any) -> str:
    """How old the figures are, in words."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        return ""
    if seconds < 60:
        return _("read from the ERP just now")
    minutes = int(seconds // 60)
    if minutes < 120:
        return ngettext(
            "read from the ERP {count} minute ago", "read from the ERP {count} minutes ago", minutes
        ).format(count=minutes)
    hours = minutes // 60
    if hours < 48:
        return _("read from the ERP {count} hours ago").format(count=hours)
    return _("read from the ERP {count} days ago").format(count=hours // 24)
