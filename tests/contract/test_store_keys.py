"""Blocking keys in the store: who shares one is compared, and an older store keeps its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import connection, connections

from koppel.store import Store, open_store
from koppel.store.blocking import number
from koppel.store.models import BlockKey, Replica
from koppel.store.opening import point_at
from koppel.store.pairs import COMMON, CROWD
from koppel.sync.rule import Side
from koppel.testing.store_given import KEY, Clock, replica
from tests.postgres import Databases

Keys = tuple[tuple[str, bool], ...]
VAT: Keys = (("vat:DE1", True),)
WORD: Keys = (("name:nord", False),)
NUMBERS = count(1)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgres"))]
)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | str]:
    """A database without any table."""
    if request.param == "sqlite":
        yield tmp_path / "koppel.sqlite3"
    else:
        databases: Databases = request.getfixturevalue("databases")
        yield databases.server.create(f"keys_{next(NUMBERS)}")
    connections.close_all()


@pytest.fixture
def store(address: Path | str) -> Store:
    return open_store(address, clock=Clock(), key=KEY)


@pytest.fixture
def untouched() -> Callable[[], AbstractContextManager[Any]]:
    """A block in which no statement touches the keys."""

    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        assert "store_blockkey" not in sql
        return execute(sql, *rest)

    return lambda: connection.execute_wrapper(refuse)


def candidates(store: Store, *, again: bool = False) -> list[tuple[str, str]]:
    store.pairs.begin()
    store.pairs.find_candidates("partner", again=again)
    return [pair for page in store.pairs.candidates() for pair in page]


def crowd(many: int, keys: Keys, side: Side = "erp", first: int = 1) -> list[Any]:
    return [replica(first + n, side, keys=keys) for n in range(many)]


def test_a_key_is_a_number_of_64_bits_that_tells_a_strong_one() -> None:
    found = {number("partner", f"name:{n}", n % 2 == 0) for n in range(1000)}
    assert len(found) == 1000
    assert sum(one & 1 for one in found) == 500
    assert all(-(1 << 63) <= one < 1 << 63 for one in found)
    assert min(found) < 0 < max(found)
    assert number("partner", "vat:DE1", True) == 7424780199445347449
    assert number("contact", "vat:DE1", True) != number("partner", "vat:DE1", True)


def test_records_of_both_sides_that_share_a_key_are_candidates(store: Store) -> None:
    store.replica.put(
        [
            replica(1, keys=(*VAT, *WORD)),
            replica(2, keys=WORD),
            replica(3, keys=(("vat:DE2", True),)),
            replica(1, "erp", keys=(*VAT, *WORD)),
            replica(9, "erp", keys=(("vat:DE9", True),)),
            msgspec.structs.replace(replica(8, "erp", keys=WORD), entity="contact"),
        ]
    )
    assert candidates(store) == [("1", "1"), ("2", "1")]


@pytest.mark.parametrize(("keys", "most"), [(WORD, COMMON), (VAT, CROWD)])
def test_a_key_that_many_share_is_passed_over(store: Store, keys: Keys, most: int) -> None:
    store.replica.put([replica(1, keys=keys), *crowd(most - 1, keys)])
    assert len(candidates(store)) == most - 1
    store.replica.put([replica(9999, "erp", keys=keys)])
    assert candidates(store) == []


def test_a_pair_needs_a_fresh_record_and_asked_again_an_uncoupled_one(store: Store) -> None:
    store.replica.put([replica(1, keys=VAT), replica(1, "erp", keys=VAT)])
    store.replica.settle("partner", "crm", ["1"], coupled=False)
    assert candidates(store) == [("1", "1")]
    store.replica.settle("partner", "erp", ["1"], coupled=True)
    assert candidates(store) == []
    assert candidates(store, again=True) == [("1", "1")]
    store.replica.settle("partner", "crm", ["1"], coupled=True)
    assert candidates(store, again=True) == []


def test_what_is_read_again_has_its_new_keys_only_and_what_is_gone_has_none(store: Store) -> None:
    store.replica.put([replica(1, keys=(*VAT, *WORD)), replica(1, "erp", keys=VAT)])
    before = Replica.objects.get(side="crm").id
    store.replica.put([replica(1, keys=WORD)])
    assert Replica.objects.get(side="crm").id == before
    assert candidates(store) == []
    store.replica.put([replica(1, keys=VAT), replica(1, keys=(*VAT, *VAT))])
    assert candidates(store) == [("1", "1")]
    store.replica.remove("partner", "crm", ["1"])
    assert list(BlockKey.objects.values_list("side", flat=True)) == ["erp"]


def test_nothing_is_looked_for_where_a_side_has_no_record(
    store: Store, untouched: Callable[[], AbstractContextManager[Any]]
) -> None:
    store.replica.put(
        [
            *crowd(3, WORD),
            msgspec.structs.replace(replica(1, keys=WORD), entity="contact"),
        ]
    )
    store.pairs.begin()
    with untouched():
        store.pairs.find_candidates("partner")
    assert [pair for page in store.pairs.candidates() for pair in page] == []


def test_a_person_who_is_erased_leaves_no_key(store: Store) -> None:
    store.replica.put([replica(1, keys=(*VAT, *WORD)), replica(2, keys=WORD)])
    subject = store.personal.subject("partner", "crm", "1")
    assert subject is not None
    told = store.personal.gather(subject).rows["copies"]
    assert sorted(row["table"] for row in told) == ["blockkey", "blockkey", "replica"]
    assert store.personal.forget(subject, "somebody")["copies"] == 3
    left = Replica.objects.get().id
    assert list(BlockKey.objects.values_list("key", "replica")) == [
        (number("partner", *WORD[0]), left)
    ]


def test_a_store_of_before_keeps_its_keys(
    address: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    from django.core.management import call_command
    from django.db.migrations.executor import MigrationExecutor

    migration = import_module("koppel.store.migrations.0020_key_numbers")
    monkeypatch.setattr(migration, "_PAGE", 7)
    point_at(address)
    call_command("migrate", "store", "0019", verbosity=0, interactive=False)
    former = MigrationExecutor(connection).loader.project_state(("store", "0019_former_pairs"))
    old = former.apps.get_model("store", "BlockKey")
    long = "name:" + "x" * 300
    places: list[tuple[Side, int]] = [("crm", n) for n in range(10)]
    places += [("erp", n) for n in range(5, 12)]
    keys = [(f"name:{n}", False) for n in range(3)] + [("vat:DE1", True), (long, False)]
    for side, n in places:
        found = former.apps.get_model("store", "Replica").objects.create(
            entity="partner", side=side, record=str(n), read_at=Clock()()
        )
        assert found.id
        for key, strong in [*keys, keys[0], (f"mail:{n}", True)]:
            old.objects.create(
                entity="partner", side=side, record=str(n), key=key[:160], strong=strong
            )
    old.objects.create(entity="partner", side="crm", record="gone", key="vat:DE1", strong=True)

    store = open_store(address, clock=Clock(), key=KEY)
    ids = {(row.side, row.record): row.id for row in Replica.objects.all()}
    assert set(BlockKey.objects.values_list("key", "side", "replica")) == {
        (number("partner", key, strong), side, ids[side, str(n)])
        for side, n in places
        for key, strong in [*keys, (f"mail:{n}", True)]
    }
    assert BlockKey.objects.count() == len(places) * 6
    assert "store_textkey" not in connection.introspection.table_names()
    assert len(candidates(store)) == 10 * 7
    # What is read from now on meets what was there.
    store.replica.put([replica(77, "erp", keys=((long, False),))])
    assert ("3", "77") in candidates(store)


def test_candidates_are_found_from_the_fresh_records_on(tmp_path: Path) -> None:
    """SQLite: no table and no index is read from end to end."""
    from koppel.store import pairs

    store = open_store(tmp_path / "koppel.sqlite3", clock=Clock(), key=KEY)
    store.pairs.begin()
    with connection.cursor() as cursor:
        cursor.execute(
            "EXPLAIN QUERY PLAN " + pairs._CANDIDATES, ["partner", 1, 1, "partner", "partner"]
        )
        plan = [row[3] for row in cursor.fetchall()]
    connections.close_all()
    assert "SEARCH f USING INDEX fresh_replicas (entity=?)" in plan
    assert "SEARCH k USING COVERING INDEX block_replica (replica=?)" in plan
    assert "SEARCH k USING PRIMARY KEY (key=?)" in plan
    scans = {step for step in plan if step.startswith("SCAN ")}
    assert scans == {"SCAN asked", "SCAN rare", "SCAN pairs"}
