"""A rule or mapping is changed on its page: checked at once, and its effects are seen before."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.web_desk import Desk

RULE = "/setup/rules/partner"
MAPPING = "/setup/rules/partner/mapping/crm"


def posted(desk: Desk, path: str, **told: object) -> str:
    answer = desk.web.post(path, told, follow=True)
    return html.unescape(str(answer.content.decode()))


def text_in(page: str) -> str:
    found = re.search(r'<textarea name="text" hidden>(.*?)</textarea>', page, re.S)
    assert found is not None
    return found[1].removeprefix("\n")


def cells(page: str) -> list[list[str]]:
    """The rows of the first table of effects, without tags."""
    body = re.search(r"<tbody>(.*?)</tbody>", page, re.S)
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.S) if body else []
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.S)]
        for row in rows
    ]


# the rule


def test_a_rule_that_does_not_fit_the_systems_is_told_while_it_is_chosen(desk: Desk) -> None:
    page = posted(desk, f"{RULE}/check", **{"direction-roles": "both"})
    assert "fields.roles" in page
    assert "cannot write it" in page
    assert 'Write direction = "to_crm" for it' in page
    assert "Nothing is wrong" in posted(desk, f"{RULE}/check", **{"owner-email": "crm"})
    page = posted(desk, f"{RULE}/check", **{"match-couple": "often"})
    assert "match.couple" in page
    assert "must be a number" in page


def test_what_the_rule_creates_from_now_on_is_named_before_it_is_saved(desk: Desk) -> None:
    live = desk.pair.store.documents.get("rule", "partner") or ""
    posted(desk, f"{RULE}/change", **{"create-erp": "no", "create-crm": "no"})
    closed = text_in(posted(desk, f"{RULE}/change", **{"create-erp": "no", "create-crm": "no"}))
    posted(desk, f"{RULE}/change", text=closed, sure="1")
    new, third = list(partners(3))[1:]
    desk.pair.crm_human.create("organisation", crm_fields(new))
    desk.pair.erp_human.create("party", erp_fields(third))
    desk.press("/runs/sync")
    assert desk.pair.store.couplings.count("partner") == 1

    page = posted(desk, f"{RULE}/change", **{"create-erp": "yes"})
    assert "2 records without a partner were matched anew" in page
    assert [(row[0], row[1], row[3]) for row in cells(page)] == [(new.name, "would be made", "ERP")]
    assert desk.pair.store.couplings.count("partner") == 1
    posted(desk, f"{RULE}/change", text=text_in(page), sure="1")
    desk.press("/runs/sync")
    assert desk.pair.store.couplings.count("partner") == 2

    page = posted(desk, f"{RULE}/change", text=live)
    ((label, kind, _field, side, *_rest),) = cells(page)
    assert (kind, side) == ("would be made", "CRM")
    assert label.startswith(third.name)


@pytest.mark.parametrize(
    ("other", "waiting", "wanted"),
    [
        ({"name": "Anders Handel GmbH"}, 0, "a person would be asked whether they are the same"),
        ({"vat_id": "", "email": "", "website": ""}, 1, "would be coupled"),
    ],
)
def test_which_pairs_other_thresholds_would_couple_or_ask_about_is_named(
    desk: Desk, other: dict[str, str], waiting: int, wanted: str
) -> None:
    partner = list(partners(2))[1]
    shut = {"match-review": "0.99", "match-couple": "1", "create-crm": "no", "create-erp": "no"}
    text = text_in(posted(desk, f"{RULE}/change", **shut))
    posted(desk, f"{RULE}/change", text=text, sure="1")
    desk.pair.crm_human.create("organisation", crm_fields(replace(partner, **other)))
    desk.pair.erp_human.create("party", erp_fields(partner))
    desk.press("/runs/sync")
    assert len(desk.pair.store.inbox.reviews()) == waiting
    page = posted(desk, f"{RULE}/change", **{"match-review": "0,6", "match-couple": "0.9"})
    assert [row[1] for row in cells(page)] == [wanted]
    posted(desk, f"{RULE}/change", text=text_in(page), sure="1")
    desk.press("/runs/sync")
    coupled = desk.pair.store.couplings.count("partner", "active") - 1
    asked = len(desk.pair.store.inbox.reviews())
    assert (coupled, asked) == ((1, 0) if wanted == "would be coupled" else (0, 1))


def test_another_rule_about_deleted_records_is_told_in_words(desk: Desk) -> None:
    page = posted(desk, f"{RULE}/change", **{"delete-erp": "delete"})
    assert "until now: stays, and the pair ends – then: is deleted, too" in page
    assert 'erp = "delete"' in text_in(page)


# the mapping


def option(desk: Desk, field: str, **told: str) -> dict[str, str]:
    """The form of a field as it stands, with some of it changed."""
    page = html.unescape(desk.see(f"{MAPPING}/fields/{field}"))
    native = re.search(r'name="native" value="([^"]*)"', page)
    lens = re.search(r'name="lens" value="([^"]*)"', page)
    assert native
    assert lens
    form = {"does": "field", "field": field, "native": native[1], "lens": lens[1]}
    for name, body in re.findall(r'<textarea[^>]* name="(option-\w+)"[^>]*>(.*?)<', page, re.S):
        form[name] = body
    for name, body in re.findall(r'<select[^>]* name="(option-\w+)"[^>]*>(.*?)</select>', page):
        chosen = re.search(r"<option selected>(\w+)", body)
        form[name] = chosen[1] if chosen else ""
    return form | told


def test_a_parameter_of_a_lens_is_changed_and_what_reads_otherwise_is_named(desk: Desk) -> None:
    desk.edit_crm(name="Muster AG")
    form = option(desk, "name", **{"option-case": "upper"})
    assert "Nothing is wrong" in posted(desk, f"{MAPPING}/check", **form)
    page = posted(desk, f"{MAPPING}/change", **form)
    assert '+case = "upper"' in page
    kinds = {row[1] for row in cells(page)}
    assert "reads otherwise" in kinds
    assert desk.pair.store.documents.versions("overlay", "crm/partner") == []
    page = posted(desk, f"{MAPPING}/change", text=text_in(page), sure="1")
    assert "Saved as version 1" in page
    assert "changed here" in page
    assert desk.pair.store.audit_log.recent()[0].action == "change mapping"
    desk.press("/runs/sync")

    back = posted(desk, f"{MAPPING}/change", does="shipped", field="name")
    posted(desk, f"{MAPPING}/change", text=text_in(back), sure="1")
    assert "changed here" not in desk.see(MAPPING)
    assert "case" in desk.see(f"{MAPPING}/versions/1")


def test_a_form_that_was_not_touched_changes_nothing(desk: Desk) -> None:
    for field in ("name", "phone", "billing_address", "roles"):
        page = posted(desk, f"{MAPPING}/change", **option(desk, field))
        assert "Nothing was changed" in page, field


@pytest.mark.parametrize(
    ("told", "place", "said"),
    [
        ({"native": "nmae"}, "fields.name.native", "has no field 'nmae'"),
        ({"lens": "spyglass"}, "fields.name.lens", "there is no lens"),
        ({"lens": "decimal"}, "fields.name.lens", "which name cannot hold"),
        ({"more-name": "colour", "more-value": '"red"'}, "fields.name.colour", "no such option"),
        ({"option-case": "sideways"}, "fields.name.case", "is not known here"),
    ],
)
def test_a_mapping_with_a_fault_is_told_with_place_and_remedy_and_not_kept(
    desk: Desk, told: dict[str, str], place: str, said: str
) -> None:
    form = option(desk, "name", **told)
    for page in (
        posted(desk, f"{MAPPING}/check", **form),
        posted(desk, f"{MAPPING}/change", **form),
    ):
        assert place in page
        assert said in page
    posted(desk, f"{MAPPING}/change", **form, sure="1")
    assert desk.pair.store.documents.versions("overlay", "crm/partner") == []


def test_a_field_that_a_system_requires_cannot_be_taken_out(desk: Desk) -> None:
    page = posted(desk, f"{MAPPING}/change", does="remove", field="name")
    assert "required" in page
    page = posted(desk, f"{MAPPING}/change", does="remove", field="fax")
    assert 'remove = ["fax"]' in text_in(page)
