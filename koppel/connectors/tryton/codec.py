"""Tryton's JSON: values that plain JSON lacks travel as `{"__class__": ...}`, both ways unchanged.

Decimals keep every digit, dates and times stay naive as Tryton sends them.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def dump(value: Any) -> bytes:
    """A call as bytes; `TypeError` for a value that Tryton cannot receive."""
    return json.dumps(value, default=_encode, separators=(",", ":"), ensure_ascii=False).encode()


def parse(content: bytes) -> Any:
    """An answer as values; `ValueError` where it is not JSON."""
    return json.loads(content, object_hook=_decode)


def _clock(value: datetime | time) -> dict[str, int]:
    return {
        "hour": value.hour,
        "minute": value.minute,
        "second": value.second,
        "microsecond": value.microsecond,
    }


def _encode(value: Any) -> dict[str, Any]:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        day = {"year": value.year, "month": value.month, "day": value.day}
        return {"__class__": "datetime", **day, **_clock(value)}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, time):
        return {"__class__": "time", **_clock(value)}
    if isinstance(value, timedelta):
        return {"__class__": "timedelta", "seconds": value.total_seconds()}
    if isinstance(value, bytes):
        return {"__class__": "bytes", "base64": b64encode(value).decode()}
    raise TypeError(f"Tryton cannot receive a {type(value).__name__}")


def _decode(found: dict[str, Any]) -> Any:
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "datetime":
            clock = (found["hour"], found["minute"], found["second"], found["microsecond"])
            return datetime(found["year"], found["month"], found["day"], *clock)
        case "date":
            return date(found["year"], found["month"], found["day"])
        case "time":
            return time(found["hour"], found["minute"], found["second"], found["microsecond"])
        case "timedelta":
            return timedelta(seconds=found["seconds"])
        case "bytes":
            return b64decode(found["base64"])
    return found
