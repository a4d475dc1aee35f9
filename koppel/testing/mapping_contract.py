"""The one suite that every mapping passes: subclass it, give the fixtures, and it runs.

```python
class TestMyMapping(MappingContract):
    @pytest.fixture
    def resources(self): ...     # what the connector's describe() says
    @pytest.fixture
    def mapper(self, resources): ...
    @pytest.fixture
    def records(self): ...       # native records, as different as they come
```

`lossy` names canonical fields that cannot hold every value; they keep the weaker law, that a second
round changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from koppel.connectors.base import FieldInfo, Record, Resource
from koppel.mapping.compiled import Mapper
from koppel.model import agree, decode_canonical, encode_canonical


def resolve(entity: str, native: str) -> str | None:
    """Every record is coupled."""
    return f"{entity}:{native}"


def locate(entity: str, coupling: str) -> str | None:
    """And is on this side under the id that its coupling tells."""
    return coupling.removeprefix(f"{entity}:")


def applied(resource: Resource, record: Record | None, fields: Mapping[str, Any]) -> Record:
    """The record as a faithful system would keep it after a write."""
    before = record.fields if record is not None else _empty(resource)
    after = {**before, **fields}
    ids = count(1000)
    for name, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            info = resource.field(name)
            names = [inner.name for inner in info.fields] if info is not None else []
            after[name] = [
                {**dict.fromkeys(names), **child, "id": child.get("id") or f"new{next(ids)}"}
                for child in value
            ]
        elif isinstance(value, dict):
            after[name] = {**(before.get(name) or {}), **value}
    if record is None:
        return Record(resource=resource.name, id="new", version="1", fields=after)
    return Record(resource=record.resource, id=record.id, version="2", fields=after)


def _empty(resource: Resource) -> dict[str, Any]:
    return {
        info.name: [] if info.type in ("list", "references") else None for info in resource.fields
    }


class MappingContract:
    """What every mapping promises."""

    lossy: frozenset[str] = frozenset()

    @pytest.fixture
    def resources(self) -> Sequence[Resource]:
        raise NotImplementedError("give the fixture `resources`")

    @pytest.fixture
    def mapper(self, resources: Sequence[Resource]) -> Mapper:
        raise NotImplementedError("give the fixture `mapper`")

    @pytest.fixture
    def records(self) -> Sequence[Record]:
        raise NotImplementedError("give the fixture `records`")

    @pytest.fixture
    def resource(self, mapper: Mapper, resources: Sequence[Resource]) -> Resource:
        return next(one for one in resources if one.name == mapper.resource)

    def test_every_record_is_read_whole(self, mapper: Mapper, records: Sequence[Record]) -> None:
        assert records
        for record in records:
            assert set(mapper.get(record, resolve)) == set(mapper.fields)

    def test_what_is_read_can_be_kept(self, mapper: Mapper, records: Sequence[Record]) -> None:
        for record in records:
            found = mapper.get(record, resolve)
            assert decode_canonical(mapper.entity, encode_canonical(found)) == found
            hash(tuple(found.values()))

    def test_every_record_has_a_name_for_people(
        self, mapper: Mapper, records: Sequence[Record]
    ) -> None:
        for record in records:
            assert mapper.label(record).strip()

    def test_writing_back_what_was_read_changes_nothing(
        self, mapper: Mapper, records: Sequence[Record]
    ) -> None:
        for record in records:
            found = mapper.get(record, resolve)
            assert mapper.put(found, record, locate) == {}
            for name, value in found.items():
                assert mapper.put({name: value}, record, locate) == {}

    def test_a_field_that_was_written_is_read_back(
        self, mapper: Mapper, records: Sequence[Record], resource: Resource
    ) -> None:
        for record, name, value in self._changes(mapper, records):
            after = applied(resource, record, mapper.put({name: value}, record, locate))
            found = mapper.get(after, resolve)
            if name in self.lossy or name in mapper.repeats:
                again = applied(resource, after, mapper.put({name: found[name]}, after, locate))
                assert agree(mapper.get(again, resolve)[name], found[name]), (name, value)
            else:
                assert agree(found[name], value), (name, value)

    def test_a_field_that_was_written_leaves_the_others_alone(
        self, mapper: Mapper, records: Sequence[Record], resource: Resource
    ) -> None:
        for record, name, value in self._changes(mapper, records):
            before = mapper.get(record, resolve)
            after = applied(resource, record, mapper.put({name: value}, record, locate))
            found = mapper.get(after, resolve)
            sharing = self._sharing(mapper, name)
            for other in set(mapper.fields) - sharing:
                assert agree(found[other], before[other]), (name, other)

    def test_a_record_made_from_another_reads_like_it(
        self, mapper: Mapper, records: Sequence[Record], resource: Resource
    ) -> None:
        for record in records:
            wanted = mapper.get(record, resolve)
            made = applied(resource, None, mapper.put(wanted, None, locate))
            found = mapper.get(made, resolve)
            for name in mapper.writable - self.lossy:
                assert agree(found[name], wanted[name]), name

    def test_only_what_the_system_has_and_lets_write_is_written(
        self, mapper: Mapper, records: Sequence[Record], resource: Resource
    ) -> None:
        for record, name, value in self._changes(mapper, records):
            for current in (record, None):
                written = mapper.put({name: value}, current, locate)
                _check(resource.fields, written, new=current is None)

    def test_a_new_record_gets_no_empty_fields(
        self, mapper: Mapper, records: Sequence[Record]
    ) -> None:
        for record in records:
            made = mapper.put(mapper.get(record, resolve), None, locate)
            assert all(value not in (None, []) for value in made.values())

    def _changes(
        self, mapper: Mapper, records: Sequence[Record]
    ) -> Iterator[tuple[Record, str, Any]]:
        """Every writable field of every record takes the value of the next record."""
        others = [*records[1:], *records[:1]]
        for record, other in zip(records, others, strict=True):
            values = mapper.get(other, resolve)
            for name in sorted(mapper.writable):
                if values[name] is not None:
                    yield record, name, values[name]

    def _sharing(self, mapper: Mapper, name: str) -> set[str]:
        """The field itself, and those whose value depends on it."""
        pairs = mapper.repeats.items()
        twins = {field for field, main in pairs if main == name} | {
            main for field, main in pairs if field == name
        }
        plain = {other for other in mapper.fields if self._same_native(mapper, name, other)}
        return {name} | twins | plain

    def _same_native(self, mapper: Mapper, name: str, other: str) -> bool:
        """Parts of one native text, or a number whose country is that of an address."""
        if name in ("billing_address", "shipping_address"):
            return other in ("phone", "mobile", "fax", "tax_id")
        split = {"given_name", "family_name"}
        return {name, other} <= split and mapper.natives[name] == mapper.natives[other]


def _check(infos: Sequence[FieldInfo], written: Mapping[str, Any], *, new: bool) -> None:
    known = {info.name: info for info in infos}
    for name, value in written.items():
        info = known[name]
        assert info.writable or name == "id", name
        if info.type == "list":
            for child in value:
                _check(info.fields, {k: v for k, v in child.items() if k != "id"}, new=new)
        elif info.type == "object" and value is not None:
            _check(info.fields, {k: v for k, v in value.items() if k != "id"}, new=new)
