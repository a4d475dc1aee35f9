"""Links to the card: one record, for one purpose, for a short time, without a sign-in.

A link holds its whole claim, signed; nothing is kept of it. It ends by itself after some minutes,
and all links end at once where the generation is raised or the store's key is rotated. Where the
card may stand in a frame is the document `card`:

```toml
minutes = 15                            # how long a link is good
frames = ["https://crm.example.com"]    # who may show the card in a frame; none: by link only
generation = 1                          # raised: no link that was made before is good any more
```
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
from django.core import signing
from msgspec import Struct

from koppel import typed
from koppel.errors import NeedsUser
from koppel.processes.settings import order_settings
from koppel.store import Store
from koppel.sync.rule import Side

KIND, NAME = "card", "card"
ORDER = "order"
"""What the card of an order or quote is asked for by; no rule couples these."""
LONGEST = 24 * 60
"""Minutes that a link may be good at most."""
_SALT = "koppel.card.view"
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?")


class CardSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long links are good, and who may show the card in a frame."""

    minutes: int = 15
    frames: tuple[str, ...] = ()
    generation: int = 1


class Claim(Struct, frozen=True, kw_only=True):
    """What a link shows: one record, with or without money, asked for by `user`, until then."""

    entity: str
    side: Side
    record: str
    user: str
    figures: bool
    until: datetime


class Link(Struct, frozen=True, kw_only=True):
    """A link, as a path on Koppel, and until when it is good."""

    path: str
    until: datetime

    def address(self, base: str) -> str:
        """The whole address under which people reach Koppel."""
        return f"{base.rstrip('/')}{self.path}"


class BadLink(Exception):
    """The link is forged, over, or was taken back."""


def parse_settings(text: str, *, source: str = "card.toml") -> CardSettings:
    """Read the document. `NeedsUser` says what is wrong with it."""
    try:
        found = typed.convert(tomllib.loads(text), CardSettings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the settings") from error
    if not 1 <= found.minutes <= LONGEST:
        raise NeedsUser(
            f"a link cannot be good for {found.minutes} minutes",
            place=f"{source}: minutes",
            remedy=f"Give 1 to {LONGEST}",
        )
    for origin in found.frames:
        if not _ORIGIN.fullmatch(origin):
            raise NeedsUser(
                f"{origin!r} is no origin of a page",
                place=f"{source}: frames",
                remedy="Write it as https://crm.example.com, without a path",
            )
    return found


def card_settings(store: Store) -> CardSettings:
    """The live settings."""
    return parse_settings(store.documents.get(KIND, NAME) or "", source=f"{KIND} {NAME}")


def save_settings(store: Store, found: CardSettings, *, user: str) -> CardSettings:
    """Make these the live settings. `NeedsUser` where they cannot be used."""
    frames = ", ".join(f'"{one}"' for one in found.frames)
    text = f"minutes = {found.minutes}\nframes = [{frames}]\ngeneration = {found.generation}\n"
    checked = parse_settings(text)
    store.documents.put(KIND, NAME, text, author=user)
    store.audit_log.write(user, "card settings", NAME, minutes=found.minutes, frames=frames)
    return checked


def revoke(store: Store, *, user: str) -> CardSettings:
    """End all links that were made so far."""
    now = card_settings(store)
    found = msgspec.structs.replace(now, generation=now.generation + 1)
    save_settings(store, found, user=user)
    store.audit_log.write(user, "revoke card links", NAME)
    return found


def make_link(
    store: Store, entity: str, side: Side, record: str, *, user: str, figures: bool,
    minutes: int | None = None, told: bool = True,
) -> Link:  # fmt: skip
    """A link to one record's card. `minutes` may only shorten what the settings allow.

    `told`: the audit log knows who had it made.
    """
    if entity != ORDER and entity not in store.documents.names("rule"):
        raise NeedsUser(f"no rule couples '{entity}'", remedy="koppel status")
    settings = card_settings(store)
    good = settings.minutes if minutes is None else min(minutes, settings.minutes)
    if good < 1:
        raise NeedsUser("a link is good for at least one minute", remedy="Give --minutes 1 or more")
    until = (store.clock() + timedelta(minutes=good)).replace(microsecond=0)
    claim = [entity, side, record, user, figures, int(until.timestamp())]
    token = signing.dumps(claim, key=store.card_keys.key(settings.generation), salt=_SALT)
    if told:
        store.audit_log.write(user, "make card link", f"{entity} {side} {record}")
    return Link(path=f"/card/{quote(token, safe=':')}", until=until)


def read_link(store: Store, token: str, now: datetime) -> Claim:
    """What a link may show. Raises `BadLink`."""
    settings = card_settings(store)
    try:
        found = signing.loads(token, key=store.card_keys.key(settings.generation), salt=_SALT)
        entity, side, record, user, figures, until = found
        claim = Claim(
            entity=entity, side=side, record=record, user=user, figures=figures,
            until=datetime.fromtimestamp(until, UTC),
        )  # fmt: skip
    except (NeedsUser, signing.BadSignature, ValueError, TypeError) as error:
        raise BadLink from error
    # A link never outlives what the settings allow now.
    if not now < claim.until <= now + timedelta(minutes=settings.minutes, seconds=1):
        raise BadLink
    return claim


def public_address(store: Store) -> str:
    """Koppel's address in people's browsers, as the settings of orders say; else empty."""
    return order_settings(store).url
