"""People who may use Koppel: users, their roles, what each role may, and failed sign-ins.

A role is a group of Django's; what it may is a list of (action, entity), where `*` stands for every
entity. `koppel.web.rights` says which action each page asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from koppel.errors import NeedsUser
from koppel.store.models import RoleRight, SignInFailure
from koppel.store.opening import Clock

Action = Literal[
    "view",
    "figures",
    "synchronise",
    "decide",
    "approve",
    "export",
    "configure",
    "privacy",
    "people",
]
"""What one may do: see records, runs and the journal; see money; press a button for one record;
decide what waits in the inbox; approve held plans and take runs back; download lists; change
connections, mappings and rules; export and erase a person's data; manage users and read the log."""

ACTIONS: tuple[Action, ...] = get_args(Action)
ANY = "*"

DEFAULT_ROLES: Mapping[str, tuple[Action, ...]] = {
    "administrator": ACTIONS,
    "integrator": ("view", "synchronise", "decide", "approve", "export", "configure"),
    "clerk": ("view", "figures", "synchronise", "decide", "export"),
    "sales": ("view", "figures", "synchronise"),
    "viewer": ("view",),
}
"""What the roles that Koppel brings may at first; an administrator can change it."""

WINDOW = timedelta(minutes=15)
"""How long a failed sign-in counts, and how long a lock lasts after the last one."""
PER_NAME = 5
"""Failures for one name from one address until that name is locked for that address."""
PER_ADDRESS = 30
"""Failures from one address, whatever the names, until the address is locked."""
PER_CODE = 10
"""Wrong codes for one name, from whatever addresses, until no code of that name is taken."""
_ANYWHERE = "*"
_RIGHTS = """
SELECT r.action, r.entity FROM store_roleright r JOIN auth_user_groups m ON m.group_id = r.role_id
WHERE m.user_id = %s
"""


@dataclass(frozen=True)
class Person:
    """A user as pages and commands show one."""

    name: str
    full_name: str
    email: str
    roles: tuple[str, ...]
    active: bool
    last_login: datetime | None
    superuser: bool


class PeopleStore:
    """Reads and writes users, roles and rights."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def all(self) -> list[Person]:
        """All users by name."""
        rows = get_user_model().objects.order_by("username").prefetch_related("groups")
        return [_person(row) for row in rows]

    def get(self, name: str) -> Person:
        """One user; `NeedsUser` where there is none of that name."""
        return _person(_row(name))

    def add(
        self,
        name: str,
        password: str,
        roles: Sequence[str],
        *,
        email: str = "",
        full_name: str = "",
    ) -> Person:
        """A new user. `NeedsUser` for a name that is taken, a weak password, an unknown role."""
        users = get_user_model().objects
        if not name.strip() or users.filter(username=name).exists():
            raise NeedsUser(
                f"there is a user called '{name}' already" if name.strip() else "a name is needed",
                remedy="Choose another name, or change that user: koppel user role",
            )
        groups = self._groups(roles)
        user = get_user_model()(username=name, email=email, first_name=full_name)
        _check_password(password, user)
        with transaction.atomic():
            user.set_password(password)
            user.save()
            user.groups.set(groups)
        return _person(user)

    def set_roles(self, name: str, roles: Sequence[str]) -> Person:
        """Replace a user's roles; the last administrator stays one."""
        user, groups = _row(name), self._groups(roles)
        if "administrator" not in roles:
            self._not_the_last(user)
        user.groups.set(groups)
        return _person(user)

    def set_password(self, name: str, password: str) -> None:
        """Replace a user's password; all of that user's sessions end."""
        user = _row(name)
        _check_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])

    def set_active(self, name: str, active: bool) -> None:
        """Let a user in, or keep the user out without forgetting who it was."""
        user = _row(name)
        if not active:
            self._not_the_last(user)
        user.is_active = active
        user.save(update_fields=["is_active"])

    def remove(self, name: str) -> None:
        """Forget a user; the audit log keeps the name."""
        user = _row(name)
        self._not_the_last(user)
        user.delete()

    def _not_the_last(self, user: User) -> None:
        """Somebody must be able to let others in."""
        person = _person(user)
        if not (person.superuser or "administrator" in person.roles):
            return
        others = [
            one
            for one in self.all()
            if one.active
            and one.name != person.name
            and (one.superuser or "administrator" in one.roles)
        ]
        if not others:
            raise NeedsUser(
                f"'{person.name}' is the last administrator",
                remedy="Make another one first: koppel user add NAME --role administrator",
            )

    def _groups(self, roles: Sequence[str]) -> list[Group]:
        found = {group.name: group for group in Group.objects.filter(name__in=roles)}
        for role in roles:
            if role not in found:
                raise NeedsUser(
                    f"there is no role '{role}'", remedy=f"There are: {', '.join(self.roles())}"
                )
        return list(found.values())

    # what a role may

    def roles(self) -> dict[str, frozenset[tuple[str, str]]]:
        """Role -> its rights as (action, entity), in the order in which roles were made."""
        rights: dict[str, set[tuple[str, str]]] = {
            name: set() for name in Group.objects.order_by("id").values_list("name", flat=True)
        }
        for role, action, entity in RoleRight.objects.values_list("role__name", "action", "entity"):
            rights[role].add((action, entity))
        return {role: frozenset(found) for role, found in rights.items()}

    def set_rights(self, role: str, rights: Iterable[tuple[str, str]]) -> None:
        """Replace what a role may; the role is made where there is none of that name."""
        wanted = set(rights)
        for action, _ in wanted:
            if action not in ACTIONS:
                raise NeedsUser(
                    f"'{action}' is no action", remedy=f"There are: {', '.join(ACTIONS)}"
                )
        if role == "administrator" and wanted != {(action, ANY) for action in ACTIONS}:
            raise NeedsUser("an administrator may everything; make another role instead")
        with transaction.atomic():
            group, _ = Group.objects.get_or_create(name=role)
            RoleRight.objects.filter(role=group).delete()
            RoleRight.objects.bulk_create(
                RoleRight(role=group, action=action, entity=entity) for action, entity in wanted
            )

    def rights_of(self, user: Any) -> frozenset[tuple[str, str]]:
        """What a user may, as (action, entity); nothing where not signed in or not active."""
        if not getattr(user, "is_active", False):
            return frozenset()
        if user.is_superuser:
            return frozenset((action, ANY) for action in ACTIONS)
        with connection.cursor() as cursor:
            # Every page asks this: as plain SQL it costs a fraction of what the ORM takes.
            cursor.execute(_RIGHTS, [user.id])
            return frozenset(cursor.fetchall())

    # failed sign-ins

    def locked(self, name: str, address: str) -> bool:
        """Were there too many failures lately?"""
        since = self._clock() - WINDOW
        rows = SignInFailure.objects.filter(address=address, at__gt=since)
        if rows.count() >= PER_ADDRESS:
            return True
        return rows.filter(name=_hidden(name)).count() >= PER_NAME

    def sign_in_failed(self, name: str, address: str) -> None:
        """Count a failure, and forget those that count no longer."""
        now = self._clock()
        SignInFailure.objects.filter(at__lt=now - WINDOW).delete()
        SignInFailure.objects.create(name=_hidden(name), address=address, at=now)

    def code_locked(self, name: str, address: str) -> bool:
        """Were there too many wrong codes, or failures of any kind, lately?

        Codes are counted over all addresses: six digits would be guessed from many otherwise.
        """
        since = self._clock() - WINDOW
        wrong = SignInFailure.objects.filter(
            address=_ANYWHERE, name=_hidden(f"code of {name}"), at__gt=since
        )
        return wrong.count() >= PER_CODE or self.locked(name, address)

    def code_failed(self, name: str, address: str) -> None:
        """Count a wrong code."""
        self.sign_in_failed(name, address)
        self.sign_in_failed(f"code of {name}", _ANYWHERE)

    def signed_in(self, name: str, address: str) -> None:
        """A whole sign-in clears the failures of this name at this address, and wrong codes."""
        SignInFailure.objects.filter(name=_hidden(name), address=address).delete()
        SignInFailure.objects.filter(name=_hidden(f"code of {name}"), address=_ANYWHERE).delete()


def _hidden(name: str) -> str:
    """People type passwords into the wrong field: what was typed is not kept."""
    return hashlib.sha256(name.strip().casefold().encode()).hexdigest()


def _row(name: str) -> User:
    row = get_user_model().objects.filter(username=name).first()
    if row is None:
        raise NeedsUser(f"there is no user '{name}'", remedy="List them with: koppel user list")
    return row


def _person(row: User) -> Person:
    return Person(
        name=row.username,
        full_name=row.get_full_name(),
        email=row.email,
        roles=tuple(sorted(group.name for group in row.groups.all())),
        active=row.is_active,
        last_login=row.last_login,
        superuser=row.is_superuser,
    )


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise NeedsUser(
            "the password is too weak: " + " ".join(error.messages),
            remedy="Choose a longer one",
        ) from error
