"""One customer, seen from all sides: what both systems hold, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.errors import KoppelError
from koppel.insight import trade as reckoned
from koppel.processes.replication import Replication
from koppel.processes.shown import Seen, chosen
from koppel.store.codec import decode
from koppel.store.figures import top_items
from koppel.store.models import Journal
from koppel.store.seen_models import (
    Article,
    Bill,
    Customer,
    Delivery,
    Figure,
    Person,
    Sale,
    SaleLine,
)
from koppel.sync.rule import SIDES, Rule, Side
from koppel.web import charts, orders, words
from koppel.web.items import named
from koppel.web.notes import note, trouble
from koppel.web.records import canonical, rule_of
from koppel.web.rights import needs, rights_of, who
from koppel.web.service import Service, current
from koppel.web.templatetags.show import money, month_name
from koppel.web.trade import bill_state, page_of, today

TABS = ("overview", "orders", "invoices", "timeline", "fields")
MONEY_TABS = ("orders", "invoices")
LISTED = 40
REFRESH_SECONDS = 30.0
MONTHS = 24
_RESOURCES: Mapping[Side, str] = {"crm": "persons.organisation", "erp": "party.party"}


@needs("view", entity="partner", seen=True, anywhere=True)
def customer(request: HttpRequest, number: int) -> HttpResponse:
    """The page; `tab` chooses what is below the head."""
    row = get_object_or_404(Customer, id=number)
    may = rights_of(request)("figures")
    tab = request.GET.get("tab", "")
    if tab not in TABS or (tab in MONEY_TABS and not may):
        tab = "overview"
    systems = current().store.connections.all()
    context: dict[str, Any] = {
        "row": row,
        "tab": tab,
        "tabs": [
            (name, words.word(words.SEEN, name)) for name in TABS if may or name not in MONEY_TABS
        ],
        "crm": page_of(systems, "crm", _RESOURCES["crm"], row.crm_id),
        "erp": page_of(systems, "erp", _RESOURCES["erp"], row.erp_id),
        "quiet": row.quiet_from is not None and row.quiet_from <= today(),
    }
    if tab == "overview":
        context |= _overview(row, may)
    elif tab == "orders":
        context |= {"orders": _orders(row)}
    elif tab == "invoices":
        context |= {"bills": _bills(row), "deliveries": _deliveries(row)}
    elif tab == "timeline":
        context |= {"events": timeline(row, money_too=may)}
    else:
        context |= {"fields": origins(current(), row)}
    return render(request, "web/customer.html", context)


@require_POST
@needs("synchronise", entity="partner")
def refresh(request: HttpRequest, number: int) -> HttpResponse:
    """Read everything of this customer from both systems now."""
    row = get_object_or_404(Customer, id=number)
    try:
        told = orders.desk().ask(lambda desk: _read(desk, row), REFRESH_SECONDS)
        if told is None:
            trouble(request, _("The systems are slow to answer; the figures follow by themselves."))
        else:
            note(request, _("Read from both systems just now."))
    except KoppelError as error:
        trouble(request, error)
    current().store.audit_log.write(who(request), "refresh", f"customer {row.id}")
    return redirect("customer", number=row.id)


def _read(desk: Any, row: Customer) -> bool:
    Replication(desk.systems).refresh(row)
    return True


# What the tabs show.


def _overview(row: Customer, may: bool) -> dict[str, Any]:
    people = _people(row)
    if not may:
        return {"people": people}
    offers = Sale.objects.none()
    if row.crm_id:
        offers = Sale.objects.filter(
            side="crm", party=row.crm_id, kind__in=("quote", "opportunity")
        ).order_by("-day", "-id")[:10]
    figures = list(Figure.objects.filter(customer=row.id, currency=row.currency))
    return {
        "people": people,
        "offers": offers,
        "chart": turnover_chart(row, figures),
        "years": _years(figures),
        "items": _items(row),
        "change": reckoned.Compared(now=row.turnover, before=row.turnover_before).change,
        "days_to_pay": (row.paid_days / row.paid_gross) if row.paid_gross else None,
        "days_late": (row.late_days / row.paid_gross) if row.paid_gross else None,
    }


def _people(row: Customer) -> list[dict[str, Any]]:
    """Contacts of both sides; one that is coupled is shown once."""
    found: dict[str, dict[str, Any]] = {}
    theirs = Q(side="crm", partner=row.crm_id) | Q(side="erp", partner=row.erp_id)
    for one in Person.objects.filter(theirs).order_by("side", "name", "id"):
        key = one.coupling or f"{one.side} {one.record}"
        known = found.setdefault(key, {"person": one, "sides": []})
        known["sides"].append(one.side)
    return sorted(found.values(), key=lambda one: str(one["person"].name))


def turnover_chart(row: Customer, figures: Sequence[Figure]) -> charts.Chart | None:
    """Turnover by month of the last twelve months, beside the same months a year before."""
    if not figures:
        return None
    months = {one.month: one.turnover for one in figures}
    return month_chart(_("Turnover by month"), months, row.currency, today())


def month_chart(
    label: str, figures: Mapping[date, Decimal], currency: str, day: date
) -> charts.Chart:
    """Twelve months beside the twelve before."""
    now = reckoned.month_of(day)
    rows = []
    for back in range(11, -1, -1):
        month = reckoned.months_back(now, back)
        values = (
            figures.get(reckoned.months_back(month, 12), reckoned.ZERO),
            figures.get(month, reckoned.ZERO),
        )
        cells = charts.cells(values, lambda value: money(value, currency))
        rows.append(charts.Row(month_name(month), cells, when=f"{month:%Y-%m}"))
    series = (_("the year before"), _("these twelve months"))
    return charts.Chart(label, _("Month"), series, tuple(rows), currency)


def _years(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    sums: dict[int, list[Decimal]] = {}
    for one in figures:
        year = sums.setdefault(one.month.year, [reckoned.ZERO, reckoned.ZERO])
        year[0] += one.turnover
        year[1] += one.intake
    return [
        {
            "year": str(year),
            "turnover": sums[year][0],
            "intake": sums[year][1],
            "change": reckoned.Compared(
                now=sums[year][0], before=sums.get(year - 1, [reckoned.ZERO])[0]
            ).change,
        }
        for year in sorted(sums, reverse=True)
    ]


def _items(row: Customer) -> list[dict[str, Any]]:
    if row.erp_id is None:
        return []
    items = top_items(row.erp_id, row.currency)
    known = {one.code: one for one in Article.objects.filter(code__in=[i["item"] for i in items])}
    for item in items:
        item["article"] = known.get(item["item"])
        item["margin"] = reckoned.margin(item["net"], item["cost"])
    return items


def _orders(row: Customer) -> list[dict[str, Any]]:
    if row.erp_id is None:
        return []
    sales = list(
        Sale.objects.filter(side="erp", kind="order", party=row.erp_id).order_by("-day", "-id")[
            :LISTED
        ]
    )
    lines: dict[int, list[SaleLine]] = {}
    wanted = SaleLine.objects.filter(sale__in=[one.id for one in sales]).order_by("position")
    for line in named(wanted):
        lines.setdefault(line.sale, []).append(line)
    return [{"sale": sale, "lines": lines.get(sale.id, [])} for sale in sales]


def _bills(row: Customer) -> list[dict[str, Any]]:
    if row.erp_id is None:
        return []
    rows = Bill.objects.filter(party=row.erp_id).order_by("-day", "-id")[:LISTED]
    return [{"bill": bill, "state": bill_state(bill)} for bill in rows]


def _deliveries(row: Customer) -> Sequence[Delivery]:
    if row.erp_id is None:
        return []
    return list(Delivery.objects.filter(party=row.erp_id).order_by("-planned", "-id")[:LISTED])


def timeline(row: Customer, *, money_too: bool) -> list[dict[str, Any]]:
    """What happened in both systems and in Koppel, the newest first."""
    events: list[dict[str, Any]] = []
    if row.coupling:
        for entry in Journal.objects.filter(coupling=row.coupling).order_by("-id")[:30]:
            names = [words.field_label(c[0]) for c in decode(bytes(entry.changes) or None) or []]
            text = ", ".join(dict.fromkeys(names))
            events.append(
                {"at": entry.intent_at.date(), "side": entry.side, "kind": "written", "text": text}
            )
    if money_too:
        events += _sales_events(row)
    return sorted(events, key=lambda one: one["at"], reverse=True)[:80]


def _sales_events(row: Customer) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for side in SIDES:
        party = row.crm_id if side == "crm" else row.erp_id
        if party is None:
            continue
        for sale in Sale.objects.filter(side=side, party=party).order_by("-day")[:LISTED]:
            _add(events, sale.day, side, sale.kind, sale.number or sale.title, sale.state,
                 ("sale", sale.id), sale.net, sale.currency)  # fmt: skip
    if row.erp_id:
        for bill in Bill.objects.filter(party=row.erp_id).order_by("-day")[:LISTED]:
            _add(events, bill.day, "erp", bill.kind, bill.number, bill_state(bill),
                 ("invoice", bill.id), bill.gross, bill.currency)  # fmt: skip
            _add(events, bill.paid, "erp", "payment", bill.number, "paid",
                 ("invoice", bill.id), bill.gross, bill.currency)  # fmt: skip
            _add(events, bill.dunned_on, "erp", "reminder", bill.number, "",
                 ("invoice", bill.id), bill.open, bill.currency)  # fmt: skip
        for sent in Delivery.objects.filter(party=row.erp_id).order_by("-planned")[:LISTED]:
            _add(events, sent.delivered_on, "erp", "delivery", sent.number, "delivered",
                 None, None, "")  # fmt: skip
    return events


def _add(
    events: list[dict[str, Any]], at: date | None, side: str, kind: str, text: str, state: str,
    address: tuple[str, int] | None, amount: Decimal | None, currency: str,
) -> None:  # fmt: skip
    if at is not None:
        events.append(
            {"at": at, "side": side, "kind": kind, "text": text, "state": state,
             "page": address[0] if address else "", "number": address[1] if address else 0,
             "amount": amount, "currency": currency}
        )  # fmt: skip


# Where each field comes from.


def origins(service: Service, row: Customer) -> list[dict[str, Any]]:
    """Each field with its value, the system it comes from, when it was set there, by whom, why."""
    rule = rule_of(service, "partner")
    if rule is None:
        return []
    sides: dict[Side, Seen] = {}
    at: datetime | None = None
    if row.coupling:
        coupling = service.store.couplings.by_id([row.coupling]).get(row.coupling)
        for side in SIDES if coupling is not None else ():
            base = coupling.base(side) if coupling is not None else None
            told = canonical(service, "partner", side, base)
            sides[side] = Seen(record="", version="", canonical=told, label="")
        at = row.erp_read or row.crm_read
    else:
        side = "crm" if row.crm_id else "erp"
        record = str(row.crm_id or row.erp_id)
        known = service.store.replica.get("partner", side, [record]).get(record)
        content = known.content if known is not None else None
        told = canonical(service, "partner", side, content)
        sides[side] = Seen(record=record, version="", canonical=told, label="")
        at = row.crm_read or row.erp_read
    written = _written(row)
    found = []
    for name in dict.fromkeys(name for one in sides.values() for name in one.canonical):
        value, side_of = chosen(rule, sides, name)
        last = written.get(name)
        found.append(
            {
                "name": name,
                "value": value,
                "side": side_of,
                "at": last.outcome_at if last else at,
                "by": last.run.user or last.run.trigger if last else "",
                "written": last is not None,
                "rule": _rule(rule, name),
            }
        )
    return found


def _written(row: Customer) -> dict[str, Journal]:
    """The last write of each field, as the journal has it."""
    found: dict[str, Journal] = {}
    if row.coupling:
        entries = Journal.objects.filter(coupling=row.coupling).select_related("run")
        for entry in entries.order_by("-id")[:100]:
            for change in decode(bytes(entry.changes) or None) or []:
                found.setdefault(str(change[0]), entry)
    return found


def _rule(rule: Rule, name: str) -> str:
    group = next((key for key, members in rule.groups.items() if name in members), name)
    found = rule.fields.get(group)
    if found is None:
        return _("travels nowhere")
    if found.direction == "none":
        return _("stays in the %(side)s") % {"side": words.word(words.SIDES, found.owner)}
    if found.owner != "shared":
        return _("the %(side)s owns it") % {"side": words.word(words.SIDES, found.owner)}
    return _("both; %(policy)s") % {"policy": words.word(words.SEEN, f"policy {found.policy}")}


__all__ = ["customer", "month_chart", "refresh"]
