"""Creme CRM 2.8 of the lab: installed, set up, seeded, started, stopped, reset, kept.

`python -m lab.creme install|set-up|start|stop|reset|snapshot|manage` does by hand what demo, tests
and benchmarks do by code. Log-ins are for the lab only: root/root (superuser), koppel/koppel (the
user behind Koppel's interface), clara/clara (sales, may synchronise), paul/paul (sales).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from lab import process
from lab.attached import PARENT
from lab.clock import CLOCK
from lab.process import quiet
from lab.system import ROOT, LabError, Progress, Running, free_port, lab_folder

LOCK = ROOT / "lab" / "creme.lock"
ADDON = ROOT / "addons" / "creme"
PROJECT = ROOT / "lab" / "creme_project"
DATABASE = "creme.sqlite3"
SEEDED = "seeded.json"
READY_SECONDS = 60.0

BUILT = ("bare", "demo")
"""The templates that this module makes; others come from snapshots."""


class Creme:
    """The CRM of the lab; see `lab.system.System`."""

    name = "creme"

    def __init__(self, *, attached: bool = False) -> None:
        """`attached`: the servers started by this object end when this process ends.

        They are so many seconds `ahead` of everybody else (less than none: behind).
        """
        self.attached = attached
        self.ahead = 0.0

    @property
    def folder(self) -> Path:
        """`.lab/creme`."""
        folder = lab_folder() / self.name
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def python(self) -> Path:
        """The Python of Creme's own virtual environment."""
        return self.folder / "venv" / "bin" / "python"

    def template_folder(self, template: str) -> Path:
        """Where a template lies, or would lie."""
        return self.folder / "templates" / template

    def instance_folder(self, instance: str) -> Path:
        """Where an instance's database, uploads, log and process id lie, or would lie."""
        return self.folder / "run" / instance

    # -- install and set up ------------------------------------------------------------------

    def install(self, progress: Progress = quiet) -> None:
        """Its own virtual environment, from its lock, and the add-on in it (editable)."""
        process.make_venv(self.folder / "venv", LOCK, _addons(), progress)

    def set_up(self, template: str = "bare", progress: Progress = quiet) -> None:
        """Make the template, or keep the one that is there and still that of this code.

        `demo` is made from `bare`. Raises LabError where the name is that of no template.
        """
        folder = self.template_folder(template)
        if template not in BUILT and not (folder / DATABASE).is_file():
            known = ", ".join(
                sorted(p.parent.name for p in folder.parent.glob(f"[!.]*/{DATABASE}"))
            )
            raise LabError(f"Creme has no template '{template}'; there are: {known or 'none'}")
        self.install(process.part(progress, 0.0, 0.15))
        if template in BUILT:
            self._bare(process.part(progress, 0.15, 0.7 if template == "demo" else 0.9))
        if template == "demo":
            self._demo(process.part(progress, 0.7, 0.95))
        self._media(process.part(progress, 0.95, 1.0))
        progress(f"Creme: template '{template}' is ready", 1.0)

    def _bare(self, progress: Progress) -> None:
        steps = [("migrate", 25.0, process.part(progress, 0.0, 0.7))]
        steps.append(("populate", 10.0, process.part(progress, 0.7, 1.0)))
        self._keep_or_make("bare", steps)

    def _demo(self, progress: Progress) -> None:
        self._keep_or_make("demo", [("demo", 18.0, progress)], self.template_folder("bare"))

    def _keep_or_make(
        self, template: str, steps: list[tuple[str, float, Progress]], base: Path | None = None
    ) -> None:
        """Build beside the template's place and move it there at the end: never a half one."""
        target = self.template_folder(template)
        building = target.with_name(f".{template}")
        with process.locked(self.folder / f"{template}.lock"):
            wanted = _fingerprint(template)
            if _read(target / "template.json").get("fingerprint") == wanted:
                return
            started = time.monotonic()
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
            if base is not None:
                _copy(base, building)
            environment = {**self.environment(building), "CREME_FAST": "1"}
            for step, seconds, progress in steps:
                self._run_step(step, environment, seconds, progress)
            with closing(sqlite3.connect(building / DATABASE)) as database:
                database.execute("PRAGMA journal_mode=WAL")
            seconds = round(time.monotonic() - started, 1)
            _write(building / "template.json", {"fingerprint": wanted, "seconds": seconds})
            shutil.rmtree(target, ignore_errors=True)
            building.rename(target)

    def _run_step(
        self, step: str, environment: dict[str, str], seconds: float, progress: Progress
    ) -> None:
        """One step of `lab.creme_project.setup`, inside Creme's own environment."""
        process.run(
            [str(self.python), "-m", "lab.creme_project.setup", step],
            progress,
            sentence=f"Creme: starting ({step})",
            seconds=seconds,
            task=f"setting up Creme ({step})",
            env=environment,
        )

    def _media(self, progress: Progress) -> None:
        """Scripts and styles, generated once for all instances."""
        media = self.folder / "media"
        mark = media / "fingerprint.txt"
        wanted = _fingerprint("media")
        with process.locked(self.folder / "media.lock"):
            if mark.is_file() and mark.read_text() == wanted:
                return
            shutil.rmtree(media, ignore_errors=True)
            media.mkdir(parents=True)
            process.run(
                [str(self.python), "-m", "creme.manage", "generatemedia", "-v0"],
                progress,
                sentence="Creme: making its scripts and styles",
                seconds=6.0,
                task="generating Creme's media",
                env=self.environment(media),
            )
            mark.write_text(wanted)

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment in which Creme's code runs on the database of that folder."""
        others = ("CREME_", "DJANGO_", "KOPPEL_", "PYTHON")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(others)}
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "lab.creme_project.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "CREME_FOLDER": str(folder),
            "CREME_MEDIA": str(self.folder / "media"),
        }

    # -- instances ---------------------------------------------------------------------------

    def start(
        self,
        instance: str = "demo",
        template: str = "demo",
        port: int | None = None,
        koppel_url: str | None = None,
        hint_secret: str | None = None,
    ) -> Running:
        """Start an instance and wait until it answers; one that runs already is given back.

        A port, secret or Koppel address that is not given is the instance's last one. One that
        runs with another secret or Koppel address is started anew. Raises LabError where the port
        is taken, where it runs on another port, or where Creme does not come up.
        """
        folder = self.instance_folder(instance)
        if not (folder / DATABASE).is_file():
            self.reset(instance, template)
        facts = _read(folder / "instance.json")
        if process.running_pid(folder) is not None:
            if port not in (None, facts["port"]):
                raise LabError(
                    f"Creme runs already as '{instance}' on port {facts['port']}:"
                    " stop it first, or use another instance"
                )
            asked = {"koppel_url": koppel_url, "hint_secret": hint_secret}
            if all(value in (None, facts[name]) for name, value in asked.items()):
                self._wait(folder, str(facts["url"]), folder / "log.txt")
                return self._running(instance, facts)
            self.stop(instance)
        self._catch_up(folder, facts)
        port = port or facts.get("port") or free_port()
        process.check_port(port, "Creme")
        facts.update(
            port=port,
            url=f"http://127.0.0.1:{port}",
            token=facts.get("token") or secrets.token_urlsafe(32),
            hint_secret=hint_secret or facts.get("hint_secret") or secrets.token_urlsafe(32),
            koppel_url=koppel_url if koppel_url is not None else facts.get("koppel_url", ""),
        )
        _write(folder / "instance.json", facts)
        log = folder / "log.txt"
        command = [str(self.python), "-m", "lab.creme_project.serve"]
        command += ["--port", str(port), "--folder", str(folder)]
        process.spawn(command, self._served(folder, facts), folder, log)
        self._wait(folder, str(facts["url"]), log)
        return self._running(instance, facts)

    def _served(self, folder: Path, facts: dict[str, Any]) -> dict[str, str]:
        return {
            **self.environment(folder),
            **({PARENT: str(os.getpid())} if self.attached else {}),
            CLOCK: str(self.ahead),
            "CREME_URL": str(facts["url"]),
            "KOPPEL_URL": str(facts["koppel_url"]),
            "KOPPEL_HINT_SECRET": str(facts["hint_secret"]),
            "KOPPEL_TOKEN": str(facts["token"]),
        }

    def _wait(self, folder: Path, url: str, log: Path) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(url):
            if process.running_pid(folder) is None:
                raise LabError(f"Creme did not come up; its log {log} ends: {process.tail(log)}")
            if time.monotonic() > deadline:
                process.end(folder)
                raise LabError(f"Creme did not answer within {READY_SECONDS:.0f} s; see {log}")
            time.sleep(0.1)

    def _running(self, instance: str, facts: dict[str, Any]) -> Running:
        folder = self.instance_folder(instance)
        url = str(facts["url"])
        return Running(
            name=self.name,
            url=url,
            admin=("root", "root"),
            koppel={
                "url": url,
                "username": "koppel",
                "token": str(facts["token"]),
                "hint_secret": str(facts["hint_secret"]),
            },
            folder=folder,
            pid=process.running_pid(folder) or 0,
            extra={
                "sales": "clara/clara",
                "sales without Synchronise now": "paul/paul",
                "database": str(folder / DATABASE),
                "log": str(folder / "log.txt"),
            },
        )

    def _catch_up(self, folder: Path, facts: dict[str, Any]) -> None:
        """Bring the tables of an instance up to date where the code has moved on since."""
        self.install()
        self._media(quiet)
        wanted = _fingerprint("tables")
        if facts.get("fingerprint") == wanted:
            return
        for step in ("migrate", "populate"):
            self._run_step(step, self.environment(folder), 30.0, quiet)
        facts["fingerprint"] = wanted

    def stop(self, instance: str = "demo") -> None:
        """Stop it and wait until it is gone; harmless where it does not run."""
        process.end(self.instance_folder(instance))

    def reset(self, instance: str = "demo", template: str = "demo") -> None:
        """Throw its database away and take a new copy of the template; it is stopped then.

        Port, token, secret and Koppel address stay the same.
        """
        self.stop(instance)
        self.set_up(template)
        folder = self.instance_folder(instance)
        facts = _read(folder / "instance.json")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _copy(self.template_folder(template), folder)
        facts.update(template=template, fingerprint=_fingerprint("tables"))
        snapshot = _read(self.template_folder(template) / "template.json")
        if snapshot.get("snapshot"):
            facts["fingerprint"] = snapshot["fingerprint"]
        _write(folder / "instance.json", facts)

    def snapshot(self, name: str, instance: str = "demo") -> None:
        """Keep the instance's present state as a template of that name; it may go on running."""
        folder = self.instance_folder(instance)
        if name in BUILT:
            raise LabError(f"'{name}' is a template of the lab itself; choose another name")
        if not (folder / DATABASE).is_file():
            raise LabError(f"Creme has no instance '{instance}' to keep; start it first")
        target = self.template_folder(name)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        _copy(folder, target)
        facts = _read(folder / "instance.json")
        _write(target / "template.json", {"fingerprint": facts["fingerprint"], "snapshot": True})

    def seeded(self, template: str = "demo") -> dict[str, dict[str, int]]:
        """Key of the demo world -> Creme's id, for `organisations` and `contacts`."""
        text = (self.template_folder(template) / SEEDED).read_text()
        found: dict[str, dict[str, int]] = json.loads(text)
        return found


def _addons() -> list[Path]:
    return [ADDON] if (ADDON / "pyproject.toml").is_file() else []


def _fingerprint(what: str) -> str:
    """What the tables, a template or the media are made of."""
    files = [LOCK, PROJECT / "settings.py"]
    if what == "media":
        files += sorted(ADDON.glob("*/static/**/*"))
    else:
        files += sorted(ADDON.glob("*/migrations/*.py")) + sorted(ADDON.glob("*/populate.py"))
    if what in BUILT:
        files.append(PROJECT / "setup.py")
    if what == "demo":
        files += [PROJECT / "seed.py", *sorted((ROOT / "lab").glob("world*.py"))]
    return process.fingerprint(files)


def _copy(source: Path, target: Path) -> None:
    """Copy database, uploads and key map; the database by SQLite itself, so it may be in use."""
    with (
        closing(sqlite3.connect(source / DATABASE)) as old,
        closing(sqlite3.connect(target / DATABASE)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode=WAL")
    if (source / "upload").is_dir():
        shutil.copytree(source / "upload", target / "upload")
    if (source / SEEDED).is_file():
        shutil.copy2(source / SEEDED, target / SEEDED)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/creme_login", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _write(path: Path, facts: dict[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    from lab.creme_cli import main

    main()
