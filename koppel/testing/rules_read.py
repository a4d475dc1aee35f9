"""The contract's groups describe, read and changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from koppel.connectors.base import Connector, FieldInfo, Gone, Record, Refused, Written
from koppel.errors import NeedsUser
from koppel.testing.human import Human
from koppel.testing.rules import ContractBase

NewFields = Callable[[], dict[str, Any]]
Change = Callable[[], tuple[str, Any]]

TYPES: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "text": str,
    "integer": int,
    "decimal": (Decimal, int),
    "float": (float, int),
    "boolean": bool,
    "date": date,
    "datetime": datetime,
    "choice": str,
    "reference": str,
    "references": list,
    "list": list,
    "object": dict,
}


class DescribeRules(ContractBase):
    """The system tells what it has, and it is true."""

    def test_check_names_the_system_and_its_version(self, connector: Connector) -> None:
        health = connector.check()
        assert health.ok, health.messages
        assert health.system
        assert health.version

    def test_describe_names_each_resource_and_field_once(self, connector: Connector) -> None:
        resources = connector.describe()
        names = [resource.name for resource in resources]
        assert self.resource in names
        assert len(names) == len(set(names))
        for resource in resources:
            fields = [info.name for info in resource.fields]
            assert fields, f"{resource.name} has no fields"
            assert len(fields) == len(set(fields)), f"{resource.name} names a field twice"

    def test_every_described_resource_has_capabilities(self, connector: Connector) -> None:
        for resource in connector.describe():
            capable = connector.capabilities(resource.name)
            assert capable.max_fetch >= 1
            assert capable.max_write >= 1
            assert capable.overlap_seconds >= 0

    def test_an_unknown_resource_is_the_users_to_correct(self, connector: Connector) -> None:
        with pytest.raises(NeedsUser):
            connector.capabilities("no_such_resource")

    def test_describe_names_every_field_that_fetch_returns(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        resource = self.described(connector)
        record = self.created(connector, new_fields())
        fetched = self.fetched(connector, record.id)
        infos = {info.name: info for info in resource.fields}
        assert set(fetched.fields) <= set(infos)
        for name, value in fetched.fields.items():
            if infos[name].type == "list":
                inner = {info.name for info in infos[name].fields} | {"id"}
                for child in value:
                    assert set(child) <= inner, f"{name} holds fields that nobody described"

    def test_values_have_the_types_that_describe_tells(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        resource = self.described(connector)
        record = self.fetched(connector, self.created(connector, new_fields()).id)
        wrong = list(_wrong(resource.fields, record.fields, ""))
        assert wrong == []

    def test_a_missing_required_field_is_refused_by_name(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        cases = list(self.without(new_fields, self.described(connector).fields))
        if not cases:
            pytest.skip(f"{self.resource} declares no required field of those that the test fills")
        for info, fields in cases:
            outcome = self.write(connector, self.creation(fields))
            if isinstance(outcome, Written) and isinstance(outcome.after, Record):
                given = outcome.after.fields[info.name]
                assert given not in (None, "", []), f"{info.name} is required and was left empty"
                continue
            assert isinstance(outcome, Refused), outcome
            assert info.name in outcome.fields, f"the refusal does not name {info.name}: {outcome}"


def _wrong(infos: tuple[FieldInfo, ...], fields: Mapping[str, Any], path: str) -> Iterator[str]:
    by_name = {info.name: info for info in infos}
    for name, value in fields.items():
        if value is None or (not path and name not in by_name) or (path and name == "id"):
            continue
        info = by_name[name]
        if not isinstance(value, TYPES[info.type]):
            yield f"{path}{name} is a {type(value).__name__}, described as {info.type}"
        elif info.type == "integer" and isinstance(value, bool):
            yield f"{path}{name} is a boolean, described as integer"
        elif info.type == "choice" and info.choices:
            if value not in {choice.value for choice in info.choices}:
                yield f"{path}{name} is {value!r}, which is not among its choices"
        elif isinstance(value, list) and info.type == "list":
            for child in value:
                yield from _wrong(info.fields, child, f"{path}{name}.")


class ReadRules(ContractBase):
    """Each record is found, whole, and with a version."""

    def test_fetch_answers_for_every_id(self, connector: Connector, new_fields: NewFields) -> None:
        one, two = (self.created(connector, new_fields()) for _ in range(2))
        wanted = [two.id, self.absent_id, one.id]
        found = self.fetch_all(connector, wanted)
        assert set(found) == set(wanted)
        assert isinstance(found[one.id], Record)
        assert isinstance(found[two.id], Record)
        assert isinstance(found[self.absent_id], Gone)
        for id, record in found.items():
            assert record.id == id
            assert record.resource == self.resource

    def test_fetch_of_nothing_is_nothing(self, connector: Connector) -> None:
        assert dict(connector.fetch(self.resource, [])) == {}

    def test_fetch_takes_as_many_ids_as_declared(self, connector: Connector) -> None:
        living = [id for id, _ in self.sweep(connector)]
        wanted = living[: self.capable(connector).max_fetch]
        assert set(connector.fetch(self.resource, wanted)) == set(wanted)

    def test_a_version_stays_while_nothing_changes(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        first, second = (self.fetched(connector, record.id) for _ in range(2))
        assert first == second
        assert first.version

    def test_find_returns_exact_matches_only(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        value = record.fields[self.key_field]
        longer = self.created(connector, {**new_fields(), self.key_field: f"{value} and more"})
        found = [one.id for one in connector.find(self.resource, {self.key_field: value})]
        assert found == [record.id]
        assert longer.id not in found

    def test_find_combines_all_that_it_is_given(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        if not self.match_field:
            pytest.skip(f"the test names no second field of {self.resource} to find by")
        one, two = (self.created(connector, new_fields()) for _ in range(2))
        both = {name: one.fields[name] for name in (self.key_field, self.match_field)}
        assert [found.id for found in connector.find(self.resource, both)] == [one.id]
        both[self.match_field] = f"{two.fields[self.match_field]}0"
        assert list(connector.find(self.resource, both)) == []

    def test_find_returns_no_more_than_asked_for(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        records = [self.created(connector, new_fields()) for _ in range(3)]
        same = {self.key_field: records[0].fields[self.key_field]}
        for record in records[1:]:
            self.record(self.write(connector, self.updating(record, same)))
        assert len(connector.find(self.resource, same, limit=2)) == 2

    def test_find_returns_what_fetch_returns(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        match = {self.key_field: record.fields[self.key_field]}
        assert list(connector.find(self.resource, match)) == [self.fetched(connector, record.id)]

    def test_find_leaves_out_what_is_gone(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        self.write(connector, self.deleting(connector, record))
        match = {self.key_field: record.fields[self.key_field]}
        assert list(connector.find(self.resource, match)) == []

    def test_the_sweep_lists_each_living_record_once_with_its_version(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        records = [self.created(connector, new_fields()) for _ in range(2)]
        pairs = self.sweep(connector)
        ids = [id for id, _ in pairs]
        assert len(ids) == len(set(ids))
        versions = dict(pairs)
        for record in records:
            assert versions[record.id] == self.fetched(connector, record.id).version

    def test_the_sweep_leaves_out_what_is_gone(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        self.write(connector, self.deleting(connector, record))
        assert record.id not in dict(self.sweep(connector))


class ChangeRules(ContractBase):
    """No change is missed, whoever made it, wherever the reading was interrupted."""

    def test_a_record_created_later_is_reported(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        cursor = connector.now(self.resource)
        id = self.by_human(lambda: human.create(self.resource, new_fields()))
        assert id in self.changed(connector, cursor)[0]

    def test_from_the_beginning_every_record_is_listed(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        for _ in range(5):
            self.created(connector, new_fields())
        living = set(dict(self.sweep(connector)))
        reported = set(self.changed(connector, None, limit=max(2, len(living) // 5))[0])
        assert living <= reported
        rest = self.fetch_all(connector, list(reported - living))
        assert all(isinstance(one, Gone) for one in rest.values())

    def test_the_cursor_at_the_end_of_the_beginning_goes_on_from_there(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        _, cursor = self.changed(connector, None)
        self.by_human(lambda: human.edit(self.resource, record.id, dict([change()])))
        assert record.id in self.changed(connector, cursor)[0]

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_pages_of_any_size_reach_every_change(
        self, connector: Connector, new_fields: NewFields, limit: int
    ) -> None:
        cursor = connector.now(self.resource)
        # In one go, so that several share one stamp where stamps are coarse.
        made = {self.created(connector, new_fields()).id for _ in range(5)}
        assert made <= set(self.changed(connector, cursor, limit)[0])

    def test_changes_during_the_reading_are_not_lost(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        records = [self.created(connector, new_fields()) for _ in range(3)]
        cursor = connector.now(self.resource)
        for record in records:
            self.by_human(partial(human.edit, self.resource, record.id, dict([change()])))
        page = connector.changes(self.resource, cursor, 1)
        field, value = change()
        for record in records:
            self.by_human(partial(human.edit, self.resource, record.id, {field: value}))
        reported, end = self.changed(connector, page.cursor, 2)
        if self.capable(connector).changes == "scan":
            # A scan that has passed a record comes by again at its next round.
            reported += self.changed(connector, end, 2)[0]
        assert {record.id for record in records} <= set(reported)

    def test_a_humans_edit_is_reported_with_a_new_version(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        cursor = connector.now(self.resource)
        field, value = change()
        self.by_human(lambda: human.edit(self.resource, record.id, {field: value}))
        assert record.id in self.changed(connector, cursor)[0]
        after = self.fetched(connector, record.id)
        assert after.fields[field] == value
        assert after.version != record.version
        assert dict(self.sweep(connector))[record.id] == after.version

    def test_a_childs_edit_is_reported_with_a_new_version(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        cursor = connector.now(self.resource)
        self.by_human(lambda: human.edit_child(self.resource, record.id))
        assert record.id in self.changed(connector, cursor)[0]
        after = self.fetched(connector, record.id)
        assert after.fields != record.fields
        assert after.version != record.version
        assert dict(self.sweep(connector))[record.id] == after.version

    def test_a_cursor_outlives_its_connector(
        self,
        connector: Connector,
        reconnect: Callable[[], Connector],
        human: Human,
        new_fields: NewFields,
    ) -> None:
        cursor = connector.now(self.resource)
        id = self.by_human(lambda: human.create(self.resource, new_fields()))
        other = reconnect()
        try:
            assert id in self.changed(other, cursor)[0]
        finally:
            other.close()

    def test_what_a_human_trashes_is_reported_or_missing_from_the_sweep(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        cursor = connector.now(self.resource)
        self.by_human(lambda: human.trash(self.resource, record.id))
        self._assert_gone(connector, record.id, cursor)

    def test_what_a_human_deletes_is_reported_or_missing_from_the_sweep(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        cursor = connector.now(self.resource)
        self.by_human(lambda: human.delete(self.resource, record.id))
        self._assert_gone(connector, record.id, cursor)

    def test_what_a_human_takes_back_from_the_trash_is_there_again(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        self.by_human(lambda: human.trash(self.resource, record.id))
        cursor = connector.now(self.resource)
        self.by_human(lambda: human.restore(self.resource, record.id))
        assert record.id in self.changed(connector, cursor)[0]
        assert self.fetched(connector, record.id).fields == record.fields
        assert record.id in dict(self.sweep(connector))

    def test_a_merged_record_says_into_which(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        record, other = (self.created(connector, new_fields()) for _ in range(2))
        cursor = connector.now(self.resource)
        self.by_human(lambda: human.merge(self.resource, record.id, other.id))
        found = self.seen(connector, record.id)
        assert isinstance(found, Gone)
        assert found.merged_into == other.id
        self._assert_gone(connector, record.id, cursor)
        assert isinstance(self.seen(connector, other.id), Record)

    def _assert_gone(self, connector: Connector, id: str, cursor: str) -> None:
        assert isinstance(self.seen(connector, id), Gone)
        assert id not in dict(self.sweep(connector))
        if self.capable(connector).deletes in ("log", "tombstone"):
            assert id in self.changed(connector, cursor)[0]
