"""The contract's group trouble: each kind has its own consequence, and passes without a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from koppel.connectors.base import Connector, Record, Unknown, Written
from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.testing.chaos import Kind
from koppel.testing.rules import MANY, ContractBase, Faults

NewFields = Callable[[], dict[str, Any]]
Change = Callable[[], tuple[str, Any]]


class TroubleRules(ContractBase):
    """The network, the system and its log-in fail, each in its way."""

    @pytest.fixture
    def existing(self, connector: Connector, new_fields: NewFields) -> Record:
        """A record made before the trouble begins."""
        return self.created(connector, new_fields())

    def test_a_refused_connection_is_for_later(
        self, connector: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        write = self.updating(existing, dict([change()]))
        with faults.fault("refuse", count=MANY):
            with pytest.raises(TryLater):
                self.seen(connector, existing.id)
            assert not isinstance(self.attempt(connector, write), Written)
        assert connector.recover(write) is None
        self._assert_fine(connector, existing, change)

    def test_a_slow_answer_to_a_read_is_for_later(
        self, impatient: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        impatient.check()
        with faults.fault("slow", count=MANY), pytest.raises(TryLater):
            self.seen(impatient, existing.id)
        self._assert_fine(impatient, existing, change)

    def test_a_slow_answer_to_a_write_is_unknown_and_recovered(
        self,
        connector: Connector,
        impatient: Connector,
        faults: Faults,
        new_fields: NewFields,
        existing: Record,
        change: Change,
    ) -> None:
        impatient.check()
        calls = self._calls_of_a_create(connector, faults, new_fields)
        for place in range(calls):
            before = set(dict(self.sweep(connector)))
            write = self.creation(new_fields())
            with faults.fault("slow", after=place, count=MANY):
                outcome = self.attempt(impatient, write)
            assert outcome is None or isinstance(outcome, Unknown), outcome
            made = self.record(self.settle(impatient, write, outcome))
            assert set(dict(self.sweep(connector))) - before == {made.id}
        self._assert_fine(impatient, existing, change)

    def test_an_answer_cut_in_the_middle_of_a_read_is_for_later(
        self, connector: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        with faults.fault("cut", count=MANY), pytest.raises(TryLater):
            self.seen(connector, existing.id)
        self._assert_fine(connector, existing, change)

    def test_an_answer_cut_in_the_middle_of_a_write_is_unknown_and_recovered(
        self,
        connector: Connector,
        faults: Faults,
        new_fields: NewFields,
        existing: Record,
        change: Change,
    ) -> None:
        calls = self._calls_of_a_create(connector, faults, new_fields)
        for place in range(calls):
            before = set(dict(self.sweep(connector)))
            write = self.creation(new_fields())
            with faults.fault("cut", after=place, count=MANY):
                outcome = self.attempt(connector, write)
            assert outcome is None or isinstance(outcome, Unknown), outcome
            made = self.record(self.settle(connector, write, outcome))
            assert set(dict(self.sweep(connector))) - before == {made.id}
        self._assert_fine(connector, existing, change)

    def test_one_lost_answer_to_a_read_is_made_good_by_asking_again(
        self, connector: Connector, faults: Faults, existing: Record
    ) -> None:
        with faults.fault("drop_reply"):
            try:
                found = self.seen(connector, existing.id)
            except TryLater:
                found = self.seen(connector, existing.id)
        assert found == existing

    def test_a_refused_log_in_is_the_users_to_correct(
        self,
        connector: Connector,
        faults: Faults,
        existing: Record,
        change: Change,
    ) -> None:
        write = self.updating(existing, dict([change()]))
        with faults.fault("status", code=401, count=MANY):
            with pytest.raises(NeedsUser) as caught:
                self.seen(connector, existing.id)
            assert caught.value.remedy, "what the user can do is missing"
            with pytest.raises(NeedsUser):
                self.write(connector, write)
        assert connector.recover(write) is None
        self._assert_fine(connector, existing, change)

    def test_too_many_calls_wait_as_long_as_the_system_asks(
        self, connector: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        write = self.updating(existing, dict([change()]))
        with faults.fault("status", code=429, headers={"Retry-After": "7"}, count=MANY):
            with pytest.raises(TryLater) as caught:
                self.seen(connector, existing.id)
            assert caught.value.after == 7
            assert not isinstance(self.attempt(connector, write), Written)
        assert connector.recover(write) is None
        self._assert_fine(connector, existing, change)

    def test_an_error_of_the_system_during_a_read_is_for_later(
        self, connector: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        with faults.fault("status", code=500, count=MANY), pytest.raises(TryLater):
            self.seen(connector, existing.id)
        self._assert_fine(connector, existing, change)

    def test_an_error_of_the_system_during_a_write_leaves_it_to_recover(
        self, connector: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        write = self.updating(existing, dict([change()]))
        with faults.fault("status", code=500, count=MANY):
            outcome = self.attempt(connector, write)
        assert outcome is None or isinstance(outcome, Unknown), outcome
        assert connector.recover(write) is None
        self._assert_fine(connector, existing, change)

    def test_a_web_page_instead_of_json_is_the_users_to_correct(
        self, connector: Connector, faults: Faults, existing: Record, change: Change
    ) -> None:
        with faults.fault("html", count=MANY), pytest.raises(NeedsUser):
            self.seen(connector, existing.id)
        self._assert_fine(connector, existing, change)

    @pytest.mark.parametrize(
        ("kind", "code"),
        [("refuse", 0), ("cut", 0), ("html", 0), ("status", 401), ("status", 429), ("status", 500)],
    )
    def test_no_message_shows_a_secret(
        self,
        connector: Connector,
        faults: Faults,
        secrets: tuple[str, ...],
        existing: Record,
        kind: Kind,
        code: Literal[0, 401, 429, 500],
    ) -> None:
        with faults.fault(kind, code=code, count=MANY), pytest.raises(KoppelError) as caught:
            self.seen(connector, existing.id)
        shown = f"{caught.value} {caught.value!r} {connector!r}"
        assert not [secret for secret in secrets if secret in shown]

    def test_closing_twice_is_closing_once(self, reconnect: Callable[[], Connector]) -> None:
        other = reconnect()
        other.check()
        other.close()
        other.close()

    def _assert_fine(self, connector: Connector, existing: Record, change: Change) -> None:
        """After the trouble all works as before, and the record is as it was."""
        assert connector.check().ok
        assert self.fetched(connector, existing.id) == existing
        field, value = change()
        after = self.record(self.write(connector, self.updating(existing, {field: value})))
        assert after.fields[field] == value

    def _calls_of_a_create(
        self, connector: Connector, faults: Faults, new_fields: NewFields
    ) -> int:
        start = len(faults.calls)
        self.created(connector, new_fields())
        return len(faults.calls) - start
