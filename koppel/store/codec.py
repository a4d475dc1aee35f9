"""Blobs of the store: native and canonical values as JSON that keeps every type.

JSON alone would turn a Decimal into a float or a string and a date into a string; a base must come
back as exactly what the system returned. Values other than JSON's own are written as a one-key
object (`{"$decimal": "1.00"}`); a dict that happens to have such a key is wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from koppel import typed
from koppel.connectors.base import Gone, Record, Write
from koppel.model import Address, Ref

_encoder = msgspec.json.Encoder()
_decoder = typed.json_decoder()
PLAIN = frozenset((str, int, float, bool, type(None)))
"""Types that JSON keeps as they are."""
_TAG = b'"$'
"""Begins every key that carries a type; bytes without it are plain JSON."""


def encode(value: Any) -> bytes:
    """Any native or canonical value as bytes."""
    return _encoder.encode(freeze(value))


def decode(raw: bytes | memoryview | None) -> Any:
    """The value of `encode`, with its types; None stays None."""
    if raw is None:
        return None
    text = raw if type(raw) is bytes else bytes(raw)
    value = _decoder.decode(text)
    return _thaw(value) if _TAG in text else value


def freeze(value: Any) -> Any:
    """The value as JSON has it, types that JSON does not know as tagged objects."""
    # Scalars are told apart before the call: most values of a record are, and calls are dear.
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is dict:
        return _freeze_items(value)
    if kind is list:
        return [item if type(item) in PLAIN else freeze(item) for item in value]
    if kind is tuple:
        return {"$tuple": [item if type(item) in PLAIN else freeze(item) for item in value]}
    if kind is Decimal:
        return {"$decimal": str(value)}
    if kind is Address:
        return {"$address": msgspec.to_builtins(value)}
    if kind is datetime:
        return {"$datetime": value.isoformat()}
    if kind is date:
        return {"$date": value.isoformat()}
    if kind is Ref:
        return {"$ref": msgspec.to_builtins(value)}
    if kind is bytes:
        return {"$bytes": value.hex()}
    if isinstance(value, Mapping):
        return _freeze_items(value)
    raise TypeError(f"the store cannot keep a value of type {kind.__name__}")


def _freeze_items(value: Mapping[Any, Any]) -> dict[str, Any]:
    frozen = {
        key if type(key) is str else str(key): item if type(item) in PLAIN else freeze(item)
        for key, item in value.items()
    }
    if len(frozen) == 1 and next(iter(frozen)).startswith("$"):
        return {"$dict": frozen}
    return frozen


def _thaw(value: Any) -> Any:
    # In place: it was decoded a moment ago and belongs to nobody else.
    if type(value) is list:
        for place, item in enumerate(value):
            kind = type(item)
            if kind is dict or kind is list:
                value[place] = _thaw(item)
        return value
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        thaw = _THAW.get(key)
        if thaw is not None:
            return thaw(item)
    return _thaw_items(value)


def _thaw_items(value: dict[str, Any]) -> dict[str, Any]:
    for key, item in value.items():
        kind = type(item)
        if kind is dict or kind is list:
            value[key] = _thaw(item)
    return value


_THAW: dict[str, Callable[[Any], Any]] = {
    "$dict": _thaw_items,
    "$tuple": lambda item: tuple(_thaw(inner) for inner in item),
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$address": lambda item: typed.convert(item, Address),
    "$ref": lambda item: typed.convert(item, Ref),
    "$bytes": bytes.fromhex,
}


class _Kept:
    """The bytes of the records at hand, so that a record that goes from one table to the next is
    encoded once. Records are never changed, so the same one has the same bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: dict[int, tuple[Record, bytes]] = {}
        self._old: dict[int, tuple[Record, bytes]] = {}

    def get(self, record: Record) -> bytes | None:
        """The bytes of this very record (not of an equal one), if they are kept."""
        found = self._new.get(id(record)) or self._old.get(id(record))
        # The record is kept with its bytes: its number cannot go to another one meanwhile.
        return found[1] if found is not None and found[0] is record else None

    def put(self, record: Record, raw: bytes) -> bytes:
        """Keep them, for about as long as a page of a plan takes."""
        if len(self._new) >= self._size:
            self._old, self._new = self._new, {}
        self._new[id(record)] = (record, raw)
        return raw


_kept = _Kept(1000)


def encode_record(record: Record | Gone | None) -> bytes | None:
    """A record, a Gone or nothing."""
    if record is None:
        return None
    if isinstance(record, Gone):
        return encode({"gone": msgspec.to_builtins(record)})
    raw = _kept.get(record)
    if raw is None:
        raw = encode([record.resource, record.id, record.version, record.fields])
        _kept.put(record, raw)
    return raw


def decode_record(raw: bytes | memoryview | None) -> Record | Gone | None:
    """The value of `encode_record`."""
    if raw is None:
        return None
    text = bytes(raw)
    value = decode(text)
    if isinstance(value, dict):
        return typed.convert(value["gone"], Gone)
    resource, record_id, version, fields = value
    record = Record(resource=resource, id=record_id, version=version, fields=fields)
    _kept.put(record, text)
    return record


def encode_write(write: Write) -> bytes:
    """A write with its tag."""
    return encode({"tag": type(write).__struct_config__.tag, **msgspec.structs.asdict(write)})


def decode_write(raw: bytes | memoryview) -> Write:
    """The value of `encode_write`."""
    value = decode(raw)
    kind = {write.__struct_config__.tag: write for write in Write.__args__}[value.pop("tag")]
    return kind(**value)  # type: ignore[no-any-return]
