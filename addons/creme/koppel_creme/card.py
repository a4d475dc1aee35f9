"""What Koppel says about one record, for the block on its page, and the call behind the button.

Koppel that is away costs a page at most one time-out per quarter minute, since until then it is not
asked again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from . import conf, koppel

REST_SECONDS = 15.0
SYNCHRONISE_TIMEOUT = 30.0


@dataclass(frozen=True)
class Card:
    """One record in Koppel's eyes; `trouble` is a sentence where Koppel cannot say anything."""

    trouble: str = ""
    coupled: bool = False
    state: str = ""
    erp_number: str | None = None
    last_in_step: datetime | None = None
    conflicts: int = 0
    url: str = ""
    view: str = ""
    """A link that shows the record's key figures for a short time, without a sign-in at Koppel."""
    messages: tuple[str, ...] = ()


@dataclass
class _Rest:
    until: float = field(default=0.0)


_rest = _Rest()


def card(resource: str, pk: int) -> Card:
    """The card of a record; never raises, and answers within the time-out."""
    asked = ask(f"/api/card/{conf.connection()}/{resource}/{pk}")
    if asked.unknown:
        return Card(state=_("Koppel does not know this record yet."))
    return Card(trouble=asked.trouble) if asked.trouble else _read(asked.body)


@dataclass(frozen=True)
class Asked:
    """What Koppel says to a question: a `body`, or a sentence of `trouble`, or `unknown` (404)."""

    body: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    unknown: bool = False


def ask(path: str, timeout: float = koppel.TIMEOUT, *, pressed: bool = False) -> Asked:
    """Ask Koppel for what a page shows; never raises, and answers within the time-out.

    `pressed`: a person waits for it, so a Koppel that was away a moment ago is asked all the same.
    """
    if not conf.koppel_url():
        return Asked(
            trouble=_("Koppel is not set up here: its address is missing in the settings.")
        )
    if time.monotonic() < _rest.until:
        return Asked(trouble=_away())
    answer = koppel.call("GET", path, timeout=timeout)
    if not answer.reached:
        _rest.until = time.monotonic() + REST_SECONDS
        return Asked(trouble=_away())
    if answer.status == 404:
        return Asked(unknown=True)
    if answer.status in (401, 403):
        return Asked(
            trouble=_("Koppel does not accept Creme's signature; compare the two hint secrets.")
        )
    if answer.status != 200 or not isinstance(answer.body, dict):
        return Asked(trouble=_("Koppel answered with an error; its log tells more."))
    return Asked(body=answer.body)


def _away() -> str:
    return (
        _("Koppel cannot be reached at the moment. Creme works as ever; what is changed now")
        + " "
        + _("is brought into step when Koppel is back.")
    )


def _read(body: dict[str, Any]) -> Card:
    number = body.get("erp_number")
    messages = body.get("messages")
    conflicts = body.get("conflicts")
    return Card(
        coupled=bool(body.get("coupled")),
        state=str(body.get("state") or ""),
        erp_number=None if number is None else str(number),
        last_in_step=_moment(body.get("last_in_step")),
        conflicts=conflicts if isinstance(conflicts, int) else 0,
        url=link(body.get("url")),
        view=link(body.get("card")),
        messages=tuple(map(str, messages)) if isinstance(messages, list) else (),
    )


def _moment(text: Any) -> datetime | None:
    try:
        return parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        return None


def link(given: Any) -> str:
    """A link for people: a path is completed with Koppel's address; only web addresses pass."""
    text = given if isinstance(given, str) else ""
    if text.startswith("/") and not text.startswith("//"):
        return conf.browser_url() + text
    return text if urlsplit(text).scheme in ("http", "https") else ""


@dataclass(frozen=True)
class Result:
    """What the button did: `message` for people, `changes` as Koppel told them."""

    ok: bool
    message: str
    changes: tuple[dict[str, Any], ...] = ()


def synchronise(resource: str, pk: int, username: str) -> Result:
    """Ask Koppel to bring one record into step now, in the name of a Creme user."""
    if not conf.koppel_url():
        return Result(False, _("Koppel is not set up here."))
    answer = press(f"/api/sync/{conf.connection()}/{resource}/{pk}", username)
    if answer is None:
        return Result(False, _("Koppel cannot be reached at the moment; please try again later."))
    changes = answer.get("changes")
    ok = answer.get("ok") is True
    message = answer.get("message")
    return Result(
        ok,
        message
        if isinstance(message, str) and message
        else (_("In step.") if ok else _("Koppel refused; its log tells more.")),
        tuple(change for change in changes if isinstance(change, dict))
        if isinstance(changes, list)
        else (),
    )


def press(path: str, username: str) -> dict[str, Any] | None:
    """Tell Koppel that a user pressed a button; its answer, None where Koppel is away."""
    answer = koppel.call("POST", path, {"user": username}, timeout=SYNCHRONISE_TIMEOUT)
    if not answer.reached:
        return None
    # The page that is shown next has to ask: what the button said is told there, once.
    _rest.until = 0.0
    body = answer.body if isinstance(answer.body, dict) else {}
    fine = answer.status == 200 and body.get("ok") is True
    return {**body, "ok": fine, "status": answer.status}
