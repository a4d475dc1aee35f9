"""What two records have in common besides their names: identifiers, channels, places, birthdays."""

from __future__ import annotations

from rapidfuzz.distance import OSA

from koppel.sync.evidence import Evidence
from koppel.sync.features import Features, Place
from koppel.sync.likeness import Rarity

CODES: dict[str, tuple[float, float, str]] = {
    "tax": (4.0, -1.0, "tax number"),
    "register": (4.0, -2.0, "register number"),
    "iban": (4.0, 0.0, "bank account"),
}
"""Kind of identifier -> points where it is the same, where it differs, and what it is called."""


def meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Have two lists anything in common?"""
    return any(one in b for one in a) if a and b else False


def vat_ids(a: Features, b: Features) -> list[Evidence]:
    """Two valid VAT ids of one country that differ are the strongest evidence there is."""
    if not (a.vat and b.vat):
        return []
    if a.vat == b.vat:
        return [Evidence(6.0 if a.vat_valid else 4.0, "same VAT id", a.vat)]
    if not (a.vat_valid and b.vat_valid):
        near = OSA.distance(a.vat, b.vat, score_cutoff=2) <= 2
        if near:
            return [Evidence(0.5, "nearly the same VAT id")]
        return [Evidence(-2.0, "different VAT ids")]
    if a.vat[:2] == b.vat[:2]:
        return [Evidence(-8.0, "different VAT ids")]
    return [Evidence(-3.0, "VAT ids of different countries")]


def codes(a: tuple[str, ...], b: tuple[str, ...], near: float = 0.0) -> list[Evidence]:
    """Identifiers of one kind; with `near`, the share of the points that one slip leaves."""
    if not a or not b:
        return []
    found = []
    theirs = dict(code.split(":", 1) for code in b)
    for code in a:
        kind, value = code.split(":", 1)
        if kind not in theirs or kind not in CODES:
            continue
        same, different, label = CODES[kind]
        if theirs[kind] == value:
            found.append(Evidence(same, f"same {label}"))
        elif near and slipped(value, theirs[kind]):
            found.append(Evidence(same * near, f"nearly the same {label}"))
        elif different:
            found.append(Evidence(different, f"different {label}s"))
    return found


def slipped(one: str, two: str) -> bool:
    """Is it one identifier, mistyped once: a character wrong, missing, too many, or two swapped?"""
    return min(len(one), len(two)) >= 6 and OSA.distance(one, two, score_cutoff=1) <= 1


def birthdays(a: str, b: str) -> list[Evidence]:
    """Dates of birth (YYYYMMDD): 25,000 days tell people apart; one slip, or day for month."""
    if not a or not b:
        return []
    if a == b:
        return [Evidence(5.0, "same date of birth")]
    turned = a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]
    if turned or slipped(a, b):
        return [Evidence(2.5, "nearly the same date of birth")]
    return [Evidence(-2.5, "different dates of birth")]


def channels(a: Features, b: Features, rarity: Rarity) -> list[Evidence]:
    """Phones, and domains or mailboxes."""
    found: list[Evidence] = []
    if a.phones and b.phones:
        common = [number for number in a.phones if number in b.phones]
        if common:
            found.append(Evidence(3.0, "same phone", common[0]))
        elif _one_exchange(a.phones, b.phones):
            found.append(Evidence(1.0, "phones of one exchange"))
        else:
            found.append(Evidence(-0.4, "different phones"))
    if a.domains and b.domains:
        shared = [domain for domain in a.domains if domain in b.domains]
        if shared:
            weight = 2.8 * max(0.3, rarity("@" + shared[0]))
            found.append(Evidence(weight, "same domain", shared[0]))
        else:
            found.append(Evidence(-1.2, "different domains"))
    elif a.mails and a.mails == b.mails:
        found.append(Evidence(3.0, "same e-mail", a.mails[0]))
    return found


def _one_exchange(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Do two numbers differ in the last two digits only, as extensions of one company do?"""
    return any(
        abs(len(one) - len(two)) <= 2
        and len(one) > 8
        and one[: len(one) - 2] == two[: len(one) - 2]
        for one in a
        for two in b
    )


def places(a: tuple[Place, ...], b: tuple[Place, ...]) -> list[Evidence]:
    """The best agreement of any two addresses."""
    best: Evidence | None = None
    for one in a:
        for two in b:
            found = _place(one, two)
            if found is not None and (best is None or found.points > best.points):
                best = found
    return [] if best is None else [best]


def _place(one: Place, two: Place) -> Evidence | None:
    if one.country and two.country and one.country != two.country:
        return Evidence(-2.5, "other country")
    near = bool(one.postal_code) and one.postal_code == two.postal_code
    if not near and one.city and two.city:
        near = one.city == two.city
    if near:
        if one.street and two.street and _one_street(one.street, two.street):
            if one.house == two.house:
                return Evidence(2.6, "same address")
            return Evidence(1.0, "same street")
        return Evidence(0.6, "same town")
    if (one.city and two.city) or (one.postal_code and two.postal_code):
        return Evidence(-1.2, "other town")
    return None


def _one_street(one: str, two: str) -> bool:
    if one == two:
        return True
    return bool(OSA.distance(one, two, score_cutoff=2) <= min(2, min(len(one), len(two)) // 5))
