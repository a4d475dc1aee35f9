"""Users by command, and the audit log's chain."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from koppel import cli
from koppel.cli.session import FAILED, PERSON, Session
from koppel.config import now
from koppel.store import Store, open_store

Koppel = Callable[..., str]
SECRET = "correct horse battery"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    open_store(path, clock=now).close()
    return path


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Store:
    shutil.copy(template, tmp_path / "koppel.sqlite3")
    return Session(home=tmp_path, user="test").store(create=True)


@pytest.fixture
def koppel(
    tmp_path: Path,
    store: Store,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Koppel:
    """Types a command; `password` goes to its standard input."""

    def typed(*words: str, code: int = 0, password: str = SECRET) -> str:
        command = ["koppel", "--home", str(tmp_path), "--user", "root", *words]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, out + err
        return str(out + err)

    return typed


def users(koppel: Koppel) -> dict[str, Any]:
    return {row["name"]: row["roles"] for row in json.loads(koppel("user", "list", "--json"))}


def add(koppel: Koppel, name: str, *roles: str, **how: Any) -> str:
    asked = [word for role in roles for word in ("--role", role)]
    return koppel("user", "add", name, *asked, "--password-stdin", **how)


def test_users_are_made_changed_and_removed_by_command(koppel: Koppel, store: Store) -> None:
    add(koppel, "anna", "administrator")
    add(koppel, "ben", "clerk", "sales")
    assert users(koppel) == {"anna": ["administrator"], "ben": ["clerk", "sales"]}
    koppel("user", "role", "ben", "viewer")
    koppel("user", "password", "ben", "--password-stdin", password="another battery horse")
    assert users(koppel)["ben"] == ["viewer"]
    koppel("user", "remove", "ben")
    assert users(koppel) == {"anna": ["administrator"]}
    actions = [(e.user, e.action, e.subject) for e in store.audit_log.recent(2)]
    assert actions == [("root", "remove user", "ben"), ("root", "set password", "ben")]


def test_what_cannot_be_is_said_with_a_remedy(koppel: Koppel) -> None:
    add(koppel, "anna", "administrator")
    assert "already" in add(koppel, "anna", "clerk", code=PERSON)
    assert "there is no role 'boss'" in add(koppel, "ben", "boss", code=PERSON)
    assert "too weak" in add(koppel, "ben", "clerk", code=PERSON, password="12345")
    assert "no user 'zoe'" in koppel("user", "password", "zoe", "--password-stdin", code=PERSON)
    assert users(koppel) == {"anna": ["administrator"]}


def test_the_last_administrator_stays(koppel: Koppel) -> None:
    add(koppel, "anna", "administrator")
    assert "last administrator" in koppel("user", "remove", "anna", code=PERSON)
    assert "last administrator" in koppel("user", "role", "anna", "clerk", code=PERSON)
    add(koppel, "ben", "administrator")
    koppel("user", "remove", "anna")
    assert users(koppel) == {"ben": ["administrator"]}


# the audit log


def written(store: Store) -> str:
    """Five lines; the digest of the last."""
    for number in range(5):
        store.inbox.log("anna", "resolve", f"conflict {number}", field="email", grüße="ß")
    verdict = store.audit_log.verify()
    assert (verdict.lines, verdict.faults) == (5, ())
    return verdict.digest


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE store_event SET user = 'ben' WHERE id = 3",
        "UPDATE store_event SET subject = 'conflict 9' WHERE id = 5",
        "UPDATE store_event SET detail = '{}' WHERE id = 1",
        "UPDATE store_event SET at = '2020-01-01 00:00:00' WHERE id = 2",
        "UPDATE store_event SET digest = '' WHERE id = 3",
        "UPDATE store_event SET digest = '', previous = '' WHERE id = 1",
        "DELETE FROM store_event WHERE id = 1",
        "DELETE FROM store_event WHERE id = 3",
    ],
)
def test_a_line_that_was_changed_or_removed_shows(
    koppel: Koppel, store: Store, change: str
) -> None:
    written(store)
    koppel("audit-log", "verify")
    with connection.cursor() as cursor:
        cursor.execute(change)
    told = json.loads(koppel("audit-log", "verify", "--json", code=FAILED))
    assert told["faults"]


def test_lines_cut_off_at_the_end_show_against_a_noted_digest(koppel: Koppel, store: Store) -> None:
    digest = written(store)
    koppel("audit-log", "verify", "--expect", digest)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM store_event WHERE id > 3")
    assert store.audit_log.verify().faults == ()
    assert "cut off" in koppel("audit-log", "verify", "--expect", digest, code=FAILED)


def test_lines_from_before_the_chain_are_left_as_they_are(store: Store) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO store_event (at, user, action, subject, detail, previous, digest)"
            " VALUES ('2026-01-01 00:00:00', 'anna', 'init', '', '{}', '', '')"
        )
    store.audit_log.write("anna", "resolve")
    store.audit_log.write("anna", "resolve")
    assert store.audit_log.verify().faults == ()
