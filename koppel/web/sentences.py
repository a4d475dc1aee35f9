"""What the engine says, in the language of the person.

The engine and the store speak English: a plan's reasons are made once and kept. Each sentence that
it makes stands in `koppel.web.sentence_patterns` with its places in braces; a stored sentence that
fits a pattern is shown in the person's language with the same values, and any other (such as what a
coupled system itself answered) as it is. A place called `field...` is a field's name and is shown
as the field's label, one called `part...` is a piece of a sentence and translated in its turn
(`part_why`: several, joined by "and"), `amount...` is a number, `state` that of an order.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from babel.numbers import format_decimal
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from koppel.web.sentence_patterns import PATTERNS
from koppel.web.words import SEEN, VERDICTS, field_label, word


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((pattern, _expression(pattern)) for pattern in PATTERNS)


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        re.escape(part) if place % 2 == 0 else f"(?P<{part}>{_allowed(part)})"
        for place, part in enumerate(parts)
    )
    return re.compile(f"^{text}$", re.S)


def _allowed(place: str) -> str:
    if place in ("side", "giver", "owner", "to"):
        return "CRM|ERP"
    if place in ("many", "steps", "limit", "score", "share", "run"):
        return r"[\d.,]+ ?%?"
    if place.startswith("amount"):
        return r"-?\d+(?:\.\d+)?"
    if place == "verdict":
        return "|".join(VERDICTS)
    if place == "field":
        return r"[\w.() ]+"
    if place == "value":
        # Evidence stands in lists: what follows it is a reason of its own.
        return "[^,;]+"
    return ".+?"


def in_language(text: str) -> str:
    """A sentence of the engine in the language that is active, with its fields by their labels."""
    return _translated(text, get_language() or "en")


@lru_cache(maxsize=4096)
def _translated(text: str, language: str) -> str:
    whole = _whole(text)
    if whole is None and text.endswith("."):
        # Some are told as a sentence here and as a part of one there.
        part = _whole(text[:-1])
        whole = None if part is None else part + "."
    return _pieces(text) if whole is None else whole


def _whole(text: str) -> str | None:
    """A text that fits a pattern; None where none does."""
    for pattern, expression in _compiled():
        found = expression.match(text)
        if found is not None:
            values = {name: _value(name, said) for name, said in found.groupdict().items()}
            return _(pattern).format(**values)
    return None


def _pieces(text: str) -> str:
    """Several sentences, or a list of reasons, each by itself."""
    for mark in (". ", "; ", ", "):
        if mark in text:
            last = text.split(mark)
            told = [
                in_language(one + mark.strip() if mark == ". " and one is not last[-1] else one)
                for one in last
            ]
            return " ".join(told) if mark == ". " else mark.join(told)
    return text


def _value(name: str, said: str) -> str:
    if name == "field":
        return field_label(said)
    if name == "fields_named":
        return ", ".join(field_label(one) for one in said.split(", "))
    if name == "part_why":
        return _(" and ").join(in_language(one) for one in re.split("(?<!,) and ", said))
    if name.startswith("amount"):
        return format_decimal(Decimal(said), "#,##0.00####", locale=get_language() or "en")
    if name in ("state", "verdict"):
        return word(SEEN if name == "state" else VERDICTS, said)
    return in_language(said) if name.startswith("part") else said
