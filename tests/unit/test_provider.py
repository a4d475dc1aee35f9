"""Signing in by a sign-in service, against a real OpenID provider of Authlib's server side."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet
from django.test import Client

from koppel import cli
from koppel.config import now
from koppel.connectors import registry
from koppel.engine import Engine
from koppel.engine.lines import Lines
from koppel.engine.watch import Watch
from koppel.errors import NeedsUser
from koppel.store import Store, open_store
from koppel.store.provider import parse_provider
from koppel.web import provider, service
from tests.unit import sign_in_service
from tests.unit.sign_in_service import CLIENT, SECRET, Service

PASSWORD = "a password of five words"
ANNA = {"sub": "7f3a", "preferred_username": "anna.berg", "name": "Anna Berg", "groups": ["erp"]}


@pytest.fixture(scope="module")
def there() -> Iterator[Service]:
    with sign_in_service.running() as found:
        yield found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    store = open_store(path, clock=now)
    store.people.add("root", PASSWORD, ["administrator"])
    store.close()
    return path


@dataclass
class Desk:
    """Koppel's pages beside a sign-in service."""

    store: Store
    there: Service

    def set_up(self, **changed: Any) -> None:
        self.store.provider.set_up(self.text(**changed), source="test", user="root")

    def text(self, **changed: Any) -> str:
        told = {"issuer": self.there.url, "client_id": CLIENT, "create": True, **changed}
        groups = 'role_claim = "groups"\n'
        table = '[roles]\nerp = "clerk"\nboss = "administrator"\n'
        lines = [f"{name} = {_toml(value)}" for name, value in told.items()]
        return "\n".join(lines) + "\n" + groups + table

    def go(self, web: Client, **query: str) -> str:
        """To the service and what it answers: the address back."""
        sent = web.get("/login/provider", query)
        assert sent.status_code == 302
        return self.answer(sent.url)

    def answer(self, url: str) -> str:
        return str(httpx.get(url, follow_redirects=False).headers["Location"])

    def sign_in(self, person: dict[str, Any], **query: str) -> tuple[Client, Any]:
        self.there.person = person
        web = browser()
        return web, web.get(self.go(web, **query))

    def refusal(self, person: dict[str, Any]) -> str:
        web, answer = self.sign_in(person)
        assert answer.url == "/login"
        assert not let_in(web)
        return str(web.get("/login").content.decode())


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


def browser() -> Client:
    return Client(SERVER_NAME="127.0.0.1")


def let_in(web: Client) -> bool:
    return bool(web.get("/account").status_code == 200)


@pytest.fixture
def desk(
    tmp_path: Path, template: Path, there: Service, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    shutil.copy(template, tmp_path / "koppel.sqlite3")
    store = open_store(tmp_path / "koppel.sqlite3", clock=now, migrate=False)
    watch = Watch(lambda: Engine(store), now)
    service.use(service.Service(store, Lines(store, registry.connect), watch, now))
    monkeypatch.setenv("KOPPEL_OIDC_SECRET", SECRET)
    there.person, there.wrong, there.forge = {}, {}, False
    provider._kept.clear()
    yield Desk(store, there)
    service._current.clear()
    store.close()


def test_a_person_is_signed_in_and_made_a_user_with_the_groups_roles(desk: Desk) -> None:
    desk.set_up()
    assert "/login/provider" in browser().get("/login").content.decode()
    web, answer = desk.sign_in(ANNA, next="/inbox")
    assert answer.url == "/inbox"
    assert let_in(web)
    person = desk.store.people.get("anna.berg")
    assert (person.roles, person.full_name) == (("clerk",), "Anna Berg")
    (line, *_) = desk.store.audit_log.recent(1)
    assert (line.user, line.action, line.detail) == (
        "anna.berg",
        "sign in",
        {"by": "sign-in service"},
    )


def test_state_nonce_and_an_s256_challenge_are_sent(desk: Desk) -> None:
    desk.set_up()
    sent = parse_qs(urlsplit(browser().get("/login/provider").url).query)
    assert sent["code_challenge_method"] == ["S256"]
    assert min(len(sent[one][0]) for one in ("state", "nonce", "code_challenge")) >= 20
    assert sent["redirect_uri"] == ["http://127.0.0.1/login/provider/back"]


def test_roles_follow_the_groups_at_each_sign_in_and_the_name_does_not_matter(desk: Desk) -> None:
    desk.set_up()
    desk.sign_in(ANNA)
    desk.sign_in({**ANNA, "groups": ["boss", "unknown"], "preferred_username": "anna.tal"})
    assert desk.store.people.get("anna.berg").roles == ("administrator",)
    assert "none of your groups" in desk.refusal({**ANNA, "groups": []})


def test_nobody_is_made_where_that_is_not_allowed_and_a_link_lets_in(desk: Desk) -> None:
    desk.set_up(create=False)
    assert "koppel sign-in link NAME 7f3a" in desk.refusal(ANNA)
    desk.store.people.add("ab", PASSWORD, ["viewer"])
    desk.store.provider.link("ab", "7f3a")
    web, _ = desk.sign_in(ANNA)
    assert "ab" in web.get("/account").content.decode()
    desk.store.people.set_active("ab", False)
    assert "kept out" in desk.refusal(ANNA)


def test_a_name_that_is_taken_is_not_taken_over(desk: Desk) -> None:
    desk.set_up()
    said = desk.refusal({**ANNA, "preferred_username": "Root", "groups": ["boss"]})
    assert "there is a user called" in said


def test_the_last_administrator_stays_one(desk: Desk) -> None:
    desk.set_up()
    desk.store.provider.link("root", "1")
    assert "last administrator" in desk.refusal({"sub": "1", "groups": ["erp"]})
    assert desk.store.people.get("root").roles == ("administrator",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "of another sign-in"},
        {"aud": "another client"},
        {"iss": "https://login.example.com"},
        {"exp": 1_000_000},
        {"at_hash": "b3RoZXI"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_token_with_a_wrong_claim_is_refused(desk: Desk, wrong: dict[str, Any]) -> None:
    desk.set_up()
    desk.there.wrong = wrong
    assert "did not let you in" in desk.refusal(ANNA)


def test_a_token_with_a_forged_signature_is_refused(desk: Desk) -> None:
    desk.set_up()
    desk.there.forge = True
    assert "did not let you in" in desk.refusal(ANNA)


def test_a_state_counts_once_and_in_one_browser_only(desk: Desk) -> None:
    desk.set_up()
    desk.there.person = ANNA
    web = browser()
    back = desk.go(web)
    assert browser().get(back).url == "/login"
    wrong = back.replace("state=", "state=x")
    assert web.get(wrong).url == "/login"
    assert web.get(back).url == "/login"
    assert not let_in(web)


def test_a_code_of_one_browser_is_of_no_use_in_another(desk: Desk) -> None:
    """PKCE: the code is given to somebody whose own sign-in has another verifier."""
    desk.set_up()
    desk.there.person = ANNA
    hers, mine = browser(), browser()
    code = parse_qs(urlsplit(desk.go(hers)).query)["code"][0]
    state = parse_qs(urlsplit(mine.get("/login/provider").url).query)["state"][0]
    answer = mine.get("/login/provider/back", {"code": code, "state": state})
    assert answer.url == "/login"
    assert not let_in(mine)


def test_who_says_no_at_the_service_is_told_so(desk: Desk) -> None:
    desk.set_up()
    assert "did not let you in" in desk.refusal({})


def test_passwords_can_be_switched_off(desk: Desk) -> None:
    desk.set_up(passwords=False)
    web = browser()
    assert 'type="password"' not in web.get("/login").content.decode()
    told = web.post("/login", {"username": "root", "password": PASSWORD})
    assert told.status_code == 200
    assert not let_in(web)
    desk.store.provider.switch_off("root")
    assert web.post("/login", {"username": "root", "password": PASSWORD}).status_code == 302


def test_where_no_service_is_set_up_its_addresses_are_not_there(desk: Desk) -> None:
    assert browser().get("/login/provider").status_code == 404
    assert "/login/provider" not in browser().get("/login").content.decode()


def test_a_service_that_is_away_or_calls_itself_otherwise_is_told(desk: Desk) -> None:
    for issuer, said in (
        ("http://127.0.0.1:9", "does not answer"),
        (desk.there.url + "/", "calls itself"),
    ):
        desk.set_up(issuer=issuer)
        web = browser()
        assert web.get("/login/provider").url == "/login"
        assert said in web.get("/login").content.decode()


def test_a_demanded_second_factor_is_the_services_business(desk: Desk) -> None:
    desk.set_up()
    desk.store.second_factors.demand("clerk", True)
    assert let_in(desk.sign_in(ANNA)[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('issuer = "http://login.example.com"\nclient_id = "k"', "no https:// address"),
        ('issuer = "https://l.example"\nclient_id = "k"\nscopes = ["email"]', "lacks 'openid'"),
        ('issuer = "https://l.example"\nclient_id = "k"\nrole_claim = "g"', "belong together"),
        ('issuer = "https://l.example"\nclient_id = "k"\nsecret = "s"', "secret"),
        ("issuer = 1", "issuer"),
    ],
)
def test_a_document_with_a_fault_is_refused(text: str, said: str) -> None:
    with pytest.raises(NeedsUser, match=said):
        parse_provider(text)


def test_a_role_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(NeedsUser, match="'erp' stands for the role 'chief'"):
        desk.store.provider.set_up(
            desk.text().replace('"clerk"', '"chief"'), source="test", user="root"
        )


def test_groups_are_found_below_other_claims() -> None:
    settings = parse_provider(
        'issuer = "https://l.example"\nclient_id = "k"\n'
        'role_claim = "realm_access.roles"\n[roles]\na = "clerk"\n'
    )
    assert settings.roles_of({"realm_access": {"roles": ["a", "b"]}}) == ["clerk"]
    assert settings.roles_of({"realm_access": "a"}) == []


def test_commands_set_up_check_link_and_switch_off(
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "sign-in.toml"
    file.write_text(desk.text(create=False))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setenv("KOPPEL_KEY", Fernet.generate_key().decode())
    for words, said in (
        (("set", str(file)), "may sign in by"),
        (("check",), "answers; it signs with RS256"),
        (("link", "root", "1"), "root may sign in"),
    ):
        monkeypatch.setattr(sys, "argv", ["koppel", "--home", str(tmp_path), "sign-in", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        assert not ended.value.code, told
        assert said in told.out
    assert let_in(desk.sign_in({"sub": "1", "groups": ["boss"]})[0])
    desk.store.provider.switch_off("root")
    assert desk.store.provider.settings() is None
