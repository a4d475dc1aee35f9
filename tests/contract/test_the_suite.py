"""The contract suite is worth its name: each broken promise makes the test meant for it fail."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from koppel.connectors.base import (
    Capabilities,
    Change,
    ChangePage,
    Create,
    Cursor,
    Delete,
    Fields,
    Gone,
    IdPage,
    Outcome,
    Record,
    Refused,
    Resource,
    Unknown,
    Update,
    Write,
    Written,
)
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour, MemorySystem
from koppel.errors import TryLater
from koppel.testing.chaos import FaultPlan, FaultyConnector
from koppel.testing.contract import ConnectorContract
from koppel.testing.generated import memory_erp
from koppel.testing.human import MemoryHuman


class Contract(ConnectorContract):
    resource = "party"
    key_field = "name"
    match_field = clear_field = "payment_term"


@dataclass
class Bench:
    """What a test of the suite is called with."""

    connector: MemoryConnector
    plan: FaultPlan = field(default_factory=FaultPlan)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, name: str, **more: Any) -> None:
        suite = Contract()
        given = {
            "connector": FaultyConnector(self.connector, self.plan),
            "faults": self.plan,
            "human": MemoryHuman(self.connector.system),
            "new_fields": self.new_fields,
            "change": lambda: ("payment_term", f"net {next(self.numbers)}"),
            "children": ("addresses", lambda: {"street": f"Ring {next(self.numbers)}"}, "street"),
            "reconnect": lambda: self.connector,
            **more,
        }
        test = getattr(suite, name)
        wanted = inspect.signature(test).parameters
        if "existing" in wanted:
            given["existing"] = suite.created(self.connector, self.new_fields())
        test(**{parameter: given[parameter] for parameter in wanted})

    def new_fields(self) -> dict[str, Any]:
        number = next(self.numbers)
        return {
            "name": f"Müller {number}",
            "payment_term": f"net {number}",
            "addresses": [{"street": f"Hauptstraße {number}"}],
        }


class MakesTwo(MemoryConnector):
    """A repeated creation makes a second record."""

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        fresh = [
            Create(resource=one.resource, key=f"{one.key} {self.calls.total()}", fields=one.fields)
            if isinstance(one, Create)
            else one
            for one in batch
        ]
        return super().write(fresh)


class Overwrites(MemoryConnector):
    """Does not look at the expected version."""

    def _refuse_stale(self, write: Any) -> None:
        self.system.row(write.resource, write.id)


class Forgets(MemoryConnector):
    """Never finds again what it did."""

    def recover(self, write: Write) -> Outcome | None:
        return None


class ClaimsAll(MemoryConnector):
    """Takes any record with that id for its own doing."""

    def recover(self, write: Write) -> Outcome | None:
        if isinstance(write, Update):
            return Written(after=self._seen(self._table(write.resource), write.id))
        return super().recover(write)


class SkipsTies(MemoryConnector):
    """Goes on after the last stamp instead of at it."""

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        page = super().changes(resource, since, limit)
        table = self._table(resource)
        if page.more and page.changes:
            stamp = table.rows[page.changes[-1].id].stamp
            place = self.system.first_at(table, stamp + 0.001)
            return ChangePage(changes=page.changes, cursor=f"stamp::{place}", more=True)
        return page


class TellsTooLittle(MemoryConnector):
    """Reads the first page of the beginning only."""

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        page = super().changes(resource, since, limit)
        return ChangePage(changes=page.changes[:1], cursor=page.cursor, more=page.more)


class HidesDeletes(MemoryConnector):
    """Declares that deletes are told, and does not tell them."""

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        page = super().changes(resource, since, limit)
        told = tuple(change for change in page.changes if not change.gone)
        return ChangePage(changes=told, cursor=page.cursor, more=page.more)


class EchoesWishes(MemoryConnector):
    """Returns what was asked for instead of what the system made of it."""

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        return [_wished(one, done) for one, done in zip(batch, super().write(batch), strict=True)]


def _wished(write: Write, outcome: Outcome) -> Outcome:
    if isinstance(write, Delete) or not isinstance(outcome, Written):
        return outcome
    if isinstance(outcome.after, Gone):
        return outcome
    after = outcome.after
    fields = {**after.fields, **write.fields}
    return Written(
        after=Record(resource=after.resource, id=after.id, version=after.version, fields=fields)
    )


class StopsAtRefusal(MemoryConnector):
    """One refusal stops the rest of the batch."""

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for one in batch:
            outcomes += super().write([one])
            if isinstance(outcomes[-1], Refused):
                break
        return outcomes


class ClearsTheRest(MemoryConnector):
    """Writes the whole record, and so clears what an update does not mention."""

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        return super().write([self._whole(one) for one in batch])

    def _whole(self, write: Write) -> Write:
        if not isinstance(write, Update):
            return write
        fields = {"addresses": [], "code": None, **write.fields}
        return Update(
            resource=write.resource,
            key=write.key,
            id=write.id,
            expected=write.expected,
            fields=fields,
        )


class FindsAlmost(MemoryConnector):
    """Searches by the beginning of a text."""

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        table = self._table(resource)
        return [
            self._record(table, row)
            for row in table.living()
            if all(str(row.fields[name]).startswith(str(value)) for name, value in match.items())
        ]


class LeavesOut(MemoryConnector):
    """Has no answer for ids that it does not know."""

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        found = super().fetch(resource, ids)
        return {id: one for id, one in found.items() if isinstance(one, Record)}


class DescribesLittle(MemoryConnector):
    """Does not describe a field that it returns."""

    def describe(self) -> Sequence[Resource]:
        return [
            Resource(name=one.name, fields=tuple(f for f in one.fields if f.name != "language"))
            for one in super().describe()
        ]


class ListsTheDead(MemoryConnector):
    """The sweep lists deleted records too."""

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        rows = self._table(resource).order
        return IdPage(items=tuple((row.id, row.version) for row in rows))


class BlindToChildren(MemoryConnector):
    """The version does not change with a child."""

    def _record(self, table: Any, row: Any) -> Record:
        record = super()._record(table, row)
        version = f"{record.fields['name']} {record.fields['payment_term']}"
        return Record(resource=record.resource, id=row.id, version=version, fields=record.fields)


class ReportsNothing(MemoryConnector):
    """Says that nobody changed anything."""

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        page = super().changes(resource, since, limit)
        none: tuple[Change, ...] = ()
        return ChangePage(changes=none, cursor=page.cursor, more=page.more)


class RemembersInItself(MemoryConnector):
    """Keeps its cursors in its own memory."""

    def __init__(self, system: MemorySystem) -> None:
        super().__init__(system)
        self._cursors: dict[str, str] = {}

    def now(self, resource: str) -> Cursor:
        name = f"cursor {len(self._cursors)}"
        self._cursors[name] = super().now(resource)
        return name

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        if since is not None and since.startswith("cursor"):
            since = self._cursors.get(since, super().now(resource))
        return super().changes(resource, since, limit)


class PromisesALock(MemoryConnector):
    """Declares a lock that the system does not have."""

    def capabilities(self, resource: str) -> Capabilities:
        return Capabilities(changes="log", deletes="log", create_key="native", lock="version")


PLAIN = Behaviour()
STAMPS = Behaviour(changes="timestamp", deletes="scan", grain=1.0)
LOOSE = Behaviour(lossy=True)
UNLOCKED = Behaviour(lock="none")
LOST = {"loss": "drop_reply"}

CASES: list[tuple[type[MemoryConnector], Behaviour, str, dict[str, Any]]] = [
    (MakesTwo, PLAIN, "test_a_repeated_create_makes_one_record", {}),
    (MakesTwo, PLAIN, "test_a_create_lost_at_any_call_makes_one_record_in_the_end", LOST),
    (Overwrites, PLAIN, "test_a_stale_write_is_refused_and_nothing_changes", {}),
    (PromisesALock, UNLOCKED, "test_a_stale_write_is_refused_and_nothing_changes", {}),
    (Forgets, PLAIN, "test_recover_finds_a_create_and_knows_one_that_never_was", {}),
    (Forgets, PLAIN, "test_recover_finds_an_update_and_knows_one_that_never_was", {}),
    (Forgets, PLAIN, "test_an_update_lost_at_any_call_is_done_once_in_the_end", LOST),
    (ClaimsAll, PLAIN, "test_recover_does_not_take_a_humans_edit_for_ours", {}),
    (ClaimsAll, PLAIN, "test_a_refused_connection_is_for_later", {}),
    (SkipsTies, STAMPS, "test_pages_of_any_size_reach_every_change", {"limit": 2}),
    (TellsTooLittle, PLAIN, "test_from_the_beginning_every_record_is_listed", {}),
    (HidesDeletes, PLAIN, "test_what_a_human_deletes_is_reported_or_missing_from_the_sweep", {}),
    (EchoesWishes, LOOSE, "test_a_text_too_long_is_refused_or_shown_cut", {}),
    (StopsAtRefusal, PLAIN, "test_outcomes_keep_the_order_and_one_refusal_stops_no_other", {}),
    (ClearsTheRest, PLAIN, "test_an_update_touches_only_the_given_fields", {}),
    (FindsAlmost, PLAIN, "test_find_returns_exact_matches_only", {}),
    (LeavesOut, PLAIN, "test_fetch_answers_for_every_id", {}),
    (DescribesLittle, PLAIN, "test_describe_names_every_field_that_fetch_returns", {}),
    (ListsTheDead, PLAIN, "test_the_sweep_leaves_out_what_is_gone", {}),
    (BlindToChildren, PLAIN, "test_a_childs_edit_is_reported_with_a_new_version", {}),
    (ReportsNothing, PLAIN, "test_a_humans_edit_is_reported_with_a_new_version", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "behaviour", "name", "more"),
    CASES,
    ids=[f"{case[0].__name__}-{case[2][5:40]}" for case in CASES],
)
def test_a_broken_promise_is_caught(
    broken: type[MemoryConnector], behaviour: Behaviour, name: str, more: dict[str, Any]
) -> None:
    Bench(MemoryConnector(system(PLAIN if behaviour is UNLOCKED else behaviour))).run(name, **more)
    bench = Bench(broken(system(behaviour)))
    # A batch must reach the broken connector in one piece.
    given = {"connector": bench.connector} if broken is StopsAtRefusal else {}
    with pytest.raises((AssertionError, KeyError)):
        bench.run(name, **more, **given)


def system(behaviour: Behaviour) -> MemorySystem:
    clock: Callable[[], float] | None = (lambda: 100.0) if behaviour.grain else None
    return memory_erp(behaviour, clock=clock)


def test_a_cursor_kept_in_the_connector_is_caught() -> None:
    shared = memory_erp()
    bench = Bench(RemembersInItself(shared))

    def again() -> MemoryConnector:
        return RemembersInItself(shared)

    with pytest.raises(AssertionError):
        bench.run("test_a_cursor_outlives_its_connector", reconnect=again)


class Hurries(FaultyConnector):
    """Takes a lost answer for a success."""

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        outcomes = super().write(batch)
        gone = Written(after=Gone(resource="party", id="0"))
        return [gone if isinstance(one, Unknown) else one for one in outcomes]


class Waits(FaultyConnector):
    """Takes a refused log-in for something that passes."""

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        try:
            return super().fetch(resource, ids)
        except Exception as error:
            raise TryLater("something was wrong") from error


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (Hurries, "test_an_answer_cut_in_the_middle_of_a_write_is_unknown_and_recovered"),
        (Hurries, "test_an_error_of_the_system_during_a_write_leaves_it_to_recover"),
        (Waits, "test_too_many_calls_wait_as_long_as_the_system_asks"),
    ],
)
def test_a_wrong_consequence_of_trouble_is_caught(broken: type[FaultyConnector], name: str) -> None:
    bench = Bench(MemoryConnector(memory_erp()))
    bench.run(name)
    with pytest.raises(AssertionError):
        bench.run(name, connector=broken(bench.connector, bench.plan))
