"""The second factor: one-time codes of an authenticator app, recovery codes, and who has to.

A code counts once. The secret is encrypted at rest; recovery codes are told once, when they are
made, and kept as digests.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django_otp.oath import TOTP

from koppel.errors import NeedsUser
from koppel.store.opening import Clock
from koppel.store.people_models import RecoveryCode, RoleDemand, SecondFactor
from koppel.store.secrets import seal, unseal

STEP = 30
"""Seconds that a code holds."""
TOLERANCE = 1
"""Steps by which the clock of the app may be off."""
SECRET_BYTES = 20
"""As RFC 4226 recommends."""
CODES = 10
"""Recovery codes made at a time."""

Kind = Literal["code", "recovery code"]

_STANDING = """
SELECT f.id, f.confirmed_at, EXISTS(
 SELECT 1 FROM store_roledemand d JOIN auth_group r ON r.id = d.role_id
 WHERE r.name = %s OR r.id IN (SELECT m.group_id FROM auth_user_groups m WHERE m.user_id = u.id))
FROM auth_user u LEFT JOIN store_secondfactor f ON f.user_id = u.id WHERE u.id = %s
"""


@dataclass(frozen=True)
class Standing:
    """How it stands with a person: `factor` is None where none is confirmed."""

    factor: int | None
    demanded: bool


class SecondFactorStore:
    """Sets up, checks and removes second factors."""

    def __init__(
        self, clock: Clock, key: bytes, find_key: Callable[[], bytes] | None = None
    ) -> None:
        self._clock = clock
        self._key = key
        self._find_key = find_key

    def standing(self, user: Any) -> Standing:
        """Has this user a confirmed factor, and does one of the user's roles demand one?"""
        with connection.cursor() as cursor:
            # Every page asks this: as plain SQL it costs a fraction of what the ORM takes.
            cursor.execute(_STANDING, ["administrator" if user.is_superuser else "", user.id])
            found = cursor.fetchone()
        if found is None:
            return Standing(None, False)
        factor, confirmed_at, demanded = found
        return Standing(factor if confirmed_at else None, bool(demanded))

    def confirmed(self) -> frozenset[str]:
        """The names of all who have a confirmed factor."""
        rows = SecondFactor.objects.filter(confirmed_at__isnull=False)
        return frozenset(rows.values_list("user__username", flat=True))

    def codes_left(self, name: str) -> int:
        """How many recovery codes a person has left."""
        return RecoveryCode.objects.filter(factor__user__username=name).count()

    def begin(self, name: str) -> str:
        """The secret (base32) of a factor that waits to be confirmed; the same until it is.

        `NeedsUser` where there is a confirmed one.
        """
        user = get_user_model().objects.get(username=name)
        row = SecondFactor.objects.filter(user=user).first()
        if row is not None and row.confirmed_at is not None:
            raise NeedsUser("a second factor is set up already", remedy="Switch it off first")
        if row is None:
            secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
            SecondFactor.objects.create(
                user=user, secret=seal({"totp": secret}, self._newest()), made_at=self._clock()
            )
            return secret
        return self._secret(row)

    def confirm(self, name: str, code: str) -> list[str] | None:
        """Switch a factor on with its first code: its recovery codes; None for a wrong code."""
        row = SecondFactor.objects.filter(user__username=name, confirmed_at=None).first()
        if row is None or not self._takes(row, code):
            return None
        SecondFactor.objects.filter(id=row.id).update(confirmed_at=self._clock())
        return self._new_codes(row)

    def check(self, name: str, code: str) -> Kind | None:
        """Is this a code of the app or a recovery code? Either counts once."""
        row = SecondFactor.objects.filter(user__username=name, confirmed_at__isnull=False).first()
        if row is None:
            return None
        if self._takes(row, code):
            return "code"
        return "recovery code" if self._takes_recovery(row, code) else None

    def new_codes(self, name: str) -> list[str]:
        """New recovery codes; the old ones are worthless."""
        return self._new_codes(self._row(name))

    def remove(self, name: str) -> None:
        """Forget a person's factor; `NeedsUser` where there is none."""
        self._row(name).delete()

    # roles

    def demands(self) -> frozenset[str]:
        """The roles whose people have to have a second factor."""
        return frozenset(RoleDemand.objects.values_list("role__name", flat=True))

    def demand(self, role: str, wanted: bool) -> None:
        """Let a role demand a second factor, or no longer."""
        group = Group.objects.filter(name=role).first()
        if group is None:
            raise NeedsUser(f"there is no role '{role}'", remedy="See them: Set-up, Users")
        if wanted:
            RoleDemand.objects.get_or_create(role=group)
        else:
            RoleDemand.objects.filter(role=group).delete()

    # codes

    def _takes(self, row: SecondFactor, code: str) -> bool:
        digits = "".join(code.split())
        if not (digits.isascii() and digits.isdigit() and len(digits) == 6):
            return False
        totp = TOTP(base64.b32decode(self._secret(row)), step=STEP)
        totp.time = self._clock().timestamp()
        if not totp.verify(int(digits), tolerance=TOLERANCE, min_t=row.last_step + 1):
            return False
        # Of two sign-ins with one code at the same moment, one is let in.
        rows = SecondFactor.objects.filter(id=row.id, last_step__lt=totp.t())
        return rows.update(last_step=totp.t()) == 1

    def _takes_recovery(self, row: SecondFactor, code: str) -> bool:
        return RecoveryCode.objects.filter(factor=row, digest=_digest(code)).delete()[0] == 1

    def _new_codes(self, row: SecondFactor) -> list[str]:
        codes = [_code() for _ in range(CODES)]
        with transaction.atomic():
            RecoveryCode.objects.filter(factor=row).delete()
            RecoveryCode.objects.bulk_create(
                RecoveryCode(factor=row, digest=_digest(code)) for code in codes
            )
        return codes

    def _row(self, name: str) -> SecondFactor:
        row = SecondFactor.objects.filter(user__username=name).first()
        if row is None:
            raise NeedsUser(f"'{name}' has no second factor", remedy="List: koppel user list")
        return row

    def _secret(self, row: SecondFactor) -> str:
        try:
            return unseal(bytes(row.secret), self._key)["totp"]
        except NeedsUser:
            if self._newest() == self._key:
                raise
            self._key = self._newest()
            return unseal(bytes(row.secret), self._key)["totp"]

    def _newest(self) -> bytes:
        return self._find_key() if self._find_key is not None else self._key

    def seal_anew(self) -> int:
        """Write all secrets with the newest key, after it was rotated; how many."""
        rows = list(SecondFactor.objects.all())
        for row in rows:
            sealed = seal({"totp": self._secret(row)}, self._newest())
            SecondFactor.objects.filter(id=row.id).update(secret=sealed)
        return len(rows)


def address_for_app(name: str, secret: str, issuer: str = "Koppel") -> str:
    """What an authenticator app reads from the QR code."""
    query = urlencode({"secret": secret, "issuer": issuer, "period": STEP, "digits": 6})
    return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{query}"


def _code() -> str:
    """80 bits in four groups of letters and digits that are not taken for each other."""
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[place : place + 4] for place in range(0, 16, 4))


def _digest(code: str) -> str:
    plain = "".join(one for one in code.lower() if one.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
