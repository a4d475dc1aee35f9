"""Matching products: numbers, GTINs and packings, maker's numbers, sizes, descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.sync.match import (
    Features,
    Score,
    block_keys,
    duplicates,
    features,
    match,
    rarity_of,
    score,
)
from koppel.sync.rule import MatchRule

GTIN = "4006381333931"
CARTON = "14006381333938"
OTHER_GTIN = "4012345678901"


def product(**fields: Any) -> Features:
    return features("product", fields)


def compared(one: Features, two: Features) -> Score:
    rarity = rarity_of({"schraube": 300, "pumpe": 30}, 1000)
    found = score(one, two, rarity=rarity, rule=MatchRule())
    turned = score(two, one, rarity=rarity, rule=MatchRule())
    assert (found.value, found.band) == (turned.value, turned.band)
    return found


def test_a_gtin_is_read_in_all_its_lengths_and_only_where_it_is_valid() -> None:
    assert product(gtin="4006381 333931").codes == ("gtin:04006381333931",)
    assert product(gtin="4006381333932").codes == ()
    assert product(gtin="12345").codes == ()


def test_one_gtin_is_one_product_whatever_its_numbers() -> None:
    one = product(name="Kreiselpumpe 12 V", number="P-100", gtin=GTIN)
    two = product(name="Pumpe Kreisel 12V", number="77431", gtin=f"0{GTIN}")
    found = compared(one, two)
    assert found.band == "couple"
    assert f"same GTIN {GTIN}" in found.reasons


def test_two_gtins_are_never_one_product_even_under_one_number() -> None:
    one = product(name="Pumpe", number="P-100", gtin=GTIN)
    two = product(name="Pumpe", number="P-100", gtin=OTHER_GTIN)
    assert compared(one, two).band != "couple"


def test_a_carton_and_a_piece_meet_and_are_not_coupled() -> None:
    piece, carton = product(name="Stift blau", gtin=GTIN), product(name="Stift blau", gtin=CARTON)
    assert set(block_keys(piece)) & set(block_keys(carton))
    found = compared(piece, carton)
    assert found.band != "couple"
    assert "GTINs of two packings of one product" in found.reasons


def test_the_makers_number_couples_and_may_be_the_others_own_number() -> None:
    one = product(name="Kreiselpumpe CR 3", maker_number="CR3-96516")
    two = product(name="Pumpe Kreisel CR 3", maker_number="CR3 96516")
    assert compared(one, product(name="Kreiselpumpe CR 3", maker_number="CR396516")).band == (
        "couple"
    )
    assert "same maker's number" in compared(one, two).reasons
    own = product(name="Kreiselpumpe CR 3", number="CR396516")
    assert set(block_keys(one)) & set(block_keys(own))
    assert compared(one, own).band == "couple"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Schraube M8 x 20", "Schraube M8 x 30"),
        ("Reiniger 0,5 l", "Reiniger 5 l"),
        ("Akku 12 V", "Akku 24 V"),
    ],
)
def test_products_of_different_sizes_are_not_coupled(one: str, two: str) -> None:
    found = compared(product(name=one, number="100"), product(name=two, number="100"))
    assert found.band != "couple"
    assert "different sizes" in found.reasons


def test_one_number_under_two_names_is_two_companies_counting() -> None:
    one, two = product(name="Kreiselpumpe", number="1001"), product(name="Bürostuhl", number="1001")
    assert compared(one, two).band != "couple"


def test_a_description_speaks_for_a_product_and_couples_nothing() -> None:
    text = "Selbstansaugende Kreiselpumpe aus Edelstahl mit Trockenlaufschutz"
    one = product(name="CR 3", description=text)
    two = product(name="Pumpe CR 3 Edelstahl", description=text)
    found = compared(one, two)
    assert "same description" in found.reasons
    assert found.band != "couple"
    assert found.value > compared(one, product(name="Pumpe CR 3 Edelstahl")).value


def test_products_are_matched_one_to_one_and_found_twice_on_one_side() -> None:
    crm = {
        "a": product(name="Kreiselpumpe 12 V", number="P-100"),
        "b": product(name="Kreiselpumpe 24 V", number="P-200"),
    }
    erp = {
        "x": product(name="Kreiselpumpe 12V", number="P100", gtin=GTIN),
        "y": product(name="Kreiselpumpe 24V", number="P200"),
        "z": product(name="Kreiselpumpe, 24 V", number="P 200"),
    }
    pairing = match(crm, erp, MatchRule())
    assert ("a", "x") in {(p.left, p.right) for p in pairing.couples}
    assert [(p.left, p.right) for p in duplicates(erp, MatchRule())] == [("y", "z")]
