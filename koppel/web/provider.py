"""Signing in by the company's sign-in service: OpenID Connect, code flow with PKCE.

Authlib speaks the protocol and checks the token: signature, issuer, audience, age, nonce. What is
added here: the issuer is the one of the settings, every address is HTTPS, no algorithm with a
shared secret or without signature is taken, and a state counts once.
"""

from __future__ import annotations

import hmac
import time
from typing import Any

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import (
    BaseApp,
    FrameworkIntegration,
    OAuth2Mixin,
    OAuthError,
    OpenIDMixin,
)
from authlib.integrations.requests_client import OAuth2Session
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from joserfc.errors import JoseError

from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.store.provider import NAME, ProviderSettings, check_address
from koppel.web.notes import trouble
from koppel.web.rights import OPEN, declare
from koppel.web.second_factor import BACKEND, PASSED, PROVIDER, address_of
from koppel.web.service import current

_PENDING = "sign-in service"
PATIENCE = 600
"""Seconds that the service and the person may take."""
FRESH = 3600
"""Seconds for which what the service says of itself is kept."""
TIMEOUT = 10.0
"""Seconds for one answer of the service."""
ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
)
"""With which a token may be signed: those whose verifying key is public."""


class _App(OAuth2Mixin, OpenIDMixin, BaseApp):  # type: ignore[misc]  # Authlib has no types
    """Authlib's client."""

    client_cls = OAuth2Session


class Provider:
    """The service, with what it says of itself."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings, self.secret = settings, settings.secret
        self.made = time.monotonic()
        trust = {"verify": settings.ca_file} if settings.ca_file else {}
        issuer = settings.issuer.rstrip("/")
        self.app = _App(
            FrameworkIntegration("koppel"),
            "koppel",
            client_id=settings.client_id,
            client_secret=settings.secret or None,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                **trust,
                # What is sent is for the service alone.
                "max_redirects": 0,
                "default_timeout": TIMEOUT,
                "scope": " ".join(settings.scopes),
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": (
                    "client_secret_basic" if settings.secret else "none"
                ),
            },
        )

    def check(self) -> dict[str, Any]:
        """What the service says of itself, where that can be relied upon. Raises `NeedsUser`."""
        told: dict[str, Any] = self.app.load_server_metadata()
        if told.get("issuer") != self.settings.issuer:
            raise NeedsUser(
                f"the sign-in service calls itself '{told.get('issuer')}', "
                f"not '{self.settings.issuer}'",
                remedy="Write 'issuer' just as it says",
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            check_address(str(told.get(name, "")), f"the sign-in service, {name}")
        offered = told.get("id_token_signing_alg_values_supported") or ["RS256"]
        told["id_token_signing_alg_values_supported"] = sorted(ALGORITHMS & set(offered))
        return told

    def begin(self, back: str) -> dict[str, Any]:
        """The address to send the browser to, with state, nonce and verifier."""
        self.check()
        begun: dict[str, Any] = self.app.create_authorization_url(back, state=generate_token(32))
        return begun

    def claims(self, code: str, begun: dict[str, Any]) -> dict[str, Any]:
        """Change the code for a token, and what the token says. Raises what Authlib raises."""
        self.check()
        token = self.app.fetch_access_token(
            redirect_uri=begun["back"], code=code, code_verifier=begun["code_verifier"]
        )
        found = self.app.parse_id_token(
            token,
            nonce=begun["nonce"],
            claims_options={
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
            },
        )
        if found is None:
            raise OAuthError("no_id_token", "the answer holds no token of identity")
        return dict(found)


_kept: dict[str, Provider] = {}


def provider(settings: ProviderSettings) -> Provider:
    """The service for these settings; asked anew after an hour."""
    found = _kept.get(NAME)
    if (
        found is None
        or found.settings != settings
        or found.secret != settings.secret
        or time.monotonic() - found.made > FRESH
    ):
        found = _kept[NAME] = Provider(settings)
    return found


def _settings() -> ProviderSettings:
    settings = current().store.provider.settings()
    if settings is None:
        raise Http404
    return settings


@never_cache
@declare(OPEN)
def provider_begin(request: HttpRequest) -> HttpResponse:
    """To the service. By a link: the page's policy lets no form lead elsewhere."""
    settings = _settings()
    back = request.build_absolute_uri(reverse("provider_back"))
    try:
        begun = provider(settings).begin(back)
    except (KoppelError, OAuthError, requests.RequestException, ValueError) as error:
        return _refused(request, error)
    request.session[_PENDING] = {
        "state": begun["state"],
        "nonce": begun["nonce"],
        "code_verifier": begun["code_verifier"],
        "back": back,
        "then": request.GET.get("next", ""),
        "at": current().clock().timestamp(),
    }
    return HttpResponseRedirect(begun["url"])


@never_cache
@declare(OPEN)
def provider_back(request: HttpRequest) -> HttpResponse:
    """Back from the service: signed in, or told why not."""
    settings, begun = _settings(), request.session.pop(_PENDING, None)
    told = request.GET
    try:
        _check_state(begun, told.get("state", ""), told.get("iss", ""), settings)
        if told.get("error"):
            raise OAuthError(told["error"], told.get("error_description"))
        claims = provider(settings).claims(told.get("code", ""), begun)
        user = current().store.provider.person(settings, claims)
    except (KoppelError, OAuthError, JoseError, requests.RequestException, ValueError) as error:
        return _refused(request, error)
    login(request, user, backend=BACKEND)
    request.session[PASSED] = PROVIDER
    current().store.audit_log.write(
        user.get_username(), "sign in", address_of(request), by="sign-in service"
    )
    then = str(begun["then"])
    safe = url_has_allowed_host_and_scheme(then, {request.get_host()}, request.is_secure())
    return redirect(then if safe else "home")


def _check_state(begun: Any, state: str, issuer: str, settings: ProviderSettings) -> None:
    """Did this browser begin this sign-in, just now, with this service?"""
    late = begun and current().clock().timestamp() - float(begun["at"]) > PATIENCE
    if not begun or late or not hmac.compare_digest(state.encode(), begun["state"].encode()):
        raise NeedsUser("this sign-in was not begun here, or too long ago", remedy="Sign in again")
    if issuer and issuer != settings.issuer:
        raise NeedsUser("the answer is from another sign-in service", remedy="Sign in again")


def _refused(request: HttpRequest, error: Exception) -> HttpResponse:
    """Back to the sign-in page with a sentence; what went wrong in detail is in the audit log."""
    current().store.audit_log.write(
        "", "sign-in refused", address_of(request), by="sign-in service", why=str(error)[:300]
    )
    if isinstance(error, requests.RequestException):
        error = TryLater("the sign-in service does not answer")
    if isinstance(error, KoppelError):
        trouble(request, error)
    else:
        trouble(request, _("The sign-in service did not let you in. Try again."))
    return redirect("login")
