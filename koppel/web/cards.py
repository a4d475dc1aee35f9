"""The card: one record's state and key figures, by a signed link, without a sign-in.

Any CRM or ERP can open it or show it in a frame; in whose pages is a setting. The link alone says
what is shown, and it leads nowhere else: whoever follows a link to Koppel's pages signs in there.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from koppel.processes.cards import (
    ORDER,
    BadLink,
    CardSettings,
    Claim,
    card_settings,
    read_link,
)
from koppel.store.order_models import OrderLink
from koppel.store.seen_models import Bill, Sale, SaleLine
from koppel.web.items import named
from koppel.web.middleware import POLICY
from koppel.web.records import rule_of
from koppel.web.rights import SIGNED, declare
from koppel.web.service import current
from koppel.web.trade import today


@declare(SIGNED)
@require_GET
def card_page(request: HttpRequest, token: str) -> HttpResponse:
    """The card that the link's claim names; 401 where the link is no good."""
    service = current()
    settings = card_settings(service.store)
    try:
        claim = read_link(service.store, token, service.clock())
    except BadLink:
        return _framed(render(request, "web/card_over.html", status=401), settings)
    subject = f"{claim.entity} {claim.side} {claim.record}"
    service.store.audit_log.write(claim.user, "see card", subject)
    if claim.entity == ORDER:
        return _framed(render(request, "web/card_order.html", _order(claim)), settings)
    return _framed(render(request, "web/card.html", _card(claim)), settings)


def _order(claim: Claim) -> dict[str, Any]:
    """An order or quote: how it stands, line by line, and what became of it in the ERP."""
    store = current().store
    shown = Sale.objects.filter(side=claim.side, record=claim.record)
    row = shown.exclude(kind="opportunity").first() or shown.first()
    link = OrderLink.objects.filter(**{f"{claim.side}_id": claim.record}).first()
    if row is None:
        return {"claim": claim, "label": link.number or claim.record if link else claim.record}
    party = store.seen.by_party(row.side, [row.party]).get(row.party)
    there = None
    if claim.side == "crm" and link is not None and link.erp_id:
        there = Sale.objects.filter(side="erp", kind="order", record=link.erp_id).first()
    erp = row if row.side == "erp" else there
    return {
        "claim": claim,
        "label": row.number or row.title or row.record,
        "row": row,
        "there": there,
        "customer": party,
        "lines": named(SaleLine.objects.filter(sale=(erp or row).id).order_by("position")),
        "bills": _bills(erp) if erp is not None and claim.figures else (),
        "note": link.note if link is not None else "",
    }


def _bills(row: Sale) -> list[Bill]:
    return [one for one in Bill.objects.filter(party=row.party) if row.record in one.sales]


def _card(claim: Claim) -> dict[str, Any]:
    store = current().store
    row = store.couplings.by_record(claim.entity, claim.side, [claim.record]).get(claim.record)
    known = store.replica.get(claim.entity, claim.side, [claim.record]).get(claim.record)
    context: dict[str, Any] = {
        "claim": claim,
        "row": row,
        "label": row.label if row else known.label if known else claim.record,
        "stuck": [
            one
            for one in store.inbox.quarantine()
            if (one.entity, one.side, one.record) == (claim.entity, claim.side, claim.record)
        ],
        "ruled": rule_of(current(), claim.entity) is not None,
    }
    if row is not None:
        context["in_step_at"] = store.couplings.in_step_at(row.id)
        context["conflicts"] = len(store.inbox.open_fields([row.id]).get(row.id, {}))
    if claim.entity == "partner":
        customer = store.seen.by_party(claim.side, [claim.record]).get(claim.record)
        context["customer"] = customer
        if customer is not None:
            context["quiet"] = customer.quiet_from is not None and customer.quiet_from <= today()
    return context


def _framed(answer: HttpResponse, settings: CardSettings) -> HttpResponse:
    """Let those pages show it in a frame that the settings name, and no others."""
    if settings.frames:
        answer.xframe_options_exempt = True
        wanted = "frame-ancestors " + " ".join(settings.frames)
        answer.headers["Content-Security-Policy"] = POLICY.replace("frame-ancestors 'none'", wanted)
    # The address is the key: it must not travel on to where a link leads.
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    return answer
