"""Leads stay in the CRM until the event that the rule names; what only sales needs stays there."""

from __future__ import annotations

from koppel.testing.generated import contact_fields, crm_fields, partners
from tests.scenarios.pair import PairOfSystems


def test_a_thousand_leads_make_no_record_in_the_erp_and_the_event_makes_one(
    pair: PairOfSystems,
) -> None:
    leads = [
        pair.crm_human.create("organisation", crm_fields(partner, role="prospect"))
        for partner in partners(1000, contacts=0)
    ]
    assert pair.sync().counts["writes"] == 0
    assert not pair.erp.table("party").rows
    pair.crm_human.edit("organisation", leads[500], {"role": "customer"})
    for _ in range(3):
        pair.sync()
    assert len(pair.erp.table("party").rows) == 1
    assert len(list(pair.crm.table("organisation").living())) == 1000


def test_the_people_of_a_lead_follow_it_when_it_becomes_a_customer(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    lead = pair.crm_human.create("organisation", crm_fields(partner, role="prospect"))
    pair.crm_human.create("contact", contact_fields(partner.contacts[0], "organisation", lead))
    pair.sync()
    assert not pair.erp.table("contact").rows
    pair.crm_human.edit("organisation", lead, {"role": "customer"})
    pair.sync()
    assert len(pair.erp.table("contact").rows) == 1


def test_what_belongs_to_sales_alone_is_never_in_the_erp(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    secret = {"description": "Wants out of his contract", "sector": "Gossip"}
    crm = pair.crm_human.create("organisation", {**crm_fields(partner), **secret})
    pair.sync()
    pair.crm_human.edit("organisation", crm, {"description": "Still wants out", "phone": "+49 1"})
    pair.sync()
    (row,) = pair.erp.table("party").living()
    assert not any(word in repr(row.fields) for word in ("wants", "Wants", "Gossip"))
