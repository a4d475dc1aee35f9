"""Matching: how right, how fast and in how much memory, on generated and on public data."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from bench.matching_world import MatchingWorld, world
from koppel.sync.match import features, match
from koppel.sync.pairing import Pairing
from koppel.sync.rule import MatchRule

RESULTS = Path(__file__).parent / "results"


def measure(count: int, seed: int = 1) -> dict[str, Any]:
    """One size of the generated world; seconds, megabytes at the peak, and how right."""
    made = world(count, seed=seed)
    begun, used = time.perf_counter(), time.process_time()
    crm = {number: features("partner", row) for number, row in made.crm.items()}
    erp = {number: features("partner", row) for number, row in made.erp.items()}
    read = time.perf_counter()
    pairing = match(crm, erp, MatchRule())
    done = time.perf_counter()
    return {
        "crm": len(crm),
        "erp": len(erp),
        "seconds_features": round(read - begun, 1),
        "seconds_matching": round(done - read, 1),
        "seconds": round(done - begun, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **judged(made, pairing),
    }


def judged(made: MatchingWorld, pairing: Pairing) -> dict[str, Any]:
    """Precision and recall of the couples, and the share of records a person is asked about."""
    right = [p for p in pairing.couples if made.company[p.left] == made.company[p.right]]
    shared = made.shared
    found = {made.company[p.left] for p in right}
    asked = {p.left for p in pairing.review} | {p.right for p in pairing.review}
    in_review = {
        made.company[p.left]
        for p in pairing.review
        if made.company[p.left] == made.company[p.right]
    }
    return {
        "couples": len(pairing.couples),
        "wrong": len(pairing.couples) - len(right),
        "precision": round(len(right) / max(1, len(pairing.couples)), 5),
        "recall": round(len(found) / max(1, len(shared)), 4),
        "recall_with_review": round(len(found | (in_review & shared)) / max(1, len(shared)), 4),
        "review_share": round(len(asked) / (len(made.crm) + len(made.erp)), 4),
    }


def wrong_pairs(made: MatchingWorld, pairing: Pairing) -> list[tuple[Any, ...]]:
    """The wrong couples with what both sides say, to learn from."""
    return [
        (made.crm[p.left], made.erp[p.right], p.score)
        for p in pairing.couples
        if made.company[p.left] != made.company[p.right]
    ]


def main(arguments: list[str]) -> int:
    """`python -m bench.matching [SIZE ...]`."""
    sizes = [int(text) for text in arguments] or [100_000]
    for size in sizes:
        print(json.dumps(measure(size)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
