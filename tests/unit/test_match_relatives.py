"""What belongs together within one side: twice, several accounts of one company, groups."""

from __future__ import annotations

from typing import Any

from koppel.sync.match import Family, Features, families, features, match
from koppel.sync.rule import MatchRule

VAT, OTHER_VAT = "DE136695976", "DE129273398"
HOME = {"line1": "Lange Str. 5", "postal_code": "70173", "city": "Stuttgart", "country": "DE"}
DEPOT = {"line1": "Hafenweg 1", "postal_code": "20095", "city": "Hamburg", "country": "DE"}
NAME = "Zwirbelmaier Hydraulik GmbH"


def company(name: str = NAME, **fields: Any) -> Features:
    return features("partner", {"kind": "company", "name": name, **fields})


def found(**records: Features) -> list[Family]:
    rest = {f"rest{n}": company(f"Firma{n} Wort{n}") for n in range(30)}
    return list(families({**rest, **records}, MatchRule()))


def test_a_company_that_is_there_three_times_is_one_family() -> None:
    shared: dict[str, Any] = {"billing_address": HOME, "phone": "+49711123456"}
    (family,) = found(a=company(**shared), b=company(**shared), c=company(tax_id=VAT, **shared))
    assert family.kin == "twice"
    assert family.records == ("a", "b", "c")
    assert "same address" in family.reasons
    assert "merge" in family.sentence


def test_bill_to_and_ship_to_under_one_vat_id_are_one_account() -> None:
    (family,) = found(
        bill=company(tax_id=VAT, billing_address=HOME),
        ship=company(tax_id=VAT, billing_address=DEPOT),
    )
    assert family.kin == "accounts"
    assert family.records == ("bill", "ship")
    assert f"same VAT id {VAT}" in family.reasons
    assert "customer numbers" in family.sentence


def test_one_vat_id_under_two_names_is_one_account() -> None:
    (family,) = found(
        one=company(tax_id=VAT, billing_address=HOME),
        two=company("Depot Nord Werkslager", tax_id=VAT, billing_address=DEPOT),
    )
    assert family.kin == "accounts"


def test_a_group_and_its_subsidiary_are_told_and_kept_apart() -> None:
    shared: dict[str, Any] = {"billing_address": HOME, "website": "zwirbelmaier.de"}
    (family,) = found(
        works=company(tax_id=VAT, **shared),
        holding=company("Zwirbelmaier Hydraulik Holding GmbH", tax_id=OTHER_VAT, **shared),
    )
    assert family.kin == "group"
    assert family.records == ("holding", "works")


def test_namesakes_in_two_towns_are_no_family() -> None:
    assert not found(one=company(billing_address=HOME), two=company(billing_address=DEPOT))


def test_a_duplicate_within_a_group_counts_once_in_the_group() -> None:
    shared: dict[str, Any] = {"billing_address": HOME, "website": "zwirbelmaier.de"}
    kins = {
        family.kin: family.records
        for family in found(
            a=company(tax_id=VAT, **shared),
            b=company(tax_id=VAT, **shared),
            holding=company("Zwirbelmaier Hydraulik Holding GmbH", tax_id=OTHER_VAT, **shared),
        )
    }
    assert kins == {"twice": ("a", "b"), "group": ("a", "holding")}


def test_of_several_accounts_none_or_one_is_coupled_and_the_review_names_the_others() -> None:
    crm = {"org": company(tax_id=VAT, billing_address=HOME)}
    erp = {
        "bill": company(tax_id=VAT, billing_address=HOME),
        "ship": company(tax_id=VAT, billing_address=HOME),
    }
    pairing = match(crm, erp, MatchRule())
    assert len(pairing.couples) <= 1
    assert {pair.right for pair in pairing.review} == {"bill", "ship"}
    assert any("also ship" in pair.why for pair in pairing.review)
