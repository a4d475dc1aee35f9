"""The Tryton connector on a real Tryton: what only Tryton does, beyond the contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from koppel.connectors.base import Change, Create, Delete, Gone, Record, Refused, Update, Written
from koppel.connectors.tryton import TrytonConnector
from koppel.errors import NeedsUser
from lab.system import Running
from lab.tryton_human import TrytonHuman

PARTY, CONTACT = "party.party", "party.contact"
RUN = uuid4().hex[:6]
numbers = count(1)


@pytest.fixture(scope="module")
def connector(tryton: Running) -> Iterator[TrytonConnector]:
    made = TrytonConnector(**tryton.koppel, overlap_seconds=5)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(tryton: Running) -> Iterator[TrytonConnector]:
    """As on a server without the module `koppel`."""
    made = TrytonConnector(**tryton.koppel, overlap_seconds=5, use_module=False)
    yield made
    made.close()


@pytest.fixture(params=["with the module", "without"])
def either(
    request: pytest.FixtureRequest, connector: TrytonConnector, plain: TrytonConnector
) -> TrytonConnector:
    return plain if request.param == "without" else connector


@pytest.fixture(scope="module")
def human(tryton: Running) -> Iterator[TrytonHuman]:
    admin = TrytonHuman.admin(tryton)
    yield admin
    admin.close()


def fields(**more: Any) -> dict[str, Any]:
    return {"name": f"Werk {RUN} {next(numbers)}", **more}


def creation(resource: str = PARTY, **more: Any) -> Create:
    return Create(resource=resource, key=f"live-{RUN}-{next(numbers)}", fields=fields(**more))


def made(connector: TrytonConnector, resource: str = PARTY, **more: Any) -> Record:
    return record(connector, creation(resource, **more))


def record(connector: TrytonConnector, write: Create | Update) -> Record:
    (outcome,) = connector.write([write])
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record), outcome
    return outcome.after


def updating(before: Record, **changes: Any) -> Update:
    return Update(
        resource=before.resource,
        key=f"live-{RUN}-{next(numbers)}",
        id=before.id,
        expected=before.version,
        fields=changes,
    )


def changed(connector: TrytonConnector, resource: str, cursor: str) -> dict[str, Change]:
    page = connector.changes(resource, cursor, 500)
    assert not page.more
    return {change.id: change for change in page.changes}


def swept(connector: TrytonConnector, resource: str) -> dict[str, str]:
    found: dict[str, str] = {}
    page: str | None = None
    while True:
        answer = connector.ids(resource, page)
        found.update(answer.items)
        page = answer.next
        if page is None:
            return found


def seen(connector: TrytonConnector, resource: str, id: str) -> Record | Gone:
    return connector.fetch(resource, [id])[id]


ADDRESS = {"street": "Hauptstraße 1", "postal_code": "50667", "city": "Köln", "country": "DE"}


def test_all_that_a_party_has_is_written_and_comes_back(connector: TrytonConnector) -> None:
    wanted = fields(
        code=f"C{RUN}",
        lang="de",
        customer_payment_term="net 30",
        addresses=[
            {**ADDRESS, "invoice": True},
            {"party_name": "Werk 2", "city": "Wien", "country": "AT", "delivery": True},
        ],
        contact_mechanisms=[
            {"type": "phone", "value": "+49 221 1234567", "name": "Zentrale"},
            {"type": "email", "value": "info@example.com"},
        ],
        identifiers=[{"type": "eu_vat", "code": "DE136695976"}],
        bank_accounts=[{"iban": "DE89 3704 0044 0532 0130 00"}],
    )
    write = Create(resource=PARTY, key=f"live-{RUN}-all", fields=wanted)
    found = record(connector, write)
    for name in ("name", "code", "lang", "customer_payment_term"):
        assert found.fields[name] == wanted[name]
    for name in ("addresses", "contact_mechanisms", "identifiers"):
        for child, asked in zip(found.fields[name], wanted[name], strict=True):
            assert asked.items() <= child.items()
    assert [one["iban"] for one in found.fields["bank_accounts"]] == ["DE89370400440532013000"]
    assert found.fields["koppel_key"] == write.key
    again = record(connector, updating(found, **_writable(found)))
    assert again == found


def _writable(found: Record) -> dict[str, Any]:
    return {
        name: value
        for name, value in found.fields.items()
        if name not in ("koppel_key", "replaced_by")
    }


def test_settings_and_the_servers_module_reach_the_capabilities(
    connector: TrytonConnector, plain: TrytonConnector
) -> None:
    assert connector.capabilities(PARTY).overlap_seconds == 5
    assert connector.capabilities(PARTY).create_key == "external_id"
    assert plain.capabilities(CONTACT).create_key == "lookup"
    health = plain.check()
    assert health.ok
    assert "no module koppel" in health.messages[0]


def test_full_batches_take_four_calls(connector: TrytonConnector) -> None:
    # What belongs to the server (fields, countries, own companies) is asked once, not per batch,
    # and again after some minutes: this test begins such a span.
    connector.describe()
    record(connector, updating(record(connector, creation(addresses=[ADDRESS])), lang="fr"))
    start = connector.calls
    writes = [creation(addresses=[ADDRESS]) for _ in range(80)]
    outcomes = connector.write(writes)
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert connector.calls - start <= 4
    records = [outcome.after for outcome in outcomes if isinstance(outcome, Written)]
    start = connector.calls
    outcomes = connector.write(
        [updating(one, lang="fr") for one in records if isinstance(one, Record)]
    )
    assert len(outcomes) == 80
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert connector.calls - start <= 4


def test_one_bad_record_in_a_batch_is_refused_alone(connector: TrytonConnector) -> None:
    writes = [creation() for _ in range(20)]
    writes[7] = creation(identifiers=[{"type": "eu_vat", "code": "DE1"}])
    outcomes = list(connector.write(writes))
    refused = outcomes.pop(7)
    assert isinstance(refused, Refused)
    assert refused.reason == "invalid"
    assert refused.fields == ("identifiers.code",)
    assert '"DE1"' in refused.message
    assert all(isinstance(outcome, Written) for outcome in outcomes)


def test_a_code_that_another_party_has_is_a_duplicate(connector: TrytonConnector) -> None:
    first = made(connector)
    (outcome,) = connector.write([creation(code=first.fields["code"])])
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.fields) == ("duplicate", ("code",))


def test_children_that_change_behind_our_back_are_all_noticed(
    either: TrytonConnector, human: TrytonHuman
) -> None:
    start = made(either, addresses=[ADDRESS], contact_mechanisms=[])
    versions = [start.version]

    def noticed() -> None:
        versions.append(swept(either, PARTY)[start.id])
        found = seen(either, PARTY, start.id)
        assert isinstance(found, Record)
        assert found.version == versions[-1]
        assert len(set(versions)) == len(versions)

    cursor = either.now(PARTY)
    phone = human.add_child(start.id, "contact_mechanisms", {"type": "phone", "value": "+49 1"})
    noticed()
    human.write_child("contact_mechanisms", phone, {"value": "+49 2"})
    noticed()
    human.write_child("addresses", start.fields["addresses"][0]["id"], {"active": False})
    noticed()
    assert changed(either, PARTY, cursor)[start.id].version == versions[-1]
    human.delete_child("contact_mechanisms", phone)
    noticed()


def test_a_child_that_changes_between_our_look_and_our_write_is_trytons_to_refuse(
    connector: TrytonConnector, human: TrytonHuman, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = made(connector, addresses=[ADDRESS])
    address = start.fields["addresses"][0]
    session = connector._session
    call = session.call

    def slow(model: str, method: str, *args: Any, **options: Any) -> Any:
        if method == "write":
            human.write_child("addresses", address["id"], {"city": "Bonn"})
        return call(model, method, *args, **options)

    monkeypatch.setattr(session, "call", slow)
    write = updating(start, addresses=[{"id": address["id"], "city": "Aachen"}])
    (outcome,) = connector.write([write])
    assert isinstance(outcome, Refused)
    assert outcome.reason == "stale"
    monkeypatch.undo()
    found = seen(connector, PARTY, start.id)
    assert isinstance(found, Record)
    assert found.fields["addresses"][0]["city"] == "Bonn"


def test_a_street_in_parts_gives_way_to_a_written_one(
    connector: TrytonConnector, human: TrytonHuman
) -> None:
    start = made(connector, addresses=[ADDRESS])
    address = start.fields["addresses"][0]["id"]
    parts = {"street_unstructured": None, "street_name": "Ring", "building_number": "7"}
    human.write_child("addresses", address, parts)
    found = seen(connector, PARTY, start.id)
    assert isinstance(found, Record)
    assert found.fields["addresses"][0]["street"] == "Ring 7"
    after = record(connector, updating(found, addresses=[{"id": address, "street": "Weg 3"}]))
    assert after.fields["addresses"][0]["street"] == "Weg 3"


def test_an_iban_can_be_shared_untied_and_tied_again(connector: TrytonConnector) -> None:
    iban = "GB29NWBK60161331926819"
    one = made(connector, bank_accounts=[{"iban": iban}])
    two = made(connector, bank_accounts=[{"iban": iban}])
    assert one.fields["bank_accounts"] == two.fields["bank_accounts"]
    without = record(connector, updating(one, bank_accounts=[]))
    assert without.fields["bank_accounts"] == []
    assert without.version != one.version
    again = record(connector, updating(without, bank_accounts=[{"iban": iban}]))
    assert again.fields["bank_accounts"] == one.fields["bank_accounts"]
    (refused,) = connector.write([updating(again, bank_accounts=[{"iban": "DE00"}])])
    assert isinstance(refused, Refused)
    assert refused.fields == ("bank_accounts",)


def test_a_payment_term_is_set_found_and_cleared(connector: TrytonConnector) -> None:
    start = made(connector, customer_payment_term="net 14", lang="pl")
    match = {"customer_payment_term": "net 14", "lang": "pl", "name": start.fields["name"]}
    assert list(connector.find(PARTY, match)) == [start]
    cleared = record(connector, updating(start, customer_payment_term=None, lang=None))
    assert cleared.fields["customer_payment_term"] is None
    assert cleared.fields["lang"] is None
    assert list(connector.find(PARTY, match)) == []
    assert list(connector.find(PARTY, {**match, "customer_payment_term": None, "lang": None})) == [
        cleared
    ]


@pytest.mark.parametrize(
    "match",
    [
        {"identifiers.code": "FR40303265045"},
        {"bank_accounts.iban": "FR1420041010050500013M02606"},
        {"addresses.postal_code": "67000", "addresses.country": "FR"},
        {"contact_mechanisms": [{"type": "email", "value": "bonjour@example.fr"}]},
    ],
)
def test_a_party_is_found_by_what_its_children_hold(
    connector: TrytonConnector, match: dict[str, Any]
) -> None:
    wanted = made(
        connector,
        identifiers=[{"type": "eu_vat", "code": "FR40303265045"}],
        bank_accounts=[{"iban": "FR1420041010050500013M02606"}],
        addresses=[{"postal_code": "67000", "city": "Strasbourg", "country": "FR"}],
        contact_mechanisms=[{"type": "email", "value": "bonjour@example.fr"}],
    )
    assert wanted.id in {one.id for one in connector.find(PARTY, match, limit=50)}


def test_a_contact_belongs_to_its_employer_and_moves_with_another(
    either: TrytonConnector,
) -> None:
    first, second = made(either), made(either)
    person = made(either, CONTACT, employer=first.id)
    assert person.fields["employer"] == first.id
    assert seen(either, PARTY, first.id) == first, "a company does not move with its contacts"
    assert list(either.find(CONTACT, {"employer": first.id})) == [person]
    assert isinstance(seen(either, PARTY, person.id), Gone)
    assert isinstance(seen(either, CONTACT, first.id), Gone)
    assert person.id not in swept(either, PARTY)
    moved = record(either, updating(person, employer=second.id))
    assert moved.fields["employer"] == second.id
    assert moved.version != person.version
    (refused,) = either.write([updating(moved, employer=None)])
    assert isinstance(refused, Refused)
    assert refused.fields == ("employer",)


def test_merging_two_companies_moves_their_contacts(
    either: TrytonConnector, human: TrytonHuman
) -> None:
    old, new = made(either, addresses=[ADDRESS]), made(either)
    person, other = (made(either, CONTACT, employer=old.id) for _ in range(2))
    cursors = {resource: either.now(resource) for resource in (PARTY, CONTACT)}
    human.trash(CONTACT, other.id)
    human.merge(PARTY, old.id, new.id)
    merged = changed(either, PARTY, cursors[PARTY])[old.id]
    assert merged.gone
    assert merged.merged_into == new.id
    contacts = changed(either, CONTACT, cursors[CONTACT])
    assert contacts[other.id].gone
    told = contacts[person.id]
    found = seen(either, CONTACT, person.id)
    assert isinstance(found, Record)
    assert found.fields["employer"] == new.id
    assert found.version == told.version != person.version


def test_a_contact_whose_employment_is_over_stays_a_contact(
    either: TrytonConnector, human: TrytonHuman
) -> None:
    employer = made(either)
    person = made(either, CONTACT, employer=employer.id)
    yesterday = date.today() - timedelta(days=1)
    human.end_employment(person.id, yesterday)
    found = seen(either, CONTACT, person.id)
    assert isinstance(found, Record)
    assert found.fields["employer"] is None
    assert found.version != person.version
    assert person.id in swept(either, CONTACT)
    assert person.id not in swept(either, PARTY)


def test_a_party_that_becomes_a_contact_is_gone_from_the_parties(
    either: TrytonConnector, human: TrytonHuman
) -> None:
    employer, person = made(either), made(either)
    brief = TrytonConnector(**_settings(either), overlap_seconds=0, use_module=either._use_module)
    try:
        cursors = {resource: brief.now(resource) for resource in (PARTY, CONTACT)}
        human.employ(person.id, employer.id)
        assert changed(brief, PARTY, cursors[PARTY])[person.id].gone
        assert not changed(brief, CONTACT, cursors[CONTACT])[person.id].gone
    finally:
        brief.close()
    assert isinstance(seen(either, PARTY, person.id), Gone)
    assert isinstance(seen(either, CONTACT, person.id), Record)


def test_our_own_company_is_no_customer(connector: TrytonConnector) -> None:
    listed = swept(connector, PARTY)
    assert "1" not in listed
    assert isinstance(seen(connector, PARTY, "1"), Gone)
    assert list(connector.find(PARTY, {"code": "1"})) == []


def test_a_change_says_when_and_by_whom(either: TrytonConnector, human: TrytonHuman) -> None:
    start = made(either, addresses=[ADDRESS])
    cursor = either.now(PARTY)
    human.edit(PARTY, start.id, {"name": f"Umbenannt {RUN}"})
    change = changed(either, PARTY, cursor)[start.id]
    assert change.by == "admin"
    assert change.at is not None
    assert change.at.utcoffset() == timedelta()
    human.edit_child(PARTY, start.id)
    later = changed(either, PARTY, cursor)[start.id]
    assert later.at is not None
    assert later.at > change.at
    assert later.by is None, "Tryton tells the editor of the party, not of its child"


def test_a_session_that_the_server_has_dropped_is_opened_again(
    connector: TrytonConnector, tryton: Running
) -> None:
    start = made(connector)
    database = tryton.folder / "db" / f"{tryton.koppel['database']}.sqlite"
    with closing(sqlite3.connect(database, timeout=30)) as open_database, open_database:
        open_database.execute("DELETE FROM ir_session")
    assert seen(connector, PARTY, start.id) == start


def test_a_delete_deactivates_unless_told_otherwise(
    connector: TrytonConnector, human: TrytonHuman, tryton: Running
) -> None:
    start = made(connector)
    delete = Delete(resource=PARTY, key="d", id=start.id, expected=start.version)
    gone = Gone(resource=PARTY, id=start.id, trashed=True)
    assert list(connector.write([delete])) == [Written(after=gone)]
    human.restore(PARTY, start.id)
    back = seen(connector, PARTY, start.id)
    assert isinstance(back, Record)
    assert back.fields == start.fields
    hard = TrytonConnector(**tryton.koppel, hard_delete=True)
    try:
        delete = Delete(resource=PARTY, key="e", id=start.id, expected=back.version)
        assert list(hard.write([delete])) == [Written(after=Gone(resource=PARTY, id=start.id))]
        assert isinstance(hard.recover(delete), Written)
    finally:
        hard.close()


def test_a_party_in_use_is_not_deleted(
    connector: TrytonConnector, human: TrytonHuman, tryton: Running
) -> None:
    start = made(connector, addresses=[ADDRESS])
    human.draft_sale(start.id)
    hard = TrytonConnector(**tryton.koppel, hard_delete=True)
    try:
        delete = Delete(resource=PARTY, key="d", id=start.id, expected=start.version)
        (outcome,) = hard.write([delete])
    finally:
        hard.close()
    assert isinstance(outcome, Refused)
    assert outcome.reason == "in_use"
    assert isinstance(seen(connector, PARTY, start.id), Record)


def test_an_address_in_use_can_be_taken_off_a_party(
    connector: TrytonConnector, human: TrytonHuman
) -> None:
    start = made(connector, addresses=[ADDRESS])
    human.draft_sale(start.id)
    found = seen(connector, PARTY, start.id)
    assert isinstance(found, Record)
    after = record(connector, updating(found, addresses=[]))
    assert after.fields["addresses"] == []


def test_check_tells_a_user_without_rights_what_is_missing(
    human: TrytonHuman, tryton: Running
) -> None:
    login = f"weak{RUN}"
    human.add_user(login, "weak-password-of-the-lab")
    weak = TrytonConnector(
        **{**tryton.koppel, "username": login, "password": "weak-password-of-the-lab"}
    )
    try:
        health = weak.check()
    finally:
        weak.close()
    assert not health.ok
    told = " ".join(health.messages)
    assert "group Koppel" in told


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("password", "not-it", "does not accept our log-in"),
        ("database", "nowhere", "no database 'nowhere'"),
        ("contact_relation", "no such relation", "no relation type 'no such relation'"),
        ("extra_fields", ("no_such_field",), "'no_such_field' is not a plain field"),
    ],
)
def test_a_wrong_setting_is_told_with_its_remedy(
    tryton: Running, setting: str, value: Any, told: str
) -> None:
    wrong = TrytonConnector(**{**tryton.koppel, setting: value})
    try:
        with pytest.raises(NeedsUser) as caught:
            wrong.fetch(CONTACT, ["1"])
    finally:
        wrong.close()
    assert told in str(caught.value)
    assert caught.value.remedy


def test_extra_fields_are_described_written_and_read(tryton: Running) -> None:
    wide = TrytonConnector(**tryton.koppel, extra_fields=["supplier_payment_term"])
    try:
        resource = next(one for one in wide.describe() if one.name == PARTY)
        info = resource.field("supplier_payment_term")
        assert info is not None
        assert "net 60" in {choice.value for choice in info.choices}
        found = made(wide, supplier_payment_term="net 60")
        assert found.fields["supplier_payment_term"] == "net 60"
    finally:
        wide.close()


def test_describe_tells_choices_and_required_fields(connector: TrytonConnector) -> None:
    resources = {one.name: one for one in connector.describe()}
    party = resources[PARTY]
    for path, value in (
        ("lang", "de"),
        ("customer_payment_term", "prepaid"),
        ("addresses.country", "CH"),
        ("contact_mechanisms.type", "mobile"),
        ("identifiers.type", "eu_vat"),
    ):
        info = party.field(path)
        assert info is not None
        assert info.type == "choice"
        assert value in {choice.value for choice in info.choices}, path
    employer = resources[CONTACT].field("employer")
    assert employer is not None
    assert employer.required
    assert employer.reference == PARTY
    key = party.field("koppel_key")
    assert key is not None
    assert not key.writable


def _settings(connector: TrytonConnector) -> dict[str, str]:
    session = connector._session
    return {
        "url": session._http.address,
        "database": session.database,
        "username": session.username,
        "password": session._password,
    }
