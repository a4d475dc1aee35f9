"""What people's answers teach the matching: small, bounded corrections to the weights.

Pure. A logistic regression on the kinds of evidence with the weights as they ship as its offset and
a prior at no correction at all: few answers move little, contradictory ones nothing, and that only
doubtful pairs are asked about does no harm, since it is their evidence that is conditioned on. No
correction exceeds `BOUND`; kinds that contradict an identifier are never corrected, and the bounds
of scoring stand above all of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from koppel.sync.evidence import Evidence, Learned

BOUND = 1.2
"""The most that answers add to a kind of evidence, or take from it, in points."""
LEAST = 3
"""Answers about a kind of evidence from which on they count."""
CONTRADICTS = -3.0
"""Kinds of evidence of this weight and below are never corrected."""
_SPREAD = 0.7
_ROUNDS = 25


class Lesson(Struct, frozen=True):
    """One answered pair: what had spoken for and against it, and whether the two are the same."""

    evidence: tuple[Evidence, ...]
    same: bool


class Weight(Struct, frozen=True, kw_only=True):
    """One kind of evidence: its usual points, what answers add, and how many answers there are."""

    kind: str
    points: float
    learned: float
    same: int
    different: int


def weights(lessons: Sequence[Lesson]) -> tuple[Weight, ...]:
    """All kinds of evidence that answers were about, those with most answers first."""
    points: defaultdict[str, list[float]] = defaultdict(list)
    same: defaultdict[str, int] = defaultdict(int)
    for lesson in lessons:
        for one in lesson.evidence:
            if one.kind:
                points[one.kind].append(one.points)
                same[one.kind] += lesson.same
    usual = {kind: sum(found) / len(found) for kind, found in points.items()}
    moved = _fit(
        lessons,
        [
            kind
            for kind, found in points.items()
            if len(found) >= LEAST and min(found) > CONTRADICTS
        ],
    )
    found = [
        Weight(
            kind=kind,
            points=round(usual[kind], 2),
            learned=round(moved.get(kind, 0.0), 2),
            same=same[kind],
            different=len(points[kind]) - same[kind],
        )
        for kind in points
    ]
    return tuple(sorted(found, key=lambda one: (-one.same - one.different, one.kind)))


def learned(lessons: Sequence[Lesson]) -> Learned:
    """The corrections alone; empty without answers."""
    return {one.kind: one.learned for one in weights(lessons) if one.learned}


def _fit(lessons: Sequence[Lesson], kinds: Sequence[str]) -> dict[str, float]:
    """The most probable corrections, one coordinate after the other by Newton's step."""
    odds = [sum(one.points for one in lesson.evidence) for lesson in lessons]
    about: dict[str, list[int]] = {kind: [] for kind in kinds}
    for number, lesson in enumerate(lessons):
        for kind in {one.kind for one in lesson.evidence} & about.keys():
            about[kind].append(number)
    moved = dict.fromkeys(kinds, 0.0)
    for _ in range(_ROUNDS):
        largest = 0.0
        for kind, numbers in about.items():
            slope, bend = moved[kind] / _SPREAD**2, 1.0 / _SPREAD**2
            for number in numbers:
                chance = 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds[number]))))
                slope += chance - lessons[number].same
                bend += chance * (1.0 - chance)
            target = max(-BOUND, min(BOUND, moved[kind] - slope / bend))
            step = target - moved[kind]
            moved[kind] = target
            for number in numbers:
                odds[number] += step
            largest = max(largest, abs(step))
        if largest < 0.001:
            break
    return moved
