"""How long business documents are kept: years by kind, in a document of the user's.

The years are counted from the end of the calendar year in which a document was made, as the tax
laws of Germany (§ 147 AO), Austria (§ 132 BAO) and Switzerland (Art. 958f OR) count them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

import msgspec
from msgspec import Struct, field

from koppel import typed
from koppel.errors import NeedsUser
from koppel.store.documents import DocumentStore
from koppel.store.personal import Documents
from koppel.sync.rule import Side

KIND, NAME = "retention", "koppel"
MOST = 100

Sort = Literal["invoice", "credit_note", "order", "quote", "opportunity", "delivery"]


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """`years`: sort of document -> years, 0 for none. `because` is told to whoever asks."""

    years: Mapping[Sort, int] = field(default_factory=dict)
    because: str = ""


class Kept(Struct, frozen=True, kw_only=True):
    """Documents that the law wants kept: how many, of which sort and side, and until when."""

    side: Side
    sort: str
    many: int
    until: date
    because: str = ""


SHIPPED = """\
# Years for which documents are kept, from the end of the year in which they were made.
because = "§ 147 AO, § 132 BAO, Art. 958f OR"

[years]
invoice = 10
credit_note = 10
order = 10
delivery = 10
quote = 6
opportunity = 0
"""
"""What holds until somebody writes another: the longest of Germany, Austria and Switzerland."""


def parse_retention(text: str, *, source: str = "retention.toml") -> Retention:
    """Read the document; `NeedsUser` says what is wrong with it."""
    try:
        told = typed.convert(tomllib.loads(text), Retention)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the document") from error
    for sort, years in told.years.items():
        if not 0 <= years <= MOST:
            raise NeedsUser(f"{years} years for '{sort}'", place=source, remedy=f"0 to {MOST}")
    return told


def live(documents: DocumentStore) -> Retention:
    """The user's document, or the shipped one."""
    return parse_retention(documents.get(KIND, NAME) or SHIPPED, source=f"{KIND} {NAME}")


def kept(rules: Retention, documents: Sequence[Documents], today: date) -> list[Kept]:
    """Those documents that have to be kept today. One without a day counts as made today."""
    found = []
    for one in documents:
        years = next((many for sort, many in rules.years.items() if sort == one.kind), 0)
        until = date((one.last or today).year + years, 12, 31)
        if years and until >= today:
            found.append(
                Kept(
                    side=one.side, sort=one.kind, many=one.many, until=until, because=rules.because
                )
            )
    return found
