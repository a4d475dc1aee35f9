"""`make demo` with the real systems: what it promises on its last screen is so."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import truth
from lab.demo import PORTS
from lab.system import ROOT, free_port, lab_folder

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("demo")]

PATIENCE_SECONDS = 900
"""Where other tests share the machine and the templates are made for the first time."""


@dataclass
class Shown:
    """A running demo and what it has printed."""

    process: subprocess.Popen[str]
    screen: str
    ports: dict[str, int]
    home: Path

    def koppel(self, *arguments: str) -> object:
        """What a command of Koppel answers with --json."""
        koppel = str(Path(sys.executable).parent / "koppel")
        command = [koppel, "--home", str(self.home), *arguments, "--json"]
        asked = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(asked.stdout)


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    """The demo, begun anew, up to the line that says how to stop it."""
    name = f"demo-test-{os.getpid()}"
    ports = {system: free_port() for system in PORTS}
    options = [
        option for system, port in ports.items() for option in (f"--{system}-port", str(port))
    ]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "lab.demo", "--name", name, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    ) as running:
        assert running.stdout is not None
        lines: list[str] = []
        try:
            for line in running.stdout:
                lines.append(line)
                if line.startswith("Ctrl-C"):
                    break
            screen = "".join(lines)
            assert "Ctrl-C" in screen, screen
            yield Shown(running, screen, ports, lab_folder() / "koppel" / name)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(60)
    for system in PORTS:
        folder = "koppel" if system == "koppel" else f"{system}/run"
        shutil.rmtree(lab_folder() / folder / name, ignore_errors=True)
    (lab_folder() / f"{name}.lock").unlink(missing_ok=True)


def _number(pattern: str, screen: str) -> int:
    found = re.search(pattern, screen)
    assert found, screen
    return int(found[1])


def test_at_least_95_of_100_true_pairs_are_coupled_and_none_wrongly(shown: Shown) -> None:
    rows = shown.koppel("couplings", "list", "partner", "--state", "active", "--limit", "10000")
    assert isinstance(rows, list)
    found = {(row["crm"], row["erp"]) for row in rows}
    known = truth.read()
    assert len(found & set(known.partners)) >= 0.95 * len(known.partners)
    crm_of = {erp: crm for crm, erp in known.partners}
    second = {two: one for one, two in known.crm_duplicates}
    wrong = [(crm, erp) for crm, erp in found if crm_of.get(erp, crm) != second.get(crm, crm)]
    assert wrong == []
    assert _number(r"(\d+) of the 220", shown.screen) == len(found & set(known.partners))
    assert ", 0 wrongly" in shown.screen


def test_all_three_answer_at_the_addresses_on_the_screen(shown: Shown) -> None:
    for system, port in shown.ports.items():
        assert f"http://127.0.0.1:{port}" in shown.screen, system
    for path in (f"{shown.ports['koppel']}/login", f"{shown.ports['creme']}/creme_login"):
        with urllib.request.urlopen(f"http://127.0.0.1:{path}", timeout=30) as answer:
            assert answer.status == 200


def test_a_sync_straight_afterwards_writes_nothing(shown: Shown) -> None:
    result = shown.koppel("sync")
    assert isinstance(result, dict)
    assert result["writes"] == 0


def test_ctrl_c_stops_all_three(shown: Shown) -> None:
    shown.process.send_signal(signal.SIGINT)
    assert shown.process.wait(60) == 0
    for port in shown.ports.values():
        deadline = time.monotonic() + 5
        while not _is_free(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _is_free(port)


def _is_free(port: int) -> bool:
    from lab.process import check_port
    from lab.system import LabError

    try:
        check_port(port, "test")
    except LabError:
        return False
    return True
