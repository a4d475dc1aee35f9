"""The contract's groups write, and idempotency and crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from koppel.connectors.base import (
    Act,
    Connector,
    Create,
    Delete,
    Gone,
    Outcome,
    Record,
    Refused,
    Update,
    Write,
    Written,
)
from koppel.errors import TryLater
from koppel.testing.human import Human
from koppel.testing.rules import ContractBase, Faults

NewFields = Callable[[], dict[str, Any]]
Change = Callable[[], tuple[str, Any]]
Children = tuple[str, Callable[[], dict[str, Any]], str] | None

LOSSES: tuple[Literal["drop_reply", "lose"], ...] = ("drop_reply", "lose")


class WriteRules(ContractBase):
    """What is written is what was asked for, and the read-back is the truth."""

    def test_a_read_back_equals_a_fetch_afterwards(
        self, connector: Connector, new_fields: NewFields, change: Change
    ) -> None:
        created = self.created(connector, new_fields())
        assert created == self.fetched(connector, created.id)
        updated = self.record(self.write(connector, self.updating(created, dict([change()]))))
        assert updated == self.fetched(connector, created.id)
        assert updated.version != created.version

    def test_what_koppel_writes_a_human_sees(
        self, connector: Connector, human: Human, new_fields: NewFields
    ) -> None:
        fields = new_fields()
        record = self.created(connector, fields)
        seen = self.by_human(lambda: human.read(self.resource, record.id))
        assert seen is not None
        assert seen[self.key_field] == fields[self.key_field]

    def test_an_update_touches_only_the_given_fields(
        self, connector: Connector, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        field, value = change()
        after = self.record(self.write(connector, self.updating(record, {field: value})))
        assert after.fields[field] == value
        touched = {name for name in after.fields if after.fields[name] != record.fields.get(name)}
        derived = {info.name for info in self.described(connector).fields if not info.writable}
        assert touched - derived == {field}

    def test_none_clears_a_field(self, connector: Connector, new_fields: NewFields) -> None:
        record = self.created(connector, new_fields())
        assert record.fields[self.clear_field] not in (None, "")
        cleared = self.record(
            self.write(connector, self.updating(record, {self.clear_field: None}))
        )
        assert cleared.fields[self.clear_field] is None

    def test_an_update_without_an_expected_version_is_not_checked(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        self.by_human(lambda: human.edit(self.resource, record.id, dict([change()])))
        field, value = change()
        update = Update(
            resource=self.resource,
            key=self.new_key(),
            id=record.id,
            expected=None,
            fields={field: value},
        )
        assert self.record(self.write(connector, update)).fields[field] == value

    def test_a_stale_write_is_refused_and_nothing_changes(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        self._skip_without_lock(connector)
        record = self.created(connector, new_fields())
        self.by_human(lambda: human.edit(self.resource, record.id, dict([change()])))
        before = self.fetched(connector, record.id)
        self._assert_stale(connector, self.updating(record, dict([change()])), before)
        self._assert_stale(connector, self.deleting(connector, record), before)

    def test_a_write_after_a_childs_edit_is_stale(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        self._skip_without_lock(connector)
        record = self.created(connector, new_fields())
        self.by_human(lambda: human.edit_child(self.resource, record.id))
        before = self.fetched(connector, record.id)
        self._assert_stale(connector, self.updating(record, dict([change()])), before)

    def test_outcomes_keep_the_order_and_one_refusal_stops_no_other(
        self, connector: Connector, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        field, value = change()
        missing = Update(
            resource=self.resource,
            key=self.new_key(),
            id=self.absent_id,
            expected=None,
            fields={field: value},
        )
        fields = new_fields()
        refused, created, updated = self._in_batches(
            connector,
            [missing, self.creation(fields), self.updating(record, {field: value})],
        )
        assert isinstance(refused, Refused)
        assert refused.reason == "missing"
        assert self.record(created).fields[self.key_field] == fields[self.key_field]
        assert self.record(updated).id == record.id

    def test_unicode_comes_back_as_it_went(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        text = "Überprüfung Łódź – Ångström, Œuvre «ß» 北京 🏭"
        record = self.created(connector, {**new_fields(), self.key_field: text})
        assert self.fetched(connector, record.id).fields[self.key_field] == text
        assert record.id in {
            one.id for one in connector.find(self.resource, {self.key_field: text}, limit=50)
        }

    def test_a_text_too_long_is_refused_or_shown_cut(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        fields = new_fields()
        for info in self.described(connector).fields:
            if info.name not in fields or info.type != "text" or info.max_length is None:
                continue
            long = "x" * (info.max_length + 10)
            outcome = self.write(connector, self.creation({**new_fields(), info.name: long}))
            if isinstance(outcome, Refused):
                assert info.name in outcome.fields, outcome
                continue
            record = self.record(outcome)
            assert record.fields[info.name] == self.fetched(connector, record.id).fields[info.name]
            assert len(record.fields[info.name]) <= info.max_length

    def test_an_unknown_field_is_refused_or_missing_from_the_read_back(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        fields = {**new_fields(), "no_such_field": "x"}
        outcome = self.write(connector, self.creation(fields))
        if isinstance(outcome, Refused):
            assert outcome.reason == "invalid"
        else:
            assert "no_such_field" not in self.record(outcome).fields

    def test_children_are_added_changed_and_removed_by_their_ids(
        self, connector: Connector, new_fields: NewFields, children: Children
    ) -> None:
        if children is None:
            pytest.skip(f"{self.resource} has no list of children in this test")
        name, new_child, text = children
        start = self.created(connector, {**new_fields(), name: [new_child(), new_child()]})
        one, two = start.fields[name]
        assert one["id"] != two["id"]
        changed = new_child()[text]
        wanted = [{"id": two["id"], text: changed}, new_child()]
        after = self.record(self.write(connector, self.updating(start, {name: wanted})))
        ids = [child["id"] for child in after.fields[name]]
        assert one["id"] not in ids
        assert len(ids) == 2
        kept = next(child for child in after.fields[name] if child["id"] == two["id"])
        assert kept == {**two, text: changed}

    def test_a_deleted_record_is_gone(self, connector: Connector, new_fields: NewFields) -> None:
        record = self.created(connector, new_fields())
        outcome = self.write(connector, self.deleting(connector, record))
        assert isinstance(outcome, Written), outcome
        assert isinstance(outcome.after, Gone)
        assert isinstance(self.seen(connector, record.id), Gone)

    def test_a_write_to_what_is_gone_is_refused_as_missing(
        self, connector: Connector, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        self.write(connector, self.deleting(connector, record))
        outcome = self.write(connector, self.updating(record, dict([change()])))
        assert isinstance(outcome, Refused)
        assert outcome.reason == "missing"

    def test_an_undeclared_action_is_refused(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        act = Act(
            resource=self.resource,
            key=self.new_key(),
            id=record.id,
            action="no_such_action",
            expected=record.version,
        )
        outcome = self.write(connector, act)
        assert isinstance(outcome, Refused), outcome
        assert self.fetched(connector, record.id) == record

    def _in_batches(self, connector: Connector, batch: Sequence[Write]) -> list[Outcome]:
        step = self.capable(connector).max_write
        outcomes: list[Outcome] = []
        for start in range(0, len(batch), step):
            outcomes += connector.write(batch[start : start + step])
        assert len(outcomes) == len(batch)
        return outcomes

    def _skip_without_lock(self, connector: Connector) -> None:
        if self.capable(connector).lock == "none":
            pytest.skip(f"{self.resource} declares no lock against stale writes")

    def _assert_stale(self, connector: Connector, write: Write, before: Record) -> None:
        outcome = self.write(connector, write)
        assert isinstance(outcome, Refused), outcome
        assert outcome.reason == "stale"
        assert self.fetched(connector, before.id) == before


class CrashRules(ContractBase):
    """Whatever is lost on the way: nothing is done twice, and nothing is forgotten."""

    def test_a_repeated_create_makes_one_record(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        write = self.creation(new_fields())
        before = set(dict(self.sweep(connector)))
        first = self.record(self.write(connector, write))
        again = self.record(self.write(connector, write))
        assert again.id == first.id
        assert set(dict(self.sweep(connector))) - before == {first.id}

    def test_two_creates_with_two_keys_make_two_records(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        one, two = (self.created(connector, new_fields()) for _ in range(2))
        assert one.id != two.id

    def test_recover_finds_a_create_and_knows_one_that_never_was(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        write = self.creation(new_fields())
        assert connector.recover(write) is None
        record = self.record(self.write(connector, write))
        assert self.record(connector.recover(write)) == record

    def test_recover_finds_an_update_and_knows_one_that_never_was(
        self, connector: Connector, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        field, value = change()
        write = self.updating(record, {field: value})
        assert connector.recover(write) is None
        after = self.record(self.write(connector, write))
        assert self.record(connector.recover(write)) == after

    def test_recover_does_not_take_a_humans_edit_for_ours(
        self, connector: Connector, human: Human, new_fields: NewFields, change: Change
    ) -> None:
        record = self.created(connector, new_fields())
        write = self.updating(record, dict([change()]))
        self.by_human(lambda: human.edit(self.resource, record.id, dict([change()])))
        assert connector.recover(write) is None

    def test_recover_finds_a_delete_and_knows_one_that_never_was(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        write = self.deleting(connector, record)
        assert connector.recover(write) is None
        self.write(connector, write)
        found = connector.recover(write)
        assert isinstance(found, Written)
        assert isinstance(found.after, Gone)

    def test_deleting_twice_is_deleting_once(
        self, connector: Connector, new_fields: NewFields
    ) -> None:
        record = self.created(connector, new_fields())
        write = self.deleting(connector, record)
        self.write(connector, write)
        again = self.write(connector, write)
        if isinstance(again, Refused):
            assert again.reason == "missing"
        else:
            assert isinstance(again, Written)
            assert isinstance(again.after, Gone)
        assert isinstance(self.seen(connector, record.id), Gone)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_create_lost_at_any_call_makes_one_record_in_the_end(
        self,
        connector: Connector,
        faults: Faults,
        new_fields: NewFields,
        loss: Literal["drop_reply", "lose"],
    ) -> None:
        calls = self._calls(faults, connector, lambda: self.creation(new_fields()))
        for place in range(calls):
            before = set(dict(self.sweep(connector)))
            write = self.creation(new_fields())
            with faults.fault(loss, after=place):
                outcome = self.attempt(connector, write)
            record = self.record(self.settle(connector, write, outcome))
            assert set(dict(self.sweep(connector))) - before == {record.id}
            assert record == self.fetched(connector, record.id)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_an_update_lost_at_any_call_is_done_once_in_the_end(
        self,
        connector: Connector,
        faults: Faults,
        new_fields: NewFields,
        change: Change,
        loss: Literal["drop_reply", "lose"],
    ) -> None:
        record = self.created(connector, new_fields())
        calls = self._calls(faults, connector, lambda: self.updating(record, dict([change()])))
        for place in range(calls):
            record = self.fetched(connector, record.id)
            field, value = change()
            write = self.updating(record, {field: value})
            with faults.fault(loss, after=place):
                outcome = self.attempt(connector, write)
            after = self.record(self.settle(connector, write, outcome))
            assert after.fields == {**record.fields, field: value} or (
                self._derived(connector, record, after) == {field}
            )

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_delete_lost_at_any_call_is_done_in_the_end(
        self,
        connector: Connector,
        faults: Faults,
        new_fields: NewFields,
        loss: Literal["drop_reply", "lose"],
    ) -> None:
        def doomed() -> Delete:
            return self.deleting(connector, self.created(connector, new_fields()))

        calls = self._calls(faults, connector, doomed)
        for place in range(calls):
            write = doomed()
            with faults.fault(loss, after=place):
                outcome = self.attempt(connector, write)
            settled = self.settle(connector, write, outcome)
            assert isinstance(settled, Written), settled
            assert isinstance(self.seen(connector, write.id), Gone)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_batch_lost_at_any_call_is_whole_in_the_end(
        self,
        connector: Connector,
        faults: Faults,
        new_fields: NewFields,
        loss: Literal["drop_reply", "lose"],
    ) -> None:
        size = min(3, self.capable(connector).max_write)

        def batch() -> list[Create]:
            return [self.creation(new_fields()) for _ in range(size)]

        start = len(faults.calls)
        connector.write(batch())
        for place in range(len(faults.calls) - start):
            before = set(dict(self.sweep(connector)))
            writes = batch()
            outcomes: Sequence[Outcome | None] = [None] * size
            with faults.fault(loss, after=place):
                try:
                    outcomes = connector.write(writes)
                except TryLater:
                    outcomes = [None] * size
            assert len(outcomes) == size
            made = {
                self.record(self.settle(connector, write, outcome)).id
                for write, outcome in zip(writes, outcomes, strict=True)
            }
            assert len(made) == size
            assert set(dict(self.sweep(connector))) - before == made

    def _calls(self, faults: Faults, connector: Connector, make: Callable[[], Write]) -> int:
        """How many calls one such write takes when all goes well."""
        write = make()
        start = len(faults.calls)
        outcome = self.write(connector, write)
        assert isinstance(outcome, Written), outcome
        return len(faults.calls) - start

    def _derived(self, connector: Connector, before: Record, after: Record) -> set[str]:
        """The fields that differ, those aside that the system alone writes."""
        own = {info.name for info in self.described(connector).fields if not info.writable}
        names = {name for name in after.fields if after.fields[name] != before.fields.get(name)}
        return names - own
