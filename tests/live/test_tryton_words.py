"""The add-on speaks German to whoever uses Tryton in German: asked of Tryton itself."""

from __future__ import annotations

import contextlib
import io
import re
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from koppel.connectors.base import Create, Refused
from koppel.connectors.tryton import TrytonConnector
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.processes.refusals import explain
from lab.system import ROOT, Running, free_port
from lab.tryton import DATABASE, TrytonLab
from tests.live.tryton_inside import session

pytestmark = pytest.mark.tryton

WORDS = ROOT / "addons" / "tryton" / "koppel_tryton" / "locale" / "de.po"
LABELS = {
    "koppel_key": "Koppel-Schlüssel",
    "koppel_crm_owner": "CRM-Betreuer",
    "koppel_crm_source": "CRM-Quelle",
    "koppel_crm_activity": "Letzte CRM-Aktivität",
    "koppel_crm_url": "Koppel",
}
GROUPS = ("Sales", "Account")
_LOGIN = ("hanna", "hanna-of-the-lab")


@pytest.fixture(scope="module")
def instance(worker_id: str) -> str:
    return f"test-words-{worker_id}"


@pytest.fixture(scope="module")
def running(instance: str) -> Iterator[Running]:
    """A Tryton that knows a Koppel which is away."""
    lab = TrytonLab(attached=True)
    lab.reset(instance, "bare")
    yield lab.start(instance, "bare", koppel_url=f"http://127.0.0.1:{free_port()}")
    lab.stop(instance)


@pytest.fixture(scope="module")
def german(running: Running, admin: TrytonSession) -> Iterator[TrytonSession]:
    """Somebody who sells, and chose German."""
    values = {
        "login": _LOGIN[0], "password": _LOGIN[1], "language": language(admin, "de"),
        "companies": [["add", [1]]], "company": 1,
        "groups": [["add", admin.call("res.group", "search", [["name", "in", GROUPS]])]],
    }  # fmt: skip
    admin.call("res.user", "create", [values], effect=True)
    made = session(running, *_LOGIN)
    yield made
    made.close()


def language(who: TrytonSession, code: str) -> int:
    (found,) = who.call("ir.lang", "search", [["code", "=", code]])
    return int(found)


def exported(admin: TrytonSession, code: str) -> dict[str, Message]:
    """The add-on's strings as Tryton exports them: context -> message."""
    (module,) = admin.call("ir.module", "search", [["name", "=", "koppel"]])
    wanted = {"language": language(admin, code), "module": module}
    name = "ir.translation.export"
    number, _start, _end = admin.wizard(name, "create")
    told = admin.wizard(name, "execute", number, {"start": wanted}, "export")
    admin.wizard(name, "delete", number)
    return messages(told["view"]["defaults"]["file"])


def messages(text: bytes) -> dict[str, Message]:
    catalog = read_po(io.BytesIO(text), locale="de")
    return {f"{one.context}{one.id}": one for one in catalog if one.id}


@pytest.mark.parametrize("model", ["party.party", "sale.sale"])
def test_a_form_has_german_labels_and_a_german_button(german: TrytonSession, model: str) -> None:
    view = german.call(model, "fields_view_get", None, "form")
    assert {name: view["fields"][name]["string"] for name in LABELS} == LABELS
    assert view["fields"]["koppel_crm_owner"]["help"] == "Wer sich im CRM darum kümmert."
    (button,) = re.findall(r'<button [^>]*name="koppel_open_card"[^>]*>', view["arch"])
    assert 'string="Stand und Kennzahlen"' in button


@pytest.mark.parametrize("model", ["party.party", "sale.sale"])
def test_the_entry_beside_a_record_is_german(german: TrytonSession, model: str) -> None:
    menu = german.call(model, "view_toolbar_get")
    names = [one["name"] for one in menu["relate"] if one.get("wiz_name") == "koppel.open_card"]
    assert names == ["Koppel: Stand und Kennzahlen"]


def test_trouble_is_told_in_german(german: TrytonSession) -> None:
    context = {"active_model": "party.party", "active_id": 1, "active_ids": [1]}
    number, start, _end = german.wizard("koppel.open_card", "create", context=context)
    with pytest.raises(Exception, match="Koppel ist zurzeit nicht erreichbar"):
        german.wizard("koppel.open_card", "execute", number, {}, start, context=context)


def test_a_refused_order_is_understood_though_koppels_own_user_is_german(
    running: Running, admin: TrytonSession
) -> None:
    users = admin.call("res.user", "search", [["login", "=", running.koppel["username"]]])
    admin.call("res.user", "write", users, {"language": language(admin, "de")}, effect=True)
    (party,) = admin.call("party.party", "create", [{"name": "Kunde"}], effect=True)
    access = {name: text for name, text in running.koppel.items() if name != "hint_secret"}
    connector = TrytonConnector(**access)
    lines = [{"product_code": "X-1", "quantity": Decimal(2)}]
    order = Create(resource="sale.sale", key="once", fields={"party": str(party), "lines": lines})
    try:
        (refused,) = connector.write([order])
    finally:
        connector.close()
    assert isinstance(refused, Refused)
    assert refused.message == "Position 1: Es gibt keinen Artikel mit der Nummer „X-1“."
    assert refused.fields == ("lines",)
    sentence, _remedy = explain(refused, "1")
    assert sentence == f"The ERP does not sell a product of this order: {refused.message}"


def test_others_are_shown_english_as_before(admin: TrytonSession) -> None:
    view = admin.call("party.party", "fields_view_get", None, "form")
    assert view["fields"]["koppel_crm_owner"]["string"] == "CRM Owner"


def test_every_string_of_the_module_has_a_german_word(admin: TrytonSession) -> None:
    """What Tryton finds to translate, titles on pages of forms included, and nothing else."""
    number, _start, _end = admin.wizard("ir.translation.set", "create")
    admin.wizard("ir.translation.set", "execute", number, {}, "set_")
    wanted, found, file = (
        exported(admin, "en"), exported(admin, "de"), messages(WORDS.read_bytes())
    )  # fmt: skip
    assert len(wanted) > 50
    assert {key: one.string for key, one in found.items()} == {
        key: one.string for key, one in file.items()
    }
    assert set(file) == set(wanted)
    blanks = re.compile(r"%\(\w+\)s")
    for key, one in file.items():
        assert one.string, key
        assert one.string != one.id or one.id == "Koppel", key
        assert not one.fuzzy, key
        assert sorted(blanks.findall(one.string)) == sorted(blanks.findall(one.id)), key


def test_a_tryton_with_an_older_module_gets_the_words_with_the_update(
    instance: str, running: Running
) -> None:
    lab = TrytonLab(attached=True)
    lab.stop(instance)
    database = running.folder / "db" / f"{DATABASE}.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as store, store:
        gone = store.execute("DELETE FROM ir_translation WHERE module = 'koppel' AND lang = 'de'")
        assert gone.rowcount > 50
    (running.folder / "db" / "addon.txt").unlink()
    again: Any = session(lab.start(instance, "bare"), *_LOGIN)
    try:
        view = again.call("party.party", "fields_view_get", None, "form")
    finally:
        again.close()
    assert view["fields"]["koppel_crm_owner"]["string"] == "CRM-Betreuer"
