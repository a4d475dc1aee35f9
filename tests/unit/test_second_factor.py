"""The second factor: set up, asked for, recovered, demanded, locked, taken away, written down."""

from __future__ import annotations

import base64
import io
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test import Client, override_settings
from django_otp.oath import TOTP

from koppel import cli
from koppel.config import now
from koppel.connectors import registry
from koppel.engine import Engine
from koppel.engine.lines import Lines
from koppel.engine.watch import Watch
from koppel.errors import NeedsUser
from koppel.store import Store, open_store
from koppel.store.second_factor import STEP, SecondFactorStore
from koppel.web import service

PASSWORD = "a password of five words"
OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def on(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture(scope="module", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Argon2 takes its time, which is not what these tests are about."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, quick_passwords: None) -> Path:
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    store = open_store(path, clock=now, key=OLD)
    store.people.add("anna", PASSWORD, ["administrator"])
    store.people.add("ben", PASSWORD, ["clerk"])
    store.close()
    return path


class Desk:
    """Koppel's pages, a clock, and the app on Ben's phone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self.secret = store, clock, ""

    def browser(self) -> Client:
        return Client(SERVER_NAME="127.0.0.1")

    def password(self, name: str = "ben", web: Client | None = None) -> tuple[Client, Any]:
        web = web or self.browser()
        return web, web.post("/login", {"username": name, "password": PASSWORD})

    def code(self, later: int = 0) -> str:
        totp = TOTP(base64.b32decode(self.secret))
        totp.time = self.clock.now.timestamp() + later * STEP
        return f"{totp.token():06d}"

    def set_up(self, web: Client) -> list[str]:
        """Read the secret from the page, confirm it; the recovery codes."""
        page = web.get("/account/second-factor").content.decode()
        self.secret = re.findall(r'<p class="mono">([A-Z2-7 ]+)</p>', page)[0].replace(" ", "")
        told = web.post("/account/second-factor", {"code": self.code()}).content.decode()
        self.clock.on(seconds=STEP)
        return re.findall(r"<li>([a-z2-7-]{19})</li>", told)

    def sign_in(self, code: str) -> tuple[Client, Any]:
        web, _ = self.password()
        return web, web.post("/login/code", {"code": code})

    def log(self) -> list[tuple[str, str]]:
        return [(line.user, line.action) for line in self.store.audit_log.recent()]


@pytest.fixture
def desk(tmp_path: Path, template: Path) -> Iterator[Desk]:
    shutil.copy(template, tmp_path / "koppel.sqlite3")
    clock = Clock()
    store = open_store(tmp_path / "koppel.sqlite3", clock=clock, key=OLD, migrate=False)
    watch = Watch(lambda: Engine(store), clock)
    service.use(service.Service(store, Lines(store, registry.connect), watch, clock))
    yield Desk(store, clock)
    service._current.clear()
    store.close()


@pytest.fixture
def ben(desk: Desk) -> Desk:
    """Ben has a second factor."""
    web, _ = desk.password()
    desk.set_up(web)
    return desk


def let_in(web: Client) -> bool:
    return bool(web.get("/account").status_code == 200)


def test_without_a_second_factor_the_password_is_enough(desk: Desk) -> None:
    web, answer = desk.password()
    assert answer.status_code == 302
    assert let_in(web)


def test_the_picture_to_scan_obeys_the_pages_own_policy(desk: Desk) -> None:
    web, _ = desk.password()
    page = web.get("/account/second-factor").content.decode()
    (svg,) = re.findall(r"<svg.*?</svg>", page, re.S)
    assert "<path" in svg
    assert not re.search(r"style|<script|\son[a-z]+=|href", svg)


def test_it_is_set_up_confirmed_and_asked_for_from_then_on(desk: Desk) -> None:
    web, _ = desk.password()
    assert len(desk.set_up(web)) == 10
    assert let_in(web)
    again, answer = desk.password()
    assert answer.url == "/login/code"
    assert not let_in(again)
    assert again.post("/login/code", {"code": desk.code()}).status_code == 302
    assert let_in(again)
    assert desk.log()[:3] == [("ben", "sign in"), ("ben", "second factor on"), ("ben", "sign in")]


def test_a_wrong_first_code_switches_nothing_on(desk: Desk) -> None:
    web, _ = desk.password()
    web.get("/account/second-factor")
    page = web.post("/account/second-factor", {"code": "000000"}).content.decode()
    assert "does not fit" in page
    assert desk.store.second_factors.confirmed() == frozenset()
    assert desk.password()[1].url == "/"


def test_a_code_counts_once_and_not_for_long(ben: Desk) -> None:
    code = ben.code()
    assert let_in(ben.sign_in(code)[0])
    assert not let_in(ben.sign_in(code)[0])
    ben.clock.on(seconds=3 * STEP)
    assert not let_in(ben.sign_in(ben.code(later=-2))[0])
    assert let_in(ben.sign_in(ben.code(later=1))[0])


def test_recovery_codes_are_shown_once_and_count_once(desk: Desk) -> None:
    web, _ = desk.password()
    first, *_rest = desk.set_up(web)
    assert first not in web.get("/account/second-factor").content.decode()
    inside, _answer = desk.sign_in(first.upper().replace("-", " "))
    assert "9 are left" in inside.get("/account").content.decode()
    assert not let_in(desk.sign_in(first)[0])


def test_new_recovery_codes_make_the_old_ones_worthless(desk: Desk) -> None:
    web, _ = desk.password()
    old = desk.set_up(web)
    told = {"does": "new codes", "code": desk.code()}
    page = web.post("/account/second-factor", told).content.decode()
    new = re.findall(r"<li>([a-z2-7-]{19})</li>", page)
    assert len(new) == 10
    assert not set(old) & set(new)
    assert not let_in(desk.sign_in(old[0])[0])
    assert let_in(desk.sign_in(new[0])[0])


def test_it_is_switched_off_with_a_code_only(ben: Desk) -> None:
    web, _ = ben.sign_in(ben.code())
    ben.clock.on(seconds=STEP)
    web.post("/account/second-factor", {"does": "off", "code": "000000"})
    assert ben.store.second_factors.confirmed() == {"ben"}
    web.post("/account/second-factor", {"does": "off", "code": ben.code()})
    assert ben.store.second_factors.confirmed() == frozenset()
    assert let_in(ben.password()[0])


def test_the_code_is_asked_for_only_after_the_password_and_for_five_minutes(ben: Desk) -> None:
    web = ben.browser()
    assert web.get("/login/code").url == "/login"
    half, _ = ben.password()
    ben.clock.on(minutes=6)
    assert half.post("/login/code", {"code": ben.code()}).url == "/login"
    assert not let_in(half)


def test_a_password_that_was_changed_meanwhile_ends_the_half_way(ben: Desk) -> None:
    half, _ = ben.password()
    ben.store.people.set_password("ben", "another one of six words")
    assert half.post("/login/code", {"code": ben.code()}).url == "/login"


def test_wrong_codes_lock_the_name_and_the_password_does_not_unlock_it(ben: Desk) -> None:
    for _ in range(5):
        assert not let_in(ben.sign_in("000000")[0])
    _web, answer = ben.password()
    assert "Too many failed attempts" in answer.content.decode()
    ben.clock.on(minutes=16)
    assert let_in(ben.sign_in(ben.code())[0])


def test_wrong_codes_from_many_addresses_lock_the_codes(ben: Desk) -> None:
    for last in range(5):
        web = Client(SERVER_NAME="127.0.0.1", REMOTE_ADDR=f"10.0.0.{last}")
        ben.password(web=web)
        for _ in range(2):
            web.post("/login/code", {"code": "000000"})
    fresh = Client(SERVER_NAME="127.0.0.1", REMOTE_ADDR="10.0.1.1")
    ben.password(web=fresh)
    told = fresh.post("/login/code", {"code": ben.code()})
    assert "Too many failed attempts" in told.content.decode()


def test_a_session_from_before_the_factor_ends(desk: Desk) -> None:
    elsewhere, _ = desk.password()
    assert let_in(elsewhere)
    web, _ = desk.password()
    desk.set_up(web)
    assert not let_in(elsewhere)
    assert let_in(web)


def test_who_has_a_role_that_demands_it_sets_it_up_before_anything_else(desk: Desk) -> None:
    web, _ = desk.password()
    anna, _ = desk.password("anna")
    anna.post("/setup/roles/second-factor", {"role": "clerk", "demand": "yes"})
    for path in ("/", "/customers", "/account"):
        assert web.get(path).url == "/account/second-factor"
    part = web.get("/", headers={"HX-Request": "true"})
    assert part.headers["HX-Redirect"] == "/account/second-factor"
    desk.set_up(web)
    assert let_in(web)
    told = {"does": "off", "code": desk.code()}
    assert "demands" in web.post("/account/second-factor", told).content.decode()
    assert desk.store.second_factors.confirmed() == {"ben"}
    assert let_in(anna)


def test_an_administrator_takes_a_lost_factor_away(ben: Desk) -> None:
    anna, _ = ben.password("anna")
    assert "Take the second factor away" in anna.get("/setup/users").content.decode()
    anna.post("/setup/users/second-factor/reset", {"name": "ben"})
    assert let_in(ben.password()[0])
    assert ("anna", "reset second factor") in ben.log()


def test_a_command_takes_it_away_and_demands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ben: Desk
) -> None:
    monkeypatch.setenv("KOPPEL_KEY", OLD.decode())
    for words in (
        ("user", "reset-second-factor", "ben"),
        ("user", "demand-second-factor", "clerk"),
    ):
        monkeypatch.setattr(sys, "argv", ["koppel", "--home", str(tmp_path), *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
    assert ben.store.second_factors.confirmed() == frozenset()
    assert ben.store.second_factors.demands() == {"clerk"}
    with pytest.raises(NeedsUser, match="no role 'boss'"):
        ben.store.second_factors.demand("boss", True)


def test_the_secret_is_encrypted_and_follows_a_rotated_key(ben: Desk) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM store_secondfactor")
        (kept,) = cursor.fetchone()
    assert ben.secret.encode() not in bytes(kept)
    rotated = SecondFactorStore(ben.clock, OLD, lambda: NEW + b"\n" + OLD)
    assert rotated.seal_anew() == 1
    assert SecondFactorStore(ben.clock, NEW).check("ben", ben.code()) == "code"
