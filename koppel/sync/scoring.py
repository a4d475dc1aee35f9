"""How much speaks for two records being the same: evidence weighed, with its reasons in words.

Each piece of evidence adds or takes points, natural logarithms of odds; the value is the
probability they come to. Three rules stand above the points: a company is never coupled by its
name alone, different valid VAT ids are never coupled, and a matching name without anything against
it, or the same phone, domain and address, are at least worth a person's look.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from rapidfuzz.distance import OSA

from koppel.sync.features import Features, Place
from koppel.sync.names import GROUP_WORDS, forms_clash, listed
from koppel.sync.rule import MatchRule

Band = Literal["couple", "review", "different"]
Rarity = Callable[[str], float]
"""How much a word tells: 1 for one that hardly any record has, towards 0 for one that all have."""


class Score(Struct, frozen=True, gc=False):
    """The outcome of one comparison; `value` in 0..1, `reasons` in words, the weightiest first."""

    value: float
    band: Band
    reasons: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        """The value as log odds, in which distances stay comparable near 0 and 1."""
        return math.log(self.value / (1.0 - self.value))


def score(a: Features, b: Features, *, rarity: Rarity, rule: MatchRule) -> Score:
    """Compare two records of one entity, in either order."""
    if a.entity == "contact":
        return _contacts(a, b, rule)
    if a.entity == "partner":
        return _partners(a, b, rarity, rule)
    return _items(a, b, rarity, rule)


def _scored(
    evidence: list[tuple[float, str]], rule: MatchRule, *, low: float = 0.0, high: float = 1.0
) -> Score:
    points = sum(weight for weight, _ in evidence)
    value = 1.0 / (1.0 + math.exp(-max(-15.0, min(15.0, points))))
    value = max(low, min(high, value))
    band: Band = "different"
    if value >= rule.couple:
        band = "couple"
    elif value >= rule.review:
        band = "review"
    ordered = sorted((e for e in evidence if e[1]), key=lambda e: -abs(e[0]))
    return Score(value, band, tuple(reason for _, reason in ordered))


# -- names --------------------------------------------------------------------------------------


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


# -- partners -----------------------------------------------------------------------------------

_PRIOR = -3.2
_SURE = 0.97
_TELLING = 0.5
_ALIKE = 0.92

Evidence = list[tuple[float, str]]
"""Points with the reason in words."""


_NOTHING = Score(0.0005, "different", ("nothing but a word in common",))


def _hopeless(a: Features, b: Features) -> bool:
    """Do two partners share nothing that weighs, and less than half of their names?

    A shortcut for most candidates: no sum of what is left comes near a person's attention.
    """
    common = 0
    for word in a.words:
        if word in b.words:
            common += 1
    return (
        2 * common <= max(len(a.words), len(b.words))
        and not (a.vat and a.vat == b.vat)
        and not _meet(a.phones, b.phones)
        and not _meet(a.domains, b.domains)
        and not _meet(a.codes, b.codes)
        and not _meet(a.mails, b.mails)
    )


def _meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    return any(one in b for one in a) if a and b else False


def _partners(a: Features, b: Features, rarity: Rarity, rule: MatchRule) -> Score:
    if _hopeless(a, b):
        return _NOTHING
    name = likeness(*_without_towns(a, b), rarity)
    evidence: list[tuple[float, str]] = [(_PRIOR, "")]
    evidence += _name_evidence(name, a, b)
    identity = _identities(a, b)
    contacts = _channels(a, b, rarity)
    place = _places(a.places, b.places)
    evidence += identity + contacts + place
    if name.ratio >= _SURE and _moved(contacts, place):
        evidence.append((0.7, ""))
    if name.clash and a.person and b.person and any(weight >= 3 for weight, _ in identity):
        # People marry, have nicknames and are misspelt; their numbers stay.
        evidence.append((3.0, ""))
    low, high = _bounds(a, b, name, identity, contacts, place, rule)
    return _scored(evidence, rule, low=low, high=high)


def _moved(contacts: Evidence, place: Evidence) -> bool:
    """Another town, but the phone or domain that nobody else has went along."""
    return any(-2 < weight < 0 for weight, _ in place) and any(w >= 2.2 for w, _ in contacts)


def _bounds(
    a: Features,
    b: Features,
    name: NameLikeness,
    identity: Evidence,
    contacts: Evidence,
    place: Evidence,
    rule: MatchRule,
) -> tuple[float, float]:
    """What the points may come to at least and at most: the rules that stand above them."""
    against = any(weight <= -3 for weight, _ in identity)
    proven = any(weight >= 3 for weight, _ in identity)
    witnesses = sum(weight >= 1.5 for weight, _ in contacts + place)
    low, high = 0.0, 1.0
    apart = name.clash or name.group
    enough = 0.6 if witnesses >= 3 else 0.75
    if not proven and (witnesses < 2 or name.ratio < enough or apart):
        same_name = name.ratio >= _SURE and not name.clash
        near = any(weight > 0 for weight, _ in place)
        nothing_against = not any(weight <= -1 for weight, _ in contacts + place + identity)
        # A channel that nobody else has, under a name that tells: as good as a second witness.
        own = name.told >= _TELLING and any(weight >= 2.2 for weight, _ in contacts)
        alike = name.ratio >= _ALIKE and not apart and own
        clear = same_name and witnesses == 1 and (near or own)
        # Moved to another town, but the domain is the same, and so is the exchange of the phone.
        reached = alike and sum(weight for weight, _ in contacts) >= 3.0 and not against
        if not ((clear or alike) and nothing_against) and not reached:
            high = rule.couple - 0.01
        if apart:
            high = rule.review - 0.01 if _grouped(a, b) else (rule.couple + rule.review) / 2
    if against or (proven and name.ratio < 0.35):
        high = min(high, rule.couple - 0.01)
    named = name.ratio >= 0.9 and name.told >= _TELLING and not (against or name.clash)
    if named and _worth_asking(a, b, name, identity + contacts + place):
        low = rule.review
    if witnesses >= 3 and name.ratio >= 0.4 and not against:
        low = rule.review
    return min(low, high), high


def _worth_asking(a: Features, b: Features, name: NameLikeness, found: Evidence) -> bool:
    """Is a matching name worth a person's look? With two things against it, it is a namesake.

    Unless hardly anybody has such a name; a namesake in another country or with a domain of its own
    is one in any case.
    """
    weights = [weight for weight, _ in found]
    if a.person != b.person or _FOREIGN & {reason for _, reason in found}:
        return False
    if any(weight >= 1 for weight in weights):
        return True
    against = sum(weight < 0 for weight in weights) + forms_clash(a.form, b.form)
    return against < 2 or (against == 2 and name.told >= _RARE)


_FOREIGN = frozenset({"different domains", "other country"})
_RARE = 1.2


def _grouped(a: Features, b: Features) -> bool:
    """Do the names differ by words by which members of a group tell themselves apart, alone?"""
    rest = set(a.words) ^ set(b.words)
    return bool(rest) and rest <= GROUP_WORDS


def _without_towns(a: Features, b: Features) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both names without a town that only one of them has, where it is a town of either record."""
    if a.words == b.words:
        return a.words, b.words
    towns = {place.city for place in a.places} | {place.city for place in b.places}
    if not towns:
        return a.words, b.words
    one = tuple(word for word in a.words if word in b.words or word not in towns)
    two = tuple(word for word in b.words if word in a.words or word not in towns)
    return one or a.words, two or b.words


def _name_evidence(name: NameLikeness, a: Features, b: Features) -> list[tuple[float, str]]:
    ratio = name.ratio
    if ratio >= _SURE:
        found = [(1.2 + 2.0 * min(1.0, name.told / 0.8), "same name")]
    elif ratio >= 0.6:
        likely = (ratio - 0.6) / (_SURE - 0.6) * (1.2 + 2.0 * min(1.0, name.told / 0.8))
        found = [(likely, f"similar name ({ratio:.0%})")]
    else:
        found = [(-4.0 * (1.0 - ratio / 0.6), "different names")]
    if name.clash:
        found.append((-3.0, "each name has a word of its own"))
    elif name.group:
        found.append((-2.0, "names of two members of a group"))
    if a.form and a.form == b.form:
        found.append((0.4, ""))
    elif forms_clash(a.form, b.form):
        found.append((-0.8, "different legal forms"))
    elif a.form and b.form:
        found.append((-0.2, ""))
    if a.person != b.person:
        found.append((-1.0, "a person and a company"))
    return found


def _identities(a: Features, b: Features) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    if a.vat and b.vat:
        if a.vat == b.vat:
            found.append((6.0 if a.vat_valid else 4.0, f"same VAT id {a.vat}"))
        elif not (a.vat_valid and b.vat_valid):
            near = OSA.distance(a.vat, b.vat, score_cutoff=2) <= 2
            found.append((0.5, "nearly the same VAT id") if near else (-2.0, "different VAT ids"))
        elif a.vat[:2] == b.vat[:2]:
            found.append((-8.0, "different VAT ids"))
        else:
            found.append((-3.0, "VAT ids of different countries"))
    found += _codes(a.codes, b.codes)
    return found


_CODES: dict[str, tuple[float, float, str]] = {
    "tax": (4.0, -1.0, "tax number"),
    "register": (4.0, -2.0, "register number"),
    "iban": (4.0, 0.0, "bank account"),
    "gtin": (6.0, -5.0, "GTIN"),
    "number": (4.5, -1.5, "number"),
    "code": (4.5, -1.5, "number"),
    "sku": (4.5, -1.5, "number"),
}


def _codes(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[float, str]]:
    if not a or not b:
        return []
    found = []
    theirs = dict(code.split(":", 1) for code in b)
    for code in a:
        kind, value = code.split(":", 1)
        if kind not in theirs:
            continue
        same, different, label = _CODES[kind]
        if theirs[kind] == value:
            found.append((same, f"same {label}"))
        elif different:
            found.append((different, f"different {label}s"))
    return found


def _channels(a: Features, b: Features, rarity: Rarity) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    if a.phones and b.phones:
        common = [number for number in a.phones if number in b.phones]
        if common:
            found.append((3.0, f"same phone {common[0]}"))
        elif _one_exchange(a.phones, b.phones):
            found.append((1.0, "phones of one exchange"))
        else:
            found.append((-0.4, "different phones"))
    if a.domains and b.domains:
        shared = [domain for domain in a.domains if domain in b.domains]
        if shared:
            weight = 2.8 * max(0.3, rarity("@" + shared[0]))
            found.append((weight, f"same domain {shared[0]}"))
        else:
            found.append((-1.2, "different domains"))
    elif a.mails and a.mails == b.mails:
        found.append((3.0, f"same e-mail {a.mails[0]}"))
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


def _places(a: tuple[Place, ...], b: tuple[Place, ...]) -> list[tuple[float, str]]:
    best: tuple[float, str] | None = None
    for one in a:
        for two in b:
            found = _place(one, two)
            if found is not None and (best is None or found[0] > best[0]):
                best = found
    return [] if best is None else [best]


def _place(one: Place, two: Place) -> tuple[float, str] | None:
    if one.country and two.country and one.country != two.country:
        return (-2.5, "other country")
    near = bool(one.postal_code) and one.postal_code == two.postal_code
    if not near and one.city and two.city:
        near = one.city == two.city
    if near:
        if one.street and two.street and _one_street(one.street, two.street):
            if one.house == two.house:
                return (2.6, "same address")
            return (1.0, "same street")
        return (0.6, "same town")
    if (one.city and two.city) or (one.postal_code and two.postal_code):
        return (-1.2, "other town")
    return None


def _one_street(one: str, two: str) -> bool:
    if one == two:
        return True
    return bool(OSA.distance(one, two, score_cutoff=2) <= min(2, min(len(one), len(two)) // 5))


# -- contacts and products ------------------------------------------------------------------------

_ROLE_BOXES = listed(
    "info office kontakt contact mail post vertrieb verkauf sales einkauf service support "
    "zentrale buero buro accueil achats biuro myynti salg firma hello admin buchhaltung"
)


def _contacts(a: Features, b: Features, rule: MatchRule) -> Score:
    evidence: list[tuple[float, str]] = [(-1.5 if rule.within else -4.5, "")]
    family = OSA.normalized_similarity("".join(a.words), "".join(b.words))
    if family == 1.0:
        evidence.append((2.2, "same family name"))
    elif family >= 0.75:
        evidence.append((1.0, "similar family name"))
    elif set(a.words) & set(b.words):
        evidence.append((0.8, "one family name in common"))
    else:
        evidence.append((-4.0, "different family names"))
    evidence += _given(a.given, b.given)
    if a.salutation and b.salutation and a.salutation != b.salutation:
        evidence.append((-1.5, "different salutations"))
    if a.mails and b.mails:
        if a.mails == b.mails:
            role = a.mails[0].split("@")[0] in _ROLE_BOXES
            evidence.append((0.5, "same shared mailbox") if role else (4.0, "same e-mail"))
        else:
            evidence.append((-0.3, "different e-mails"))
    if a.phones and b.phones:
        common = set(a.phones) & set(b.phones)
        if common:
            evidence.append((2.0, f"same phone {min(common)}"))
    return _scored(evidence, rule)


def _given(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[float, str]]:
    if not a or not b:
        return []
    if a == b or "".join(a) == "".join(b):
        return [(2.0, "same given name")] if len(a[0]) > 1 else [(0.8, "same initial")]
    one, two = a[0], b[0]
    if (len(one) == 1 or len(two) == 1) and one[0] == two[0]:
        return [(0.8, "same initial")]
    if one == two or one in b or two in a:
        return [(1.2, "one given name in common")]
    if OSA.normalized_similarity(one, two) >= 0.75:
        return [(1.0, "similar given name")]
    if min(len(one), len(two)) >= 3 and (one.startswith(two) or two.startswith(one)):
        return [(0.8, "short form of the given name")]
    return [(-3.5, "different given names")]


def _items(a: Features, b: Features, rarity: Rarity, rule: MatchRule) -> Score:
    name = likeness(a.words, b.words, rarity)
    evidence: list[tuple[float, str]] = [(-3.0, "")]
    if name.ratio >= _SURE:
        evidence.append((2.0, "same name"))
    elif name.ratio >= 0.6:
        evidence.append(((name.ratio - 0.6) * 4, f"similar name ({name.ratio:.0%})"))
    elif a.words and b.words:
        evidence.append((-2.0, "different names"))
    codes = _codes(a.codes, b.codes)
    evidence += codes
    proven = any(weight >= 3 for weight, _ in codes)
    high = 1.0 if proven else rule.couple - 0.01
    low = rule.review if name.ratio >= _SURE and not any(w < 0 for w, _ in codes) else 0.0
    return _scored(evidence, rule, low=low, high=high)
