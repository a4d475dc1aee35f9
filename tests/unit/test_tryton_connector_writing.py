"""Batches: one refusal alone is refused, lost answers are unknown, questions are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from koppel.connectors.base import (
    Create,
    Delete,
    Gone,
    Record,
    Refused,
    Unknown,
    Update,
    Written,
)
from koppel.connectors.http import ReplyLost, Unauthorized
from koppel.connectors.tryton.records import Snapshot
from koppel.connectors.tryton.rpc import (
    ChangedMeanwhile,
    Overloaded,
    RuleBroken,
    WarningRaised,
)
from koppel.connectors.tryton.schema import PARTY, Schema
from koppel.connectors.tryton.writing import MAX_WRITE, Writer
from koppel.errors import TryLater
from tests.unit.test_tryton_connector_values import SCHEMA, Codes


class Books:
    """Stands for a Tryton: parties by id, all or nothing in each call, `refuse` decides."""

    name = "tryton"
    user_id = 7

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.keys: dict[str, int] = {}
        self.calls: list[tuple[str, int]] = []
        self.stamps: list[dict[str, str]] = []
        self.refuse: Callable[[str, list[str]], None] = lambda method, names: None
        self.read_fails = False
        self.old_module = False

    # As a session.

    def call(self, model: str, method: str, *args: Any, effect: bool, context: Any = None) -> Any:
        assert effect
        if method == "skip":
            self.calls.append((f"skip {args[0]}", 0))
            return None
        self.stamps.append((context or {}).get("_timestamp", {}))
        whole = method == "koppel_create"
        if whole and self.old_module:
            raise Unauthorized("denied (HTTP 403)", status=403)
        method = "create" if whole else method
        if method == "create":
            names = [values["name"] for values in args[0]]
        else:
            names = [values.get("name", "gone") for values in args[1::2]]
        self.calls.append((method, len(names)))
        self.refuse(method, names)
        if method == "create":
            made = [self._make(values) for values in args[0]]
            return [{"id": number, "active": True} for number in made] if whole else made
        for ids, values in zip(args[::2], args[1::2], strict=True):
            self.names[ids[0]] = values.get("name", "gone")
        return None

    def _make(self, values: dict[str, Any]) -> int:
        number = len(self.names) + 1
        self.names[number] = values["name"]
        self.keys[values["koppel_key"]] = number
        return number

    # As a reader.

    def living(
        self, resource: str, ids: Iterable[str], only: Iterable[str] | None = None
    ) -> dict[str, Snapshot]:
        return {
            id: Snapshot(self._record(id), {f"{PARTY},{id}": "1.0"}, ())
            for id in ids
            if self.names.get(int(id), "gone") != "gone"
        }

    def gone(self, resource: str, ids: Iterable[str]) -> dict[str, Gone]:
        return {id: Gone(resource=PARTY, id=id, trashed=int(id) in self.names) for id in ids}

    def fetch(self, resource: str, ids: Sequence[str]) -> dict[str, Record | Gone]:
        if self.read_fails:
            raise TryLater("away")
        found = self.living(resource, ids)
        return {
            id: found[id].record if id in found else self.gone(resource, [id])[id] for id in ids
        }

    def wanted(self, resource: str) -> list[str]:
        return ["name", "active"]

    def made(self, resource: str, rows: Sequence[dict[str, Any]]) -> dict[str, Record]:
        if self.read_fails:
            raise TryLater("away")
        return {str(row["id"]): self._record(str(row["id"])) for row in rows}

    def by_keys(self, resource: str, keys: Iterable[str]) -> dict[str, Record | Gone]:
        return {key: self._record(str(self.keys[key])) for key in keys if key in self.keys}

    def accounts(self, ibans: Iterable[str]) -> dict[str, int]:
        return {}

    def has_code(self, code: str) -> bool:
        return code == "taken"

    def _record(self, id: str) -> Record:
        name = self.names[int(id)]
        fields = {"name": name, "lang": None, "vip": False, "limit": None, "koppel_key": None}
        return Record(resource=PARTY, id=id, version=f"v {name}", fields=fields)


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def writer(books: Books, waits: list[float]) -> Writer:
    schema: Schema = SCHEMA
    return Writer(
        books,
        books,
        schema,
        Codes(),
        hard_delete=False,
        sleep=waits.append,
    )


def create(name: str, key: str = "") -> Create:
    return Create(resource=PARTY, key=key or f"key {name}", fields={"name": name})


def update(id: str, name: str, expected: str | None = None) -> Update:
    return Update(
        resource=PARTY, key=f"u{id}{name}", id=id, expected=expected, fields={"name": name}
    )


def test_a_batch_of_creates_is_one_call(writer: Writer, books: Books) -> None:
    outcomes = writer.write([create(f"n{number}") for number in range(MAX_WRITE)])
    assert books.calls == [("create", MAX_WRITE)]
    assert [outcome.after.fields["name"] for outcome in outcomes] == [
        f"n{number}" for number in range(MAX_WRITE)
    ]


def test_an_older_module_creates_and_is_read_back(writer: Writer, books: Books) -> None:
    books.old_module = True
    for name in ("n1", "n2"):
        (outcome,) = writer.write([create(name)])
        assert isinstance(outcome, Written)
        assert outcome.after.fields["name"] == name
    assert books.calls == [("create", 1), ("create", 1)]


def test_one_refusal_is_found_by_halving_and_stops_no_other(writer: Writer, books: Books) -> None:
    def refuse(method: str, names: list[str]) -> None:
        if "n13" in names:
            raise RuleBroken('The value "n13" is not allowed.')

    books.refuse = refuse
    outcomes = writer.write([create(f"n{number}") for number in range(64)])
    assert outcomes[13] == Refused(
        reason="invalid", message='The value "n13" is not allowed.', fields=("name",)
    )
    assert sum(isinstance(outcome, Written) for outcome in outcomes) == 63
    assert len(books.calls) <= 13


def test_a_batch_too_large_for_the_database_is_halved(writer: Writer, books: Books) -> None:
    def refuse(method: str, names: list[str]) -> None:
        if len(names) > 20:
            raise Overloaded("parser stack overflow", too_large=True)

    books.refuse = refuse
    outcomes = writer.write([create(f"n{number}") for number in range(64)])
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert len(books.names) == 64


def test_a_busy_database_is_waited_out_and_then_left_for_later(
    writer: Writer, books: Books, waits: list[float]
) -> None:
    def refuse(method: str, names: list[str]) -> None:
        raise Overloaded("database is locked")

    books.refuse = refuse
    with pytest.raises(TryLater):
        writer.write([create("one")])
    assert len(waits) == 3
    assert len(books.calls) == 4


def test_a_batch_that_meets_a_busy_database_waits_and_stays_whole(
    writer: Writer, books: Books, waits: list[float]
) -> None:
    busy = [True]

    def refuse(method: str, names: list[str]) -> None:
        if busy and busy.pop():
            raise Overloaded("database is locked")

    books.refuse = refuse
    outcomes = writer.write([create(f"n{number}") for number in range(64)])
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert len(waits) == 1
    assert len(books.names) == 64


def test_trouble_after_a_first_success_is_unknown_for_the_rest(
    writer: Writer, books: Books
) -> None:
    def refuse(method: str, names: list[str]) -> None:
        if method == "write":
            raise TryLater("away")

    books.names[1] = "old"
    books.refuse = refuse
    made, changed = writer.write([create("new"), update("1", "newer")])
    assert isinstance(made, Written)
    assert isinstance(changed, Unknown)


def test_a_lost_answer_makes_its_call_unknown(writer: Writer, books: Books) -> None:
    def refuse(method: str, names: list[str]) -> None:
        raise ReplyLost("broke off")

    books.refuse = refuse
    assert writer.write([create("a"), create("b")]) == [Unknown(message="broke off")] * 2


def test_what_was_written_and_cannot_be_read_back_is_unknown(writer: Writer, books: Books) -> None:
    books.read_fails = True
    (outcome,) = writer.write([create("a")])
    assert isinstance(outcome, Unknown)
    books.read_fails = False
    assert isinstance(writer.recover(create("a")), Written)


def test_a_repeated_create_gives_the_first_record_and_makes_the_new_ones(
    writer: Writer, books: Books
) -> None:
    (first,) = writer.write([create("a")])

    def refuse(method: str, names: list[str]) -> None:
        if "a" in names:
            raise RuleBroken("Another record already has this Koppel key.")

    books.refuse = refuse
    again, other = writer.write([create("a"), create("b")])
    assert again == first
    assert isinstance(other, Written)
    assert len(books.names) == 2


def test_a_code_that_is_taken_is_a_duplicate(writer: Writer, books: Books) -> None:
    def refuse(method: str, names: list[str]) -> None:
        raise RuleBroken("The code on party must be unique.")

    books.refuse = refuse
    write = Create(resource=PARTY, key="k", fields={"name": "x", "code": "taken"})
    assert writer.write([write]) == [
        Refused(reason="duplicate", message="The code on party must be unique.", fields=("code",))
    ]


def test_a_question_is_answered_with_yes_for_a_write(writer: Writer, books: Books) -> None:
    asked = []

    def refuse(method: str, names: list[str]) -> None:
        if not asked:
            asked.append(names)
            raise WarningRaised("similar", "There is a similar party. Are you sure?")

    books.refuse = refuse
    (outcome,) = writer.write([create("a")])
    assert isinstance(outcome, Written)
    assert ("skip similar", 0) in books.calls


def test_a_question_at_a_delete_is_for_a_person(writer: Writer, books: Books) -> None:
    def refuse(method: str, names: list[str]) -> None:
        raise WarningRaised("open", "There are open invoices. Are you sure?")

    books.names[1] = "old"
    books.refuse = refuse
    delete = Delete(resource=PARTY, key="d", id="1", expected=None)
    (outcome,) = writer.write([delete])
    assert isinstance(outcome, Refused)
    assert outcome.reason == "in_use"


def test_a_delete_deactivates_and_a_second_one_finds_it_done(writer: Writer, books: Books) -> None:
    books.names[1] = "old"
    delete = Delete(resource=PARTY, key="d", id="1", expected="v old")
    gone = Written(after=Gone(resource=PARTY, id="1", trashed=True))
    assert writer.write([delete, delete]) == [gone, gone]
    assert books.calls == [("write", 1)]


def test_an_update_sends_the_time_stamps_unless_it_expects_nothing(
    writer: Writer, books: Books
) -> None:
    books.names[1] = "old"
    writer.write([update("1", "new", "v old")])
    writer.write([update("1", "newer")])
    assert books.stamps == [{"party.party,1": "1.0"}, {}]


def test_an_unexpected_version_is_stale_and_nothing_is_sent(writer: Writer, books: Books) -> None:
    books.names[1] = "old"
    (outcome,) = writer.write([update("1", "new", "v older")])
    assert isinstance(outcome, Refused)
    assert outcome.reason == "stale"
    assert books.calls == []


def test_what_tryton_itself_finds_changed_is_stale_alone(writer: Writer, books: Books) -> None:
    def refuse(method: str, names: list[str]) -> None:
        if "y" in names:
            raise ChangedMeanwhile("Records were modified in the meanwhile")

    books.names.update({1: "a", 2: "b", 3: "c"})
    books.refuse = refuse
    batch = [update("1", "x", "v a"), update("2", "y", "v b"), update("3", "z", "v c")]
    first, second, third = writer.write(batch)
    assert isinstance(first, Written)
    assert isinstance(second, Refused)
    assert second.reason == "stale"
    assert isinstance(third, Written)


def test_an_update_that_changes_nothing_is_not_sent(writer: Writer, books: Books) -> None:
    books.names[1] = "same"
    (outcome,) = writer.write([update("1", "same", "v same")])
    assert isinstance(outcome, Written)
    assert books.calls == []


def test_two_updates_of_one_record_go_one_after_the_other(writer: Writer, books: Books) -> None:
    books.names[1] = "a"
    first, second = writer.write([update("1", "b"), update("1", "c")])
    assert isinstance(first, Written)
    assert isinstance(second, Written)
    assert books.calls == [("write", 1), ("write", 1)]
    assert books.names[1] == "c"


def test_recover_tells_an_update_that_happened_from_one_that_did_not(
    writer: Writer, books: Books
) -> None:
    books.names[1] = "a"
    write = update("1", "b", "v a")
    assert writer.recover(write) is None
    writer.write([write])
    assert isinstance(writer.recover(write), Written)
    assert writer.recover(create("never")) is None
