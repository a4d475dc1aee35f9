"""Lenses for plain values: text, numbers, truth, dates, value tables, constants.

Factories read their options and give a `Lens`; each says what it loses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from koppel.mapping.faults import BadValue
from koppel.mapping.lens import TEXTUAL, Context, Factory, Lens, Options

_BLANKS = re.compile(r"\s+")
NUMBERS = frozenset({"integer", "decimal", "float", "text"})


@lru_cache(maxsize=4096)
def collapsed(text: str) -> str | None:
    """Blanks at the ends dropped, runs of blanks made one; None for nothing left."""
    return _BLANKS.sub(" ", text).strip() or None


@lru_cache(maxsize=4096)
def lines_of(text: str) -> str | None:
    """Each line collapsed, empty lines dropped, ended by newlines; None for nothing left."""
    lines = (_BLANKS.sub(" ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line) or None


@lru_cache(maxsize=4096)
def _prose(text: str) -> str | None:
    """Line ends made one kind, blanks at the ends of lines and of the whole dropped."""
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(lines).strip() or None


def text_of(native: Any, what: str = "text") -> str:
    """The native value as a text; `BadValue` where it is none."""
    if isinstance(native, str):
        return native
    if isinstance(native, int | Decimal) and not isinstance(native, bool):
        return str(native)
    raise BadValue("", f"{native!r} is not a {what}", native)


def text(options: Options) -> Lens:
    """Text: blanks at the ends dropped, runs of blanks made one, nothing left is None.

    `lines` "one" (default), "many" (line breaks stay) or "prose" (inner blanks stay too).
    `overlong` "refuse" (default) or "cut": what happens to a text longer than the native field.
    `case` "keep", "upper" or "lower". Loses blanks, and what was cut or its case where so asked.
    """
    shape = options.choose("lines", "one", "many", "prose")
    cut = options.choose("overlong", "refuse", "cut") == "cut"
    case = options.choose("case", "keep", "upper", "lower")
    limit = options.info.max_length if options.info is not None else None
    normal = {"one": collapsed, "many": lines_of, "prose": _prose}[shape]

    def read(native: Any, _context: Context) -> str | None:
        value = normal(native if isinstance(native, str) else text_of(native))
        if value is None or case == "keep":
            return value
        return value.upper() if case == "upper" else value.lower()

    def write(value: str, _context: Context) -> str | None:
        if limit is not None and len(value) > limit:
            if not cut:
                raise BadValue(
                    "", f"{value!r} has {len(value)} characters; at most {limit} fit", value
                )
            return value[:limit].rstrip()
        return value or None

    return Lens(name="text", gives="text", takes=TEXTUAL, read=read, write=write)


def number_of(native: Any) -> Decimal:
    """An exact finite number; a text may hold it with a point. `BadValue` else."""
    if isinstance(native, bool):
        raise BadValue("", f"{native!r} is not a number", native)
    try:
        number = Decimal(str(native).strip())
    except InvalidOperation:
        raise BadValue("", f"{native!r} is not a number", native) from None
    if not number.is_finite():
        raise BadValue("", f"{native!r} is not a number", native)
    return number


def _numeric(native_type: str) -> Callable[[Decimal], Any]:
    if native_type == "text":
        return str
    return {"integer": int, "float": float}.get(native_type, Decimal)


def integer(options: Options) -> Lens:
    """A whole number, natively a number or its digits as text. `BadValue` for anything else."""
    native_type = options.info.type if options.info is not None else "integer"
    convert = _numeric(native_type)

    def read(native: Any, _context: Context) -> int | None:
        if native == "":
            return None
        number = number_of(native)
        if number != number.to_integral_value():
            raise BadValue("", f"{native!r} is not a whole number", native)
        return int(number)

    def write(value: int, _context: Context) -> Any:
        return convert(Decimal(value))

    return Lens(name="integer", gives="integer", takes=NUMBERS, read=read, write=write)


def decimal(options: Options) -> Lens:
    """An exact decimal number, rounded to `scale` places (default: the native field's).

    `rounding` is "half_up" (default), or "down": towards zero, for what must not be promised. Loses
    what is beyond the scale; a float is read by its shortest notation.
    """
    scale = options.take("scale", None, int)
    if scale is None and options.info is not None:
        scale = 0 if options.info.type == "integer" else options.info.scale
    convert = _numeric(options.info.type if options.info is not None else "decimal")
    places = None if scale is None else Decimal(1).scaleb(-scale)
    down = options.choose("rounding", "half_up", "down") == "down"
    rounding = ROUND_DOWN if down else ROUND_HALF_UP

    def exact(number: Decimal) -> Decimal:
        if places is not None:
            return number.quantize(places, rounding=rounding)
        return number

    def read(native: Any, _context: Context) -> Decimal | None:
        return None if native == "" else exact(number_of(native))

    def write(value: Decimal, _context: Context) -> Any:
        return convert(exact(value))

    return Lens(name="decimal", gives="decimal", takes=NUMBERS, read=read, write=write)


def boolean(options: Options) -> Lens:
    """Truth: true and false, 1 and 0, or the texts that `true` and `false` name. `invert` turns it.

    `BadValue` for anything else.
    """
    textual = options.info is not None and options.info.type in TEXTUAL
    yes: str = options.take("true", "true")
    no: str = options.take("false", "false")
    invert: bool = options.take("invert", False)
    known: dict[Any, bool] = {True: True, False: False, yes: True, no: False}

    def read(native: Any, _context: Context) -> bool | None:
        if native == "":
            return None
        if isinstance(native, str | int) and native in known:
            return known[native] is not invert
        raise BadValue("", f"{native!r} is neither true nor false", native)

    def write(value: bool, _context: Context) -> Any:
        truth = value is not invert
        return (yes if truth else no) if textual else truth

    takes = frozenset({"boolean", "integer", "text", "choice"})
    return Lens(name="boolean", gives="boolean", takes=takes, read=read, write=write)


def day(options: Options) -> Lens:
    """A calendar date, natively a date or text as ISO 8601. `BadValue` for anything else."""
    textual = options.info is not None and options.info.type == "text"

    def read(native: Any, _context: Context) -> date | None:
        if native == "":
            return None
        if isinstance(native, date) and not isinstance(native, datetime):
            return native
        try:
            return date.fromisoformat(native)
        except (TypeError, ValueError):
            raise BadValue("", f"{native!r} is not a date like 2026-11-30", native) from None

    def write(value: date, _context: Context) -> Any:
        return value.isoformat() if textual else value

    takes = frozenset({"date", "text"})
    return Lens(name="date", gives="date", takes=takes, read=read, write=write)


def moment(options: Options) -> Lens:
    """A moment in UTC, natively a datetime or ISO 8601 text.

    `zone` (IANA name, default UTC) is where naive times belong. Loses the hour that a zone repeats
    in autumn: its second pass is read as its first.
    """
    textual = options.info is not None and options.info.type == "text"
    name: str = options.take("zone", "UTC")
    try:
        zone: Any = UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        options.complain("zone", f"{name!r} is not a time zone", "Give a name like Europe/Berlin")
        zone = UTC
    naive: bool = options.take("naive", False)

    def read(native: Any, _context: Context) -> datetime | None:
        if native == "":
            return None
        value = native
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                value = None
        if not isinstance(value, datetime):
            raise BadValue("", f"{native!r} is not a time like 2026-11-30T09:00:00Z", native)
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)

    def write(value: datetime, _context: Context) -> Any:
        local = value.astimezone(zone)
        if naive:
            local = local.replace(tzinfo=None, fold=0)
        return local.isoformat() if textual else local

    takes = frozenset({"datetime", "text"})
    return Lens(name="datetime", gives="datetime", takes=takes, read=read, write=write)


def table(options: Options) -> Lens:
    """A value table: `values` maps native values to canonical ones.

    Several native values may mean one canonical value; the first is the one that is written, and a
    present one with the same meaning stays. An unknown value is a `BadValue` that names it, never
    blanked; with `unknown` "keep" it passes as it is. `name` is how people call the table.
    """
    given: Mapping[str, Any] = options.need("values", dict) or {}
    keep = options.choose("unknown", "refuse", "keep") == "keep"
    title: str = options.take("name", options.info.label if options.info is not None else "")
    kind = options.info.type if options.info is not None else "text"
    forward: dict[Any, Any] = {}
    for key, meaning in given.items():
        if not isinstance(meaning, str):
            options.complain("values", f"{key!r} must mean a text", "Put the value in quotes")
        forward[_key(key, kind)] = meaning
    back: dict[Any, Any] = {}
    for key, meaning in forward.items():
        back.setdefault(meaning, key)
    return Lens(
        name="table",
        gives="text",
        takes=frozenset({"text", "choice", "integer", "boolean"}),
        read=_looked_up(forward, keep, title),
        write=_looked_up(back, keep, title),
    )


def _key(written: str, kind: str) -> Any:
    """A key of a TOML table as the native type has it."""
    if kind == "integer" and written.lstrip("-").isdigit():
        return int(written)
    if kind == "boolean" and written in ("true", "false"):
        return written == "true"
    return written


def _looked_up(pairs: Mapping[Any, Any], keep: bool, title: str) -> Callable[[Any, Context], Any]:
    called = f"the value table {title!r}" if title else "its value table"

    def look_up(value: Any, _context: Context) -> Any:
        found = pairs.get(value)
        if found is not None:
            return found
        if value == "":
            return None
        if keep:
            return value
        raise BadValue("", f"{value!r} is not in {called}; add it there", value)

    return look_up


def choice(options: Options) -> Lens:
    """A choice by its label (`by` "label", default) or by its key: "Mechanical engineering".

    Labels come from the system's own description; where none is spelt just so, case does not
    matter. A label that two keys bear is read for both and written as the first. An unknown one is
    a `BadValue`.
    """
    by_label = options.choose("by", "label", "key") == "label"
    choices = options.info.choices if options.info is not None else ()
    title = options.info.label if options.info is not None else ""
    labels = {one.value: (one.label or one.value) if by_label else one.value for one in choices}
    exact: dict[str, str] = {}
    loose: dict[str, str] = {}
    for key, label in labels.items():
        exact.setdefault(collapsed(label) or label, key)
        loose.setdefault(label.casefold(), key)

    def read(native: Any, _context: Context) -> str | None:
        if native == "":
            return None
        found = labels.get(native)
        if found is None:
            raise BadValue("", f"{native!r} is none of the choices of {title!r}", native)
        return collapsed(found)

    def write(value: str, _context: Context) -> str:
        found = exact.get(value) or loose.get(value.casefold())
        if found is None:
            raise BadValue("", f"{value!r} is none of the choices of {title!r}; add it", value)
        return found

    return Lens(name="choice", gives="text", takes=frozenset({"choice"}), read=read, write=write)


def words(options: Options) -> Lens:
    """A list of texts as a sorted tuple. `values` maps native to canonical words.

    With `values`, words that are not in it are a `BadValue` (`unknown` "refuse", the default), pass
    as they are ("keep"), or are none of our business ("ignore"): not read, and left alone in a
    write. An empty list is the empty tuple. Loses order and repetition.
    """
    given: Mapping[str, str] = options.take("values", {})
    unknown = options.choose("unknown", "refuse", "keep", "ignore")
    back: dict[str, str] = {}
    for key, meaning in given.items():
        back.setdefault(meaning, key)

    def one(native: Any) -> str | None:
        found = given.get(native)
        if found is None and (not given or unknown == "keep"):
            return str(native)
        if found is None and unknown == "refuse":
            raise BadValue("", f"{native!r} is not in its value table; add it there", native)
        return found

    def read(native: Any, _context: Context) -> tuple[str, ...]:
        if not isinstance(native, list | tuple):
            raise BadValue("", f"{native!r} is not a list", native)
        return tuple(sorted({word for word in map(one, native) if word}))

    def write(value: tuple[str, ...], _context: Context) -> list[str]:
        missing = [word for word in value if given and word not in back]
        if missing and unknown != "keep":
            raise BadValue("", f"{missing[0]!r} is not in its value table; add it there", value)
        return [back.get(word, word) for word in value]

    def left_alone(written: list[str] | None, current: Any) -> list[str]:
        ours = set(given)
        return [*(written or ()), *(word for word in current or () if word not in ours)]

    return Lens(
        name="words",
        gives="texts",
        takes=frozenset({"list", "references"}),
        read=read,
        write=write,
        keep=left_alone if given and unknown == "ignore" else None,
    )


def word(options: Options) -> Lens:
    """A native field for one word as a tuple of at most one. `values` as for `words`.

    Loses all words but one when written: the first in the order of `values`, then of the alphabet.
    """
    given: Mapping[str, str] = options.take("values", {})
    back: dict[str, str] = {}
    for key, meaning in given.items():
        back.setdefault(meaning, key)

    def read(native: Any, _context: Context) -> tuple[str, ...]:
        if native == "":
            return ()
        meaning = given.get(native) if given else str(native)
        if meaning is None:
            raise BadValue("", f"{native!r} is not in its value table; add it there", native)
        return (meaning,)

    def write(value: tuple[str, ...], _context: Context) -> str | None:
        for meaning, key in back.items():
            if meaning in value:
                return key
        if given and value:
            raise BadValue("", f"{value[0]!r} is not in its value table; add it there", value)
        return min(value, default=None)

    takes = frozenset({"text", "choice"})
    return Lens(name="word", gives="texts", takes=takes, read=read, write=write)


LENSES: Mapping[str, Factory] = {
    "text": text,
    "integer": integer,
    "decimal": decimal,
    "boolean": boolean,
    "date": day,
    "datetime": moment,
    "table": table,
    "choice": choice,
    "words": words,
    "word": word,
}
