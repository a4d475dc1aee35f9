"""What a system gives a new record by itself, such as its number, reaches the other side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from koppel.connectors.memory_system import MemorySystem, Row
from koppel.errors import Interrupted
from koppel.testing.generated import (
    ERP_RESOURCES,
    contact_fields,
    crm_fields,
    erp_fields,
    partners,
)
from tests.scenarios.pair import PairOfSystems, make_pair


class NumberingErp(MemorySystem):
    """Gives each new party a number, as a sequence does."""

    def create(
        self, resource: str, fields: Mapping[str, Any], by: str, key: str | None = None
    ) -> Row:
        row = super().create(resource, fields, by, key)
        if resource == "party":
            row.fields["code"] = f"K-{row.id}"
        return row


def test_the_number_that_the_erp_gives_is_in_the_crm_after_the_same_run(
    tmp_path: Path, store_template: Path
) -> None:
    pair = make_pair(tmp_path, store_template, erp=NumberingErp("erp", ERP_RESOURCES))
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    run = pair.sync()
    assert run.counts["writes"] == 2
    seen = pair.crm_human.read("organisation", crm)
    assert seen is not None
    assert seen["customer_number"] == "K-1"
    assert pair.sync().counts["writes"] == 0
    assert pair.store.inbox.all_pending() == []


def test_undo_of_such_a_run_takes_the_number_back_too(tmp_path: Path, store_template: Path) -> None:
    pair = make_pair(tmp_path, store_template, erp=NumberingErp("erp", ERP_RESOURCES))
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    before = pair.crm_human.read("organisation", crm)
    run = pair.sync()
    engine = pair.engine()
    engine.apply(engine.undo(run.id))
    assert pair.crm_human.read("organisation", crm) == before
    assert not list(pair.erp.table("party").living())
    assert pair.sync().counts["writes"] == 0


def test_who_asks_for_one_record_gets_the_other_sides_news_too(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    pair.erp_human.edit("party", erp, {"name": "Renamed GmbH"})
    run = pair.sync(selection={"partner": {"crm": [crm]}}, trigger="button")
    assert run.counts["writes"] == 1
    seen = pair.crm_human.read("organisation", crm)
    assert seen is not None
    assert seen["name"] == "Renamed GmbH"
    assert pair.sync().counts["writes"] == 0


def test_who_edits_a_survivor_that_a_person_is_asked_about_does_not_revive_the_pair(
    pair: PairOfSystems,
) -> None:
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    pair.crm_human.create("organisation", {"name": "Bystander", "role": "prospect"})
    pair.sync()
    pair.erp_human.edit("party", erp, {"name": "Renamed GmbH"})
    pair.crm_human.delete("organisation", crm)
    pair.sync()
    (conflict,) = pair.store.inbox.conflicts()
    assert conflict.field == ""
    pair.erp_human.edit("party", erp, {"name": "Renamed again GmbH"})
    for _ in range(2):
        assert pair.sync().counts["writes"] == 0
    assert pair.store.inbox.quarantine() == []
    assert [row.id for row in pair.store.inbox.conflicts()] == [conflict.id]


def test_a_deletion_between_a_stopped_first_run_and_the_next_is_found(pair: PairOfSystems) -> None:
    ids = []
    for partner in partners(2):
        ids.append(pair.crm_human.create("organisation", crm_fields(partner)))
        pair.erp_human.create("party", erp_fields(partner))

    def stop(name: str) -> None:
        if name == "page settled":
            raise Interrupted

    pair.boundary = stop
    with pytest.raises(Interrupted):
        pair.sync()
    pair.boundary = lambda name: None
    assert pair.store.couplings.count("partner", "active") == 2
    pair.crm_human.delete("organisation", ids[0])
    pair.sync()
    assert pair.store.couplings.count("partner", "active") == 1


def test_a_record_deleted_after_a_stopped_first_run_is_not_made_in_the_other_system(
    pair: PairOfSystems,
) -> None:
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))

    def stop(name: str) -> None:
        if name == "planned partner":
            raise Interrupted

    pair.boundary = stop
    with pytest.raises(Interrupted):
        pair.sync()
    pair.boundary = lambda name: None
    pair.crm_human.delete("organisation", crm)
    assert pair.sync().counts["writes"] == 0
    assert not pair.erp.table("party").rows


def test_a_contact_of_a_partner_whose_pair_is_over_waits_and_is_not_refused(
    pair: PairOfSystems,
) -> None:
    partner = next(iter(partners(1, contacts=1)))
    erp = pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    (row,) = pair.store.couplings.each("partner")
    pair.crm_human.delete("organisation", str(row.crm_id))
    person = contact_fields(partner.contacts[0], "party", erp)
    pair.erp_human.create("contact", person)
    for _ in range(3):
        pair.sync()
    pair.erp_human.create("contact", {**person, "first_name": "Somebody", "last_name": "Else"})
    for _ in range(3):
        assert pair.sync().counts["writes"] == 0
    assert pair.store.inbox.quarantine() == []
    assert pair.store.couplings.count("contact") == 0
    assert len(pair.store.inbox.all_pending()) == 2
