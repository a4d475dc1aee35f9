"""Tryton 8.2 as the ERP of the lab: installed, set up, started, stopped, reset, kept.

One SQLite database per instance, served by Tryton's WSGI application in its own environment.
Koppel gets a user of its own with the rights of the daily business and logs in with a password:
a user application key opens only Tryton's REST interface, which has no stale-write check.

`python -m lab.tryton install | set-up | start | stop | reset | snapshot` does the same by hand.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from lab import process
from lab.clock import CLOCK
from lab.system import ROOT, LabError, Progress, Running, free_port, lab_folder

DATABASE = "koppel"
ADMIN = ("admin", "admin-lab")
USER = ("koppel", "koppel-lab")
"""Log-ins of a lab that listens on loopback only; not for anything else."""

_LOCK = ROOT / "lab" / "tryton.lock"
_INSIDE = ROOT / "lab" / "tryton_inside"
_ADDON = ROOT / "addons" / "tryton"
_BUILT_IN = ("bare", "demo")
_PATIENCE_SECONDS = 60.0
_SESSION_SECONDS = 24 * 60 * 60


class TrytonLab:
    """The lab's Tryton; see `lab.system.System`."""

    name = "tryton"

    def __init__(self, *, attached: bool = False) -> None:
        """`attached`: the servers started by this object end when this process ends.

        They are so many seconds `ahead` of everybody else (less than none: behind), and stamp in
        the time of `zone`.
        """
        self.attached = attached
        self.ahead = 0.0
        self.zone = "UTC"

    @property
    def folder(self) -> Path:
        """`.lab/tryton`."""
        return lab_folder() / self.name

    @property
    def python(self) -> Path:
        """The Python of Tryton's own environment."""
        return self.folder / "venv" / "bin" / "python"

    def install(self, progress: Progress = process.quiet) -> None:
        """Make the environment from `lab/tryton.lock`, with Koppel's add-on."""
        process.make_venv(self.folder / "venv", _LOCK, [_ADDON], progress)

    def set_up(self, template: str = "bare", progress: Progress = process.quiet) -> None:
        """Make the template, or keep it where it was made by the code that is here now."""
        self.install(progress)
        with process.locked(self.folder / "templates" / f"{template}.lock"):
            if self._is_current(template):
                return
            if template not in _BUILT_IN:
                raise LabError(
                    f"tryton has no template {template!r}: make it with snapshot,"
                    " or use bare or demo"
                )
            if template != "bare":
                self.set_up("bare", progress)
            self._make(template, progress)

    def start(
        self,
        instance: str = "demo",
        template: str = "demo",
        port: int | None = None,
        koppel_url: str = "",
    ) -> Running:
        """Start an instance and wait until it answers; one that runs already is given back.

        `koppel_url`: where Koppel will be, for the card; Koppel gets a secret for it.
        """
        folder = self._run_folder(instance)
        if process.running_pid(folder) is not None:
            running = self._running(folder)
            if port in (None, int(running.extra["port"])):
                return running
            raise LabError(
                f"tryton runs already as {instance!r} on port {running.extra['port']}:"
                " stop it first, or use another instance"
            )
        if not (folder / "db" / f"{DATABASE}.sqlite").is_file():
            self.reset(instance, template)
        self._catch_up(folder)
        if port is None:
            port = free_port()
        process.check_port(port, self.name)
        _write_config(folder, koppel_url)
        (folder / "port").write_text(str(port))
        log = folder / "server.log"
        command = [
            str(self.python), "-m", "lab.tryton_inside.serve", "--port", str(port),
            "--folder", str(folder), "--database", DATABASE,
        ]  # fmt: skip
        pid = process.spawn(command, self._environment(folder), folder, log)
        self._wait(pid, port, log)
        return self._running(folder)

    def stop(self, instance: str = "demo") -> None:
        """Stop an instance; harmless where it does not run."""
        process.end(self._run_folder(instance))

    def reset(self, instance: str = "demo", template: str = "demo") -> None:
        """Give the instance a new copy of the template; it is stopped first and stays so."""
        self.set_up(template)
        self.stop(instance)
        _copy_database(self._template_folder(template), self._run_folder(instance) / "db")

    def snapshot(self, name: str, instance: str = "demo") -> None:
        """Keep the instance's present state as template `name`; it may run meanwhile."""
        if name in _BUILT_IN:
            raise LabError(f"tryton: {name!r} is a built-in template; take another name")
        source = self._run_folder(instance) / "db"
        if not source.is_dir():
            raise LabError(f"tryton has no instance {instance!r}: start it first")
        target = self._template_folder(name)
        _copy_database(source, target)

    def seeded(self, template: str = "demo") -> dict[str, dict[str, int]]:
        """World key -> Tryton's id, for "partners" and "contacts" (parties both)."""
        file = self._template_folder(template) / "seeded.json"
        found: dict[str, dict[str, int]] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def _template_folder(self, template: str) -> Path:
        return self.folder / "templates" / template

    def _run_folder(self, instance: str) -> Path:
        return self.folder / "run" / instance

    def _is_current(self, template: str) -> bool:
        mark = self._template_folder(template) / "made-by.txt"
        if template not in _BUILT_IN:
            return (mark.parent / f"{DATABASE}.sqlite").is_file()
        return mark.is_file() and mark.read_text() == self._made_by(template)

    def _catch_up(self, folder: Path) -> None:
        """Bring an instance's tables up to date where the add-on has moved on since."""
        self.install()
        mark, wanted = folder / "db" / "addon.txt", process.fingerprint(_addon_files())
        if mark.is_file() and mark.read_text() == wanted:
            return
        process.run(
            [str(self.python), "-m", "lab.tryton_inside.update", DATABASE],
            process.quiet,
            sentence="tryton: bringing the add-on up to date",
            seconds=15,
            task="bringing tryton up to date",
            env={**self._environment(folder), "TRYTOND_DATABASE__PATH": str(folder / "db")},
        )
        mark.write_text(wanted)

    def _made_by(self, template: str) -> str:
        sources = [_LOCK, _INSIDE / "bare.py", _INSIDE / "within.py", *_addon_files()]
        if template == "demo":
            sources += [_INSIDE / f"{name}.py" for name in ("demo", "products", "sales")]
            sources += sorted((ROOT / "lab").glob("world*.py"))
        digest = hashlib.sha256(process.fingerprint(sources).encode())
        digest.update(repr((ADMIN, USER)).encode())
        return digest.hexdigest()

    def _make(self, template: str, progress: Progress) -> None:
        target = self._template_folder(template)
        making = target.with_name(f"{template}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        (making / "access.json").write_text(json.dumps({"username": USER[0], "password": USER[1]}))
        (making / "admin-password").write_text(ADMIN[1])
        if template == "bare":
            (making / f"{DATABASE}.sqlite").touch()
            arguments = [DATABASE, str(making / "access.json")]
        else:
            _copy_database(self._template_folder("bare"), making, keep=True)
            arguments = [DATABASE, str(making / "seeded.json")]
        process.run(
            [str(self.python), "-m", f"lab.tryton_inside.{template}", *arguments],
            progress,
            sentence=f"tryton: making the template {template}",
            seconds=45,
            task=f"setting tryton up ({template})",
            env={
                **self._environment(making),
                "TRYTOND_DATABASE__PATH": str(making),
                "TRYTONPASSFILE": str(making / "admin-password"),
            },
        )
        (making / "addon.txt").write_text(process.fingerprint(_addon_files()))
        _fold_journal(making / f"{DATABASE}.sqlite")
        (making / "made-by.txt").write_text(self._made_by(template))
        shutil.rmtree(target, ignore_errors=True)
        making.rename(target)

    def _environment(self, folder: Path) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("TRYTOND_", "PYTHON"))}
        extra = {"KOPPEL_LAB_PARENT": str(os.getpid())} if self.attached else {}
        config = folder / "trytond.conf"
        if config.is_file():
            extra["TRYTOND_CONFIG"] = str(config)
        return {
            **keep,
            **extra,
            "TZ": self.zone,
            CLOCK: str(self.ahead),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "TRYTOND_DATABASE__URI": "sqlite://",
        }

    def _wait(self, pid: int, port: int, log: Path) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if not process.alive(pid):
                raise LabError(f"tryton ended while it started, see {log}: {process.tail(log)}")
            with contextlib.suppress(OSError):
                if _ask_version(port):
                    return
            time.sleep(0.05)
        process.end(log.parent)
        raise LabError(
            f"tryton did not answer on port {port} within {_PATIENCE_SECONDS:.0f} s, see {log}"
        )

    def _running(self, folder: Path) -> Running:
        port = (folder / "port").read_text()
        url = f"http://127.0.0.1:{port}/"
        pid = process.running_pid(folder)
        if pid is None:
            raise LabError(f"tryton ended unexpectedly, see {folder / 'server.log'}")
        return Running(
            name=self.name,
            url=url,
            admin=ADMIN,
            koppel={
                "url": url,
                "database": DATABASE,
                "username": USER[0],
                "password": USER[1],
                **_hint_secret(folder),
            },
            folder=folder,
            pid=pid,
            extra={"port": port, "database": DATABASE},
        )


def _ask_version(port: int) -> str:
    body = json.dumps({"id": 0, "method": "common.server.version", "params": []}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/rpc/", body, {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return str(json.load(answer)["result"])


def _hint_secret(folder: Path) -> dict[str, str]:
    """What Koppel needs for the card, where Tryton knows Koppel."""
    found = configparser.ConfigParser(interpolation=None)
    found.read(folder / "trytond.conf")
    return {"hint_secret": found["koppel"]["secret"]} if found.has_section("koppel") else {}


def _write_config(folder: Path, koppel_url: str) -> None:
    secret = _hint_secret(folder).get("hint_secret") or secrets.token_urlsafe(32)
    card = f"[koppel]\nurl = {koppel_url}\nsecret = {secret}\n" if koppel_url else ""
    (folder / "trytond.conf").write_text(
        "[database]\n"
        "uri = sqlite://\n"
        f"path = {folder / 'db'}\n"
        "[session]\n"
        f"timeout = {_SESSION_SECONDS}\n"
        "max_attempt = 1000\n"
        "[request]\n"
        "timeout = 120\n"
        f"{card}"
    )


def _copy_database(source: Path, target: Path, *, keep: bool = False) -> None:
    """Copy a consistent state of the database, also of one that is in use."""
    if not keep:
        shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    origin, copy = source / f"{DATABASE}.sqlite", target / f"{DATABASE}.sqlite"
    with (
        contextlib.closing(sqlite3.connect(origin)) as old,
        contextlib.closing(sqlite3.connect(copy)) as new,
    ):
        old.backup(new)
    for name in ("seeded.json", "addon.txt"):
        if (source / name).is_file():
            shutil.copy(source / name, target / name)


def _addon_files() -> list[Path]:
    files = sorted(path for path in (_ADDON / "koppel_tryton").rglob("*") if path.is_file())
    return [path for path in files if path.suffix in {".py", ".xml", ".cfg", ".po"}]


def _fold_journal(database: Path) -> None:
    """Move SQLite's write-ahead log into the database file, so that one file is the whole."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _say(sentence: str, share: float) -> None:
    sys.stderr.write(f"{share:4.0%} {sentence}\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit code 1 and one sentence where the lab cannot go on."""
    parser = argparse.ArgumentParser(prog="python -m lab.tryton", description="The lab's Tryton.")
    parser.add_argument(
        "action", choices=["install", "set-up", "start", "stop", "reset", "snapshot"]
    )
    parser.add_argument("--instance", default="demo")
    parser.add_argument("--template", default="demo", help="bare, demo or a snapshot's name")
    parser.add_argument("--port", type=int, default=None)
    options = parser.parse_args(arguments)
    lab = TrytonLab()
    try:
        if options.action == "install":
            lab.install(_say)
        elif options.action == "set-up":
            lab.set_up(options.template, _say)
        elif options.action == "start":
            lab.set_up(options.template, _say)
            running = lab.start(options.instance, options.template, options.port)
            facts = {"pid": running.pid, "admin": running.admin, **running.koppel}
            sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        elif options.action == "stop":
            lab.stop(options.instance)
        elif options.action == "reset":
            lab.reset(options.instance, options.template)
        else:
            lab.snapshot(options.template, options.instance)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
