"""What people answer in the review teaches the next run's matching, and can be forgotten."""

from __future__ import annotations

from typing import Any

from koppel.engine import hand, lessons
from koppel.engine.pairing import rarity_in
from koppel.sync.learning import weights
from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.pair import PairOfSystems

TRADES = "Abaca Bolero Cembalo Dolmen Estragon Fagott Gondel Harfe Indigo Jasmin Kobalt Lavendel"


def moved(pair: PairOfSystems, words: list[str]) -> None:
    """Companies that are known by name and domain, at another address with another phone."""
    for number, (word, partner) in enumerate(zip(words, partners(len(words)), strict=True)):
        shared = {"name": f"{word}werke Zwirbel{word.lower()} GmbH", "vat_id": None}
        crm: dict[str, Any] = {
            **crm_fields(partner),
            **shared,
            "billing_city": f"Neustadt{number}",
            "billing_postal_code": f"{20000 + number}",
            "billing_street": "Hafenweg 1",
            "phone": f"+4940555{number:04}",
        }
        pair.crm_human.create("organisation", crm)
        erp = erp_fields(partner)
        pair.erp_human.create("party", {**erp, "name": shared["name"], "identifiers": []})


def open_reviews(pair: PairOfSystems) -> dict[str, int]:
    return {review.crm_id: review.id for review in pair.store.inbox.reviews(entity="partner")}


def couples(pair: PairOfSystems) -> int:
    return pair.store.couplings.count("partner", "active")


def test_answers_couple_what_is_alike_in_the_next_run_and_are_forgotten_on_demand(
    pair: PairOfSystems,
) -> None:
    words = TRADES.split()
    moved(pair, words)
    pair.sync()
    waiting = open_reviews(pair)
    assert len(waiting) == len(words)
    assert couples(pair) == 0
    answered = list(waiting.values())[:-2]
    for number in answered:
        hand.answer(pair.store, number, "same", by="eva")
    pair.sync()
    assert couples(pair) == len(words)
    line = next(line for line in pair.engine().lines.all() if line.entity == "partner")
    taught = lessons.lessons(
        pair.store, "partner", line.rule.match, lambda: rarity_in(pair.store, line)
    )
    told = {one.kind: one for one in weights(taught)}
    assert told["same domain"].same == len(answered)
    assert told["same domain"].learned > 0
    assert lessons.forget(pair.store, "partner", by="eva") == len(answered)
    assert not lessons.taught(
        pair.store, "partner", line.rule.match, lambda: rarity_in(pair.store, line)
    )
    assert lessons.remember(pair.store, "partner", by="eva") == len(answered)
    assert len(
        lessons.lessons(pair.store, "partner", line.rule.match, lambda: rarity_in(pair.store, line))
    ) == len(answered)


def test_a_duplicate_that_was_refused_teaches_nothing(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    for _ in range(2):
        pair.crm_human.create("organisation", crm_fields(partner))
    pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    first, second = open_reviews(pair).values()
    hand.answer(pair.store, first, "same", by="eva")
    hand.answer(pair.store, second, "different", by="eva")
    pair.sync()
    line = next(line for line in pair.engine().lines.all() if line.entity == "partner")
    found = lessons.lessons(
        pair.store, "partner", line.rule.match, lambda: rarity_in(pair.store, line)
    )
    assert [lesson.same for lesson in found] == [True]
