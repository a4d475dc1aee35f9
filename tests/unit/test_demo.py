"""The demo brings three systems up, says what is in its way in one sentence, and takes all down.

Here with two stand-ins that are real processes without a real system in them; the real ones run
in `tests/live/test_make_demo.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab import coupling, demo, process, truth
from lab.coupling import Coupled
from lab.demo import ports_from_environment
from lab.system import LabError, Progress, Running, free_port, lab_folder
from lab.truth import Truth
from lab.world import CrmOrganisation, ErpPartner, build

RESULT = Coupled(
    partners=294, contacts=645, products=37, review=12, conflicts=3, quarantine=0, writes=622,
    of_pairs=214, pairs=220, wrong=0,
)  # fmt: skip


class StandIn:
    """As much of a system as the demo sees; its server is a process that sleeps."""

    name = ""
    calls: list[str]
    fail: str = ""
    block = False

    def __init__(self, *, attached: bool = False) -> None:
        self.folder = lab_folder() / self.name

    def instance_folder(self, instance: str) -> Path:
        return self.folder / "run" / instance

    def set_up(self, template: str, progress: Progress) -> None:
        self.calls.append(f"{self.name} set up")
        if self.fail:
            raise LabError(self.fail)
        while self.block:
            progress("making tables", 0.5)
            time.sleep(0.02)
        progress(f"{self.name}: making tables", 0.5)
        file = self.folder / "templates" / template / "seeded.json"
        if not file.is_file():
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(self._seeded()))

    def _seeded(self) -> dict[str, dict[str, int]]:
        world = build()
        parties: Sequence[CrmOrganisation | ErpPartner] = world.erp
        kind = "partners"
        if self.name == "creme":
            parties, kind = world.crm, "organisations"
        people = [person.key for party in parties for person in party.contacts]
        return {
            kind: {party.key: number for number, party in enumerate(parties)},
            "contacts": {key: number for number, key in enumerate(people)},
        }

    def seeded(self, template: str) -> dict[str, dict[str, int]]:
        file = self.folder / "templates" / template / "seeded.json"
        found: dict[str, dict[str, int]] = json.loads(file.read_text())
        return found

    def reset(self, instance: str, template: str) -> None:
        self.calls.append(f"{self.name} reset")

    def start(self, instance: str, template: str, port: int, **_: Any) -> Running:
        self.calls.append(f"{self.name} start")
        folder = self.instance_folder(instance)
        return Running(
            name=self.name,
            url=f"http://127.0.0.1:{port}",
            admin=("root", f"{self.name}-password"),
            koppel={},
            folder=folder,
            pid=_sleeper(folder),
        )

    def stop(self, instance: str) -> None:
        process.end(self.instance_folder(instance))


def _sleeper(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-S", "-c", "import time; time.sleep(60)", str(folder)]
    return process.spawn(command, dict(os.environ), folder, folder / "server.log")


@pytest.fixture
def systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[type[StandIn], type[StandIn]]]:
    """The stand-ins for (Creme, Tryton); at the end nothing of them may run any more."""
    monkeypatch.setenv("KOPPEL_LAB", str(tmp_path))
    calls: list[str] = []
    creme = type("Creme", (StandIn,), {"name": "creme", "calls": calls})
    tryton = type("Tryton", (StandIn,), {"name": "tryton", "calls": calls})
    monkeypatch.setattr(demo, "Creme", creme)
    monkeypatch.setattr(demo, "TrytonLab", tryton)
    monkeypatch.setattr(coupling, "load", lambda: None)
    monkeypatch.setattr(coupling, "couple", lambda *_: RESULT)

    def serve(home: Path, port: int, progress: Any, *, hand_over: bool = False) -> Any:
        return _sleeper(home)

    monkeypatch.setattr(coupling, "serve", serve)
    yield creme, tryton
    assert _alive(tmp_path) == []


def _alive(lab: Path) -> list[Path]:
    return [pid.parent for pid in lab.rglob("pid") if process.running_pid(pid.parent) is not None]


@pytest.fixture
def ports() -> dict[str, int]:
    return {name: free_port() for name in demo.PORTS}


def _when_up(lab: Path, act: Callable[[], None]) -> threading.Thread:
    """Do something as soon as all three run."""

    def wait() -> None:
        deadline = time.monotonic() + 20
        while len(_alive(lab)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_once_brings_all_up_prints_addresses_with_log_ins_and_takes_all_down(
    systems: object, ports: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.run(once=True, ports=ports) == 0
    said = capsys.readouterr().out
    for name, login in (("tryton", "tryton-password"), ("creme", "creme-password")):
        assert f"http://127.0.0.1:{ports[name]}" in said
        assert login in said
    assert f"http://127.0.0.1:{ports['koppel']}" in said
    assert coupling.LOGIN[1] in said
    assert "214 of the 220" in said
    assert "0 wrongly" in said


def test_the_truth_is_written_in_native_ids(systems: object, ports: dict[str, int]) -> None:
    demo.run(once=True, ports=ports)
    found = truth.read()
    assert len(found.partners) == 220
    assert len(found.crm_duplicates) == 6
    assert all(isinstance(number, str) for pair in found.contacts for number in pair)


@pytest.mark.parametrize("name", ["tryton", "creme", "koppel"])
def test_a_taken_port_is_named_before_anything_is_done(
    name: str,
    systems: tuple[type[StandIn], type[StandIn]],
    ports: dict[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[name]))
        taken.listen()
        assert demo.run(once=True, ports=ports) == 1
    said = capsys.readouterr().err
    assert f"{name} cannot start: port {ports[name]} of 127.0.0.1 is taken" in said
    assert f"make demo ARGS='--{name}-port" in said
    assert said.count("\n") == 1
    assert systems[0].calls == []


def test_a_set_up_that_fails_midway_stops_the_other_system_too(
    systems: tuple[type[StandIn], type[StandIn]],
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(systems[0], "fail", "installing failed: the disk is full; make room")
    monkeypatch.setattr(systems[1], "block", True)
    assert demo.run(ports=ports) == 1
    said = capsys.readouterr().err
    assert said == "The demo cannot go on: installing failed: the disk is full; make room\n"


def test_a_first_coupling_that_fails_takes_both_systems_down(
    systems: object, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> Coupled:
        assert len(_alive(tmp_path)) == 2
        raise LabError("the first coupling stopped")

    monkeypatch.setattr(coupling, "couple", fail)
    assert demo.run(ports=ports) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_three(
    number: signal.Signals, systems: object, ports: dict[str, int], tmp_path: Path
) -> None:
    thread = _when_up(tmp_path, lambda: os.kill(os.getpid(), number))
    assert demo.run(ports=ports) == 0
    thread.join()
    assert _alive(tmp_path) == []


def test_ctrl_c_during_set_up_ends_it(
    systems: tuple[type[StandIn], type[StandIn]],
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(systems[0], "block", True)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    assert demo.run(ports=ports) == 130
    timer.join()


def test_signals_mean_what_they_meant_before_once_the_demo_is_over(
    systems: object, ports: dict[str, int]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    demo.run(once=True, ports=ports)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_system_that_ends_by_itself_ends_the_demo(
    systems: object, ports: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = _when_up(tmp_path, lambda: process.end(tmp_path / "creme" / "run" / "demo"))
    assert demo.run(ports=ports) == 1
    thread.join()
    assert "creme has ended by itself" in capsys.readouterr().out


def test_a_second_demo_of_the_same_name_leaves_the_first_alone(
    systems: tuple[type[StandIn], type[StandIn]],
    ports: dict[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (lab_folder() / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        assert demo.run(once=True, ports=ports) == 1
    assert "a demo runs here already (process 4711)" in capsys.readouterr().err
    assert systems[0].calls == []


def test_what_people_changed_is_kept_until_a_reset_or_other_templates(
    systems: tuple[type[StandIn], type[StandIn]], ports: dict[str, int], tmp_path: Path
) -> None:
    calls = systems[0].calls

    def resets(*, reset: bool = False) -> int:
        calls.clear()
        assert demo.run(once=True, ports=ports, reset=reset) == 0
        return sum(call.endswith("reset") for call in calls)

    assert resets() == 2, "the first time there is nothing to keep"
    (tmp_path / "koppel" / "demo" / "note").touch()
    assert resets() == 0
    assert (tmp_path / "koppel" / "demo" / "note").exists()
    assert resets(reset=True) == 2
    assert not (tmp_path / "koppel" / "demo" / "note").exists()
    os.utime(tmp_path / "creme" / "templates" / "demo" / "seeded.json", (1, 1))
    assert resets() == 2


def test_too_little_disk_space_is_one_sentence(
    systems: object,
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(demo, "NEEDED_MEGABYTES", 10**12)
    assert demo.run(once=True, ports=ports) == 1
    said = capsys.readouterr().err
    assert "there is not enough disk space" in said
    assert said.count("\n") == 1


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOPPEL_DEMO_CREME_PORT", "9123")
    assert ports_from_environment() == {**demo.PORTS, "creme": 9123}
    monkeypatch.setenv("KOPPEL_DEMO_CREME_PORT", "many")
    with pytest.raises(LabError, match="KOPPEL_DEMO_CREME_PORT is 'many': give a port number"):
        ports_from_environment()


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({("1", "10"), ("2", "20")}, 0),
        ({("3", "10")}, 0),
        ({("1", "20")}, 1),
        ({("9", "20")}, 1),
        ({("1", "99")}, 1),
        ({("9", "99")}, 0),
    ],
    ids=["true", "second copy", "crossed", "stranger", "other partner", "created by Koppel"],
)
def test_wrong_couplings_are_counted(found: set[tuple[str, str]], wrong: int) -> None:
    known = Truth(partners=(("1", "10"), ("2", "20")), contacts=(), crm_duplicates=(("1", "3"),))
    assert len(coupling.wrong(found, known)) == wrong
