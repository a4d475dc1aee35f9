"""What every answer passes: response headers, rights, and the audit log of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.web.rights import Right, right_of, rights_of, who

Answer = Callable[[HttpRequest], HttpResponse]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Everything comes from Koppel itself; no script and no style stands in a page."""


class Headers:
    """Headers that tell the browser what a page may not do."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.answer(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        )
        if not request.path.startswith(settings.STATIC_URL):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class RightsGate:
    """Holds every view to what it declares; stands after authentication."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.answer(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> HttpResponse | None:
        """None where the view may run."""
        right = right_of(view)
        if right is None:
            raise PermissionDenied(_("This address declares no right; it is closed to everybody."))
        if right.kind in ("open", "signed", "token"):
            return None
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        if not right.half and (elsewhere := _second_factor_first(request)):
            return elsewhere
        if right.action is not None:
            self._check(request, right, kwargs)
        return None

    @staticmethod
    def _check(request: HttpRequest, right: Right, kwargs: Mapping[str, Any]) -> None:
        entity = right.entity or (str(kwargs[right.entity_in]) if right.entity_in else "")
        if not rights_of(request)(str(right.action), entity):
            raise PermissionDenied(right.action)
        if right.seen and request.method == "GET":
            from koppel.web.service import current

            current().store.audit_log.write(who(request), "see", request.path)


def _second_factor_first(request: HttpRequest) -> HttpResponse | None:
    """Where somebody goes first who has yet to show a second factor, or to set one up.

    A session from before the factor was set up, or from before it was changed, ends.
    """
    from koppel.web.second_factor import PASSED, PROVIDER
    from koppel.web.service import current

    passed = request.session.get(PASSED)
    if passed == PROVIDER:
        return None
    standing = current().store.second_factors.standing(request.user)
    if standing.factor == passed and (passed is not None or not standing.demanded):
        return None
    if standing.factor is not None:
        logout(request)
        return _to_sign_in(request)
    if standing.demanded:
        return _to(request, reverse("second_factor"))
    return None


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back; a part of a page sends the whole page there."""
    back = request.get_full_path() if request.method == "GET" else "/"
    if request.headers.get("HX-Request"):
        return _to(request, settings.LOGIN_URL)
    return _to(request, f"{settings.LOGIN_URL}?next={quote(back)}")


def _to(request: HttpRequest, address: str) -> HttpResponse:
    if not request.headers.get("HX-Request"):
        return HttpResponseRedirect(address)
    answer = HttpResponse(status=401)
    answer.headers["HX-Redirect"] = address
    return answer
