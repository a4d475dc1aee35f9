"""Koppel's own pages: how things stand."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from koppel.web.rights import OPEN, declare, needs
from koppel.web.service import current


@declare(OPEN)
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return JsonResponse({"ok": True})


@needs("view")
def home(request: HttpRequest) -> HttpResponse:
    """Are both systems up, is everything in step, what waits, what ran."""
    store = current().store
    watch = current().watch
    entities = [
        {
            "name": name,
            "active": store.couplings.count(name, "active"),
            "other": store.couplings.count(name) - store.couplings.count(name, "active"),
        }
        for name in store.documents.names("rule")
    ]
    context = {
        "entities": entities,
        "connections": store.connections.all(),
        "waits": {name: many for name, many in store.inbox.totals().items() if many},
        "runs": store.runs.recent(12),
        "trouble": watch.last_error,
        "last_poll": watch.last_poll,
    }
    return render(request, "web/home.html", context)
