"""The second factor on the pages: asked for at sign-in, set up and switched off by its owner.

An administrator can take it away from somebody who lost the app, and can demand it of a role;
`koppel.web.middleware` lets nobody on who has yet to show or to set up one.
"""

from __future__ import annotations

from typing import Any

import segno
from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from koppel.errors import KoppelError
from koppel.store.second_factor import address_for_app
from koppel.web.notes import note, trouble
from koppel.web.rights import HALF, OPEN, declare, needs, who
from koppel.web.service import current

PASSED = "second factor"
"""In a session: the factor that was shown, or `PROVIDER`."""
PROVIDER = "provider"
"""The sign-in service vouches for the person, by whatever factors it asks for."""
_HALF = "half signed in"
PATIENCE = 300
"""Seconds between the password and the code."""
BACKEND = "django.contrib.auth.backends.ModelBackend"


def address_of(request: HttpRequest | None) -> str:
    """The address of who asks; behind a proxy, what the server was told to trust."""
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


def half_way(request: HttpRequest, user: User, then: str) -> HttpResponse:
    """The password is right, and a code is asked for next."""
    request.session.cycle_key()
    request.session[_HALF] = {
        "user": user.pk,
        "at": current().clock().timestamp(),
        "password": user.get_session_auth_hash(),
        "then": then,
    }
    return redirect("sign_in_code")


def _half(request: HttpRequest) -> tuple[User, str] | None:
    """Who is half signed in, and where to go then; None where nobody is, or too long ago."""
    told = request.session.get(_HALF)
    if not isinstance(told, dict):
        return None
    user = get_user_model().objects.filter(pk=told["user"], is_active=True).first()
    late = current().clock().timestamp() - float(told["at"]) > PATIENCE
    if user is None or late or told["password"] != user.get_session_auth_hash():
        del request.session[_HALF]
        return None
    return user, str(told["then"])


@sensitive_post_parameters()
@never_cache
@declare(OPEN)
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """Second page of signing in: the code of the app, or a recovery code."""
    half = _half(request)
    if half is None:
        return redirect("login")
    user, then = half
    fault = ""
    if request.method == "POST":
        kind, fault = _checked(request, user.get_username())
        if kind:
            return _signed_in(request, user, then, kind)
    return render(request, "web/sign_in_code.html", {"fault": fault})


def _checked(request: HttpRequest, name: str) -> tuple[str, str]:
    """What the code was that was typed, and what is wrong with it; one of both is empty.

    While too many failed, the code is not even looked at.
    """
    store, address = current().store, address_of(request)
    if store.people.code_locked(name, address):
        return "", _("Too many failed attempts. Try again in a quarter of an hour.")
    kind = store.second_factors.check(name, request.POST.get("code", ""))
    if kind is None:
        store.people.code_failed(name, address)
        store.audit_log.write(name, "code refused", address)
        return "", _("This code does not fit, or was used already.")
    return kind, ""


def _signed_in(request: HttpRequest, user: User, then: str, kind: str) -> HttpResponse:
    store, name, address = current().store, user.get_username(), address_of(request)
    login(request, user, backend=BACKEND)
    request.session.pop(_HALF, None)
    request.session[PASSED] = store.second_factors.standing(user).factor
    store.people.signed_in(name, address)
    store.audit_log.write(name, "sign in", address, factor=kind)
    if kind == "recovery code":
        left = store.second_factors.codes_left(name)
        note(request, _("You used a recovery code; %(left)d are left.") % {"left": left})
    safe = url_has_allowed_host_and_scheme(then, {request.get_host()}, request.is_secure())
    return redirect(then if safe else "home")


# one's own


@sensitive_post_parameters()
@declare(HALF)
def second_factor(request: HttpRequest) -> HttpResponse:
    """Set up a second factor, or see how it stands; new recovery codes are told here, once."""
    store, name = current().store, who(request)
    standing = store.second_factors.standing(request.user)
    context: dict[str, Any] = {
        "confirmed": standing.factor is not None,
        "demanded": standing.demanded,
        "codes_left": store.second_factors.codes_left(name),
    }
    does = request.POST.get("does", "")
    if request.method == "POST" and standing.factor is None:
        context |= _confirm(request, name)
    elif request.method == "POST" and does in ("new codes", "off"):
        kind, context["fault"] = _checked(request, name)
        if kind and does == "off" and not standing.demanded:
            store.second_factors.remove(name)
            store.audit_log.write(name, "second factor off", name)
            note(request, _("The second factor is switched off."))
            return redirect("account")
        if kind and does == "new codes":
            context["codes"] = store.second_factors.new_codes(name)
            store.audit_log.write(name, "new recovery codes", name)
    if not context["confirmed"]:
        secret = store.second_factors.begin(name)
        context |= {"secret": grouped(secret), "picture": picture(name, secret)}
    return render(request, "web/second_factor.html", context)


def _confirm(request: HttpRequest, name: str) -> dict[str, Any]:
    store, address = current().store, address_of(request)
    if store.people.code_locked(name, address):
        return {"fault": _("Too many failed attempts. Try again in a quarter of an hour.")}
    codes = store.second_factors.confirm(name, request.POST.get("code", ""))
    if codes is None:
        store.people.code_failed(name, address)
        return {"fault": _("This code does not fit. Is the clock of your phone right?")}
    request.session[PASSED] = store.second_factors.standing(request.user).factor
    request.session.cycle_key()
    store.audit_log.write(name, "second factor on", name)
    return {"confirmed": True, "codes": codes, "codes_left": len(codes)}


def picture(name: str, secret: str) -> SafeString:
    """The QR code as an SVG that stands in the page: attributes only, no style, no script."""
    code = segno.make(address_for_app(name, secret), micro=False)
    # Segno's own output, of numbers and fixed words only; nothing that was typed is in it.
    return mark_safe(code.svg_inline(scale=5, border=4, light="#fff", dark="#000"))


def grouped(secret: str) -> str:
    """The secret as it is typed by hand, in groups of four."""
    return " ".join(secret[place : place + 4] for place in range(0, len(secret), 4))


# by an administrator


@require_POST
@needs("people")
def reset_factor(request: HttpRequest) -> HttpResponse:
    """Take the second factor away from somebody who lost the app and the recovery codes."""
    name = request.POST.get("name", "").strip()
    try:
        current().store.second_factors.remove(name)
    except KoppelError as error:
        trouble(request, error)
    else:
        current().store.audit_log.write(who(request), "reset second factor", name)
        note(request, _("Done: %(name)s.") % {"name": name})
    return redirect("users")


@require_POST
@needs("people")
def demand_factor(request: HttpRequest) -> HttpResponse:
    """Demand a second factor of a role, or no longer."""
    role, wanted = request.POST.get("role", "").strip(), bool(request.POST.get("demand"))
    try:
        current().store.second_factors.demand(role, wanted)
    except KoppelError as error:
        trouble(request, error)
    else:
        said = "demand second factor" if wanted else "no longer demand second factor"
        current().store.audit_log.write(who(request), said, role)
        note(request, _("Done: %(name)s.") % {"name": role})
    return redirect("users")
