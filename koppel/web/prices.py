"""Prices for a coupled system: what the ERP asks of a customer, and the price lists of a product.

Signed as hints are. The ERP is asked at once; while it is away, its last answers are told with
their age.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from koppel import typed
from koppel.connectors.base import Record
from koppel.errors import KoppelError, TryLater
from koppel.processes.orders import Orders
from koppel.processes.price_enquiry import Quoted, Wanted, sentence
from koppel.web.hooks import trouble, verified
from koppel.web.orders import desk
from koppel.web.rights import SIGNED, declare
from koppel.web.service import Service, current

ASK_SECONDS = 25.0
LARGEST = 32_768
MOST_LINES = 200
PARTNER, PRODUCT = "partner", "product"


class AskedLine(msgspec.Struct):
    """A product by its id at the sender (`record`) or by the ERP's number (`item`)."""

    quantity: Decimal
    item: str = ""
    record: str = ""
    unit: str = ""


class Question(msgspec.Struct):
    """What a price is asked for; `user` is the sender's user who pressed."""

    lines: list[AskedLine]
    user: str = ""
    currency: str | None = None
    date: date | None = None


@declare(SIGNED)
@csrf_exempt
@require_POST
def prices(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """The ERP's prices for a customer: one answer for each line, in the same order."""
    refusal = verified(request, connection, once=False, largest=LARGEST)
    if refusal is not None:
        return refusal
    try:
        asked = typed.from_json(request.body, Question, strict=False)
    except msgspec.MsgspecError as error:
        return trouble(400, f"This cannot be read: {error}.")
    if len(asked.lines) > MOST_LINES:
        return trouble(413, f"At most {MOST_LINES} lines are answered at once.")
    service = current()
    found = service.entity_of(connection, resource)
    if found is None or found[0] != PARTNER:
        return trouble(404, "Prices are told for partners only.")
    row = service.store.couplings.by_record(PARTNER, found[1], [record]).get(record)
    party = row.erp_id if row is not None and row.state == "active" else None
    wanted = [
        Wanted(quantity=one.quantity, item=one.item, record=one.record, unit=one.unit)
        for one in asked.lines
    ]

    def work(orders: Orders) -> list[Quoted]:
        return orders.prices.lines(party, wanted, currency=asked.currency, date=asked.date)

    try:
        answers = desk().ask(work, ASK_SECONDS)
    except TryLater:
        return trouble(503, "The ERP is away, and was not asked for these prices before.")
    except KoppelError as error:
        return trouble(409, str(error))
    if answers is None:
        return trouble(503, "The ERP is slow to answer; please try again later.")
    user = f"{asked.user or 'somebody'} in {connection}"
    service.store.inbox.log(user, "ask prices", f"{resource}/{record}", lines=len(wanted))
    return JsonResponse(
        {"ok": True, "customer": party is not None, "lines": [_line(one) for one in answers]}
    )


def _line(answer: Quoted) -> dict[str, Any]:
    price = answer.price
    if price is None:
        return {"item": answer.wanted.item, "unit_price": None, "message": answer.message}
    return {
        "item": answer.wanted.item,
        "unit_price": price.unit_price,
        "list_price": price.list_price,
        "price_list": price.price_list,
        "currency": price.currency,
        "unit": price.unit,
        "age_seconds": price.age_seconds,
        "message": price.note,
    }


@declare(SIGNED)
@csrf_exempt
@require_GET
def product(request: HttpRequest, connection: str, resource: str, record: str) -> HttpResponse:
    """The block of a product: stock, list price, tax and status; `?fresh=1` asks the ERP now.

    The price lists' steps are always asked for, or told with their age.
    """
    refusal = verified(request, connection, once=False)
    if refusal is not None:
        return refusal
    service = current()
    found = service.entity_of(connection, resource)
    if found is None or found[0] != PRODUCT:
        return trouble(404, "This is no product.")
    row = service.store.couplings.by_record(PRODUCT, found[1], [record]).get(record)
    if row is None or row.state != "active" or row.erp_id is None:
        return trouble(404, "This product is not coupled with one of the ERP.")
    base = row.erp_base if isinstance(row.erp_base, Record) else None
    age, messages = _age(service), list[str]()
    if request.GET.get("fresh"):
        fresh = _now(row.erp_id, messages)
        base, age = (fresh, 0.0) if fresh is not None else (base, age)
    steps, told = _steps(row.erp_id, messages)
    fields = base.fields if base is not None else {}
    return JsonResponse(
        {
            **{name: fields.get(name) for name in _SHOWN},
            "breaks": steps,
            "breaks_age_seconds": told,
            "age_seconds": age,
            "messages": messages,
            "url": f"/couplings/{row.id}",
        }
    )


_SHOWN = (
    "code", "gtin", "status", "list_price", "currency", "unit", "sale_unit", "category",
    "tax_category", "tax_percent", "quantity", "forecast_quantity",
)  # fmt: skip


def _age(service: Service) -> float | None:
    """Seconds since the ERP's products were last read through."""
    at = service.store.couplings.cursor_at(PRODUCT, "erp")
    return None if at is None else max(0.0, (service.clock() - at).total_seconds())


def _now(id: str, messages: list[str]) -> Record | None:
    """The product as the ERP has it now; a sentence where it cannot be asked."""

    def work(orders: Orders) -> Any:
        resource = orders.prices.product_resource
        return orders.systems.erp.fetch(resource, [id])[id]

    try:
        found = desk().ask(work, ASK_SECONDS)
    except KoppelError as error:
        messages.append(sentence(error))
        return None
    if found is None:
        messages.append("The ERP is slow to answer; this is what was known before.")
    return found if isinstance(found, Record) else None


def _steps(id: str, messages: list[str]) -> tuple[list[dict[str, Any]], float | None]:
    """The price lists' steps with their age."""
    try:
        found = desk().ask(lambda orders: orders.prices.breaks(id), QUICK_SECONDS)
    except KoppelError as error:
        messages.append(sentence(error))
        return [], None
    if found is None:
        messages.append("The ERP is slow to answer; its price lists are not shown.")
        return [], None
    return [msgspec.structs.asdict(one) for one in found.steps], found.age_seconds


QUICK_SECONDS = 1.2
"""Creme's page waits for two seconds."""
