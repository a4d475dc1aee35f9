"""How alike two names are, word by word, each word weighing what it tells."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from rapidfuzz.distance import OSA

from koppel.sync.names import GROUP_WORDS

Rarity = Callable[[str], float]
"""How much a word tells: 1 for one that hardly any record has, towards 0 for one that all have."""


class NameLikeness(Struct, frozen=True, gc=False):
    """`ratio` in 0..1, weighted by what each word tells; `told`: how much the common words tell.

    `clash`: both sides have a telling word that the other lacks. `group`: they differ by a word by
    which members of a group of companies tell themselves apart.
    """

    ratio: float
    told: float
    clash: bool = False
    group: bool = False


def likeness(a: tuple[str, ...], b: tuple[str, ...], rarity: Rarity) -> NameLikeness:
    """Compare two names word by word, whatever the order; typing errors count a little less."""
    if not a or not b:
        return NameLikeness(0.0, 0.0)
    if a == b:
        return NameLikeness(1.0, sum(_weight(word, rarity) for word in set(a)))
    if b < a:
        a, b = b, a
    rest_b = list(dict.fromkeys(b))
    rest_a: list[str] = []
    common = total = told = 0.0
    for word in dict.fromkeys(a):
        if word in rest_b:
            rest_b.remove(word)
            weight = _weight(word, rarity)
            common += 2 * weight
            total += 2 * weight
            told += weight
        else:
            rest_a.append(word)
    if rest_a and rest_b and _runs_together(rest_a, rest_b):
        weight = max(_weight(word, rarity) for word in rest_a + rest_b)
        return NameLikeness((common + 2 * weight) / (total + 2 * weight), told + weight)
    for word in list(rest_a):
        best, kind = _closest(word, rest_b)
        if best:
            rest_a.remove(word)
            rest_b.remove(best)
            weight = (_weight(word, rarity) + _weight(best, rarity)) / 2
            # A misspelt word is rare by accident: it tells no more than the better known one.
            common += 2 * weight * kind
            total += 2 * weight
            told += min(_weight(word, rarity), _weight(best, rarity)) * kind
    total += sum(_weight(word, rarity) for word in rest_a + rest_b)
    group = any(word in GROUP_WORDS for word in rest_a + rest_b)
    return NameLikeness(common / total, told, bool(rest_a and rest_b), group)


def _weight(word: str, rarity: Rarity) -> float:
    told = rarity(word)
    if told < 0.1:
        told = 0.1
    if len(word) > 3:
        return told
    return told * (0.5 if len(word) > 1 else 0.2)


def _closest(word: str, others: list[str]) -> tuple[str, float]:
    """The other word that this one is a misspelling or an abbreviation of; "" if there is none."""
    best, likest = "", 0.0
    for other in others:
        length = min(len(word), len(other))
        allowed = 0 if length < 5 else 1 if length < 9 else 2
        if allowed:
            distance = OSA.distance(word, other, score_cutoff=allowed)
            if distance <= allowed:
                alike = 1.0 - distance / (2 * length)
                if alike > likest:
                    best, likest = other, alike
                continue
        if length >= 7 and likest < 0.6 and OSA.normalized_similarity(word, other) >= 0.7:
            best, likest = other, 0.6
            continue
        if length >= 4 and (word.startswith(other) or other.startswith(word)) and likest < 0.8:
            best, likest = other, 0.8
    return best, likest


def _runs_together(a: list[str], b: list[str]) -> bool:
    """Are the words the same, only written together or apart ("Masch. Bau")?"""
    one, two = "".join(a), "".join(b)
    if min(len(one), len(two)) < 6 or one[0] != two[0] or len(a) == len(b) == 1:
        return False
    return bool(OSA.distance(one, two, score_cutoff=2) <= min(2, len(one) // 6))
