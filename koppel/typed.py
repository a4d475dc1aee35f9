"""Bytes and plain values read into types, from any thread.

msgspec studies a type when it first meets it, and keeps what it found with the type before it is
complete: a second thread that reads into the same type meanwhile ends the process (msgspec 0.22,
segmentation fault). Here one thread studies at a time; whoever comes meanwhile waits for it. The
linter holds everything else in Koppel to this module.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_studying = threading.RLock()
_studied: set[Any] = set()


def convert(value: Any, form: type[T], *, strict: bool = True) -> T:
    """A plain value as a `form`; `msgspec.ValidationError` where it is none."""
    _study(form)
    return msgspec.convert(value, form, strict=strict)


@overload
def from_json(raw: bytes | str) -> Any: ...
@overload
def from_json(raw: bytes | str, form: type[T], *, strict: bool = True) -> T: ...
def from_json(raw: bytes | str, form: Any = Any, *, strict: bool = True) -> Any:
    """JSON as a `form`, or as plain values; `msgspec.MsgspecError` where it is none."""
    _study(form)
    return msgspec.json.decode(raw, type=form, strict=strict)


@overload
def json_decoder() -> msgspec.json.Decoder[Any]: ...
@overload
def json_decoder(form: type[T]) -> msgspec.json.Decoder[T]: ...
def json_decoder(form: Any = Any) -> msgspec.json.Decoder[Any]:
    """A reader of JSON for one type, or of plain values."""
    with _studying:
        return msgspec.json.Decoder(form)


def msgpack_decoder(form: type[T]) -> msgspec.msgpack.Decoder[T]:
    """A reader of MessagePack for one type."""
    with _studying:
        return msgspec.msgpack.Decoder(form)


def _study(form: Any) -> None:
    if form in _studied:
        return
    with _studying:
        msgspec.json.Decoder(form)
        _studied.add(form)
