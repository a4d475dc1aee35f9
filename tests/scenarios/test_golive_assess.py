"""The assessment of two memory systems: right figures, and not a single write."""

from __future__ import annotations

import pytest

from koppel.cli.session import plain
from koppel.engine.assess import Assessment, Assessor
from koppel.insight.assess import Assumptions
from koppel.insight.assess_page import effort, page
from koppel.mapping.document import load_rule
from koppel.testing.generated import (
    contact_fields,
    crm_fields,
    erp_fields,
    fill_crm,
    fill_erp,
    partners,
)
from tests.scenarios.pair import PairOfSystems


def assess(pair: PairOfSystems, *entities: str, assumed: Assumptions | None = None) -> Assessment:
    engine = pair.engine()
    assessor = Assessor(
        engine.store, engine.lines, progress=lambda what, many: None, assumed=assumed
    )
    return assessor.assess(entities)


def filled(pair: PairOfSystems) -> PairOfSystems:
    """Thirty partners in both, ten only in the CRM, one twice in the ERP."""
    fill_crm(pair.crm, 40)
    fill_erp(pair.erp, 30)
    pair.erp_human.create("party", erp_fields(next(iter(partners(1)))))
    return pair


def test_counts_overlap_and_duplicates_are_told(pair: PairOfSystems) -> None:
    partner, contact = assess(filled(pair)).entities
    assert partner.records == {"crm": 40, "erp": 31}
    # The partner that the ERP has twice is for a person to decide.
    assert partner.likely == 29
    assert partner.perhaps == 2
    assert partner.only == {"crm": 10, "erp": 0}
    assert partner.duplicates == {"crm": 0, "erp": 1}
    (twice,) = [related for related in partner.related if related.kin == "twice"]
    assert len(twice.records) == 2
    assert twice.reasons
    assert "merge them" in twice.meaning
    assert contact.likely == 29


def test_it_writes_nothing_and_leaves_no_coupling(pair: PairOfSystems) -> None:
    filled(pair)
    logs = [len(s.table(name).log) for s in (pair.crm, pair.erp) for name in s.tables]
    found = assess(pair)
    assert found.entities
    assert [len(s.table(n).log) for s in (pair.crm, pair.erp) for n in s.tables] == logs
    assert not any(pair.connectors[side].calls["write"] for side in pair.connectors)
    assert pair.store.couplings.count() == 0
    assert pair.store.runs.last() is None


def test_it_says_the_same_before_and_after_coupling(pair: PairOfSystems) -> None:
    filled(pair)
    before = assess(pair, "partner").entities[0]
    pair.sync()
    rows = [row for row in pair.store.couplings.each("partner") if row.made_by]
    assert rows
    after = assess(pair, "partner").entities[0]
    assert after.likely >= before.likely


def test_quality_disagreement_and_limits_are_counted(pair: PairOfSystems) -> None:
    one, two, *_ = partners(2)
    pair.crm_human.create("organisation", {**crm_fields(one), "email": "no mail", "phone": ""})
    pair.crm_human.create("organisation", crm_fields(two))
    long = {**erp_fields(two), "name": two.name + " Niederlassung " + "x" * 75}
    pair.erp_human.create("party", erp_fields(one))
    pair.erp_human.create("party", long)
    found = assess(pair, "partner").entities[0]
    email = found.fields["email"]
    assert (email["crm"].filled, email["crm"].valid, email["erp"].valid) == (2, 1, 2)
    assert found.fields["phone"]["crm"].filled == 1
    assert found.fields["name"]["erp"].cut == 1
    assert found.between["phone"].only == {"crm": 0, "erp": 1}
    assert found.between["email"].differ == 1


def test_the_proposed_rule_gives_a_field_to_the_fuller_side(pair: PairOfSystems) -> None:
    for place, partner in enumerate(partners(20)):
        fields = crm_fields(partner)
        pair.crm_human.create("organisation", {**fields, "phone": "" if place % 2 else "+4930555"})
        pair.erp_human.create("party", erp_fields(partner))
    found = assess(pair, "partner").entities[0]
    proposal = next(one for one in found.proposals if one.field == "phone")
    assert proposal.owner == "erp"
    assert "filled" in proposal.why
    assert load_rule(found.rule, source="proposed").fields["phone"].owner == "erp"


def test_the_page_needs_nothing_from_elsewhere_and_escapes(pair: PairOfSystems) -> None:
    one = next(iter(partners(1)))
    pair.crm_human.create("organisation", {**crm_fields(one), "email": "<script>x</script>"})
    pair.erp_human.create("party", erp_fields(one))
    html = page(plain(assess(pair)))
    assert "<svg" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "").replace("https://partner1.example", "")


def test_a_contacts_national_phone_is_judged_in_its_partners_country(pair: PairOfSystems) -> None:
    partner = next(one for one in partners(20) if one.country == "DE")
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    person = partner.contacts[0]
    fields = contact_fields(person, "organisation", crm)
    pair.crm_human.create("contact", {**fields, "phone": "0221 5550001"})
    fields = contact_fields(person, "party", erp)
    pair.erp_human.create("contact", {**fields, "phone": "+49 221 5550001"})
    contact = assess(pair).entities[1]
    assert contact.fields["phone"]["crm"].valid == 1
    assert contact.between["phone"].same == 1


def test_what_is_assumed_can_be_adjusted_and_is_told(pair: PairOfSystems) -> None:
    filled(pair)
    # The stamps of systems that were filled a moment ago tell nothing.
    assert assess(pair, "partner").entities[0].hours_per_month is None
    assumed = Assumptions(changes_per_day=60, minutes_per_entry=4, calls_per_write=5)
    found = assess(pair, "partner", assumed=assumed)
    partner = found.entities[0]
    assert partner.shared == pytest.approx(58 / 71)
    assert partner.hours_per_month == pytest.approx(60 * 58 / 71 * 365 / 12 * 4 / 60, abs=0.1)
    value = plain(found)
    told = effort(value["entities"][0], value["assumed"])
    for part in ("of 60 that were given", "82% of the records", "4 minutes", "5 calls a write"):
        assert part in told


def test_the_page_shows_confidence_duplicates_and_disagreement(pair: PairOfSystems) -> None:
    html = page(plain(assess(filled(pair))))
    for part in (
        "How sure the pairs are", "What belongs together within one side", "same VAT id",
        "only CRM", "changes a day", "Share of records with a value",
    ):  # fmt: skip
        assert part in html
