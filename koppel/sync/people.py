"""People: business partners who are persons, and contacts within a partner.

A partner's weights follow Fellegi and Sunter: the log odds of an agreement are the natural
logarithm of how much likelier it is within one person's records than between two people's, held
down where agreements come together (a family shares its name, address and phone). A name counts by
how rare its words are; an identifier or a date of birth with one slip is strong, and decides
nothing alone; the order of given and family name does not matter, for forms get it wrong.
"""

from __future__ import annotations

from rapidfuzz.distance import OSA

from koppel.sync import compare
from koppel.sync.evidence import Evidence, Judged
from koppel.sync.features import Features
from koppel.sync.likeness import NameLikeness, Rarity, likeness
from koppel.sync.names import listed
from koppel.sync.rule import MatchRule

_PRIOR = -5.0
_NEAR = 0.6
_SURE = 0.97
_ALIKE = 0.6
_TELLING = 1.0


def judge_persons(a: Features, b: Features, rarity: Rarity, rule: MatchRule) -> Judged:
    """Two partners who are persons."""
    name = likeness(a.words, b.words, rarity)
    born = compare.birthdays(a.birth, b.birth)
    identity = compare.vat_ids(a, b) + compare.codes(a.codes, b.codes, _NEAR)
    contacts = compare.channels(a, b, rarity)
    place = compare.places(a.places, b.places)
    named = _person_name(name, a, b)
    evidence = (Evidence(_PRIOR), *named, *born, *identity, *contacts, *place)
    low, high = _person_bounds(a, b, name, born + identity, contacts + place, rule)
    # What keeps two people apart here, no answer lifts.
    return Judged(evidence, low, high, firm=True)


def _person_name(name: NameLikeness, a: Features, b: Features) -> list[Evidence]:
    if not a.words or not b.words:
        return []
    told = 1.2 + 2.4 * min(2.0, name.told)
    if name.ratio >= _SURE:
        return [Evidence(told, "same name")]
    if name.ratio >= _ALIKE and not name.clash:
        return [Evidence(told * (name.ratio - 0.3) / 0.7, "similar name", f"({name.ratio:.0%})")]
    if name.told >= 0.25:
        return [Evidence(0.6 * name.told - 0.8, "one name in common")]
    return [Evidence(-3.0, "different names")]


def _person_bounds(
    a: Features,
    b: Features,
    name: NameLikeness,
    identity: list[Evidence],
    around: list[Evidence],
    rule: MatchRule,
) -> tuple[float, float]:
    """Never by a name alone; never against two identifiers; a new name needs two witnesses."""
    against = sum(one.points < 0 for one in identity)
    strongly = any(one.points <= -3 for one in identity)
    proven = sum(one.points >= 2 for one in identity)
    witnesses = proven + sum(one.points >= 1 for one in around)
    same = name.ratio >= _ALIKE and not name.clash
    needed = 1 if same else 2
    low, high = 0.0, 1.0
    if strongly or against > 1 or (against and not proven) or witnesses < needed:
        high = rule.couple - 0.01
    if not same and a.words and b.words and not proven:
        # A family: one surname, one address, one phone.
        high = rule.review - 0.01
    near = any(one.points > 0 for one in around + identity)
    if name.ratio >= _SURE and name.told >= _TELLING and near and not (strongly or against):
        low = rule.review
    return min(low, high), high


_ROLE_BOXES = listed(
    "info office kontakt contact mail post vertrieb verkauf sales einkauf service support "
    "zentrale buero buro accueil achats biuro myynti salg firma hello admin buchhaltung"
)


def judge_contacts(a: Features, b: Features, rule: MatchRule) -> Judged:
    """Two people who work for a partner; for the same one, where the rule says `within`."""
    evidence = [Evidence(-1.5 if rule.within else -4.5)]
    family = OSA.normalized_similarity("".join(a.words), "".join(b.words))
    if family == 1.0:
        evidence.append(Evidence(2.2, "same family name"))
    elif family >= 0.75:
        evidence.append(Evidence(1.0, "similar family name"))
    elif set(a.words) & set(b.words):
        evidence.append(Evidence(0.8, "one family name in common"))
    elif _turned(a, b):
        evidence.append(Evidence(1.8, "given and family name the other way round"))
    else:
        evidence.append(Evidence(-4.0, "different family names"))
    if evidence[-1].kind != "given and family name the other way round":
        evidence += _given(a.given, b.given)
    if a.salutation and b.salutation and a.salutation != b.salutation:
        evidence.append(Evidence(-1.5, "different salutations"))
    evidence += compare.birthdays(a.birth, b.birth)
    if a.mails and b.mails:
        if a.mails == b.mails:
            role = a.mails[0].split("@")[0] in _ROLE_BOXES
            same = (0.5, "same shared mailbox") if role else (4.0, "same e-mail")
            evidence.append(Evidence(*same))
        else:
            evidence.append(Evidence(-0.3, "different e-mails"))
    if a.phones and b.phones:
        common = set(a.phones) & set(b.phones)
        if common:
            evidence.append(Evidence(2.0, "same phone", min(common)))
    return Judged(tuple(evidence))


def _turned(a: Features, b: Features) -> bool:
    """Given and family name in each other's field."""
    return bool(a.given and b.given) and a.words == b.given and b.words == a.given


def _given(a: tuple[str, ...], b: tuple[str, ...]) -> list[Evidence]:
    if not a or not b:
        return []
    if a == b or "".join(a) == "".join(b):
        same = (2.0, "same given name") if len(a[0]) > 1 else (0.8, "same initial")
        return [Evidence(*same)]
    one, two = a[0], b[0]
    if (len(one) == 1 or len(two) == 1) and one[0] == two[0]:
        return [Evidence(0.8, "same initial")]
    if one == two or one in b or two in a:
        return [Evidence(1.2, "one given name in common")]
    if OSA.normalized_similarity(one, two) >= 0.75:
        return [Evidence(1.0, "similar given name")]
    if min(len(one), len(two)) >= 3 and (one.startswith(two) or two.startswith(one)):
        return [Evidence(0.8, "short form of the given name")]
    return [Evidence(-3.5, "different given names")]
