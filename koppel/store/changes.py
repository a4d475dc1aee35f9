"""The changes of a planned step: bytes from the plan to the journal, values where people look.

A plan of a hundred thousand steps is read again to be carried out, and nobody looks at its changes
then; so they are decoded when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import msgspec
from msgspec.structs import astuple

from koppel import typed
from koppel.store.codec import PLAIN, decode, freeze
from koppel.sync.rule import Side
from koppel.sync.state import FieldChange

_encoder = msgspec.json.Encoder()


class _Row(msgspec.Struct, array_like=True):
    """A change as it is stored, its values left as bytes."""

    field: msgspec.Raw
    side: str
    old: msgspec.Raw
    new: msgspec.Raw
    owner: msgspec.Raw
    why: msgspec.Raw


_rows = typed.json_decoder(list[_Row])


class KeptChanges(Sequence[FieldChange]):
    """Changes as they stand in the store."""

    __slots__ = ("_items", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._items: tuple[FieldChange, ...] | None = None

    def _all(self) -> tuple[FieldChange, ...]:
        if self._items is None:
            self._items = decode_items(FieldChange, decode(self.raw))
        return self._items

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, place: int) -> FieldChange: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[FieldChange]: ...
    def __getitem__(self, place: int | slice) -> FieldChange | Sequence[FieldChange]:
        return self._all()[place]

    def __iter__(self) -> Iterator[FieldChange]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return repr(self._all())


def encode_items(items: Sequence[Any]) -> bytes:
    """Structs as lists of their values."""
    if isinstance(items, KeptChanges):
        return items.raw
    return _encoder.encode(
        [
            [value if type(value) in PLAIN else freeze(value) for value in astuple(item)]
            for item in items
        ]
    )


def decode_items(kind: Any, rows: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    """The value of `encode_items`."""
    names = kind.__struct_fields__
    return tuple(kind(**dict(zip(names, row, strict=True))) for row in rows)


def journalled(changes: Sequence[FieldChange], side: Side) -> bytes:
    """What a journal's entry keeps of the changes that go to one side: all but the side."""
    return _encoder.encode(
        [
            (row.field, row.old, row.new, row.owner, row.why)
            for row in _rows.decode(encode_items(changes))
            if row.side == side
        ]
    )
