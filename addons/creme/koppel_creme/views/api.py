"""The JSON interface for Koppel, as told in the reference of the wire. Every answer is JSON."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from datetime import UTC
from typing import Any

from creme import __version__ as creme_version
from creme.creme_core.auth.entity_credentials import EntityCredentials
from creme.creme_core.global_info import set_global_info
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.db.transaction import atomic
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt

from .. import __version__, feed, reading, tokens, writing
from .. import lists as value_lists
from ..errors import BadCall, Refusal
from ..resources import Resource, resource_for, resources
from ..session import Session

logger = logging.getLogger(__name__)

_View = Callable[[Session, Any], Any]


def _endpoint(method: str) -> Callable[[_View], Callable[[HttpRequest], HttpResponse]]:
    """A view for Koppel: token, user, language and zone; whatever happens, the answer is JSON."""

    def wrap(view: _View) -> Callable[[HttpRequest], HttpResponse]:
        @csrf_exempt
        @functools.wraps(view)
        def answer(request: HttpRequest) -> HttpResponse:
            if request.method != method:
                return _error(405, "bad_method", f"Use {method} here.")
            try:
                return _answered(request, view)
            except BadCall as error:
                return _error(error.status, error.code, error.message)
            except Refusal as error:
                return _error(403, "forbidden", error.message)
            except PermissionDenied as error:
                return _error(403, "forbidden", str(error))
            except RequestDataTooBig:
                return _error(413, "too_large", "The call is too large; send fewer records.")
            except OperationalError:
                logger.exception("Creme's database did not answer a call of Koppel.")
                return _error(503, "busy", "Creme's database is busy.", retry_after=2)
            except Exception:
                logger.exception("A call of Koppel failed.")
                return _error(500, "failed", "Creme failed; its log tells more.")

        return answer

    return wrap


def _answered(request: HttpRequest, view: _View) -> HttpResponse:
    user = tokens.caller(request)
    if user is None:
        return _error(401, "unauthorized", "A valid token of an active Creme user is needed.")
    # Creme's history and its caches go by this, not by the request.
    set_global_info(user=user, per_request_cache={})
    language = user.language or translation.get_language()
    with translation.override(language), timezone.override(UTC):
        user.has_perm_to_access_or_die("persons")
        given = request.GET if request.method == "GET" else _body(request)
        return JsonResponse(view(Session(user), given), json_dumps_params={"ensure_ascii": False})


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        given = json.loads(request.body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise BadCall(400, "bad_json", "The body must be a JSON object.")
    return given


def _error(status: int, code: str, message: str, retry_after: int = 0) -> HttpResponse:
    response = JsonResponse({"error": {"code": code, "message": message}}, status=status)
    if retry_after:
        response["Retry-After"] = str(retry_after)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _whole(given: Any, name: str, default: int) -> int:
    text = given.get(name, "")
    if text in ("", None):
        return default
    try:
        return int(text)
    except (TypeError, ValueError):
        raise BadCall(400, "bad_number", f"{name} must be a whole number.") from None


_RIGHTS = {
    "view": EntityCredentials.VIEW,
    "change": EntityCredentials.CHANGE,
    "delete": EntityCredentials.DELETE,
    "link": EntityCredentials.LINK,
    "unlink": EntityCredentials.UNLINK,
}


@_endpoint("GET")
def health(session: Session, given: Any) -> Any:
    """Who are we, and what may our user do? What sales need is told apart: not all couple them."""
    user = session.user
    messages, notes = [], []
    for kind in resources().values():
        lacking = _lacking(user, kind)
        if lacking:
            (messages if kind.app == "persons" else notes).append(
                f"The Creme user {user.username} may not {', '.join(lacking)} {kind.name}."
            )
    if not session.managed():
        messages.append("No organisation is marked as managed; roles cannot be written.")
    return {
        "system": "Creme CRM",
        "version": creme_version,
        "addon": __version__,
        "user": user.username,
        "resources": list(resources()),
        "messages": messages,
        "notes": notes,
    }


def _lacking(user: Any, kind: Resource) -> list[str]:
    """What this user may not do with a kind of record."""
    if not user.has_perm_to_access(kind.app):
        return ["access"]
    lacking = [] if kind.read_only or user.has_perm_to_create(kind.model) else ["create"]
    if user.is_superuser:
        return lacking
    wanted = {"view": EntityCredentials.VIEW} if kind.read_only else _RIGHTS
    return lacking + [
        name
        for name, right in wanted.items()
        if not user.role.can_do_on_model(user=user, model=kind.model, owner=None, perm=right)
    ]


@_endpoint("GET")
def describe(session: Session, given: Any) -> Any:
    """All kinds of record with their fields."""
    return {"resources": [kind.describe(session) for kind in resources().values()]}


@_endpoint("GET")
def now(session: Session, given: Any) -> Any:
    """A cursor after which every later change is told."""
    resource_for(session, given.get("resource", ""))
    return {"cursor": str(feed.now())}


@_endpoint("GET")
def changes(session: Session, given: Any) -> Any:
    """What changed since a cursor."""
    kind = resource_for(session, given.get("resource", ""))
    return feed.changes(session, kind, given.get("since") or None, _whole(given, "limit", 200))


@_endpoint("GET")
def ids(session: Session, given: Any) -> Any:
    """One page of the sweep."""
    kind = resource_for(session, given.get("resource", ""))
    return reading.sweep(session, kind, _whole(given, "after", 0), _whole(given, "limit", 1000))


@_endpoint("POST")
def fetch(session: Session, given: Any) -> Any:
    """Records by their ids."""
    wanted = given.get("ids")
    if not isinstance(wanted, list) or not all(isinstance(pk, str) for pk in wanted):
        raise BadCall(400, "bad_ids", "ids must be a list of texts.")
    return reading.fetch(session, resource_for(session, given.get("resource", "")), wanted)


@_endpoint("POST")
def find(session: Session, given: Any) -> Any:
    """Records by their content."""
    match = given.get("match")
    if not isinstance(match, dict) or not match:
        raise BadCall(400, "bad_match", "match must name at least one field.")
    kind = resource_for(session, given.get("resource", ""))
    return {"records": reading.find(session, kind, match, _whole(given, "limit", 5))}


@_endpoint("POST")
def write(session: Session, given: Any) -> Any:
    """A batch of writes."""
    batch = given.get("writes")
    if not isinstance(batch, list):
        raise BadCall(400, "bad_write", "writes must be a list.")
    return {"outcomes": writing.write(session, batch)}


@_endpoint("GET")
def lists(session: Session, given: Any) -> Any:
    """The value lists that may follow the ERP's, with what they hold."""
    return {"lists": value_lists.known(), "may_keep": value_lists.may_keep(session)}


@_endpoint("POST")
def keep(session: Session, given: Any) -> Any:
    """Add to a value list what it lacks."""
    with atomic():
        return value_lists.keep(session, given)


@_endpoint("POST")
def recover(session: Session, given: Any) -> Any:
    """What became of a write."""
    return {"outcome": writing.recover(session, given.get("write"))}
