"""Looks at lists stand in the audit log: who, where, how many, and never what was typed."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.test import Client

import koppel
from koppel.connectors import registry
from koppel.engine import Engine
from koppel.engine.lines import Lines
from koppel.engine.watch import Watch
from koppel.store import Store, open_store
from koppel.store.searching import name_key, searchable
from koppel.store.seen_models import Customer
from koppel.web import audited, service
from koppel.web.looks import Looks

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
PASSWORD = "a password of five words"


@dataclass
class Site:
    """Koppel's pages with three customers, on a clock that the test turns."""

    store: Store
    now: datetime = START

    def clock(self) -> datetime:
        return self.now

    def later(self, **much: float) -> None:
        self.now += timedelta(**much)

    def as_(self, role: str, language: str = "en") -> Client:
        web = Client(SERVER_NAME="127.0.0.1", headers={"accept-language": language})
        web.force_login(get_user_model().objects.get(username=role))
        return web

    def lines(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """(user, action, about, details), the oldest first."""
        rows = reversed(self.store.audit_log.recent(100))
        return [(row.user, row.action, row.subject, row.detail) for row in rows]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made: list[Site] = []
    store = open_store(tmp_path / "koppel.sqlite3", clock=lambda: made[0].now)
    made.append(Site(store))
    for role in ("administrator", "clerk", "sales"):
        store.people.add(role, PASSWORD, [role])
    names = ["Müller & Söhne", "Mühle AG", "Zander"]
    store.seen.put_customers(
        [Customer(name=n, name_key=name_key(n), search=searchable([n]), erp_id=n) for n in names]
    )
    watch = Watch(lambda: Engine(store), made[0].clock)
    lines = Lines(store, registry.connect)
    service.use(service.Service(store, lines, watch, made[0].clock))
    yield made[0]
    service._current.clear()
    store.close()


def typed(web: Client, text: str) -> None:
    """Type it into the search of the customers, letter by letter."""
    for end in range(1, len(text) + 1):
        web.get("/customers", {"q": text[:end]}, headers={"HX-Request": "true"})


def test_a_list_is_written_down_with_how_many_records_it_showed(site: Site) -> None:
    site.as_("clerk").get("/customers")
    assert site.lines() == [("clerk", "list", "/customers", {"records": 3})]


def test_a_search_is_a_line_at_once_and_one_for_the_rest_of_the_minute(site: Site) -> None:
    web = site.as_("clerk")
    typed(web, "mueller")
    first = ("clerk", "list", "/customers", {"records": 2, "searched": True})
    assert site.lines() == [first]
    site.later(seconds=61)
    web.get("/customers")
    rest = {
        "looks": 6, "records": 2 + 2 + 4, "searched": True,
        "since": START.isoformat(), "until": START.isoformat(),
    }  # fmt: skip
    assert site.lines() == [
        first,
        ("clerk", "list", "/customers", rest),
        ("clerk", "list", "/customers", {"records": 3}),
    ]


def test_what_was_typed_is_in_no_line(site: Site) -> None:
    typed(site.as_("clerk"), "zander")
    site.as_("clerk").get("/lists/customers/export", {"q": "zander"})
    service.current().looks.settle(everything=True)
    told = json.dumps(site.lines()).casefold()
    assert "zander" not in told
    assert [line[1] for line in site.lines()] == ["list", "export", "list"]


def test_each_person_and_each_list_has_lines_of_its_own(site: Site) -> None:
    for role in ("clerk", "sales"):
        for page in ("/customers", "/orders", "/customers"):
            site.as_(role).get(page)
    assert [line[0::2][:2] for line in site.lines()] == [
        (role, page) for role in ("clerk", "sales") for page in ("/customers", "/orders")
    ]


def test_a_customer_who_is_opened_is_a_line_with_the_number(site: Site) -> None:
    number = Customer.objects.get(name="Zander").id
    site.as_("clerk").get(f"/customers/{number}")
    assert site.lines() == [("clerk", "see", f"/customers/{number}", {})]


def test_the_chain_holds_with_looks_in_it(site: Site) -> None:
    for role in ("clerk", "sales"):
        typed(site.as_(role), "mue")
    service.current().looks.settle(everything=True)
    verdict = site.store.audit_log.verify()
    assert (verdict.lines, verdict.faults) == (4, ())


def test_the_page_shows_looks_that_are_under_way_in_the_language_of_the_person(site: Site) -> None:
    typed(site.as_("clerk"), "mue")
    text = site.as_("administrator", "de").get("/setup/audit-log").content.decode()
    assert "<td>Liste angesehen</td><td>/customers</td>" in text
    assert "weitere Blicke: 2; Datensätze: 4; von: 25.11.2026, 12:00:00" in text
    chosen = site.as_("administrator").get("/setup/audit-log", {"action": "sign in"})
    assert "<td>/customers</td>" not in chosen.content.decode()


def test_a_program_that_is_given_a_list_stands_in_the_log(site: Site) -> None:
    shown = site.store.tokens.make("clerk", "erp", ["view", "figures"])
    web = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Bearer {shown}"})
    assert web.get("/api/v1/customers", {"q": "zander"}).json()["items"][0]["name"] == "Zander"
    assert web.get("/api/v1/runs").status_code == 200
    about = ("clerk", "list", "/api/v1/customers", {"records": 1, "searched": True})
    assert site.lines() == [about]


def test_a_line_that_cannot_be_written_is_written_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(site.store.audit_log, site.clock)
    for _ in range(3):
        looks.add("anna", "/orders", 50)
    site.later(minutes=2)

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(site.store.audit_log, "write", away)
        with pytest.raises(OperationalError):
            looks.settle()
    looks.settle()
    assert [line[3]["records"] for line in site.lines()] == [50, 100]


def test_everything_that_is_written_down_has_a_word() -> None:
    """Of what the code says itself; what is put together (`user: ...`) is in the words as well."""
    said = set()
    for path in Path(koppel.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = isinstance(node, ast.Call) and ast.unparse(node.func)
            if called and called.endswith(("audit_log.write", "inbox.log")) and len(node.args) > 1:
                action = node.args[1]
                parts = (action.body, action.orelse) if isinstance(action, ast.IfExp) else (action,)
                said |= {one.value for one in parts if isinstance(one, ast.Constant)}
    assert len(said) > 50
    assert said - set(audited.ACTIONS) == set()
