"""A compiled mapping: native record <-> canonical record, in one direction or the other.

Pure: what a reference points to is asked of the functions given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from koppel.connectors.base import Record
from koppel.mapping.children import Child
from koppel.mapping.faults import BadValue
from koppel.mapping.inner import Flat, InnerAddress, InnerValue, Whole
from koppel.mapping.lens import Context
from koppel.mapping.lenses.codes import country_code
from koppel.mapping.units import Draft, Fields, Scalar, Unit
from koppel.model import agree

Resolve = Callable[[str, str], str | None]


class Test:
    """One condition on a native field, as a mapping's scope has it."""

    def __init__(self, path: str, op: str, value: Any) -> None:
        self.path = path
        self.op = op
        self.value = value

    def holds(self, fields: Fields) -> bool:
        found = list(native_values(fields, self.path))
        match self.op:
            case "equals":
                return self.value in found or (self.value is None and not found)
            case "not_equals":
                return self.value not in found
            case "one_of":
                return any(one in self.value for one in found)
            case "contains":
                return any(one is not None and self.value in one for one in found)
            case _:
                return any(one not in (None, "", [], {}) for one in found)


def native_values(fields: Fields, path: str) -> Iterator[Any]:
    """The values at `a` or `a.b`, one for each child where `a` is a list."""
    head, _, rest = path.partition(".")
    value = fields.get(head)
    if not rest:
        yield value
        return
    for child in value if isinstance(value, list) else (value,):
        if isinstance(child, Mapping):
            yield child.get(rest)


class Mapper:
    """The compiled mapping of one entity on one side.

    `fields` are the canonical fields that this side knows, `writable` those that can be put, and
    `references` says for reference fields to which entity they point.
    """

    def __init__(
        self,
        *,
        connector: str,
        entity: str,
        resource: str,
        units: Sequence[Unit],
        references: Mapping[str, str],
        label: tuple[tuple[str, ...], str | None],
        regions: Sequence[str],
        region: str | None,
        scope: Sequence[Test],
        defaults: Mapping[str, Any],
        natives: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.connector = connector
        self.entity = entity
        self.resource = resource
        self.units = tuple(units)
        self.fields: tuple[str, ...] = tuple(name for unit in units for name in unit.fields)
        self.writable: frozenset[str] = frozenset().union(*(unit.writable for unit in units))
        self.references = references
        self.natives = natives
        """Canonical field -> the native fields it lives in, for people and for documentation."""
        self.repeats: Mapping[str, str] = {
            unit.field: unit.same_as
            for unit in units
            if isinstance(unit, Child | Flat | Whole) and unit.same_as
        }
        """Fields that are None where they would only repeat the other field."""
        self._regional = tuple(unit for unit in units if _is_regional(unit))
        self._addresses = frozenset(
            unit.field
            for unit in units
            if isinstance(unit, Child | Flat | Whole) and isinstance(unit.inner, InnerAddress)
        )
        self._label = label
        self._region_paths = tuple(tuple(path.partition(".")[::2]) for path in regions)
        self._region = region
        self._scope = tuple(scope)
        self._defaults = dict(defaults)
        self._readers = tuple(pair for unit in units for pair in unit.readers())
        self._read = dict(self._readers)
        self._twins: tuple[Child | Flat | Whole, ...] = tuple(
            unit for unit in units if isinstance(unit, Child | Flat | Whole) and unit.same_as
        )

    def __repr__(self) -> str:
        return f"Mapper({self.connector}, {self.entity}, {self.resource})"

    def get(
        self, record: Record, resolve: Resolve, *, country_of: Resolve | None = None
    ) -> dict[str, Any]:
        """The canonical record. Raises `BadValue` for a value without a counterpart.

        `resolve(entity, native id)` gives the coupling or None, which leaves a `Ref` with the
        native id. `country_of(entity, coupling)` gives the country (alpha-2) of a record that this
        one refers to: a contact's national phone numbers are read as those of its partner's
        country. Without it, and without an address, they stay as typed.
        """
        fields = record.fields

        def region() -> str | None:
            found = self._region_of(fields)
            if found is None and country_of is not None:
                found = self._region_by_reference(fields, resolve, country_of)
            return found or self._region

        context = Context(region, resolve)
        found: dict[str, Any] = {}
        name = ""
        try:
            for name, read in self._readers:
                found[name] = read(fields, context)
        except BadValue as error:
            error.field = f"{name}.{error.field}" if error.field else name
            raise
        for unit in self._twins:
            if found[unit.field] is not None and agree(
                found[unit.field], found.get(unit.same_as or "")
            ):
                found[unit.field] = None
        return found

    def put(
        self,
        changes: Mapping[str, Any],
        current: Record | None,
        locate: Resolve,
    ) -> dict[str, Any]:
        """The native fields for a `Create` (`current` None) or an `Update`; only what changes.

        A list of children comes whole: known children with their ids, as they shall be. Fields
        that this side cannot write are passed over. `locate(entity, coupling)` gives the native id
        here; where it gives None, `Unresolved` is raised. `BadValue` as in `get`.
        """
        draft = Draft(current.fields if current is not None else None)
        region = self._region_of(draft.current)
        context = Context(lambda: region or self._region, locate)
        wanted = {name: changes[name] for name in changes if name in self.writable}
        wanted = self._follow(wanted, draft.current, context)
        for unit in self.units:
            unit.put(wanted, draft, context)
        if current is not None and self._addresses & wanted.keys():
            self._moved(wanted, draft, context)
        if current is not None:
            return {
                name: value
                for name, value in draft.changed.items()
                if name not in draft.current or not _equal(draft.current[name], value)
            }
        made = {
            name: value
            for name, value in draft.changed.items()
            if value is not None and value != []
        }
        return {**self._defaults, **made}

    def label(self, record: Record) -> str:
        """What people call the record: "Müller GmbH (K-0042)"; its id where it has no name."""
        names, number = self._label
        parts = (str(record.fields.get(name) or "").strip() for name in names)
        name = " ".join(part for part in parts if part) or f"{self.resource} {record.id}"
        code = str(record.fields.get(number) or "").strip() if number else ""
        return f"{name} ({code})" if code else name

    def scope(self, record: Record) -> bool:
        """Is it a record that this mapping is about at all?"""
        return all(test.holds(record.fields) for test in self._scope)

    def country(self, record: Record) -> str | None:
        """The country (alpha-2) in which the record lives, as far as its fields say so."""
        return self._region_of(record.fields)

    # Inner matters.

    def _region_of(self, fields: Fields) -> str | None:
        for head, rest in self._region_paths:
            value = fields.get(head)
            found: tuple[Any, ...]
            if not rest:
                found = (value,)
            elif isinstance(value, list):
                found = tuple(child.get(rest) for child in value if isinstance(child, Mapping))
            else:
                found = (value.get(rest),) if isinstance(value, Mapping) else ()
            for one in found:
                code = country_code(one) if isinstance(one, str) else None
                if code is not None:
                    return code
        return None

    def _region_by_reference(
        self, fields: Fields, resolve: Resolve, country_of: Resolve
    ) -> str | None:
        for name, entity in self.references.items():
            for path in self.natives.get(name, ()):
                for value in native_values(fields, path):
                    coupling = resolve(entity, str(value)) if value else None
                    country = country_of(entity, coupling) if coupling else None
                    if country:
                        return country
        return None

    def _moved(self, wanted: Mapping[str, Any], draft: Draft, before: Context) -> None:
        """Numbers without a country code must not change their meaning as the record moves."""
        region = self._region_of({**draft.current, **draft.changed})
        if region == before.region:
            return
        after = Context(lambda: region or self._region, before.lookup)
        for unit in self._regional:
            value = wanted.get(unit.field, self._now(unit.field, draft.current, before))
            if value is not None:
                unit.put({unit.field: value}, draft, after)

    def _follow(
        self, wanted: Mapping[str, Any], current: Fields, context: Context
    ) -> dict[str, Any]:
        """The changes with twins thought through: what only repeats its main field is None.

        So None stays None where it says the same already, and a native twin that only repeats its
        main field goes with it when that one changes.
        """
        result = dict(wanted)
        for unit in self._twins:
            main = unit.same_as or ""
            raw, old = self._now(unit.field, current, context), self._now(main, current, context)
            new = wanted.get(main, old)
            value = wanted.get(unit.field)
            if unit.field in wanted and value is not None and not agree(value, new):
                continue
            result.pop(unit.field, None)
            if raw is not None and agree(raw, old):
                if not agree(new, old):
                    joined = isinstance(unit, Child) and unit.main is not None
                    result[unit.field] = None if joined else new
            elif unit.field in wanted and raw is not None:
                result[unit.field] = None
        return result

    def _now(self, name: str, current: Fields, context: Context) -> Any:
        read = self._read.get(name)
        try:
            return read(current, context) if read is not None else None
        except BadValue:
            return None


def _is_regional(unit: Unit) -> TypeGuard[Scalar | Child]:
    """Does what stands there mean something else in another country?"""
    if isinstance(unit, Scalar):
        return unit.lens.regional and unit.can_write
    inner = unit.inner if isinstance(unit, Child) else None
    return isinstance(inner, InnerValue) and inner.lens.regional and bool(unit.writable)


def _equal(one: Any, two: Any) -> bool:
    """Equal, where an empty list and no value are the same."""
    return bool(one == two) or (one in (None, []) and two in (None, []))
