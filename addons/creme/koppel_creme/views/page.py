"""The buttons on a record's page: *Synchronise now*, *Transfer to ERP*, and *Refresh*."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from creme.creme_core.http import is_ajax
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from .. import card, rights, sales
from .. import prices as document_prices
from ..resources import Resource, resources

logger = logging.getLogger(__name__)

ORDERS = ("billing.quote", "billing.salesorder")
FIGURES = ("persons.organisation",)
PRODUCTS = ("products.product",)
_RESULT = "koppel_creme-result"
_TRANSFER = "koppel_creme-transfer"
_PRICES = "koppel_creme-prices"


@login_required
@require_POST
def synchronise(request: HttpRequest, resource: str, entity_id: int) -> HttpResponse:
    """Bring one record into step now. Each call is logged, the refused ones too."""
    kind = _pressed(request, resource, entity_id, rights.synchronise_now, "synchronise")
    result = card.synchronise(kind.name, entity_id, request.user.username)
    logger.info(
        "%s synchronised %s %s: %s",
        request.user,
        kind.name,
        entity_id,
        "done" if result.ok else "failed",
    )
    return _answer(request, _RESULT, kind, entity_id, result)


@login_required
@require_POST
def transfer(request: HttpRequest, resource: str, entity_id: int) -> HttpResponse:
    """Hand a document over to the ERP. Each call is logged, the refused ones too."""
    if resource not in ORDERS:
        raise Http404(f"{resource} is never transferred.")
    kind = _pressed(request, resource, entity_id, rights.transfer_order, "transfer")
    result = sales.transfer(kind.name, entity_id, request.user.username)
    logger.log(
        logging.INFO if result.ok else logging.WARNING,
        "%s transferred %s %s to the ERP: %s",
        request.user,
        kind.name,
        entity_id,
        (result.erp_number or "done") if result.ok else result.message,
    )
    return _answer(request, _TRANSFER, kind, entity_id, result)


@login_required
@require_POST
def prices(request: HttpRequest, resource: str, entity_id: int) -> HttpResponse:
    """Ask the ERP for its prices for a document's lines; nothing is changed."""
    kind = _order(request, resource, entity_id)
    document = get_object_or_404(kind.model, pk=entity_id)
    told = document_prices.compare(kind, document, request.user)
    return _answer(request, _PRICES, kind, entity_id, told)


@login_required
@require_POST
def take_prices(request: HttpRequest, resource: str, entity_id: int) -> HttpResponse:
    """Set the lines' prices to the ERP's. Each call is logged, the refused ones too."""
    if resource not in ORDERS:
        raise Http404(f"{resource} has no lines to price.")
    kind = _pressed(request, resource, entity_id, rights.take_prices, "take prices over for")
    document = get_object_or_404(kind.model, pk=entity_id)
    try:
        request.user.has_perm_to_change_or_die(document)
    except PermissionDenied:
        logger.warning("%s may not change %s %s.", request.user, resource, entity_id)
        raise
    told = document_prices.take(kind, document, request.user)
    logger.log(
        logging.INFO if told.ok else logging.WARNING,
        "%s took the ERP's prices over for %s %s: %s",
        request.user,
        kind.name,
        entity_id,
        told.message,
    )
    return _answer(request, _PRICES, kind, entity_id, told)


def _order(request: HttpRequest, resource: str, entity_id: int) -> Resource:
    if resource not in ORDERS:
        raise Http404(f"{resource} has no lines to price.")
    return _seen(request, resource, entity_id)


@login_required
@require_POST
def refresh(request: HttpRequest, resource: str, entity_id: int) -> HttpResponse:
    """Ask the ERP anew; Creme's script then loads the block again."""
    if resource not in (*ORDERS, *FIGURES, *PRODUCTS):
        raise Http404(f"There are no figures of {resource}.")
    kind = _seen(request, resource, entity_id)
    if kind.name in ORDERS:
        told = sales.order(kind.name, entity_id, fresh=True)
    elif kind.name in PRODUCTS:
        told = sales.product(entity_id, fresh=True)
    else:
        told = sales.figures(entity_id, fresh=True)
    return JsonResponse({"trouble": told.trouble}, json_dumps_params={"ensure_ascii": False})


def _seen(request: HttpRequest, resource: str, entity_id: int) -> Resource:
    kind = resources().get(resource)
    if kind is None:
        raise Http404(f"There is no resource named {resource!r}.")
    entity = get_object_or_404(kind.model, pk=entity_id)
    request.user.has_perm_to_view_or_die(entity)
    return kind


def _pressed(
    request: HttpRequest, resource: str, entity_id: int, right: Any, verb: str
) -> Resource:
    """The kind of the record, if this user may press this button on it."""
    try:
        kind = _seen(request, resource, entity_id)
        request.user.has_special_perm_or_die(right)
    except PermissionDenied:
        logger.warning("%s was refused to %s %s %s.", request.user, verb, resource, entity_id)
        raise
    return kind


def _answer(
    request: HttpRequest,
    key: str,
    kind: Resource,
    entity_id: int,
    result: Any,
) -> HttpResponse:
    told = asdict(result)
    if is_ajax(request) and not result.ok:
        # Creme's script shows the text of a failed action, and reloads the block after a good one.
        text = "\n".join((result.message, *getattr(result, "lines", ())))
        return HttpResponse(text, status=409, content_type="text/plain; charset=utf-8")
    request.session[key] = {"resource": kind.name, "id": entity_id, **told}
    return JsonResponse(told, json_dumps_params={"ensure_ascii": False})


def last_result(request: HttpRequest, resource: str, entity_id: int) -> dict[str, Any] | None:
    """What the last *Synchronise now* did to this record; told once, then forgotten."""
    return _last(request, _RESULT, resource, entity_id)


def last_transfer(request: HttpRequest, resource: str, entity_id: int) -> dict[str, Any] | None:
    """What the last *Transfer to ERP* did to this document; told once, then forgotten."""
    return _last(request, _TRANSFER, resource, entity_id)


def last_prices(request: HttpRequest, resource: str, entity_id: int) -> dict[str, Any] | None:
    """What the ERP last said to this document's prices; told once, then forgotten."""
    return _last(request, _PRICES, resource, entity_id)


def _last(request: HttpRequest, key: str, resource: str, entity_id: int) -> dict[str, Any] | None:
    told = request.session.get(key)
    if not told or (told["resource"], told["id"]) != (resource, entity_id):
        return None
    del request.session[key]
    return told
