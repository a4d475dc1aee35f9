"""What the engine says, in the language of the person.

The engine and the store speak English: a plan's reasons are made once and kept. Each sentence that
it makes stands here as a pattern with its places in braces; a stored sentence that fits a pattern
is shown in the person's language with the same values, and any other as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N

PATTERNS: tuple[str, ...] = (N("Both sides are in step."),)


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((pattern, _expression(pattern)) for pattern in PATTERNS)


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)"
        for place, part in enumerate(parts)
    )
    return re.compile(f"^{text}$", re.S)


def in_language(text: str) -> str:
    """A sentence of the engine in the language that is active."""
    language = get_language() or "en"
    return text if language.startswith("en") else _translated(text, language)


@lru_cache(maxsize=4096)
def _translated(text: str, language: str) -> str:
    for pattern, expression in _compiled():
        found = expression.match(text)
        if found is not None:
            return _(pattern).format(**found.groupdict())
    return text
