"""Evidence and what it comes to: points with reasons, the bounds above them, the band.

Points are natural logarithms of odds; they add up, and the value is the probability they come to.
What people answered may move the points of a kind of evidence a little (`Learned`); it never turns
evidence round, and never lifts a bound that an identifier sets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from koppel.sync.rule import MatchRule

Band = Literal["couple", "review", "different"]

Learned = Mapping[str, float]
"""Kind of evidence -> points that people's answers add to it or take from it."""

TOTAL = 2.0
"""What all learned points of one comparison may come to, either way."""
CONFIRMED = 0.8
"""Learned points from which on prudence alone no longer keeps a comparison below a couple."""
REFUTED = -0.8
"""Learned points of a comparison below which a mere name is no longer worth a person's look."""


class Evidence(NamedTuple):
    """One piece of evidence: points, its kind in words ("same phone"), and what it is about.

    Without words it counts and is not told.
    """

    points: float
    kind: str = ""
    detail: str = ""

    @property
    def reason(self) -> str:
        """In words."""
        return f"{self.kind} {self.detail}".rstrip()


class Judged(Struct, frozen=True, gc=False):
    """What speaks for and against, and what the value may come to at least and at most.

    `firm`: no answer lifts the upper bound, for an identifier contradicts, or nothing but a name is
    there.
    """

    evidence: tuple[Evidence, ...]
    low: float = 0.0
    high: float = 1.0
    firm: bool = True

    @property
    def points(self) -> float:
        """The sum, as it is without any answer."""
        return sum(one.points for one in self.evidence)


class Score(Struct, frozen=True, gc=False):
    """The outcome of one comparison; `value` in 0..1, `reasons` in words, the weightiest first."""

    value: float
    band: Band
    reasons: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        """The value as log odds, in which distances stay comparable near 0 and 1."""
        return math.log(self.value / (1.0 - self.value))


def weigh(judged: Judged, rule: MatchRule, learned: Learned | None = None) -> Score:
    """The value and the band of what was found."""
    points, low, high = judged.points, judged.low, judged.high
    if learned:
        moved = taught(judged.evidence, learned)
        points += moved
        if moved <= REFUTED:
            low = 0.0
        if moved >= CONFIRMED and not judged.firm:
            high = 1.0
    value = 1.0 / (1.0 + math.exp(-max(-15.0, min(15.0, points))))
    value = max(low, min(high, value))
    band: Band = "different"
    if value >= rule.couple:
        band = "couple"
    elif value >= rule.review:
        band = "review"
    ordered = sorted((one for one in judged.evidence if one.kind), key=lambda one: -abs(one.points))
    return Score(value, band, tuple(one.reason for one in ordered))


def taught(evidence: Iterable[Evidence], learned: Learned) -> float:
    """The points that answers add or take: evidence loses at most its own weight, never more."""
    moved = 0.0
    for points, kind, _ in evidence:
        shift = learned.get(kind, 0.0)
        if shift * points < 0:
            shift = math.copysign(min(abs(shift), abs(points)), shift)
        moved += shift
    return max(-TOTAL, min(TOTAL, moved))
