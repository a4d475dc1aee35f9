"""Insight for management: the figures of the house, as they were last reckoned, with their age."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.insight.payment import BUCKETS
from koppel.store.figures import DIMENSIONS, listed
from koppel.store.seen_models import Article, Customer, Overview
from koppel.web import charts, words
from koppel.web.customers import month_chart
from koppel.web.rights import looked, needs
from koppel.web.service import current
from koppel.web.templatetags.show import money
from koppel.web.trade import today

_TEXTS = frozenset(
    {"name", "item", "month", "abc", "segment", "trend", "currency", "today", "read"}
)


@needs("figures", anywhere=True)
def insight(request: HttpRequest) -> HttpResponse:
    """Turnover, intake, backlog, quotes, payment, customers; by region, class and salesperson."""
    known = current().store.figures.read(request.GET.get("currency", "")[:3])
    if known is None:
        return render(request, "web/insight.html", {"house": None})
    house, row = known
    currency = row.currency
    by = request.GET.get("by", "region")
    by = by if by in DIMENSIONS else "region"
    context: dict[str, Any] = {
        "house": _decimals(house),
        "at": row.at,
        "currency": currency,
        "currencies": list(
            Overview.objects.order_by("currency").values_list("currency", flat=True)
        ),
        "by": by,
        "dimensions": [(name, words.word(words.SEEN, name)) for name in DIMENSIONS],
        "split": _decimals(house["split"][by])[:20],
        "turnover": _months(house, "turnover", _("Turnover by month"), currency),
        "intake": _months(house, "intake", _("Order intake by month"), currency),
        "ageing": _ageing(house, currency),
        **_listed(house, currency),
    }
    items = context["house"]["items"]
    named = Article.objects.filter(code__in=[one["item"] for one in items])
    articles = {row.code: row for row in named}
    for one in items:
        one["article"] = articles.get(one["item"])
    looked(request, sum(len(context[name]) for name in ("growing", "shrinking", "quiet")))
    return render(request, "web/insight.html", context)


def _listed(house: Mapping[str, Any], currency: str) -> dict[str, list[Customer]]:
    """The customers that were named when the house was reckoned, as they are now."""
    named = house.get("listed")
    if named is None:
        # Reckoned by an earlier version.
        return {name: list(rows) for name, rows in listed(currency, today()).items()}
    found = Customer.objects.in_bulk({id for ids in named.values() for id in ids})
    return {name: [found[id] for id in ids if id in found] for name, ids in named.items()}


def _months(house: Mapping[str, Any], name: str, label: str, currency: str) -> charts.Chart:
    figures = {date.fromisoformat(one["month"]): Decimal(one[name]) for one in house["months"]}
    return month_chart(label, figures, currency, today())


def _ageing(house: Mapping[str, Any], currency: str) -> charts.Chart:
    rows = []
    for name in BUCKETS:
        value = Decimal(house["ageing"].get(name, "0"))
        cells = charts.cells([value], lambda value: money(value, currency))
        rows.append(charts.Row(words.word(words.SEEN, name), cells))
    label = _("Open items by age in days")
    return charts.Chart(label, _("Age"), (_("open"),), tuple(rows), currency)


def _decimals(value: Any) -> Any:
    """Amounts as numbers again: they are kept as texts, exactly."""
    if isinstance(value, Mapping):
        return {key: item if key in _TEXTS else _decimals(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decimals(item) for item in value]
    if isinstance(value, str) and value.lstrip("-").replace(".", "", 1).isdigit():
        return Decimal(value)
    return value
