"""How values are shown: numbers, money, times and canonical values, by language and time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent
from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from koppel.model import Address, Ref
from koppel.web import words
from koppel.web.audited import ACTIONS, DETAILS
from koppel.web.sentences import in_language

register = template.Library()

NOTHING = "–"
KEPT = 20_000
"""Written numbers and days that are kept: lists show the same ones again and again."""


def locale() -> str:
    """Babel's name for the active language."""
    return (get_language() or "en").replace("-", "_")


def _moment(value: datetime | str) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return timezone.localtime(aware)


@register.filter
def number(value: Any, places: int | None = None) -> str:
    """A number with the separators of the language."""
    if value is None or value == "":
        return NOTHING
    pattern = None if places is None else "#,##0." + "0" * places if places else "#,##0"
    return _decimal(str(value), pattern, locale())


@register.filter
def price(value: Any) -> str:
    """A price without its currency: two places at least, and as many more as it has."""
    if value is None or value == "":
        return NOTHING
    return _decimal(str(value), "#,##0.00####", locale())


@lru_cache(KEPT)
def _decimal(value: str, pattern: str | None, place: str) -> str:
    return format_decimal(Decimal(value), format=pattern, locale=place)


@lru_cache(KEPT)
def _amount(value: str, code: str, place: str) -> str:
    return format_currency(Decimal(value), code, locale=place)


@lru_cache(KEPT)
def _date(value: date, place: str) -> str:
    return format_date(value, format="medium", locale=place)


@register.filter
def percent(value: Any, places: int = 1) -> str:
    """A share of 1 as per cent."""
    if value is None:
        return NOTHING
    pattern = "#,##0" + ("." + "0" * places if places else "") + "%"
    if locale() == "de":
        pattern = pattern.replace("%", "\N{NO-BREAK SPACE}%")
    return format_percent(value, format=pattern, locale=locale())


@register.filter
def money(amount: Any, currency: str = "") -> str:
    """An amount in a currency (default: the amount's own)."""
    if amount is None or amount == "":
        return NOTHING
    code = currency or getattr(amount, "currency", "")
    exact = Decimal(getattr(amount, "amount", amount))
    if not code:
        return _decimal(str(exact), "#,##0.00", locale())
    return _amount(str(exact), code, locale())


@register.filter
def day(value: Any) -> str:
    """A date."""
    if not value:
        return NOTHING
    found = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    return _date(found, locale())


def month_name(value: date) -> str:
    """A month with its year."""
    return format_skeleton("yMMM", value, locale=locale())


def moment_text(value: datetime | str) -> str:
    """A point in time in the time zone of the pages, to the second."""
    return format_datetime(_moment(value), format="medium", locale=locale())


@register.filter
def moment(value: Any) -> str | SafeString:
    """The same as an element; its title names the zone."""
    if not value:
        return NOTHING
    at = _moment(value)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(), at.tzname() or "", moment_text(value),
    )  # fmt: skip


@register.filter
def ago(value: Any) -> str | SafeString:
    """How long ago; the exact time stands in the title."""
    if not value:
        return _("never")
    at = _moment(value)
    text = format_timedelta(at - timezone.now(), add_direction=True, locale=locale())
    title = moment_text(value)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, text)


@register.filter
def seconds(value: Any) -> str:
    """A duration that is given in seconds."""
    return NOTHING if value is None else format_timedelta(int(value), locale=locale())


@register.filter
def shown(value: Any) -> str:
    """A canonical or native value as people read it."""
    if value is None or value == "" or value == () or value == []:
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return _plain(value)


@register.filter
def named(value: Any, names: Mapping[str, str]) -> str:
    """As `shown`; a reference by the label of what it refers to, where `names` has it."""
    found = names.get(value.coupling or "") if isinstance(value, Ref) and names else None
    return found or shown(value)


def _plain(value: Any) -> str:
    if isinstance(value, Ref):
        name = words.word(words.ENTITIES, value.entity)
        return f"{name} {(value.coupling or value.native)!s:.8}"
    if isinstance(value, Address):
        return str(value) or NOTHING
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, date):
        return day(value)
    if isinstance(value, int | float | Decimal):
        return format_decimal(value, locale=locale())
    if isinstance(value, Mapping):
        parts = (f"{key}: {shown(item)}" for key, item in value.items() if item not in (None, ""))
        return ", ".join(parts)
    if isinstance(value, list | tuple | set | frozenset):
        # Of texts in lists only the roles of a partner are words of ours.
        return "; ".join(words.word(words.PARTNER_ROLES, shown(item)) for item in value)
    return str(value)


@register.filter
def sentence(value: Any) -> str:
    """A sentence of the engine in the language of the person."""
    return in_language(str(value or ""))


@register.filter
def field(name: str) -> str:
    """A canonical field's name."""
    return words.field_label(str(name))


@register.filter
def unit(code: Any) -> str:
    """A unit of measure."""
    return words.word(words.UNITS, str(code or ""))


@register.filter
def entity(name: str) -> str:
    """An entity's name."""
    return words.word(words.ENTITIES, str(name))


@register.filter
def side(name: str) -> str:
    """CRM or ERP."""
    return words.word(words.SIDES, str(name))


@register.filter
def erasing(name: str) -> str:
    """A kind of row, a state or a part of an erasure."""
    return words.word(words.ERASING, str(name))


@register.filter
def owner(name: str) -> str:
    """Who owns a field."""
    return words.word(words.OWNERS, str(name))


@register.filter
def step(name: str) -> str:
    """A step of quote to cash."""
    return words.word(words.STEPS, str(name))


@register.filter
def place(name: str) -> str:
    """Where such a step runs."""
    return words.word(words.PLACES, str(name))


@register.filter
def direction(name: str) -> str:
    """Which way a field travels."""
    return words.word(words.DIRECTIONS, str(name))


@register.filter
def policy(name: str) -> str:
    """What happens when both sides changed a field."""
    return words.word(words.POLICIES, str(name))


@register.filter
def deletion(name: str) -> str:
    """What happens to the record that is left."""
    return words.word(words.DELETIONS, str(name))


@register.filter
def effect(name: str) -> str:
    """What a changed rule or mapping would do to a record."""
    return words.word(words.EFFECTS, str(name))


@register.filter
def operator(name: str) -> str:
    """The test of a condition."""
    return words.word(words.OPERATORS, str(name))


@register.filter
def condition(test: Any) -> str:
    """A condition of a rule: the field, the test, and the value where the test has one."""
    told = f"{words.field_label(test.field)} {operator(test.op)}"
    if test.op == "present" and test.value in (None, True):
        return told
    value = test.value if isinstance(test.value, list | tuple) else [test.value]
    known = {**words.PARTNER_ROLES, **words.PRODUCT_STATUSES}
    return f"{told} {'; '.join(words.word(known, shown(one)) for one in value)}"


@register.filter
def state(name: str) -> str:
    """The state of a run, step, coupling or entry, or of an order and its lines."""
    known = words.STATES if str(name) in words.STATES else words.SEEN
    return words.word(known, str(name))


@register.filter
def kind(name: str) -> str:
    """The kind of a run or step."""
    return words.word(words.KINDS, str(name))


@register.filter
def trigger(name: str) -> str:
    """What began a run."""
    return words.word(words.TRIGGERS, str(name))


@register.filter
def event(name: str) -> str:
    """What a webhook tells of."""
    return words.word(words.EVENTS, str(name))


@register.filter
def task(name: str) -> str:
    """What a scheduled job does."""
    return words.word(words.TASKS, str(name))


@register.filter
def role(name: str) -> str:
    """A role."""
    return words.word(words.ROLES, str(name))


@register.filter
def action(name: str) -> str:
    """What a role may."""
    return words.word(words.ACTIONS, str(name))


_COLOURS = {
    "done": "success", "active": "success", "ready": "info", "held": "warning",
    "waiting": "warning", "open": "warning", "refused": "danger", "failed": "danger",
    "interrupted": "danger", "unknown": "danger", "later": "warning",
    "sent": "success", "given up": "danger",
}  # fmt: skip


@register.filter
def audited(name: str) -> str:
    """What somebody did, in the audit log."""
    return words.word(ACTIONS, str(name))


@register.filter
def detail(told: Mapping[str, Any]) -> str:
    """What a line of the audit log says besides."""
    return "; ".join(
        f"{words.word(DETAILS, name)}: {moment_text(value) if name in _MOMENTS else shown(value)}"
        for name, value in told.items()
    )


_MOMENTS = ("since", "until")


@register.filter
def badge(name: str) -> SafeString:
    """A state as a badge; the word tells it, the colour only helps."""
    colour = _COLOURS.get(str(name), "secondary")
    return format_html('<span class="badge state-{}">{}</span>', colour, state(name))


@register.simple_tag(takes_context=True)
def query(context: Any, **changes: Any) -> str:
    """The present query string with some parts changed; None takes a part away."""
    asked = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            asked.pop(name, None)
        else:
            asked[name] = value
    text = asked.urlencode()
    return f"?{text}" if text else "?"
