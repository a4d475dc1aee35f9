"""Set-up: who is told of events (webhooks), and in whose frames the card may stand."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from koppel.engine import webhooks
from koppel.errors import KoppelError
from koppel.processes import cards
from koppel.web.notes import note, trouble
from koppel.web.rights import needs, who
from koppel.web.sentences import in_language
from koppel.web.service import current

SHOWN = 100


def _page(request: HttpRequest, **more: Any) -> HttpResponse:
    store = current().store
    counts = store.webhooks.counts()
    settings = cards.card_settings(store)
    context = {
        "hooks": [{"row": row, "counts": counts.get(row.id, {})} for row in store.webhooks.all()],
        "events": webhooks.EVENTS,
        "minutes": settings.minutes,
        "frames": "\n".join(settings.frames),
        **more,
    }
    return render(request, "web/setup/interfaces.html", context)


@require_GET
@needs("configure")
def interfaces(request: HttpRequest) -> HttpResponse:
    """All webhooks, and the settings of the card."""
    return _page(request)


@require_POST
@needs("configure")
def add_webhook(request: HttpRequest) -> HttpResponse:
    """A new webhook; its secret is shown this once."""
    address, events = request.POST.get("address", ""), request.POST.getlist("event")
    try:
        row, secret = webhooks.subscribe(
            current().store, address, events, user=who(request),
            secret=request.POST.get("secret", "").strip(),
        )  # fmt: skip
    except KoppelError as error:
        trouble(request, error)
        return _page(request, typed={"address": address, "events": events})
    return _page(request, made=row, secret=secret)


@require_GET
@needs("configure")
def webhook(request: HttpRequest, number: int) -> HttpResponse:
    """One webhook with what was sent to it."""
    store = current().store
    try:
        row = store.webhooks.get(number)
    except KoppelError as error:
        trouble(request, error)
        return redirect("interfaces")
    context = {"row": row, "messages_sent": store.webhooks.deliveries(number, SHOWN)}
    return render(request, "web/setup/webhook.html", context)


@require_POST
@needs("configure")
def change_webhook(request: HttpRequest, number: int) -> HttpResponse:
    """Test it, try again, stop or start it, remove it."""
    store, does = current().store, request.POST.get("does", "")
    try:
        row = store.webhooks.get(number)
        if does == "remove":
            webhooks.unsubscribe(store, number, user=who(request))
            note(request, _("Removed."))
            return redirect("interfaces")
        if does == "test":
            _test(request, row)
        elif does == "again":
            store.webhooks.stop(row, "")
            many = store.webhooks.again(row)
            note(request, _("%(many)d messages are being tried again.") % {"many": many})
        elif does == "stop":
            store.webhooks.stop(row, f"stopped by {who(request)}")
        store.audit_log.write(who(request), f"webhook {does}", str(number))
    except KoppelError as error:
        trouble(request, error)
    return redirect("webhook", number=number)


def _test(request: HttpRequest, row: Any) -> None:
    status, why = webhooks.Sender(current().store).test(row)
    if why:
        trouble(request, _("It did not arrive: %(why)s") % {"why": in_language(why)})
    else:
        note(request, _("It arrived: the answer was %(status)d.") % {"status": status or 0})


@require_POST
@needs("configure")
def change_card(request: HttpRequest) -> HttpResponse:
    """In whose frames the card may stand, how long links are good; or end all links."""
    store = current().store
    now = cards.card_settings(store)
    minutes = request.POST.get("minutes", "").strip()
    try:
        if request.POST.get("does") == "revoke":
            cards.revoke(store, user=who(request))
            note(request, _("All links that were made before are over."))
        else:
            found = cards.CardSettings(
                minutes=int(minutes) if minutes.isdecimal() and len(minutes) < 8 else 0,
                frames=tuple(request.POST.get("frames", "").split()),
                generation=now.generation,
            )
            cards.save_settings(store, found, user=who(request))
            note(request, _("Saved."))
    except KoppelError as error:
        trouble(request, error)
    return redirect("interfaces")
