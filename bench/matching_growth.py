"""How matching grows: through the store, as a run does it, from ten thousand to a million a side.

Partners are made one by one, their features are kept in a store on disk, and the engine's own
pairing reads them from there; so time and memory are those of a first coupling's matching, without
the systems. `python -m bench.matching_growth SIZE` prints one line of JSON.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from bench.coupling import new_store, peak_mb
from bench.matching_world import records
from koppel.engine.lines import Line
from koppel.engine.pairing import pair
from koppel.mapping.document import default_rule, load_rule
from koppel.store import Store
from koppel.store.values import ReplicaRow
from koppel.sync.features import STRONG_KEYS
from koppel.sync.match import block_keys, features

PAGE = 2000
_encode = msgspec.msgpack.Encoder().encode


def measure(size: int, seed: int = 1) -> dict[str, Any]:
    """One size: seconds on the clock and of the processor, megabytes, and how right."""
    with tempfile.TemporaryDirectory() as folder, new_store(Path(folder), {}) as store:
        base = peak_mb()
        begun = time.perf_counter()
        counts = _fill(store, size, seed)
        filled = time.perf_counter()
        rule = load_rule(default_rule("partner"), source="partner")
        used = time.process_time()
        pair(store, Line(entity="partner", rule=rule, lanes={}))
        done = time.perf_counter()
        return {
            "size": size,
            **counts,
            "seconds_filling": round(filled - begun, 1),
            "seconds": round(done - filled, 1),
            "cpu_seconds": round(time.process_time() - used, 1),
            "base_mb": round(base),
            "peak_mb": round(peak_mb()),
            "store_mb": round(sum(file.stat().st_size for file in Path(folder).iterdir()) / 2**20),
            **_judged(store, counts["shared"], counts["crm"] + counts["erp"]),
        }


def _fill(store: Store, size: int, seed: int) -> dict[str, int]:
    counts = {"crm": 0, "erp": 0, "shared": 0}
    rows = _rows(size, seed, counts)
    while page := list(islice(rows, PAGE)):
        store.replica.put(page)
    return counts


def _rows(size: int, seed: int, counts: dict[str, int]) -> Iterator[ReplicaRow]:
    last: tuple[int, str] = (-1, "")
    for side, number, company, canonical in records(size, seed=seed):
        counts[side] += 1
        counts["shared"] += last == (company, "crm") and side == "erp"
        last = (company, side)
        traits = features("partner", canonical)
        yield ReplicaRow(
            entity="partner",
            side=side,
            record=number,
            version="1",
            label=canonical["name"],
            content=None,
            features=_encode(traits),
            keys=tuple((key, key.partition(":")[0] in STRONG_KEYS) for key in block_keys(traits)),
        )


def _judged(store: Store, shared: int, total: int) -> dict[str, Any]:
    couples = wrong = 0
    for page in store.pairs.pairs("couple", PAGE):
        couples += len(page)
        wrong += sum(_company(crm) != _company(erp) for crm, erp, _, _ in page)
    asked: set[str] = set()
    for page in store.pairs.pairs("review", PAGE):
        asked.update(record for crm, erp, _, _ in page for record in (crm, erp))
    return {
        "couples": couples,
        "wrong": wrong,
        "precision": round((couples - wrong) / max(1, couples), 5),
        "recall": round((couples - wrong) / max(1, shared), 4),
        "review_share": round(len(asked) / total, 4),
    }


def _company(record: str) -> str:
    return record.split("-")[1]


def exponent(rows: list[dict[str, Any]], what: str = "seconds") -> float | None:
    """From the smallest size to the largest, `what` grows as the size to this power."""
    if len(rows) < 2:
        return None
    first, last = rows[0], rows[-1]
    return round(math.log(last[what] / first[what]) / math.log(last["size"] / first["size"]), 2)


def main(arguments: list[str]) -> int:
    """`python -m bench.matching_growth SIZE ...`."""
    for text in arguments or ["10000"]:
        print(json.dumps(measure(int(text))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
