"""Tokens of the interface: whose they are, what they may, until when. Only digests are kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from koppel.errors import NeedsUser
from koppel.store.models import ApiToken
from koppel.store.opening import Clock
from koppel.store.people import ACTIONS

PREFIX = "koppel_"
"""Begins every token, so that one that leaked is found by those who search for such."""


class TokenStore:
    """Makes, finds and revokes tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def make(self, user: str, name: str, scopes: Sequence[str], *, days: int = 365) -> str:
        """A new token of a user; it is told once and never again. `scopes` are actions."""
        row = get_user_model().objects.filter(username=user).first()
        if row is None:
            raise NeedsUser(f"there is no user '{user}'", remedy="List them: koppel user list")
        for scope in scopes:
            if scope not in ACTIONS:
                raise NeedsUser(f"'{scope}' is no scope", remedy=f"There are: {', '.join(ACTIONS)}")
        token = PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        ApiToken.objects.create(
            user=row,
            name=name,
            digest=_digest(token),
            scopes=sorted(set(scopes)),
            made_at=now,
            until=now + timedelta(days=days),
        )
        return token

    def find(self, token: str) -> tuple[User, frozenset[str]] | None:
        """Whose token that is, and its scopes; None where it is unknown, over or its user out."""
        row = (
            ApiToken.objects.filter(digest=_digest(token), until__gt=self._clock())
            .select_related("user")
            .first()
        )
        if row is None or not row.user.is_active:
            return None
        ApiToken.objects.filter(id=row.id).update(used_at=self._clock())
        return row.user, frozenset(row.scopes)

    def number(self, token: str) -> int | None:
        """A token's number; None where it is unknown or over."""
        rows = ApiToken.objects.filter(digest=_digest(token), until__gt=self._clock())
        return rows.values_list("id", flat=True).first()

    def all(self) -> list[ApiToken]:
        """All tokens by user and name."""
        rows = ApiToken.objects.select_related("user")
        return list(rows.order_by("user__username", "name"))

    def revoke(self, number: int) -> None:
        """Make a token worthless at once."""
        if not ApiToken.objects.filter(id=number).delete()[0]:
            raise NeedsUser(f"there is no token {number}", remedy="List: koppel token list")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
