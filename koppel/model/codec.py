"""Canonical records as bytes and back, with every type kept.

Fields of an entity are told by its struct. Extra fields (`x_...`) carry their type with them, as a
one-key object (`{"$decimal": "1.00"}`) where JSON has no such value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, get_type_hints

import msgspec
from msgspec import Raw, UnsetType

from koppel import typed
from koppel.errors import Defect
from koppel.model.partner import Contact, Partner
from koppel.model.product import Product
from koppel.model.values import Address, Ref

ENTITIES: dict[str, type[msgspec.Struct]] = {
    "partner": Partner,
    "contact": Contact,
    "product": Product,
}
EXTRA = "x_"
"""What the names of extra fields begin with."""

_encoder = msgspec.json.Encoder()
_raw = typed.json_decoder(dict[str, Raw])
_plain = typed.json_decoder()


@cache
def field_types(entity: str) -> Mapping[str, Any]:
    """The fields of an entity with their types, less UNSET. `KeyError` for an unknown entity."""
    hints = get_type_hints(ENTITIES[entity])
    return {name: _without_unset(hint) for name, hint in hints.items()}


def _without_unset(hint: Any) -> Any:
    if not isinstance(hint, UnionType) and not hasattr(hint, "__args__"):
        return hint
    kept = [arg for arg in hint.__args__ if arg is not UnsetType]
    union = kept[0]
    for arg in kept[1:]:
        union = union | arg
    return union


def encode_canonical(values: Mapping[str, Any]) -> bytes:
    """A canonical record as JSON. `TypeError` for a value that is not canonical."""
    return _encoder.encode(
        {
            name: _tagged(value) if name.startswith(EXTRA) else value
            for name, value in values.items()
        }
    )


def decode_canonical(entity: str, raw: bytes) -> dict[str, Any]:
    """The record of `encode_canonical`; `Defect` where it is none of that entity."""
    decoders = _decoders(entity)
    try:
        found = _raw.decode(raw)
        return {
            name: _untagged(_plain.decode(value))
            if name.startswith(EXTRA)
            else decoders[name](value)
            for name, value in found.items()
        }
    except (msgspec.MsgspecError, KeyError) as error:
        raise Defect(f"a stored {entity} cannot be read: {error}") from error


@cache
def _decoders(entity: str) -> Mapping[str, Callable[[Raw], Any]]:
    return {name: typed.json_decoder(hint).decode for name, hint in field_types(entity).items()}


def _tagged(value: Any) -> Any:
    match value:
        case None | bool() | str() | int() | float():
            return value
        case Decimal():
            return {"$decimal": str(value)}
        case datetime():
            return {"$datetime": value.isoformat()}
        case date():
            return {"$date": value.isoformat()}
        case tuple():
            return [_tagged(one) for one in value]
        case Ref():
            return {"$ref": msgspec.to_builtins(value)}
        case Address():
            return {"$address": msgspec.to_builtins(value)}
    raise TypeError(f"a {type(value).__name__} is not a canonical value")


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_untagged(one) for one in value)
    if isinstance(value, dict):
        ((tag, inner),) = value.items()
        return _UNTAG[tag](inner)
    return value


_UNTAG: Mapping[str, Callable[[Any], Any]] = {
    "$decimal": Decimal,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$ref": lambda inner: typed.convert(inner, Ref),
    "$address": lambda inner: typed.convert(inner, Address),
}
