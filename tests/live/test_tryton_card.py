"""The card from Tryton's own pages: a signed, short-lived link, made when a person asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from koppel.connectors.tryton.rpc import TrytonSession
from lab.system import Running, free_port
from lab.tryton import TrytonLab
from tests.live.creme_listener import Listener
from tests.live.tryton_inside import session

pytestmark = pytest.mark.tryton

WIZARD = "koppel.open_card"
AWAY = "Koppel cannot be reached at the moment"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def running(port: int, worker_id: str) -> Iterator[Running]:
    """A Tryton that knows where Koppel is."""
    lab, instance = TrytonLab(attached=True), f"test-card-{worker_id}"
    lab.reset(instance, "bare")
    yield lab.start(instance, "bare", koppel_url=f"http://127.0.0.1:{port}")
    lab.stop(instance)


@pytest.fixture
def koppel(port: int) -> Iterator[Listener]:
    listener = Listener(port, answer={"ok": True, "card": "/card/a:b:c"})
    listener.open()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def human(running: Running, admin: TrytonSession) -> Iterator[TrytonSession]:
    """Somebody who may read parties, and no invoices."""
    values = {"login": "human", "password": "human-lab", "companies": [["add", [1]]], "company": 1}
    admin.call("res.user", "create", [values], effect=True)
    made = session(running, "human", "human-lab")
    yield made
    made.close()


@pytest.fixture
def party(admin: TrytonSession) -> int:
    (id,) = admin.call("party.party", "create", [{"name": f"Kunde {uuid4().hex[:6]}"}], effect=True)
    return int(id)


def clicked(who: TrytonSession, model: str, id: int) -> Any:
    """What Tryton's client does when a person chooses the entry; what it is told to open."""
    context = {"active_model": model, "active_id": id, "active_ids": [id]}
    number, start, end = who.wizard(WIZARD, "create", context=context)
    told = who.wizard(WIZARD, "execute", number, {}, start, context=context)
    who.wizard(WIZARD, "delete", number, context=context)
    ((action, _data),) = told["actions"]
    assert (action["type"], end) == ("ir.action.url", "end")
    return action["url"]


def test_koppel_is_asked_with_a_signature_who_wants_to_see_what(
    running: Running, koppel: Listener, admin: TrytonSession, party: int
) -> None:
    url = clicked(admin, "party.party", party)
    assert url == f"http://127.0.0.1:{koppel.port}/card/a:b:c"
    (heard,) = koppel.heard
    assert (heard.method, heard.path) == ("POST", f"/api/card-link/tryton/party.party/{party}")
    told = heard.told
    assert (told["user"], told["figures"]) == ("admin", True)
    assert heard.signed_with(running.koppel["hint_secret"].encode())
    assert abs(int(heard.timestamp) - datetime.now(UTC).timestamp()) < 60


def test_who_may_read_no_invoices_is_shown_no_money(
    koppel: Listener, human: TrytonSession, party: int
) -> None:
    clicked(human, "party.party", party)
    told = koppel.heard[-1].told
    assert (told["user"], told["figures"]) == ("human", False)


def test_no_two_messages_are_alike_however_fast_somebody_clicks(
    koppel: Listener, admin: TrytonSession, party: int
) -> None:
    for _ in range(4):
        clicked(admin, "party.party", party)
    assert len({one.signature for one in koppel.heard}) == 4


def test_the_form_of_a_party_and_of_a_sale_has_the_button(
    koppel: Listener, admin: TrytonSession, party: int
) -> None:
    for model in ("party.party", "sale.sale"):
        view = admin.call(model, "fields_view_get", None, "form")
        assert 'name="koppel_open_card"' in view["arch"]
    action = admin.call("party.party", "koppel_open_card", [party], effect=True)
    ((kept,),) = (admin.call("ir.action.wizard", "search_read", [["action", "=", action]], 0, 1,
                             None, ["wiz_name"]),)  # fmt: skip
    assert kept["wiz_name"] == WIZARD


def test_who_may_not_read_the_record_gets_no_link(
    koppel: Listener, admin: TrytonSession, human: TrytonSession
) -> None:
    before = len(koppel.heard)
    with pytest.raises(Exception, match=r"(?i)sale|access"):
        clicked(human, "sale.sale", 4711)
    assert len(koppel.heard) == before


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, {}, "does not accept Tryton's signature"),
        (404, {}, "does not couple records of this kind"),
        (500, {}, AWAY),
        (200, {"card": "//elsewhere.example/x"}, AWAY),
        (200, {"card": "https://elsewhere.example/x"}, AWAY),
    ],
)
def test_trouble_is_told_in_a_sentence(
    koppel: Listener, admin: TrytonSession, party: int, status: int, answer: dict[str, Any],
    said: str,
) -> None:  # fmt: skip
    koppel.status, koppel.answer = status, answer
    with pytest.raises(Exception, match=said):
        clicked(admin, "party.party", party)


def test_a_koppel_that_is_away_is_told_of(admin: TrytonSession, party: int) -> None:
    with pytest.raises(Exception, match=AWAY):
        clicked(admin, "party.party", party)
