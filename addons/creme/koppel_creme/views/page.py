"""The button *Synchronise now* on a record's page."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from creme.creme_core.http import is_ajax
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from .. import card, rights
from ..errors import BadCall
from ..resources import resource as resource_named

logger = logging.getLogger(__name__)

_SESSION_KEY = "koppel_creme-result"


@login_required
@require_POST
def synchronise(request: HttpRequest, resource: str, entity_id: int) -> HttpResponse:
    """Bring one record into step now. Each call is logged, the refused ones too."""
    try:
        kind = resource_named(resource)
    except BadCall as error:
        return HttpResponse(error.message, status=error.status, content_type="text/plain")
    entity = get_object_or_404(kind.model, pk=entity_id)
    user = request.user
    try:
        user.has_special_perm_or_die(rights.synchronise_now)
        user.has_perm_to_view_or_die(entity)
    except PermissionDenied:
        logger.warning("%s was refused to synchronise %s %s.", user, kind.name, entity_id)
        raise
    result = card.synchronise(kind.name, entity_id, user.username)
    logger.info(
        "%s synchronised %s %s: %s", user, kind.name, entity_id, "done" if result.ok else "failed"
    )
    told = asdict(result)
    if is_ajax(request) and not result.ok:
        # Creme's script shows the text of a failed action, and reloads the block after a good one.
        return HttpResponse(result.message, status=409, content_type="text/plain; charset=utf-8")
    request.session[_SESSION_KEY] = {"resource": kind.name, "id": entity_id, **told}
    return JsonResponse(told, json_dumps_params={"ensure_ascii": False})


def last_result(request: HttpRequest, resource: str, entity_id: int) -> dict[str, Any] | None:
    """What the last press of the button did to this record; told once, then forgotten."""
    told = request.session.get(_SESSION_KEY)
    if not told or (told["resource"], told["id"]) != (resource, entity_id):
        return None
    del request.session[_SESSION_KEY]
    return told
