"""Units of a mapper: each reads some canonical fields from a native record and writes them back.

A unit is one lens on one native field, or a group of them that share natives: a constant, an
address, a child chosen from a list, a name split in two. Units write into a `Draft`, one after the
other, so that several may change the same list of children.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from koppel.mapping.faults import BadValue, Unresolved
from koppel.mapping.lens import Context, Lens
from koppel.mapping.lenses.plain import collapsed
from koppel.mapping.names import join_name, split_name

Fields = Mapping[str, Any]
Read = Callable[[Fields, Context], Any]


class Draft:
    """A native record while it is being written: what is there, and what changes."""

    def __init__(self, current: Fields | None) -> None:
        self.current: Fields = current or {}
        self.changed: dict[str, Any] = {}

    def now(self, name: str) -> Any:
        return self.changed[name] if name in self.changed else self.current.get(name)

    def at(self, path: str) -> Any:
        """The value at `a` or `a.b`."""
        if "." not in path:
            return self.now(path)
        head, _, rest = path.partition(".")
        value = self.now(head)
        return value.get(rest) if isinstance(value, Mapping) else None

    def set(self, path: str, value: Any) -> None:
        head, _, rest = path.partition(".")
        self.changed[head] = {**(self.now(head) or {}), rest: value} if rest else value

    def children(self, name: str) -> list[dict[str, Any]]:
        """The children of a list, as copies."""
        return [dict(child) for child in self.now(name) or ()]


class Unit(Protocol):
    """`fields` are the canonical fields it reads, `writable` those that it can write."""

    @property
    def fields(self) -> tuple[str, ...]: ...

    @property
    def writable(self) -> frozenset[str]: ...

    def readers(self) -> Sequence[tuple[str, Read]]: ...

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None: ...


def path_reader(path: str) -> Callable[[Fields], Any]:
    """Reads `a` or `a.b` of a record, None where it is not there."""
    head, _, rest = path.partition(".")
    if not rest:
        return lambda fields: fields.get(head)

    def read(fields: Fields) -> Any:
        value = fields.get(head)
        return value.get(rest) if isinstance(value, Mapping) else None

    return read


class named:
    """Puts the canonical field's name into what a lens raises."""

    __slots__ = ("field",)

    def __init__(self, field: str) -> None:
        self.field = field

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, BadValue | Unresolved):
            name(error, self.field)


def name(error: BadValue | Unresolved, field: str) -> None:
    """Put the canonical field's name into what a lens raised."""
    error.field = f"{field}.{error.field}" if error.field else field


class Scalar(Struct, frozen=True, kw_only=True):
    """One lens on one native field (`a`, or `a.b` inside an object)."""

    field: str
    native: str
    lens: Lens
    can_write: bool = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self.fields) if self.can_write else frozenset()

    def readers(self) -> Sequence[tuple[str, Read]]:
        inner = self.lens.read
        native = self.native
        if "." not in native:

            def read(fields: Fields, context: Context) -> Any:
                value = fields.get(native)
                return None if value is None else inner(value, context)

            return ((self.field, read),)
        at = path_reader(native)

        def read_at(fields: Fields, context: Context) -> Any:
            value = at(fields)
            return None if value is None else inner(value, context)

        return ((self.field, read_at),)

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if self.field in changes:
            try:
                value = self.lens.put(changes[self.field], draft.at(self.native), context)
            except (BadValue, Unresolved) as error:
                name(error, self.field)
                raise
            draft.set(self.native, value)


class Constant(Struct, frozen=True, kw_only=True):
    """The same canonical value for every record; never written."""

    field: str
    value: Any

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset()

    def readers(self) -> Sequence[tuple[str, Read]]:
        value = self.value
        return ((self.field, lambda _fields, _context: value),)

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        return None


class Split(Struct, frozen=True, kw_only=True):
    """A person's name in one native field, given and family name in two canonical ones.

    Loses where the two meet if a family name of several words has no particle; a second round
    changes nothing.
    """

    native: str
    given: str | None = None
    family: str | None = None
    can_write: bool = True

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for name in (self.given, self.family) if name)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self.fields) if self.can_write else frozenset()

    def readers(self) -> Sequence[tuple[str, Read]]:
        return [
            (name, self._reader(part))
            for part, name in enumerate((self.given, self.family))
            if name is not None
        ]

    def _reader(self, part: int) -> Read:
        native = self.native

        def read(fields: Fields, _context: Context) -> str | None:
            whole = fields.get(native)
            return split_name(whole)[part] if whole else None

        return read

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if not self.writable & changes.keys():
            return
        now = split_name(draft.now(self.native) or "")
        wanted = (
            changes.get(self.given, now[0]) if self.given else now[0],
            changes.get(self.family, now[1]) if self.family else now[1],
        )
        if wanted != now:
            draft.set(self.native, join_name(*wanted))


class Join(Struct, frozen=True, kw_only=True):
    """A canonical name from two native fields, given and family name. The mirror of `Split`."""

    field: str
    given: str
    family: str
    can_write: bool = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self.fields) if self.can_write else frozenset()

    def readers(self) -> Sequence[tuple[str, Read]]:
        return ((self.field, lambda fields, _context: self._whole(fields)),)

    def _whole(self, fields: Fields) -> str | None:
        parts = (fields.get(name) for name in (self.given, self.family))
        return collapsed(" ".join(part for part in parts if part))

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if self.field not in changes:
            return
        wanted = changes[self.field]
        now = {name: draft.now(name) for name in (self.given, self.family)}
        if self._whole(now) != wanted:
            given, family = split_name(wanted or "")
            draft.set(self.given, given)
            draft.set(self.family, family)
