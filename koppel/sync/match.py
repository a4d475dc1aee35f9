"""Matching: which records of two systems are the same company, person or product.

The face of four parts: `features` (what counts), `names` (how names are folded), `scoring` (how
evidence is weighed) and `pairing` (who is coupled with whom). `Index` finds candidates in memory
and knows how rare each word is.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from koppel.sync.evidence import Band, Learned, Score
from koppel.sync.features import STRONG_KEYS, Features, Place, block_keys, features
from koppel.sync.likeness import Rarity
from koppel.sync.pairing import Pair, Pairing, pair_up
from koppel.sync.relatives import Family, relatives
from koppel.sync.rule import MatchRule
from koppel.sync.scoring import score

__all__ = [
    "Band",
    "Family",
    "Features",
    "Index",
    "Pair",
    "Pairing",
    "Place",
    "Rarity",
    "Score",
    "block_keys",
    "duplicates",
    "families",
    "features",
    "match",
    "pair_up",
    "rarity_from",
    "rarity_of",
    "score",
]

BLOCK_LIMIT = 60
"""A weak key shared by more records than this is not followed: it tells too little."""
STRONG_LIMIT = 400


def rarity_of(counts: Mapping[str, int], total: int) -> Rarity:
    """How much a word tells, from how many of `total` records have it: 1 (one) to 0 (all)."""
    scale = math.log(max(total, 2))
    table = {
        word: max(0.0, 1.0 - math.log(count) / scale) for word, count in counts.items() if count > 1
    }

    def rarity(word: str) -> float:
        return table.get(word, 1.0)

    return rarity


class Index:
    """Features of one side, findable by block key. Not thread-safe while it is being filled."""

    def __init__(self, records: Mapping[str, Features] | None = None) -> None:
        self._records: dict[str, Features] = {}
        self._blocks: defaultdict[str, list[str]] = defaultdict(list)
        for record_id, record in (records or {}).items():
            self.add(record_id, record)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, record_id: str) -> Features:
        return self._records[record_id]

    def add(self, record_id: str, record: Features) -> None:
        """Add a record under a new id."""
        self._records[record_id] = record
        for key in block_keys(record):
            self._blocks[key].append(record_id)

    def candidates(self, record: Features) -> Iterator[str]:
        """Ids of the records worth comparing with, each once."""
        seen: set[str] = set()
        for key in block_keys(record):
            block = self._blocks.get(key)
            if not block:
                continue
            limit = STRONG_LIMIT if key.split(":", 1)[0] in STRONG_KEYS else BLOCK_LIMIT
            if len(block) > limit:
                continue
            for record_id in block:
                if record_id not in seen:
                    seen.add(record_id)
                    yield record_id


def match(
    left: Mapping[str, Features],
    right: Mapping[str, Features],
    rule: MatchRule,
    learned: Learned | None = None,
) -> Pairing:
    """Match two sets of one entity's records in memory; ids are the keys of both mappings."""
    rarity = rarity_from(left, right)
    index = Index(right)
    return pair_up(
        (left_id, right_id, scored)
        for left_id, record in left.items()
        for right_id in index.candidates(record)
        if (
            scored := score(record, index[right_id], rarity=rarity, rule=rule, learned=learned)
        ).band
        != "different"
    )


def duplicates(records: Mapping[str, Features], rule: MatchRule) -> tuple[Pair, ...]:
    """Records of one side that are the same company, person or product; each pair once."""
    rarity = rarity_from(records)
    index = Index(records)
    found = [
        Pair(one, two, scored)
        for one, record in records.items()
        for two in index.candidates(record)
        if one < two
        and (scored := score(record, index[two], rarity=rarity, rule=rule)).band == "couple"
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.score.value, pair.left, pair.right)))


def families(records: Mapping[str, Features], rule: MatchRule) -> tuple[Family, ...]:
    """Records of one side that belong together: there twice, several accounts, groups."""
    return relatives(records, Index(records).candidates, rarity=rarity_from(records), rule=rule)


def rarity_from(*sides: Mapping[str, Features]) -> Rarity:
    """The rarity of the words, and of the domains as "@domain", of the records at hand."""
    counts: Counter[str] = Counter()
    for side in sides:
        for record in side.values():
            counts.update(set(record.words))
            counts.update(f"@{domain}" for domain in record.domains)
    return rarity_of(counts, sum(len(side) for side in sides))
