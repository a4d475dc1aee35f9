"""A PostgreSQL of its own, from the binaries that are installed: for tests and for the demo.

It listens on loopback with a password and keeps its data in one folder. PostgreSQL refuses to run
as root; then the system's user `postgres` (or `nobody`) runs it, in a folder of that user's.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.system import LabError, free_port

OLDEST = 15
_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_QUICK = (
    "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
)  # fmt: skip
"""For tests: what a power cut would lose is not what they are about."""


def binaries() -> Path:
    """The folder with the newest `initdb`. Raises LabError where there is none."""
    found = [path for pattern in _FOLDERS for path in Path("/").glob(pattern.lstrip("/"))]
    if beside := shutil.which("initdb"):
        found.append(Path(beside).resolve().parent)
    versions = {path: _version(path) for path in found if (path / "initdb").is_file()}
    fitting = [path for path, version in versions.items() if version >= OLDEST]
    if not fitting:
        raise LabError(
            f"PostgreSQL {OLDEST} or newer is not installed here"
            " (Debian, Ubuntu: apt install postgresql)"
        )
    return max(fitting, key=lambda path: versions[path])


def _version(path: Path) -> int:
    told = subprocess.run([path / "postgres", "-V"], capture_output=True, text=True, check=False)
    words = told.stdout.split()
    return int(words[2].partition(".")[0]) if len(words) > 2 else 0


@dataclass
class Postgres:
    """One cluster. `quick` gives safety up for speed; `port` 0 is any free one."""

    folder: Path
    port: int = 0
    quick: bool = False

    @classmethod
    def for_tests(cls) -> Postgres:
        """A new one in a temporary folder."""
        return cls(Path(tempfile.mkdtemp(prefix="koppel-postgres-")), quick=True)

    @classmethod
    def for_demo(cls, lab: Path) -> Postgres:
        """The lab's own, which keeps its data."""
        if os.getuid() == 0:
            # Somebody else's folder may be closed to the user that runs it.
            mark = hashlib.sha256(str(lab.resolve()).encode()).hexdigest()[:12]
            return cls(Path(tempfile.gettempdir()) / f"koppel-lab-postgres-{mark}")
        return cls(lab / "postgres")

    def start(self) -> None:
        """Make the cluster if need be, and start it. Raises LabError."""
        self._bin = binaries()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        if os.getuid() == 0:
            user = _unprivileged()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        if not (self.folder / "data" / "PG_VERSION").is_file():
            self._make()
        log = self.folder / "log.txt"
        options = [
            "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={self.folder}", "-c", "max_connections=200",
            *(_QUICK if self.quick else ()),
        ]  # fmt: skip
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-l", str(log), "-w", "-t", "60",
            "-o", " ".join(options), "start",
        )  # fmt: skip

    def _make(self) -> None:
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        password = self.folder / "password.txt"
        password.write_text(secrets.token_urlsafe(18))
        if os.getuid() == 0:
            user = _unprivileged()
            os.chown(password, user.pw_uid, user.pw_gid)
        password.chmod(0o600)
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "koppel", "-A", "scram-sha-256",
            "--pwfile", str(password), "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    def running(self) -> bool:
        """Does it run?"""
        data = self.folder / "data"
        return (data / "postmaster.pid").is_file() and not self._try("pg_ctl", "-D", data, "status")

    def stop(self) -> None:
        """Stop it; its data stay."""
        if (self.folder / "data" / "postmaster.pid").is_file():
            self._try("pg_ctl", "-D", self.folder / "data", "-m", "fast", "-w", "stop")

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The address of one database."""
        password = (self.folder / "password.txt").read_text().strip()
        return f"postgresql://koppel:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside a transaction; its rows, where it has some."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str, template: str = "template1") -> str:
        """Make a database, anew if it is there; its address."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def exists(self, database: str) -> bool:
        """Is there such a database?"""
        return bool(self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"))

    def _run(self, name: str, *arguments: Any) -> None:
        done = self._child(name, *arguments)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines() or ["no word why"]
            raise LabError(f"PostgreSQL's {name} failed: {last[-1]} (log in {self.folder})")

    def _try(self, name: str, *arguments: Any) -> int:
        return self._child(name, *arguments).returncode

    def _child(self, name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [str(binaries() / name), *map(str, arguments)]
        other: dict[str, Any] = {}
        if os.getuid() == 0:
            user = _unprivileged()
            other = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        # To a file: the server keeps what it inherits open, and a pipe would never end.
        with tempfile.TemporaryFile("w+") as told:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                text=True,
                cwd=self.folder,
                check=False,
                **other,
            )
            told.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, "", told.read())


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LabError("PostgreSQL does not run as root, and there is no user postgres or nobody")
