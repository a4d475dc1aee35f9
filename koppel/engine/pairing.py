"""Stop four for records without a coupling: match them, within the plan and against the coupled.

A strong and clear match is coupled, a weak or many-sided one goes to the review list, and a record
that looks like one that is coupled already is never created a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from koppel.engine.lines import Line
from koppel.store import Store
from koppel.sync.match import Features, Rarity, Score, pair_up, rarity_of, score
from koppel.sync.rule import SIDES, Side

_decode = msgspec.msgpack.Decoder(Features).decode
_CHUNK = 2000
_KEPT = 100_000


@dataclass
class Pairs:
    """`couple`: CRM id -> (ERP id, reasons); `blocked`: side -> records not to be created."""

    couple: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    review: list[tuple[str, str, float, tuple[str, ...]]] = field(default_factory=list)
    blocked: dict[Side, set[str]] = field(default_factory=lambda: {"crm": set(), "erp": set()})


def pair(store: Store, line: Line) -> Pairs:
    """Match all fresh records of an entity."""
    answers = store.inbox.answers(line.entity)
    result = Pairs()
    scored: list[tuple[str, str, Score]] = []
    for crm_id, erp_id, found, taken in _scores(store, line):
        answer = answers.get((crm_id, erp_id))
        if answer == "different" or found.band == "different":
            continue
        if taken:
            reasons = (*found.reasons, "one of the two is coupled to another record already")
            result.review.append((crm_id, erp_id, found.value, reasons))
        elif answer != "same":
            scored.append((crm_id, erp_id, found))
    _answered(store, line, answers, result)
    pairing = pair_up(
        (crm, erp, found)
        for crm, erp, found in scored
        if crm not in result.couple and erp not in {e for e, _ in result.couple.values()}
    )
    for sure in pairing.couples:
        result.couple[sure.left] = (sure.right, sure.score.reasons)
    for weak in pairing.review:
        reasons = (*weak.score.reasons, weak.why)
        result.review.append((weak.left, weak.right, weak.score.value, reasons))
    for crm_id, erp_id, _, _ in result.review:
        result.blocked["crm"].add(crm_id)
        result.blocked["erp"].add(erp_id)
    return result


def _answered(
    store: Store, line: Line, answers: Mapping[tuple[str, str], str], result: Pairs
) -> None:
    """Pairs that a person called the same, as far as neither is coupled yet."""
    wanted = [ids for ids, answer in answers.items() if answer == "same"]
    free = {
        side: {
            record
            for record, row in store.replica.get(
                line.entity, side, [ids[SIDES.index(side)] for ids in wanted]
            ).items()
            if not row.coupled
        }
        for side in SIDES
    }
    taken: set[str] = set()
    for crm_id, erp_id in wanted:
        if crm_id in free["crm"] and erp_id in free["erp"] and erp_id not in taken:
            result.couple[crm_id] = (erp_id, ("a person said that they are the same",))
            taken.add(erp_id)


def _scores(store: Store, line: Line) -> Iterator[tuple[str, str, Score, bool]]:
    """Each candidate pair with its score, and whether one of the two is coupled already."""
    pairs = store.replica.candidates(line.entity)
    traits = {side: _Traits(store, line.entity, side) for side in SIDES}
    rarity: Rarity | None = None
    while chunk := list(islice(pairs, _CHUNK)):
        rarity = rarity or _rarity(store, line)
        crm = traits["crm"].of({crm_id for crm_id, _ in chunk})
        erp = traits["erp"].of({erp_id for _, erp_id in chunk})
        for crm_id, erp_id in chunk:
            (one, crm_taken), (two, erp_taken) = crm[crm_id], erp[erp_id]
            found = score(one, two, rarity=rarity, rule=line.rule.match)
            yield crm_id, erp_id, found, crm_taken or erp_taken


class _Traits:
    """Features of one side by record, kept while they are likely to be asked for again."""

    def __init__(self, store: Store, entity: str, side: Side) -> None:
        self._store = store
        self._entity = entity
        self._side = side
        self._kept: dict[str, tuple[Features, bool]] = {}

    def of(self, records: set[str]) -> dict[str, tuple[Features, bool]]:
        if len(self._kept) > _KEPT:
            self._kept.clear()
        missing = records - self._kept.keys()
        for record, (raw, taken) in self._store.replica.traits(
            self._entity, self._side, missing
        ).items():
            self._kept[record] = (_decode(raw), taken)
        return self._kept


def _rarity(store: Store, line: Line) -> Rarity:
    """How rare each word and domain is among all records; counted anew when many came or went."""
    total = sum(store.replica.count(line.entity, side) for side in SIDES)
    if line.rarity is None or abs(total - line.rarity[0]) > 0.05 * line.rarity[0]:
        counts: Counter[str] = Counter()
        for raw in store.replica.features(line.entity):
            traits = _decode(raw)
            counts.update(set(traits.words))
            counts.update(f"@{domain}" for domain in traits.domains)
        line.rarity = (total, rarity_of(counts, total))
    return line.rarity[1]
