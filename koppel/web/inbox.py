"""The inbox: what needs a person, in plain words, with the button that settles it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from koppel.connectors.base import Record
from koppel.engine import hand
from koppel.errors import KoppelError
from koppel.model import agree
from koppel.processes.settings import order_settings
from koppel.store.codec import decode
from koppel.store.models import Conflict, Quarantine, Review
from koppel.store.order_models import Process
from koppel.sync.rule import SIDES, Side
from koppel.web.entering import BadEntry, entered, entry_of
from koppel.web.notes import note, trouble
from koppel.web.records import canonical, native_address, reference, referred
from koppel.web.rights import looked, needs, require, rights_of, who
from koppel.web.service import Service, current
from koppel.web.trade import system_page

PAGE = 25
CHOICES = ("crm", "erp", "base")
WHOLE = ("uncouple", "delete", "create")

TABS: Mapping[str, tuple[Any, Any]] = {
    "conflicts": (
        gettext_lazy("Conflicts"),
        gettext_lazy(
            "Both systems changed the same field, and the rule says that a person decides. All "
            "other fields of the record have travelled already."
        ),
    ),
    "matches": (
        gettext_lazy("Matches"),
        gettext_lazy(
            "Two records that may be the same company or person, where the evidence is not enough "
            "to couple them without you."
        ),
    ),
    "quarantine": (
        gettext_lazy("Quarantine"),
        gettext_lazy(
            "Records that a system refused twice for the same reason. They are left alone until "
            "somebody puts the cause right, or the record changes."
        ),
    ),
    "plans": (
        gettext_lazy("Held plans"),
        gettext_lazy(
            "A plan that looks like an accident waits for approval. Until then nothing else is "
            "written."
        ),
    ),
    "orders": (
        gettext_lazy("Orders"),
        gettext_lazy("Orders that a rule holds, and changes that a clerk has to see to."),
    ),
    "changes": (
        gettext_lazy("Change requests"),
        gettext_lazy(
            "Orders that were changed in the CRM when the ERP could not take that any more. Decide "
            "in the ERP, and say here that it is done."
        ),
    ),
    "notices": (
        gettext_lazy("Notices"),
        gettext_lazy(
            "Values that were put back, because the other system owns the field. Nothing has to be "
            "done; the lost value is kept here."
        ),
    ),
}


@dataclass(frozen=True)
class Chosen:
    """One conflict with what a person chose for it."""

    row: Conflict
    value: Any


def counts() -> dict[str, int]:
    """Tab -> how much waits there."""
    totals = current().store.inbox.totals()
    return {
        "conflicts": totals["conflicts"],
        "matches": totals["reviews"],
        "quarantine": totals["quarantine"],
        "plans": totals["held"],
        "orders": Process.objects.filter(state="held").count(),
        "changes": current().store.orders.requests().count(),
    }


@needs("view")
def inbox(request: HttpRequest, tab: str = "") -> HttpResponse:
    """What needs a person."""
    many = counts()
    here = tab or next((name for name, found in many.items() if found), "conflicts")
    if here not in TABS:
        raise Http404
    context = {
        "tab": here,
        "tabs": [(name, title, many.get(name)) for name, (title, _about) in TABS.items()],
        "about": TABS[here][1],
        "many": many.get(here),
        **_LISTS[here](request),
    }
    looked(request, len(context["cards"]))
    return render(request, f"web/inbox/{here}.html", context)


def _seen(request: HttpRequest, entities: Iterable[str]) -> Callable[[str], bool]:
    rights = rights_of(request)
    allowed = {entity: rights("view", entity) for entity in set(entities)}
    return lambda entity: allowed.get(entity, False)


# conflicts


def _conflicts(request: HttpRequest) -> dict[str, Any]:
    rows = current().store.inbox.conflicts()
    seen = _seen(request, (row.entity for row in rows))
    asked, field = request.GET.get("q", "").strip().casefold(), request.GET.get("field", "")
    shown = [
        row
        for row in rows
        if seen(row.entity)
        and (not field or row.field == field)
        and (not asked or asked in row.label.casefold())
    ]
    shown.sort(key=lambda row: (row.label.casefold(), row.coupling, row.id))
    cards = [
        {"label": found[0].label, "coupling": key, "rows": [_conflict(row) for row in found]}
        for key, found in ((k, list(g)) for k, g in groupby(shown, key=lambda row: row.coupling))
    ]
    return {
        "cards": cards[:PAGE],
        "more": max(0, len(cards) - PAGE),
        "fields": sorted({row.field for row in rows}),
        "field_asked": field,
        "asked": request.GET.get("q", ""),
    }


def _conflict(row: Conflict) -> dict[str, Any]:
    crm_base, erp_base, crm, erp = decode(row.values)
    whole = row.field == ""
    told = {"row": row, "whole": whole, "crm": crm, "erp": erp}
    if whole:
        lost = "crm" if crm is None else "erp"
        return {**told, "lost": lost, "keeper": "erp" if lost == "crm" else "crm"}
    return {
        **told,
        "crm_base": crm_base,
        "erp_base": erp_base,
        "same_base": agree(crm_base, erp_base),
        "has_base": crm_base is not None,
        "entry": entry_of(row.entity, row.field, crm if crm is not None else erp),
    }


@require_POST
@needs("decide")
def resolve(request: HttpRequest, number: int) -> HttpResponse:
    """Decide one conflict: the CRM's value, the ERP's, the one before, or a third."""
    try:
        row = current().store.inbox.conflict(number)
        require(request, "decide", row.entity)
        value = _decision(request, row)
        row = hand.resolve(current().store, number, value, by=who(request))
    except (KoppelError, BadEntry) as error:
        trouble(request, str(error))
    else:
        _hurry([row])
        note(request, _("Decided; it is being written now."))
    return redirect("inbox_tab", tab="conflicts")


def _decision(request: HttpRequest, row: Conflict) -> Any:
    choice = request.POST.get("choice", "")
    if row.field == "":
        if choice not in WHOLE:
            raise BadEntry(_("Choose one of the offered answers."))
        return choice
    if choice in CHOICES:
        return choice
    return entered(row.entity, row.field, request.POST)


@require_POST
@needs("decide")
def resolve_many(request: HttpRequest) -> HttpResponse:
    """The same answer for all chosen conflicts: first what it would write, then to do it."""
    choice = request.POST.get("choice", "")
    if choice not in ("crm", "erp"):
        raise Http404
    store = current().store
    rows = [
        row
        for row in store.inbox.conflicts()
        if str(row.id) in set(request.POST.getlist("conflict"))
        and row.field
        and rights_of(request)("decide", row.entity)
    ]
    if not rows:
        trouble(request, _("Nothing is chosen: tick the conflicts first."))
        return redirect("inbox_tab", tab="conflicts")
    if request.POST.get("sure"):
        for row in rows:
            hand.resolve(store, row.id, choice, by=who(request))
        _hurry(rows)
        note(
            request,
            _("%(many)d conflicts decided; they are being written now.") % {"many": len(rows)},
        )
        return redirect("inbox_tab", tab="conflicts")
    context = {"choice": choice, "rows": [_preview(row, choice) for row in rows]}
    looked(request, len(rows))
    return render(request, "web/inbox/preview.html", context)


def _preview(row: Conflict, choice: str) -> dict[str, Any]:
    _crm_base, _erp_base, crm, erp = decode(row.values)
    side = "erp" if choice == "crm" else "crm"
    old, new = (erp, crm) if choice == "crm" else (crm, erp)
    return {"row": row, "side": side, "old": old, "new": new}


def _hurry(rows: Sequence[Conflict]) -> None:
    """Have the records of decided conflicts written at once, not with the next poll."""
    service = current()
    known = service.store.couplings.by_id({row.coupling for row in rows})
    for coupling in known.values():
        for side in SIDES:
            record = coupling.record(side)
            if record:
                service.watch.hint(coupling.entity, side, record)
                break


# matches


def _matches(request: HttpRequest) -> dict[str, Any]:
    service = current()
    rows = service.store.inbox.reviews()
    seen = _seen(request, (row.entity for row in rows))
    later = set(request.session.get("later", []))
    shown = [row for row in rows if seen(row.entity)]
    shown.sort(key=lambda row: row.id in later)  # stable: those put off come last
    return {
        "cards": [_match(service, row) for row in shown[:PAGE]],
        "more": max(0, len(shown) - PAGE),
        "later": later,
    }


def _match(service: Service, row: Review) -> dict[str, Any]:
    values: dict[Side, Mapping[str, Any]] = {}
    labels: dict[Side, str] = {}
    for side, record in zip(SIDES, (row.crm_id, row.erp_id), strict=True):
        labels[side], values[side] = _known(service, row.entity, side, record)
    fields = []
    for name in [*values["crm"], *(n for n in values["erp"] if n not in values["crm"])]:
        crm, erp = values["crm"].get(name), values["erp"].get(name)
        if crm in (None, "", ()) and erp in (None, "", ()):
            continue
        fields.append(
            {
                "name": name,
                "crm": reference(service, crm),
                "erp": reference(service, erp),
                "differs": not agree(crm, erp),
            }
        )
    links = {
        side: native_address(service, row.entity, side, record)
        for side, record in zip(SIDES, (row.crm_id, row.erp_id), strict=True)
    }
    return {"row": row, "labels": labels, "fields": fields, "links": links}


def _known(service: Service, entity: str, side: Side, record: str) -> tuple[str, Mapping[str, Any]]:
    found = service.store.replica.get(entity, side, [record]).get(record)
    if found is not None and isinstance(found.content, Record):
        return found.label, canonical(service, entity, side, found.content)
    coupled = service.store.couplings.by_record(entity, side, [record]).get(record)
    if coupled is not None:
        return coupled.label, canonical(service, entity, side, coupled.base(side))
    return (found.label if found is not None else record), {}


@require_POST
@needs("decide")
def answer(request: HttpRequest, number: int) -> HttpResponse:
    """A proposed pair: the same, different, or later."""
    says = request.POST.get("says", "")
    store = current().store
    row = Review.objects.filter(id=number).first()
    if row is not None:
        require(request, "decide", row.entity)
    try:
        row = hand.answer(store, number, says, by=who(request))
    except KoppelError as error:
        trouble(request, error)
        return redirect("inbox_tab", tab="matches")
    if says == "later":
        later = [one for one in request.session.get("later", []) if one != number]
        request.session["later"] = [*later, number][-200:]
        note(request, _("Put off; it is at the end of the list."))
        return redirect("inbox_tab", tab="matches")
    current().watch.hint(row.entity, "crm", row.crm_id)
    current().watch.hint(row.entity, "erp", row.erp_id)
    note(
        request,
        _("Noted; the two are being coupled.")
        if says == "same"
        else _("Noted; the two stay apart and are not proposed again."),
    )
    return redirect("inbox_tab", tab="matches")


@require_POST
@needs("decide")
def answer_many(request: HttpRequest) -> HttpResponse:
    """The same word for all chosen pairs: first which they are, then to say it."""
    says = request.POST.get("says", "")
    if says not in ("same", "different"):
        raise Http404
    service = current()
    chosen = set(request.POST.getlist("pair"))
    rows = [
        row
        for row in service.store.inbox.reviews()
        if str(row.id) in chosen and rights_of(request)("decide", row.entity)
    ]
    if not rows:
        trouble(request, _("Nothing is chosen: tick the pairs first."))
        return redirect("inbox_tab", tab="matches")
    if not request.POST.get("sure"):
        context = {"says": says, "cards": [_match(service, row) for row in rows]}
        looked(request, len(rows))
        return render(request, "web/inbox/answers.html", context)
    for row in rows:
        try:
            hand.answer(service.store, row.id, says, by=who(request))
        except KoppelError as error:
            trouble(request, error)
            continue
        service.watch.hint(row.entity, "crm", row.crm_id)
        service.watch.hint(row.entity, "erp", row.erp_id)
    note(request, _("%(many)d pairs are answered.") % {"many": len(rows)})
    return redirect("inbox_tab", tab="matches")


# quarantine


def _quarantine(request: HttpRequest) -> dict[str, Any]:
    service = current()
    rows = service.store.inbox.quarantine()
    seen = _seen(request, (row.entity for row in rows))
    return {"cards": [_stuck(service, row) for row in rows if seen(row.entity)]}


def _stuck(service: Service, row: Quarantine) -> dict[str, Any]:
    side: Side = "crm" if row.side == "crm" else "erp"
    return {"row": row, "link": native_address(service, row.entity, side, row.record)}


@require_POST
@needs("decide")
def release(request: HttpRequest) -> HttpResponse:
    """Try the chosen records of the quarantine again, now."""
    store, many = current().store, 0
    chosen = set(request.POST.getlist("entry"))
    for row in store.inbox.quarantine():
        if str(row.id) not in chosen or not rights_of(request)("decide", row.entity):
            continue
        side: Side = "crm" if row.side == "crm" else "erp"
        store.inbox.release(row.id)
        store.audit_log.write(who(request), "release", f"{row.entity} {row.side} {row.record}")
        current().watch.hint(row.entity, side, row.record)
        many += 1
    if many:
        note(request, _("%(many)d records are being tried again.") % {"many": many})
    else:
        trouble(request, _("Nothing is chosen."))
    return redirect("inbox_tab", tab="quarantine")


# held plans, orders, notices


def _plans(request: HttpRequest) -> dict[str, Any]:
    runs = [run for run in current().store.runs.recent(200) if run.state == "held"]
    return {"cards": runs}


def _orders(request: HttpRequest) -> dict[str, Any]:
    if not rights_of(request)("figures"):
        return {"cards": []}
    return {"cards": list(Process.objects.filter(state="held").order_by("since"))}


def _changes(request: HttpRequest) -> dict[str, Any]:
    if not rights_of(request)("figures"):
        return {"cards": []}
    rows = current().store.orders.requests()
    shown = [
        {
            "row": row,
            "crm": system_page("crm", row.crm_resource, row.crm_id),
            "erp": system_page("erp", order_settings(current().store).erp_resource, row.erp_id),
        }
        for row in rows[:PAGE]
    ]
    return {"cards": shown, "more": max(0, rows.count() - PAGE)}


@require_POST
@needs("decide")
def seen_to(request: HttpRequest) -> HttpResponse:
    """Somebody has dealt with the chosen change requests in the ERP."""
    store, many = current().store, 0
    for one in request.POST.getlist("order"):
        try:
            row = store.orders.seen_to(one)
        except KoppelError as error:
            trouble(request, error)
            continue
        store.audit_log.write(who(request), "change request done", row.id, note=row.note[:200])
        many += 1
    if many:
        note(request, _("%(many)d change requests are done.") % {"many": many})
    return redirect("inbox_tab", tab="changes")


def _notices(request: HttpRequest) -> dict[str, Any]:
    rows = current().store.inbox.notices(100)
    seen = _seen(request, (row.entity for row in rows))
    cards = []
    for row in rows:
        if seen(row.entity):
            lost, kept = decode(row.values)
            cards.append({"row": row, "lost": lost, "kept": kept})
    names = referred(request, [card[key] for card in cards for key in ("lost", "kept")])
    return {"cards": cards, "names": names}


_LISTS: Mapping[str, Callable[[HttpRequest], dict[str, Any]]] = {
    "conflicts": _conflicts,
    "matches": _matches,
    "quarantine": _quarantine,
    "plans": _plans,
    "orders": _orders,
    "changes": _changes,
    "notices": _notices,
}
