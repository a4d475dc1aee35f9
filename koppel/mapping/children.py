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
        with named(self.field):
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


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
