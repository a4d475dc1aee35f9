"""Units whose value lies inside the record: in an object, in a group of fields, in a child.

What a child or an object holds is read and written by an `Inner`: one value, or an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import UNSET, Struct

from koppel.mapping.faults import BadValue
from koppel.mapping.lens import Context, Lens
from koppel.mapping.lenses.plain import lines_of
from koppel.mapping.units import Draft, Fields, Read, named
from koppel.model import Address


class Inner(Protocol):
    """Reads a canonical value from the fields of a child, and writes it into them."""

    def read(self, child: Fields, context: Context) -> Any: ...

    def write(self, value: Any, child: Fields, context: Context) -> dict[str, Any]: ...


class InnerValue(Struct, frozen=True):
    """One field of the child through one lens."""

    native: str
    lens: Lens

    def read(self, child: Fields, context: Context) -> Any:
        value = child.get(self.native)
        return None if value is None else self.lens.read(value, context)

    def write(self, value: Any, child: Fields, context: Context) -> dict[str, Any]:
        return {self.native: self.lens.put(value, child.get(self.native), context)}


class InnerAddress(Struct, frozen=True):
    """An address from the fields of the child. `lines` is the field that holds its lines.

    A part that this side does not have is UNSET when read, and dropped when written; a part that
    the other side does not have is left as it is.
    """

    parts: tuple[tuple[str, str, Lens], ...]
    """Part, native field, lens."""
    lines: str | None = None

    def read(self, child: Fields, context: Context) -> Address | None:
        found: dict[str, Any] = {}
        some = False
        for part, native, lens in self.parts:
            value = child.get(native)
            if value is not None:
                try:
                    value = lens.read(value, context)
                except BadValue as error:
                    error.field = part
                    raise
                some = some or value is not None
            found[part] = value
        if self.lines is not None:
            whole = child.get(self.lines)
            whole = lines_of(whole) if whole else None
            first, _, rest = (whole or "").partition("\n")
            found["line1"], found["line2"] = first or None, rest or None
            some = some or whole is not None
        return Address(**found) if some else None

    def write(self, value: Address, child: Fields, context: Context) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for part, native, lens in self.parts:
            wanted = getattr(value, part)
            if wanted is not UNSET:
                with named(part):
                    written[native] = lens.put(wanted, child.get(native), context)
        if self.lines is not None and (value.line1 is not UNSET or value.line2 is not UNSET):
            written[self.lines] = self._lines(value, child.get(self.lines))
        return {n: v for n, v in written.items() if v is not None or n in child}

    def _lines(self, value: Address, current: str | None) -> str | None:
        now = lines_of(current) if current else None
        first, _, rest = (now or "").partition("\n")
        wanted = (
            first if value.line1 is UNSET else value.line1,
            rest if value.line2 is UNSET else value.line2,
        )
        whole = "\n".join(line for line in wanted if line) or None
        return current if whole == now else whole


class Whole(Struct, frozen=True, kw_only=True):
    """A value inside a native object, which stands for one canonical field: an address."""

    field: str
    native: str
    inner: Inner
    defaults: Mapping[str, Any]
    same_as: str | None = None
    can_write: bool = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self.fields) if self.can_write else frozenset()

    def readers(self) -> Sequence[tuple[str, Read]]:
        native, inner = self.native, self.inner.read

        def read(fields: Fields, context: Context) -> Any:
            child = fields.get(native)
            return inner(child, context) if child else None

        return ((self.field, read),)

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if self.field not in changes:
            return
        wanted = changes[self.field]
        now = draft.now(self.native)
        if wanted is None:
            draft.set(self.native, None)
            return
        with named(self.field):
            written = self.inner.write(wanted, now or {}, context)
        if now:
            draft.set(self.native, {**now, **written})
        else:
            draft.set(self.native, {**self.defaults, **given(written)})


class Flat(Struct, frozen=True, kw_only=True):
    """An address whose parts are fields of the record itself: `billing_street`, `billing_city`."""

    field: str
    natives: tuple[str, ...]
    inner: InnerAddress
    same_as: str | None = None
    can_write: bool = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self.fields) if self.can_write else frozenset()

    def readers(self) -> Sequence[tuple[str, Read]]:
        return ((self.field, self.inner.read),)

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if self.field not in changes:
            return
        wanted = changes[self.field]
        if wanted is None:
            written: dict[str, Any] = dict.fromkeys(self.natives)
        else:
            now = {name: draft.now(name) for name in self.natives}
            with named(self.field):
                written = self.inner.write(wanted, now, context)
        for name, value in written.items():
            draft.set(name, value)


def given(written: Fields) -> dict[str, Any]:
    """Those that have a value."""
    return {name: value for name, value in written.items() if value is not None}
