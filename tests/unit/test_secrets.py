"""Secrets: encrypted at rest, with a key for its owner alone; nothing Koppel prints shows them."""

from __future__ import annotations

import logging
import os
import stat
import traceback
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from koppel.errors import NeedsUser
from koppel.store.secrets import find_key, seal, unseal
from tests.unit.test_cli import Shell, coupled, shell, template

__all__ = ["coupled", "shell", "template"]

SECRET = "s3cret-pin"
"""What the shell's two connections keep secret."""


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOPPEL_KEY", raising=False)


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = find_key(tmp_path, create=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "koppel.key").stat().st_mode) == 0o600
    assert find_key(tmp_path, create=True) == key
    assert find_key(tmp_path) == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    find_key(tmp_path, create=True)
    (tmp_path / "koppel.key").chmod(mode)
    with pytest.raises(NeedsUser, match="chmod 600"):
        find_key(tmp_path)


def test_a_missing_key_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NeedsUser, match="KOPPEL_KEY"):
        find_key(tmp_path)


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_key(tmp_path, create=True)
    monkeypatch.setenv("KOPPEL_KEY", "from the environment")
    assert find_key(tmp_path) == b"from the environment"


def test_what_is_sealed_twice_looks_different_and_comes_back_the_same() -> None:
    key = Fernet.generate_key()
    one, two = seal({"password": "geheim ü"}, key), seal({"password": "geheim ü"}, key)
    assert one != two
    assert b"geheim" not in one
    assert unseal(one, key) == unseal(two, key) == {"password": "geheim ü"}


def test_a_rotated_key_reads_old_secrets_and_seals_with_the_new_one() -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    sealed = seal({"password": "geheim"}, old)
    both = new + b"\n" + old
    assert unseal(sealed, both) == {"password": "geheim"}
    assert unseal(seal({"password": "geheim"}, both), new) == {"password": "geheim"}


@pytest.mark.parametrize("tampered", [b"nonsense", b"", None])
def test_what_was_tampered_with_is_refused_without_showing_anything(
    tampered: bytes | None,
) -> None:
    key = Fernet.generate_key()
    sealed = seal({"password": "geheim"}, key)
    broken = sealed[:-4] + b"AAAA" if tampered is None else tampered
    if tampered == b"":
        assert unseal(broken, key) == {}
        return
    with pytest.raises(NeedsUser) as told:
        unseal(broken, key)
    shown = "".join(traceback.format_exception(told.value))
    assert "geheim" not in shown
    assert key.decode() not in shown


PRINTING = [
    ("status",), ("check",), ("describe",), ("plan",), ("sync",), ("couplings", "list"),
    ("couplings", "review"), ("conflicts",), ("quarantine",), ("journal",), ("undo", "--plan"),
]  # fmt: skip


def test_nothing_that_koppel_prints_logs_or_keeps_shows_a_secret(
    shell: Shell, coupled: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shell.crm_human.edit("organisation", coupled[0], {"email": "new@a.example"})
    shown = [shell("export")]
    for words in PRINTING:
        shown += [shell(*words), shell(*words, "--json")]
    key = find_key(shell.home).decode()
    # Where it cannot be read, the trouble does not show it either.
    (shell.home / "koppel.key").write_bytes(Fernet.generate_key())
    shown += [shell("sync", code=3), caplog.text]
    for text in shown:
        assert SECRET not in text
        assert key not in text
    kept = {
        file.name: file.read_bytes()
        for file in shell.home.rglob("*")
        if file.is_file() and file.name != "koppel.key"
    }
    assert "koppel.sqlite3" in kept
    for name, content in kept.items():
        assert SECRET.encode() not in content, name
        assert key.encode() not in content, name


def test_neither_a_session_nor_a_store_shows_a_secret_in_its_repr(shell: Shell) -> None:
    store = shell.store()
    rows = store.connections.all()
    shown = f"{store!r} {store.connections!r} {rows!r} {[vars(row) for row in rows]!r}"
    assert SECRET not in shown
    assert find_key(shell.home).decode() not in shown
