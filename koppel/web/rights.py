"""Who may open which address: every view declares it, and the middleware holds it to that.

A view without a declaration is refused to everybody, so a page that was forgotten shows at once,
and a test over all addresses and roles says which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from koppel.store.people import ANY, Action

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Right:
    """What an address asks for.

    `open`: nothing; it holds nothing worth protecting. `signed`: a coupled system's signature, or
    a signed link, which the view itself verifies. `token`: an interface token, likewise. `person`:
    anybody who is signed in. Else an `action`, for the entity in the address's part `entity_in`
    where one is named. `seen`: opening it is written into the audit log. `half`: also for somebody
    who has yet to show or to set up a second factor. `anywhere`: a look at it takes the store and
    nothing of the process that does the work, so any process can answer (`koppel.web.front`).
    """

    kind: str
    action: Action | None = None
    entity_in: str = ""
    entity: str = ""
    seen: bool = False
    half: bool = False
    anywhere: bool = False


OPEN = Right("open")
SIGNED = Right("signed")
TOKEN = Right("token")
PERSON = Right("person")
HALF = Right("person", half=True)


def declare(right: Right) -> Callable[[View], View]:
    """Declare what a view asks for."""

    def mark(view: View) -> View:
        view.right = right  # type: ignore[attr-defined]
        return view

    return mark


def needs(
    action: Action,
    *,
    entity: str = "",
    entity_in: str = "",
    seen: bool = False,
    anywhere: bool = False,
) -> Callable[[View], View]:
    """Declare that a view asks for an action: on any entity, on one, or on the address's."""
    return declare(Right("action", action, entity_in, entity, seen, anywhere=anywhere))


def right_of(view: Any) -> Right | None:
    """What a view declares."""
    found = getattr(view, "right", None)
    return found if isinstance(found, Right) else None


class Rights:
    """What the person who asks may do; in templates as `may`: `{% if may.decide %}`."""

    def __init__(self, rights: Collection[tuple[str, str]]) -> None:
        self._rights = frozenset(rights)

    def __getitem__(self, action: str) -> bool:
        return self(action)

    def __call__(self, action: str, entity: str = "") -> bool:
        """With `entity`: on that one; else on any."""
        wanted = {one for act, one in self._rights if act == action}
        return bool(wanted) and (not entity or ANY in wanted or entity in wanted)

    def among(self, action: str, entities: Collection[str]) -> list[str]:
        """Those of these entities on which the action is allowed."""
        return [entity for entity in entities if self(action, entity)]


def rights_of(request: HttpRequest) -> Rights:
    """The rights of the person who asks, looked up once per request."""
    found = getattr(request, "rights", None)
    if isinstance(found, Rights):
        return found
    from koppel.web.service import current

    rights = Rights(current().store.people.rights_of(request.user))
    request.rights = rights  # type: ignore[attr-defined]
    return rights


def require(request: HttpRequest, action: Action, entity: str) -> None:
    """Refuse where the person may not do that with this entity. Raises PermissionDenied."""
    if not rights_of(request)(action, entity):
        raise PermissionDenied(f"{action} {entity}")


def looked(request: HttpRequest, records: int) -> None:
    """Write into the audit log that somebody was shown so many records of a list."""
    from koppel.web.service import current

    searched = bool(request.GET.get("q", "").strip())
    current().looks.add(who(request), request.path, records, searched=searched)


def who(request: HttpRequest) -> str:
    """The name under which the person acts, for logs and runs."""
    return str(request.user.get_username())
