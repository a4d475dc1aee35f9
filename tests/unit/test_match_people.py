"""Matching people who are business partners: slips, swapped names, families, twins."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.sync.match import Features, Score, block_keys, features, match, rarity_of, score
from koppel.sync.rule import MatchRule

HOME = {"line1": "Lange Str. 5", "postal_code": "70173", "city": "Stuttgart", "country": "DE"}
AWAY = {"line1": "Hafenweg 1", "postal_code": "20095", "city": "Hamburg", "country": "DE"}
BORN = "1961-04-17"


def person(name: str, **fields: Any) -> Features:
    return features("partner", {"kind": "person", "name": name, **fields})


def compared(one: Features, two: Features) -> Score:
    rarity = rarity_of({"muller": 60, "anna": 40}, 5000)
    found = score(one, two, rarity=rarity, rule=MatchRule())
    turned = score(two, one, rarity=rarity, rule=MatchRule())
    assert (found.value, found.band) == (turned.value, turned.band)
    return found


@pytest.mark.parametrize("other", ["Zwirbel Rachel", "Rachel Zwirbl", "Rachle Zwirbel", "Zwirbel"])
def test_swapped_and_misspelt_names_are_the_persons_with_a_date_of_birth_and_a_home(
    other: str,
) -> None:
    one = person("Rachel Zwirbel", birth_date=BORN, billing_address=HOME)
    two = person(other, birth_date=BORN, billing_address=HOME)
    assert compared(one, two).band == "couple"


@pytest.mark.parametrize("slip", ["1961-04-71", "1916-04-17", "1961-17-04", "1961-04-18"])
def test_one_slip_in_a_date_of_birth_is_told_as_one(slip: str) -> None:
    one = person("Rachel Zwirbel", birth_date=BORN, billing_address=HOME)
    two = person("Rachel Zwirbel", birth_date=slip, billing_address=HOME)
    found = compared(one, two)
    assert found.band == "couple"
    assert "nearly the same date of birth" in found.reasons


def test_an_identifier_with_a_slip_is_strong_and_decides_nothing_alone() -> None:
    one = person("Rachel Zwirbel", tax_number="5752610", billing_address=HOME)
    slip = person("Rachel Zwirbel", tax_number="5752601", billing_address=AWAY)
    other = person("Karl Nagel", tax_number="5752601", billing_address=AWAY)
    found = compared(one, slip)
    assert "nearly the same tax number" in found.reasons
    assert found.value > compared(one, person("Rachel Zwirbel", billing_address=AWAY)).value
    assert compared(one, other).band == "different"


def test_a_name_alone_is_never_enough_for_a_person() -> None:
    assert compared(person("Rachel Zwirbel"), person("Rachel Zwirbel")).band != "couple"


def test_father_and_son_of_one_name_and_house_are_not_coupled() -> None:
    father = person("Karl Zwirbel", birth_date="1931-02-03", billing_address=HOME)
    son = person("Karl Zwirbel", birth_date="1961-11-27", billing_address=HOME)
    assert compared(father, son).band != "couple"


def test_twins_are_not_coupled() -> None:
    one = person("Karl Zwirbel", birth_date=BORN, billing_address=HOME, tax_number="5752610")
    two = person("Anna Zwirbel", birth_date=BORN, billing_address=HOME, tax_number="9183345")
    assert compared(one, two).band != "couple"


def test_a_couple_in_one_house_is_two_people() -> None:
    shared: dict[str, Any] = {"billing_address": HOME, "phone": "+49711123456"}
    assert compared(person("Karl Müller", **shared), person("Anna Müller", **shared)).band == (
        "different"
    )


def test_two_different_identifiers_keep_people_apart_whatever_else_agrees() -> None:
    shared: dict[str, Any] = {"billing_address": HOME, "phone": "+49711123456"}
    one = person("Karl Zwirbel", birth_date=BORN, tax_number="5752610", **shared)
    two = person("Karl Zwirbel", birth_date="1934-09-02", tax_number="9183345", **shared)
    assert compared(one, two).band != "couple"


def test_a_new_family_name_is_followed_by_number_birth_and_address() -> None:
    one = person("Rachel Zwirbel", birth_date=BORN, tax_number="5752610", billing_address=HOME)
    two = person("Rachel Nagel", birth_date=BORN, tax_number="5752610", billing_address=HOME)
    assert compared(one, two).band == "couple"


def test_people_meet_by_birthday_or_house_when_their_names_are_misspelt() -> None:
    one = person("Rachel Zwirbel", birth_date=BORN, billing_address=HOME)
    two = person("Rachle Zwirble", birth_date=BORN, billing_address=AWAY)
    three = person("Rachle Zwirble", billing_address=HOME)
    assert set(block_keys(one)) & set(block_keys(two))
    assert set(block_keys(one)) & set(block_keys(three))


def test_an_extra_field_of_the_users_own_counts_like_one_of_the_model() -> None:
    assert person("Rachel Zwirbel", x_birth_date=BORN).birth == "19610417"


def test_contacts_with_given_and_family_name_swapped_are_one() -> None:
    one = features("contact", {"given_name": "Rachel", "family_name": "Zwirbel", "email": "r@z.de"})
    two = features("contact", {"given_name": "Zwirbel", "family_name": "Rachel", "email": "r@z.de"})
    pairing = match({"a": one}, {"x": two}, MatchRule(within="partner"))
    assert [(p.left, p.right) for p in pairing.couples] == [("a", "x")]
