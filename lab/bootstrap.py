"""Make `.venv` for Koppel from the lock, or find in an instant that it is up to date.

Run with the system's Python and nothing but its standard library: `python3 lab/bootstrap.py`.
Whatever stands in the way (an old Python, no `venv` module, no disk, no network) is said in one
sentence on standard error, with the remedy; the exit code is 1 then.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements-dev.lock"
OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
NEEDED_MEGABYTES = 600
"""Koppel's environment takes about 350 MB; the rest is room for downloads while it is made."""


class CannotGoOn(Exception):
    """One sentence for a person: what is in the way, and the remedy."""


def check_version(version: Sequence[int]) -> None:
    """Refuse a Python that is too old."""
    if tuple(version[:2]) < OLDEST:
        found, oldest = ".".join(map(str, version[:2])), ".".join(map(str, OLDEST))
        raise CannotGoOn(
            f"Koppel needs Python {oldest} or newer and this is Python {found}: install one and"
            " name it, for example: make PYTHON=python3.12 demo"
        )


def check_modules() -> None:
    """Refuse a Python that cannot make virtual environments (Debian packs that separately)."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise CannotGoOn(
                f"Python's module {module} is missing: install python3-venv"
                " (as root: apt install python3-venv)"
            )


def check_disk(folder: Path, megabytes: int) -> None:
    """Refuse to begin what would not fit."""
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < megabytes:
        raise CannotGoOn(
            f"there is not enough disk space in {folder}: {megabytes} MB are needed and"
            f" {free} MB are free; make room and start again"
        )


_CAUSES = (
    (
        ("No space left on device", "os error 28"),
        "the disk is full; make room and start again",
    ),
    (
        (
            "NewConnectionError",
            "Failed to establish a new connection",
            "Name or service not known",
            "Temporary failure in name resolution",
            "dns error",
            "Network is unreachable",
            "error sending request",
            "Connection refused",
            "ConnectTimeout",
            "ProxyError",
        ),
        "the package index cannot be reached; check the network (or the proxy) and start again",
    ),
    (
        ("do not match the hashes", "Hash mismatch"),
        f"a package is not the one that {LOCK} names; do not install it, and ask where it is from",
    ),
)


def explain(task: str, output: str, code: int) -> str:
    """One sentence from what a failed installer wrote."""
    for signs, cause in _CAUSES:
        if any(sign in output for sign in signs):
            return f"{task} failed: {cause}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{task} failed with exit code {code}: {' | '.join(lines[-4:])}"


def locked_block(lock: str, package: str) -> str:
    """The lines of one package in a lock with hashes; empty where it is not in there."""
    lines: list[str] = []
    for line in lock.splitlines():
        if line.startswith(f"{package}=="):
            lines = [line]
        elif lines and line.startswith((" ", "\t")):
            lines.append(line)
        elif lines:
            break
    return "\n".join(line for line in lines if not line.strip().startswith("#"))


def wanted_stamp(root: Path) -> str:
    """What an up-to-date environment was made from: place, lock and project."""
    digest = hashlib.sha256(str(root).encode())
    for name in (LOCK, "pyproject.toml"):
        digest.update(b"\0" + (root / name).read_bytes())
    return digest.hexdigest()


class Bootstrap:
    """Makes the environment of one checkout; `say` gets a sentence per step."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.stamp = self.venv / "koppel-made-from.txt"

    def is_current(self) -> bool:
        """Whether nothing is to do."""
        with contextlib.suppress(OSError):
            return self.python.exists() and self.stamp.read_text() == wanted_stamp(self.root)
        return False

    def make(self) -> None:
        """Make or update the environment. Raises CannotGoOn."""
        if self.is_current():
            return
        check_modules()
        check_disk(self.root, NEEDED_MEGABYTES)
        with self._alone():
            if self.is_current():
                return
            if not self._python_works():
                self.run(
                    [sys.executable, "-m", "venv", "--clear", str(self.venv)],
                    "making .venv",
                )
            self._install()
            self.stamp.write_text(wanted_stamp(self.root))

    def _python_works(self) -> bool:
        """Whether the environment that is there has a Python that runs and is new enough."""
        if not self.python.exists():
            return False
        installer = "" if (self.venv / "bin" / "uv").exists() else ", pip"
        question = f"import sys{installer}; sys.exit(sys.version_info[:2] < {OLDEST})"
        asked = subprocess.run([str(self.python), "-c", question], capture_output=True, check=False)
        return asked.returncode == 0

    def _install(self) -> None:
        lock = str(self.root / LOCK)
        if self._install_uv():
            tool = [str(self.venv / "bin" / "uv"), "pip"]
            options = ["--python", str(self.python), "--quiet"]
        else:
            tool = [str(self.python), "-m", "pip"]
            options = ["--disable-pip-version-check", "--quiet", "--retries", "1"]
        install = [*tool, "install", *options]
        self.run([*install, "--require-hashes", "-r", lock], "installing Koppel's packages")
        self.run(
            [*install, "--no-deps", "--no-build-isolation", "-e", str(self.root)],
            "installing Koppel",
        )

    def _install_uv(self) -> bool:
        """Get the fast installer; False where it is not made for this platform."""
        if (self.venv / "bin" / "uv").exists():
            return True
        block = locked_block((self.root / LOCK).read_text(), "uv")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "uv.lock"
            file.write_text(block + "\n")
            pip = [str(self.python), "-m", "pip", "install", "--disable-pip-version-check"]
            quick = ["--retries", "1", "--only-binary", ":all:", "--require-hashes"]
            try:
                self.run([*pip, *quick, "-r", str(file)], "fetching the installer")
            except CannotGoOn as trouble:
                if "failed with exit code" in str(trouble):
                    return False
                raise
        return True

    def run(self, command: Sequence[str], task: str) -> None:
        """Run one step and say what goes on. Raises CannotGoOn with the cause."""
        started = time.monotonic()
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.root,
            ) as child:
                try:
                    _wait(child, task, started)
                except BaseException:
                    child.terminate()
                    raise
            output.seek(0)
            text = output.read()
        if child.returncode:
            raise CannotGoOn(explain(task, text, child.returncode))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two at the same time would spoil each other's environment: the second one waits."""
        with (self.root / ".venv.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _wait(child: subprocess.Popen[bytes], task: str, started: float) -> None:
    """Wait for a child; on a terminal say every second how long it has been."""
    live = sys.stderr.isatty()
    if not live:
        sys.stderr.write(f"koppel: {task}\n")
    while True:
        if live:
            sys.stderr.write(f"\rkoppel: {task} ({time.monotonic() - started:.0f} s) ")
            sys.stderr.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=1)
            break
    if live:
        sys.stderr.write("\r\x1b[K")


def newer_python() -> str | None:
    """Another Python on the path that is new enough."""
    return next((found for name in NEWER if (found := shutil.which(name))), None)


def main() -> int:
    """Exit code 0: `.venv` is up to date. 1: it cannot be made; standard error says why."""
    try:
        if sys.version_info < OLDEST and (other := newer_python()):
            os.execv(other, [other, *sys.argv])
        check_version(sys.version_info[:2])
        Bootstrap().make()
    except CannotGoOn as trouble:
        sys.stderr.write(f"koppel: {trouble}\n")
        return 1
    except OSError as trouble:
        if trouble.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        sys.stderr.write(f"koppel: cannot write to {trouble.filename}: {trouble.strerror}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nkoppel: stopped\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
