"""A first load over HTTP, beside a hand-written loop that reads and writes the very same pages.

Both systems answer over HTTP with a latency, in processes of their own. What Koppel asked for is
recorded, and asked for again by an asyncio loop that does nothing else, one call at a time to each
side as Koppel does it: once both sides at the same time, and once all reading before all writing,
which is what a plan costs that can be held before anything is written.
`python -m bench.first_load SIZE` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.coupling import new_store, peak_mb, sync
from bench.over_http import ASKED, Asked, Over, over_http
from bench.systems import Side

LATENCY = 0.02
"""Seconds that each call takes besides the system's own work."""
ROUNDS = 3
TYPES = {"crm": "memory", "erp": "memory"}


def measure(size: int) -> dict[str, Any]:
    """Koppel and the loops, several times by turns; of these the one in the middle."""
    rounds = sorted((_round(size) for _ in range(ROUNDS)), key=lambda one: one["ordered_ratio"])
    return {**rounds[ROUNDS // 2], "rounds": ROUNDS}


def _round(size: int) -> dict[str, Any]:
    """Koppel's first load of that many partners into an empty CRM, then the loops into others."""
    with (
        tempfile.TemporaryDirectory() as folder,
        over_http(0, size, LATENCY) as ports,
        new_store(Path(folder), TYPES) as store,
    ):
        remotes: dict[Side, Over] = {side: Over(port) for side, port in ports.items()}
        done = sync(store, remotes)
        couplings = store.couplings.count("partner", "active")
    asked = {side: remote.asked for side, remote in remotes.items()}
    reading = {side: [one for one in calls if one[0] != "write"] for side, calls in asked.items()}
    writing = {side: [one for one in calls if one[0] == "write"] for side, calls in asked.items()}
    both = _alone(size, [asked])
    ordered = _alone(size, [reading, writing])
    return {
        "records": size,
        "couplings": couplings,
        "latency_ms": LATENCY * 1000,
        "seconds": round(done.seconds, 2),
        "own_seconds": round(done.own_seconds, 2),
        "per_second": round(size / done.seconds, 1),
        "loop_seconds": round(both, 2),
        "loop_per_second": round(size / both, 1),
        "ratio": round(both / done.seconds, 3),
        "ordered_seconds": round(ordered, 2),
        "ordered_ratio": round(ordered / done.seconds, 3),
        "calls": {
            side: {name: remote.calls(name) for name in ASKED} for side, remote in remotes.items()
        },
        "peak_mb": round(peak_mb(), 1),
    }


def _alone(size: int, parts: Sequence[Mapping[Side, list[Asked]]]) -> float:
    """Seconds for the same calls to new systems, one part after the other."""
    with over_http(0, size, LATENCY) as ports:
        begun = time.perf_counter()
        asyncio.run(_loop(ports, parts))
        return time.perf_counter() - begun


async def _loop(ports: Mapping[Side, int], parts: Sequence[Mapping[Side, list[Asked]]]) -> None:
    async def side(client: httpx.AsyncClient, port: int, calls: list[Asked]) -> None:
        for call in calls:
            reply = await client.post(f"http://127.0.0.1:{port}/", content=pickle.dumps(call))
            pickle.loads(reply.content)

    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        for part in parts:
            await asyncio.gather(*(side(client, ports[name], part[name]) for name in part))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
