"""The demo world is what it says: its numbers, its valid numbers, its truth and its traps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache
from types import ModuleType

import phonenumbers
import pytest
import stdnum.at.uid
import stdnum.ch.vat
import stdnum.de.vat
import stdnum.dk.cvr
import stdnum.fi.alv
import stdnum.fr.tva
import stdnum.iban
import stdnum.no.mva
import stdnum.pl.nip
import stdnum.se.vat

from lab.world import PAYMENT_TERMS, Address, CrmOrganisation, ErpPartner, World, build
from lab.world_erp import spelt_out

VAT_RULES: dict[str, ModuleType] = {
    "DE": stdnum.de.vat,
    "AT": stdnum.at.uid,
    "CH": stdnum.ch.vat,
    "FR": stdnum.fr.tva,
    "SE": stdnum.se.vat,
    "DK": stdnum.dk.cvr,
    "NO": stdnum.no.mva,
    "FI": stdnum.fi.alv,
    "PL": stdnum.pl.nip,
}


@pytest.fixture(scope="module")
def world() -> World:
    return build()


@pytest.fixture(scope="module")
def erp(world: World) -> dict[str, ErpPartner]:
    return {partner.key: partner for partner in world.erp}


@pytest.fixture(scope="module")
def crm(world: World) -> dict[str, CrmOrganisation]:
    return {organisation.key: organisation for organisation in world.crm}


def _vat(written: str) -> str:
    return re.sub(r"[ .-]", "", written)


@cache
def _phone(written: str, country: str) -> str:
    if not written:
        return ""
    return phonenumbers.format_number(
        phonenumbers.parse(written, country), phonenumbers.PhoneNumberFormat.E164
    )


def _domain(email: str, website: str) -> str:
    if email:
        return email.split("@")[1]
    return website.split("//")[-1].strip("/").removeprefix("www.")


@cache
def _street(street: str) -> str:
    kinds = r"^(\d+ )?(ul\.|ulica|av\.|avenue|bd|boulevard|rue|chemin) "
    name = re.sub(r"[^a-z]", "", re.sub(kinds, "", spelt_out(street).lower()))
    return name[:4] + re.sub(r"\D", "", street)


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, spelt_out(one).lower(), spelt_out(other).lower()).ratio()


def _country(organisation: CrmOrganisation) -> str:
    assert organisation.billing is not None
    return organisation.billing.country


def _city(organisation: CrmOrganisation) -> str:
    assert organisation.billing is not None
    return organisation.billing.city


def _recognisable(organisation: CrmOrganisation, partner: ErpPartner) -> bool:
    """What a careful person goes by: the VAT id, or the name and two further agreements."""
    if organisation.vat:
        return _vat(organisation.vat) == partner.vat
    country, home = _country(organisation), partner.addresses[0]
    billing = organisation.billing
    assert billing is not None
    phone = _phone(organisation.phone, country)
    agreements = (
        bool(phone) and phone == _phone(partner.phone, country),
        _domain(organisation.email, organisation.website) == _domain(partner.email, ""),
        (billing.postal_code, _street(billing.street)) == (home.postal_code, _street(home.street)),
    )
    return sum(agreements) >= 2 and _alike(organisation.name, partner.name) > 0.5


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    assert build() == world
    assert build(7) != world


@pytest.mark.parametrize("seed", [20260101, 1, 42])
def test_the_world_has_the_promised_size(seed: int) -> None:
    world = build(seed)
    assert len(world.erp) == 300
    assert sum(partner.person for partner in world.erp) == 30
    assert sum(len(partner.contacts) for partner in world.erp) == 250
    assert len(world.crm) == 400
    assert sum(len(organisation.contacts) for organisation in world.crm) == 900
    assert len(world.pairs) == 220
    assert len(world.crm_duplicates) == 6
    assert len(world.contact_pairs) > 100


def test_keys_are_unique_and_the_truth_names_only_what_is_there(
    world: World, erp: dict[str, ErpPartner], crm: dict[str, CrmOrganisation]
) -> None:
    erp_people = [person.key for partner in world.erp for person in partner.contacts]
    crm_people = [person.key for organisation in world.crm for person in organisation.contacts]
    assert len(erp) == 300
    assert len(crm) == 400
    assert len(set(erp_people + crm_people)) == 250 + 900
    assert {one for one, _ in world.pairs} <= crm.keys()
    assert {other for _, other in world.pairs} <= erp.keys()
    assert {one for one, _ in world.contact_pairs} <= set(crm_people)
    assert {other for _, other in world.contact_pairs} <= set(erp_people)


def test_every_pair_is_one_to_one(world: World) -> None:
    for pairs in (world.pairs, world.contact_pairs):
        assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)


def test_a_duplicate_is_a_second_copy_of_a_paired_organisation(
    world: World, crm: dict[str, CrmOrganisation]
) -> None:
    paired = dict(world.pairs)
    for first, second in world.crm_duplicates:
        assert first in paired
        assert second not in paired
        assert crm[second].role == "customer"
        assert _alike(crm[first].name, crm[second].name) > 0.5


def test_contact_pairs_work_for_companies_that_are_paired(world: World) -> None:
    at_crm = {p.key: o.key for o in world.crm for p in o.contacts}
    at_erp = {p.key: e.key for e in world.erp for p in e.contacts}
    truth = dict(world.pairs)
    assert all(truth[at_crm[one]] == at_erp[other] for one, other in world.contact_pairs)


@pytest.mark.parametrize("seed", [20260101, 5])
def test_vat_ids_and_ibans_have_valid_check_digits(seed: int) -> None:
    world = build(seed)
    countries = set()
    for partner in world.erp:
        country = partner.addresses[0].country
        if partner.vat:
            VAT_RULES[country].validate(partner.vat)
            countries.add(country)
        if partner.iban:
            stdnum.iban.validate(partner.iban)
    for organisation in world.crm:
        if organisation.vat:
            VAT_RULES[_country(organisation)].validate(organisation.vat)
    assert countries == set(VAT_RULES)


def test_vat_ids_are_of_one_company_each(world: World) -> None:
    counts = Counter(partner.vat for partner in world.erp if partner.vat)
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("seed", [20260101, 5])
def test_phone_numbers_are_valid_in_their_country(seed: int) -> None:
    world = build(seed)
    numbers = [
        (number, partner.addresses[0].country)
        for partner in world.erp
        for number in (
            partner.phone,
            partner.fax,
            *(n for p in partner.contacts for n in (p.phone, p.mobile)),
        )
    ]
    numbers += [
        (number, _country(organisation))
        for organisation in world.crm
        for number in (
            organisation.phone,
            organisation.fax,
            *(n for p in organisation.contacts for n in (p.phone, p.mobile)),
        )
    ]
    wrong = [
        (number, country)
        for number, country in numbers
        if number and not phonenumbers.is_valid_number(phonenumbers.parse(number, country))
    ]
    assert wrong == []


def test_no_address_of_mail_or_web_can_reach_anybody(world: World) -> None:
    parties: Sequence[ErpPartner | CrmOrganisation] = (*world.erp, *world.crm)
    for party in parties:
        mails = [party.email, *(person.email for person in party.contacts)]
        assert all(mail.endswith(".example") and mail.isascii() for mail in mails if mail)
        assert not party.website or party.website.strip("/").endswith(".example")


def test_customers_have_names_addresses_and_terms_of_their_country(world: World) -> None:
    names = " ".join(partner.name for partner in world.erp)
    assert all(letter in names for letter in "äöüßéèåøłóń")
    assert {partner.payment_term for partner in world.erp} == set(PAYMENT_TERMS)
    assert {partner.language for partner in world.erp} >= {"de", "fr", "sv", "da", "nb", "fi", "pl"}
    assert sum(len(partner.addresses) > 1 for partner in world.erp) > 80
    for partner in world.erp:
        assert all(_is_complete(address) for address in partner.addresses)
        assert partner.addresses[0].invoice
        assert not partner.person or not (partner.contacts or partner.vat)


def _is_complete(address: Address) -> bool:
    return all((address.street, address.postal_code, address.city, address.country))


@pytest.mark.parametrize("seed", [20260101, 3])
def test_all_but_three_pairs_can_be_recognised(seed: int) -> None:
    world = build(seed)
    erp = {partner.key: partner for partner in world.erp}
    crm = {organisation.key: organisation for organisation in world.crm}
    blind = [pair for pair in world.pairs if not _recognisable(crm[pair[0]], erp[pair[1]])]
    assert len(blind) == 3


@pytest.mark.parametrize("seed", [20260101, 3])
def test_no_stranger_looks_like_a_customer_to_a_careful_person(seed: int) -> None:
    world = build(seed)
    one_company = {frozenset(pair) for pair in world.pairs}
    truth = dict(world.pairs)
    one_company |= {frozenset((second, truth[first])) for first, second in world.crm_duplicates}
    mistaken = [
        (organisation.key, partner.key)
        for organisation in world.crm
        for partner in world.erp
        if partner.addresses[0].country == _country(organisation)
        and frozenset((organisation.key, partner.key)) not in one_company
        and _recognisable(organisation, partner)
    ]
    assert mistaken == []


def test_pairs_differ_in_name_phone_address_and_vat(
    world: World, erp: dict[str, ErpPartner], crm: dict[str, CrmOrganisation]
) -> None:
    pairs = [(crm[one], erp[other]) for one, other in world.pairs]
    assert 120 < sum(o.name != e.name for o, e in pairs) < 200
    assert 60 < sum(not o.vat and bool(e.vat) for o, e in pairs) < 120
    assert sum(o.phone != e.phone for o, e in pairs) > 150
    assert sum(_city(o) != e.addresses[0].city for o, e in pairs) > 3
    both_known = [(o, e) for o, e in pairs if o.phone and e.phone]
    different = [
        (o, e)
        for o, e in both_known
        if _phone(o.phone, _country(o)) != _phone(e.phone, _country(o))
    ]
    assert len(different) > 5, "fields that differ on both sides make the conflicts of the demo"


def test_companies_of_one_name_are_not_one_company(world: World) -> None:
    names = Counter(partner.name for partner in world.erp)
    assert sum(many == 2 for many in names.values()) == 3
    known = {spelt_out(partner.name) for partner in world.erp}
    paired = {one for one, _ in world.pairs} | {second for _, second in world.crm_duplicates}
    strangers = [o for o in world.crm if o.key not in paired and spelt_out(o.name) in known]
    assert len(strangers) >= 14


def test_subsidiaries_share_address_and_domain(world: World) -> None:
    seats = Counter((p.addresses[0], _domain(p.email, "")) for p in world.erp if not p.person)
    assert sum(many == 2 for many in seats.values()) == 3
