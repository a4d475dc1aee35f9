"""Records of a real Creme: fields of every kind, roles, employers, merges, versions, keys."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from koppel.connectors.base import (
    Act,
    Create,
    Delete,
    Gone,
    Outcome,
    Record,
    Refused,
    Update,
    Written,
)
from koppel.connectors.creme import CremeConnector
from koppel.errors import NeedsUser
from lab.creme_human import CremeHuman
from lab.system import Running
from tests.live.creme_inside import inside

pytestmark = pytest.mark.creme

ORGANISATION, CONTACT = "persons.organisation", "persons.contact"
numbers = count(1)

MAKE_CUSTOM_FIELDS = """
from creme.creme_core.models import CustomField, CustomFieldEnumValue
from creme.persons import get_organisation_model
from django.contrib.contenttypes.models import ContentType
ours = ContentType.objects.get_for_model(get_organisation_model())
answer = {}
for name in "INT FLOAT BOOL STR TEXT URL DATE DATETIME ENUM MULTI_ENUM".split():
    field = CustomField.objects.create(
        name=f"A {name}", content_type=ours, field_type=getattr(CustomField, name)
    )
    answer[name] = f"cf_{field.pk}"
    if "ENUM" in name:
        for value in ("red", "green", "blue"):
            CustomFieldEnumValue.objects.create(custom_field=field, value=value)
"""


@pytest.fixture(scope="module")
def root(creme: Running) -> Iterator[CremeHuman]:
    human = CremeHuman(creme.url, *creme.admin, creme.koppel["token"])
    yield human
    human.close()


@pytest.fixture(scope="module")
def connector(creme: Running) -> Iterator[CremeConnector]:
    made = CremeConnector(creme.url, creme.koppel["token"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def custom(creme: Running, connector: CremeConnector) -> dict[str, str]:
    """The names of custom fields of each kind, made after the connector had learnt all fields."""
    connector.describe()
    return dict(inside(creme, MAKE_CUSTOM_FIELDS))


def write(connector: CremeConnector, wish: Any) -> Outcome:
    (outcome,) = connector.write([wish])
    return outcome


def create(connector: CremeConnector, resource: str, **fields: Any) -> Record:
    if resource == ORGANISATION:
        fields.setdefault("name", f"Werk {next(numbers)}")
    key = f"records-{id(connector)}-{next(numbers)}"
    outcome = write(connector, Create(resource=resource, key=key, fields=fields))
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record)
    return outcome.after


def update(connector: CremeConnector, record: Record, **fields: Any) -> Outcome:
    key = f"records-{id(connector)}-{next(numbers)}"
    return write(
        connector,
        Update(
            resource=record.resource, key=key, id=record.id, expected=record.version, fields=fields
        ),
    )


def updated(connector: CremeConnector, record: Record, **fields: Any) -> Record:
    outcome = update(connector, record, **fields)
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record)
    return outcome.after


def seen(connector: CremeConnector, record: Record) -> Record | Gone:
    return connector.fetch(record.resource, [record.id])[record.id]


def test_custom_fields_of_every_kind_come_back_as_they_went(
    connector: CremeConnector, custom: dict[str, str]
) -> None:
    known = next(one for one in connector.describe() if one.name == ORGANISATION)
    colours = known.field(custom["MULTI_ENUM"])
    colour = known.field(custom["ENUM"])
    assert colours is not None
    assert colour is not None
    fields = {
        custom["INT"]: 7,
        custom["FLOAT"]: Decimal("12.50"),
        custom["BOOL"]: False,
        custom["STR"]: "kurz",
        custom["TEXT"]: "lang\nund breit",
        custom["URL"]: "https://example.com/",
        custom["DATE"]: date(2026, 11, 25),
        custom["DATETIME"]: datetime(2026, 11, 25, 8, 30, tzinfo=UTC),
        custom["ENUM"]: colour.choices[1].value,
        custom["MULTI_ENUM"]: sorted(choice.value for choice in colours.choices[:2]),
    }
    record = create(connector, ORGANISATION, **fields)
    assert {name: record.fields[name] for name in fields} == fields
    assert seen(connector, record) == record
    cleared = updated(connector, record, **dict.fromkeys(fields))
    assert {cleared.fields[name] for name in fields if name != custom["MULTI_ENUM"]} == {None}
    assert cleared.fields[custom["MULTI_ENUM"]] == []


def test_a_field_that_is_new_in_creme_is_understood_without_a_restart(
    creme: Running, connector: CremeConnector
) -> None:
    record = create(connector, ORGANISATION)
    name = inside(
        creme,
        "from creme.creme_core.models import CustomField\n"
        "from creme.persons import get_organisation_model\n"
        "from django.contrib.contenttypes.models import ContentType\n"
        "ours = ContentType.objects.get_for_model(get_organisation_model())\n"
        "answer = 'cf_%s' % CustomField.objects.create(\n"
        "    name='Late', content_type=ours, field_type=CustomField.DATE).pk",
    )
    again = seen(connector, record)
    assert isinstance(again, Record)
    assert again.fields[name] is None
    assert again.version == record.version, "a field without values moves no version"


@pytest.mark.parametrize(
    ("given", "stored"), [("0.125", "0.13"), ("-0.125", "-0.13"), ("2", "2.00")]
)
def test_decimals_are_rounded_half_up_to_what_creme_holds(
    connector: CremeConnector, custom: dict[str, str], given: str, stored: str
) -> None:
    record = create(connector, ORGANISATION, **{custom["FLOAT"]: Decimal(given)})
    assert record.fields[custom["FLOAT"]] == Decimal(stored)
    assert seen(connector, record) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 201),
        ("email", "no address"),
        ("capital", -1),
        ("capital", Decimal("1.5")),
        ("subject_to_vat", "yes"),
        ("creation_date", "25.11.2026"),
        ("sector", "no such sector"),
        ("user", "nobody"),
        ("roles", ["emperor"]),
        ("is_managed", True),
        ("created", datetime(2026, 1, 1, tzinfo=UTC)),
        ("phone", 5),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_the_name_of_its_field(
    connector: CremeConnector, field: str, value: Any
) -> None:
    record = create(connector, ORGANISATION)
    outcome = update(connector, record, **{field: value})
    assert isinstance(outcome, Refused), outcome
    assert outcome.reason == "invalid"
    assert outcome.fields == (field,)
    assert field in outcome.message
    assert seen(connector, record) == record


def test_a_fault_in_an_address_is_named_with_its_place(connector: CremeConnector) -> None:
    record = create(connector, ORGANISATION)
    outcome = update(connector, record, name="Neu", billing_address={"zipcode": "1" * 101})
    assert isinstance(outcome, Refused)
    assert outcome.fields == ("billing_address.zipcode",)
    assert seen(connector, record) == record


def test_what_is_not_given_inside_an_address_stays(connector: CremeConnector) -> None:
    address = {"address": "Weg 1", "city": "Ulm", "country": "Deutschland"}
    record = create(connector, ORGANISATION, billing_address=address)
    after = updated(connector, record, billing_address={"city": "Bonn", "country": None})
    assert after.fields["billing_address"] == {
        **record.fields["billing_address"],
        "city": "Bonn",
        "country": None,
    }
    gone = updated(connector, after, billing_address=None)
    assert gone.fields["billing_address"] is None
    assert gone.fields["other_addresses"] == []


def test_roles_are_the_relations_to_the_own_company(
    connector: CremeConnector, root: CremeHuman
) -> None:
    record = create(connector, ORGANISATION, roles=["prospect", "supplier"])
    told = root.read(ORGANISATION, record.id)
    assert told is not None
    assert told["roles"] == ["prospect", "supplier"]
    root.edit(ORGANISATION, record.id, {"roles": ["customer", "supplier"]})
    after = seen(connector, record)
    assert isinstance(after, Record)
    assert after.fields["roles"] == ["customer", "supplier"]
    assert updated(connector, after, roles=[]).fields["roles"] == []


def test_an_employer_is_set_changed_and_taken_away(
    connector: CremeConnector, root: CremeHuman
) -> None:
    one, two = create(connector, ORGANISATION), create(connector, ORGANISATION)
    contact = create(connector, CONTACT, last_name="Öz", employer=one.id)
    assert contact.fields["employer"] == one.id
    contact = updated(connector, contact, employer=two.id)
    told = root.read(CONTACT, contact.id)
    assert told is not None
    assert told["employer"] == two.id
    assert updated(connector, contact, employer=None).fields["employer"] is None
    outcome = update(connector, contact, employer="999999")
    assert isinstance(outcome, Refused)


def test_contacts_are_found_by_their_employer(connector: CremeConnector) -> None:
    firm = create(connector, ORGANISATION)
    contact = create(connector, CONTACT, last_name="Nagy", employer=firm.id)
    assert list(connector.find(CONTACT, {"employer": firm.id})) == [contact]


def test_find_looks_into_addresses_roles_and_custom_fields(
    connector: CremeConnector, custom: dict[str, str]
) -> None:
    city = f"Stadt {next(numbers)}"
    record = create(
        connector,
        ORGANISATION,
        billing_address={"city": city},
        roles=["prospect"],
        **{custom["FLOAT"]: Decimal("3.30")},
    )
    match: dict[str, Any] = {
        "billing_address": {"city": city},
        "roles": ["prospect"],
        custom["FLOAT"]: Decimal("3.30"),
        "phone": None,
    }
    assert list(connector.find(ORGANISATION, match)) == [record]
    assert list(connector.find(ORGANISATION, {**match, "roles": ["customer"]})) == []


MOVES = {
    "a role": {"roles": ["customer"]},
    "an address": {"shipping_address": {"city": "Wien"}},
    "a further address": {"other_addresses": [{"city": "Graz"}]},
    "a choice": {"sector": "06581ce8-e5ab-4875-b18d-b1ae366a9073"},
}


@pytest.mark.parametrize("what", MOVES)
def test_a_version_moves_with_everything_that_belongs_to_a_record(
    connector: CremeConnector, root: CremeHuman, what: str
) -> None:
    record = create(connector, ORGANISATION)
    cursor = connector.now(ORGANISATION)
    root.edit(ORGANISATION, record.id, MOVES[what])
    page = connector.changes(ORGANISATION, cursor, 100)
    told = {change.id: change for change in page.changes}[record.id]
    assert told.version != record.version
    assert told.by == "root"
    assert told.at is not None
    assert not told.gone


def test_a_custom_field_changed_by_a_human_is_reported(
    connector: CremeConnector, root: CremeHuman, custom: dict[str, str]
) -> None:
    record = create(connector, ORGANISATION)
    cursor = connector.now(ORGANISATION)
    form_name = custom["STR"].replace("cf_", "custom_field-")
    root.edit(ORGANISATION, record.id, {form_name: "von Hand"})
    assert [change.id for change in connector.changes(ORGANISATION, cursor, 100).changes] == [
        record.id
    ]
    after = seen(connector, record)
    assert isinstance(after, Record)
    assert after.fields[custom["STR"]] == "von Hand"


def test_a_save_that_changes_nothing_moves_no_version(
    connector: CremeConnector, root: CremeHuman
) -> None:
    address = {"address": "Weg 1\nHof 2", "city": "Ulm"}
    record = create(connector, ORGANISATION, description="zwei\nZeilen", billing_address=address)
    root.edit(ORGANISATION, record.id, {"phone": ""})
    assert seen(connector, record) == record


def test_a_merge_is_reported_with_the_record_that_stays(
    connector: CremeConnector, root: CremeHuman
) -> None:
    stays, goes, third = (create(connector, ORGANISATION) for _ in range(3))
    contact = create(connector, CONTACT, last_name="Wanderer", employer=goes.id)
    cursor, contacts = connector.now(ORGANISATION), connector.now(CONTACT)
    root.merge(ORGANISATION, goes.id, stays.id)
    told = {change.id: change for change in connector.changes(ORGANISATION, cursor, 100).changes}
    assert told[goes.id].gone
    assert told[goes.id].merged_into == stays.id
    assert not told[stays.id].gone
    gone = Gone(resource=ORGANISATION, id=goes.id, merged_into=stays.id)
    assert seen(connector, goes) == gone
    # What referred to it refers to the one that stays, and that is reported as well.
    assert contact.id in [c.id for c in connector.changes(CONTACT, contacts, 100).changes]
    moved = seen(connector, contact)
    assert isinstance(moved, Record)
    assert moved.fields["employer"] == stays.id
    root.merge(ORGANISATION, stays.id, third.id)
    assert seen(connector, goes) == Gone(resource=ORGANISATION, id=goes.id, merged_into=third.id)


def test_a_record_in_the_trash_is_told_from_one_that_is_deleted(
    connector: CremeConnector, root: CremeHuman
) -> None:
    record = create(connector, ORGANISATION)
    root.trash(ORGANISATION, record.id)
    assert seen(connector, record) == Gone(resource=ORGANISATION, id=record.id, trashed=True)
    cursor = connector.now(ORGANISATION)
    root.delete(ORGANISATION, record.id)
    assert seen(connector, record) == Gone(resource=ORGANISATION, id=record.id)
    (told,) = connector.changes(ORGANISATION, cursor, 100).changes
    assert (told.id, told.gone, told.by) == (record.id, True, "root")


def test_a_deletion_is_taken_back_by_the_action_restore(connector: CremeConnector) -> None:
    record = create(connector, ORGANISATION, phone="1")
    key = f"restore-{next(numbers)}-{record.id}"
    write(connector, Delete(resource=ORGANISATION, key=f"{key}-d", id=record.id))
    outcome = write(connector, Act(resource=ORGANISATION, key=key, id=record.id, action="restore"))
    assert outcome == Written(after=record)


def test_the_own_company_is_not_deleted(connector: CremeConnector) -> None:
    (own,) = connector.find(ORGANISATION, {"is_managed": True})
    outcome = write(connector, Delete(resource=ORGANISATION, key=f"own-{next(numbers)}", id=own.id))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "in_use"


def test_one_key_sent_many_times_at_once_makes_one_record(
    creme: Running, connector: CremeConnector
) -> None:
    name = f"Zwilling {next(numbers)}"
    wish = Create(resource=ORGANISATION, key=f"twin-{name}", fields={"name": name})

    def send(_: int) -> Outcome:
        own = CremeConnector(creme.url, creme.koppel["token"])
        try:
            return write(own, wish)
        finally:
            own.close()

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(send, range(6)))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert len(connector.find(ORGANISATION, {"name": name}, limit=10)) == 1


def test_a_key_never_stands_for_two_different_writes(connector: CremeConnector) -> None:
    record = create(connector, ORGANISATION)
    key = f"shared-{next(numbers)}-{record.id}"
    write(connector, Create(resource=ORGANISATION, key=key, fields={"name": "Einmal"}))
    outcome = write(
        connector,
        Update(resource=ORGANISATION, key=key, id=record.id, expected=None, fields={"phone": "2"}),
    )
    assert isinstance(outcome, Refused)
    assert seen(connector, record) == record


def test_a_refused_write_may_be_repeated_under_its_key(connector: CremeConnector) -> None:
    key = f"second-{next(numbers)}-{id(connector)}"
    wrong = Create(resource=ORGANISATION, key=key, fields={"name": "x" * 201})
    assert isinstance(write(connector, wrong), Refused)
    assert connector.recover(wrong) is None
    right = Create(resource=ORGANISATION, key=key, fields={"name": "x" * 200})
    assert isinstance(write(connector, right), Written)


def test_a_record_written_twice_in_one_batch_is_written_in_order(
    connector: CremeConnector,
) -> None:
    record = create(connector, ORGANISATION, phone="0")
    batch = [
        Update(
            resource=ORGANISATION,
            key=f"twice-{next(numbers)}-{record.id}",
            id=record.id,
            expected=expected,
            fields={"phone": phone},
        )
        for phone, expected in (("1", record.version), ("2", None), ("3", record.version))
    ]
    one, two, three = connector.write(batch)
    assert isinstance(one, Written)
    assert isinstance(two, Written)
    assert isinstance(two.after, Record)
    assert two.after.fields["phone"] == "2"
    assert isinstance(three, Refused)
    assert three.reason == "stale"


def test_creme_keeps_koppels_writes_in_its_own_history(
    creme: Running, connector: CremeConnector
) -> None:
    record = updated(connector, create(connector, ORGANISATION, phone="1"), phone="2")
    lines = inside(
        creme,
        "from creme.creme_core.models import HistoryLine\n"
        "answer = list(HistoryLine.objects.filter(entity=int(pk)).order_by('id')"
        ".values_list('type', 'username'))",
        pk=record.id,
    )
    assert lines == [[1, "koppel"], [2, "koppel"]]


def test_a_creation_is_recognised_long_after_its_outcome_was_tidied_away(
    creme: Running, connector: CremeConnector
) -> None:
    name = f"Alt {next(numbers)}"
    wish = Create(resource=ORGANISATION, key=f"old-{name}", fields={"name": name})
    made = write(connector, wish)
    assert isinstance(made, Written)
    assert isinstance(made.after, Record)
    now = updated(connector, made.after, phone="1")
    told = inside(
        creme,
        "from io import StringIO\n"
        "from django.core.management import call_command\n"
        "out = StringIO()\n"
        "call_command('koppel_tidy', days=0, stdout=out)\n"
        "answer = out.getvalue()",
    )
    assert "creations shortened" in told
    assert write(connector, wish) == Written(after=now)
    assert connector.recover(wish) == Written(after=now)
    root_delete = Delete(resource=ORGANISATION, key=f"old-{name}-d", id=now.id)
    write(connector, root_delete)
    gone = Gone(resource=ORGANISATION, id=now.id, trashed=True)
    assert write(connector, wish) == Written(after=gone)


def test_a_cursor_from_a_later_backup_starts_over(connector: CremeConnector) -> None:
    record = create(connector, ORGANISATION)
    page = connector.changes(ORGANISATION, "log:99999999", 1000)
    assert record.id in {change.id for change in page.changes}


def test_a_cursor_of_another_system_is_the_users_to_correct(connector: CremeConnector) -> None:
    with pytest.raises(NeedsUser) as caught:
        connector.changes(ORGANISATION, "2026-11-25T08:00:00", 10)
    assert caught.value.remedy


def test_lines_that_appear_late_are_still_read(creme: Running) -> None:
    """PostgreSQL gives ids before it commits: the missing ones are remembered."""
    told = inside(
        creme,
        "from koppel_creme import feed\n"
        "gaps = feed.missing([11, 12, 15, 19], 10, 20, 5)\n"
        "cursor = feed.Cursor(20, gaps)\n"
        "many = [feed.Gap(i * 10, i * 10, 5) for i in range(100)]\n"
        "few = feed._merged(many)\n"
        "answer = [str(cursor), feed.parse(str(cursor)) == cursor, len(few),"
        " all(any(f.first <= g.first and g.last <= f.last for f in few) for g in many)]",
    )
    assert told == ["log:20:13-14@5,16-18@5,20-20@5", True, 40, True]
