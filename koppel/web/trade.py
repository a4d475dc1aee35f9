"""Lists of customers, products, orders and invoices, their pages, kept filters and exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.db.models import DateField, F, QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as N
from django.views.decorators.http import require_POST

from koppel.insight import customers as judged
from koppel.store import searching, selecting
from koppel.store.models import Connection
from koppel.store.seen_models import (
    Article,
    Bill,
    BillLine,
    Customer,
    Delivery,
    Sale,
    SaleLine,
    SavedFilter,
)
from koppel.store.selecting import order, values_of
from koppel.web import exports, words
from koppel.web.items import named
from koppel.web.lists import Asked, Column, Filter, Listing, show
from koppel.web.notes import note
from koppel.web.rights import looked, needs, require, rights_of, who
from koppel.web.service import current

SALE_STATES = (
    "draft", "quoted", "confirmed", "partly delivered", "delivered", "invoiced", "paid",
    "cancelled",
)  # fmt: skip
FOUND = 150
"""Documents that a search finds in each way: by the customer, by the number, by the reference."""
PAYMENTS = ("open", "partial", "overdue", "paid")


def today() -> date:
    """The day on which figures are judged."""
    return current().clock().date()


def _words(names: Iterable[str]) -> list[tuple[str, Any]]:
    return [(name, words.word(words.SEEN, name)) for name in names]


def _parties(rows: Sequence[Any]) -> None:
    """Give each row of a page its customer, in one look for each side."""
    store = current().store
    for side in ("crm", "erp"):
        mine = [row for row in rows if getattr(row, "side", "erp") == side]
        known = store.seen.by_party(side, (row.party for row in mine), ("name",))
        for row in mine:
            row.customer = known.get(row.party)


def _party(row: Any) -> Customer | None:
    found = getattr(row, "customer", None)
    return found if isinstance(found, Customer) else None


def _found(rows: QuerySet[Any], side: str, query: str, *columns: str) -> QuerySet[Any]:
    """Those of these documents whose customer a search finds, or of which a column begins so.

    Each way goes through its index by itself: joined by "or", and where an index has the order that
    is asked for, a database without statistics would rather look at every row.
    """
    customers = Customer.objects.filter(id__in=searching.search(query, 100))
    parties = [one for one in customers.values_list(f"{side}_id", flat=True) if one]
    newest = Coalesce("day", date.min, output_field=DateField()).desc()
    ways = [rows.filter(party__in=parties).order_by(newest)] if parties else []
    for start in dict.fromkeys((query, query.upper(), query.lower(), query.capitalize())):
        for column in columns:
            ways.append(rows.filter(searching.begins(column, start)).order_by(f"-{column}"))
    ids = {id for way in ways for id in way.values_list("id", flat=True)[:FOUND]}
    found: QuerySet[Any] = rows.model._default_manager.filter(id__in=ids)
    return found


# Customers.


CUSTOMERS = Listing(
    page="customers",
    title=N("Customers"),
    hint=N("Name, number, VAT id, e-mail, phone or town"),
    empty=N("No customer fits. Leave a filter out, or search for less."),
    columns=(
        Column("name", N("Name"), "link", sort="name"),
        Column("number", N("Customer number"), sort="number"),
        Column("town", N("Town"), sort="town"),
        Column("country", N("Country")),
        Column("salesperson", N("Salesperson")),
        Column("abc", N("Class")),
        Column("segment", N("Segment"), "word"),
        Column("turnover", N("Turnover, 12 months"), "money", sort="-turnover", money=True),
        Column("open", N("Open items"), "money", lambda row: row.open_items, "-open", money=True),
        Column("last", N("Last order"), "day", lambda row: row.last_order, "-last", money=True),
    ),
    filters=(
        Filter("abc", N("Class"), lambda: [(one, one) for one in "ABC"]),
        Filter("segment", N("Segment"), lambda: _words(judged.SEGMENTS)),
        Filter("trend", N("Trend"), lambda: _words(judged.TRENDS)),
        Filter("region", N("Region"), lambda: [(one, one) for one in values_of("region")]),
        Filter("salesperson", N("Salesperson"),
               lambda: [(one, one) for one in values_of("salesperson")]),
        Filter("where", N("Known to"), lambda: _words(("both", "crm", "erp"))),
        Filter("quiet", N("Rhythm"), lambda: [("1", _("gone quiet"))]),
        Filter("overdue", N("Payment"), lambda: [("1", _("with something overdue"))]),
        Filter("days", N("No order for days")),
    ),
    rows=selecting.choose,
    row=lambda row: reverse("customer", kwargs={"number": row.id}),
    reads=("name", "number", "town", "country", "salesperson", "abc", "segment", "currency",
           "turnover", "open_items", "last_order"),
    money=False,
)  # fmt: skip


@needs("view", entity="partner", anywhere=True)
def customers(request: HttpRequest) -> HttpResponse:
    """All customers and prospects of both systems."""
    return show(request, CUSTOMERS, today())


# Products.


def _articles(asked: Asked, day: date) -> QuerySet[Article]:
    rows = Article.objects.all()
    for word in searching.query_words(asked.get("q", "")):
        rows = rows.filter(search__contains=word)
    if asked.get("active"):
        rows = rows.filter(active=asked["active"] == "yes")
    return rows.order_by(*order(asked.get("sort", ""), _ARTICLE_SORTS))


_ARTICLE_SORTS: Mapping[str, tuple[str, ...]] = {
    "code": ("code", "id"), "name": ("name_key", "id"), "price": ("price", "id"),
    "stock": ("stock", "id"),
}  # fmt: skip
_TABS = (("orders", N("Orders")), ("invoices", N("Invoices")), ("products", N("Products")))
PRODUCTS = Listing(
    page="products",
    title=N("Products"),
    hint=N("Number, name or category"),
    empty=N("No product fits."),
    tabs=_TABS,
    columns=(
        Column("code", N("Number"), "link", sort="code"),
        Column("name", N("Name"), sort="name"),
        Column("category", N("Category")),
        Column("price", N("List price"), "price", sort="-price"),
        Column("unit", N("Unit"), "unit"),
        Column("stock", N("In stock"), "number", sort="-stock"),
        Column("forecast", N("Expected"), "number"),
        Column("active", N("On sale"), "flag"),
    ),
    filters=(Filter("active", N("On sale"), lambda: [("yes", _("yes")), ("no", _("no"))]),),
    rows=_articles,
    row=lambda row: reverse("product", kwargs={"number": row.id}),
    reads=("code", "name", "category", "price", "unit", "stock", "forecast", "active"),
)


@needs("figures", anywhere=True)
def products(request: HttpRequest) -> HttpResponse:
    """All products of the ERP."""
    return show(request, PRODUCTS, today())


@needs("figures", anywhere=True)
def product(request: HttpRequest, number: int) -> HttpResponse:
    """One product: price, stock, and who bought it last."""
    row = get_object_or_404(Article, id=number)
    lines = list(SaleLine.objects.filter(item=row.code).order_by("-sale")[:100]) if row.code else []
    sales = {
        sale.id: sale
        for sale in Sale.objects.filter(id__in=[line.sale for line in lines])
        # Asked in the query, this would lead through the index of all orders.
        if (sale.side, sale.kind) == ("erp", "order")
    }
    shown = sorted(
        (line for line in lines if line.sale in sales),
        key=lambda line: sales[line.sale].day or date.min,
        reverse=True,
    )[:30]
    _parties(list(sales.values()))
    looked(request, len(shown))
    return render(
        request,
        "web/product.html",
        {"row": row, "lines": [(line, sales[line.sale]) for line in shown], "tabs": _TABS},
    )


# Orders.

_SALE_SORTS: Mapping[str, tuple[str, ...]] = {
    "day": ("day", "id"), "number": ("number", "id"), "net": ("net", "id"),
    "state": ("state", "day", "id"), "backlog": ("backlog", "id"),
}  # fmt: skip


def _sales(asked: Asked, day: date) -> QuerySet[Sale]:
    kind = asked.get("kind") or "order"
    rows = Sale.objects.filter(kind=kind, side="erp" if kind == "order" else "crm")
    query = asked.get("q", "").strip()
    if query:
        side = "erp" if kind == "order" else "crm"
        rows = _found(rows, side, query, "number", "reference")
    if asked.get("state"):
        rows = rows.filter(state=asked["state"])
    if asked.get("payment"):
        rows = rows.filter(payment=asked["payment"])
    if asked.get("backlog"):
        rows = rows.filter(backlog__gt=0)
    return _sorted(rows, asked.get("sort", "") or "-day", _SALE_SORTS)


def _sorted(rows: QuerySet[Any], sort: str, sorts: Mapping[str, tuple[str, ...]]) -> QuerySet[Any]:
    """Documents without a date come last, whichever way; nothing else of them can be missing."""
    first, *others = order(sort, sorts)
    name = first.lstrip("-")
    if name not in ("day", "due"):
        return rows.order_by(first, *others)
    column = F(name)
    down = sort.startswith("-")
    by = column.desc(nulls_last=True) if down else column.asc(nulls_last=True)
    return rows.order_by(by, *others)


ORDERS = Listing(
    page="orders",
    title=N("Orders"),
    hint=N("Number, reference, or anything of the customer"),
    empty=N("No order fits."),
    tabs=_TABS,
    columns=(
        Column("number", N("Number"), "link",
               lambda row: row.number or row.title or row.record, "number"),
        Column("day", N("Date"), "day", sort="-day"),
        Column("party", N("Customer"), "party", _party),
        Column("reference", N("Reference"), value=lambda row: row.reference or row.title),
        Column("state", N("State"), "badge", sort="state"),
        Column("payment", N("Payment"), "badge"),
        Column("net", N("Net"), "money", sort="-net"),
        Column("backlog", N("To be delivered"), "money", sort="-backlog"),
    ),
    filters=(
        Filter("kind", N("Kind"), lambda: _words(("order", "quote", "opportunity"))),
        Filter("state", N("State"), lambda: _words(SALE_STATES)),
        Filter("payment", N("Payment"), lambda: _words(PAYMENTS)),
        Filter("backlog", N("Delivery"), lambda: [("1", _("not complete"))]),
    ),
    rows=_sales,
    row=lambda row: reverse("sale", kwargs={"number": row.id}),
    reads=("side", "party", "number", "title", "record", "day", "reference", "state", "payment",
           "currency", "net", "backlog"),
    prepare=_parties,
)  # fmt: skip


@needs("figures", anywhere=True)
def orders(request: HttpRequest) -> HttpResponse:
    """All orders of the ERP; quotes and opportunities of the CRM."""
    return show(request, ORDERS, today())


@needs("figures", seen=True, anywhere=True)
def sale(request: HttpRequest, number: int) -> HttpResponse:
    """One order with the state of every line, its deliveries and invoices."""
    row = get_object_or_404(Sale, id=number)
    _parties([row])
    bills, deliveries = [], []
    if row.side == "erp":
        bills = [b for b in Bill.objects.filter(party=row.party) if row.record in b.sales]
        deliveries = [d for d in Delivery.objects.filter(party=row.party) if row.record in d.sales]
    context = {
        "row": row,
        "lines": named(SaleLine.objects.filter(sale=row.id).order_by("position")),
        "bills": bills,
        "deliveries": deliveries,
        "link": system_page(row.side, row.resource, row.record),
        "tabs": _TABS,
    }
    return render(request, "web/sale.html", context)


# Invoices.

_BILL_SORTS: Mapping[str, tuple[str, ...]] = {
    "day": ("day", "id"), "number": ("number", "id"), "gross": ("gross", "id"),
    "open": ("open", "id"), "due": ("due", "id"),
}  # fmt: skip


def _bills(asked: Asked, day: date) -> QuerySet[Bill]:
    rows = Bill.objects.all()
    query = asked.get("q", "").strip()
    if query:
        rows = _found(rows, "erp", query, "number")
    if asked.get("kind"):
        rows = rows.filter(kind=asked["kind"])
    state = asked.get("state", "")
    if state == "overdue":
        rows = rows.filter(open__gt=0, due__lt=day)
    elif state == "open":
        rows = rows.exclude(open=0)
    elif state == "paid":
        rows = rows.filter(counted=True, open=0)
    elif state == "draft":
        rows = rows.filter(state__in=("draft", "validated"))
    if asked.get("dunning"):
        rows = rows.filter(dunning__gt=0)
    return _sorted(rows, asked.get("sort", "") or "-day", _BILL_SORTS)


def bill_state(row: Bill) -> str:
    """The word for how an invoice stands today."""
    if row.state in ("draft", "validated", "cancelled"):
        return "draft" if row.state != "cancelled" else "cancelled"
    if not row.open:
        return "paid"
    if row.open > 0 and row.due is not None and row.due < today():
        return "overdue"
    return "partial" if row.open != row.gross else "open"


INVOICES = Listing(
    page="invoices",
    title=N("Invoices"),
    hint=N("Number, or anything of the customer"),
    empty=N("No invoice fits."),
    tabs=_TABS,
    columns=(
        Column("number", N("Number"), "link", lambda row: row.number or row.record, "number"),
        Column("day", N("Date"), "day", sort="-day"),
        Column("party", N("Customer"), "party", _party),
        Column("kind", N("Kind"), "word"),
        Column("state", N("State"), "badge", bill_state),
        Column("due", N("Due"), "day", sort="due"),
        Column("gross", N("Gross"), "money", sort="-gross"),
        Column("open", N("Open"), "money", sort="-open"),
        Column("dunning", N("Reminder"), "level"),
    ),
    filters=(
        Filter("kind", N("Kind"), lambda: _words(("invoice", "credit_note"))),
        Filter("state", N("State"), lambda: _words(("draft", "open", "overdue", "paid"))),
        Filter("dunning", N("Reminder"), lambda: [("1", _("reminded"))]),
    ),
    rows=_bills,
    row=lambda row: reverse("invoice", kwargs={"number": row.id}),
    reads=(
        "number",
        "record",
        "day",
        "party",
        "kind",
        "state",
        "due",
        "currency",
        "gross",
        "open",
        "dunning",
    ),
    prepare=_parties,
)


@needs("figures", anywhere=True)
def invoices(request: HttpRequest) -> HttpResponse:
    """All invoices and credit notes."""
    return show(request, INVOICES, today())


@needs("figures", seen=True, anywhere=True)
def invoice(request: HttpRequest, number: int) -> HttpResponse:
    """One invoice with its lines and orders."""
    row = get_object_or_404(Bill, id=number)
    _parties([row])
    context = {
        "row": row,
        "state": bill_state(row),
        "lines": named(BillLine.objects.filter(bill=row.id).order_by("position")),
        "sales": Sale.objects.filter(side="erp", kind="order", record__in=row.sales),
        "credits": Bill.objects.filter(record__in=row.credits),
        "traces": current().store.orders.traces(row.sales),
        "link": system_page("erp", "account.invoice", row.record),
        "tabs": _TABS,
    }
    return render(request, "web/invoice.html", context)


# Links into the systems, kept filters, exports.


def system_page(side: str, resource: str, record: str | None) -> str:
    """Where the system itself shows that record; empty where it has no address for it."""
    return page_of(current().store.connections.all(), side, resource, record)


def page_of(systems: Sequence[Connection], side: str, resource: str, record: str | None) -> str:
    """The same, among these systems."""
    row = next((one for one in systems if one.side == side), None)
    if row is None or not record:
        return ""
    url = str(row.config.get("url", "")).rstrip("/")
    if row.type == "creme" and url:
        app, _dot, kind = resource.partition(".")
        return f"{url}/{app}/{_CREME.get(kind, kind)}/{record}"
    if row.type == "tryton" and url:
        host = url.partition("://")[2]
        return f"tryton://{host}/{row.config.get('database', '')}/model/{resource}/{record}"
    return ""


_CREME = {"salesorder": "sales_order", "creditnote": "credit_note"}
LISTINGS = {one.page: one for one in (CUSTOMERS, PRODUCTS, ORDERS, INVOICES)}


@require_POST
@needs("view", entity="partner")
def keep_filter(request: HttpRequest, page: str) -> HttpResponse:
    """Keep the present filters under a name, or let a kept one go."""
    if page not in LISTINGS:
        raise Http404
    query, name = request.POST.get("query", "")[:2000], request.POST.get("name", "").strip()[:120]
    gone = request.POST.get("remove", "")
    if gone.isdigit():
        SavedFilter.objects.filter(id=int(gone), page=page, user=who(request)).delete()
        note(request, _("The filter is removed."))
    elif name:
        SavedFilter.objects.update_or_create(
            page=page, user=who(request), name=name,
            defaults={"query": query, "shared": bool(request.POST.get("shared"))},
        )  # fmt: skip
        note(request, _("The filter is kept."))
    return redirect(f"{reverse(page)}?{query}" if query else reverse(page))


@needs("export", anywhere=True)
def export(request: HttpRequest, page: str) -> HttpResponse:
    """A list as a file, with the filters and the sorting of the page."""
    listing = LISTINGS.get(page)
    if listing is None:
        raise Http404
    if listing.money and not rights_of(request)("figures"):
        require(request, "figures", "*")
    if page == "customers":
        require(request, "view", "partner")
    form = "xlsx" if request.GET.get("format") == "xlsx" else "csv"
    found = listing.rows(request.GET.dict(), today()).only(*listing.reads)
    rows = list(found[: exports.MOST_ROWS])
    for start in range(0, len(rows), 400):
        listing.prepare(rows[start : start + 400])
    columns = listing.shown(request)
    headings = [str(column.label) for column in columns]
    if any(column.kind == "money" for column in columns):
        headings.append(_("Currency"))
    cells = (
        [_cell(column, row) for column in columns]
        + ([row.currency] if len(headings) > len(columns) else [])
        for row in rows
    )
    title = str(listing.title)
    body = (
        exports.as_xlsx(title, headings, cells)
        if form == "xlsx"
        else exports.as_csv(headings, cells)
    )
    current().store.audit_log.write(who(request), "export", page, rows=len(rows), form=form)
    answer = HttpResponse(body, content_type=exports.TYPES[form])
    answer.headers["Content-Disposition"] = f'attachment; filename="{page}-{today()}.{form}"'
    return answer


def _cell(column: Column, row: Any) -> Any:
    value = column.of(row)
    if isinstance(value, Customer):
        return value.name
    if column.kind in ("word", "badge"):
        return words.word(words.SEEN, str(value)) if value else ""
    if column.kind == "flag":
        return _("yes") if value else _("no")
    return value
