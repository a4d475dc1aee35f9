"""What can be wrong: faults of documents (all told at once), and values that do not fit.

A document's faults stop a connection until a person has corrected the file (`DocumentFaults`). A
bad value or a reference that is not coupled yet concerns one record alone (`BadValue`,
`Unresolved`); the engine puts that record aside and goes on with the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from koppel.errors import NeedsUser


class Fault(Struct, frozen=True):
    """One fault of a document: where, what, and what to do about it."""

    file: str
    field: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.field}" if self.field else self.file
        sentences = (f"{place}: {self.message}", self.remedy)
        return " ".join(_ended(sentence) for sentence in sentences if sentence)


class DocumentFaults(NeedsUser):
    """All faults of a document, in its own order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        first = self.faults[0]
        count = len(self.faults)
        message = first.message if count == 1 else f"{count} faults. {_lines(self.faults)}"
        super().__init__(
            message,
            place=first.file if count > 1 or not first.field else f"{first.file}: {first.field}",
            remedy=first.remedy if count == 1 else "",
        )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _lines(faults: Iterable[Fault]) -> str:
    return " ".join(str(fault) for fault in faults)


class BadValue(ValueError):
    """A value of one record that has no counterpart on the other side. A sentence for people.

    `field` is the canonical field, `value` the value as it was found.
    """

    def __init__(self, field: str, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.value = value

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class Unresolved(LookupError):
    """A record refers to another that is not on this side yet: it waits for that one."""

    def __init__(self, field: str, entity: str, coupling: str | None, native: str | None) -> None:
        self.field = field
        self.entity = entity
        self.coupling = coupling
        self.native = native
        missing = f"coupling {coupling}" if coupling else f"record {native}"
        super().__init__(f"{field}: the {entity} ({missing}) is not on this side yet")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a remedy: names that look alike, else all there are (at most 12)."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    if not names:
        return "There are none here"
    more = ", ..." if len(names) > 12 else ""
    return f"There are {', '.join(names[:12])}{more}"
