"""One person's data: found, told whole, erased in both systems and in Koppel, or kept by law."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from typing import Any

import pytest
from django.db import connection

from koppel import cli
from koppel.cli.session import Session
from koppel.connectors.base import Connector, Gone, Refused
from koppel.engine import erasing
from koppel.errors import NeedsUser
from koppel.store.models import Coupling, Journal, Run
from koppel.store.people_models import Erasure, KeptReply
from koppel.store.personal import FATE, Subject
from koppel.store.retention import SHIPPED, Documents, kept, parse_retention
from koppel.store.seen_models import Bill
from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.pair import START, PairOfSystems

TODAY = date(2026, 11, 2)
NAME, MAIL, PHONE = "Xanthippe", "xanthippe.quast@example.org", "+4930901820999"


@pytest.fixture
def coupled(pair: PairOfSystems) -> PairOfSystems:
    """A company with one contact, Xanthippe Quast, who has left traces of every kind."""
    for one in partners(2):
        pair.crm_human.create("organisation", crm_fields(one))
        pair.erp_human.create("party", erp_fields(one))
    told = {"organisation": "1", "first_name": NAME, "last_name": "Quast", "email": MAIL}
    told |= {"phone": PHONE, "salutation": "mrs", "position": "Head"}
    pair.crm_human.create("contact", told)
    pair.sync()
    for email in ("one", "two"):
        pair.crm_human.edit("contact", "1", {"email": f"{email}.{MAIL}"})
        pair.sync()
    pair.crm_human.edit("contact", "1", {"position": "Chief, says the CRM"})
    pair.erp_human.edit("contact", "1", {"position": "Boss, says the ERP"})
    pair.sync()
    return pair


def subject(pair: PairOfSystems, entity: str = "contact", number: str = "1") -> Subject:
    found = pair.store.personal.subject(entity, "crm", number)
    assert found is not None
    return found


def cells() -> Iterator[tuple[str, str]]:
    """Every value of every table of the store, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in cursor.fetchall():
            if "_text" in table and table != "store_customer_text":
                continue
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                for value in row:
                    raw = bytes(value) if isinstance(value, memoryview | bytes) else None
                    yield table, raw.decode("utf-8", "replace") if raw is not None else str(value)


def traces(*words: str) -> set[str]:
    """Tables in which one of these words stands."""
    low = [word.casefold() for word in words]
    return {table for table, text in cells() if any(word in text.casefold() for word in low)}


def erase(pair: PairOfSystems, one: Subject) -> Erasure:
    engine = pair.engine()
    row = erasing.plan(engine, one, TODAY, user="anna")
    return erasing.carry_out(engine, row.id, user="berta")


def test_a_person_is_found_by_name_mail_and_number(coupled: PairOfSystems) -> None:
    for query in (NAME, "xanthippe"):
        (found,) = coupled.store.personal.find(query)
        assert (found.entity, dict(found.records)) == ("contact", {"crm": "1", "erp": "1"})
    with pytest.raises(NeedsUser, match="three letters"):
        coupled.store.personal.find("xa")


def test_an_export_holds_every_place_in_which_the_person_stands(coupled: PairOfSystems) -> None:
    trace = coupled.store.personal.gather(subject(coupled))
    counts = trace.counts()
    assert {"couplings", "journal", "steps", "conflicts", "copies"} <= counts.keys()
    tables = {row["table"] for rows in trace.rows.values() for row in rows if "table" in row}
    words = (NAME, MAIL, PHONE[3:])
    assert traces(*words) <= {f"store_{name}" for name in tables}
    assert MAIL in json.dumps(trace.rows["couplings"])
    assert json.dumps(trace.rows["journal"]).count(MAIL) >= 3


def test_a_plan_changes_nothing_and_holds_no_value(coupled: PairOfSystems) -> None:
    before = coupled.crm_human.read("contact", "1")
    row = erasing.plan(coupled.engine(), subject(coupled), TODAY, user="anna")
    assert coupled.crm_human.read("contact", "1") == before
    assert [(step["side"], step["does"]) for step in row.steps] == [
        ("crm", "erase"),
        ("erp", "erase"),
    ]
    assert {"email", "family_name", "phone"} <= set(row.steps[0]["fields"])
    assert MAIL not in json.dumps([row.steps, row.store, row.records])
    (line,) = coupled.store.audit_log.recent(1)
    assert (line.user, line.action) == ("anna", "plan erasure")


def test_an_approved_plan_erases_the_person_in_both_systems_and_here(
    coupled: PairOfSystems,
) -> None:
    writes = Journal.objects.count()
    KeptReply.objects.create(
        token=1, key="1", digest="", status=200, body=NAME.encode() + b" Quast", at=START
    )
    row = erase(coupled, subject(coupled))
    assert (row.state, row.approved_by, row.label) == ("done", "berta", f"Erased-{row.id}")
    assert [step["record_is"] for step in row.steps] == ["trashed", "trashed"]
    assert traces(NAME, "quast", MAIL, PHONE[3:], "says the") == set()
    for connector in coupled.connectors.values():
        found = connector.fetch("contact", ["1"])["1"]
        assert isinstance(found, Gone)
    kept = coupled.crm.tables["contact"].rows["1"].fields
    assert (kept["last_name"], kept["email"], kept["phone"]) == (f"Erased-{row.id}", None, None)
    assert Journal.objects.count() == writes
    assert coupled.store.audit_log.verify().faults == ()


def test_afterwards_the_next_sync_makes_nobody_anew_and_others_go_on(
    coupled: PairOfSystems,
) -> None:
    erase(coupled, subject(coupled))
    run = coupled.sync()
    assert run.state == "done"
    assert coupled.store.couplings.count("contact", "active") == 0
    assert traces(NAME, MAIL) == set()
    coupled.crm_human.edit("organisation", "2", {"email": "new@b.example"})
    assert coupled.sync().counts["writes"] == 1


def test_an_old_run_about_an_erased_person_can_still_be_looked_at_and_undone(
    coupled: PairOfSystems,
) -> None:
    runs = [run.id for run in Run.objects.all()]
    erase(coupled, subject(coupled))
    engine = coupled.engine()
    for number in runs:
        list(coupled.store.runs.steps(number))
        if Journal.objects.filter(run_id=number, entity="contact", state="done").exists():
            undo = engine.undo(number)
            assert all(
                s.entity != "contact" for page in coupled.store.runs.steps(undo) for s in page
            )


def test_carrying_it_out_again_after_a_crash_does_no_harm(coupled: PairOfSystems) -> None:
    class Killed(BaseException):
        pass

    class Dies:
        """Dies right after the first write."""

        def __init__(self, inner: Connector) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def write(self, batch: Any) -> Any:
            self.inner.write(batch)
            raise Killed

    engine = coupled.engine()
    row = erasing.plan(engine, subject(coupled), TODAY, user="anna")
    for side in ("crm", "erp"):
        whole = coupled.wrap
        coupled.wrap = lambda name, inner, side=side: Dies(inner) if name == side else inner
        with pytest.raises(Killed):
            erasing.carry_out(coupled.engine(), row.id, user="anna")
        coupled.wrap = whole
    done = erasing.carry_out(coupled.engine(), row.id, user="anna")
    assert done.state == "done"
    assert traces(NAME, MAIL, PHONE[3:]) == set()
    with pytest.raises(NeedsUser, match="is done"):
        erasing.carry_out(coupled.engine(), row.id, user="anna")


def test_a_record_that_others_hang_on_stays_without_a_name(coupled: PairOfSystems) -> None:
    """A company with contacts cannot be deleted."""
    one = subject(coupled, "partner")
    label = one.name
    row = erase(coupled, one)
    assert row.state == "done", row.steps
    assert [step["record_is"] for step in row.steps] == ["blank", "blank"]
    assert coupled.crm.row("organisation", "1").fields["name"] == f"Erased-{row.id}"
    party = coupled.erp.row("party", "1").fields
    assert party["name"] == f"Erased-{row.id}"
    assert not party["contact_mechanisms"]
    assert label not in str([coupled.crm.row("organisation", "1").fields, party])
    coupled.sync()
    assert Coupling.objects.filter(entity="partner", state="active").count() == 1
    assert {r.state for r in Coupling.objects.filter(label=f"Erased-{row.id}")} == {"parted"}


def bill(day: date) -> None:
    Bill.objects.create(
        record="1", party="1", number="R1", day=day, state="paid", read_at="2026-11-02T08:00Z"
    )


def test_what_tax_law_wants_kept_stays_with_its_date_and_the_rest_goes(
    coupled: PairOfSystems,
) -> None:
    bill(date(2020, 3, 1))
    engine = coupled.engine()
    row = erasing.plan(engine, subject(coupled, "partner"), TODAY, user="anna")
    crm, erp = row.steps
    assert (crm["does"], erp["does"], erp["until"]) == ("erase", "reduce", "2030-12-31")
    assert not {"name", "billing_address", "tax_id"} & set(erp["fields"])
    assert row.kept[0]["sort"] == "invoice"
    name = coupled.erp.row("party", "1").fields["name"]
    row = erasing.carry_out(engine, row.id, user="anna")
    party = coupled.erp.row("party", "1").fields
    assert party["name"] == name
    assert not party["contact_mechanisms"]
    assert party["addresses"]
    assert [step["record_is"] for step in row.steps] == ["blank", "reduced"]
    coupled.sync()
    assert name not in str(coupled.crm.row("organisation", "1").fields)


def test_an_invoice_older_than_the_years_keeps_nobody(coupled: PairOfSystems) -> None:
    bill(date(2015, 12, 31))
    row = erasing.plan(coupled.engine(), subject(coupled, "partner"), TODAY, user="anna")
    assert [step["does"] for step in row.steps] == ["erase", "erase"]


@pytest.mark.parametrize(
    ("day", "until"),
    [
        (date(2016, 1, 1), date(2026, 12, 31)),
        (date(2015, 12, 31), None),
        (None, date(2036, 12, 31)),
    ],
)
def test_years_count_from_the_end_of_the_documents_year(
    day: date | None, until: date | None
) -> None:
    found = kept(
        parse_retention(SHIPPED),
        [Documents(side="erp", kind="invoice", many=1, last=day)],
        TODAY,
    )
    assert [one.until for one in found] == ([until] if until else [])


@pytest.mark.parametrize(
    "text", ["[years]\nletter = 6", "[years]\ninvoice = -1", "[years]\ninvoice = 'ten'", "["]
)
def test_a_retention_document_with_a_fault_is_refused(text: str) -> None:
    with pytest.raises(NeedsUser):
        parse_retention(text)


def test_what_a_system_refuses_is_told_and_tried_again_later(coupled: PairOfSystems) -> None:
    class Refuses:
        def __init__(self, inner: Connector) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def write(self, batch: Any) -> Any:
            return [Refused(reason="forbidden", message="You may not.") for _ in batch]

    coupled.wrap = lambda name, inner: Refuses(inner) if name == "erp" else inner
    row = erase(coupled, subject(coupled))
    assert (row.state, row.steps[1]["said"]) == ("partly", "You may not. You may not.")
    assert traces(NAME, MAIL) == set()
    coupled.wrap = lambda name, inner: inner
    row = erasing.carry_out(coupled.engine(), row.id, user="anna")
    assert (row.state, row.steps[1]["record_is"]) == ("done", "trashed")


def test_a_rejected_plan_keeps_no_name_and_cannot_be_carried_out(coupled: PairOfSystems) -> None:
    row = erasing.plan(coupled.engine(), subject(coupled), TODAY, user="anna")
    erasing.reject(coupled.store, row, user="anna")
    assert Erasure.objects.get().label == ""
    with pytest.raises(NeedsUser, match="is rejected"):
        erasing.carry_out(coupled.engine(), row.id, user="anna")


def test_every_kind_of_row_has_a_fate_and_a_reason(coupled: PairOfSystems) -> None:
    assert set(coupled.store.personal.gather(subject(coupled)).rows) == set(FATE)
    assert all(why for _, why in FATE.values())


# commands


def test_commands_find_export_plan_and_approve(
    coupled: PairOfSystems, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Session, "store", lambda here: coupled.store)
    monkeypatch.setattr(Session, "engine", lambda here, text="": nullcontext(coupled.engine()))

    def koppel(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["koppel", "--user", "root", "person", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        assert not ended.value.code, told
        return told.out

    (found,) = json.loads(koppel("find", NAME, "--json"))
    assert found["records"] == {"crm": "1", "erp": "1"}
    assert MAIL in koppel("export", "contact", "crm", "1")
    assert "invoice = 10" in koppel("retention")
    row = json.loads(koppel("erase", "contact", "erp", "1", "--json"))
    assert row["state"] == "planned"
    assert "Erased-1" in koppel("approve", "1")
    assert json.loads(koppel("erasures", "--json"))[0]["state"] == "done"
    said = [(e.user, e.action) for e in coupled.store.audit_log.recent(4)]
    assert said == [
        ("root", "erase person"),
        ("root", "plan erasure"),
        ("root", "export person"),
        ("root", "find person"),
    ]
    assert traces(NAME, MAIL) == set()
