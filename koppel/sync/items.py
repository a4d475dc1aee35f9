"""Products: the same by number, GTIN or maker's number; a name or description only speaks for it.

Never coupled without a number in common, nor against two different GTINs, nor where the sizes in
both names differ: a screw M8 x 20 is not one of M8 x 30, however alike all the rest is.
"""

from __future__ import annotations

from koppel.sync.evidence import Evidence, Judged
from koppel.sync.features import Features
from koppel.sync.likeness import Rarity, likeness
from koppel.sync.rule import MatchRule

_PRIOR = -3.0
_SURE = 0.97
_OTHER = 0.35

_NUMBERS: dict[str, tuple[float, float, str]] = {
    "number": (5.0, -1.5, "number"),
    "maker": (4.5, -1.5, "maker's number"),
}


def judge_items(a: Features, b: Features, rarity: Rarity, rule: MatchRule) -> Judged:
    """Two products, or two records of any other entity that has a name and a number."""
    name = likeness(a.words, b.words, rarity)
    codes = _codes(dict(_split(a)), dict(_split(b)))
    sizes = _sizes(a.measures, b.measures)
    evidence = [Evidence(_PRIOR)]
    if name.ratio >= _SURE:
        evidence.append(Evidence(2.0, "same name"))
    elif name.ratio >= 0.6:
        evidence.append(Evidence((name.ratio - 0.6) * 4, "similar name", f"({name.ratio:.0%})"))
    elif a.words and b.words:
        evidence.append(Evidence(-2.0, "different names"))
    if name.ratio < _SURE and a.text and b.text and likeness(a.text, b.text, rarity).ratio >= 0.8:
        evidence.append(Evidence(1.5, "same description"))
    evidence += codes + sizes
    proven = any(one.points >= 3 for one in codes)
    against = any(one.points <= -3 for one in codes + sizes)
    low, high = 0.0, 1.0
    # One number under two names is as often two companies' counting as one product.
    unlike = bool(a.words and b.words) and name.ratio < _OTHER
    gtin = any(one.kind == "same GTIN" for one in codes)
    if not proven or against or (unlike and not gtin):
        high = rule.couple - 0.01
    if name.ratio >= _SURE and not any(one.points < 0 for one in codes + sizes):
        low = rule.review
    if (gtin and (unlike or against)) or (proven and unlike and not against):
        # Renamed, or another article altogether: a person knows.
        low = rule.review
    return Judged(tuple(evidence), min(low, high), high)


def _split(record: Features) -> list[tuple[str, str]]:
    return [(kind, value) for kind, _, value in (code.partition(":") for code in record.codes)]


def _codes(a: dict[str, str], b: dict[str, str]) -> list[Evidence]:
    found = _gtins(a.get("gtin", ""), b.get("gtin", ""))
    for kind, (same, different, label) in _NUMBERS.items():
        one, two = a.get(kind), b.get(kind)
        if not one or not two:
            continue
        if one == two:
            found.append(Evidence(same, f"same {label}"))
        elif not any(code.points > 3 for code in found):
            found.append(Evidence(different, f"different {label}s"))
    crossed = any(
        x and x == y
        for x, y in ((a.get("number"), b.get("maker")), (a.get("maker"), b.get("number")))
    )
    if crossed and not any(code.points >= 3 for code in found):
        found = [code for code in found if code.kind != "different numbers"]
        found.append(Evidence(3.5, "one's number is the maker's number of the other"))
    return found


def _gtins(one: str, two: str) -> list[Evidence]:
    """GTIN-14s compare their middle: the first digit tells the packing, the last checks."""
    if not one or not two:
        return []
    if one == two:
        return [Evidence(8.0, "same GTIN", one.lstrip("0"))]
    if len(one) == len(two) == 14 and one[1:13] == two[1:13]:
        return [Evidence(-3.0, "GTINs of two packings of one product")]
    return [Evidence(-5.0, "different GTINs")]


def _sizes(a: tuple[str, ...], b: tuple[str, ...]) -> list[Evidence]:
    """The figures in both names: sizes, voltages, contents."""
    if not a or not b:
        return []
    one, two = set(a), set(b)
    if one == two:
        return [Evidence(0.8)]
    if one - two and two - one:
        return [Evidence(-3.0, "different sizes")]
    return [Evidence(-0.5)]
