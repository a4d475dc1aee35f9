"""Matching: how right, how fast and in how much memory, on generated and on public data."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.matching_world import MatchingWorld, world
from koppel.sync.match import Features, families, features, match
from koppel.sync.pairing import Pairing
from koppel.sync.rule import MatchRule

TWICE_UP_TO = 20_000
"""Up to this size it is also measured what one side has twice."""


def measure(count: int, seed: int = 1) -> dict[str, Any]:
    """One size of the generated world; seconds, megabytes at the peak, and how right."""
    made = world(count, seed=seed)
    begun, used = time.perf_counter(), time.process_time()
    crm = {number: features("partner", row) for number, row in made.crm.items()}
    erp = {number: features("partner", row) for number, row in made.erp.items()}
    read = time.perf_counter()
    pairing = match(crm, erp, MatchRule())
    done = time.perf_counter()
    spent = time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    within = twice(made, {"crm": crm, "erp": erp}) if count <= TWICE_UP_TO else {}
    return {
        "seed": seed,
        "crm": len(crm),
        "erp": len(erp),
        "seconds_features": round(read - begun, 1),
        "seconds_matching": round(done - read, 1),
        "seconds": round(done - begun, 1),
        "cpu_seconds": round(spent, 1),
        "peak_mb": peak,
        **judged(made, pairing),
        **within,
    }


def twice(made: MatchingWorld, sides: Mapping[str, Mapping[str, Features]]) -> dict[str, Any]:
    """How many companies that one side has twice are found in it, and how many are wrong."""
    found = wrong = truth = 0
    for records in sides.values():
        many = Counter(made.company[number] for number in records)
        truth += sum(count > 1 for count in many.values())
        for family in families(records, MatchRule()):
            if family.kin != "group":
                one = len({made.company[number] for number in family.records}) == 1
                found += one
                wrong += not one
    return {"twice": truth, "twice_found": found, "twice_wrong": wrong}


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
    """`python -m bench.matching SIZE [SEED]`."""
    size, seed = (int(text) for text in (*arguments, *("100000", "1")[len(arguments) :]))
    print(json.dumps(measure(size, seed)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
