"""What every operation of the interface stands on: tokens, rights, pages, problems (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Path, Query, Status
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer
from pydantic import BeforeValidator

from koppel.engine.errand import Errand, Work
from koppel.errors import KoppelError, TryLater
from koppel.store.people import Action
from koppel.web.rights import Rights
from koppel.web.service import current

Row = TypeVar("Row")

PREFIX = "api/v1/"
LARGEST_PAGE = 200
UNKNOWN_TOKEN = "The token is missing, unknown or over. Make one: koppel token add"
PRESS_SECONDS = 25.0
"""How long a synchronisation is waited for before it is said that the record follows."""
DESCRIPTION = """Koppel's abilities for other programs.

A program shows a token (`koppel token add`) and may what its scopes and its user both may. Lists
come in pages: what stands under `next` goes into `after` (of lists that begin with the newest:
`before`) for the following one. Errors are problems as RFC 9457 has them. A call that changes
something takes an `Idempotency-Key`: the same call under the same key is carried out once, and
answered alike for a day.
"""


def _written_out(value: Any) -> Any:
    """A day or moment comes in ISO 8601; a bare number is not taken for seconds since 1970."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("a day or moment is written in ISO 8601")
    return value


Moment = Annotated[datetime | None, BeforeValidator(_written_out)]
Day = Annotated[date | None, BeforeValidator(_written_out)]
Text = Annotated[str, Query(max_length=200)]
"""A filter."""


SILENT = Status(204, None)
"""Done, and there is nothing to tell."""


class Token(HttpBearer):
    """A token in the header `Authorization: Bearer ...`."""

    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        """The user's name; the request's rights are those of the user within the scopes."""
        service = current()
        found = service.store.tokens.find(token)
        if found is None:
            return None
        user, scopes = found
        rights = service.store.people.rights_of(user)
        request.rights = Rights(  # type: ignore[attr-defined]
            {(action, entity) for action, entity in rights if action in scopes}
        )
        return str(user.get_username())


UNNAMED = ("rules", "runs", "audit-log", "journal")
"""Lists that hold nobody's records, or that their operation writes down more exactly."""


class Interface(NinjaAPI):
    """The interface; which lists a program was given stands in the audit log."""

    def create_response(self, request: HttpRequest, data: Any, **more: Any) -> HttpResponse:
        """The answer as JSON."""
        items = data.get("items") if request.method == "GET" and isinstance(data, dict) else None
        if items is not None and request.path.rpartition("/")[2] not in UNNAMED:
            searched = bool(request.GET.get("q", "").strip())
            looks = current().looks
            looks.add(user_of(request), request.path, len(items), searched=searched)
        return super().create_response(request, data, **more)


api = Interface(
    title="Koppel",
    version="1",
    description=DESCRIPTION,
    auth=Token(),
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
)


# problems (RFC 9457)


def problem(status: int, detail: str, **more: Any) -> HttpResponse:
    """What went wrong, in one sentence that says what helps."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JsonResponse(body, status=status, content_type="application/problem+json")


@api.exception_handler(KoppelError)
def _koppel_error(request: HttpRequest, error: KoppelError) -> HttpResponse:
    return problem(503 if isinstance(error, TryLater) else 409, str(error))


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "There is nothing at this address.")


@api.exception_handler(PermissionDenied)
def _denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, f"The token or its user may not: {error}.")


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem(401, UNKNOWN_TOKEN)


@api.exception_handler(HttpError)
def _no_json(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, f"{str(error).rstrip('.')}.")


@api.exception_handler(UnicodeError)
def _not_text(request: HttpRequest, error: UnicodeError) -> HttpResponse:
    return problem(422, "The request holds what is no text.", errors=[])


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [{"place": list(map(str, one["loc"])), "message": one["msg"]} for one in error.errors]
    return problem(422, "The request does not fit its description.", errors=faults)


Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Number = Annotated[int, Query(ge=0, le=2**62)]
Id = Annotated[int, Path(ge=0, le=2**62)]


def plain(value: Any) -> Any:
    """As JSON has it: decimals as text, dates in ISO 8601, addresses as objects."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=str)


def may(request: HttpRequest, action: Action, entity: str = "") -> None:
    """Refuse where the token or its user may not do that with this entity (or with any)."""
    rights: Rights = request.rights  # type: ignore[attr-defined]
    if not rights(action, entity):
        raise PermissionDenied(f"{action} {entity}".strip())


def entities_of(request: HttpRequest, action: Action, asked: str = "") -> list[str]:
    """The entities on which the action is allowed; just the one that was asked for, if any."""
    may(request, action, asked)
    rights: Rights = request.rights  # type: ignore[attr-defined]
    return [asked] if asked else rights.among(action, current().store.documents.names("rule"))


def bearer(request: HttpRequest) -> str:
    """The token that a program shows; empty where it shows none."""
    kind, _, shown = request.headers.get("Authorization", "").partition(" ")
    return shown.strip() if kind.lower() == "bearer" else ""


def user_of(request: HttpRequest) -> str:
    """Under whose name the program acts."""
    return str(request.auth)  # type: ignore[attr-defined]


def page(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], Row | None]:
    """One page of `limit + 1` rows that were read, and the last of it where more follow."""
    return rows[:limit], rows[limit - 1] if len(rows) > limit else None


def since(moment: datetime | None) -> dict[str, datetime]:
    """A moment as a query takes it; one without a time zone is UTC."""
    if moment is None:
        return {}
    try:
        return {"at": moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)}
    except OverflowError:
        # A zone leads out of the calendar at either end of it.
        return {"at": moment.replace(tzinfo=UTC)}


def done(request: HttpRequest, label: str, work: Work) -> Any:
    """Have the engine's thread do it, and what came of it. `TryLater` where that takes too long."""
    errand = current().watch.errand(Errand(work, user_of(request), label))
    if not errand.done.wait(PRESS_SECONDS):
        raise TryLater("Koppel is busy; it is lined up and will be done", after=PRESS_SECONDS)
    if errand.error is not None:
        raise errand.error
    return errand.result
