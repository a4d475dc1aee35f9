"""From scores to couples: one to one, and only where one candidate is clearly better than the rest.

Pure. No record is coupled twice; where two candidates are nearly equal, as when a company exists
twice, a person decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from koppel.sync.evidence import Score

CLEARLY = 4.0
"""How far (in log odds) the best must be ahead of the second: less than a matching identifier
weighs, more than any other single piece of evidence."""


class Pair(Struct, frozen=True, gc=False):
    """Two records that belong together, or might."""

    left: str
    right: str
    score: Score
    why: str = ""
    """In words, why a person has to look (review only)."""


class Pairing(Struct, frozen=True, kw_only=True):
    """What to couple, and what to ask; each sorted by score, best first."""

    couples: tuple[Pair, ...] = ()
    review: tuple[Pair, ...] = ()


def pair_up(scored: Iterable[tuple[str, str, Score]]) -> Pairing:
    """Choose couples from scored candidates (left id, right id, score)."""
    pairs = [Pair(*one) for one in scored if one[2].band != "different"]
    pairs.sort(key=lambda pair: (-pair.score.value, pair.left, pair.right))
    by_left: dict[str, list[Pair]] = defaultdict(list)
    by_right: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_left[pair.left].append(pair)
        by_right[pair.right].append(pair)
    couples: dict[str, Pair] = {}
    taken: set[str] = set()
    moved = True
    while moved:
        moved = False
        for pair in pairs:
            if pair.score.band != "couple" or pair.left in couples or pair.right in taken:
                continue
            rivals = [p for p in by_left[pair.left] if p.right not in taken]
            rivals += [p for p in by_right[pair.right] if p.left not in couples]
            if _clear(pair, rivals):
                couples[pair.left] = pair
                taken.add(pair.right)
                moved = True
    return Pairing(
        couples=tuple(pair for pair in pairs if couples.get(pair.left) is pair),
        review=_review(pairs, couples, {pair.right: pair for pair in couples.values()}),
    )


def _clear(pair: Pair, rivals: list[Pair]) -> bool:
    points = pair.score.points
    return all(points - rival.score.points >= CLEARLY for rival in rivals if rival is not pair)


def _rivals(pair: Pair, by_left: Mapping[str, list[str]], by_right: Mapping[str, list[str]]) -> str:
    """Which records stand beside the two of a pair, by their ids; at most three of a side."""
    beside = [one for one in by_left[pair.left] if one != pair.right][:3]
    beside += [one for one in by_right[pair.right] if one != pair.left][:3]
    named = f": also {', '.join(beside)}" if beside else ""
    return f"There are several candidates of nearly equal weight{named}."


def _review(
    pairs: list[Pair], by_left: dict[str, Pair], by_right: dict[str, Pair]
) -> tuple[Pair, ...]:
    """What is left for a person: a record that is coupled already appears only as a duplicate."""
    found = []
    open_left: defaultdict[str, list[str]] = defaultdict(list)
    open_right: defaultdict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        if pair.score.band == "couple" and pair.left not in by_left and pair.right not in by_right:
            open_left[pair.left].append(pair.right)
            open_right[pair.right].append(pair.left)
    for pair in pairs:
        left, right = by_left.get(pair.left), by_right.get(pair.right)
        if left is pair or (left is not None and right is not None):
            continue
        if left is None and right is None:
            strong = pair.score.band == "couple"
            why = _rivals(pair, open_left, open_right) if strong else ""
            why = why or "The evidence is not enough to couple without a person."
        elif pair.score.band == "couple":
            other = pair.right if left is None else pair.left
            why = f"Perhaps a duplicate: {other} is coupled already."
        else:
            continue
        found.append(Pair(pair.left, pair.right, pair.score, why))
    return tuple(found)
