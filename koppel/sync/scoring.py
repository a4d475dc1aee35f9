"""How much speaks for two records being the same: evidence weighed, with its reasons in words.

Three rules stand above the points: a company is never coupled by its name alone, different valid
VAT ids are never coupled, and a matching name with hardly anything against it, or the same phone,
domain and address, are at least worth a person's look. People (`people`) and products (`items`)
have evidence and rules of their own.
"""

from __future__ import annotations

from koppel.sync import compare
from koppel.sync.evidence import Evidence, Judged, Learned, Score, weigh
from koppel.sync.features import Features
from koppel.sync.items import judge_items
from koppel.sync.likeness import NameLikeness, Rarity, likeness
from koppel.sync.names import GROUP_WORDS, forms_clash
from koppel.sync.people import judge_contacts, judge_persons
from koppel.sync.rule import MatchRule

__all__ = ["judge", "score"]


def score(
    a: Features,
    b: Features,
    *,
    rarity: Rarity,
    rule: MatchRule,
    learned: Learned | None = None,
) -> Score:
    """Compare two records of one entity, in either order."""
    return weigh(judge(a, b, rarity=rarity, rule=rule), rule, learned)


def judge(a: Features, b: Features, *, rarity: Rarity, rule: MatchRule) -> Judged:
    """What speaks for and against, before anything that answers have taught."""
    if a.entity == "contact":
        return judge_contacts(a, b, rule)
    if a.entity != "partner":
        return judge_items(a, b, rarity, rule)
    if a.person and b.person:
        return judge_persons(a, b, rarity, rule)
    return _companies(a, b, rarity, rule)


_PRIOR = -3.2
_SURE = 0.97
_TELLING = 0.5
_RARE = 1.2
_ALIKE = 0.92

_NOTHING = Judged((Evidence(-7.6, "nothing but a word in common"),))


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
        and not compare.meet(a.phones, b.phones)
        and not compare.meet(a.domains, b.domains)
        and not compare.meet(a.codes, b.codes)
        and not compare.meet(a.mails, b.mails)
    )


def _companies(a: Features, b: Features, rarity: Rarity, rule: MatchRule) -> Judged:
    if _hopeless(a, b):
        return _NOTHING
    name = likeness(*_without_towns(a, b), rarity)
    identity = compare.vat_ids(a, b) + compare.codes(a.codes, b.codes)
    contacts = compare.channels(a, b, rarity)
    place = compare.places(a.places, b.places)
    evidence = [Evidence(_PRIOR), *_name_evidence(name, a, b), *identity, *contacts, *place]
    if name.ratio >= _SURE and _moved(contacts, place):
        evidence.append(Evidence(0.7))
    low, high = _bounds(a, b, name, identity, contacts, place, rule)
    return Judged(tuple(evidence), low, high, _firm(name, identity, contacts + place))


def _firm(name: NameLikeness, identity: list[Evidence], around: list[Evidence]) -> bool:
    """Is the upper bound one that no answer may lift?"""
    contradicted = any(one.points < 0 for one in identity)
    witnessed = any(one.points >= 1.5 for one in around)
    return contradicted or not witnessed or name.clash or name.group or name.ratio < 0.75


def _moved(contacts: list[Evidence], place: list[Evidence]) -> bool:
    """Another town, but the phone or domain that nobody else has went along."""
    return any(-2 < one.points < 0 for one in place) and any(one.points >= 2.2 for one in contacts)


def _bounds(
    a: Features,
    b: Features,
    name: NameLikeness,
    identity: list[Evidence],
    contacts: list[Evidence],
    place: list[Evidence],
    rule: MatchRule,
) -> tuple[float, float]:
    """What the points may come to at least and at most: the rules that stand above them."""
    against = any(one.points <= -3 for one in identity)
    proven = any(one.points >= 3 for one in identity)
    witnesses = sum(one.points >= 1.5 for one in contacts + place)
    low, high = 0.0, 1.0
    apart = name.clash or name.group
    enough = 0.6 if witnesses >= 3 else 0.75
    if not proven and (witnesses < 2 or name.ratio < enough or apart):
        same_name = name.ratio >= _SURE and not name.clash
        near = any(one.points > 0 for one in place)
        nothing_against = not any(one.points <= -1 for one in contacts + place + identity)
        # A channel that nobody else has, under a name that tells: as good as a second witness.
        own = name.told >= _TELLING and any(one.points >= 2.2 for one in contacts)
        alike = name.ratio >= _ALIKE and not apart and own
        clear = same_name and witnesses == 1 and (near or own)
        # Moved to another town, but the domain is the same, and so is the exchange of the phone.
        reached = alike and sum(one.points for one in contacts) >= 3.0 and not against
        if not ((clear or alike) and nothing_against) and not reached:
            high = rule.couple - 0.01
        if apart:
            high = rule.review - 0.01 if _grouped(a, b) else (rule.couple + rule.review) / 2
    if against or (proven and name.ratio < 0.35):
        high = min(high, rule.couple - 0.01)
    named = name.ratio >= 0.9 and name.told >= _TELLING and not (against or name.clash)
    if named and _worth_asking(a, b, name, identity + contacts + place):
        low = rule.review
    # Under another name altogether, yet with phone and domain of its own, and where it was.
    renamed = sum(one.points >= 1.5 for one in contacts) >= 2 and any(
        one.points > 0 for one in place
    )
    if ((witnesses >= 3 and name.ratio >= 0.4) or (renamed and not name.group)) and not against:
        low = rule.review
    return min(low, high), high


_FOREIGN = frozenset({"different domains", "other country"})


def _worth_asking(a: Features, b: Features, name: NameLikeness, found: list[Evidence]) -> bool:
    """Is a matching name worth a person's look? With two things against it, it is a namesake.

    Unless hardly anybody has such a name; a namesake in another country or with a domain of its own
    is one in any case.
    """
    if a.person != b.person or any(one.kind in _FOREIGN for one in found):
        return False
    if any(one.points >= 1 for one in found):
        return True
    against = sum(one.points < 0 for one in found) + forms_clash(a.form, b.form)
    return against < 2 or (against == 2 and name.told >= _RARE)


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


def _name_evidence(name: NameLikeness, a: Features, b: Features) -> list[Evidence]:
    ratio = name.ratio
    if ratio >= _SURE:
        found = [Evidence(1.2 + 2.0 * min(1.0, name.told / 0.8), "same name")]
    elif ratio >= 0.6:
        likely = (ratio - 0.6) / (_SURE - 0.6) * (1.2 + 2.0 * min(1.0, name.told / 0.8))
        found = [Evidence(likely, "similar name", f"({ratio:.0%})")]
    else:
        found = [Evidence(-4.0 * (1.0 - ratio / 0.6), "different names")]
    if name.clash:
        found.append(Evidence(-3.0, "each name has a word of its own"))
    elif name.group:
        found.append(Evidence(-2.0, "names of two members of a group"))
    if a.form and a.form == b.form:
        found.append(Evidence(0.4))
    elif forms_clash(a.form, b.form):
        found.append(Evidence(-0.8, "different legal forms"))
    elif a.form and b.form:
        found.append(Evidence(-0.2))
    if a.person != b.person:
        found.append(Evidence(-1.0, "a person and a company"))
    return found
