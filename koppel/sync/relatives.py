"""Records of one side that belong together: one company twice, several accounts, groups.

Pure. What is found is reported and never coupled: coupling is one to one. Which record of several
is coupled, and whether the others are merged, people decide in their own system.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from koppel.sync.evidence import Judged, weigh
from koppel.sync.features import Features
from koppel.sync.likeness import Rarity
from koppel.sync.rule import MatchRule
from koppel.sync.scoring import judge

Kin = Literal["twice", "accounts", "group"]
"""`twice`: the same company, person or product again. `accounts`: one, under several numbers, each
with an address or a name of its own (bill-to and ship-to, branches). `group`: companies of one
group, which are several."""

KINS: tuple[Kin, ...] = ("twice", "accounts", "group")

SENTENCES: Mapping[Kin, str] = {
    "twice": "It is there more than once; merge them in their own system.",
    "accounts": (
        "Several customer numbers of one account, such as bill-to and ship-to: one of them is "
        "coupled, the others stay as they are."
    ),
    "group": "Members of one group of companies: each is coupled for itself.",
}

_SHARED = frozenset({"same domain", "same phone", "same address", "same VAT id"})
_APART = frozenset({"different VAT ids", "VAT ids of different countries"})


class Family(Struct, frozen=True, kw_only=True):
    """Records of one side that belong together, sorted, with what speaks for it in words."""

    kin: Kin
    records: tuple[str, ...]
    reasons: tuple[str, ...]
    value: float
    """How sure the surest two of them are, 0..1."""

    @property
    def sentence(self) -> str:
        """What that means, in words."""
        return SENTENCES[self.kin]


class _Link(Struct, frozen=True):
    one: str
    two: str
    kin: Kin
    reasons: tuple[str, ...]
    value: float


def relatives(
    records: Mapping[str, Features],
    candidates: Callable[[Features], Iterable[str]],
    *,
    rarity: Rarity,
    rule: MatchRule,
) -> tuple[Family, ...]:
    """All families of one side, the surest first. `candidates`: ids worth comparing with."""
    links: list[_Link] = []
    for one, record in records.items():
        for two in candidates(record):
            if one < two:
                link = _link(one, record, two, records[two], rarity, rule)
                if link is not None:
                    links.append(link)
    found: list[Family] = []
    same = _families(links, ("twice", "accounts"))
    home = {record: family.records[0] for family in same for record in family.records}
    found += same
    # A group is one of companies, whatever number of records each of them has.
    group: list[_Link] = []
    for link in links:
        first, second = sorted((home.get(link.one, link.one), home.get(link.two, link.two)))
        if link.kin == "group" and first != second:
            group.append(_Link(first, second, link.kin, link.reasons, link.value))
    found += _families(group, ("group",))
    return tuple(sorted(found, key=lambda family: (-family.value, family.records)))


def _link(
    one: str, a: Features, two: str, b: Features, rarity: Rarity, rule: MatchRule
) -> _Link | None:
    judged = judge(a, b, rarity=rarity, rule=rule)
    scored = weigh(judged, rule)
    kinds = {evidence.kind for evidence in judged.evidence}
    kin: Kin | None = None
    if scored.band == "couple":
        kin = "accounts" if _sites(a, b) else "twice"
    elif "same VAT id" in kinds and not a.person:
        kin = "accounts"
    elif _group(judged, kinds):
        kin = "group"
    return _Link(one, two, kin, scored.reasons, scored.value) if kin else None


def _sites(a: Features, b: Features) -> bool:
    """Has each an address of its own, on purpose: both are known in full, and none is the same?"""
    one, two = _full(a), _full(b)
    return bool(one and two) and not one & two


def _full(record: Features) -> set[tuple[str, str, str]]:
    return {
        (place.postal_code, place.street, place.house)
        for place in record.places
        if place.street and place.postal_code
    }


def _group(judged: Judged, kinds: set[str]) -> bool:
    """Names that differ as members of a group do, or one name with two VAT ids; and a bond."""
    bonds = kinds & _SHARED
    alike = kinds & {"same name", "similar name"}
    if not alike or not bonds:
        return False
    return bool("names of two members of a group" in kinds or kinds & _APART)


def _families(links: list[_Link], kins: tuple[Kin, ...]) -> list[Family]:
    """What hangs together; one link of several accounts makes all of it an account's."""
    wanted = [link for link in links if link.kin in kins]
    parent: dict[str, str] = {}

    def root(record: str) -> str:
        while parent.setdefault(record, record) != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    for link in wanted:
        first, second = sorted((root(link.one), root(link.two)))
        parent[second] = first
    members: defaultdict[str, set[str]] = defaultdict(set)
    ties: defaultdict[str, list[_Link]] = defaultdict(list)
    for link in wanted:
        members[root(link.one)] |= {link.one, link.two}
        ties[root(link.one)].append(link)
    found = []
    for top, records in members.items():
        best = max(ties[top], key=lambda link: (link.value, link.one, link.two))
        kin = kins[0] if all(link.kin == kins[0] for link in ties[top]) else kins[-1]
        found.append(
            Family(kin=kin, records=tuple(sorted(records)), reasons=best.reasons, value=best.value)
        )
    return found
