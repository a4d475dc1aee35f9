"""What happens to coupled partners in the real systems: conflicts, merges, deletes, undo.

People work in the systems' own pages; Koppel runs when it is told to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from lab.creme_human import CremeHuman
from lab.tryton_human import TrytonHuman
from tests.scenarios.real import CRM_CONTACT, ERP_CONTACT, ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

TOWNS = iter(
    ("Aalen", "Backnang", "Crailsheim", "Donzdorf", "Ehingen", "Fellbach", "Giengen", "Hechingen",
     "Isny", "Kirchheim", "Laichingen", "Mengen", "Nagold", "Oberkochen", "Pfullingen")
)  # fmt: skip
numbers = count(1)


@dataclass
class Desk:
    """The pair with a person at each system."""

    pair: RealPair
    clara: CremeHuman
    admin: TrytonHuman

    def customer(self, **more: Any) -> tuple[str, str]:
        """A customer of its own town, entered in Creme and carried to Tryton: both ids."""
        town, number = next(TOWNS), next(numbers)
        fields = {
            "name": f"{town}er Fabrik {number} GmbH",
            "phone": f"+49 7361 {number:02}100",
            "email": f"info@{town.lower()}.example",
            "roles": ["customer"],
            "billing_address": {"address": f"{town}er Weg {number}", "city": town},
            **more,
        }
        crm = self.clara.create(ORGANISATION, fields)
        self.pair.run()
        return crm, self.pair.coupled()[crm]

    def crm(self, id: str) -> Mapping[str, Any]:
        seen = self.clara.read(ORGANISATION, id)
        assert seen is not None
        return seen

    def erp(self, id: str, resource: str = PARTY) -> Mapping[str, Any]:
        seen = self.admin.read(resource, id)
        assert seen is not None
        return seen

    def erp_way(self, id: str, kind: str) -> Any:
        """The value of a party's phone, email and so on."""
        ways = self.erp(id)["contact_mechanisms"]
        return next((way["value"] for way in ways if way["type"] == kind), None)

    def set_erp_way(self, id: str, kind: str, value: str, resource: str = PARTY) -> None:
        ways = self.erp(id, resource)["contact_mechanisms"]
        (child,) = [way["id"] for way in ways if way["type"] == kind]
        self.admin.write_child("contact_mechanisms", child, {"value": value})


@pytest.fixture(scope="module")
def desk(real_pair: RealPair) -> Iterator[Desk]:
    clara = CremeHuman.salesperson(real_pair.creme)
    admin = TrytonHuman.admin(real_pair.tryton)
    yield Desk(real_pair, clara, admin)
    clara.close()
    admin.close()


def test_a_field_that_both_sides_changed_is_a_conflict_and_the_others_go_on(desk: Desk) -> None:
    crm, erp = desk.customer()
    desk.clara.edit(ORGANISATION, crm, {"email": "crm@a.example", "phone": "+49 7361 777"})
    desk.set_erp_way(erp, "email", "erp@a.example")
    desk.pair.run()
    assert desk.crm(crm)["email"] == "crm@a.example"
    assert desk.erp_way(erp, "email") == "erp@a.example"
    assert "777" in desk.erp_way(erp, "phone")
    (conflict,) = desk.pair.ask("conflicts")
    assert (conflict["field"], conflict["crm"], conflict["erp"]) == (
        "email", "crm@a.example", "erp@a.example",
    )  # fmt: skip
    shown = desk.pair.koppel("conflicts").stdout
    assert "erp@a.example" in shown
    desk.pair.at_rest()
    assert desk.pair.koppel("resolve", str(conflict["number"]), "erp").returncode == 0
    assert desk.pair.sync()["writes"] == 1
    assert desk.crm(crm)["email"] == "erp@a.example"
    assert desk.pair.ask("conflicts") == []
    desk.pair.at_rest()


def test_a_name_changed_in_creme_is_put_back_and_kept_as_a_notice(desk: Desk) -> None:
    crm, erp = desk.customer()
    before = desk.crm(crm)["name"]
    desk.clara.edit(ORGANISATION, crm, {"name": "Ganz anders GmbH"})
    desk.pair.run()
    assert desk.crm(crm)["name"] == desk.erp(erp)["name"] == before
    with desk.pair.engine() as engine:
        (notice,) = [n for n in engine.store.inbox.notices() if n.field == "name"]
    assert b"Ganz anders GmbH" in bytes(notice.values)
    desk.pair.at_rest()


def test_undo_takes_back_what_the_run_wrote_but_not_what_a_person_edited_since(
    desk: Desk,
) -> None:
    crm, erp = desk.customer()
    desk.clara.edit(ORGANISATION, crm, {"phone": "+49 7361 888", "email": "neu@b.example"})
    old = desk.erp_way(erp, "phone"), desk.erp_way(erp, "email")
    desk.pair.run()
    after = desk.pair.contents()
    undone = desk.pair.ask("undo")
    assert undone["state"] == "done"
    assert (desk.erp_way(erp, "phone"), desk.erp_way(erp, "email")) == old
    touched = {key for key, fields in desk.pair.contents().items() if after[key] != fields}
    assert touched == {(PARTY, erp)}
    assert desk.pair.run().counts["writes"] == 0
    assert (desk.erp_way(erp, "phone"), desk.erp_way(erp, "email")) == old


def test_a_merge_of_two_organisations_in_creme_is_followed(desk: Desk) -> None:
    crm, erp = desk.customer()
    town = str(desk.crm(crm)["name"])
    twin = desk.clara.create(ORGANISATION, {"name": town.replace("GmbH", "Werk"), "fax": "+49 1"})
    desk.pair.run()
    desk.clara.merge(ORGANISATION, crm, twin)
    desk.pair.run()
    assert desk.pair.coupled().get(twin) == erp
    desk.pair.at_rest()
    assert desk.crm(twin)["name"] == desk.erp(erp)["name"]
    desk.clara.edit(ORGANISATION, twin, {"phone": "+49 7361 999"})
    desk.pair.run()
    assert "999" in desk.erp_way(erp, "phone")


def test_a_merge_of_two_parties_in_tryton_is_followed(desk: Desk) -> None:
    crm, erp = desk.customer()
    twin = desk.admin.create(PARTY, {"name": "Zwilling Neunkirchen KG"})
    desk.pair.run()
    assert twin in desk.pair.coupled().values()
    other = next(c for c, e in desk.pair.coupled().items() if e == twin)
    desk.admin.merge(PARTY, twin, erp)
    desk.pair.run()
    desk.pair.at_rest()
    coupled = desk.pair.coupled()
    # Both had a partner: which of the two organisations is to stay is for a person to say.
    assert coupled.get(crm) == erp
    assert desk.clara.read(ORGANISATION, other) is not None
    (conflict,) = [found for found in desk.pair.ask("conflicts") if found["field"] == ""]
    assert f"merged into {erp}, which is coupled already" in conflict["why"]
    assert desk.pair.koppel("resolve", str(conflict["number"]), "uncouple").returncode == 0
    desk.pair.at_rest()
    assert desk.pair.coupled().get(crm) == erp
    assert other not in desk.pair.coupled()
    assert desk.clara.read(ORGANISATION, other) is not None
    assert desk.pair.ask("conflicts") == []


def test_a_party_merged_into_one_without_a_partner_takes_the_coupling_along(desk: Desk) -> None:
    crm, erp = desk.customer()
    with desk.pair.engine() as engine:
        engine.sync(user="test")
    heir = desk.admin.create(PARTY, {"name": "Erbin Ohnegleichen SE"})
    desk.admin.merge(PARTY, erp, heir)
    desk.pair.run()
    assert desk.pair.coupled().get(crm) == heir
    desk.pair.at_rest()
    assert desk.crm(crm)["name"] == desk.erp(heir)["name"] == "Erbin Ohnegleichen SE"


def test_a_party_deleted_in_tryton_parts_the_pair_and_nothing_is_lost_in_creme(
    desk: Desk,
) -> None:
    crm, erp = desk.customer()
    organisations = desk.pair.count()[ORGANISATION]
    desk.admin.delete(PARTY, erp)
    desk.pair.run()
    assert crm not in desk.pair.coupled()
    desk.clara.edit(ORGANISATION, crm, {"phone": "+49 7361 1234"})
    desk.pair.run()
    assert desk.pair.count()[ORGANISATION] == organisations
    assert desk.admin.read(PARTY, erp) is None
    desk.pair.at_rest()


def test_an_organisation_in_the_trash_parts_the_pair_and_the_party_stays(desk: Desk) -> None:
    crm, erp = desk.customer()
    desk.clara.trash(ORGANISATION, crm)
    desk.pair.run()
    assert crm not in desk.pair.coupled()
    assert desk.erp(erp)["name"]
    desk.pair.at_rest()


def test_an_organisation_out_of_the_trash_is_with_its_party_again(desk: Desk) -> None:
    crm, erp = desk.customer()
    organisations = desk.pair.count()[ORGANISATION]
    desk.clara.trash(ORGANISATION, crm)
    desk.pair.run()
    assert crm not in desk.pair.coupled()
    desk.set_erp_way(erp, "phone", "+49 7361 4713")
    desk.admin.edit(PARTY, erp, {"name": "Zwölf Monde Gesellschaft"})
    desk.pair.run()
    desk.clara.restore(ORGANISATION, crm)
    desk.pair.run()
    assert desk.pair.coupled()[crm] == erp
    assert desk.pair.count()[ORGANISATION] == organisations
    seen = desk.clara.read(ORGANISATION, crm)
    assert seen is not None
    assert seen["name"] == "Zwölf Monde Gesellschaft"
    assert "4713" in seen["phone"]
    desk.pair.at_rest()


def test_a_contact_goes_across_with_its_partner_and_comes_back_changed(desk: Desk) -> None:
    crm, _ = desk.customer()
    contact = desk.clara.create(
        CRM_CONTACT,
        {"first_name": "Zoë", "last_name": "Müller-Lüdenscheidt", "employer": crm,
         "email": "zoe@c.example"},
    )  # fmt: skip
    desk.pair.run()
    person = desk.pair.coupled("contact")[contact]
    desk.set_erp_way(person, "email", "zoe.neu@c.example", ERP_CONTACT)
    desk.pair.run()
    seen = desk.clara.read(CRM_CONTACT, contact)
    assert seen is not None
    assert seen["email"] == "zoe.neu@c.example"
    desk.pair.at_rest()


def test_a_saved_plan_is_shown_exactly_and_refused_once_somebody_edited(desk: Desk) -> None:
    crm, erp = desk.customer()
    desk.clara.edit(ORGANISATION, crm, {"phone": "+49 7361 4711"})
    plan = desk.pair.ask("plan")
    (change,) = [change for step in plan["steps"] for change in step["changes"]]
    assert (change["field"], change["side"], change["owner"]) == ("phone", "erp", "shared")
    assert change["new"].endswith("4711")
    desk.clara.edit(ORGANISATION, crm, {"phone": "+49 7361 4712"})
    refused = desk.pair.koppel("apply", str(plan["run"]))
    assert refused.returncode == 3
    assert "out of date" in refused.stderr
    assert "4711" not in desk.erp_way(erp, "phone")
    again = desk.pair.ask("plan")
    assert desk.pair.ask("apply", str(again["run"]))["writes"] == 1
    assert "4712" in desk.erp_way(erp, "phone")
