"""Who calls: a token in the `Authorization` header, and the Creme user who stands behind it."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.contrib.auth import get_user_model
from django.http import HttpRequest

from . import conf
from .models import Token

SCHEME = "bearer"


def digest(token: str) -> str:
    """What is stored instead of a token. Tokens are long and random, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token(user, label: str = "") -> str:
    """Make a token for a user; this is the only time that its text can be seen."""
    token = secrets.token_urlsafe(32)
    Token.objects.create(digest=digest(token), user=user, label=label)
    return token


def caller(request: HttpRequest):
    """The active Creme user behind the request's token; None where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != SCHEME or not token:
        return None
    user = _configured(token) or _stored(token)
    return user if user is not None and user.is_active and not user.is_team else None


def _configured(token: str):
    name = None
    for candidate, username in conf.tokens().items():
        # Compare with each, so that the time taken tells nothing about which one was close.
        if hmac.compare_digest(candidate.encode(), token.encode()):
            name = username
    return name and get_user_model().objects.filter(username=name).first()


def _stored(token: str):
    wanted = digest(token)
    row = Token.objects.select_related("user").filter(digest=wanted).first()
    return row.user if row is not None and hmac.compare_digest(row.digest, wanted) else None
