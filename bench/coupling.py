"""A store, an engine, and one measured run."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from koppel.connectors.base import Connector
from koppel.engine import Engine
from koppel.mapping.document import default_rule, shipped_mapping
from koppel.store import Store, open_store
from koppel.store.models import Run

KEY = Fernet.generate_key()
"""For the secrets of this process's stores, of which there are none."""


@dataclass
class Measured:
    """One run: how long, how much of it Koppel's own work, and what came of it."""

    seconds: float
    own_seconds: float
    """Of Koppel's process on the processor; the rest is waiting for the systems and the disk."""
    run: Run

    def rate(self, records: int) -> float:
        """Records per second."""
        return records / self.seconds


@contextmanager
def new_store(folder: Path, types: Mapping[str, str]) -> Iterator[Store]:
    """An empty store with both connections and the rule for partners.

    `types`: side -> connector type, `memory` for a generated system.
    """
    store = open_store(folder / "koppel.sqlite3", clock=lambda: datetime.now(UTC), key=KEY)
    try:
        for side, kind in types.items():
            store.connections.put(side, side=side, type=kind, config={"side": side}, secrets={})
            if kind == "memory":
                text = shipped_mapping(f"memory_{side}", "partner")
                store.documents.put("mapping", f"{side}/partner", text)
        store.documents.put("rule", "partner", default_rule("partner"))
        yield store
    finally:
        store.close()


def engine_of(store: Store, connectors: Mapping[str, Connector]) -> Engine:
    """An engine over these connectors."""

    def connect(_type: str, settings: Mapping[str, str]) -> Connector:
        return connectors[settings["side"]]

    return Engine(store, connect=connect)


def sync(
    store: Store,
    connectors: Mapping[str, Connector],
    *,
    sweep: bool = True,
    engine: Engine | None = None,
) -> Measured:
    """One run as `koppel sync` does it; a plan that a guard holds is approved.

    `engine`: one that has run before, as in `koppel serve`; else a new one, which first asks both
    systems to describe themselves.
    """
    used = engine or engine_of(store, connectors)

    def go() -> Run:
        run = used.sync(sweep=sweep)
        return used.apply(run, approve=True) if run.state == "held" else run

    return measured(go)


def measured(work: Callable[[], Run]) -> Measured:
    """Run it, and look at both clocks."""
    begun, own = time.perf_counter(), time.process_time()
    run = work()
    done = Measured(time.perf_counter() - begun, time.process_time() - own, run)
    if run.state != "done":
        raise SystemExit(f"run {run.id} is {run.state}: {' '.join(run.reasons)}")
    return done


def peak_mb() -> float:
    """The most memory that this process has held so far, in megabytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024 * 1024)


def writes_of(run: Run) -> int:
    """How many writes a run carried out."""
    return int(dict[str, Any](run.counts).get("writes", 0))
