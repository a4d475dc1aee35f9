"""Koppel's own pages: how things stand, and one coupling with both sides."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from koppel.connectors.base import Record
from koppel.store.codec import decode
from koppel.web.service import current


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return JsonResponse({"ok": True})


@login_required
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


@login_required
def coupling(request: HttpRequest, coupling: str) -> HttpResponse:
    """One coupling: what each side holds, its conflicts, its journal."""
    store = current().store
    row = store.couplings.by_id([coupling]).get(coupling)
    if row is None:
        raise Http404
    crm = row.crm_base.fields if isinstance(row.crm_base, Record) else {}
    erp = row.erp_base.fields if isinstance(row.erp_base, Record) else {}
    entries = [
        {"entry": entry, "changes": decode(entry.changes) or []}
        for entry in store.journal.of_coupling(coupling, 30)
    ]
    context: dict[str, Any] = {
        "row": row,
        "in_step_at": store.couplings.in_step_at(coupling),
        "crm": sorted(crm.items()),
        "erp": sorted(erp.items()),
        "entries": entries,
        "open": store.inbox.open_fields([coupling]).get(coupling, {}),
    }
    return render(request, "web/coupling.html", context)


@login_required
def record(request: HttpRequest, entity: str, side: str, record: str) -> HttpResponse:
    """A native record: its coupling, or what is known of it without one."""
    if side not in ("crm", "erp"):
        raise Http404
    store = current().store
    found = store.couplings.by_record(entity, "crm" if side == "crm" else "erp", [record])
    if record in found:
        return redirect("coupling", coupling=found[record].id)
    known = store.replica.get(entity, "crm" if side == "crm" else "erp", [record]).get(record)
    if known is None:
        raise Http404
    fields = known.content.fields if isinstance(known.content, Record) else {}
    context = {"known": known, "fields": sorted(fields.items())}
    return render(request, "web/record.html", context)
