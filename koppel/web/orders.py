"""Orders for a coupled system: the button, the block of an order, a customer's figures.

Signed as hints are. What is told comes from the store, with its age, and does not wait for the ERP;
`?fresh=1` asks the ERP first. The button waits for the transfer, and goes on without the one who
pressed where it takes longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.processes.desk import OrderDesk
from koppel.processes.order_transfer import KIND, subject_of
from koppel.processes.orders import begin_transfer, reopen
from koppel.processes.settings import order_settings
from koppel.processes.views import figures_view, order_view, transfer_view
from koppel.store.order_models import Process
from koppel.web.hooks import Press, asked, trouble, verified
from koppel.web.rights import SIGNED, declare, needs
from koppel.web.service import Service, current

PRESS_SECONDS = 25.0
FRESH_SECONDS = 20.0
QUICK_SECONDS = 1.0

_desk: list[OrderDesk] = []


def use(desk: OrderDesk) -> None:
    """The desk of this process."""
    _desk[:] = [desk]


def desk() -> OrderDesk:
    """The desk of this process; `NeedsUser` where it has none."""
    if not _desk:
        raise NeedsUser("Koppel does not serve orders in this process", remedy="koppel serve")
    return _desk[0]


@declare(SIGNED)
@csrf_exempt
@require_POST
def transfer(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """Hand a document over; pressed again, it tells how the same order stands."""
    told = asked(request, connection, Press)
    if isinstance(told, HttpResponse):
        return told
    service = current()
    settings = order_settings(service.store)
    if connection != settings.crm:
        return trouble(404, "Orders are not handed over from this system.")
    user = f"{told.user or 'somebody'} in {connection}"
    try:
        row = begin_transfer(service.store, settings.crm, resource, record, user=user)
    except NeedsUser as error:
        return JsonResponse({"state": "refused", "message": str(error)})
    if row.state in ("running", "waiting"):
        try:
            desk().go_on(row.id, PRESS_SECONDS)
        except KoppelError as error:
            return JsonResponse({**transfer_view(service.store, row), "message": str(error)})
        row = service.store.processes.get(row.id)
    return JsonResponse(transfer_view(service.store, row))


class Again(Press):
    """Who tries again, and what is answered with yes."""

    accept: tuple[str, ...] = ()


@declare(SIGNED)
@csrf_exempt
@require_POST
def retry(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """Try the transfer of a document again."""

    def again(row: Process, told: Again, user: str) -> None:
        reopen(current().store, row.id, user=user, accept=told.accept)
        desk().ask(lambda orders: orders.go_on(row.id).id, PRESS_SECONDS)

    return _on_transfer(request, connection, resource, record, again)


@declare(SIGNED)
@csrf_exempt
@require_POST
def cancel(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """Give the transfer of a document up; an order that is in the ERP is cancelled there."""

    def give_up(row: Process, told: Again, user: str) -> None:
        done = desk().ask(lambda orders: orders.cancel(row.id, user=user).id, PRESS_SECONDS)
        if done is None:
            raise TryLater("the ERP is slow to answer", remedy="Look again in a moment")

    return _on_transfer(request, connection, resource, record, give_up)


def _on_transfer(
    request: HttpRequest,
    connection: str,
    resource: str,
    record: str,
    act: Callable[[Process, Again, str], None],
) -> HttpResponse:
    told = asked(request, connection, Again)
    if isinstance(told, HttpResponse):
        return told
    store = current().store
    row = store.processes.latest(KIND, subject_of(resource, record))
    if connection != order_settings(store).crm or row is None:
        return trouble(404, "This document was not handed over.")
    try:
        act(row, told, f"{told.user or 'somebody'} in {connection}")
    except KoppelError as error:
        view = transfer_view(store, store.processes.get(row.id))
        return JsonResponse({**view, "ok": False, "message": f"{error}."}, status=409)
    return JsonResponse(transfer_view(store, store.processes.get(row.id)))


def may_do(row: Process) -> dict[str, Any]:
    """What a person can do with a transfer now, and what it asks to be answered with yes."""
    live = row.state in ("running", "waiting", "held")
    _before, _asked, after = row.remedy.partition("--accept ")
    return {
        "retry": row.state in ("waiting", "held"),
        "cancel": live or row.state == "done",
        "question": after.split()[0].strip(".,;") if after.split() else "",
    }


@declare(SIGNED)
@csrf_exempt
@require_GET
def order(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """The block of a quote or sales order."""
    refusal = verified(request, connection, once=False)
    if refusal is not None:
        return refusal
    service = current()
    link = service.store.orders.of_crm(resource, record)
    messages: list[str] = []
    if request.GET.get("fresh") and link is not None and link.erp_id is not None:
        id = link.erp_id
        messages = _refreshed(lambda: desk().ask(lambda o: o.watch.refresh([id]), FRESH_SECONDS))
    view = order_view(service.store, resource, record)
    view["messages"] = [*messages, *view["messages"]]
    return JsonResponse(view)


@declare(SIGNED)
@csrf_exempt
@require_GET
def figures(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """The block of a customer: turnover, open items, backlog, credit, orders and invoices."""
    refusal = verified(request, connection, once=False)
    if refusal is not None:
        return refusal
    service = current()
    party = _party(service, connection, resource, record)
    if party is None:
        return trouble(404, "This record is not coupled with a customer of the ERP.")
    fresh = bool(request.GET.get("fresh"))
    messages: list[str] = []
    if fresh:
        messages = _refreshed(lambda: desk().ask(lambda o: o.watch.poll_erp(), FRESH_SECONDS))
    told = desk().figures(party, fresh=fresh, timeout=FRESH_SECONDS if fresh else QUICK_SECONDS)
    links = service.store.orders.of_party(party)
    return JsonResponse({**figures_view(service.store, party, told, links), "messages": messages})


def _party(service: Service, connection: str, resource: str, record: str) -> str | None:
    found = service.entity_of(connection, resource)
    if found is None or found[0] != "partner":
        return None
    row = service.store.couplings.by_record("partner", found[1], [record]).get(record)
    return row.erp_id if row is not None and row.state == "active" else None


def _refreshed(ask: Any) -> list[str]:
    """A sentence where the ERP could not be asked; what is known is told all the same."""
    try:
        if ask() is None:
            return ["The ERP is slow to answer; this is what was known before."]
    except KoppelError as error:
        return [str(error)]
    return []


@needs("figures", seen=True)
def process(request: HttpRequest, process: str) -> HttpResponse:
    """One transfer: its step, since when, why it waits, and its log."""
    store = current().store
    row = Process.objects.filter(id=process).first()
    if row is None:
        raise Http404
    resource, _, record = row.subject.rpartition("/")
    context = {
        "row": row,
        "entries": store.processes.entries(row),
        "view": order_view(store, resource, record),
        "can": may_do(row),
    }
    return render(request, "web/process.html", context)
