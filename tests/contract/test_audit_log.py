"""The audit log keeps its chain on both databases, whoever writes, and however many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from koppel.errors import TryLater
from koppel.store import Store, auditlog, open_store
from koppel.store.models import Event
from koppel.testing.store_given import KEY, Clock
from tests.postgres import Databases, empty


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        yield open_store(tmp_path / "koppel.sqlite3", clock=Clock(), key=KEY)
    else:
        databases: Databases = request.getfixturevalue("databases")
        yield empty(databases.fresh(), Clock())
    connections.close_all()


def at_once(work: Any, many: int) -> list[Any]:
    """Each in a thread of its own, with a connection of its own."""

    def one(number: int) -> Any:
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(one, range(many)))


def test_lines_of_many_at_once_are_one_chain(store: Store) -> None:
    def look(number: int) -> None:
        for turn in range(5):
            store.audit_log.write(f"person {number}", "see", f"/customers/{turn}")

    at_once(look, 12)
    verdict = store.audit_log.verify()
    assert (verdict.lines, verdict.faults) == (60, ())
    for number in range(12):
        lines = store.audit_log.recent(10, user=f"person {number}")
        assert [line.subject for line in lines] == [f"/customers/{n}" for n in range(5)][::-1]


def test_a_line_is_there_when_write_returns(store: Store) -> None:
    def look(number: int) -> bool:
        store.audit_log.write("anna", "see", str(number))
        return Event.objects.filter(subject=str(number)).exists()

    assert all(at_once(look, 8))


def test_those_who_wait_are_written_in_one_transaction(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, parts = threading.Event(), []
    add = auditlog._add

    def slow(lines: Any) -> None:
        parts.append(len(lines))
        if len(parts) == 1:
            held.wait(10)
        add(lines)

    monkeypatch.setattr(auditlog, "_add", slow)

    def look(number: int) -> None:
        store.audit_log.write("anna", "see", str(number))

    def let_go(number: int) -> None:
        if number < 6:
            look(number)
            return
        while len(store.audit_log._waiting) < 6:
            pass
        held.set()

    at_once(let_go, 7)
    assert len(parts) == 2
    assert sum(parts) == 6
    assert store.audit_log.verify().lines == 6


def test_whoever_waited_for_a_write_that_failed_writes_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, failed = auditlog._add, threading.Lock()

    def first_fails(lines: Any) -> None:
        if failed.acquire(blocking=False):
            raise TryLater("the disk is full")
        add(lines)

    monkeypatch.setattr(auditlog, "_add", first_fails)

    def look(number: int) -> bool:
        try:
            store.audit_log.write("anna", "see", str(number))
        except TryLater:
            return False
        return True

    told = at_once(look, 8)
    assert told.count(False) == 1
    assert store.audit_log.verify().lines == 7
    assert not store.audit_log._waiting


def test_a_line_goes_with_the_transaction_that_it_is_part_of(store: Store) -> None:
    store.audit_log.write("anna", "see", "before")

    def decide() -> None:
        with transaction.atomic():
            store.audit_log.write("anna", "resolve", "undone")
            raise IntegrityError

    with pytest.raises(IntegrityError):
        decide()
    store.audit_log.write("anna", "see", "after")
    assert [line.subject for line in store.audit_log.recent()] == ["after", "before"]
    assert store.audit_log.verify().faults == ()


def test_a_text_that_the_database_cannot_keep_breaks_no_chain(store: Store) -> None:
    store.audit_log.write("an\0na", "code refused", "10.0.0.\0")
    assert store.audit_log.verify().faults == ()
