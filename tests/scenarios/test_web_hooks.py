"""What a coupled system may call: hints, the card of a record, its button; only when signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from koppel.config import now
from koppel.engine.lines import HINT_SECRET, Lines
from koppel.engine.watch import Pace, Watch
from koppel.errors import TryLater
from koppel.store.seen_models import Sale, SaleLine
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.web import service
from tests.scenarios.pair import PairOfSystems

SECRET = "the CRM's secret"


@dataclass
class Sender:
    """Stands where the CRM is: it signs what it sends."""

    pair: PairOfSystems
    watch: Watch
    web: Client
    crm: str
    erp: str

    def call(
        self,
        method: str,
        path: str,
        told: Any = None,
        *,
        secret: str = SECRET,
        age: float = 0,
        signed_path: str | None = None,
        signature: str | None = None,
    ) -> Any:
        body = b"" if told is None else json.dumps(told).encode()
        stamp = str(int(time.time() - age))
        message = f"{stamp}.{method} {signed_path or path}\n".encode() + body
        made = "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        headers = {
            "Koppel-Timestamp": stamp,
            "Koppel-Signature": made if signature is None else signature,
        }
        return self.web.generic(
            method, path, body, content_type="application/json", headers=headers
        )

    def card(self, record: str, **how: Any) -> Any:
        return self.call("GET", f"/api/card/crm/organisation/{record}", **how)

    def press(self, record: str, told: Any = None, **how: Any) -> Any:
        return self.call("POST", f"/api/sync/crm/organisation/{record}", told or {}, **how)

    def hint(self, record: str, resource: str = "organisation", **how: Any) -> Any:
        return self.call("POST", "/hints/crm", {"resource": resource, "id": record}, **how)

    def erp_emails(self) -> list[str]:
        fields = self.pair.erp.row("party", self.erp).fields
        return [way["value"] for way in fields["contact_mechanisms"] if way["type"] == "email"]


@pytest.fixture
def sender(pair: PairOfSystems) -> Iterator[Sender]:
    """A serving Koppel with one coupled partner; it polls once, at its start."""
    for side in ("crm", "erp"):
        pair.store.connections.put(
            side, side=side, type="memory", config={"system": side}, secrets={HINT_SECRET: SECRET}
        )
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    watch = Watch(pair.engine, now, Pace(poll=3600, gather=0.01))
    lines = Lines(pair.store, pair._connect)
    service.use(service.Service(store=pair.store, lines=lines, watch=watch, clock=now))
    watch.start()
    try:
        until(lambda: watch.last_poll is not None)
        yield Sender(pair, watch, Client(SERVER_NAME="127.0.0.1"), crm, erp)
    finally:
        watch.stop()
        service._current.clear()


def until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_hint_is_answered_at_once_and_brings_the_record_across(sender: Sender) -> None:
    sender.pair.crm_human.edit("organisation", sender.crm, {"email": "new@a.example"})
    answer = sender.hint(sender.crm)
    assert (answer.status_code, answer.json()) == (202, {"ok": True, "coupled": True})
    until(lambda: sender.erp_emails() == ["new@a.example"])


def test_a_hint_that_is_repeated_late_or_about_nothing_does_no_harm(sender: Sender) -> None:
    for _ in range(5):
        assert sender.hint(sender.crm).status_code == 202
    assert sender.hint("no such id").status_code == 202
    assert sender.hint("1", resource="weather").json()["coupled"] is False
    sender.pair.crm_human.edit("organisation", sender.crm, {"email": "new@a.example"})
    sender.hint(sender.crm)
    until(lambda: sender.erp_emails() == ["new@a.example"])
    assert sender.watch.last_error == ""


@pytest.mark.parametrize(
    "how",
    [
        {"secret": "another"},
        {"signature": ""},
        {"signature": "sha256=" + "0" * 64},
        {"signature": "sha256=ü"},
        {"age": 301},
        {"age": -301},
        {"signed_path": "/hints/erp"},
    ],
    ids=["secret", "none", "zeros", "umlaut", "old", "future", "other address"],
)
def test_a_call_whose_signature_is_wrong_or_old_is_refused_unread(
    sender: Sender, how: dict[str, Any]
) -> None:
    sender.pair.crm_human.edit("organisation", sender.crm, {"email": "new@a.example"})
    before = len(sender.pair.store.runs.recent(100))
    for answer in (
        sender.hint(sender.crm, **how),
        sender.card(sender.crm, **how),
        sender.press(sender.crm, **how),
    ):
        assert answer.status_code == 401
        assert answer.json()["ok"] is False
    assert len(sender.pair.store.runs.recent(100)) == before
    assert sender.erp_emails() != ["new@a.example"]


def test_an_unknown_sender_is_refused_like_a_wrong_signature(sender: Sender) -> None:
    known = sender.call("POST", "/hints/crm", {"resource": "a", "id": "1"}, secret="x")
    unknown = sender.call("POST", "/hints/nobody", {"resource": "a", "id": "1"}, secret="")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


def test_a_pressed_button_that_is_replayed_is_refused(sender: Sender) -> None:
    stamp = str(int(time.time()))
    path = f"/api/sync/crm/organisation/{sender.crm}"
    message = f"{stamp}.POST {path}\n".encode() + b"{}"
    headers = {
        "Koppel-Timestamp": stamp,
        "Koppel-Signature": "sha256="
        + hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest(),
    }
    first, second = (
        sender.web.generic("POST", path, b"{}", content_type="application/json", headers=headers)
        for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (200, 401)


def test_what_is_no_hint_or_too_large_is_refused(sender: Sender) -> None:
    assert sender.call("POST", "/hints/crm", {"resource": "a"}).status_code == 400
    assert sender.call("POST", "/hints/crm", {"resource": "a", "id": 1}).status_code == 400
    told = {"resource": "a", "id": "1", "data": "x"}
    assert sender.call("POST", "/hints/crm", told).status_code == 400
    assert sender.call("POST", "/hints/crm", "x" * 5000).status_code == 413
    assert sender.call("GET", "/hints/crm").status_code == 405


def test_the_card_tells_state_number_conflicts_and_where_to_look(sender: Sender) -> None:
    told = sender.card(sender.crm).json()
    assert told["coupled"] is True
    assert (told["state"], told["erp_number"], told["conflicts"]) == ("in step", "000001", 0)
    assert told["last_in_step"].endswith("+00:00")
    login = sender.web.get(told["url"])
    assert (login.status_code, login.url.split("?")[0]) == (302, "/login")


def test_the_card_of_a_record_that_is_not_coupled_says_so(sender: Sender) -> None:
    new = sender.pair.crm_human.create("organisation", {"name": "Neu", "role": "prospect"})
    told = sender.card(new).json()
    assert (told["coupled"], told["state"], told["erp_number"]) == (False, "not coupled", None)
    assert sender.call("GET", "/api/card/crm/weather/1").status_code == 404


def test_the_card_counts_open_conflicts_and_names_what_is_stuck(sender: Sender) -> None:
    ways = sender.pair.erp.row("party", sender.erp).fields["contact_mechanisms"]
    changed = [{**w, "value": "erp@a.example"} if w["type"] == "email" else w for w in ways]
    sender.pair.erp_human.edit("party", sender.erp, {"contact_mechanisms": changed})
    sender.pair.crm_human.edit("organisation", sender.crm, {"email": "crm@a.example"})
    answer = sender.press(sender.crm, {"user": "clara"}).json()
    assert "wait for a person" in answer["message"]
    assert sender.card(sender.crm).json()["conflicts"] == 1


def test_the_button_tells_what_changed_and_who_pressed_it(sender: Sender) -> None:
    sender.pair.crm_human.edit("organisation", sender.crm, {"email": "new@a.example"})
    answer = sender.press(sender.crm, {"user": "clara"})
    assert answer.json() == {
        "ok": True,
        "changes": [
            {"side": "erp", "field": "email", "old": "info@partner1.example",
             "new": "new@a.example"}
        ],
        "message": "1 fields brought into step.",
    }  # fmt: skip
    assert sender.erp_emails() == ["new@a.example"]
    (event,) = [e for e in sender.pair.store.inbox.events() if e.action == "synchronise"]
    assert event.user == "clara in crm"
    assert sender.press(sender.crm, {"user": "clara", "n": 2}).json()["changes"] == []


def test_the_button_tells_in_a_sentence_when_the_other_system_is_away(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise TryLater("the system does not answer", place="erp")

    monkeypatch.setattr(sender.pair.connectors["erp"], "fetch", away)
    answer = sender.press(sender.crm)
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": False,
        "changes": [],
        "message": "erp: the system does not answer.",
    }


def test_koppels_pages_are_for_people_who_have_logged_in(sender: Sender) -> None:
    row = next(iter(sender.pair.store.couplings.each("partner")))
    pages = ["/", f"/couplings/{row.id}", f"/records/partner/crm/{sender.crm}"]
    for page in pages:
        assert sender.web.get(page).url.startswith("/login")
    get_user_model().objects.create_superuser("anna", password="anna-s-password")
    assert sender.web.login(username="anna", password="anna-s-password")
    for page in pages:
        answer = sender.web.get(page, follow=True)
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()
    assert row.label in sender.web.get(pages[1]).content.decode()
    assert sender.web.get("/couplings/nothing").status_code == 404
    assert sender.web.get("/healthz").json() == {"ok": True}


# the card, for a person of a system


def wish(sender: Sender, resource: str, record: str, **how: Any) -> Any:
    # On the wall's clock: a link is made and read by the same one.
    sender.pair.store.clock = now
    told = {"user": "eva", "figures": True, "once": f"{time.monotonic_ns()}"}
    return sender.call("POST", f"/api/card-link/erp/{resource}/{record}", told, **how)


def test_a_person_of_a_system_gets_a_link_that_opens_without_a_sign_in(sender: Sender) -> None:
    told = wish(sender, "party", sender.erp).json()
    page = Client(SERVER_NAME="127.0.0.1").get(told["card"])
    assert page.status_code == 200
    assert sender.pair.erp.row("party", sender.erp).fields["name"] in page.content.decode()
    said = [(one.user, one.action) for one in sender.pair.store.audit_log.recent(2)]
    assert said == [("eva in erp", "see card"), ("eva in erp", "make card link")]


def test_a_link_is_made_for_a_signed_wish_alone_and_once_for_each(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wish(sender, "party", sender.erp, secret="another").status_code == 401
    assert wish(sender, "party", sender.erp, age=301).status_code == 401
    path = f"/api/card-link/erp/party/{sender.erp}"
    second = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: second)
        assert sender.call("POST", path, {"user": "eva"}).status_code == 200
        assert sender.call("POST", path, {"user": "eva"}).status_code == 401
    assert wish(sender, "weather", "1").status_code == 404
    assert sender.call("GET", path).status_code == 405


def test_a_person_in_the_erp_is_shown_as_a_contact(sender: Sender) -> None:
    fields = {"last_name": "Quast", "first_name": "Xanthippe", "party": sender.erp}
    human, person = sender.pair.erp_human, sender.erp
    while person == sender.erp:  # in Tryton both have ids of one kind; here each kind its own
        person = human.create("contact", fields)
    sender.pair.sync()
    page = Client(SERVER_NAME="127.0.0.1").get(wish(sender, "party", person).json()["card"])
    assert "Quast" in page.content.decode()


def test_a_sale_has_a_card_with_money_for_those_who_may_see_it(sender: Sender) -> None:
    line = SaleLine(position=1, item="A1", name="Schraube", ordered=3, delivered=2, open=1)
    row = Sale(
        side="erp", kind="order", resource="sale.sale", record="7", number="SO7", party=sender.erp,
        state="partly delivered", day=now().date(), net=Decimal("1234.50"), gross=Decimal(1469),
        currency="EUR", read_at=now(),
    )  # fmt: skip
    sender.pair.store.seen.put_sales([(row, [line])])
    browser = Client(SERVER_NAME="127.0.0.1")
    page = browser.get(wish(sender, "sale.sale", "7").json()["card"]).content.decode()
    assert "SO7" in page
    assert "Schraube" in page
    assert "€1,234.50" in page
    told = sender.call("POST", "/api/card-link/erp/sale.sale/7", {"user": "eva"}).json()
    page = browser.get(told["card"]).content.decode()
    assert "Schraube" in page
    assert "1,234.50" not in page
    told = wish(sender, "sale.sale", "8").json()
    assert "has not read this document yet" in browser.get(told["card"]).content.decode()
