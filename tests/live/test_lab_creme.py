"""The lab's Creme: starts, stops, is reset and kept, and its people may do what they should."""

from __future__ import annotations

import secrets
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from lab import process
from lab.creme import DATABASE, Creme
from lab.creme_human import CremeHuman, PageRefused
from lab.system import LabError, Running, free_port

pytestmark = pytest.mark.creme

ORGANISATION = "persons.organisation"


@pytest.fixture(scope="module")
def lab() -> Creme:
    return Creme(attached=True)


@pytest.fixture(scope="module")
def instance(worker_id: str) -> str:
    return f"test-lab-{worker_id}"


@pytest.fixture(scope="module")
def cleared(lab: Creme, instance: str) -> Iterator[None]:
    lab.reset(instance, "bare")
    yield
    lab.stop(instance)


@pytest.fixture
def running(lab: Creme, instance: str, cleared: None) -> Running:
    return lab.start(instance, "bare")


@pytest.fixture
def clara(running: Running) -> Iterator[CremeHuman]:
    human = CremeHuman.salesperson(running)
    yield human
    human.close()


def health(running: Running) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {running.koppel['token']}"}
    answer = httpx.get(f"{running.url}/koppel/api/v1/health", headers=headers, timeout=30)
    answer.raise_for_status()
    found: dict[str, object] = answer.json()
    return found


def organisations(folder_file: str) -> set[str]:
    with closing(sqlite3.connect(folder_file)) as database:
        return {name for (name,) in database.execute("SELECT name FROM persons_organisation")}


def test_a_started_creme_answers_koppel_as_koppels_own_user(running: Running) -> None:
    told = health(running)
    assert told["user"] == "koppel"
    assert told["version"] == "2.8.6"


def test_a_bare_creme_has_no_organisation_but_the_own_company(lab: Creme) -> None:
    lab.set_up("bare")
    database = str(lab.template_folder("bare") / DATABASE)
    assert organisations(database) == {"Nordwerk Maschinenbau GmbH"}


def test_an_instance_that_runs_is_only_told_of(lab: Creme, instance: str, running: Running) -> None:
    assert lab.start(instance, "bare").pid == running.pid


def test_a_stop_ends_the_process_and_keeps_records_port_and_token(
    lab: Creme, instance: str, running: Running, clara: CremeHuman
) -> None:
    id = clara.create(ORGANISATION, {"name": "Kept over a stop"})
    lab.stop(instance)
    assert not process.alive(running.pid, str(running.folder))
    again = lab.start(instance)
    assert (again.url, again.koppel) == (running.url, running.koppel)
    seen = CremeHuman.salesperson(again).read(ORGANISATION, id)
    assert seen is not None
    assert seen["name"] == "Kept over a stop"


def test_another_port_for_an_instance_that_runs_is_refused(
    lab: Creme, instance: str, running: Running
) -> None:
    with pytest.raises(LabError, match=rf"runs already as '{instance}' on port"):
        lab.start(instance, "bare", free_port())


def test_another_koppel_address_starts_the_instance_anew(
    lab: Creme, instance: str, running: Running
) -> None:
    secret = secrets.token_urlsafe()
    again = lab.start(instance, koppel_url="http://127.0.0.1:9", hint_secret=secret)
    assert again.pid != running.pid
    assert again.koppel["hint_secret"] == secret
    assert lab.start(instance).pid == again.pid


def test_stopping_what_does_not_run_is_harmless(lab: Creme) -> None:
    lab.stop("test-never-started")


def test_a_reset_throws_the_records_away_and_keeps_port_and_token(
    lab: Creme, instance: str, running: Running, clara: CremeHuman
) -> None:
    clara.create(ORGANISATION, {"name": "Thrown away"})
    lab.reset(instance, "bare")
    assert "Thrown away" not in organisations(running.extra["database"])
    again = lab.start(instance)
    assert (again.url, again.koppel) == (running.url, running.koppel)


def test_a_snapshot_of_a_running_instance_becomes_a_template(
    lab: Creme, instance: str, running: Running, clara: CremeHuman
) -> None:
    clara.create(ORGANISATION, {"name": "In the snapshot"})
    name = f"snapshot-{instance}"
    lab.snapshot(name, instance)
    clara.create(ORGANISATION, {"name": "After the snapshot"})
    lab.reset(instance, name)
    names = organisations(running.extra["database"])
    assert "In the snapshot" in names
    assert "After the snapshot" not in names
    assert health(lab.start(instance))["user"] == "koppel"
    shutil.rmtree(lab.template_folder(name))


def test_a_taken_port_is_told_in_one_sentence_with_the_remedy(lab: Creme) -> None:
    name = "test-taken-port"
    lab.reset(name, "bare")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=rf"port {port} .* is taken; .* choose another port"):
            lab.start(name, "bare", port)


def test_an_unknown_template_is_told_with_the_known_ones(lab: Creme) -> None:
    with pytest.raises(LabError, match=r"no template 'nowhere'; there are: .*bare"):
        lab.reset("test-unknown-template", "nowhere")


def test_a_template_of_the_lab_is_not_overwritten_by_a_snapshot(
    lab: Creme, instance: str, running: Running
) -> None:
    with pytest.raises(LabError, match="choose another name"):
        lab.snapshot("bare", instance)


def test_koppels_user_reaches_partners_and_sales_and_nothing_else(
    running: Running,
) -> None:
    person = CremeHuman(running.url, "koppel", "koppel")
    for page in ("/persons/organisations", "/persons/contacts", "/billing/invoices"):
        assert person.status(page) == 200
    for page in ("/documents/documents", "/opportunities/opportunity/add"):
        assert person.status(page) == 403
    assert person.status("/creme_config/user/portal") == 403


def test_a_wrong_password_is_refused_with_the_user_named(running: Running) -> None:
    with pytest.raises(PageRefused, match="clara"):
        CremeHuman(running.url, "clara", "wrong")


def test_a_salesperson_edits_only_what_she_changes(clara: CremeHuman) -> None:
    address = {"address": "Am Wall 1\n2. Stock", "zipcode": "28195", "city": "Bremen"}
    fields = {"name": "Müller & Söhne", "phone": "0421 1", "billing_address": address}
    id = clara.create(ORGANISATION, {**fields, "roles": ["prospect"]})
    before = clara.read(ORGANISATION, id)
    clara.edit(ORGANISATION, id, {"phone": "0421 2", "roles": ["customer"]})
    after = clara.read(ORGANISATION, id)
    assert before is not None
    assert after == {**before, "phone": "0421 2", "roles": ["customer"]}
    assert {name: after["billing_address"][name] for name in address} == address


def test_a_contact_gets_and_changes_its_employer(clara: CremeHuman) -> None:
    first, second = (clara.create(ORGANISATION, {"name": f"Employer {n}"}) for n in "12")
    contact = clara.create("persons.contact", {"last_name": "Öztürk", "employer": first})
    clara.edit("persons.contact", contact, {"employer": second})
    seen = clara.read("persons.contact", contact)
    assert seen is not None
    assert seen["employer"] == second


def test_trash_restore_and_delete_are_creme_s_own_two_steps(clara: CremeHuman) -> None:
    id = clara.create(ORGANISATION, {"name": "Soon gone"})
    clara.trash(ORGANISATION, id)
    assert clara.read(ORGANISATION, id) is None
    clara.restore(ORGANISATION, id)
    assert clara.read(ORGANISATION, id) is not None
    clara.delete(ORGANISATION, id)
    assert clara.status(f"/persons/organisation/{id}") == 404


def test_a_merge_keeps_the_survivors_values_and_fills_its_gaps(clara: CremeHuman) -> None:
    kept = clara.create(ORGANISATION, {"name": "Survivor", "phone": "1"})
    lost = clara.create(ORGANISATION, {"name": "Duplicate", "phone": "2", "fax": "3"})
    clara.merge(ORGANISATION, lost, kept)
    seen = clara.read(ORGANISATION, kept)
    assert seen is not None
    assert (seen["name"], seen["phone"], seen["fax"]) == ("Survivor", "1", "3")
    assert clara.read(ORGANISATION, lost) is None


def test_a_form_that_creme_refuses_is_told_with_creme_s_reason(clara: CremeHuman) -> None:
    id = clara.create(ORGANISATION, {"name": "Keeps its name"})
    with pytest.raises(PageRefused, match="This field is required"):
        clara.edit(ORGANISATION, id, {"name": ""})


def test_the_demo_world_is_in_creme_with_its_history(lab: Creme) -> None:
    lab.set_up("demo")
    seeded = lab.seeded("demo")
    assert (len(seeded["organisations"]), len(seeded["contacts"])) == (400, 900)
    with closing(sqlite3.connect(lab.template_folder("demo") / DATABASE)) as database:
        employed = database.execute(
            "SELECT count(*) FROM creme_core_relation WHERE type_id = 'persons-subject_employed_by'"
        ).fetchone()
        written = database.execute(
            "SELECT count(*) FROM creme_core_historyline WHERE type = 1 AND username IN"
            " ('clara', 'paul') AND entity_id IS NOT NULL AND entity_ctype_id IN (SELECT id FROM"
            " django_content_type WHERE app_label = 'persons')"
        ).fetchone()
        totals = database.execute(
            "SELECT count(*), min(total_no_vat) > 0 FROM billing_quote"
        ).fetchone()
    assert employed == (900,)
    assert written == (1300,)
    assert {name: len(seeded[name]) for name in ("products", "quotes", "orders")} == {
        "products": 21,
        "quotes": 30,
        "orders": 20,
    }
    assert totals == (30, 1)
