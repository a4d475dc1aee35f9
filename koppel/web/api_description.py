"""The description of the interface: what is true of every operation, said of every operation.

Ninja describes parameters, bodies and answers; added here are the problems that any operation may
answer with, the header that makes a call unique, and what a program gets where it asks for nothing
there is.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from koppel.web.api_base import PREFIX, api, bearer, problem
from koppel.web.idempotency import View, once
from koppel.web.service import current

_PROBLEMS = {
    "400": "The body is no JSON.",
    "401": "No valid token.",
    "403": "The token or its user may not.",
    "404": "There is nothing at this address.",
    "409": "Not possible as things stand, or another call under this Idempotency-Key.",
    "422": "The request does not fit its description.",
    "503": "A system is away, or Koppel is busy; try later.",
}
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457: `detail` says what helps.",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of your own for this very call: sent again within a day, it is carried "
    "out once and answered alike.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}


def described() -> dict[str, Any]:
    """The interface in OpenAPI 3.1."""
    told: dict[str, Any] = api.get_openapi_schema(path_prefix=f"/{PREFIX}")
    told.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    for operations in told["paths"].values():
        for method, operation in operations.items():
            for status, what in _PROBLEMS.items():
                operation["responses"].setdefault(status, _answer(what))
            for one in operation.get("parameters", []):
                one["schema"] = _without_null(one["schema"])
            if method != "get":
                operation.setdefault("parameters", []).append(_KEY)
    return told


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what is not there is left out."""
    kinds = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **kinds[0]}


def _answer(what: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": what, "content": {"application/problem+json": {"schema": schema}}}


@functools.cache
def _queries() -> Mapping[tuple[str, str], frozenset[str]]:
    """(address, method) -> the names that may stand in its query."""
    return {
        (path.removeprefix(f"/{PREFIX}"), method.upper()): frozenset(
            one["name"] for one in operation.get("parameters", []) if one["in"] == "query"
        )
        for path, operations in api.get_openapi_schema(path_prefix=f"/{PREFIX}")["paths"].items()
        for method, operation in operations.items()
    }


def strict(view: View, route: str) -> View:
    """Refuse names in a query that the description does not have, and carry calls out once.

    A filter that is misspelt would be left out of account otherwise, and all be told.
    """
    address = route.replace("<", "{").replace(">", "}")
    guarded = once(view)

    @functools.wraps(view)
    def asked(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
        known = _queries().get((address, str(request.method)))
        if known is None or current().store.tokens.number(bearer(request)) is None:
            # A method that is not there, or nobody who may ask: the view itself says so.
            return view(request, *arguments, **named)
        strange = sorted(set(request.GET) - known)
        if strange:
            faults = [{"place": ["query", name], "message": "unknown"} for name in strange]
            return problem(422, "The query has a name that is not described.", errors=faults)
        return guarded(request, *arguments, **named)

    return asked
