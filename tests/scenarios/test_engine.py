"""The whole journey on a pair of memory systems: couple, carry across, conflict, undo, guard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from koppel.connectors.base import Outcome, Refused, Update, Write
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour
from koppel.engine import hand
from koppel.engine.executor import no_boundary
from koppel.errors import Interrupted, NeedsUser
from koppel.store.codec import decode
from koppel.testing.generated import (
    crm_fields,
    erp_fields,
    fill_crm,
    fill_erp,
    memory_crm,
    partners,
)
from tests.scenarios.pair import PairOfSystems, make_pair


class RefusingOnce:
    """A connector that refuses the first update it is given, as a locked record would be."""

    def __init__(self, inner: MemoryConnector) -> None:
        self._inner = inner
        self.refused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        if not self.refused and any(isinstance(write, Update) for write in batch):
            self.refused = True
            return [Refused(reason="locked", message="somebody works on it") for _ in batch]
        return self._inner.write(batch)


def one(pair: PairOfSystems) -> tuple[str, str]:
    """One partner on both sides, coupled; its two ids."""
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    run = pair.sync()
    assert run.state == "done"
    assert pair.store.couplings.count("partner", "active") == 1
    return crm, erp


def erp_phone(pair: PairOfSystems, erp: str) -> str | None:
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    found = [m["value"] for m in fields["contact_mechanisms"] if m["type"] == "phone"]
    return found[0] if found else None


def crm_value(pair: PairOfSystems, crm: str, name: str) -> object:
    fields = pair.crm_human.read("organisation", crm)
    assert fields is not None
    return fields[name]


def test_the_same_companies_are_coupled_and_a_second_run_writes_nothing(
    pair: PairOfSystems,
) -> None:
    fill_crm(pair.crm, 40)
    fill_erp(pair.erp, 40)
    first = pair.sync()
    assert first.state == "done", first.reasons
    assert pair.store.couplings.count("partner", "active") == 40
    assert pair.store.couplings.count("contact", "active") == 40
    second = pair.sync()
    assert second.counts["writes"] == 0
    assert second.counts["steps"] == {}


def test_an_erp_customer_without_a_match_is_made_in_the_crm(pair: PairOfSystems) -> None:
    fill_erp(pair.erp, 3)
    pair.sync()
    assert pair.store.couplings.count("partner", "active") == 3
    assert pair.store.couplings.count("contact", "active") == 3
    assert pair.sync().counts["writes"] == 0


def test_a_prospect_stays_out_of_the_erp_until_it_becomes_a_customer(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner, role="prospect"))
    pair.sync()
    assert pair.store.couplings.count("partner") == 0
    pair.crm_human.edit("organisation", crm, {"role": "customer"})
    pair.sync()
    assert pair.store.couplings.count("partner", "active") == 1


def test_a_change_travels_both_ways(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550100"})
    assert pair.sync().counts["writes"] == 1
    assert erp_phone(pair, erp) in ("+492215550100", "+49 221 5550100")
    pair.erp_human.edit("party", erp, {"name": "Renamed GmbH"})
    assert pair.sync().counts["writes"] == 1
    assert crm_value(pair, crm, "name") == "Renamed GmbH"
    assert pair.sync().counts["writes"] == 0


def erp_email(pair: PairOfSystems, erp: str) -> str:
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    return next(m["value"] for m in fields["contact_mechanisms"] if m["type"] == "email")


def set_erp_email(pair: PairOfSystems, erp: str, email: str) -> None:
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    ways = [
        {**m, "value": email} if m["type"] == "email" else m for m in fields["contact_mechanisms"]
    ]
    pair.erp_human.edit("party", erp, {"contact_mechanisms": ways})


def test_both_sides_changed_becomes_a_conflict_for_that_field_alone(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    pair.crm_human.edit("organisation", crm, {"email": "a@a.example", "phone": "+49 221 5550100"})
    set_erp_email(pair, erp, "b@b.example")
    pair.sync()
    assert crm_value(pair, crm, "email") == "a@a.example"
    assert erp_email(pair, erp) == "b@b.example"
    (conflict,) = pair.store.inbox.conflicts()
    assert conflict.field == "email"
    assert decode(conflict.values)[2:] == ["a@a.example", "b@b.example"]
    assert erp_phone(pair, erp) in ("+492215550100", "+49 221 5550100")
    assert pair.sync().counts["writes"] == 0
    hand.resolve(pair.store, conflict.id, "erp", by="test")
    assert pair.sync().counts["writes"] == 1
    assert crm_value(pair, crm, "email") == "b@b.example"
    assert pair.store.inbox.conflicts() == []
    assert pair.sync().counts["writes"] == 0


def test_an_edit_on_the_wrong_side_is_put_back_and_kept_as_a_notice(pair: PairOfSystems) -> None:
    crm, _ = one(pair)
    before = crm_value(pair, crm, "vat_id")
    pair.crm_human.edit("organisation", crm, {"vat_id": "DE136695976"})
    pair.sync()
    assert crm_value(pair, crm, "vat_id") == before
    (notice,) = pair.store.inbox.notices()
    assert notice.field == "tax_id"
    assert decode(notice.values)[0] == "DE136695976"


def killed_at(pair: PairOfSystems, boundary: str) -> None:
    """A sync that dies there."""

    def dies(name: str) -> None:
        if name == boundary:
            raise Interrupted

    pair.boundary = dies
    with pytest.raises(Interrupted):
        pair.sync()
    pair.boundary = no_boundary


def test_what_a_killed_write_replaced_is_told_though_an_edit_hides_the_write(
    pair: PairOfSystems,
) -> None:
    crm, erp = one(pair)
    pair.crm_human.edit("organisation", crm, {"vat_id": "DE136695976"})
    set_erp_email(pair, erp, "b@b.example")
    killed_at(pair, "written to crm")
    assert crm_value(pair, crm, "email") == "b@b.example"
    assert pair.store.inbox.notices() == []
    pair.crm_human.edit("organisation", crm, {"email": "c@c.example"})
    pair.sync()
    (notice,) = pair.store.inbox.notices()
    assert (notice.field, decode(notice.values)[0]) == ("tax_id", "DE136695976")
    assert pair.sync().counts["writes"] == 0
    assert len(pair.store.inbox.notices()) == 1


def test_a_killed_write_that_was_not_done_tells_what_it_replaces_once(
    pair: PairOfSystems,
) -> None:
    crm, _ = one(pair)
    pair.crm_human.edit("organisation", crm, {"vat_id": "DE136695976"})
    killed_at(pair, "intents journalled")
    pair.crm_human.edit("organisation", crm, {"email": "c@c.example"})
    pair.sync()
    assert [notice.field for notice in pair.store.inbox.notices()] == ["tax_id"]
    assert pair.sync().counts["writes"] == 0


def test_undo_puts_both_sides_back_and_the_next_run_leaves_it_so(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    old = erp_phone(pair, erp)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550100"})
    run = pair.sync()
    engine = pair.engine()
    undo = engine.undo(run.id)
    engine.apply(undo)
    assert erp_phone(pair, erp) == old
    assert pair.sync().counts["writes"] == 0
    assert erp_phone(pair, erp) == old


def test_undo_leaves_a_field_that_a_person_edited_since(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    pair.crm_human.edit("organisation", crm, {"name": "New GmbH", "phone": "+49 221 5550100"})
    run = pair.sync()
    pair.erp_human.edit("party", erp, {"name": "Mine GmbH"})
    engine = pair.engine()
    undo = engine.undo(run.id)
    engine.apply(undo)
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    assert fields["name"] == "Mine GmbH"
    assert erp_phone(pair, erp) != "+492215550100"


def test_a_plan_is_refused_when_the_world_moved_on(pair: PairOfSystems) -> None:
    crm, _ = one(pair)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550100"})
    engine = pair.engine()
    run = engine.plan()
    assert run.state == "ready"
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550199"})
    with pytest.raises(NeedsUser, match="out of date"):
        engine.apply(run)


def test_a_saved_plan_is_applied_exactly(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550100"})
    engine = pair.engine()
    run = engine.plan()
    assert pair.erp.row("party", erp).fields["name"]
    engine.apply(run)
    assert erp_phone(pair, erp) in ("+492215550100", "+49 221 5550100")
    assert pair.sync().counts["writes"] == 0


def test_a_deleted_record_parts_the_pair_and_the_survivor_stays(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    pair.crm_human.delete("organisation", crm)
    pair.sync()
    assert pair.erp_human.read("party", erp) is not None
    assert pair.store.couplings.count("partner", "parted") == 1
    pair.erp_human.edit("party", erp, {"name": "Still here GmbH"})
    pair.sync()
    assert len(pair.crm.table("organisation").rows) <= 1
    assert pair.store.couplings.count("partner", "active") == 0


def test_a_merge_in_a_system_is_followed(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    twin = pair.crm_human.create(
        "organisation", {**crm_fields(next(iter(partners(1)))), "role": "prospect"}
    )
    pair.sync()
    pair.crm_human.merge("organisation", crm, twin)
    pair.sync()
    coupled = pair.store.couplings.by_record("partner", "erp", [erp])[erp]
    assert coupled.crm_id == twin
    assert coupled.state == "active"


def test_many_deletes_hold_the_plan_for_a_person(pair: PairOfSystems) -> None:
    fill_crm(pair.crm, 60, contacts=0)
    fill_erp(pair.erp, 60, contacts=0)
    pair.sync()
    for row in list(pair.crm.table("organisation").rows)[:30]:
        pair.crm_human.delete("organisation", row)
    run = pair.sync()
    assert run.state == "held"
    assert pair.store.couplings.count("partner", "active") == 60
    engine = pair.engine()
    with pytest.raises(NeedsUser, match="held"):
        engine.apply(run)
    engine.apply(run, approve=True)
    assert pair.store.couplings.count("partner", "active") == 30


def test_a_record_that_fails_twice_goes_to_quarantine_and_the_rest_goes_on(
    pair: PairOfSystems,
) -> None:
    crm, _ = one(pair)
    good = pair.erp_human.create("party", erp_fields(list(partners(2))[1]))
    pair.crm_human.edit("organisation", crm, {"billing_country": "XX"})
    pair.sync()
    pair.sync()
    (entry,) = pair.store.inbox.quarantine()
    assert entry.record == crm
    assert "XX" in entry.reason
    assert pair.store.couplings.by_record("partner", "erp", [good])
    pair.crm_human.edit("organisation", crm, {"billing_country": "DE"})
    pair.sync()
    assert pair.store.inbox.quarantine() == []


def test_a_pair_can_be_broken_and_made_again_by_hand(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    (coupling,) = [row.id for row in pair.store.couplings.each("partner")]
    hand.part(pair.store, coupling, by="test", leave=True)
    pair.sync()
    assert pair.store.couplings.count("partner", "active") == 0
    for row in list(pair.store.couplings.each("partner")):
        hand.remake(pair.store, row.id, by="test")
    hand.make(pair.store, "partner", crm, erp, by="test")
    pair.sync()
    assert pair.store.couplings.by_record("partner", "crm", [crm])[crm].erp_id == erp


def test_one_of_two_writes_refused_leaves_no_false_conflict_and_loses_nothing(
    tmp_path: Path, store_template: Path
) -> None:
    pair = make_pair(tmp_path, store_template, crm=memory_crm(Behaviour(lossy=True)))
    crm, erp = one(pair)
    long = "Lange Straße der Vereinigten Werkstätten für Maschinenbau und Antriebstechnik 1234567"
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    address = {**fields["addresses"][0], "street": long * 2}
    pair.erp_human.edit("party", erp, {"addresses": [address]})
    pair.crm_human.edit("organisation", crm, {"email": "new@crm.example"})
    refusing = RefusingOnce(pair.connectors["erp"])
    pair.wrap = lambda name, inner: refusing if name == "erp" else inner
    pair.sync()
    assert refusing.refused
    assert erp_email(pair, erp) == "new@crm.example"
    assert pair.store.inbox.conflicts() == []
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    assert fields["addresses"][0]["street"] == long * 2
    assert pair.sync().counts["writes"] == 0


def test_a_conflict_is_asked_about_also_where_one_of_two_writes_is_refused(
    pair: PairOfSystems,
) -> None:
    crm, erp = one(pair)
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    ways = [
        {**way, "value": "+49 30 2222222"} if way["type"] == "phone" else way
        for way in fields["contact_mechanisms"]
    ]
    pair.erp_human.edit("party", erp, {"name": "Anders GmbH", "contact_mechanisms": ways})
    pair.crm_human.edit("organisation", crm, {"phone": "+49 30 1111111", "email": "n@crm.example"})
    refusing = RefusingOnce(pair.connectors["crm"])
    pair.wrap = lambda name, inner: refusing if name == "crm" else inner
    pair.sync()
    assert refusing.refused
    pair.sync()
    assert erp_email(pair, erp) == "n@crm.example"
    assert crm_value(pair, crm, "name") == "Anders GmbH"
    assert [conflict.field for conflict in pair.store.inbox.conflicts()] == ["phone"]
    assert "1111111" in str(crm_value(pair, crm, "phone"))
    assert "2222222" in str(erp_phone(pair, erp))


def test_a_conflict_keeps_the_values_from_before_it_began(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    before = erp_email(pair, erp)
    pair.crm_human.edit("organisation", crm, {"email": "a@a.example"})
    set_erp_email(pair, erp, "b@b.example")
    pair.sync()
    pair.crm_human.edit("organisation", crm, {"email": "c@a.example"})
    pair.sync()
    (conflict,) = pair.store.inbox.conflicts()
    assert decode(conflict.values) == [before, before, "c@a.example", "b@b.example"]
