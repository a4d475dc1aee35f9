"""The interface's operation that makes a link to one record's card."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import Http404, HttpRequest
from ninja import Query, Schema

from koppel.processes.cards import LONGEST, ORDER, make_link, public_address
from koppel.sync.rule import Side
from koppel.web.api_base import api, entities_of, may, user_of
from koppel.web.rights import Rights
from koppel.web.service import current


class CardLink(Schema):
    """A link that shows one record's state and key figures without a sign-in, for a short time."""

    url: str
    until: datetime


@api.post(
    "/records/{entity}/{side}/{record}/card-link",
    response=CardLink,
    operation_id="card_link",
)
def card_link(
    request: HttpRequest,
    entity: str,
    side: Literal["crm", "erp"],
    record: str,
    minutes: Annotated[int | None, Query(ge=1, le=LONGEST)] = None,
) -> Any:
    """Make a link to a record's card, with money where the token may see it."""
    store = current().store
    if entity == ORDER:
        may(request, "figures")
    else:
        entities_of(request, "view", entity)
        if entity not in store.documents.names("rule"):
            raise Http404
    here: Side = side
    rights: Rights = request.rights  # type: ignore[attr-defined]
    link = make_link(
        store,
        entity,
        here,
        record,
        user=user_of(request),
        figures=rights("figures"),
        minutes=minutes,
    )
    base = public_address(store) or request.build_absolute_uri("/")
    return {"url": link.address(base), "until": link.until}
