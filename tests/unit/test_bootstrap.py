"""Whatever keeps `.venv` from being made is said in one sentence; what is made is kept."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections import namedtuple
from pathlib import Path

import pytest
from uv import find_uv_bin

from lab import bootstrap
from lab.bootstrap import ROOT, Bootstrap, CannotGoOn

NO_NETWORK = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError: Failed to
establish a new connection: [Errno -3] Temporary failure in name resolution'
ERROR: No matching distribution found for uv==0.9
"""


def _one_sentence(text: str) -> bool:
    return "\n" not in text.strip() and "Traceback" not in text


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a lock and a project file, and an environment whose Python works."""
    for name in ("requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    binary = tmp_path / ".venv" / "bin"
    binary.mkdir(parents=True)
    (binary / "python").symlink_to(sys.executable)
    (binary / "uv").write_text("#!/bin/sh\nexit 0\n")
    (binary / "uv").chmod(0o755)
    return tmp_path


def test_an_old_python_is_named_with_the_remedy() -> None:
    with pytest.raises(CannotGoOn) as caught:
        bootstrap.check_version((3, 9))
    assert "needs Python 3.11 or newer and this is Python 3.9" in str(caught.value)
    assert "make PYTHON=" in str(caught.value)
    bootstrap.check_version((3, 11))
    bootstrap.check_version((3, 14))


def test_the_script_can_be_read_by_a_python_that_is_too_old() -> None:
    ast.parse((ROOT / "lab" / "bootstrap.py").read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_missing_venv_module_is_named_with_the_package_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec

    def find_spec(name: str) -> object:
        return None if name == missing else there(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(CannotGoOn, match="apt install python3-venv"):
        bootstrap.check_modules()


def test_a_full_disk_is_named_with_the_space_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 12_000_000))
    with pytest.raises(CannotGoOn) as caught:
        bootstrap.check_disk(tmp_path, 600)
    assert "600 MB are needed and 12 MB are free" in str(caught.value)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (NO_NETWORK, "package index cannot be reached"),
        ("error: dns error: failed to lookup address", "package index cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nHash mismatch", "not the one that"),
        ("line one\nline two", "failed with exit code 1: line one | line two"),
    ],
)
def test_a_failed_installer_is_explained_in_one_sentence(output: str, says: str) -> None:
    sentence = bootstrap.explain("installing Koppel's packages", output, 1)
    assert says in sentence
    assert _one_sentence(sentence)


def test_no_network_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    for name in ("requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "lab").mkdir()
    shutil.copy(ROOT / "lab" / "bootstrap.py", tmp_path / "lab")
    venv.create(tmp_path / ".venv", with_pip=False)
    (tmp_path / ".venv" / "bin" / "uv").symlink_to(find_uv_bin())
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    cut_off = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/",
        "UV_NO_CACHE": "1",
        "UV_HTTP_RETRIES": "0",
    }
    asked = subprocess.run(
        [sys.executable, str(tmp_path / "lab" / "bootstrap.py")],
        env={**kept, **cut_off},
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    last = asked.stderr.strip().splitlines()[-1]
    assert "the package index cannot be reached; check the network" in last
    assert "Traceback" not in asked.stderr
    assert not (tmp_path / ".venv" / "koppel-made-from.txt").exists()


def test_an_environment_made_from_this_lock_is_kept(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(Bootstrap, "run", lambda self, command, task: steps.append(task))
    Bootstrap(checkout).make()
    assert steps == ["installing Koppel's packages", "installing Koppel"]
    Bootstrap(checkout).make()
    assert len(steps) == 2
    with (checkout / "requirements-dev.lock").open("a") as lock:
        lock.write("# changed\n")
    Bootstrap(checkout).make()
    assert len(steps) == 4


def test_a_moved_checkout_is_made_anew(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bootstrap, "run", lambda self, command, task: None)
    Bootstrap(checkout).make()
    moved = checkout.with_name(f"{checkout.name}-moved")
    checkout.rename(moved)
    assert not Bootstrap(moved).is_current()


def test_a_broken_python_is_replaced(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    steps: list[str] = []
    monkeypatch.setattr(Bootstrap, "run", lambda self, command, task: steps.append(task))
    Bootstrap(checkout).make()
    assert steps[0] == "making .venv"


def test_without_the_fast_installer_pip_installs_from_the_same_lock(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / ".venv" / "bin" / "uv").unlink()
    commands: list[str] = []

    def run(self: Bootstrap, command: list[str], task: str) -> None:
        commands.append(" ".join(command))
        if task == "fetching the installer":
            raise CannotGoOn(bootstrap.explain(task, "No matching distribution found", 1))

    monkeypatch.setattr(Bootstrap, "run", run)
    Bootstrap(checkout).make()
    packages = commands[-2]
    assert "-m pip install" in packages
    assert "--require-hashes" in packages
    assert packages.endswith("requirements-dev.lock")


def test_a_failed_installation_leaves_no_mark_of_success(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Bootstrap, command: list[str], task: str) -> None:
        raise CannotGoOn(bootstrap.explain(task, NO_NETWORK, 1))

    monkeypatch.setattr(Bootstrap, "run", run)
    with pytest.raises(CannotGoOn):
        Bootstrap(checkout).make()
    assert not Bootstrap(checkout).is_current()


def test_a_step_that_fails_is_reported_with_its_output(checkout: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('No space left on device'); sys.exit(2)"]
    with pytest.raises(CannotGoOn, match="installing failed: the disk is full"):
        Bootstrap(checkout).run(command, "installing")


def test_the_block_of_one_package_is_taken_with_all_its_hashes() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text()
    block = bootstrap.locked_block(lock, "uv")
    assert block.startswith("uv==")
    assert block.count("--hash=sha256:") > 5
    assert "==" not in block[4:].split("\n", 1)[1]
    assert bootstrap.locked_block(lock, "no-such-package") == ""


def test_the_locks_name_every_dependency_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = project["project"]["dependencies"]
    for name, wanted in (
        ("requirements.lock", needed),
        ("requirements-dev.lock", [*needed, *project["dependency-groups"]["dev"]]),
    ):
        lock = (ROOT / name).read_text()
        locked = set(re.findall(r"^([a-z0-9._-]+)==", lock, flags=re.M))
        names = {re.split(r"[<>=!~ \[;]", entry)[0].lower() for entry in wanted}
        assert names <= locked, f"{name} is behind pyproject.toml: run `make lock`"
        assert "--index-url" not in lock
        assert all("--hash=" in bootstrap.locked_block(lock, package) for package in locked)
