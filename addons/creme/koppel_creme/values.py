"""One value between Creme and the wire: types, rounding, limits, and refusals that say why.

On the wire an empty text is null, text has `\\n` line ends, a decimal is a text, dates and times
are ISO 8601 (times in UTC), a choice is its stable key. Nothing is ever cut; decimals are rounded
half up, since SQLite and PostgreSQL round differently when left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django.db import models

from .errors import Invalid
from .session import Session, is_entity


def type_of(column: models.Field) -> str:
    """The wire's type of a Django field; empty for one that the wire does not carry."""
    if column.many_to_many:
        return "references"
    if column.remote_field is not None:
        return "reference" if is_entity(column.related_model) else "choice"
    for kinds, name in _TYPES:
        if isinstance(column, kinds):
            return name
    return ""


_TYPES = (
    ((models.BooleanField,), "boolean"),
    ((models.DecimalField,), "decimal"),
    ((models.IntegerField,), "integer"),
    ((models.FloatField,), "float"),
    ((models.DateTimeField,), "datetime"),
    ((models.DateField,), "date"),
    ((models.CharField, models.TextField), "text"),
)


def outward(session: Session, column: models.Field) -> Callable[[Any], Any]:
    """Makes a function from a value of the database to what the wire carries."""
    kind = type_of(column)
    if kind == "choice":
        return session.outward(column.related_model).get
    if kind == "decimal":
        return _or_nothing(lambda value: str(rounded(value, column.decimal_places)))
    return _WRITERS.get(kind, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


def _or_nothing(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else write(value)


def _text_out(value: str | None) -> str | None:
    if value and "\r" in value:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return value or None


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "text": _text_out,
    "datetime": _or_nothing(lambda value: value.astimezone(UTC).isoformat()),
    "date": _or_nothing(lambda value: value.isoformat()),
    "reference": _or_nothing(str),
}


def inward(session: Session, column: models.Field, value: Any, name: str) -> Any:
    """A value of the wire as Creme's model wants it; foreign keys as primary keys.

    Raises `Invalid` with `name` for a value of another type or an unknown choice.
    """
    kind = type_of(column)
    if value is None or (value == "" and kind == "text"):
        return _nothing(column, kind, name)
    if kind == "choice":
        found = session.inward(column.related_model).get(str(value))
        if found is None:
            raise Invalid(f"{name}: {value!r} is none of the values that Creme knows here.", name)
        return found
    return _READERS[kind](column, value, name)


def _nothing(column: models.Field, kind: str, name: str) -> Any:
    if kind == "text" and not column.null:
        if not column.blank:
            raise Invalid(f"{name} must not be empty.", name)
        return ""
    if not column.null:
        raise Invalid(f"{name} must not be empty.", name)
    return None


def rounded(value: Decimal, places: int) -> Decimal:
    """Rounded half up to so many decimal places."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _text(column: models.Field, value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a text.", name)
    if "\x00" in value:
        raise Invalid(f"{name} must not hold a null character.", name)
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    limit = column.max_length
    if limit is not None and len(text) > limit:
        raise Invalid(f"{name} has {len(text)} characters; Creme holds at most {limit}.", name)
    if not text:
        return _nothing(column, "text", name)
    return text


def _boolean(column: models.Field, value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{name} must be true or false.", name)
    return value


def _decimal(column: models.Field, value: Any, name: str) -> Decimal:
    number = _number(value, name)
    limit = column.max_digits - column.decimal_places
    result = rounded(number, column.decimal_places)
    if abs(result) >= Decimal(1).scaleb(limit):
        raise Invalid(f"{name}: {value} has more than {limit} digits before the point.", name)
    return result


def _integer(column: models.Field, value: Any, name: str) -> int:
    number = _number(value, name)
    if number != number.to_integral_value():
        raise Invalid(f"{name} must be a whole number, not {value}.", name)
    return int(number)


def _float(column: models.Field, value: Any, name: str) -> float:
    return float(_number(value, name))


def _number(value: Any, name: str) -> Decimal:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("nan")
        if number.is_finite() and abs(number) < Decimal(10) ** 40:
            return number
    raise Invalid(f"{name} must be a number.", name)


def _date(column: models.Field, value: Any, name: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid(f"{name} must be a date like 2026-11-30.", name) from None


def _datetime(column: models.Field, value: Any, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid(f"{name} must be a time with its zone, like 2026-11-30T09:00:00+00:00.", name)
    return moment


def _reference(column: models.Field, value: Any, name: str) -> int:
    return whole_id(value, name)


def whole_id(value: Any, name: str) -> int:
    """The id that a reference on the wire holds."""
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"{name}: {value!r} is not the id of a record.", name)
    return int(text)


_READERS = {
    "text": _text,
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer,
    "float": _float,
    "date": _date,
    "datetime": _datetime,
    "reference": _reference,
}
