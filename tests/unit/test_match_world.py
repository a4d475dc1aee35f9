"""Matching, measured on the demo world: not one wrong pair, and nearly all right ones."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.sync.match import Features, Pairing, features, match
from koppel.sync.rule import MatchRule
from lab.world import Address, CrmOrganisation, ErpPartner, Person, World, build

SEEDS = (20260101, 1, 2)


def address(one: Address | None) -> dict[str, str] | None:
    if one is None:
        return None
    return {
        "line1": one.street,
        "postal_code": one.postal_code,
        "city": one.city,
        "country": one.country,
    }


def from_erp(partner: ErpPartner) -> Features:
    """As the ERP's mapping would say it, save that numbers stay as typed."""
    invoice = next((a for a in partner.addresses if a.invoice), None)
    delivery = next((a for a in partner.addresses if a.delivery and a is not invoice), None)
    canonical: dict[str, Any] = {
        "kind": "person" if partner.person else "company",
        "name": partner.name,
        "tax_id": partner.vat,
        "iban": partner.iban,
        "phone": partner.phone,
        "fax": partner.fax,
        "email": partner.email,
        "website": partner.website,
        "billing_address": address(invoice),
        "shipping_address": address(delivery),
    }
    return features("partner", canonical)


def from_crm(organisation: CrmOrganisation) -> Features:
    canonical: dict[str, Any] = {
        "kind": "company",
        "name": organisation.name,
        "tax_id": organisation.vat,
        "phone": organisation.phone,
        "fax": organisation.fax,
        "email": organisation.email,
        "website": organisation.website,
        "billing_address": address(organisation.billing),
        "shipping_address": address(organisation.shipping),
    }
    return features("partner", canonical)


def contact(person: Person) -> Features:
    canonical = {
        "given_name": person.first_name,
        "family_name": person.last_name,
        "salutation": person.salutation,
        "email": person.email,
        "phone": person.phone,
        "mobile": person.mobile,
    }
    return features("contact", canonical)


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    return build(request.param)


@pytest.fixture(scope="module")
def partners(world: World) -> Pairing:
    crm = {organisation.key: from_crm(organisation) for organisation in world.crm}
    erp = {partner.key: from_erp(partner) for partner in world.erp}
    return match(crm, erp, MatchRule())


def test_no_pair_is_wrong_and_nearly_all_right_ones_are_coupled(
    world: World, partners: Pairing
) -> None:
    found = {(pair.left, pair.right) for pair in partners.couples}
    truth = set(world.pairs)
    assert found - truth == set()
    assert len(found) >= 0.95 * len(truth)


def test_what_is_not_coupled_waits_for_a_person(world: World, partners: Pairing) -> None:
    found = {(pair.left, pair.right) for pair in partners.couples}
    asked = {(pair.left, pair.right) for pair in partners.review}
    assert set(world.pairs) - found <= asked
    assert len(asked) <= 30


def test_the_second_copy_of_an_organisation_is_never_coupled(
    world: World, partners: Pairing
) -> None:
    copies = {copy for _, copy in world.crm_duplicates}
    assert not copies & {pair.left for pair in partners.couples}
    assert copies <= {pair.left for pair in partners.review}


def test_every_pair_says_why(partners: Pairing) -> None:
    assert all(pair.score.reasons for pair in partners.couples + partners.review)
    assert all(pair.why for pair in partners.review)


def test_contacts_are_found_within_their_coupled_partners(world: World) -> None:
    crm = {organisation.key: organisation for organisation in world.crm}
    erp = {partner.key: partner for partner in world.erp}
    rule = MatchRule(within="partner")
    found: set[tuple[str, str]] = set()
    for organisation, partner in world.pairs:
        left = {person.key: contact(person) for person in crm[organisation].contacts}
        right = {person.key: contact(person) for person in erp[partner].contacts}
        pairing = match(left, right, rule)
        found |= {(pair.left, pair.right) for pair in pairing.couples}
    truth = set(world.contact_pairs)
    assert found - truth == set()
    assert len(found) >= 0.95 * len(truth)
