"""From an edit in one system to the other one having it, by hints, at several rates.

Both systems answer over HTTP with a latency, in processes of their own. People edit coupled
partners of the CRM at an even rate; each edit is hinted at once, as the CRM's add-on does it, and
the ERP's process notes when Koppel wrote the record. Beside it, on the same two systems and in the
same run, the two calls that nobody can do without: read one record here, write one there.
`python -m bench.latency EDITS` prints JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench.coupling import KEY, new_store
from bench.million import load
from bench.over_http import Over, over_http
from bench.systems import RESOURCES, Side
from koppel.connectors.base import Connector, Update
from koppel.engine import Engine
from koppel.engine.watch import Pace, Watch
from koppel.store import Store

TYPES = {"crm": "memory", "erp": "memory"}
LATENCY = 0.02
RATES = (1, 10, 100)
"""Edits per second."""
PARTNERS = 2_000
HOPS = 30
PATIENCE = 60.0


def measure(edits: int) -> dict[str, Any]:
    """At each rate so many edits (a fifth of them at one a second), after the bare calls."""
    with (
        tempfile.TemporaryDirectory() as folder,
        over_http(PARTNERS, PARTNERS, LATENCY) as ports,
        new_store(Path(folder), TYPES) as store,
    ):
        remotes: dict[Side, Over] = {side: Over(port) for side, port in ports.items()}
        load(store, remotes, PARTNERS)
        bare = _bare(remotes)

        def connect(_type: str, settings: Mapping[str, str]) -> Connector:
            return remotes["crm" if settings["side"] == "crm" else "erp"]

        def now() -> datetime:
            return datetime.now(UTC)

        watch = Watch(
            lambda: Engine(Store(now, KEY), connect=connect), now, Pace(poll=3600, sweep=36000)
        )
        watch.start()
        try:
            _edits(watch, remotes, rate=10, many=3, first=1)  # What is done once, is done.
            rates, first = [], HOPS + 10
            for rate in RATES:
                many = max(5, edits // 5) if rate == 1 else edits
                rates.append(_edits(watch, remotes, rate=rate, many=many, first=first))
                first += many
        finally:
            watch.stop()
    return {"latency_ms": LATENCY * 1000, "bare": bare, "rates": rates}


def _bare(remotes: Mapping[Side, Over]) -> dict[str, float]:
    """The two calls alone, as two clients would do them one after the other."""
    took = []
    for number in range(1, HOPS + 1):
        begun = time.monotonic()
        remotes["crm"].fetch(RESOURCES["crm"], [str(number)])
        update = Update(
            resource=RESOURCES["erp"], key=f"bare-{number}", id=str(number), expected=None,
            fields={"language": "de"},
        )  # fmt: skip
        remotes["erp"].write([update])
        took.append(time.monotonic() - begun)
    remotes["erp"].ask("take_written")
    return _percentiles(took)


def _edits(
    watch: Watch, remotes: Mapping[Side, Over], *, rate: int, many: int, first: int
) -> dict[str, Any]:
    before = {
        side: remote.calls("fetch") + remote.calls("write") for side, remote in remotes.items()
    }
    edited: dict[str, float] = {}
    begun = time.monotonic()
    for number in range(many):
        time.sleep(max(0.0, begun + number / rate - time.monotonic()))
        record = str(first + number)
        fields = {"phone": f"+49 30 5{rate:03}{number:04}"}
        edited[record] = remotes["crm"].ask("edit", record, fields)
        watch.hint("partner", "crm", record)
    arrived: dict[str, float] = {}
    while edited.keys() - arrived.keys():
        for record, at in remotes["erp"].ask("take_written"):
            arrived.setdefault(record, at)
        if time.monotonic() - begun > PATIENCE + many / rate:
            raise SystemExit(f"{len(edited.keys() - arrived.keys())} edits never came")
        time.sleep(0.2)
    calls = sum(
        remote.calls("fetch") + remote.calls("write") - before[side]
        for side, remote in remotes.items()
    )
    return {
        "per_second": rate,
        "edits": many,
        "calls_per_edit": round(calls / many, 2),
        **_percentiles([arrived[record] - at for record, at in edited.items()]),
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    cut = quantiles(seconds, n=100, method="inclusive")
    return {f"p{at}_ms": round(cut[at - 1] * 1000, 1) for at in (50, 95, 99)}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
