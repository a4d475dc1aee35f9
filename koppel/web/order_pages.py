"""Koppel's pages of one order: where it stands, and its invoices as the ERP prints them.

What a person decides here (try again, give up) is done by the desk, as everything about orders.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.processes.orders import reopen
from koppel.processes.views import link_view
from koppel.store.order_models import OrderLink, Process
from koppel.web.notes import note, trouble
from koppel.web.orders import PRESS_SECONDS, desk
from koppel.web.rights import needs, who
from koppel.web.service import current


@needs("figures", seen=True)
@require_GET
def order(request: HttpRequest, link: str) -> HttpResponse:
    """One order of the ERP, whether it came from the CRM or was entered there."""
    found = _link(link)
    context = {"link": found, "view": link_view(current().store, found)}
    return render(request, "web/order.html", context)


@needs("figures", seen=True)
@require_GET
def invoice(request: HttpRequest, link: str, invoice: str) -> HttpResponse:
    """An invoice or credit note by the ERP's own report, in the format that the report makes."""
    found = _link(link)
    try:
        printed = desk().ask(lambda orders: orders.printed(found, invoice), PRESS_SECONDS)
        if printed is None:
            raise TryLater("The ERP is slow to print", remedy="Try again in a moment")
    except NeedsUser as error:
        raise Http404(str(error)) from error
    except KoppelError as error:
        trouble(request, error)
        return redirect("order_page", link=found.id)
    response = HttpResponse(printed.content, content_type=printed.media_type)
    # Never shown in place: what a report of another system holds is not Koppel's page.
    name = PurePosixPath(printed.name.replace("\\", "/")).name.replace('"', "")
    response["Content-Disposition"] = _attachment(name)
    return response


@require_POST
@needs("decide")
def retry(request: HttpRequest, process: str) -> HttpResponse:
    """Try a transfer again; `accept` answers what it asks with yes."""
    row = _process(process)
    accept = [one for one in request.POST.getlist("accept") if one]
    try:
        reopen(current().store, row.id, user=who(request), accept=accept)
        desk().ask(lambda orders: orders.go_on(row.id).id, PRESS_SECONDS)
        note(request, _("Tried again."))
    except KoppelError as error:
        trouble(request, error)
    return redirect("process", process=row.id)


@require_POST
@needs("decide")
def cancel(request: HttpRequest, process: str) -> HttpResponse:
    """Give a transfer up; an order that is in the ERP is cancelled there."""
    row, user = _process(process), who(request)
    try:
        done = desk().ask(lambda orders: orders.cancel(row.id, user=user).id, PRESS_SECONDS)
        if done is None:
            raise TryLater("The ERP is slow to answer", remedy="Look again in a moment")
        note(request, _("Cancelled."))
    except KoppelError as error:
        trouble(request, error)
    return redirect("process", process=row.id)


def _link(id: str) -> OrderLink:
    found = OrderLink.objects.filter(id=id).first()
    if found is None:
        raise Http404
    return found


def _process(id: str) -> Process:
    found = Process.objects.filter(id=id).first()
    if found is None:
        raise Http404
    return found


def _attachment(name: str) -> str:
    return str(content_disposition_header(True, name or "invoice"))
