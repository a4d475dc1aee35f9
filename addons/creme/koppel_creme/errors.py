"""What can stand between a wish and its fulfilment, as exceptions inside the add-on only."""

from __future__ import annotations

from collections.abc import Sequence


class Refusal(Exception):
    """One write is refused: `reason` is one of the wire's, `fields` are those to blame."""

    def __init__(self, reason: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.fields = tuple(dict.fromkeys(fields))


class Invalid(Refusal):
    """A value that Creme does not take; the message names the field."""

    def __init__(self, message: str, *fields: str) -> None:
        super().__init__("invalid", message, fields)


class BadCall(Exception):
    """The whole call is refused, with an HTTP status and a word for programs."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
