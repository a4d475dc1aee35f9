"""The audit finds what people changed behind Koppel's back, all of it, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from koppel.connectors.base import Outcome, Refused, Update, Write
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour
from koppel.engine.audit import Auditor, EntityAudit, selection
from koppel.errors import TryLater
from koppel.testing.generated import (
    contact_fields,
    crm_fields,
    erp_fields,
    fill_crm,
    fill_erp,
    memory_erp,
    partners,
)
from tests.scenarios.pair import PairOfSystems, make_pair

MANY = 400


def audit(pair: PairOfSystems, *entities: str) -> list[EntityAudit]:
    """An audit by a new engine; it writes to neither system."""
    engine = pair.engine()
    calls = {side: pair.connectors[side].calls["write"] for side in ("crm", "erp")}
    auditor = Auditor(engine.store, engine.lines, progress=lambda what, many: None)
    found = auditor.audit(entities or None)
    assert {side: pair.connectors[side].calls["write"] for side in ("crm", "erp")} == calls
    return found


def fetches(pair: PairOfSystems) -> int:
    return sum(pair.connectors[side].calls["fetch"] for side in ("crm", "erp"))


@pytest.fixture
def filled(pair: PairOfSystems) -> PairOfSystems:
    """Four hundred partners in both systems, coupled and in step."""
    fill_crm(pair.crm, MANY, contacts=0)
    fill_erp(pair.erp, MANY, contacts=0)
    run = pair.sync()
    if run.state == "held":
        run = pair.engine().apply(run, approve=True)
    assert run.state == "done"
    assert pair.store.couplings.count("partner", "active") == MANY
    return pair


def test_a_pair_in_step_is_proved_without_its_content(filled: PairOfSystems) -> None:
    audit(filled)
    before = fetches(filled)
    partner, contact = audit(filled)
    assert (partner.in_step, contact.in_step) == (True, True)
    assert partner.equal == partner.unmoved == partner.couplings == MANY
    assert fetches(filled) == before


def test_every_one_of_200_edits_is_found_and_nothing_else(filled: PairOfSystems) -> None:
    chance = random.Random(6)
    rows = list(filled.store.couplings.each("partner"))
    chosen = chance.sample(rows, 240)
    planted = chosen[:200]
    for place, row in enumerate(planted):
        assert row.crm_id is not None
        assert row.erp_id is not None
        match place % 4:
            case 0:
                fields: dict[str, Any] = {"phone": f"+49 30 555{place:04}"}
                filled.crm_human.edit("organisation", row.crm_id, fields)
            case 1:
                filled.crm_human.edit("organisation", row.crm_id, {"billing_city": f"Ort {place}"})
            case 2:
                filled.erp_human.edit("party", row.erp_id, {"name": f"Renamed {place} AG"})
            case _:
                read = filled.erp_human.read("party", row.erp_id)
                assert read is not None
                kept = [m for m in read["contact_mechanisms"] if m["type"] != "email"]
                kept.append({"type": "email", "value": f"new{place}@partner.example"})
                filled.erp_human.edit("party", row.erp_id, {"contact_mechanisms": kept})
    # These touch a record without changing anything that travels.
    for row in chosen[200:]:
        filled.erp_human.edit("party", str(row.erp_id), {"dunning_procedure": "friendly"})
    partner, contact = audit(filled)
    assert {one.coupling for one in partner.findings} == {row.id for row in planted}
    assert {one.verdict for one in partner.findings} == {"drifted"}
    assert partner.equal == MANY - 200
    assert contact.in_step
    assert all(one.fields and one.cause for one in partner.findings)
    assert all("edited in the" in one.cause for one in partner.findings)
    assert {one.because for one in partner.findings} == {"edited"}


def test_a_repaired_pair_is_in_step(filled: PairOfSystems) -> None:
    rows = list(filled.store.couplings.each("partner"))
    for row in rows[:5]:
        filled.crm_human.edit("organisation", str(row.crm_id), {"phone": f"+49 40 {row.crm_id}"})
    filled.erp_human.edit("party", str(rows[6].erp_id), {"name": "Renamed AG"})
    engine = filled.engine()
    run = engine.plan(selection=selection(audit(filled)), trigger="audit")
    assert engine.store.runs.count_steps(run)["update"] == 6
    assert engine.apply(run).state == "done"
    assert all(one.in_step for one in audit(filled))


def test_new_gone_and_asked_records_are_told_apart(filled: PairOfSystems) -> None:
    rows = list(filled.store.couplings.each("partner"))
    filled.crm_human.trash("organisation", str(rows[0].crm_id))
    filled.erp_human.delete("party", str(rows[1].erp_id))
    new = next(iter(partners(1, seed=77)))
    record = filled.crm_human.create("organisation", crm_fields(new))
    filled.crm_human.edit("organisation", str(rows[2].crm_id), {"phone": "+49 30 5550001"})
    read = filled.erp_human.read("party", str(rows[2].erp_id))
    assert read is not None
    phones = [m for m in read["contact_mechanisms"] if m["type"] != "phone"]
    phones.append({"type": "phone", "value": "+49 30 5550002"})
    filled.erp_human.edit("party", str(rows[2].erp_id), {"contact_mechanisms": phones})
    partner = audit(filled, "partner")[0]
    verdicts = {one.coupling: (one.verdict, one.cause) for one in partner.findings}
    assert verdicts[rows[0].id] == ("orphaned", "in the trash in the CRM")
    assert verdicts[rows[1].id] == ("orphaned", "in the trash in the ERP")
    assert verdicts[rows[2].id][0] == "drifted"
    assert partner.new["crm"] == [record]
    filled.sync()
    partner = audit(filled, "partner")[0]
    assert [(one.verdict, one.cause) for one in partner.findings] == [
        ("conflict", "a conflict waits for a person")
    ]
    assert selection([partner]) == {}


def test_what_a_system_cuts_is_told_but_is_no_drift(tmp_path: Path, store_template: Path) -> None:
    pair = make_pair(
        tmp_path,
        store_template,
        entities=("partner",),
        erp=memory_erp(Behaviour(lossy=True, upper=frozenset({"party.name"}))),
    )
    partner = next(iter(partners(1)))
    pair.crm_human.create("organisation", crm_fields(partner))
    pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    found = audit(pair)[0]
    assert found.couplings == 1
    assert found.in_step


class Cutting:
    """A connector to a system that keeps forty characters of a name and tells nobody."""

    def __init__(self, inner: MemoryConnector) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        cut = []
        for write in batch:
            assert isinstance(write, Update)
            fields = {**write.fields, "name": write.fields["name"][:40]}
            cut.append(structs.replace(write, fields=fields))
        return self._inner.write(cut)


def test_a_value_that_a_system_cuts_is_named_as_truncated(pair: PairOfSystems) -> None:
    partner = next(iter(partners(1)))
    pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    cutting = Cutting(pair.connectors["crm"])
    pair.wrap = lambda name, inner: cutting if name == "crm" else inner  # type: ignore[assignment,return-value]
    pair.erp_human.edit("party", erp, {"name": f"{partner.name} " + "x" * 50})
    pair.sync()
    found = audit(pair, "partner")[0]
    assert found.in_step
    (kept,) = found.kept
    assert (kept.field, kept.truncated) == ("name", True)
    assert "cut after 40 characters" in kept.why


def test_a_contacts_national_phone_is_read_as_its_partners_country_says(
    pair: PairOfSystems,
) -> None:
    partner = next(one for one in partners(20) if one.country == "DE")
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    person = contact_fields(partner.contacts[0], "organisation", crm)
    pair.crm_human.create("contact", {**person, "phone": "0221 5550001"})
    person = contact_fields(partner.contacts[0], "party", erp)
    pair.erp_human.create("contact", {**person, "phone": "+49 221 5550001"})
    pair.sync()
    contact = audit(pair)[1]
    assert contact.couplings == contact.equal == 1
    assert contact.kept == []


class Refusing:
    """A connector that refuses every update, as a system with a strict check would."""

    def __init__(self, inner: MemoryConnector) -> None:
        self._inner = inner
        self.on = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        if self.on and any(isinstance(write, Update) for write in batch):
            return [Refused(reason="invalid", message="the phone is too long") for _ in batch]
        return self._inner.write(batch)


def test_a_refused_value_is_named_as_the_cause(pair: PairOfSystems) -> None:
    strict = Refusing(pair.connectors["erp"])
    pair.wrap = lambda name, inner: strict if name == "erp" else inner  # type: ignore[assignment]
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    strict.on = True
    pair.crm_human.edit("organisation", crm, {"phone": "+49 30 5550003"})
    for _ in range(2):
        pair.sync()
    finding = audit(pair, "partner")[0].findings[0]
    assert (finding.verdict, finding.because) == ("drifted", "refused")
    assert "the phone is too long" in finding.cause


def test_an_audit_of_a_system_that_is_away_says_so(filled: PairOfSystems) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            return getattr(filled.connectors["erp"], name)

        def ids(self, resource: str, page: str | None = None) -> Any:
            raise TryLater("the ERP does not answer", after=5)

    filled.wrap = lambda name, inner: Away() if name == "erp" else inner  # type: ignore[assignment]
    with pytest.raises(TryLater, match="does not answer"):
        audit(filled)
