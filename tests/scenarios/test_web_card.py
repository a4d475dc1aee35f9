"""The card: one record by a signed link, for a short time, in the frames of named pages only."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from koppel.config import now
from koppel.errors import NeedsUser
from koppel.processes import cards
from koppel.store.seen_models import Customer
from koppel.web import service
from tests.scenarios.web_desk import Desk


@pytest.fixture
def at(desk: Desk) -> Desk:
    """The person's desk, on the wall's clock: a link is made and read by the same one."""
    desk.pair.store.clock = now
    return desk


def link(desk: Desk, **more: Any) -> str:
    told: dict[str, Any] = {"user": "anna", "figures": True} | more
    return cards.make_link(desk.pair.store, "partner", "crm", desk.crm, **told).path


def seen(path: str) -> Any:
    """Somebody without a session opens it."""
    return Client(SERVER_NAME="127.0.0.1").get(path)


def test_a_link_shows_one_record_without_a_sign_in_and_is_written_down(at: Desk) -> None:
    store = at.pair.store
    Customer.objects.create(
        crm_id=at.crm, name="Muster AG", currency="EUR", turnover="1234.50", overdue="7"
    )
    answer = seen(link(at))
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "in step" in page
    assert "€1,234.50" in page
    assert "koppel_session" not in answer.cookies
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    said = [(one.user, one.action, one.subject) for one in store.audit_log.recent(2)]
    subject = f"partner crm {at.crm}"
    assert said == [("anna", "see card", subject), ("anna", "make card link", subject)]
    assert "€1,234.50" not in seen(link(at, figures=False)).content.decode()


def test_a_link_is_good_for_its_record_alone_and_cannot_be_changed(at: Desk) -> None:
    path = link(at)
    assert seen(path[:-1] + ("a" if path[-1] != "a" else "b")).status_code == 401
    assert seen("/card/x").status_code == 401
    session = Client(SERVER_NAME="127.0.0.1")
    session.get(path)
    for elsewhere in ("/", f"/records/partner/crm/{at.crm}", "/customers"):
        assert session.get(elsewhere).status_code == 302


def test_a_link_ends_by_itself(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    short, longer = link(at, minutes=1), link(at)
    current = service.current()
    monkeypatch.setattr(current, "clock", lambda: now() + timedelta(minutes=2))
    answer = seen(short)
    assert answer.status_code == 401
    assert "This link is over" in answer.content.decode()
    assert seen(longer).status_code == 200
    monkeypatch.setattr(current, "clock", lambda: now() + timedelta(minutes=16))
    assert seen(longer).status_code == 401


def test_all_links_end_at_once_where_they_are_revoked_or_the_key_is_rotated(at: Desk) -> None:
    store = at.pair.store
    path = link(at)
    cards.revoke(store, user="anna")
    assert seen(path).status_code == 401
    path = link(at)
    assert seen(path).status_code == 200
    store.card_keys._key = b"YW5vdGhlciBrZXksIG5ldyBhbmQgZmlyc3QgaW4gbGk= " + store.card_keys._key
    assert seen(path).status_code == 401


def test_only_pages_that_the_settings_name_may_show_it_in_a_frame(at: Desk) -> None:
    path = link(at)
    answer = seen(path)
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    told = cards.CardSettings(frames=("https://crm.example.com",))
    cards.save_settings(at.pair.store, told, user="anna")
    answer = seen(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors https://crm.example.com" in policy
    assert "script-src 'self'" in policy
    assert "X-Frame-Options" not in answer.headers
    assert "frame-ancestors 'none'" in at.web.get("/").headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "frames", ["*", "https://a.example; script-src *", "https://a.example/path", "javascript:x"]
)
def test_what_is_no_origin_is_not_let_into_the_policy(at: Desk, frames: str) -> None:
    with pytest.raises(NeedsUser, match="no origin"):
        cards.save_settings(at.pair.store, cards.CardSettings(frames=(frames,)), user="anna")


def test_a_program_makes_a_link_with_what_its_token_may_see(at: Desk) -> None:
    store = at.pair.store

    def ask(*scopes: str) -> Any:
        token = store.tokens.make("anna", "test", scopes)
        return Client(SERVER_NAME="127.0.0.1").post(
            f"/api/v1/records/partner/crm/{at.crm}/card-link",
            headers={"Authorization": f"Bearer {token}"},
        )

    told = json.loads(ask("view").content)
    assert told["url"].startswith("http://127.0.0.1/card/")
    assert seen(told["url"].removeprefix("http://127.0.0.1")).status_code == 200
    assert ask("decide").status_code == 403
