"""Going live on the demo's two systems: assessed without a write, and proved afterwards."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.creme_human import CremeHuman
from lab.system import Running
from lab.tryton_human import TrytonHuman
from tests.scenarios.real import ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("golive")]

EDITS = 200
AUDIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPair]:
    made = RealPair("golive", "demo", tmp_path_factory.mktemp("koppel"))
    try:
        made.init()
        yield made
    finally:
        made.stop()


def histories(running: Running) -> dict[str, object]:
    """The newest entry of everything in a system's database by which it tells its own history."""
    found: dict[str, object] = {}
    for file in sorted(Path(running.folder).rglob("*.sqlite*")):
        if file.name.endswith(("-wal", "-shm", "-journal")):
            continue
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            names = [
                r[0] for r in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            for name in names:
                columns = {row[1] for row in database.execute(f'PRAGMA table_info("{name}")')}
                told = columns & {"write_date", "create_date", "modified", "created", "date"}
                history = name in ("creme_core_historyline", "ir_model_log")
                if "session" in name or not (told or history):
                    continue
                asked = ", ".join(f'MAX("{column}")' for column in sorted(told)) or "NULL"
                found[name] = database.execute(f'SELECT COUNT(*), {asked} FROM "{name}"').fetchone()
    return found


def test_an_assessment_prints_its_report_without_a_write_on_either_side(
    pair: RealPair, tmp_path: Path
) -> None:
    before = {name: histories(running) for name, running in systems(pair).items()}
    assert "creme_core_historyline" in before["creme"]
    assert "party_party" in before["tryton"]
    report = pair.ask("assess", "--html", str(tmp_path / "report.html"))
    after = {name: histories(running) for name, running in systems(pair).items()}
    assert after == before
    partner = report["entities"][0]
    print(f"\n{partner['records']}, {partner['likely']} likely, {partner['perhaps']} perhaps")
    assert partner["records"] == {"crm": 400, "erp": 300}
    assert 209 <= partner["likely"] <= 220
    assert partner["duplicates"]["crm"] >= 5
    assert partner["load"]["seconds"] > 0
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def systems(pair: RealPair) -> dict[str, Running]:
    return {"creme": pair.creme, "tryton": pair.tryton}


def test_the_audit_finds_each_of_200_edits_and_nothing_else(pair: RealPair) -> None:
    pair.sync()
    pair.at_rest()
    drifted, others, disputed = audit(pair)
    assert drifted == others == set()
    planted = edit(pair)
    begun = time.monotonic()
    found, others, conflicts = audit(pair)
    spent = time.monotonic() - begun
    asked = conflicts & planted
    print(
        f"\n{len(found & planted)} of {EDITS} edits found in {spent:.0f} s, {len(asked)} disputed"
    )
    # An edit of the very field that a person is asked about is told as that conflict.
    assert found == planted - asked
    assert asked <= disputed
    assert others == set()
    assert conflicts == disputed - found
    assert spent < AUDIT_SECONDS


Pairs = set[tuple[str, str]]


def audit(pair: RealPair) -> tuple[Pairs, Pairs, Pairs]:
    """Pairs of partners, and of anything else, that the audit calls drifted; and disputed ones."""
    done = pair.koppel("audit", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode == 0) is told["in_step"], done.stderr
    partners, others, disputed = Pairs(), Pairs(), Pairs()
    for entity in told["entities"]:
        for one in entity["findings"]:
            place = partners if entity["entity"] == "partner" else others
            (disputed if one["verdict"] == "conflict" else place).add((one["crm"], one["erp"]))
    return partners, others, disputed


def edit(pair: RealPair) -> Pairs:
    """Two hundred edits by people other than Koppel, half in each system; the pairs they touch."""
    chosen = random.Random(200).sample(sorted(pair.coupled().items()), EDITS)
    tryton = TrytonHuman.admin(pair.tryton)
    creme = CremeHuman.salesperson(pair.creme)
    try:
        for place, (crm, erp) in enumerate(chosen):
            if place % 2:
                tryton.edit(PARTY, erp, {"name": f"Behind the back {place} AG"})
            else:
                creme.edit(ORGANISATION, crm, {"phone": f"+49 30 5550{place:04}"})
    finally:
        tryton.close()
        creme.close()
    return set(chosen)
