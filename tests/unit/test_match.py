"""Matching, case by case: names as people write them, evidence, vetoes, and who is paired."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from koppel.model import Address
from koppel.sync.features import phone, vat_id
from koppel.sync.match import (
    Features,
    Index,
    Score,
    block_keys,
    features,
    match,
    pair_up,
    rarity_of,
    score,
)
from koppel.sync.names import company_name, fold, forms_clash, own_domain, street, town
from koppel.sync.rule import MatchRule

RULE = MatchRule()
VAT = "DE136695976"
OTHER_VAT = "DE129273398"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Müller", "Mueller"),
        ("MÜLLER", "Muller"),
        ("Rüegg", "Rueegg"),
        ("Weiß", "Weiss"),
        ("Møller", "Moeller"),
        ("Åkesson", "Aakesson"),
        ("Łukasz", "Lukasz"),
        ("Lefèvre", "lefevre"),
    ],
)
def test_the_same_name_in_other_letters_is_the_same(one: str, two: str) -> None:
    assert fold(one) == fold(two)


@pytest.mark.parametrize(
    ("name", "words", "form"),
    [
        ("Müller Maschinenbau GmbH", ("muller", "maschinenbau"), "gmbh"),
        ("Müller Maschinenbau GmbH & Co. KG", ("muller", "maschinenbau"), "gmbhco"),
        ("Müller Maschinenbau GmbH und Co KG", ("muller", "maschinenbau"), ""),
        ("Fa. Müller e. K.", ("muller",), "ek"),
        ("Müller e.K.", ("muller",), "ek"),
        ("Pöltl Gesellschaft m.b.H.", ("poltl",), "gmbh"),
        ("Pöltl GesmbH", ("poltl",), "gmbh"),
        ("Dupré et Fils S.A.R.L.", ("dupre", "fils"), "sarl"),
        ("SARL Dupré", ("dupre",), "sarl"),
        ("Browar Król Sp. z o.o.", ("browar", "krol"), "spzoo"),
        ("Browar Król sp. z o. o.", ("browar", "krol"), "spzoo"),
        ("Kjær Møbler A/S", ("kjar", "mobler"), "as"),
        ("Mäkinen Konepaja Oy", ("makinen", "konepaja"), "oy"),
        ("Åström Plåt AB", ("astrom", "plat"), "ab"),
        ("Bürgi & Co.", ("burgi",), "co"),
        ("Gebr. Weiß KG", ("gebruder", "weiss"), "kg"),
        ("Siemens Deutschland AG", ("siemens", "deutschland"), "ag"),
        ("AG", ("ag",), ""),
    ],
)
def test_a_name_is_taken_apart(name: str, words: tuple[str, ...], form: str) -> None:
    found = company_name(name)
    if form:
        assert found == (words, form)
    else:
        assert found[0][: len(words)] == words


def test_legal_forms_that_people_mix_up_do_not_clash() -> None:
    assert not forms_clash("gmbh", "gmbhco")
    assert not forms_clash("", "ag")
    assert forms_clash("ag", "ek")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Robert-Bosch-Straße 12", "Robert Bosch Str. 12"),
        ("Hauptstraße 5 a", "Hauptstr. 5a"),
        ("12 avenue du Général de Gaulle", "12, av. du General de Gaulle"),
        ("Storgatan 5", "Storg. 5"),
        ("ul. Długa 7", "Dluga 7"),
        ("Mühlgasse 3", "Muehlgasse 3"),
    ],
)
def test_the_same_street_written_differently_is_the_same(one: str, two: str) -> None:
    assert street(one) == street(two)


def test_a_town_is_known_by_its_own_name() -> None:
    assert town("Freiburg im Breisgau") == town("Freiburg i. Br.") == "freiburg"
    assert town("St. Gallen") == town("Sankt Gallen")
    assert town("") == ""


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("info@mueller.de", "mueller.de"),
        ("https://www.mueller.de/kontakt", "mueller.de"),
        ("http://shop.mueller.co.uk:8080", "mueller.co.uk"),
        ("hans@gmx.at", ""),
        ("hans@t-online.de", ""),
        ("hans@yahoo.fr", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_a_domain_is_the_companys_own_or_none(host: str, domain: str) -> None:
    assert own_domain(host) == domain


def test_vat_ids_are_compact_and_checked() -> None:
    assert vat_id("DE 136 695 976") == (VAT, True)
    assert vat_id("136695976", "DE") == (VAT, True)
    assert vat_id("DE136695977") == ("DE136695977", False)
    assert vat_id("CHE-100.155.212 MWST") == ("CHE100155212", True)
    assert vat_id("NO 995 525 828 MVA") == ("NO995525828", True)
    assert vat_id("") == ("", False)


def test_phones_are_read_with_the_countrys_habits() -> None:
    assert phone("0711/12 34 56", "DE") == "+49711123456"
    assert phone("+49 (0)711 123456", "DE") == "+49711123456"
    assert phone("+49711123456") == "+49711123456"
    assert phone("call me", "DE") == ""


def test_features_read_the_models_addresses_and_survive_encoding() -> None:
    made = features(
        "partner",
        {
            "kind": "company",
            "name": "Müller GmbH",
            "tax_id": VAT,
            "email": "info@mueller.de",
            "billing_address": Address(
                line1="Lange Str. 5", postal_code="70 173", city="Stuttgart", country="DE"
            ),
        },
    )
    assert made.places[0].postal_code == "70173"
    assert (made.places[0].street, made.places[0].house) == ("langestr", "5")
    packed = msgspec.msgpack.encode(made)
    assert msgspec.msgpack.decode(packed, type=Features) == made
    assert len(packed) < 300


def test_block_keys_name_their_kind() -> None:
    made = company("Müller Pumpen GmbH", tax_id=VAT, phone="+49711123456")
    keys = block_keys(made)
    assert f"vat:{VAT}" in keys
    assert "phone:+49711123456" in keys
    assert "name:muller" in keys
    assert len(keys) == len(set(keys))


# -- scoring --------------------------------------------------------------------------------------

ADDRESS = {"line1": "Lange Str. 5", "postal_code": "70173", "city": "Stuttgart", "country": "DE"}
ELSEWHERE = {"line1": "Hafenweg 1", "postal_code": "20095", "city": "Hamburg", "country": "DE"}
NUMBER = "+49711123456"


def company(name: str, **fields: Any) -> Features:
    return features("partner", {"kind": "company", "name": name, **fields})


def compared(one: Features, two: Features, rule: MatchRule = RULE) -> Score:
    rarity = rarity_of({"muller": 30, "hydraulik": 40}, 1000)
    found = score(one, two, rarity=rarity, rule=rule)
    turned = score(two, one, rarity=rarity, rule=rule)
    assert (found.value, found.band) == (turned.value, turned.band)
    return found


def test_a_name_alone_is_never_enough_but_is_worth_a_look() -> None:
    found = compared(company("Müller Hydraulik GmbH"), company("Mueller Hydraulik"))
    assert found.band == "review"


def test_a_name_in_another_town_is_never_coupled() -> None:
    one = company("Müller Hydraulik GmbH", billing_address=ADDRESS, website="mueller-hyd.de")
    two = company("Müller Hydraulik GmbH", billing_address=ELSEWHERE, website="mueller-hh.de")
    assert compared(one, two).band == "different"


def test_a_namesake_with_two_things_against_it_is_not_asked_about() -> None:
    near = company("Müller Hydraulik GmbH", billing_address=ADDRESS, phone=NUMBER)
    elsewhere = company("Müller Hydraulik GmbH", billing_address=ELSEWHERE)
    assert compared(near, elsewhere).band == "review"
    elsewhere = company("Müller Hydraulik GmbH", billing_address=ELSEWHERE, phone="+4940558899")
    assert compared(near, elsewhere).band == "different"
    rare = company("Zwirbelmaier Hydraulik", billing_address=ADDRESS, phone=NUMBER)
    moved = company("Zwirbelmaier Hydraulik", billing_address=ELSEWHERE, phone="+4940558899")
    assert compared(rare, moved).band == "review"


def test_a_company_that_moved_is_known_by_its_name_and_phone() -> None:
    one = company("Zwirbelmaier Hydraulik GmbH", billing_address=ADDRESS, phone=NUMBER)
    two = company("Zwirbelmaier Hydraulik GmbH", billing_address=ELSEWHERE, phone=NUMBER)
    assert compared(one, two).band == "couple"


def test_name_phone_and_address_are_enough() -> None:
    one = company("Müller Hydraulik GmbH", billing_address=ADDRESS, phone=NUMBER)
    two = company("Mueller Hydraulik", billing_address=ADDRESS, phone="0711 123456")
    found = compared(one, two)
    assert found.band == "couple"
    assert found.reasons == ("same name", f"same phone {NUMBER}", "same address")


def test_a_vat_id_carries_over_a_move_and_a_new_phone() -> None:
    one = company("Müller Hydraulik", tax_id=VAT, billing_address=ADDRESS, phone=NUMBER)
    two = company("Müller Hydraulik", tax_id=VAT, billing_address=ELSEWHERE, phone="+494055")
    assert compared(one, two).band == "couple"


def test_different_valid_vat_ids_keep_companies_apart_whatever_else_agrees() -> None:
    shared: dict[str, Any] = {
        "billing_address": ADDRESS,
        "phone": NUMBER,
        "email": "info@mueller.de",
    }
    one = company("Müller Hydraulik GmbH", tax_id=VAT, **shared)
    two = company("Müller Hydraulik GmbH", tax_id=OTHER_VAT, **shared)
    assert compared(one, two).band != "couple"
    assert "different VAT ids" in compared(one, two).reasons


def test_a_mistyped_vat_id_does_not_keep_apart() -> None:
    shared: dict[str, Any] = {"billing_address": ADDRESS, "phone": NUMBER}
    one = company("Müller Hydraulik GmbH", tax_id=VAT, **shared)
    two = company("Müller Hydraulik GmbH", tax_id="DE136695967", **shared)
    assert compared(one, two).band == "couple"


def test_one_vat_id_on_two_quite_different_names_is_asked() -> None:
    one = company("Müller Hydraulik GmbH", tax_id=VAT, phone=NUMBER, billing_address=ADDRESS)
    two = company("Sonnenschein Immobilien", tax_id=VAT, phone=NUMBER, billing_address=ADDRESS)
    assert compared(one, two).band == "review"


def test_the_same_address_with_different_names_is_no_match() -> None:
    one = company("Müller Hydraulik GmbH", billing_address=ADDRESS)
    two = company("Schreinerei Nagel", billing_address=ADDRESS)
    assert compared(one, two).band == "different"


def test_a_company_under_another_name_altogether_is_asked_about() -> None:
    reached: dict[str, Any] = {"phone": NUMBER, "website": "zwirbelmaier.de"}
    before = company("Zwirbelmaier Hydraulik GmbH", billing_address=ADDRESS, **reached)
    renamed = company("Fluidtechnik Stuttgart AG", billing_address=ADDRESS, **reached)
    assert compared(before, renamed).band == "review"
    tenant = company("Fluidtechnik Stuttgart AG", billing_address=ADDRESS, phone=NUMBER)
    assert compared(before, tenant).band == "different"
    away = company("Fluidtechnik AG", billing_address=ELSEWHERE, **reached)
    assert compared(before, away).band == "different"


@pytest.mark.parametrize(
    "sister", ["Müller Pumpen GmbH", "Müller Hydraulik Verwaltungs GmbH", "Müller Holding GmbH"]
)
def test_sisters_under_one_roof_are_not_coupled(sister: str) -> None:
    shared: dict[str, Any] = {
        "billing_address": ADDRESS,
        "phone": NUMBER,
        "email": "info@mueller.de",
    }
    found = compared(company("Müller Hydraulik GmbH", **shared), company(sister, **shared))
    assert found.band != "couple"


def test_a_public_mail_service_is_no_evidence_but_one_mailbox_is() -> None:
    one = company("Müller Hydraulik", email="mueller@gmx.de", billing_address=ADDRESS)
    two = company("Müller Hydraulik", email="hydraulik@gmx.de", billing_address=ELSEWHERE)
    assert not any("gmx" in reason for reason in compared(one, two).reasons)
    two = company("Müller Hydraulik", email="mueller@gmx.de", billing_address=ADDRESS)
    assert compared(one, two).band == "couple"


def test_words_written_apart_or_mistyped_are_still_the_name() -> None:
    shared: dict[str, Any] = {"billing_address": ADDRESS, "phone": NUMBER}
    one = company("Köhler Maschinenbau GmbH", **shared)
    assert compared(one, company("Koehler Masch.-Bau", **shared)).band == "couple"
    assert compared(one, company("Köhler Maschinnebau GmbH", **shared)).band == "couple"


def test_the_rules_thresholds_count() -> None:
    strict = MatchRule(couple=0.999999, review=0.9)
    one = company("Müller Hydraulik GmbH", billing_address=ADDRESS, phone=NUMBER)
    assert compared(one, one, strict).band == "review"


def person(given: str, family: str, **fields: Any) -> Features:
    return features("contact", {"given_name": given, "family_name": family, **fields})


WITHIN = MatchRule(within="partner")


@pytest.mark.parametrize(
    ("one", "two", "band"),
    [
        (person("Jürgen", "Müller"), person("Juergen", "Mueller"), "couple"),
        (person("J.", "Müller"), person("Jürgen", "Müller"), "review"),
        (
            person("J.", "Müller", email="jm@m.de"),
            person("Jürgen", "Müller", email="jm@m.de"),
            "couple",
        ),
        (person("Hans", "Müller"), person("Jürgen", "Müller"), "different"),
        (
            person("Hans", "Müller", email="info@m.de"),
            person("Jürgen", "Müller", email="info@m.de"),
            "different",
        ),
        (person("Karl-Heinz", "Weiß"), person("Karl Heinz", "Weiss"), "couple"),
        (person("Anna", "Müller"), person("Anna", "Schmidt"), "different"),
        (
            person("Anna", "Müller", mobile="+4917012345"),
            person("A.", "Müller", mobile="+4917012345"),
            "couple",
        ),
    ],
)
def test_people_of_one_company(one: Features, two: Features, band: str) -> None:
    assert compared(one, two, WITHIN).band == band


def test_a_persons_name_is_not_enough_outside_a_company() -> None:
    assert compared(person("Anna", "Müller"), person("Anna", "Müller")).band != "couple"


def test_products_are_coupled_by_their_numbers_only() -> None:
    def product(**fields: Any) -> Features:
        return features("product", fields)

    named = {"name": "Pumpe 12 V"}
    assert compared(product(**named), product(**named)).band == "review"
    assert compared(product(number="P-12", **named), product(number="P12", **named)).band == (
        "couple"
    )
    assert compared(product(number="P-12", **named), product(number="P13", **named)).band == (
        "different"
    )
    gtin = {"gtin": "4006381333931"}
    other = compared(product(number="P-12", name="Pumpe"), product(number="P-12", name="Ventil"))
    assert other.band == "review"
    assert compared(product(name="Pumpe", **gtin), product(name="Pump", **gtin)).band == "couple"


# -- pairing --------------------------------------------------------------------------------------


def worth(value: float) -> Score:
    band = "couple" if value >= 0.9 else "review" if value >= 0.6 else "different"
    return Score(value, band, ("because",))  # type: ignore[arg-type]


def test_the_best_are_coupled_one_to_one() -> None:
    pairing = pair_up(
        [("a", "x", worth(0.9999)), ("a", "y", worth(0.7)), ("b", "y", worth(0.9999))]
    )
    assert {(p.left, p.right) for p in pairing.couples} == {("a", "x"), ("b", "y")}
    assert pairing.review == ()


def test_of_two_nearly_equal_candidates_none_is_coupled() -> None:
    pairing = pair_up([("a", "x", worth(0.99)), ("b", "x", worth(0.98))])
    assert pairing.couples == ()
    assert [(p.left, p.right) for p in pairing.review] == [("a", "x"), ("b", "x")]
    assert "several candidates" in pairing.review[0].why


def test_a_clearly_weaker_copy_is_shown_as_a_duplicate() -> None:
    pairing = pair_up([("a", "x", worth(0.99999)), ("b", "x", worth(0.95))])
    assert [(p.left, p.right) for p in pairing.couples] == [("a", "x")]
    (copy,) = pairing.review
    assert copy.left == "b"
    assert copy.why == "Perhaps a duplicate: x is coupled already."


def test_a_couple_that_takes_the_rival_away_makes_the_way_clear() -> None:
    pairing = pair_up(
        [("a", "x", worth(0.99999)), ("b", "x", worth(0.98)), ("b", "y", worth(0.99))]
    )
    assert {(p.left, p.right) for p in pairing.couples} == {("a", "x"), ("b", "y")}


def test_what_differs_is_neither_coupled_nor_asked() -> None:
    pairing = pair_up([("a", "x", worth(0.3))])
    assert pairing.couples == pairing.review == ()


def test_matching_finds_candidates_by_key_and_leaves_the_rest_alone() -> None:
    left = {"a": company("Müller Hydraulik", tax_id=VAT), "b": company("Nagel")}
    right = {"x": company("Mueller Hydraulik GmbH", tax_id=VAT), "y": company("Sonne")}
    pairing = match(left, right, RULE)
    assert [(p.left, p.right) for p in pairing.couples] == [("a", "x")]
    index = Index(right)
    assert len(index) == 2
    assert list(index.candidates(left["b"])) == []
