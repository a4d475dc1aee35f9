"""One kind of list for customers, products, orders and invoices: filters, sorting, pages, export.

A list is a `Listing`; the template `web/list.html` shows any of them, and `export` writes any of
them as CSV or XLSX with the same columns and filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from koppel.store.seen_models import SavedFilter
from koppel.web import cells
from koppel.web.rights import looked, rights_of, who

PAGE = 50
MOST_PAGES = 400
Asked = Mapping[str, str]


@dataclass(frozen=True)
class Column:
    """One column. `kind`: text, money, number, day, word (of `words.SEEN`), state or party.

    `value` gives what a row shows; `sort` is the name of a sort; `money` columns are shown to those
    alone who may see money.
    """

    name: str
    label: Any
    kind: str = "text"
    value: Callable[[Any], Any] | None = None
    sort: str = ""
    money: bool = False

    def of(self, row: Any) -> Any:
        """The value of a row."""
        return self.value(row) if self.value is not None else getattr(row, self.name)


@dataclass(frozen=True)
class Filter:
    """One filter: a choice of (value, label), or a number where there are none."""

    name: str
    label: Any
    choices: Callable[[], Iterable[tuple[str, Any]]] | None = None


@dataclass(frozen=True)
class Listing:
    """One list. `rows` gives what the query asks for; `row` is the address that opens one.

    `reads`: what of a row the columns read; the rest stays in the database.
    """

    page: str
    title: Any
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...]
    rows: Callable[[Asked, date], QuerySet[Any]]
    row: Callable[[Any], str]
    reads: tuple[str, ...]
    hint: Any = ""
    empty: Any = ""
    tabs: tuple[tuple[str, Any], ...] = ()
    prepare: Callable[[Sequence[Any]], None] = field(default=lambda rows: None)
    money: bool = True

    def shown(self, request: HttpRequest) -> list[Column]:
        """The columns that this person may see."""
        may = rights_of(request)("figures")
        return [column for column in self.columns if may or not column.money]


def show(request: HttpRequest, listing: Listing, today: date) -> HttpResponse:
    """The page, or only its rows where htmx asks for them."""
    asked = request.GET.dict()
    page = asked.get("page", "1")
    number = min(int(page), MOST_PAGES) if page.isascii() and page.isdigit() and page != "0" else 1
    start = (number - 1) * PAGE
    rows = list(listing.rows(asked, today).only(*listing.reads)[start : start + PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    listing.prepare(rows)
    looked(request, len(rows))
    columns = listing.shown(request)
    context: dict[str, Any] = {
        "listing": listing,
        "columns": columns,
        "rows": [cells.line(columns, row, listing.row(row)) for row in rows],
        "asked": asked,
        "page": number,
        "more": more,
        "first": start + 1,
        "last": start + len(rows),
        "exports": reverse("export", kwargs={"page": listing.page}),
        "plain": _plain(asked),
    }
    if request.headers.get("HX-Request"):
        return render(request, "web/parts/list_rows.html", context)
    context |= {
        "filters": [
            {
                "name": one.name,
                "label": one.label,
                "value": asked.get(one.name, ""),
                "choices": list(one.choices()) if one.choices is not None else None,
            }
            for one in listing.filters
        ],
        "saved": _saved(request, listing.page),
    }
    return render(request, "web/list.html", context)


def _plain(asked: Asked) -> str:
    """The query without its page."""
    return urlencode({key: value for key, value in asked.items() if value and key != "page"})


def _saved(request: HttpRequest, page: str) -> list[SavedFilter]:
    own = SavedFilter.objects.filter(page=page, user=who(request))
    shared = SavedFilter.objects.filter(page=page, shared=True).exclude(user=who(request))
    return [*own.order_by("name"), *shared.order_by("name")]
