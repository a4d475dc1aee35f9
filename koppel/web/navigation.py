"""The main navigation: where each part of Koppel is, and who sees it.

An entry whose address does not exist is left out, so a part can be added by adding its address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from koppel.store.people import Action
from koppel.web.rights import rights_of


@dataclass(frozen=True)
class Entry:
    """One entry: its label, the name of its address, the right it needs, the paths it covers."""

    label: Any
    address: str
    action: Action
    paths: tuple[str, ...]


ENTRIES: tuple[Entry, ...] = (
    Entry(_("Home"), "home", "view", ()),
    Entry(_("Customers"), "customers", "view", ("/customers",)),
    Entry(_("Orders"), "orders", "figures", ("/orders", "/invoices", "/products", "/processes")),
    Entry(_("Insight"), "insight", "figures", ("/insight", "/targets")),
    Entry(_("Inbox"), "inbox", "view", ("/inbox",)),
    Entry(_("Runs"), "runs", "view", ("/runs", "/journal", "/couplings", "/records")),
    Entry(_("Set-up"), "setup", "view", ("/setup", "/persons")),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """What every page's frame shows: navigation, rights, languages."""
    user = getattr(request, "user", None)
    context: dict[str, Any] = {"languages": settings.LANGUAGES}
    if user is None or not user.is_authenticated:
        return context
    return {
        **context,
        "may": SimpleLazyObject(lambda: rights_of(request)),
        "navigation": SimpleLazyObject(lambda: _navigation(request)),
    }


def _navigation(request: HttpRequest) -> list[dict[str, Any]]:
    found = []
    for entry in ENTRIES:
        try:
            address = reverse(entry.address)
        except NoReverseMatch:
            continue
        if rights_of(request)(entry.action):
            here = request.path == address or any(map(request.path.startswith, entry.paths))
            found.append({"label": entry.label, "address": address, "here": here})
    return found
