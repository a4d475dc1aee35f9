"""What the groups of the contract suite share: the fixtures that a test file gives, and steps.

See `koppel.testing.contract` for the suite itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, ClassVar, Protocol

import pytest

from koppel.connectors.base import (
    Capabilities,
    Connector,
    Create,
    Cursor,
    Delete,
    FieldInfo,
    Gone,
    Outcome,
    Record,
    Refused,
    Resource,
    Unknown,
    Update,
    Write,
    Written,
)
from koppel.errors import TryLater
from koppel.testing.chaos import Call, Kind
from koppel.testing.human import Human, NotPossible

MANY = 10_000
"""So many calls fail that no retry gets through."""


class Faults(Protocol):
    """What the suite asks of a `FaultProxy` or a `FaultPlan`."""

    calls: list[Call]

    def fault(
        self,
        kind: Kind,
        *,
        after: int = 0,
        count: int = 1,
        code: int = 500,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Any]:
        """Let `count` calls fail after the next `after` ones."""


class ContractBase:
    """The fixtures to give, and what the tests do over and over."""

    resource: ClassVar[str]
    """The resource under test."""
    key_field: ClassVar[str]
    """A text field that `new_fields` fills differently each time and that `find` takes."""
    clear_field: ClassVar[str]
    """A field in `new_fields` that may be cleared."""
    match_field: ClassVar[str] = ""
    """A second text field in `new_fields` that `find` takes, if there is one."""
    absent_id: ClassVar[str] = "999999999"
    """An id in the system's form that no record has."""

    @pytest.fixture
    def connector(self) -> Connector:
        """The connector under test, calling its system through `faults`."""
        raise NotImplementedError("give a fixture `connector`")

    @pytest.fixture
    def reconnect(self) -> Callable[[], Connector]:
        """Makes a second connector with the same settings."""
        raise NotImplementedError("give a fixture `reconnect`")

    @pytest.fixture
    def impatient(self, connector: Connector) -> Connector:
        """Like `connector`, with a read timeout of about a second, so that a slow answer is late.

        For an HTTP connector, give one that calls through `faults` too.
        """
        return connector

    @pytest.fixture
    def new_fields(self) -> Callable[[], dict[str, Any]]:
        """Makes the fields of a valid new record, another one at each call.

        With a child record in it where the resource has children, so that `edit_child` finds one.
        """
        raise NotImplementedError("give a fixture `new_fields`")

    @pytest.fixture
    def change(self) -> Callable[[], tuple[str, Any]]:
        """Makes a plain field that Koppel may write, and a value that it has not had yet."""
        raise NotImplementedError("give a fixture `change`")

    @pytest.fixture
    def human(self) -> Human:
        """The system's own user."""
        raise NotImplementedError("give a fixture `human`")

    @pytest.fixture
    def faults(self) -> Faults:
        """The fault proxy between `connector` and the system."""
        raise NotImplementedError("give a fixture `faults`")

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        """Passwords and tokens of the connection, which no message may show."""
        return ()

    @pytest.fixture
    def children(self) -> tuple[str, Callable[[], dict[str, Any]], str] | None:
        """A list field, a maker of a child for it, and a text field of the child to change."""
        return None

    # Steps.

    _keys: ClassVar[Iterator[int]] = iter(range(1, 10**9))

    def new_key(self) -> str:
        """A key that no other write of this run has."""
        return f"contract-{self.resource}-{id(self):x}-{next(self._keys)}"

    def capable(self, connector: Connector) -> Capabilities:
        """The capabilities of the resource under test."""
        return connector.capabilities(self.resource)

    def described(self, connector: Connector) -> Resource:
        """The resource under test as the system tells it."""
        return next(one for one in connector.describe() if one.name == self.resource)

    def write(self, connector: Connector, write: Write) -> Outcome:
        """The outcome of one write."""
        outcomes = connector.write([write])
        assert len(outcomes) == 1, "one write must have one outcome"
        return outcomes[0]

    def attempt(self, connector: Connector, write: Write) -> Outcome | None:
        """The outcome of one write in trouble, None where the connector put it off."""
        with suppress(TryLater):
            return self.write(connector, write)
        return None

    def created(self, connector: Connector, fields: dict[str, Any]) -> Record:
        """The record that a creation made."""
        outcome = self.write(connector, self.creation(fields))
        return self.record(outcome)

    def creation(self, fields: dict[str, Any]) -> Create:
        return Create(resource=self.resource, key=self.new_key(), fields=fields)

    def updating(self, record: Record, fields: dict[str, Any]) -> Update:
        return Update(
            resource=self.resource,
            key=self.new_key(),
            id=record.id,
            expected=record.version,
            fields=fields,
        )

    def deleting(self, connector: Connector, record: Record) -> Delete:
        """The deletion of the record, where the resource has one."""
        if self.capable(connector).deletes == "never":
            pytest.skip(f"records of {self.resource} are never deleted, as declared")
        return Delete(
            resource=self.resource, key=self.new_key(), id=record.id, expected=record.version
        )

    def record(self, outcome: Outcome | None) -> Record:
        """The record in an outcome that must be a success."""
        assert isinstance(outcome, Written), f"expected the write to succeed, got {outcome}"
        assert isinstance(outcome.after, Record), f"expected a record, got {outcome.after}"
        return outcome.after

    def fetched(self, connector: Connector, id: str) -> Record:
        """The record as `fetch` returns it."""
        found = self.seen(connector, id)
        assert isinstance(found, Record), f"expected a record, got {found}"
        return found

    def seen(self, connector: Connector, id: str) -> Record | Gone:
        return connector.fetch(self.resource, [id])[id]

    def fetch_all(self, connector: Connector, ids: Sequence[str]) -> dict[str, Record | Gone]:
        """`fetch` in as many calls as the declared `max_fetch` makes necessary."""
        step = self.capable(connector).max_fetch
        found: dict[str, Record | Gone] = {}
        for start in range(0, len(ids), step):
            found.update(connector.fetch(self.resource, ids[start : start + step]))
        return found

    def sweep(self, connector: Connector) -> list[tuple[str, str]]:
        """All (id, version) pairs of the living records."""
        pairs: list[tuple[str, str]] = []
        page: str | None = None
        for _ in range(MANY):
            answer = connector.ids(self.resource, page)
            pairs += answer.items
            page = answer.next
            if page is None:
                return pairs
        raise AssertionError("the sweep does not end")

    def changed(
        self, connector: Connector, since: Cursor | None, limit: int = 100
    ) -> tuple[list[str], Cursor]:
        """All ids reported since the cursor, page by page, and the cursor at the end."""
        ids: list[str] = []
        cursor = since
        for _ in range(MANY):
            page = connector.changes(self.resource, cursor, limit)
            assert len(page.changes) <= limit, "a page holds more changes than asked for"
            ids += [change.id for change in page.changes]
            if page.more:
                assert page.cursor != cursor, "a page with more to come does not move on"
            cursor = page.cursor
            if not page.more:
                return ids, cursor
        raise AssertionError("the changes do not end")

    def settle(self, connector: Connector, write: Write, outcome: Outcome | None) -> Outcome:
        """What Koppel does after trouble: ask what became of it, and repeat what did not happen."""
        if isinstance(outcome, Written | Refused):
            return outcome
        assert outcome is None or isinstance(outcome, Unknown)
        found = connector.recover(write)
        return found if found is not None else self.write(connector, write)

    def by_human(self, action: Callable[[], Any]) -> Any:
        """What the user does, or a skip with the reason why the system lets no user do it."""
        try:
            return action()
        except NotPossible as reason:
            pytest.skip(str(reason))

    def without(
        self, new_fields: Callable[[], dict[str, Any]], infos: tuple[FieldInfo, ...]
    ) -> Iterator[tuple[FieldInfo, dict[str, Any]]]:
        """For each required field: valid fields without it."""
        for info in infos:
            fields = new_fields()
            if info.required and info.writable and info.name in fields:
                del fields[info.name]
                yield info, fields
