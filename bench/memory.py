"""The memory pair at one size: a process of its own per size, so that each peak is its own.

`python -m bench.memory SIZE` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.coupling import Measured, new_store, peak_mb, sync, writes_of
from bench.systems import Remote, Side, systems

EVERY = 100
"""One record in so many changes before the delta run: 1 %."""
CREATED_UP_TO = 10_000
TYPES = {"crm": "memory", "erp": "memory"}


def measure(size: int) -> dict[str, Any]:
    """Everything that is measured at one size."""
    return {"records": size, **_both(size), **_created(size)}


def _both(size: int) -> dict[str, Any]:
    """The same companies on both sides: matched, then left alone, then changed, then swept."""
    with (
        tempfile.TemporaryDirectory() as folder,
        systems(size, size) as remotes,
        new_store(Path(folder), TYPES) as store,
    ):
        base = peak_mb()
        found: dict[str, Any] = {"first": _step(sync(store, remotes), size, remotes)}
        peak = peak_mb()
        couplings = store.couplings.count("partner", "active")
        # Koppel's own writes come back as changes once, and are told from people's.
        sync(store, remotes)
        _calls(remotes)
        found["nothing"] = _step(sync(store, remotes), size, remotes)
        changed = remotes["erp"].ask("rename", EVERY)
        found["delta"] = _step(sync(store, remotes), changed, remotes)
        sync(store, remotes)
        for remote in remotes.values():
            remote.ask("deletes_by_sweep")
        _calls(remotes)
        found["sweep"] = _step(sync(store, remotes), size, remotes)
        return {
            **found,
            "couplings": couplings,
            "base_mb": round(base, 1),
            "first_mb": round(peak, 1),
            "peak_mb": round(peak_mb(), 1),
            "store_mb": round(_size(Path(folder)), 1),
        }


def _created(size: int) -> dict[str, Any]:
    """Companies of the ERP only: all are made in the CRM."""
    if size > CREATED_UP_TO:
        return {}
    with (
        tempfile.TemporaryDirectory() as folder,
        systems(0, size) as remotes,
        new_store(Path(folder), TYPES) as store,
    ):
        return {"created": _step(sync(store, remotes), size, remotes)}


def _step(done: Measured, records: int, remotes: dict[Side, Remote]) -> dict[str, Any]:
    return {
        "records": records,
        "seconds": round(done.seconds, 3),
        "own_seconds": round(done.own_seconds, 3),
        "per_second": round(done.rate(records), 1),
        "writes": writes_of(done.run),
        "calls": _calls(remotes),
    }


def _calls(remotes: dict[Side, Remote]) -> dict[str, dict[str, int]]:
    return {side: remote.ask("take_calls") for side, remote in remotes.items()}


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1024 / 1024


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
