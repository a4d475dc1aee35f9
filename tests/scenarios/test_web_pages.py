"""What a person does on the pages: decide, approve, undo, press; and what the systems hold then."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model
from django.template.loader import render_to_string
from django.test import Client
from pypdf import PdfReader

from koppel.config import now
from koppel.engine.errand import Errand
from koppel.model import Ref
from koppel.processes.settings import shipped_settings
from koppel.store.codec import encode
from koppel.store.models import Journal, Run
from koppel.store.order_models import OrderLink
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.web import errands
from tests.scenarios.web_desk import Desk, until


def conflict(desk: Desk) -> int:
    """Both sides change the mail; its number in the inbox."""
    desk.edit_crm(email="crm@a.example")
    desk.edit_erp("erp@a.example")
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    (row,) = desk.pair.store.inbox.conflicts()
    return int(row.id)


def test_the_button_brings_one_record_across_and_tells_each_field(desk: Desk) -> None:
    desk.edit_crm(email="new@a.example")
    page = desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    assert desk.erp_emails() == ["new@a.example"]
    assert "One field was brought into step" in page
    assert "new@a.example" in page
    assert "nothing to write" in desk.press(f"/records/partner/crm/{desk.crm}/synchronise")


def test_an_errand_that_ends_while_its_page_is_made_is_still_under_way_there(desk: Desk) -> None:
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    errand = Errand(lambda engine: None, "anna", "Synchronise")
    context = errands.told(errand)
    errand.result = Run.objects.latest("id")
    errand.done.set()
    assert f'hx-get="/errands/{errand.id}"' in render_to_string("web/parts/errand.html", context)
    page = render_to_string("web/parts/errand.html", errands.told(errand))
    assert "nothing to write" in page
    assert "hx-get" not in page


def test_what_an_errand_of_somebody_else_is_about_is_not_told(desk: Desk) -> None:
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    (errand,) = desk.watch.errands._all
    desk.pair.store.people.add("ben", "a password of five words", ["administrator"])
    other = Client(SERVER_NAME="127.0.0.1")
    other.force_login(get_user_model().objects.get(username="ben"))
    assert other.get(f"/errands/{errand}").status_code == 404


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"choice": "crm"}, "crm@a.example"),
        ({"choice": "erp"}, "erp@a.example"),
        ({"choice": "value", "value": "third@a.example"}, "third@a.example"),
    ],
)
def test_a_conflict_is_decided_for_one_side_or_a_third_value(
    desk: Desk, told: dict[str, str], wanted: str
) -> None:
    number = conflict(desk)
    page = desk.see("/inbox/conflicts")
    assert "crm@a.example" in page
    assert "erp@a.example" in page
    assert "it is being written now" in desk.press(f"/inbox/conflicts/{number}", **told)
    until(lambda: (desk.crm_email(), desk.erp_emails()) == (wanted, [wanted]))
    assert "No conflict waits" in desk.see("/inbox/conflicts")


def test_many_conflicts_are_decided_at_once_after_a_preview(desk: Desk) -> None:
    number = conflict(desk)
    told = {"choice": "erp", "conflict": [number]}
    page = desk.press("/inbox/conflicts/resolve", **told)
    assert "This would be written" in page
    assert desk.crm_email() == "crm@a.example"
    desk.press("/inbox/conflicts/resolve", **told, sure="1")
    until(lambda: desk.crm_email() == "erp@a.example")


def test_a_run_is_taken_back_after_its_plan_was_shown(desk: Desk) -> None:
    before = desk.erp_emails()
    desk.edit_crm(email="wrong@a.example")
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    number = Run.objects.order_by("-id").values_list("id", flat=True)[0]
    page = desk.press(f"/runs/{number}/undo")
    assert "Carry it out" in page
    assert desk.erp_emails() == ["wrong@a.example"]
    undo = Run.objects.order_by("-id")[0]
    desk.pair.store.runs.supersede(Run.objects.create(kind="sync", state="ready", started_at=now()))
    desk.press(f"/runs/{undo.id}/apply")
    assert desk.erp_emails() == before
    assert "taken back by" in desk.see(f"/runs/{number}")


def test_a_held_plan_is_rejected_or_approved_by_a_button(desk: Desk) -> None:
    for partner in list(partners(40))[1:]:
        desk.pair.crm_human.create("organisation", crm_fields(partner))
        desk.pair.erp_human.create("party", erp_fields(partner))
    desk.press("/runs/sync")
    for row in list(desk.pair.crm.table("organisation").rows)[:25]:
        desk.pair.crm_human.delete("organisation", row)
    page = desk.press("/runs/sync")
    assert "Held for a person" in page
    held = desk.pair.store.runs.held()
    assert held is not None
    assert f"/runs/{held.id}" in desk.see("/inbox/plans")
    assert "Rejected; nothing was written" in desk.press(f"/runs/{held.id}/reject")
    assert desk.pair.store.runs.held() is None
    desk.press("/runs/sync")
    held = desk.pair.store.runs.held()
    assert held is not None
    desk.press(f"/runs/{held.id}/apply")
    assert desk.pair.store.couplings.count("partner", "active") == 15
    said = [(e.user, e.action) for e in desk.pair.store.audit_log.recent(20)]
    assert ("anna", "approve") in said
    assert ("anna", "reject") in said


def test_a_proposed_pair_is_answered_and_coupled(desk: Desk) -> None:
    partner = list(partners(2))[1]
    unlike = replace(partner, vat_id="", phone="", email="", website="", street="Elsewhere 1")
    crm = desk.pair.crm_human.create("organisation", crm_fields(unlike))
    erp = desk.pair.erp_human.create("party", erp_fields(partner))
    desk.pair.store.inbox.propose("partner", crm, erp, score=0.7, reasons=["same name"])
    (row,) = desk.pair.store.inbox.reviews()
    assert "70%" in desk.see("/inbox/matches")
    assert "Put off" in desk.press(f"/inbox/matches/{row.id}", says="later")
    desk.press(f"/inbox/matches/{row.id}", says="same")
    couplings = desk.pair.store.couplings
    until(lambda: couplings.by_record("partner", "crm", [crm]).get(crm) is not None)
    assert couplings.by_record("partner", "crm", [crm])[crm].erp_id == erp


def test_what_is_in_quarantine_is_told_in_words_and_tried_again(desk: Desk) -> None:
    store = desk.pair.store
    for _ in range(2):
        store.inbox.failed("partner", "crm", desk.crm, label="Muster", reason="The name is empty.")
    page = desk.see("/inbox/quarantine")
    assert "The name is empty." in page
    (entry,) = store.inbox.quarantine()
    assert "tried again" in desk.press("/inbox/quarantine/release", entry=entry.id)
    assert store.inbox.quarantine() == []


def test_a_record_shows_both_sides_and_its_history(desk: Desk) -> None:
    desk.edit_crm(email="new@a.example")
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    page = desk.see(f"/records/partner/crm/{desk.crm}")
    assert page.count("new@a.example") >= 3
    assert "{&#x27;" not in page
    name = desk.pair.crm.row("organisation", desk.crm).fields["name"]
    assert "new@a.example" in desk.see("/journal", q=name)
    assert "Nothing was written yet" in desk.see("/journal", q="no such record")
    looks = [(e.action, e.subject) for e in desk.pair.store.audit_log.recent(5)]
    assert ("list", "/journal") in looks


def test_what_a_value_refers_to_is_told_by_name_to_those_who_may_see_it(desk: Desk) -> None:
    desk.edit_crm(email="new@a.example")
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    (partner,) = desk.pair.store.couplings.by_record("partner", "crm", [desk.crm]).values()
    here, elsewhere = Ref("partner", partner.id), Ref("partner", native="A-77")
    # As if of a contact: which field of whom it was makes no difference here.
    Journal.objects.update(entity="contact", changes=encode([["x", elsewhere, here, "crm", "y"]]))
    people = desk.pair.store.people
    people.set_rights("contacts only", [("view", "contact")])
    people.add("cora", "a password of five words", ["contacts only"])
    for who, told in (("anna", partner.label), ("cora", f"Partner {partner.id:.8}")):
        desk.web.force_login(get_user_model().objects.get(username=who))
        page = desk.see("/journal", entity="contact")
        assert f'<td class="new">{told}</td>' in page
        assert '<td class="old">Partner A-77</td>' in page


def test_the_first_page_tells_what_waits_and_that_a_system_is_away(desk: Desk) -> None:
    assert "Nothing. Koppel works on its own." in desk.see("/")
    conflict(desk)
    desk.pair.store.connections.away("erp")
    page = desk.see("/")
    assert "1 field was changed in both systems" in page
    assert "does not answer" in page


def test_a_viewer_sees_no_button(desk: Desk) -> None:
    number = conflict(desk)
    desk.pair.store.people.add("vera", "a password of five words", ["viewer"])
    desk.web.force_login(get_user_model().objects.get(username="vera"))
    page = desk.see("/inbox/conflicts")
    assert "crm@a.example" in page
    assert "Take the CRM" not in page
    assert desk.web.post(f"/inbox/conflicts/{number}", {"choice": "crm"}).status_code == 403


def test_many_pairs_are_answered_at_once_after_a_look_at_them(desk: Desk) -> None:
    store = desk.pair.store
    for number, partner in enumerate(list(partners(4))[1:], start=1):
        unlike = replace(partner, name=f"Anders {number}", vat_id="", street="Elsewhere 1")
        crm = desk.pair.crm_human.create("organisation", crm_fields(unlike))
        erp = desk.pair.erp_human.create("party", erp_fields(partner))
        store.inbox.propose("partner", crm, erp, score=0.7, reasons=["same town"])
    rows = store.inbox.reviews()
    told = {"says": "same", "pair": [row.id for row in rows[:2]]}
    page = desk.press("/inbox/matches/answer", **told)
    assert "These 2 pairs would be coupled" in page
    assert len(store.inbox.reviews()) == 3
    assert "2 pairs are answered" in desk.press("/inbox/matches/answer", **told, sure="1")
    assert [row.id for row in store.inbox.reviews()] == [rows[2].id]
    couplings = store.couplings
    until(lambda: couplings.by_record("partner", "crm", [rows[0].crm_id]))
    assert "tick the pairs first" in desk.press("/inbox/matches/answer", says="same")
    told = {"says": "different", "pair": [rows[2].id]}
    assert "This pair would stay apart" in desk.press("/inbox/matches/answer", **told)


def test_a_change_request_waits_in_the_inbox_until_a_clerk_has_seen_to_it(desk: Desk) -> None:
    note = (
        "Change request: the CRM says otherwise (quantity 5 instead of 3), and the order is "
        "confirmed in the ERP. A clerk decides there."
    )
    row = OrderLink.objects.create(
        id="a" * 32, key="crm/7", number="SO-7", note=note, seen_at=now(), changed_at=now()
    )
    OrderLink.objects.create(
        id="b" * 32, key="crm/8", note="Put back.", seen_at=now(), changed_at=now()
    )
    assert "1 order was changed in the CRM too late" in desk.see("/")
    page = desk.see("/inbox/changes")
    assert "SO-7" in page
    assert "quantity 5 instead of 3" in page
    assert page.count("data-card") == 1
    assert "1 change requests are done" in desk.press("/inbox/changes/done", order=row.id)
    assert "No change request waits" in desk.see("/inbox/changes")
    assert desk.pair.store.audit_log.recent(1)[0].action == "change request done"
    assert "waits for nobody" in desk.press("/inbox/changes/done", order=row.id)


# set-up


def form_of(page: str) -> dict[str, str]:
    """The choices of the matrix as they stand."""
    told = {}
    for name, body in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', body)
        told[name] = chosen[1] if chosen else ""
    return told


def test_a_changed_owner_is_previewed_saved_and_rolled_back(desk: Desk) -> None:
    number = conflict(desk)
    documents = desk.pair.store.documents
    live = documents.get("rule", "partner")
    told = {**form_of(desk.see("/setup/rules/partner")), "owner-email": "crm"}
    page = desk.press("/setup/rules/partner/change", **told)
    assert "1 coupled pair was looked at" in page
    assert "crm@a.example" in page
    assert "at once" in page
    assert documents.get("rule", "partner") == live
    text = re.search(r'<textarea name="text" hidden>(.*?)</textarea>', page, re.S)
    assert text is not None
    changed = text[1].replace("&quot;", '"').replace("&#x27;", "'").replace("&gt;", ">")
    assert "Saved as version 2" in desk.press("/setup/rules/partner/change", text=changed, sure="1")
    desk.press("/runs/sync")
    assert desk.erp_emails() == ["crm@a.example"]
    assert desk.pair.store.inbox.conflict(number).state == "closed"
    assert "Roll back" in desk.see("/setup/rules/partner/versions/1")
    desk.press("/setup/rules/partner/change", text=live, sure="1")
    assert documents.get("rule", "partner") == live
    assert len(documents.versions("rule", "partner")) == 3


def test_a_rule_with_a_fault_is_not_saved_and_the_fault_is_told(desk: Desk) -> None:
    live = desk.pair.store.documents.get("rule", "partner") or ""
    broken = live.replace('email = { owner = "shared"', 'emial = { owner = "shared"')
    page = desk.press("/setup/rules/partner/change", text=broken, sure="1")
    assert "This cannot be used" in page
    assert "emial" in page
    assert desk.pair.store.documents.get("rule", "partner") == live


def test_what_is_not_touched_in_the_matrix_stays_as_it_is_written(desk: Desk) -> None:
    told = form_of(desk.see("/setup/rules/partner"))
    assert "Nothing was changed" in desk.press("/setup/rules/partner/change", **told)


def test_a_connection_is_checked_and_described(desk: Desk) -> None:
    assert "✓" in desk.press("/setup/connections/crm/check")
    assert "billing_city" in desk.see("/setup/connections/crm", resource="organisation")


def test_the_interface_documentation_tells_what_is_live(desk: Desk) -> None:
    assert "billing_city" in desk.see("/setup/interface")
    answer = desk.web.get("/setup/interface", {"as": "markdown"})
    text = answer.content.decode()
    assert answer.headers["Content-Type"].startswith("text/markdown")
    assert "| E-mail (`email`) |" in text
    assert "| Confirmation (`confirmation`) | Koppel, by itself |" in text
    assert "<" not in text


def test_the_interface_documentation_is_a_pdf_with_its_umlauts(desk: Desk) -> None:
    desk.web.cookies["koppel_language"] = "de"
    answer = desk.web.get("/setup/interface", {"as": "pdf"})
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    reader = PdfReader(io.BytesIO(answer.content))
    text = " ".join(page.extract_text() for page in reader.pages)
    assert "Eigentümer" in text
    assert "Welcher Schritt wo läuft" in text
    assert "CRM: crm (memory) ⇄ ERP: erp (memory)" in text
    assert "billing_city" in text


def test_the_setup_says_which_step_runs_where_and_what_follows(desk: Desk) -> None:
    page = desk.see("/setup")
    assert "Koppel confirms the order in the ERP as soon as the totals agree." in page
    text = shipped_settings().replace('confirmation = "koppel"', 'confirmation = "erp"')
    desk.pair.store.documents.put("process", "order", text)
    desk.web.cookies["koppel_language"] = "de"
    page = desk.see("/setup")
    assert "Der Auftrag wartet als Angebot" in page
    broken = text.replace('invoice = "erp"', 'invoice = "crm"')
    desk.pair.store.documents.put("process", "order", broken)
    assert "&#x27;invoice&#x27; cannot run in &#x27;crm&#x27;" in desk.see("/setup")


def test_users_and_roles_are_changed_on_the_page(desk: Desk) -> None:
    told = {"name": "ben", "password": "a password of five words", "does": "add", "role": "clerk"}
    assert "Done: ben" in desk.press("/setup/users/change", **told)
    desk.press("/setup/users/change", name="ben", does="roles", role="viewer")
    assert desk.pair.store.people.get("ben").roles == ("viewer",)
    assert "last administrator" in desk.press("/setup/users/change", name="anna", does="remove")
    desk.press("/setup/roles/change", role="partners", right=["view:partner", "decide:partner"])
    assert desk.pair.store.people.roles()["partners"] == {
        ("view", "partner"),
        ("decide", "partner"),
    }
    page = desk.see("/setup/audit-log", verify="1")
    assert "hold together" in page
    assert "<td>added a user</td><td>ben</td>" in page


def test_pages_find_export_plan_and_approve_and_log_every_look(desk: Desk) -> None:
    pair, mail = desk.pair, "x.quast@example.org"
    told = {
        "organisation": desk.crm,
        "last_name": "Quast",
        "first_name": "Xanthippe",
        "email": mail,
    }
    number = pair.crm_human.create("contact", told)
    desk.press("/runs/sync")
    assert "Quast" in desk.press("/persons", q="Xanthippe")
    place = f"/persons/contact/crm/{number}"
    page = desk.see(place)
    assert "loses every value" in page
    assert mail in desk.press(f"{place}/export")
    assert "is planned" in desk.press(f"{place}/erase")
    page = desk.see("/persons/erasures/1")
    assert "blank every field, then delete" in page
    assert "erased" in desk.press("/persons/erasures/1/approve")
    assert "Erased-1" in desk.see("/persons/erasures/1")
    assert pair.store.personal.find("Xanthippe") == []
    said = [e.action for e in pair.store.audit_log.recent(30)]
    assert {"find person", "see", "export person", "plan erasure", "erase person"} <= set(said)
