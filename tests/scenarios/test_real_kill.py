"""A run over the real systems, killed with SIGKILL at each of its boundaries: nothing is lost,
nothing is doubled.

The boundaries are enumerated, not sampled: those that the engine names, after each call of a
connector that reads, and before and after each single write. For each a process of its own runs
until it is killed there; a fresh one then has to bring both systems to what an undisturbed run
leaves.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from koppel.connectors.base import Connector, Record
from koppel.testing.chaos import Call, FaultProxy
from lab.creme_human import CremeHuman
from lab.tryton_human import TrytonHuman
from tests.scenarios.killed_run import synchronise
from tests.scenarios.real import CRM_CONTACT, ERP_CONTACT, ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

KILLED = -signal.SIGKILL


@dataclass
class Stage:
    """A coupled pair on which the same play is given again and again, each time with new names."""

    pair: RealPair
    clara: CremeHuman
    admin: TrytonHuman
    look: Mapping[str, Connector]
    known: dict[str, str] = field(default_factory=dict)
    round: int = 0

    def prepare(self) -> None:
        """Two coupled partners, which each round edits."""
        self.known["p"] = self.clara.create(
            ORGANISATION,
            {"name": "Kill Pumpen AG", "phone": "+49 30 100", "roles": ["customer"]},
        )
        self.known["q"] = self.admin.create(PARTY, {"name": "Kill Quarz SE"})
        self.run()
        self.run()

    def play(self) -> None:
        """What people do: a new customer here, a new one there with a contact, two edits."""
        self.round += 1
        number = f"{self.round:03}"
        self.clara.create(
            ORGANISATION,
            {"name": f"Kill Anlagen {number} GmbH", "phone": f"+49 40 5550{number}",
             "roles": ["customer"]},
        )  # fmt: skip
        party = self.admin.create(PARTY, {"name": f"Kill Behälter {number} KG"})
        self.admin.create(ERP_CONTACT, {"name": f"Karl Killmer-{number}", "employer": party})
        self.clara.edit(ORGANISATION, self.known["p"], {"phone": f"+49 30 5550{number}"})
        ways = [{"type": "email", "value": f"{number}@quarz.example"}]
        old = self.admin.read(PARTY, self.known["q"]) or {}
        if old.get("contact_mechanisms"):
            ways = [{**ways[0], "id": old["contact_mechanisms"][0]["id"]}]
        self.admin.edit(PARTY, self.known["q"], {"contact_mechanisms": ways})

    def run(self, kill_at: int | None = None) -> int:
        """One sync in a process of its own; its exit code, negative for a signal."""
        return synchronise(self.pair.home, kill_at)

    def outcome(self) -> dict[str, Any]:
        """What this round's records look like on both sides, without ids, numbers and the round."""
        number = f"{self.round:03}"
        found: dict[str, Any] = {}
        for side, resource, name in (
            ("crm", ORGANISATION, f"Kill Anlagen {number} GmbH"),
            ("erp", PARTY, f"Kill Anlagen {number} GmbH"),
            ("crm", ORGANISATION, f"Kill Behälter {number} KG"),
            ("erp", PARTY, f"Kill Behälter {number} KG"),
            ("erp", ERP_CONTACT, f"Karl Killmer-{number}"),
        ):
            records = self.look[side].find(resource, {"name": name}, 5)
            found[f"{side} {name}".replace(number, "N")] = [
                _plain(record, number) for record in records
            ]
        people = self.look["crm"].find(CRM_CONTACT, {"last_name": f"Killmer-{number}"}, 5)
        found["crm contact"] = [_plain(record, number) for record in people]
        for other in ("Kill Pumpen AG", "Kill Quarz SE"):
            for where, kind in (("crm", ORGANISATION), ("erp", PARTY)):
                records = self.look[where].find(kind, {"name": other}, 5)
                found[f"{where} {other}"] = [_plain(record, number) for record in records]
        found["in the store"] = self._store()
        return found

    def _store(self) -> dict[str, int]:
        with self.pair.engine() as engine:
            store = engine.store
            return {
                "open": len(store.journal.open_intents()),
                "quarantine": len(store.inbox.quarantine()),
                "conflicts": len(store.inbox.conflicts()),
                "pending": len(store.inbox.all_pending()),
                "partners": store.couplings.count("partner", "active") - 2 * self.round,
                "contacts": store.couplings.count("contact", "active") - self.round,
            }


_IDS = ("id", "code", "employer", "koppel_key")


def _plain(record: Record, number: str) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            kept = {key: item for key, item in value.items() if key not in _IDS}
            return {k: plain(v) for k, v in kept.items() if not isinstance(v, datetime)}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value.replace(number, "N") if isinstance(value, str) else value

    fields = plain(record.fields)
    # That it has one, and whose, is told by the couplings; which number it is, the order tells.
    return {**fields, "has": sorted(k for k in _IDS if record.fields.get(k))}


@pytest.fixture(scope="module")
def stage(real_pair: RealPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The pair with a store of its own."""
    home, kept = tmp_path_factory.mktemp("kill"), real_pair.home
    real_pair.home = home
    clara, admin = CremeHuman.salesperson(real_pair.creme), TrytonHuman.admin(real_pair.tryton)
    with real_pair.connectors() as look:
        try:
            real_pair.init()
            with real_pair.engine():
                pass
            made = Stage(real_pair, clara, admin, look)
            made.prepare()
            yield made
        finally:
            real_pair.home = kept
            clara.close()
            admin.close()


@pytest.fixture(scope="module")
def undisturbed(stage: Stage) -> dict[str, Any]:
    """What a run leaves that nobody disturbs. The first round also makes the email of one."""
    stage.play()
    assert stage.run() == 0
    stage.play()
    assert stage.run() == 0
    found = stage.outcome()
    assert all(len(records) == 1 for key, records in found.items() if key != "in the store"), found
    assert found["in the store"]["open"] == found["in the store"]["pending"] == 0
    return found


def test_a_run_killed_at_any_boundary_leaves_nothing_lost_and_nothing_doubled(
    stage: Stage, undisturbed: dict[str, Any]
) -> None:
    started = time.monotonic()
    killed = 0
    while True:
        stage.play()
        code = stage.run(killed + 1)
        if code == 0:
            break
        assert code == KILLED, f"boundary {killed + 1}"
        killed += 1
        assert stage.run() == 0, f"after the kill at boundary {killed}"
        assert stage.outcome() == undisturbed, f"killed at boundary {killed}"
    print(f"\nkilled at each of {killed} boundaries in {time.monotonic() - started:.0f} s")
    assert stage.outcome() == undisturbed
    assert killed > 30
    assert stage.pair.run().counts["writes"] == 0


def _writes(call: Call) -> bool:
    """Does this request change something in Tryton or in Creme?"""
    if call.path.endswith("/write"):
        return True
    return any(word in call.body for word in (b'create"', b'.write"', b'.delete"'))


def test_a_reply_dropped_after_any_write_was_committed_doubles_nothing(
    stage: Stage, undisturbed: dict[str, Any]
) -> None:
    with stage.pair.engine() as engine:
        kept = {name: engine.store.connections.get(name).config for name in ("creme", "tryton")}
    place = 0
    hits = 1
    while hits:
        with FaultProxy(stage.pair.creme.url) as crm, FaultProxy(stage.pair.tryton.url) as erp:
            _through(stage, {"creme": crm.url, "tryton": erp.url})
            stage.play()
            faults = [proxy.fault("drop_reply", after=place, match=_writes) for proxy in (crm, erp)]
            stage.run()
            hits = sum(fault.hits for fault in faults)
            crm.clear()
            erp.clear()
            for _ in range(2):
                last = stage.run()
            assert last == 0
        _through(stage, {name: str(config["url"]) for name, config in kept.items()})
        assert stage.outcome() == undisturbed, f"reply {place + 1} of each side dropped"
        place += 1
    print(f"\nthe replies of {place - 1} writes in a row were dropped, of both sides")
    assert place > 2


def _through(stage: Stage, urls: Mapping[str, str]) -> None:
    """Let Koppel call the systems at these addresses."""
    with stage.pair.engine() as engine:
        for name, url in urls.items():
            row = engine.store.connections.get(name)
            row.config = {**row.config, "url": url}
            row.save(update_fields=["config"])
