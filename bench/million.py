"""Very many couplings: what a run costs that finds nothing, or little.

The couplings with both bases are loaded straight into the store, as a first coupling would have
left them; the systems (`koppel.testing.endless`) live in processes of their own and make each
record when it is asked for. `python -m bench.million SIZE [audit]` prints one line of JSON.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.db import connection

from bench.coupling import Measured, new_store, peak_mb, sync, writes_of
from bench.systems import RESOURCES, Remote, Side, endless_systems
from koppel.connectors.base import Connector, Record
from koppel.connectors.memory import MemoryConnector
from koppel.engine.audit import Auditor
from koppel.engine.lines import Lines
from koppel.store import Store
from koppel.store.values import CouplingRow
from koppel.testing.endless import EndlessSystem, endless_crm, endless_erp

TYPES = {"crm": "memory", "erp": "memory"}
CHANGED = 1_000
PAGE = 2_000


def measure(size: int, *, audit: bool) -> dict[str, Any]:
    """Everything that is measured at one size."""
    with (
        tempfile.TemporaryDirectory() as folder,
        endless_systems(size) as remotes,
        new_store(Path(folder), TYPES) as store,
    ):
        begun = time.perf_counter()
        load(store, remotes, size)
        found: dict[str, Any] = {
            "records": size,
            "load_seconds": round(time.perf_counter() - begun),
        }
        found["nothing"] = _step(sync(store, remotes), size, remotes)
        for remote in remotes.values():
            remote.ask("deletes_by_sweep")
        found["sweep"] = _step(sync(store, remotes), size, remotes)
        for remote in remotes.values():
            remote.ask("deletes_by_log")
        many = remotes["erp"].ask("rename", max(1, size // CHANGED))
        found["changed"] = _step(sync(store, remotes), many, remotes)
        found["peak_mb"] = round(peak_mb(), 1)
        if audit:
            found["audit"] = [_audit(store, remotes, size) for _ in range(2)]
            found["audit_peak_mb"] = round(peak_mb(), 1)
        found["store_mb"] = round(sum(f.stat().st_size for f in Path(folder).iterdir()) / 2**20)
        return found


def load(store: Store, remotes: Mapping[Side, Remote], size: int) -> None:
    """All pairs as coupled and in step, and both sides as read up to now."""
    for side, remote in remotes.items():
        store.connections.accept_schema(side, tuple(remote.describe()))
        store.couplings.move_cursors({("partner", side): remote.now(RESOURCES[side])})
    systems: dict[Side, EndlessSystem] = {"crm": endless_crm(size), "erp": endless_erp(size)}
    chance = random.Random(size)
    for start in range(1, size + 1, PAGE):
        ids = [str(number) for number in range(start, min(start + PAGE, size + 1))]
        both = {side: list(_records(systems[side], side, ids)) for side in systems}
        store.couplings.save(
            [_coupling(crm, erp, chance) for crm, erp in zip(both["crm"], both["erp"], strict=True)]
        )
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _records(system: EndlessSystem, side: Side, ids: list[str]) -> Iterator[Record]:
    connector = MemoryConnector(system)
    for start in range(0, len(ids), 200):
        for record in connector.fetch(RESOURCES[side], ids[start : start + 200]).values():
            assert isinstance(record, Record)
            yield record


def _coupling(crm: Record, erp: Record, chance: random.Random) -> CouplingRow:
    row = CouplingRow(
        id=f"{chance.getrandbits(128):032x}",
        entity="partner",
        crm_id=crm.id,
        erp_id=erp.id,
        label=str(erp.fields["name"]),
        made_by="Matched: the same number.",
    )
    row.put("crm", crm)
    row.put("erp", erp)
    return row


def _step(done: Measured, records: int, remotes: dict[Side, Remote]) -> dict[str, Any]:
    waited = sum(remote.take_waited() for remote in remotes.values())
    return {
        "records": records,
        "seconds": round(done.seconds, 3),
        "own_seconds": round(done.own_seconds, 3),
        "systems_seconds": round(waited, 3),
        "writes": writes_of(done.run),
        "calls": {side: remote.ask("take_calls") for side, remote in remotes.items()},
    }


def _audit(store: Store, remotes: dict[Side, Remote], size: int) -> dict[str, Any]:
    def connect(_type: str, settings: Any) -> Connector:
        return remotes["crm" if settings["side"] == "crm" else "erp"]

    begun, own = time.perf_counter(), time.process_time()
    (found,) = Auditor(store, Lines(store, connect), progress=_quiet).audit(["partner"])
    return {
        "records": size,
        "seconds": round(time.perf_counter() - begun, 2),
        "own_seconds": round(time.process_time() - own, 2),
        "equal": found.equal,
        "findings": len(found.findings),
        "fetched": found.fetched,
    }


def _quiet(what: str, many: int) -> None:
    """No progress wanted."""


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), audit="audit" in sys.argv[2:])))
