"""What answers teach: a little, in the right direction, within bounds."""

from __future__ import annotations

import pytest

from koppel.sync.evidence import CONFIRMED, TOTAL, Evidence, Judged, taught, weigh
from koppel.sync.learning import BOUND, LEAST, Lesson, learned, weights
from koppel.sync.rule import MatchRule

RULE = MatchRule()
PRIOR = Evidence(-3.2)
NAME = Evidence(3.0, "same name")
TOWN = Evidence(-1.2, "other town")
DOMAIN = Evidence(2.6, "same domain", "mueller.de")
VAT = Evidence(-8.0, "different VAT ids")


def lesson(*evidence: Evidence, same: bool) -> Lesson:
    return Lesson((PRIOR, *evidence), same)


def test_without_answers_nothing_is_learned() -> None:
    assert learned([]) == {}
    assert weights([]) == ()


@pytest.mark.parametrize("same", [True, False])
def test_answers_move_the_weights_their_way(same: bool) -> None:
    found = learned([lesson(NAME, TOWN, same=same)] * 12)
    assert found
    assert all((shift > 0) == same for shift in found.values())


def test_a_few_answers_move_little_and_fewer_nothing() -> None:
    few, many = (learned([lesson(NAME, TOWN, same=False)] * n) for n in (LEAST, 40))
    assert learned([lesson(NAME, TOWN, same=False)] * (LEAST - 1)) == {}
    assert 0 > few["same name"] > many["same name"]


def test_answers_that_contradict_each_other_move_nothing_much() -> None:
    even = [lesson(NAME, same=True), lesson(NAME, same=False)] * 10
    assert all(abs(shift) < 0.2 for shift in learned(even).values())


def test_what_tells_the_answers_apart_gets_the_credit() -> None:
    lessons = [lesson(NAME, TOWN, DOMAIN, same=True)] * 15 + [lesson(NAME, TOWN, same=False)] * 15
    found = learned(lessons)
    assert found["same domain"] > 0
    assert found["same domain"] > found.get("same name", 0.0)


def test_no_weight_moves_further_than_its_bound() -> None:
    found = learned([lesson(NAME, TOWN, same=False)] * 2000)
    assert all(abs(shift) <= BOUND for shift in found.values())


def test_evidence_is_never_turned_round_and_the_sum_is_bounded() -> None:
    weak = Evidence(-0.4, "different phones")
    assert taught([weak], {"different phones": BOUND}) == pytest.approx(0.4)
    many = [Evidence(2.0, f"kind {n}") for n in range(9)]
    assert taught(many, {one.kind: BOUND for one in many}) == TOTAL


def test_a_contradicting_identifier_is_never_learned_away() -> None:
    found = learned([lesson(NAME, DOMAIN, VAT, same=True)] * 100)
    assert "different VAT ids" not in found


def test_answers_lift_prudence_but_never_a_firm_bound() -> None:
    evidence = (PRIOR, NAME, DOMAIN)
    lifting = {"same name": BOUND, "same domain": BOUND}
    assert weigh(Judged(evidence, high=0.89, firm=False), RULE).band == "review"
    assert weigh(Judged(evidence, high=0.89, firm=False), RULE, lifting).band == "couple"
    assert weigh(Judged(evidence, high=0.89, firm=True), RULE, lifting).band == "review"
    little = {"same name": CONFIRMED / 2}
    assert weigh(Judged(evidence, high=0.89, firm=False), RULE, little).band == "review"


def test_answers_end_the_question_about_a_mere_name() -> None:
    mere = Judged((PRIOR, NAME, TOWN), low=RULE.review, high=0.89)
    assert weigh(mere, RULE).band == "review"
    assert weigh(mere, RULE, {"same name": -0.6, "other town": -0.4}).band == "different"


def test_each_weight_is_told_with_its_answers() -> None:
    found = {one.kind: one for one in weights([lesson(NAME, same=True)] * 4)}
    assert (found["same name"].same, found["same name"].different) == (4, 0)
    assert found["same name"].points == 3.0
