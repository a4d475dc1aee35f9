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

from koppel.connectors.base import Gone, Record, Write
from koppel.model import Address, Ref

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_PLAIN = (str, int, float, bool, type(None))


def encode(value: Any) -> bytes:
    """Any native or canonical value as bytes."""
    return _encoder.encode(_freeze(value))


def decode(raw: bytes | memoryview | None) -> Any:
    """The value of `encode`, with its types; None stays None."""
    return None if raw is None else _thaw(_decoder.decode(bytes(raw)))


def _freeze(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict or isinstance(value, Mapping):
        frozen = {str(key): _freeze(item) for key, item in value.items()}
        if len(frozen) == 1 and next(iter(frozen)).startswith("$"):
            return {"$dict": frozen}
        return frozen
    if kind is list:
        return [_freeze(item) for item in value]
    if kind is tuple:
        return {"$tuple": [_freeze(item) for item in value]}
    if kind is Decimal:
        return {"$decimal": str(value)}
    if kind is datetime:
        return {"$datetime": value.isoformat()}
    if kind is date:
        return {"$date": value.isoformat()}
    if kind is Address:
        return {"$address": msgspec.to_builtins(value)}
    if kind is Ref:
        return {"$ref": msgspec.to_builtins(value)}
    if kind is bytes:
        return {"$bytes": value.hex()}
    raise TypeError(f"the store cannot keep a value of type {kind.__name__}")


def _thaw(value: Any) -> Any:
    if type(value) is list:
        return [_thaw(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        (key, item), *_ = value.items()
        thaw = _THAW.get(key)
        if thaw is not None:
            return thaw(item)
    return {key: _thaw(item) for key, item in value.items()}


_THAW: dict[str, Callable[[Any], Any]] = {
    "$dict": lambda item: {key: _thaw(inner) for key, inner in item.items()},
    "$tuple": lambda item: tuple(_thaw(inner) for inner in item),
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$address": lambda item: msgspec.convert(item, Address),
    "$ref": lambda item: msgspec.convert(item, Ref),
    "$bytes": bytes.fromhex,
}


def encode_record(record: Record | Gone | None) -> bytes | None:
    """A record, a Gone or nothing."""
    if record is None:
        return None
    if isinstance(record, Gone):
        return encode({"gone": msgspec.to_builtins(record)})
    return encode([record.resource, record.id, record.version, record.fields])


def decode_record(raw: bytes | memoryview | None) -> Record | Gone | None:
    """The value of `encode_record`."""
    value = decode(raw)
    if value is None:
        return None
    if isinstance(value, dict):
        return msgspec.convert(value["gone"], Gone)
    resource, record_id, version, fields = value
    return Record(resource=resource, id=record_id, version=version, fields=fields)


def encode_write(write: Write) -> bytes:
    """A write with its tag."""
    return encode({"tag": type(write).__struct_config__.tag, **msgspec.structs.asdict(write)})


def decode_write(raw: bytes | memoryview) -> Write:
    """The value of `encode_write`."""
    value = decode(raw)
    kind = {write.__struct_config__.tag: write for write in Write.__args__}[value.pop("tag")]
    return kind(**value)  # type: ignore[no-any-return]
