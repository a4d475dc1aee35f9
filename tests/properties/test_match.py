"""What holds for matching whatever people typed."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from koppel.sync.learning import BOUND
from koppel.sync.match import Features, Score, block_keys, features, pair_up, rarity_of, score
from koppel.sync.rule import MatchRule

typed = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(
            [
                "Müller",
                "Mueller",
                "Maschinenbau",
                "Masch.",
                "-",
                "&",
                "Co.",
                "KG",
                "GmbH",
                "Holding",
            ]
        ),
        max_size=5,
    ).map(" ".join),
)
vats = st.sampled_from(["", "DE136695976", "DE129273398", "ATU12345678", "nonsense"])
partners = st.fixed_dictionaries(
    {"name": typed},
    optional={
        "kind": st.sampled_from(["company", "person", None]),
        "tax_id": vats,
        "phone": st.one_of(st.text(max_size=12), st.just("+49711123456")),
        "email": st.one_of(st.text(max_size=12), st.just("info@mueller.de")),
        "website": st.text(max_size=12),
        "billing_address": st.fixed_dictionaries(
            {"line1": typed, "city": typed, "postal_code": st.sampled_from(["", "70173"])},
            optional={"country": st.sampled_from(["DE", "AT", ""])},
        ),
    },
).map(lambda canonical: features("partner", canonical))
contacts = st.fixed_dictionaries({"given_name": typed, "family_name": typed}).map(
    lambda canonical: features("contact", canonical)
)
RARITY = rarity_of({"muller": 50, "maschinenbau": 40}, 1000)


@given(st.one_of(st.tuples(partners, partners), st.tuples(contacts, contacts)))
def test_the_order_of_two_records_does_not_matter(pair: tuple[Features, Features]) -> None:
    one, two = pair
    here = score(one, two, rarity=RARITY, rule=MatchRule())
    there = score(two, one, rarity=RARITY, rule=MatchRule())
    assert here.band == there.band
    assert abs(here.value - there.value) < 1e-9
    assert 0 < here.value < 1
    assert all(":" in key for key in block_keys(one))


@given(partners, partners)
def test_two_valid_vat_ids_that_differ_are_never_coupled(one: Features, two: Features) -> None:
    found = score(one, two, rarity=RARITY, rule=MatchRule())
    if one.vat_valid and two.vat_valid and one.vat != two.vat:
        assert found.band != "couple"


KINDS = (
    "same name", "similar name", "same phone", "same domain", "same address", "same town",
    "other town", "different phones", "different VAT ids", "VAT ids of different countries",
)  # fmt: skip
learnings = st.dictionaries(st.sampled_from(KINDS), st.floats(-BOUND, BOUND))


@given(partners, partners, learnings)
def test_no_answer_couples_what_valid_vat_ids_tell_apart(
    one: Features, two: Features, learned: dict[str, float]
) -> None:
    found = score(one, two, rarity=RARITY, rule=MatchRule(), learned=learned)
    if one.vat_valid and two.vat_valid and one.vat != two.vat:
        assert found.band != "couple"


scores = st.floats(0.5, 0.9999).map(
    lambda value: Score(
        value, "couple" if value >= 0.9 else "review" if value >= 0.6 else "different"
    )
)
candidates = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), scores, max_size=10
)


@given(candidates, st.randoms())
def test_nobody_is_coupled_twice_and_no_strong_pair_is_forgotten(
    found: dict[tuple[str, str], Score], random: Random
) -> None:
    listed = [(left, right, one) for (left, right), one in found.items()]
    pairing = pair_up(listed)
    lefts = [pair.left for pair in pairing.couples]
    rights = [pair.right for pair in pairing.couples]
    assert len(set(lefts)) == len(lefts)
    assert len(set(rights)) == len(rights)
    shown = {(pair.left, pair.right) for pair in pairing.couples + pairing.review}
    for (left, right), one in found.items():
        if one.band == "couple" and not (left in lefts and right in rights):
            assert (left, right) in shown
    random.shuffle(listed)
    assert pair_up(listed) == pairing
