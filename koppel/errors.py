"""Errors by consequence, not by cause: who or what has to act next.

Trouble with a single record is never one of these; it is a returned value
(`koppel.connectors.base.Refused`, `Unknown`).
"""

from __future__ import annotations


class KoppelError(Exception):
    """Base of all that Koppel raises.

    `place` says where (file and field, or connection and resource), `remedy` what to do about it.
    Neither ever holds a secret.
    """

    def __init__(self, message: str, *, place: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [f"{self.place}: {self.message}" if self.place else self.message]
        if self.remedy:
            parts.append(self.remedy)
        return " ".join(part if part.endswith((".", "!", "?")) else part + "." for part in parts)


class NeedsUser(KoppelError):
    """A person has to act: configuration, credentials, schema drift. The connection pauses."""


class TryLater(KoppelError):
    """The system is away or asks for patience. `after` is in seconds, None where it named none."""

    def __init__(
        self, message: str, *, after: float | None = None, place: str = "", remedy: str = ""
    ) -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.after = after


class Defect(KoppelError):
    """A contract broke: Koppel or a connector is wrong. Stop, and keep the evidence."""


class Interrupted(BaseException):
    """The process was told to stop. No `Exception`, so that no `except Exception` swallows it."""
