"""The assessment of two memory systems: right figures, and not a single write."""

from __future__ import annotations

from koppel.engine.assess import Assessment, Assessor
from koppel.insight.assess_page import page
from koppel.mapping.document import load_rule
from koppel.testing.generated import crm_fields, erp_fields, fill_crm, fill_erp, partners
from tests.scenarios.pair import PairOfSystems


def assess(pair: PairOfSystems, *entities: str) -> Assessment:
    engine = pair.engine()
    return Assessor(engine.store, engine.lines, progress=lambda what, many: None).assess(entities)


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
    assert partner.twice[0].reasons
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
    from koppel.cli.session import plain

    one = next(iter(partners(1)))
    pair.crm_human.create("organisation", {**crm_fields(one), "email": "<script>x</script>"})
    pair.erp_human.create("party", erp_fields(one))
    html = page(plain(assess(pair)))
    assert "<svg" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "").replace("https://partner1.example", "")
