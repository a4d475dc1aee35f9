"""What people answered in the review, as lessons for the weights of matching.

An answered pair is looked at once, with its records as they are then; what spoke for and against it
is kept beside the answer. So the weights can be shown and computed anew at any time, and answers
can be left out again.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from koppel import typed
from koppel.store import Store
from koppel.sync.evidence import Evidence, Learned
from koppel.sync.features import Features
from koppel.sync.learning import Lesson, learned
from koppel.sync.likeness import Rarity
from koppel.sync.rule import SIDES, MatchRule
from koppel.sync.scoring import judge

NO_LESSON = [("", 0.0)]
_decode = typed.msgpack_decoder(Features).decode


def lessons(
    store: Store, entity: str, rule: MatchRule, rarity: Callable[[], Rarity]
) -> list[Lesson]:
    """All answers that count, the newest ones looked at. `rarity` is asked for only if needed."""
    _look_at(store, entity, rule, rarity)
    return [
        Lesson(tuple(Evidence(points, kind) for kind, points in evidence), same)
        for evidence, same in store.inbox.lessons(entity)
    ]


def taught(store: Store, entity: str, rule: MatchRule, rarity: Callable[[], Rarity]) -> Learned:
    """What the answers add to the weights and take from them."""
    return learned(lessons(store, entity, rule, rarity))


def forget(store: Store, entity: str, *, by: str) -> int:
    """Let the answers given so far teach nothing; the pairs stay answered. How many that were."""
    return _let(store, entity, "match forget", by, teach=False)


def remember(store: Store, entity: str, *, by: str) -> int:
    """Let forgotten answers count again. How many that were."""
    return _let(store, entity, "match remember", by, teach=True)


def _let(store: Store, entity: str, what: str, by: str, *, teach: bool) -> int:
    with transaction.atomic():
        count = store.inbox.let_teach(entity, teach)
        if count:
            store.replica.refresh_reviewed(entity)
            store.inbox.log(by, what, entity, answers=count)
    return count


def _look_at(store: Store, entity: str, rule: MatchRule, rarity: Callable[[], Rarity]) -> None:
    """Keep what spoke for and against each pair that was answered since."""
    fresh = store.inbox.unseen_answers(entity)
    if not fresh:
        return
    traits = [
        store.replica.traits(entity, side, [ids[number] for ids, _ in fresh.values()])
        for number, side in enumerate(SIDES)
    ]
    found: dict[int, list[tuple[str, float]]] = {}
    for row, ((crm_id, erp_id), same) in fresh.items():
        if crm_id in traits[0] and erp_id in traits[1]:
            (one, crm_taken), (two, erp_taken) = traits[0][crm_id], traits[1][erp_id]
            if not same and (crm_taken or erp_taken):
                # "Different" of a record that has its partner: a duplicate, which is alike enough.
                found[row] = NO_LESSON
                continue
            judged = judge(_decode(one), _decode(two), rarity=rarity(), rule=rule)
            found[row] = [(each.kind, round(each.points, 3)) for each in judged.evidence]
    store.inbox.keep_evidence(found)
