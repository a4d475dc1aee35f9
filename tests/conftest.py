"""What all tests share: the real systems, started when a test first asks, and an honest summary.

`tryton` and `creme` are running instances from the bare template, one per test process and for the
whole run; `fresh_tryton` and `fresh_creme` are the same with a database that no other module has
touched. Whatever asks for one is marked `tryton` or `creme`, so `-m "not creme"` leaves it out.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lab import process
from lab.creme import Creme
from lab.system import Running, System, lab_folder
from lab.tryton import TrytonLab

pytest.register_assert_rewrite("koppel.testing")

PACKAGES = {"tryton": "trytond", "creme": "creme-crm"}
NAMES = {"tryton": "Tryton", "creme": "Creme"}


class Instances:
    """Instances of the lab's systems for one test process, stopped at its end."""

    def __init__(self) -> None:
        self._systems: dict[str, System] = {
            "tryton": TrytonLab(attached=True),
            "creme": Creme(attached=True),
        }
        self._running: dict[tuple[str, str], Running] = {}
        _remove_orphans()

    def start(self, name: str, template: str = "bare") -> Running:
        """The instance of this process from this template; one that runs is given back as it is."""
        found = self._running.get((name, template))
        return found or self.restart(name, template)

    def restart(self, name: str, template: str = "bare") -> Running:
        """The same with a new copy of the template, at the same address where it ran before."""
        system, instance = self._systems[name], self._instance(template)
        before = self._running.pop((name, template), None)
        port = urlsplit(before.url).port if before else None
        system.set_up(template, process.quiet)
        system.reset(instance, template)
        running = system.start(instance, template, port)
        self._running[name, template] = running
        return running

    def stop(self, *, keep: bool) -> None:
        """Stop them all; `keep` leaves their folders, with the logs, for a person to look at."""
        for (name, template), running in self._running.items():
            self._systems[name].stop(self._instance(template))
            if not keep:
                shutil.rmtree(running.folder, ignore_errors=True)
        self._running.clear()

    def _instance(self, template: str) -> str:
        # By process, so that two runs at the same time leave each other's databases alone.
        return f"test-{template}-{os.getpid()}"


def _remove_orphans() -> None:
    """Remove what earlier runs have left in the lab, where their process is gone."""
    for folder in lab_folder().glob("*/run/test-*-*"):
        number = folder.name.rpartition("-")[2]
        orphan = number.isdigit() and not process.alive(int(number))
        if orphan and process.running_pid(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def instances(request: pytest.FixtureRequest) -> Iterator[Instances]:
    """Starts any system from any template: `instances.start("creme", "demo")`."""
    started = Instances()
    yield started
    started.stop(keep=request.session.testsfailed > 0)


@pytest.fixture(scope="session")
def tryton(instances: Instances) -> Running:
    """A running Tryton without partners."""
    return instances.start("tryton")


@pytest.fixture(scope="session")
def creme(instances: Instances) -> Running:
    """A running Creme without partners."""
    return instances.start("creme")


@pytest.fixture(scope="module")
def fresh_tryton(instances: Instances, tryton: Running) -> Running:
    """The same Tryton with a new database for this module."""
    return instances.restart("tryton")


@pytest.fixture(scope="module")
def fresh_creme(instances: Instances, creme: Running) -> Running:
    """The same Creme with a new database for this module."""
    return instances.restart("creme")


@pytest.fixture(scope="session")
def databases() -> Iterator[Any]:
    """A PostgreSQL of this test process's own: `databases.fresh()` is a migrated database."""
    # Not before: what it imports is to be read with its assertions rewritten.
    from tests import postgres

    yield from postgres.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever asks for a real system."""
    for item in items:
        for name in NAMES:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Write into each report against which real systems its test ran."""
    report = yield
    report.user_properties += [("system", name) for name in NAMES if item.get_closest_marker(name)]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests ran against which real system, and why some did not run."""
    ran: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                ran.update(name for key, name in report.user_properties if key == "system")
    skipped = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    parts = [f"{ran[name]} tests ran against the real {_version(name)}" for name in NAMES]
    parts.append(f"{skipped.total()} skipped" + (":" if skipped else ""))
    terminalreporter.section("Real systems")
    terminalreporter.line(", ".join(parts))
    for reason, count in skipped.most_common():
        terminalreporter.line(f"  {count} x {reason}")


def _version(name: str) -> str:
    """The system's name with the version that is installed in the lab."""
    lab: dict[str, Callable[[], TrytonLab | Creme]] = {"tryton": TrytonLab, "creme": Creme}
    folders = [str(path) for path in Path(lab[name]().folder).glob("venv/lib/*/site-packages")]
    for found in distributions(name=PACKAGES[name], path=folders):
        return f"{NAMES[name]} {found.version}"
    return f"{NAMES[name]} (not installed)"
