"""The introduction on the demo's two systems, and its rehearsal on copies of both.

The rehearsal's load is killed a few times on its way; it has to end as the undisturbed one.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab.creme_human import CremeHuman
from tests.scenarios.real import KOPPEL, ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("golive")]

KILLS = (20, 120, 240)
"""Numbers of journalled writes at which the load is killed."""
SECONDS = 300.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPair]:
    made = RealPair("guide", "demo", tmp_path_factory.mktemp("koppel"))
    try:
        made.init()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPair]:
    """Copies of both systems, and an empty folder for the rehearsal's Koppel."""
    made = RealPair("copies", "demo", tmp_path_factory.mktemp("koppel"))
    try:
        yield made
    finally:
        made.stop()


def guide(pair: RealPair, *words: str) -> dict[str, Any]:
    """What a step tells; 3 says that conflicts wait for a person, as the demo's do."""
    done = pair.koppel("guide", *words, "--json")
    assert done.returncode in (0, 3), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_steps_up_to_the_dry_run_write_nothing_and_a_sample_is_taken_back(
    pair: RealPair,
) -> None:
    before = pair.contents()
    for words in (("assess",), ("owners", "--accept"), ("match",), ("plan", "--entity", "partner")):
        assert guide(pair, "run", *words)["state"] == "done"
    assert pair.contents() == before
    records = guide(pair, "run", "sample")["result"]["records"]
    assert len(records) == 20
    clara = CremeHuman.salesperson(pair.creme)
    try:
        for one in records[:3]:
            assert clara.status(one["crm"]["link"]) == 200
            assert f"party.party/{one['erp']['id']}" in one["erp"]["link"]
    finally:
        clara.close()
    assert pair.contents() != before
    guide(pair, "undo", "sample")
    assert plain(pair.contents()) == plain(before)
    assert pair.coupled() == {}


def test_a_load_that_is_killed_in_the_rehearsal_ends_as_the_undisturbed_one(
    pair: RealPair, copies: RealPair
) -> None:
    before = pair.contents()
    settings = [
        part
        for name, running in (("creme", copies.creme), ("tryton", copies.tryton))
        for setting, value in running.koppel.items()
        if (name, setting) != ("creme", "username")
        for part in ("--set", f"{name}.{setting}={value}")
    ]
    pair.ask("rehearse", str(copies.home), *settings)
    for words in (("assess",), ("plan", "--entity", "partner")):
        guide(copies, "run", *words)
    for many in KILLS:
        killed_at(copies, many)
    rehearsed = guide(copies, "run", "load")["result"]
    assert pair.contents() == before
    loaded = guide(pair, "run", "load")["result"]
    assert rehearsed["coupled"] == loaded["coupled"]
    # Contacts wait for their partners only where they were matched too.
    assert rehearsed["waits"].get("reviews") == loaded["waits"].get("reviews")
    assert plain(copies.contents()) == plain(pair.contents())


def killed_at(pair: RealPair, writes: int) -> None:
    """Begin the load, and kill it with SIGKILL when it has journalled so many writes in all."""
    with subprocess.Popen(
        [KOPPEL, "--home", str(pair.home), "guide", "run", "load"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as loading:
        begun = time.monotonic()
        while journalled(pair.home) < writes:
            assert loading.poll() is None, "the load was over before it could be killed"
            assert time.monotonic() - begun < SECONDS
            time.sleep(0.02)
        loading.send_signal(signal.SIGKILL)


def journalled(home: Path) -> int:
    with closing(sqlite3.connect(f"file:{home / 'koppel.sqlite3'}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT COUNT(*) FROM store_journal").fetchone()[0])


def plain(contents: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """All partners without what depends on the order of work: ids and moments."""
    return sorted(
        json.dumps([resource, without_ids(fields)], sort_keys=True, default=str)
        for (resource, _), fields in contents.items()
        if resource in (ORGANISATION, PARTY)
    )


def without_ids(value: Any) -> Any:
    if isinstance(value, Mapping):
        apart = ("id", "created", "modified")
        return {name: without_ids(item) for name, item in value.items() if name not in apart}
    if isinstance(value, list):
        return [without_ids(item) for item in value]
    return value
