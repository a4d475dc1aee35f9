"""What Creme tells Koppel, and what its pages show of it: signed hints, the block, the button."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from koppel.connectors.base import Create, Record, Update, Written
from koppel.connectors.creme import CremeConnector
from lab.creme import Creme
from lab.creme_human import CremeHuman
from lab.system import Running, free_port
from tests.live.creme_inside import inside
from tests.live.creme_listener import Listener

pytestmark = pytest.mark.creme

ORGANISATION = "persons.organisation"
numbers = count(1)
AWAY = "Koppel cannot be reached at the moment"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def talking(port: int, worker_id: str) -> Iterator[Running]:
    """A Creme that knows where Koppel is."""
    lab, instance = Creme(attached=True), f"test-talking-{worker_id}"
    lab.reset(instance, "bare")
    yield lab.start(instance, "bare", koppel_url=f"http://127.0.0.1:{port}", hint_secret="geheim")
    lab.stop(instance)


@pytest.fixture
def koppel(port: int) -> Iterator[Listener]:
    listener = Listener(port)
    listener.open()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def clara(talking: Running) -> Iterator[CremeHuman]:
    """She may synchronise."""
    human = CremeHuman.salesperson(talking, "clara")
    yield human
    human.close()


@pytest.fixture(scope="module")
def paul(talking: Running) -> Iterator[CremeHuman]:
    """He may not."""
    human = CremeHuman.salesperson(talking, "paul")
    yield human
    human.close()


@pytest.fixture(scope="module")
def connector(talking: Running) -> Iterator[CremeConnector]:
    made = CremeConnector(talking.url, talking.koppel["token"])
    yield made
    made.close()


@pytest.fixture
def record(connector: CremeConnector) -> Record:
    number = next(numbers)
    fields = {"name": f"Werk {number}", "billing_address": {"city": "Ulm"}}
    (outcome,) = connector.write(
        [Create(resource=ORGANISATION, key=f"koppel-{number}-{time.time_ns()}", fields=fields)]
    )
    assert isinstance(outcome, Written)
    assert isinstance(outcome.after, Record)
    return outcome.after


def page(human: CremeHuman, record: Record) -> str:
    answer = human._web.get(f"/persons/organisation/{record.id}")
    assert answer.status_code == 200
    return answer.text


def block(human: CremeHuman, record: Record) -> str:
    """Koppel's block on the record's page, without its tags."""
    text = page(human, record)
    start = text.index("koppel-record-brick")
    end = text.find('<div class="brick ', start)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text[start:end]))


def press(human: CremeHuman, record: Record) -> httpx.Response:
    return human._web.post(
        f"/koppel/synchronise/{ORGANISATION}/{record.id}",
        headers={
            "X-CSRFToken": human._web.cookies["csrftoken"],
            "X-Requested-With": "XMLHttpRequest",
        },
    )


CARD = {
    "coupled": True,
    "state": "in step",
    "erp_number": "K-4711",
    "last_in_step": "2026-11-25T08:30:00+00:00",
    "conflicts": 2,
    "url": "/couplings/7",
    "card": "/card/a-signed-claim",
    "messages": ["The name waits for a person."],
}


# Hints.


def test_a_humans_edit_is_hinted_at_with_a_signature(
    koppel: Listener, clara: CremeHuman, record: Record
) -> None:
    clara.edit(ORGANISATION, record.id, {"phone": "+49 1"})
    assert koppel.wait_for(ORGANISATION, record.id)
    heard = next(one for one in koppel.heard if one.path == "/hints/creme")
    assert heard.told == {"resource": ORGANISATION, "id": record.id}
    assert heard.signed_with(b"geheim")
    assert abs(int(heard.timestamp) - time.time()) < 60


@pytest.mark.parametrize("what", ["child", "role", "trash", "delete"])
def test_all_that_changes_a_record_is_hinted_at(
    koppel: Listener, talking: Running, clara: CremeHuman, record: Record, what: str
) -> None:
    if what == "child":
        clara.edit_child(ORGANISATION, record.id)
    elif what == "role":
        clara.edit(ORGANISATION, record.id, {"roles": ["customer"]})
    elif what == "trash":
        clara.trash(ORGANISATION, record.id)
    else:
        clara.delete(ORGANISATION, record.id)
    assert koppel.wait_for(ORGANISATION, record.id)


def test_a_merge_is_hinted_at_for_both_records(
    koppel: Listener, clara: CremeHuman, connector: CremeConnector, record: Record
) -> None:
    fields = {"name": "Doppelt"}
    (made,) = connector.write(
        [Create(resource=ORGANISATION, key=f"twin-{time.time_ns()}", fields=fields)]
    )
    assert isinstance(made, Written)
    clara.merge(ORGANISATION, made.after.id, record.id)
    assert koppel.wait_for(ORGANISATION, made.after.id)
    assert koppel.wait_for(ORGANISATION, record.id)


def test_koppels_own_writes_are_not_hinted_at(
    koppel: Listener, connector: CremeConnector, clara: CremeHuman, record: Record
) -> None:
    (outcome,) = connector.write(
        [
            Update(
                resource=ORGANISATION,
                key=f"own-{record.id}-{time.time_ns()}",
                id=record.id,
                expected=record.version,
                fields={"phone": "5", "roles": ["prospect"]},
            )
        ]
    )
    assert isinstance(outcome, Written)
    other = clara.create(ORGANISATION, {"name": "Danach"})
    assert koppel.wait_for(ORGANISATION, other)
    assert (ORGANISATION, record.id) not in koppel.hints()


def test_repeated_hints_are_sent_once_and_the_queue_is_bounded(talking: Running) -> None:
    sent, dropped = inside(
        talking,
        """
import time
from koppel_creme import hints, koppel
sent = []
def call(method, path, payload, timeout):
    sent.append([payload["resource"], payload["id"]])
    return koppel.Answer(True, 202)
koppel.call = call
hints.MOST_WAITING = 3
sender = hints.Sender()
for number in range(50):
    for pk in "1234":
        sender.put(("persons.organisation", pk))
time.sleep(1)
answer = [sent, sender.dropped]
""",
    )
    assert sent == [[ORGANISATION, id] for id in "123"]
    assert dropped == 50


def test_a_koppel_that_is_away_or_slow_holds_nobody_up(
    talking: Running, port: int, clara: CremeHuman, record: Record
) -> None:
    clara.edit(ORGANISATION, record.id, {"phone": "1"})
    slow = Listener(port, delay=30.0)
    slow.open()
    try:
        start = time.monotonic()
        clara.write_address(clara.addresses(ORGANISATION, record.id)[0], {"city": "Köln"})
        # Looking up the address shows the page, and its block waits for Koppel at most once.
        assert time.monotonic() - start < 10.0
    finally:
        slow.close()


# The block and the button.


def fresh_card(clara: CremeHuman, koppel: Listener, record: Record) -> str:
    """The block once Creme asks Koppel again, which it leaves off for a while after a failure."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        text = block(clara, record)
        if AWAY not in text:
            return text
        time.sleep(1)
    raise AssertionError("Creme does not ask Koppel again")


def test_the_block_shows_what_koppel_says_of_the_record(
    koppel: Listener, clara: CremeHuman, record: Record
) -> None:
    koppel.answer = CARD
    text = fresh_card(clara, koppel, record)
    for part in ("Coupled", "in step", "K-4711", "2026", "Open conflicts 2", "Synchronise now"):
        assert part in text
    assert "The name waits for a person." in text
    assert f'href="http://127.0.0.1:{koppel.port}/couplings/7"' in page(clara, record)
    assert f'href="http://127.0.0.1:{koppel.port}/card/a-signed-claim"' in page(clara, record)
    heard = next(one for one in koppel.heard if one.path.startswith("/api/card/"))
    assert heard.path == f"/api/card/creme/{ORGANISATION}/{record.id}"
    assert heard.signed_with(b"geheim")


def test_a_contact_has_the_block_too(
    koppel: Listener, clara: CremeHuman, connector: CremeConnector, record: Record
) -> None:
    koppel.answer = {**CARD, "coupled": False, "state": "not coupled"}
    fresh_card(clara, koppel, record)
    id = clara.create("persons.contact", {"last_name": "Sá", "first_name": "Åsa"})
    text = clara._web.get(f"/persons/contact/{id}").text
    assert "koppel-record-brick" in text
    assert "Not coupled" in text


def test_a_link_that_is_no_web_address_is_not_shown(
    koppel: Listener, clara: CremeHuman, record: Record
) -> None:
    koppel.answer = {**CARD, "url": "javascript:alert(1)", "state": "<b>bold</b>"}
    fresh_card(clara, koppel, record)
    text = page(clara, record)
    assert "javascript:alert(1)" not in text
    assert "<b>bold</b>" not in text


@pytest.mark.parametrize("status", [401, 500])
def test_a_koppel_that_refuses_is_told_in_one_sentence(
    koppel: Listener, clara: CremeHuman, record: Record, status: int
) -> None:
    koppel.answer = CARD
    fresh_card(clara, koppel, record)
    koppel.status = status
    text = block(clara, record)
    assert "K-4711" not in text
    assert ("signature" if status == 401 else "error") in text


def test_the_button_synchronises_in_the_name_of_its_user_and_tells_what_changed(
    koppel: Listener, clara: CremeHuman, record: Record
) -> None:
    koppel.answer = {
        "ok": True,
        "changes": [{"side": "erp", "field": "phone", "old": "1", "new": "2"}],
        "message": "1 fields brought into step.",
    }
    answer = press(clara, record)
    assert answer.status_code == 200
    assert answer.json()["changes"] == koppel.answer["changes"]
    heard = next(one for one in koppel.heard if one.path.startswith("/api/sync/"))
    assert heard.path == f"/api/sync/creme/{ORGANISATION}/{record.id}"
    assert heard.told == {"user": "clara"}
    koppel.answer = CARD
    text = block(clara, record)
    assert "1 fields brought into step." in text
    assert "phone: 1 → 2" in text
    assert "1 fields brought into step." not in block(clara, record)


def test_the_button_is_for_those_who_hold_the_right_and_refusals_are_logged(
    koppel: Listener, talking: Running, clara: CremeHuman, paul: CremeHuman, record: Record
) -> None:
    koppel.answer = CARD
    fresh_card(clara, koppel, record)
    assert "Synchronise now" not in block(paul, record)
    answer = press(paul, record)
    assert answer.status_code == 403
    assert not [one for one in koppel.heard if one.path.startswith("/api/sync/")]
    log = Path(talking.extra["log"]).read_text()
    assert f"was refused to synchronise {ORGANISATION} {record.id}" in log


def test_nobody_synchronises_without_a_log_in(talking: Running, record: Record) -> None:
    path = f"{talking.url}/koppel/synchronise/{ORGANISATION}/{record.id}"
    assert httpx.post(path, follow_redirects=False).status_code in (302, 403)


def test_the_button_tells_when_koppel_refuses(
    koppel: Listener, clara: CremeHuman, record: Record
) -> None:
    koppel.answer = {"ok": False, "changes": [], "message": "The plan is held for a person."}
    answer = press(clara, record)
    assert answer.status_code == 409
    assert answer.text == "The plan is held for a person."


def test_a_koppel_that_is_away_is_told_in_one_sentence_and_costs_no_second_wait(
    talking: Running, clara: CremeHuman, record: Record
) -> None:
    assert AWAY in block(clara, record)
    start = time.monotonic()
    block(clara, record)
    assert time.monotonic() - start < 5
    answer = press(clara, record)
    assert answer.status_code == 409
    assert "Koppel cannot be reached" in answer.text
