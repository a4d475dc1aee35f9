"""Short notes to the person: shown once on the next page."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from koppel.errors import KoppelError


def note(request: HttpRequest, text: str) -> None:
    """Something was done."""
    messages.success(request, text)


def trouble(request: HttpRequest, error: KoppelError | str) -> None:
    """Something could not be done; the sentence says what helps."""
    from koppel.web.sentences import in_language

    messages.error(request, in_language(str(error)))
