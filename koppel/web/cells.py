"""The cells of a list as HTML: made in one go, for a page of a list is hundreds of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from koppel.store.seen_models import Customer
from koppel.web.templatetags.seen import seen, seen_badge
from koppel.web.templatetags.show import NOTHING, day, money, number, price, unit

if TYPE_CHECKING:
    from koppel.web.lists import Column


SHORT = 14
"""Characters of a text that stays in one line."""


def line(columns: Sequence[Column], row: Any, address: str) -> SafeString:
    """A row of the table; `address` is where its link leads. Every value is escaped here."""
    cells = [_KINDS.get(column.kind, _text)(column.of(row), row, address) for column in columns]
    return mark_safe(f"<tr>{''.join(cells)}</tr>")


def _text(value: Any, row: Any, address: str) -> str:
    if isinstance(value, Customer):
        link = reverse("customer", kwargs={"number": value.id})
        return f'<td><a href="{escape(link)}">{escape(value.name)}</a></td>'
    return _cell("td", str(value) if value is not None else "")


def _cell(tag: str, text: str, address: str = "") -> str:
    """A cell of text; what is short (a number, a reference) is not broken at its dash or space."""
    kept = ' class="nowrap"' if len(text) <= SHORT else ""
    if address:
        return f'<{tag}><a href="{escape(address)}"{kept}>{escape(text)}</a></{tag.split()[0]}>'
    return f"<{tag}{kept}>{escape(text)}</{tag}>"


def _link(value: Any, row: Any, address: str) -> str:
    return _cell('th scope="row"', str(value or NOTHING), address)


def _money(value: Any, row: Any, address: str) -> str:
    text = money(value, getattr(row, "currency", "")) if value else NOTHING
    return f'<td class="number">{escape(text)}</td>'


_KINDS: Mapping[str, Callable[[Any, Any, str], str]] = {
    "link": _link,
    "money": _money,
    "number": lambda value, row, address: f'<td class="number">{escape(number(value))}</td>',
    "price": lambda value, row, address: f'<td class="number">{escape(price(value))}</td>',
    "day": lambda value, row, address: f'<td class="nowrap">{escape(day(value))}</td>',
    "word": lambda value, row, address: f"<td>{escape(seen(value))}</td>",
    "badge": lambda value, row, address: f"<td>{seen_badge(value)}</td>",
    "flag": lambda value, row, address: f"<td>{escape(seen('yes' if value else 'no'))}</td>",
    "unit": lambda value, row, address: f"<td>{escape(unit(value))}</td>",
    "level": lambda value, row, address: f"<td>{escape(str(value or ''))}</td>",
}
