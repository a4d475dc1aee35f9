"""Webhooks out: what is told, signed, to whom, and until when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from koppel.config import now
from koppel.engine import webhooks
from koppel.engine.webhooks import Bell, Sender, collect, subscribe, unsubscribe
from koppel.errors import NeedsUser
from koppel.store import Store
from koppel.store.models import Run
from koppel.store.work_models import WebhookMessage
from tests.scenarios.web_desk import Desk, until


@dataclass
class Receiver:
    """A program that is told; it answers with the statuses that stand in `says`, then with 204."""

    url: str = ""
    says: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.got]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    found = Receiver()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append((dict(self.headers), body))
            status = found.says.pop(0) if found.says else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/told"
    monkeypatch.setenv("KOPPEL_PRIVATE_HOSTS", "127.0.0.1")
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(desk: Desk) -> Store:
    return desk.pair.store


def ended(state: str = "done") -> Run:
    """A run that ends now."""
    return Run.objects.create(kind="sync", state=state, started_at=now(), ended_at=now())


def later(store: Store, seconds: float) -> None:
    """Time goes on for what waits."""
    for row in WebhookMessage.objects.filter(state="waiting"):
        WebhookMessage.objects.filter(id=row.id).update(
            next_at=row.next_at - timedelta(seconds=seconds)
        )


def wall(store: Store) -> None:
    """The store's parts on the wall's clock, as its rows of this test are."""
    store.clock = store.webhooks._clock = now


def test_a_conflict_and_the_run_that_found_it_are_told_once_and_signed(
    desk: Desk, store: Store, receiver: Receiver
) -> None:
    row, secret = subscribe(store, receiver.url, (), user="anna")
    desk.edit_crm(email="crm@a.example")
    desk.edit_erp("erp@a.example")
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    (conflict,) = store.inbox.conflicts()
    for _ in range(2):
        collect(store)
        Sender(store).round()
    told = {one["event"]: one for one in receiver.told()}
    assert len(receiver.got) == len({one["id"] for one in receiver.told()})
    assert told["conflict.opened"]["conflict"] == conflict.id
    assert told["conflict.opened"]["field"] == "email"
    assert told["run.ended"]["state"] in ("done", "waiting")
    assert b"a.example" not in b"".join(body for _headers, body in receiver.got)
    for headers, body in receiver.got:
        message = f"{headers['Koppel-Timestamp']}.POST /told\n".encode() + body
        made = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        assert headers["Koppel-Signature"] == f"sha256={made}"
        assert abs(time.time() - int(headers["Koppel-Timestamp"])) < 60 or store.clock is not now
        assert headers["Koppel-Event"] == json.loads(body)["event"]
    assert {one.state for one in store.webhooks.deliveries(row.id)} == {"sent"}


def test_what_happened_while_nobody_sent_is_told_afterwards_and_nothing_from_before(
    store: Store, receiver: Receiver
) -> None:
    wall(store)
    before = ended()
    Run.objects.filter(id=before.id).update(ended_at=now() - timedelta(hours=1))
    subscribe(store, receiver.url, ["run.ended"], user="anna")
    runs = [ended().id for _ in range(3)]
    store.alarms.raise_("audit", "", "not asked for")
    collect(store)
    assert receiver.got == []
    assert Sender(store).round() == 3
    assert [one["run"] for one in receiver.told()] == runs


def test_held_plans_and_alarms_are_told(store: Store, receiver: Receiver) -> None:
    wall(store)
    store.alarms._clock = now
    subscribe(store, receiver.url, ["plan.held", "alarm.raised"], user="anna")
    run = Run.objects.create(kind="sync", state="held", started_at=now())
    alarm = store.alarms.raise_("audit", "", "The audit found something.")
    collect(store)
    collect(store)
    Sender(store).round()
    told = [(one["event"], one.get("run"), one.get("alarm")) for one in receiver.told()]
    assert sorted(told) == [("alarm.raised", None, alarm.id), ("plan.held", run.id, None)]


def test_a_message_that_does_not_arrive_is_tried_again_and_given_up_at_last(
    store: Store, receiver: Receiver
) -> None:
    wall(store)
    row, _secret = subscribe(store, receiver.url, ["run.ended"], user="anna")
    run = ended()
    receiver.says = [500, 302]
    collect(store)
    assert [Sender(store).round() for _ in range(2)] == [0, 0]
    assert len(receiver.got) == 1  # it waits before it tries again
    later(store, webhooks.WAITS[0])
    assert Sender(store).round() == 0
    (message,) = store.webhooks.deliveries(row.id)
    assert (message.state, message.attempts, message.status) == ("waiting", 2, 302)
    later(store, webhooks.WAITS[1])
    assert Sender(store).round() == 1

    ended()
    receiver.says = [500] * 20
    collect(store)
    for wait in (*webhooks.WAITS, 0):
        Sender(store).round()
        later(store, wait)
    (message, _first) = store.webhooks.deliveries(row.id)
    assert (message.state, message.attempts) == ("given up", len(webhooks.WAITS) + 1)
    (alarm,) = store.alarms.open()
    assert "127.0.0.1 do not arrive" in alarm.text
    receiver.says = []
    store.webhooks.again(row)
    assert Sender(store).round() == 1
    assert store.alarms.open() == []
    assert receiver.told()[-1]["run"] > run.id


def test_an_address_that_wants_no_more_is_sent_no_more(store: Store, receiver: Receiver) -> None:
    wall(store)
    row, _secret = subscribe(store, receiver.url, ["run.ended"], user="anna")
    ended(), ended()
    receiver.says = [410]
    collect(store)
    Sender(store).round()
    assert "wants no more" in store.webhooks.get(row.id).stopped
    Sender(store).round()
    assert collect(store) == 0
    assert len(receiver.got) <= 2


def test_of_an_address_that_is_away_only_one_message_is_tried_in_a_round(store: Store) -> None:
    wall(store)
    tried = []

    class Away(webhooks.Sender):
        def _post(self, *given: Any) -> Any:
            tried.append(given)
            return None, "no answer in time"

    store.webhooks.add("https://example.com/a", ["run.ended"], "s" * 16, by="anna")
    for _ in range(5):
        ended()
    collect(store)
    Away(store).round()
    assert len(tried) == 1


def test_waiting_messages_are_bounded(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall(store)
    monkeypatch.setattr("koppel.store.webhooks.MOST_WAITING", 3)
    row, _secret = subscribe(store, receiver.url, ["run.ended"], user="anna")
    for _ in range(5):
        ended()
    collect(store)
    assert store.webhooks.counts()[row.id] == {"waiting": 3, "given up": 2}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://127.0.0.1/x", "private network"),
        ("https://10.0.0.7/x", "private network"),
        ("https://localhost/x", "private network"),
        ("https://169.254.169.254/x", "no address of a system"),
        ("https://[::1]/x", "private network"),
        ("http://example.com/x", "unencrypted"),
        ("ftp://example.com/x", "no address for messages"),
        ("https://name:word@example.com/x", "no address for messages"),
    ],
)
def test_messages_go_into_no_private_network_unless_the_host_is_named(
    store: Store, address: str, said: str
) -> None:
    with pytest.raises(NeedsUser, match=said):
        subscribe(store, address, (), user="anna")
    assert store.webhooks.all() == []


def test_a_host_that_is_no_longer_named_is_sent_nothing(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _secret = subscribe(store, receiver.url, (), user="anna")
    monkeypatch.setenv("KOPPEL_PRIVATE_HOSTS", "")
    status, trouble = Sender(store).test(row)
    assert status is None
    assert "KOPPEL_PRIVATE_HOSTS" in trouble
    assert receiver.got == []


def test_the_thread_tells_by_itself_and_only_one_process_does(
    store: Store, receiver: Receiver
) -> None:
    subscribe(store, receiver.url, ["run.ended"], user="anna")
    store.webhooks._clock = now
    bell = Bell(lambda: Store(now, store.webhooks._key), pause=0.05)
    other = Bell(lambda: Store(now, store.webhooks._key), pause=0.05)
    bell.start(), other.start()
    run = ended()
    try:
        until(lambda: receiver.got)
        time.sleep(0.3)
    finally:
        bell.stop(), other.stop()
    assert [one["run"] for one in receiver.told()].count(run.id) == 1


# the page


def test_a_webhook_is_made_tried_and_removed_on_its_page(desk: Desk, receiver: Receiver) -> None:
    store = desk.pair.store
    page = desk.press("/setup/webhooks", address=receiver.url, event=["run.ended"])
    (row,) = store.webhooks.all()
    secret = store.webhooks.secret(row)
    assert secret in page
    assert secret not in desk.see("/setup/interfaces")
    assert secret.encode() not in bytes(row.secret)
    assert "It arrived" in desk.press(f"/setup/webhooks/{row.id}/change", does="test")
    assert receiver.told()[0]["event"] == "test"
    receiver.says = [500]
    page = desk.press(f"/setup/webhooks/{row.id}/change", does="test")
    assert "answered with 500" in page
    assert "Nothing is sent" in desk.press(f"/setup/webhooks/{row.id}/change", does="stop")
    assert "being tried again" in desk.press(f"/setup/webhooks/{row.id}/change", does="again")
    desk.press(f"/setup/webhooks/{row.id}/change", does="remove")
    assert store.webhooks.all() == []
    assert "private network" in desk.press("/setup/webhooks", address="https://10.1.2.3/")
    said = [one.action for one in store.audit_log.recent(9)]
    assert {"add webhook", "remove webhook", "webhook test"} <= set(said)


def test_the_cards_settings_are_changed_on_the_page(desk: Desk) -> None:
    page = desk.press("/setup/card", minutes="30", frames="https://crm.example.com")
    assert "https://crm.example.com" in page
    assert "no origin" in desk.press("/setup/card", minutes="30", frames="crm")
    assert "cannot be good for" in desk.press("/setup/card", minutes="0", frames="")
    assert "are over" in desk.press("/setup/card", does="revoke")
    text = desk.pair.store.documents.get("card", "card") or ""
    assert "generation = 2" in text
    assert "minutes = 30" in text


def test_an_unknown_webhook_is_told(store: Store) -> None:
    with pytest.raises(NeedsUser, match="no webhook 7"):
        unsubscribe(store, 7, user="anna")
