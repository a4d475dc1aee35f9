"""Units of a mapper: each reads some canonical fields from a native record and writes them back.

A unit is one lens on one native field, or a group of them that share natives: a constant, an
address, a child chosen from a list, a name split in two. Units write into a `Draft`, one after the
other, so that several may change the same list of children.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct

from koppel.mapping.faults import BadValue, Unresolved
from koppel.mapping.lens import Context, Lens
from koppel.mapping.lenses.plain import collapsed, lines_of
from koppel.mapping.names import join_name, split_name
from koppel.model import Address, agree

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
        head, _, rest = path.partition(".")
        value = self.now(head)
        return value.get(rest) if rest and isinstance(value, Mapping) else None if rest else value

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


class _named:
    """Puts the canonical field's name into what a lens raises."""

    __slots__ = ("field",)

    def __init__(self, field: str) -> None:
        self.field = field

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, BadValue | Unresolved):
            error.field = f"{self.field}.{error.field}" if error.field else self.field


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
            with _named(self.field):
                value = self.lens.put(changes[self.field], draft.at(self.native), context)
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


# Values inside a child or an object.


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
                with _named(part):
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
        with _named(self.field):
            written = self.inner.write(wanted, now or {}, context)
        if now:
            draft.set(self.native, {**now, **written})
        else:
            draft.set(self.native, {**self.defaults, **_given(written)})


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
            with _named(self.field):
                written = self.inner.write(wanted, now, context)
        for name, value in written.items():
            draft.set(name, value)


def _given(written: Fields) -> dict[str, Any]:
    return {name: value for name, value in written.items() if value is not None}


class Child(Struct, frozen=True, kw_only=True):
    """The first child of a list that fits `where`: the first phone, the invoice address.

    `where` gives for each field the values that fit; a new child gets the first of them. `order`
    are fields by which children are sorted (those without a value first), then as the list stands.
    `active` is a field that must not be false. `fallback`: without a fitting child the first of all
    will do. `kind_by` sets a field by how the value begins. What happens to a child whose value is
    cleared says `clear`: "remove" it, or "unset" the flags in `where`. The next one that fits takes
    its place, so clearing the first of two is read back as the second.
    """

    field: str
    native: str
    inner: Inner
    where: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    order: tuple[str, ...] = ()
    active: str | None = None
    fallback: bool = False
    clear: Literal["remove", "unset"] = "remove"
    defaults: Mapping[str, Any]
    kind_by: tuple[str, tuple[tuple[str, Any], ...]] | None = None
    same_as: str | None = None
    main: Child | None = None
    """The unit of `same_as`, if it chooses from the same list."""
    can_write: bool = True

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    @property
    def writable(self) -> frozenset[str]:
        return frozenset(self.fields) if self.can_write else frozenset()

    def fitting(self, children: Sequence[Fields]) -> list[int]:
        """Places of the children that fit, the first choice first."""
        active = self.active
        living = [
            place
            for place, child in enumerate(children)
            if active is None or child.get(active) is not False
        ]
        fit = [
            place
            for place in living
            if all(children[place].get(name) in values for name, values in self.where)
        ]
        if not fit and self.fallback:
            fit = living
        if len(fit) > 1 and self.order:
            fit.sort(key=lambda place: [_rank(children[place].get(name)) for name in self.order])
        return fit

    def readers(self) -> Sequence[tuple[str, Read]]:
        native, inner = self.native, self.inner.read
        if len(self.where) == 1 and not self.fallback:
            first = self._first_reader(*self.where[0])
            return ((self.field, first),)

        def read(fields: Fields, context: Context) -> Any:
            children = fields.get(native)
            if not children:
                return None
            fit = self.fitting(children)
            return inner(children[fit[0]], context) if fit else None

        return ((self.field, read),)

    def _first_reader(self, name: str, values: tuple[Any, ...]) -> Read:
        """As `fitting`, without lists while there is but one that fits."""
        native, inner, active, order = self.native, self.inner.read, self.active, self.order

        def read(fields: Fields, context: Context) -> Any:
            found = None
            children = fields.get(native) or ()
            for child in children:
                if child.get(name) not in values:
                    continue
                if active is not None and child.get(active) is False:
                    continue
                if found is not None and order:
                    return inner(children[self.fitting(children)[0]], context)
                if found is None:
                    found = child
                    if not order:
                        break
            return inner(found, context) if found is not None else None

        return read

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if self.field not in changes:
            return
        wanted = changes[self.field]
        children = draft.children(self.native)
        fit = self.fitting(children)
        with _named(self.field):
            if wanted is None:
                if fit:
                    self._clear(children, fit[0])
            elif fit and agree(self._read(children[fit[0]], context), wanted):
                written = self.inner.write(wanted, children[fit[0]], context)
                children[fit[0]].update(written)
            else:
                self._place(wanted, children, fit, context)
        draft.set(self.native, children)

    def _read(self, child: Fields, context: Context) -> Any:
        try:
            return self.inner.read(child, context)
        except BadValue:
            return None

    def _clear(self, children: list[dict[str, Any]], place: int) -> None:
        if self.clear == "remove":
            del children[place]
            return
        for name, values in self.where:
            if values == (True,):
                children[place][name] = False

    def _place(
        self, wanted: Any, children: list[dict[str, Any]], fit: list[int], context: Context
    ) -> None:
        """Make `wanted` the first that fits."""
        shared = False
        if fit and self.main is not None:
            shared = self.main.fitting(children)[:1] == fit[:1]
        if self.clear == "unset":
            self._choose(wanted, children, fit, shared, context)
        elif fit:
            self._swap(wanted, children, fit, context)
            self._write(wanted, children[fit[0]], context)
        else:
            children.append(self._new(wanted, context))

    def _swap(
        self, wanted: Any, children: list[dict[str, Any]], fit: list[int], context: Context
    ) -> None:
        """If a later child has the value already, it gets the first one's, so that none is lost."""
        for place in fit[1:]:
            if agree(self._read(children[place], context), wanted):
                names = [self.inner.native] if isinstance(self.inner, InnerValue) else []
                if names and self.kind_by is not None:
                    names.append(self.kind_by[0])
                first, later = children[fit[0]], children[place]
                for name in names:
                    first[name], later[name] = later.get(name), first.get(name)
                return

    def _choose(
        self,
        wanted: Any,
        children: list[dict[str, Any]],
        fit: list[int],
        shared: bool,
        context: Context,
    ) -> None:
        """Flagged children keep their identity: another that agrees is flagged instead."""
        taken = self.main.fitting(children)[:1] if self.main is not None else []
        chosen = next(
            (
                place
                for place, child in enumerate(children)
                if place not in taken
                and (self.active is None or child.get(self.active) is not False)
                and agree(self._read(child, context), wanted)
            ),
            None,
        )
        if chosen is None and fit and not shared:
            self._write(wanted, children[fit[0]], context)
            return
        if chosen is None:
            children.append(self._new(wanted, context))
            chosen = len(children) - 1
        for name, values in self.where:
            children[chosen][name] = values[0]
        while (fit := self.fitting(children)) and fit[0] != chosen and chosen in fit:
            self._clear(children, fit[0])

    def _write(self, wanted: Any, child: dict[str, Any], context: Context) -> None:
        child.update(self.inner.write(wanted, child, context))
        self._set_kind(wanted, child)

    def _new(self, wanted: Any, context: Context) -> dict[str, Any]:
        child = {**self.defaults, **{name: values[0] for name, values in self.where}}
        child.update(_given(self.inner.write(wanted, {}, context)))
        self._set_kind(wanted, child)
        return child

    def _set_kind(self, wanted: Any, child: dict[str, Any]) -> None:
        if self.kind_by is not None:
            name, kinds = self.kind_by
            for start, kind in kinds:
                if str(wanted).startswith(start):
                    child[name] = kind
                    return


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
