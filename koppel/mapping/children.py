"""The unit that chooses one child of a list: the first phone, the invoice address, the VAT id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from koppel.mapping.faults import BadValue
from koppel.mapping.inner import Inner, InnerValue, given
from koppel.mapping.lens import Context
from koppel.mapping.units import Draft, Fields, Read, named
from koppel.model import agree


class Child(Struct, frozen=True, kw_only=True):
    """The first child of a list that fits `where`: the first phone, the invoice address.

    `where` gives for each field the values that fit; a new child gets the first of them. `order`
    are fields by which children are sorted (those without a value first), then as the list stands.
    `active` is a field that must not be false. `fallback`: without a fitting child the first of all
    will do, but for those that fit a twin (`avoid`). `kind_by` sets a field by the value's start.
    What happens to a child whose value is cleared says `clear`: "remove" it, or "unset" the flags
    in `where`. The next one that fits takes its place, so clearing the first of two is read back
    as the second.
    """

    field: str
    native: str
    inner: Inner
    where: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    order: tuple[str, ...] = ()
    active: str | None = None
    fallback: bool = False
    avoid: tuple[tuple[str, tuple[Any, ...]], ...] = ()
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
        fit = [place for place in living if _meets(children[place], self.where)]
        if not fit and self.fallback:
            fit = [
                place
                for place in living
                if not (self.avoid and _meets(children[place], self.avoid))
            ]
        if len(fit) > 1 and self.order:
            fit.sort(key=lambda place: [_rank(children[place].get(name)) for name in self.order])
        return fit

    def readers(self) -> Sequence[tuple[str, Read]]:
        native, inner = self.native, self.inner.read
        if len(self.where) == 1:
            return ((self.field, self._first_reader(*self.where[0])),)

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
        fallback = self.fallback

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
            if found is None and fallback and children:
                fit = self.fitting(children)
                found = children[fit[0]] if fit else None
            return inner(found, context) if found is not None else None

        return read

    def put(self, changes: Mapping[str, Any], draft: Draft, context: Context) -> None:
        if self.field not in changes:
            return
        wanted = changes[self.field]
        children = draft.children(self.native)
        fit = self.fitting(children)
        main = self.main.fitting(children)[:1] if self.main is not None else []
        now = self._read(children[fit[0]], context) if fit else None
        with named(self.field):
            if wanted is None:
                if now is not None and fit[:1] != main:
                    self._give_up(children, fit, main)
            elif fit and agree(now, wanted):
                children[fit[0]].update(self.inner.write(wanted, children[fit[0]], context))
            else:
                self._place(wanted, children, fit, main, context)
        if self.main is not None and main and self.main.fitting(children)[:1] != main:
            # It was chosen for want of a better one; from now on it is meant.
            _flag(children[main[0]], self.main.where)
        draft.set(self.native, children)

    def _read(self, child: Fields, context: Context) -> Any:
        try:
            return self.inner.read(child, context)
        except BadValue:
            return _UNREADABLE

    def _give_up(self, children: list[dict[str, Any]], fit: list[int], main: list[int]) -> None:
        """Clear the first that fits; a twin then falls together with its main child."""
        self._clear(children, fit[0])
        if main:
            _flag(children[main[0]], self.where)
            while (fit := self.fitting(children)) and fit[:1] != main:
                self._clear(children, fit[0])

    def _clear(self, children: list[dict[str, Any]], place: int) -> None:
        if self.clear == "remove":
            del children[place]
            return
        for name, values in self.where:
            if values == (True,):
                children[place][name] = False

    def _place(
        self,
        wanted: Any,
        children: list[dict[str, Any]],
        fit: list[int],
        main: list[int],
        context: Context,
    ) -> None:
        """Make `wanted` the first that fits."""
        if self.clear == "unset":
            self._choose(wanted, children, fit, main, context)
        elif fit:
            self._swap(wanted, children, fit, context)
            self._write(wanted, children[fit[0]], context)
        else:
            children.append(self._new(wanted, children, context))

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
        taken: list[int],
        context: Context,
    ) -> None:
        """Flagged children keep their identity: another that agrees is flagged instead."""
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
        if chosen is None and fit and fit[:1] != taken:
            self._write(wanted, children[fit[0]], context)
            chosen = fit[0]
        if chosen is None:
            children.append(self._new(wanted, children, context))
            chosen = len(children) - 1
        _flag(children[chosen], self.where)
        while (fit := self.fitting(children)) and fit[0] != chosen and chosen in fit:
            self._clear(children, fit[0])

    def _write(self, wanted: Any, child: dict[str, Any], context: Context) -> None:
        child.update(self.inner.write(wanted, child, context))
        self._set_kind(wanted, child)

    def _new(self, wanted: Any, children: Sequence[Fields], context: Context) -> dict[str, Any]:
        child = dict(self.defaults)
        if self.avoid and any(_meets(other, self.avoid) for other in children):
            # The twin has a child of its own, which must stay its first.
            for name, _values in self.avoid:
                child.pop(name, None)
        _flag(child, self.where)
        child.update(given(self.inner.write(wanted, {}, context)))
        self._set_kind(wanted, child)
        return child

    def _set_kind(self, wanted: Any, child: dict[str, Any]) -> None:
        if self.kind_by is not None:
            name, kinds = self.kind_by
            for start, kind in kinds:
                if str(wanted).startswith(start):
                    child[name] = kind
                    return


_UNREADABLE = object()
"""What is read where a value has no meaning here: it equals nothing."""

Where = tuple[tuple[str, tuple[Any, ...]], ...]


def _meets(child: Fields, where: Where) -> bool:
    return all(child.get(name) in values for name, values in where)


def _flag(child: dict[str, Any], where: Where) -> None:
    for name, values in where:
        child[name] = values[0]


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
