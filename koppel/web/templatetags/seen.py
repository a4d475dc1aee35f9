"""How the pages of customers and documents show words, changes and cells."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from koppel.web import words
from koppel.web.templatetags.show import NOTHING, percent

register = template.Library()

_COLOURS = {
    "paid": "success", "delivered": "success", "done": "success", "shipped": "success",
    "overdue": "danger", "cancelled": "secondary", "partial": "warning",
    "partly delivered": "warning", "partly shipped": "warning", "open": "info",
    "confirmed": "info", "invoiced": "info",
}  # fmt: skip


@register.filter
def seen(name: Any) -> str:
    """The word for a kind, state, segment or trend."""
    return words.word(words.SEEN, str(name)) if name else ""


@register.filter
def seen_badge(name: Any) -> SafeString | str:
    """A state as a badge; the word tells it, the colour only helps."""
    if not name or name == "none":
        return ""
    colour = _COLOURS.get(str(name), "secondary")
    return format_html('<span class="badge state-{}">{}</span>', colour, seen(name))


@register.filter
def about(customer: Any) -> str:
    """A customer's number and town, as far as they are known."""
    number = f"{_('Customer number')} {customer.number}" if customer.number else ""
    town = f"{customer.postal_code} {customer.town}".strip()
    if customer.country:
        town = f"{town} ({customer.country})" if town else customer.country
    return " · ".join(part for part in (number, town) if part)


@register.filter
def change(value: Any) -> str:
    """A figure in per cent."""
    return NOTHING if value is None else percent(value / 100)


@register.filter
def with_sort(query: str, sort: str) -> str:
    """The query with this sort; turned round where it is the present one."""
    asked = dict(parse_qsl(query))
    now = asked.get("sort", "")
    asked["sort"] = sort
    if now == sort:
        asked["sort"] = sort[1:] if sort.startswith("-") else f"-{sort}"
    return urlencode(asked)
