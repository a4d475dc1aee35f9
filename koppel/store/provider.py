"""The sign-in service of the company (OpenID Connect): how it is set up, and whom it vouches for.

The settings are a document; the client's secret comes from the environment. A person is known by
the service's own identifier for that person, never by a name or address, which may pass to another.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from msgspec import Struct, field

from koppel import typed
from koppel.errors import NeedsUser
from koppel.store.documents import DocumentStore
from koppel.store.opening import Clock
from koppel.store.people import PeopleStore
from koppel.store.people_models import Identity

KIND, NAME = "sign-in", "provider"
SECRET = "KOPPEL_OIDC_SECRET"
"""The environment's name of the client's secret; a public client has none."""
LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service is, what it tells of a person, and what that means here.

    `create`: whoever it vouches for, and has a role, may come in without being made a user first.
    `passwords`: names and passwords are taken beside it. `role_claim`: where its token has groups,
    with dots between the levels; empty: roles are given here. `ca_file`: the certificate of an
    authority of your own.
    """

    issuer: str
    client_id: str
    label: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    role_claim: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    create: bool = False
    passwords: bool = True
    ca_file: str = ""

    @property
    def secret(self) -> str:
        """The client's secret; it is in no document."""
        return os.environ.get(SECRET, "")

    def roles_of(self, claims: Mapping[str, Any]) -> list[str]:
        """The roles that the token's groups stand for."""
        found = claim(claims, self.role_claim)
        groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        return sorted({self.roles[one] for one in groups if one in self.roles})


class Refused(NeedsUser):
    """The service vouches for this person, and Koppel does not let the person in."""


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by its path with dots between the levels; None where it is not."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def parse_provider(text: str, *, source: str = "sign-in.toml") -> ProviderSettings:
    """Read the document; `NeedsUser` says what is wrong with it."""
    try:
        told = typed.convert(tomllib.loads(text), ProviderSettings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the document") from error
    check_address(told.issuer, source)
    if "openid" not in told.scopes:
        raise NeedsUser("'scopes' lacks 'openid'", place=source, remedy="Add it")
    if bool(told.role_claim) != bool(told.roles):
        raise NeedsUser(
            "'role_claim' and the table 'roles' belong together",
            place=source,
            remedy="Give both, or neither: then roles are given here",
        )
    return told


def check_address(address: str, source: str) -> None:
    """An address of the service is HTTPS, unless it is on this machine."""
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL):
        return
    raise NeedsUser(f"'{address}' is no https:// address", place=source, remedy="Use HTTPS")


class ProviderStore:
    """The settings, and which user each person of the service is."""

    def __init__(self, clock: Clock, documents: DocumentStore, people: PeopleStore) -> None:
        self._clock = clock
        self._documents = documents
        self._people = people

    def settings(self) -> ProviderSettings | None:
        """As they are live; None where no service is set up."""
        text = self._documents.get(KIND, NAME)
        return parse_provider(text, source=f"{KIND} {NAME}") if text and text.strip() else None

    def set_up(self, text: str, *, source: str, user: str) -> ProviderSettings:
        """Check a document and make it live. Raises `NeedsUser` where something is wrong."""
        told = parse_provider(text, source=source)
        known = self._people.roles()
        for group, role in told.roles.items():
            if role not in known:
                raise NeedsUser(
                    f"'{group}' stands for the role '{role}', which is not there",
                    place=source,
                    remedy=f"There are: {', '.join(known)}",
                )
        self._documents.put(KIND, NAME, text, author=user)
        return told

    def switch_off(self, user: str) -> None:
        """No service from now on; names and passwords are taken again."""
        self._documents.put(KIND, NAME, "", author=user)

    def link(self, name: str, subject: str) -> None:
        """Say that a user is this person of the service."""
        settings = self.settings()
        if settings is None:
            raise NeedsUser("no sign-in service is set up", remedy="koppel sign-in set FILE")
        self._people.get(name)
        user = get_user_model().objects.get(username=name)
        Identity.objects.update_or_create(
            issuer=settings.issuer, subject=subject, defaults={"user": user, "at": self._clock()}
        )

    def person(self, settings: ProviderSettings, claims: Mapping[str, Any]) -> User:
        """The user whom the service vouches for; made on first sight where that is allowed.

        Where roles come from the token, they replace the user's at every sign-in. Raises `Refused`.
        """
        subject = str(claims["sub"])
        roles = settings.roles_of(claims)
        if settings.role_claim and not roles:
            raise Refused(
                "none of your groups has a role here", remedy="Ask an administrator for one"
            )
        known = Identity.objects.filter(issuer=settings.issuer, subject=subject)
        row = known.select_related("user").first()
        user = row.user if row is not None else self._first_time(settings, claims, subject, roles)
        if not user.is_active:
            raise Refused("you are kept out", remedy="Ask an administrator")
        if settings.role_claim:
            self._people.set_roles(user.get_username(), roles)
        return user

    def _first_time(
        self, settings: ProviderSettings, claims: Mapping[str, Any], subject: str, roles: list[str]
    ) -> User:
        name = str(claim(claims, settings.name_claim) or "").strip()
        users = get_user_model().objects
        if not settings.create:
            raise Refused(
                "you are no user here yet",
                remedy=f"Ask an administrator: koppel sign-in link NAME {subject}",
            )
        if not name or len(name) > 150:
            raise Refused(f"the sign-in service tells no {settings.name_claim}")
        if users.filter(username__iexact=name).exists():
            raise Refused(
                f"there is a user called '{name}' already, and nobody said that it is you",
                remedy=f"Ask an administrator: koppel sign-in link {name} {subject}",
            )
        user = get_user_model()(
            username=name,
            email=str(claims.get("email") or "")[:254],
            first_name=str(claims.get("name") or "")[:150],
        )
        user.set_unusable_password()
        try:
            with transaction.atomic():
                user.save()
                Identity.objects.create(
                    user=user, issuer=settings.issuer, subject=subject, at=self._clock()
                )
                self._people.set_roles(name, roles)
        except IntegrityError as error:
            raise Refused("two sign-ins met", remedy="Sign in again") from error
        return user
