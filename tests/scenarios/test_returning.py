"""A record comes back after its pair was over: it finds its partner, and nobody is there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from koppel.engine import hand
from koppel.errors import NeedsUser
from koppel.mapping.document import default_rule
from koppel.store.models import Former
from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.pair import PairOfSystems, make_pair


@pytest.fixture
def pair(tmp_path: Path, store_template: Path) -> PairOfSystems:
    return make_pair(tmp_path, store_template, entities=("partner",))


def one(pair: PairOfSystems) -> tuple[str, str]:
    """One partner on both sides, coupled; its two ids."""
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    assert active(pair) == [(crm, erp)]
    return crm, erp


def active(pair: PairOfSystems) -> list[tuple[Any, Any]]:
    rows = pair.store.couplings.each("partner")
    return [(row.crm_id, row.erp_id) for row in rows if row.state == "active"]


def rename(pair: PairOfSystems, erp: str) -> None:
    """Under another name hardly anything tells who it is: matching would take it for a new one."""
    pair.erp_human.edit("party", erp, {"name": "Zwölf Monde Gesellschaft"})


def living(pair: PairOfSystems) -> tuple[int, int]:
    return (
        len(list(pair.crm.table("organisation").living())),
        len(list(pair.erp.table("party").living())),
    )


def crm_name(pair: PairOfSystems, crm: str) -> Any:
    fields = pair.crm_human.read("organisation", crm)
    assert fields is not None
    return fields["name"]


def settled(pair: PairOfSystems) -> None:
    pair.sync()
    assert pair.sync().counts["writes"] == 0


def decided(pair: PairOfSystems, choice: str) -> tuple[str, str]:
    """The party is renamed and trashed, the CRM edited, and a person decides what becomes of it."""
    crm, erp = one(pair)
    rename(pair, erp)
    pair.erp_human.trash("party", erp)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550199"})
    pair.sync()
    (conflict,) = pair.store.inbox.conflicts()
    hand.resolve(pair.store, conflict.id, choice, by="anna")
    return crm, erp


def test_a_renamed_record_out_of_the_trash_is_with_its_partner_again(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    rename(pair, erp)
    pair.erp_human.trash("party", erp)
    pair.sync()
    (parted,) = pair.store.couplings.each("partner")
    assert (parted.state, parted.crm_id, parted.erp_id) == ("parted", crm, None)
    pair.erp_human.restore("party", erp)
    settled(pair)
    assert active(pair) == [(crm, erp)]
    assert living(pair) == (1, 1)
    assert crm_name(pair, crm) == "Zwölf Monde Gesellschaft"
    (row,) = pair.store.couplings.each("partner")
    assert row.id == parted.id
    assert not Former.objects.exists()
    assert pair.store.inbox.reviews() == []


def test_what_was_edited_while_the_pair_was_over_travels_and_is_not_overwritten(
    pair: PairOfSystems,
) -> None:
    crm, erp = one(pair)
    pair.erp_human.trash("party", erp)
    pair.sync()
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550199"})
    pair.sync()
    pair.erp_human.restore("party", erp)
    settled(pair)
    assert active(pair) == [(crm, erp)]
    fields = pair.erp_human.read("party", erp)
    assert fields is not None
    phones = [m["value"] for m in fields["contact_mechanisms"] if m["type"] == "phone"]
    assert "+492215550199" in [phone.replace(" ", "") for phone in phones]
    assert pair.store.inbox.conflicts() == []


def test_an_untouched_record_out_of_the_trash_needs_no_person(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    for _ in range(2):
        pair.crm_human.trash("organisation", crm)
        pair.sync()
        assert active(pair) == []
        pair.crm_human.restore("organisation", crm)
        settled(pair)
        assert active(pair) == [(crm, erp)]
    assert living(pair) == (1, 1)


@pytest.mark.parametrize("gone", ["crm", "erp"])
def test_a_record_that_koppel_made_is_no_exception(pair: PairOfSystems, gone: str) -> None:
    erp = pair.erp_human.create("party", erp_fields(next(iter(partners(1)))))
    pair.sync()
    ((crm, _),) = active(pair)
    human, resource, record = {
        "crm": (pair.crm_human, "organisation", crm),
        "erp": (pair.erp_human, "party", erp),
    }[gone]
    if gone == "erp":
        rename(pair, erp)
    human.trash(resource, record)
    pair.sync()
    if gone == "crm":
        rename(pair, erp)
    human.restore(resource, record)
    settled(pair)
    assert active(pair) == [(crm, erp)]
    assert living(pair) == (1, 1)
    assert crm_name(pair, crm) == "Zwölf Monde Gesellschaft"


def test_where_a_person_had_ended_the_pair_a_person_is_asked(pair: PairOfSystems) -> None:
    crm, erp = decided(pair, "uncouple")
    pair.sync()
    pair.erp_human.restore("party", erp)
    settled(pair)
    assert active(pair) == []
    assert living(pair) == (1, 1)
    (review,) = pair.store.inbox.reviews()
    assert (review.crm_id, review.erp_id) == (crm, erp)
    assert "a person had ended the pair" in " ".join(review.reasons)
    hand.answer(pair.store, review.id, "same", by="anna")
    settled(pair)
    assert active(pair) == [(crm, erp)]
    assert living(pair) == (1, 1)


def test_who_is_said_to_be_another_one_is_made_in_the_other_system(pair: PairOfSystems) -> None:
    crm, erp = decided(pair, "uncouple")
    pair.sync()
    pair.erp_human.restore("party", erp)
    pair.sync()
    (review,) = pair.store.inbox.reviews()
    hand.answer(pair.store, review.id, "different", by="anna")
    settled(pair)
    assert [(found != crm, here) for found, here in active(pair)] == [(True, erp)]
    assert living(pair) == (2, 1)


def test_a_missing_record_that_was_made_again_and_comes_back_is_asked_about(
    pair: PairOfSystems,
) -> None:
    crm, erp = decided(pair, "create")
    settled(pair)
    ((here, made),) = active(pair)
    assert here == crm
    assert made != erp
    pair.erp_human.restore("party", erp)
    settled(pair)
    assert active(pair) == [(crm, made)]
    assert living(pair) == (1, 2)
    (review,) = pair.store.inbox.reviews()
    assert "coupled to another record by now" in " ".join(review.reasons)


def test_of_a_pair_deleted_on_both_sides_both_come_back_as_one(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    rename(pair, erp)
    pair.erp_human.trash("party", erp)
    pair.crm_human.trash("organisation", crm)
    pair.sync()
    pair.erp_human.restore("party", erp)
    pair.crm_human.restore("organisation", crm)
    settled(pair)
    assert active(pair) == [(crm, erp)]
    assert living(pair) == (1, 1)


def test_one_that_was_made_again_meanwhile_is_not_made_a_third_time(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    rename(pair, erp)
    pair.erp_human.trash("party", erp)
    pair.crm_human.trash("organisation", crm)
    pair.sync()
    pair.erp_human.restore("party", erp)
    settled(pair)
    ((made, here),) = active(pair)
    assert (made != crm, here) == (True, erp)
    pair.crm_human.restore("organisation", crm)
    settled(pair)
    assert active(pair) == [(made, erp)]
    assert living(pair) == (2, 1)
    (review,) = pair.store.inbox.reviews()
    assert (review.crm_id, review.erp_id) == (crm, erp)


def test_where_the_rule_deletes_the_other_record_too_nothing_is_deleted_again(
    pair: PairOfSystems,
) -> None:
    text = default_rule("partner").replace('[delete]\ncrm = "uncouple"', '[delete]\ncrm = "delete"')
    assert 'crm = "delete"' in text
    pair.store.documents.put("rule", "partner", text)
    crm, erp = one(pair)
    pair.erp_human.trash("party", erp)
    pair.sync()
    assert living(pair) == (0, 0)
    pair.erp_human.restore("party", erp)
    pair.crm_human.restore("organisation", crm)
    settled(pair)
    assert active(pair) == [(crm, erp)]
    assert living(pair) == (1, 1)


def test_an_erased_person_is_in_no_former_pair(pair: PairOfSystems) -> None:
    _, erp = one(pair)
    pair.erp_human.trash("party", erp)
    pair.sync()
    assert Former.objects.count() == 1
    subject = pair.store.personal.subject("partner", "erp", erp)
    assert subject is not None
    pair.store.personal.forget(subject, "Erased-1")
    assert not Former.objects.exists()


def test_a_question_about_a_pair_is_over_with_the_pair(pair: PairOfSystems) -> None:
    crm, erp = one(pair)
    pair.erp_human.trash("party", erp)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550199"})
    pair.sync()
    (conflict,) = pair.store.inbox.conflicts()
    pair.crm_human.trash("organisation", crm)
    pair.sync()
    assert pair.store.inbox.conflicts() == []
    with pytest.raises(NeedsUser, match="already closed"):
        hand.resolve(pair.store, conflict.id, "create", by="anna")
    settled(pair)
    assert active(pair) == []
    assert living(pair) == (0, 0)
