"""Stop four for records without a coupling: match them, within the plan and against the coupled.

A strong and clear match is coupled, a weak or many-sided one goes to the review list, and a record
that looks like one that is coupled already is never created a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from koppel import typed
from koppel.engine.lessons import taught
from koppel.engine.lines import Line
from koppel.engine.returning import Returned
from koppel.store import Store
from koppel.store.pairs import Scored
from koppel.sync.match import Features, Pairing, Rarity, Score, pair_up, rarity_of, score
from koppel.sync.rule import SIDES, Side

_decode = typed.msgpack_decoder(Features).decode
_KEPT = 5000
"""Features of a side that are kept decoded."""
_WORDS = 50_000
"""Words that are counted at a time; beyond that, the rarest ones are forgotten."""

Taken = tuple[str, str, float, tuple[str, ...]]


def pair(store: Store, line: Line, *, again: bool = False, back: Sequence[Returned] = ()) -> bool:
    """Match all fresh records of an entity; the pairs are in `store.pairs` afterwards.

    `again`: all uncoupled ones, those too that a plan has dealt with already. `back`: what is known
    of records that came back. False where there is nothing to be matched or created, and
    `store.pairs` was left alone.
    """
    pairs = store.pairs
    answers = store.inbox.answers(line.entity)
    fresh = again or store.replica.any_fresh(line.entity)
    if not fresh and "same" not in answers.values():
        return False
    pairs.begin()
    if fresh:
        pairs.find_candidates(line.entity, again=again)
        compare = _Comparer(store, line)
        known = {(one.crm_id, one.erp_id) for one in back}
        for chunk in pairs.candidates():
            _judge(store, answers, known, compare.scores(chunk))
    for one in back:
        pairs.add_pairs(one.kind, [(one.crm_id, one.erp_id, 1.0, one.reasons)])
    _answered(store, line, answers, back)
    pairs.settle_scores()
    for alone in pairs.alone():
        _keep(store, pair_up(_scores(alone)))
    for rivals in pairs.rivals():
        _keep(store, pair_up(_scores(rivals)))
    return True


def _keep(store: Store, pairing: Pairing) -> None:
    store.pairs.add_pairs(
        "couple", [(p.left, p.right, p.score.value, p.score.reasons) for p in pairing.couples]
    )
    store.pairs.add_pairs(
        "review",
        [(p.left, p.right, p.score.value, (*p.score.reasons, p.why)) for p in pairing.review],
    )


def _scores(rows: list[Scored]) -> Iterator[tuple[str, str, Score]]:
    for crm, erp, value, band, reasons in rows:
        yield crm, erp, Score(value, band, reasons)  # type: ignore[arg-type]


def _judge(
    store: Store,
    answers: Mapping[tuple[str, str], str],
    known: Collection[tuple[str, str]],
    compared: Iterator[tuple[str, str, Score, bool]],
) -> None:
    """Score candidates: those that may be coupled, and those of which one is coupled already.

    Not the `known` ones, of which is told who they are.
    """
    scored: list[Scored] = []
    review: list[Taken] = []
    for crm_id, erp_id, found, taken in compared:
        answer = answers.get((crm_id, erp_id))
        if answer == "different" or found.band == "different" or (crm_id, erp_id) in known:
            continue
        if taken:
            reasons = (*found.reasons, "one of the two is coupled to another record already")
            review.append((crm_id, erp_id, found.value, reasons))
        elif answer != "same":
            scored.append((crm_id, erp_id, found.value, found.band, found.reasons))
    store.pairs.add_scores(scored)
    store.pairs.add_pairs("review", review)


def _answered(
    store: Store,
    line: Line,
    answers: Mapping[tuple[str, str], str],
    back: Iterable[Returned],
) -> None:
    """Pairs that a person called the same, as far as neither is coupled (again) yet."""
    wanted = [ids for ids, answer in answers.items() if answer == "same"]
    free = {
        side: _free(store, line.entity, side, [ids[SIDES.index(side)] for ids in wanted])
        for side in SIDES
    }
    for one in back:
        if one.kind == "couple":
            free["crm"].discard(one.crm_id)
            free["erp"].discard(one.erp_id)
    reasons = ("a person said that they are the same",)
    for crm_id, erp_id in wanted:
        if crm_id in free["crm"] and erp_id in free["erp"]:
            store.pairs.add_pairs("couple", [(crm_id, erp_id, 1.0, reasons)])
            free["crm"].discard(crm_id)
            free["erp"].discard(erp_id)


def _free(store: Store, entity: str, side: Side, records: Sequence[str]) -> set[str]:
    """Those of these records that are not coupled, or are left alone as their pair is over."""
    known = store.replica.get(entity, side, records)
    free = {record for record, row in known.items() if not row.coupled}
    # One that was made by a run was never read as a new one.
    states = store.couplings.versions(entity, side, set(records) - free)
    parted = [record for record, (_, _, state) in states.items() if state == "parted"]
    alone = store.couplings.by_record(entity, side, parted)
    return free | {record for record, row in alone.items() if row.left_alone}


class _Comparer:
    """Compares candidates, with what is rare among all records and what answers have taught."""

    def __init__(self, store: Store, line: Line) -> None:
        self._rule = line.rule.match
        self._crm = _Traits(store, line.entity, "crm")
        self._erp = _Traits(store, line.entity, "erp")
        self._rarity = rarity_in(store, line)
        self._learned = taught(store, line.entity, line.rule.match, lambda: self._rarity)

    def scores(self, chunk: list[tuple[str, str]]) -> Iterator[tuple[str, str, Score, bool]]:
        """Each pair with its score, and whether one of the two is coupled already."""
        crm = self._crm.of({crm_id for crm_id, _ in chunk})
        erp = self._erp.of({erp_id for _, erp_id in chunk})
        for crm_id, erp_id in chunk:
            (one, crm_taken), (two, erp_taken) = crm[crm_id], erp[erp_id]
            found = score(one, two, rarity=self._rarity, rule=self._rule, learned=self._learned)
            yield crm_id, erp_id, found, crm_taken or erp_taken


class _Traits:
    """Features of one side by record, kept while they are likely to be asked for again."""

    def __init__(self, store: Store, entity: str, side: Side) -> None:
        self._store = store
        self._entity = entity
        self._side = side
        self._kept: dict[str, tuple[Features, bool]] = {}

    def of(self, records: set[str]) -> Mapping[str, tuple[Features, bool]]:
        """The features of these records, each with whether the record is coupled."""
        if len(self._kept) > _KEPT:
            self._kept = {}
        read = self._store.replica.traits(
            self._entity, self._side, records - self._kept.keys()
        ).items()
        self._kept.update({record: (_decode(raw), taken) for record, (raw, taken) in read})
        return self._kept


def rarity_in(store: Store, line: Line) -> Rarity:
    """How rare each word and domain is among all records; counted anew when many came or went."""
    total = sum(store.replica.count(line.entity, side) for side in SIDES)
    if line.rarity is None or abs(total - line.rarity[0]) > 0.05 * line.rarity[0]:
        line.rarity = (total, rarity_of(_counted(store.replica.features(line.entity)), total))
    return line.rarity[1]


def _counted(encoded: Iterable[bytes], most: int = _WORDS) -> Counter[str]:
    """In how many records each word and each domain is.

    Exact up to `most` different ones. Beyond, the rarest are forgotten, down to half of that, so
    that forgetting is seldom: a word may then count rarer than it is, and memory stays flat.
    """
    counts: Counter[str] = Counter()
    for raw in encoded:
        traits = _decode(raw)
        counts.update(set(traits.words))
        counts.update([f"@{domain}" for domain in traits.domains])
        seldom = 1
        while len(counts) > (most if seldom == 1 else most // 2):
            counts = Counter({word: many for word, many in counts.items() if many > seldom})
            seldom += 1
    return counts
