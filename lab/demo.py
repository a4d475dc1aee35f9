"""`make demo`: a real CRM and a real ERP with demo data, coupled by Koppel, on this machine.

Sets both systems up side by side, starts them, couples them, prints three addresses with log-ins,
and stays in the foreground until Ctrl-C, which stops all three; so do SIGTERM, a closed terminal
and a set-up that fails midway. The set-up databases are kept, and so is what people changed in a
demo; `--reset` begins anew.

`make demo STORE=postgres WORKERS=3` keeps Koppel's store on a PostgreSQL of the demo's own and
leaves the work to three worker processes, of which any may be killed while orders flow.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from lab import coupling, process, truth
from lab.bootstrap import CannotGoOn, check_disk
from lab.coupling import Coupled
from lab.creme import Creme
from lab.display import Display, Row, Stopped
from lab.postgres import Postgres
from lab.system import LabError, Running, lab_folder
from lab.tryton import TrytonLab

NEEDED_MEGABYTES = 900
"""Both systems' environments, templates and working copies."""

FILE = "koppel.database"
"""Where Koppel's home folder holds the address of its store."""

PORTS = {"tryton": 8000, "creme": 8100, "koppel": 8200}


@dataclass
class Options:
    """What can be chosen; a port also by KOPPEL_DEMO_<NAME>_PORT."""

    ports: dict[str, int] = field(default_factory=lambda: dict(PORTS))
    once: bool = False
    reset: bool = False
    name: str = "demo"
    """Of the working copies: demos of different names do not touch each other."""
    store: str = "sqlite"
    """Koppel's own: `sqlite` or `postgres`."""
    workers: int = 0
    """Processes that do the work; 0: the one that serves does it all."""


class Demo:
    """One demo: brings everything up, and always takes everything down."""

    def __init__(self, options: Options, console: Console) -> None:
        self.options = options
        self.console = console
        self.stop = threading.Event()
        self.creme = Creme(attached=True)
        self.tryton = TrytonLab(attached=True)
        self.name = options.name
        self.home = lab_folder() / "koppel" / options.name
        self.postgres = Postgres.for_demo(lab_folder()) if options.store == "postgres" else None
        self.is_up = False
        self._running: dict[str, Running] = {}
        self._troubles: list[Exception] = []

    def run(self) -> int:
        """Exit code: 0 after Ctrl-C or `--once`, 1 where a system ended by itself."""
        started = time.monotonic()
        try:
            self.take_down()
            self._check_ports()
            display = Display(self.console, self.stop)
            with display.shown():
                result = self._bring_up(display)
            self.is_up = True
            self._show(result, time.monotonic() - started)
            return 0 if self.options.once else self._stay()
        finally:
            self.stop.set()
            with _undisturbed():
                self.take_down()

    def _check_ports(self) -> None:
        """All three before anything is done, so that nobody waits minutes for the sentence."""
        for name, port in self.options.ports.items():
            try:
                process.check_port(port, name)
            except LabError as error:
                raise LabError(f"{error}: {how_to_choose_a_port(name)}") from None

    def _bring_up(self, display: Display) -> Coupled:
        if not (self.tryton.folder / "templates" / "demo").is_dir():
            check_disk(lab_folder(), NEEDED_MEGABYTES)
        tryton, creme, koppel = (display.row(name) for name in ("tryton", "creme", "koppel"))
        self._side_by_side(
            lambda: self.tryton.set_up("demo", tryton),
            lambda: self.creme.set_up("demo", creme),
            waiting=koppel,
        )
        anew = self.options.reset or not self._continues()
        if anew:
            shutil.rmtree(self.home, ignore_errors=True)
        self._side_by_side(
            lambda: self._start_tryton(tryton, anew),
            lambda: self._start_creme(creme, anew),
            coupling.load,
            self._start_postgres,
            waiting=koppel,
        )
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.home / "made-from.json").write_text(self._made_from())
        self._choose_store(anew)
        found = truth.truth(self.creme.seeded("demo"), self.tryton.seeded("demo"))
        truth.write(found)
        systems = self._running["creme"], self._running["tryton"]
        result = coupling.couple(*systems, self.home, found, koppel)
        many = self.options.workers
        for folder in self._workers():
            coupling.work(self.home, folder)
        coupling.serve(self.home, self.options.ports["koppel"], koppel, hand_over=bool(many))
        with_workers = f", with {many} workers on PostgreSQL" if many else ""
        koppel.done(f"runs on {self._url()}{with_workers}")
        return result

    def _made_from(self) -> str:
        """Which making of the two templates this is."""
        files = [
            system.folder / "templates" / "demo" / "seeded.json"
            for system in (self.creme, self.tryton)
        ]
        made = {str(file): file.stat().st_mtime_ns for file in files}
        return json.dumps({**made, "store": self.options.store})

    def _start_postgres(self) -> None:
        if self.postgres is not None:
            self.postgres.start()

    def _choose_store(self, anew: bool) -> None:
        """Let Koppel's home folder say where its store is."""
        file = self.home / FILE
        file.unlink(missing_ok=True)
        if self.postgres is None:
            return
        database = f"koppel_{self.name}"
        if anew or not self.postgres.exists(database):
            self.postgres.create(database)
        file.touch(mode=0o600)
        file.write_text(f"{self.postgres.url(database)}\n")

    def _workers(self) -> list[Path]:
        """The folders of the worker processes."""
        return [self.home / f"worker-{number + 1}" for number in range(self.options.workers)]

    def _continues(self) -> bool:
        """Whether working copies are there that stem from the present templates.

        Others were made by another version of Koppel: ids and add-ons may not fit any more.
        """
        mark = self.home / "made-from.json"
        return mark.is_file() and mark.read_text() == self._made_from()

    def _start_tryton(self, row: Row, anew: bool) -> None:
        row("starting", 0.9)
        if anew:
            self.tryton.reset(self.name, "demo")
        port = self.options.ports["tryton"]
        self._running["tryton"] = running = self.tryton.start(
            self.name, "demo", port, koppel_url=self._url()
        )
        row.done(f"runs on {running.url}")

    def _start_creme(self, row: Row, anew: bool) -> None:
        row("starting", 0.9)
        if anew:
            self.creme.reset(self.name, "demo")
        port = self.options.ports["creme"]
        self._running["creme"] = running = self.creme.start(
            self.name, "demo", port, koppel_url=self._url()
        )
        row.done(f"runs on {running.url}")

    def _side_by_side(self, *tasks: Callable[[], None], waiting: Row) -> None:
        """Do all tasks at the same time; the first one that fails ends the others."""
        threads = [threading.Thread(target=self._guarded, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                if not self._troubles:
                    waiting("waiting for both systems", 0.0)
                for thread in threads:
                    thread.join(0.25)
        except BaseException:
            self.stop.set()
            with _undisturbed():
                for thread in threads:
                    thread.join()
            raise
        if self._troubles:
            raise self._troubles[0]

    def _guarded(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Stopped:
            return
        except Exception as trouble:
            self._troubles.append(trouble)
            self.stop.set()

    def _url(self) -> str:
        return f"http://127.0.0.1:{self.options.ports['koppel']}"

    def _show(self, result: Coupled, seconds: float) -> None:
        grid = Table.grid(padding=(0, 3))
        grid.add_row("", "[bold]address[/]", "[bold]log-in[/]", "[bold]password[/]")
        creme, tryton = self._running["creme"], self._running["tryton"]
        for name, url, login in (
            ("Koppel", self._url(), coupling.LOGIN),
            ("Creme (CRM)", creme.url, creme.admin),
            ("Tryton (ERP)", tryton.url, tryton.admin),
        ):
            grid.add_row(name, url, *login)
        self.console.print(Panel(grid, title=f"Coupled in {seconds:.0f} s", expand=False))
        for line in _summary(result, str(self.home), _for_the_client(tryton)):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        for folder in self._workers():
            pid = process.running_pid(folder)
            self.console.print(f"{folder.name} is process {pid}: kill -9 {pid}", highlight=False)
        if not self.options.once:
            self.console.print("Ctrl-C stops all of them.", style="bold")

    def _stay(self) -> int:
        """Until somebody stops it, or one of the three ends by itself."""
        watched = {
            "creme": self.creme.instance_folder(self.name),
            "tryton": self._running["tryton"].folder,
            "koppel": self.home,
        }
        missed: set[str] = set()
        while not self.stop.wait(1.0):
            for folder in self._workers():
                if folder.name not in missed and process.running_pid(folder) is None:
                    missed.add(folder.name)
                    self.console.print(
                        f"{folder.name} is gone; its work goes to the others", style="yellow"
                    )
            for name, folder in watched.items():
                if process.running_pid(folder) is None:
                    self.console.print(
                        f"{name} has ended by itself, so the demo ends; its log is in {folder}",
                        style="red",
                        markup=False,
                        soft_wrap=True,
                    )
                    return 1
        return 0

    def take_down(self) -> None:
        """Stop all three, also what an earlier demo left behind; Koppel first.

        A system that cannot be stopped does not keep the others running.
        """
        process.end(self.home)
        for folder in sorted(self.home.glob("worker-*")):
            process.end(folder)
        stops = [
            threading.Thread(target=system.stop, args=(self.name,))
            for system in (self.creme, self.tryton)
        ]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()
        if self.postgres is not None:
            self.postgres.stop()


def how_to_choose_a_port(name: str) -> str:
    """The remedy, ready to be typed."""
    return f"make demo ARGS='--{name}-port {PORTS[name] + 1000}'"


def _for_the_client(tryton: Running) -> str:
    host = tryton.url.removeprefix("http://").rstrip("/")
    return f"{host}, database {tryton.extra.get('database', '')}"


def _summary(result: Coupled, home: str, tryton: str) -> list[str]:
    return [
        f"{result.of_pairs} of the {result.pairs} companies that both systems know were found"
        f" and coupled, {result.wrong} wrongly; {result.review} pairs wait for your word.",
        f"{result.partners} partners, {result.contacts} contacts and {result.products} products"
        " are in step"
        f" ({result.writes} writes in this run); {result.conflicts} conflicts,"
        f" {result.quarantine} records in quarantine.",
        "Change a phone number in one system and look at it in the other.",
        f"The command line: .venv/bin/koppel --home {home} status",
        f"Tryton's own client (the package tryton) connects to {tryton}.",
    ]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No second Ctrl-C while servers are being stopped: that takes some seconds at most."""
    kept = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, action in kept.items():
            signal.signal(number, action)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Signalled(BaseException):
    """Somebody wants the demo to end."""


def _on_signal(number: int, _frame: object) -> None:
    raise _Signalled(number)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Meanwhile Ctrl-C, SIGTERM and a closed terminal raise `_Signalled` in the main thread."""
    kept = {number: signal.signal(number, _on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, action in kept.items():
            signal.signal(number, action)


@contextlib.contextmanager
def _only_one(name: str) -> Iterator[None]:
    """Two demos of one name would stop each other's systems."""
    file = lab_folder() / f"{name}.lock"
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LabError(
                f"a demo runs here already (process {lock.read().strip()}):"
                " stop it with Ctrl-C in its terminal"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def run(
    *,
    once: bool = False,
    reset: bool = False,
    ports: dict[str, int] | None = None,
    name: str = "demo",
    store: str = "sqlite",
    workers: int = 0,
) -> int:
    """Run the demo; see the module. Exit code 1 with one sentence where it cannot go on."""
    demo: Demo | None = None
    try:
        with _stopped_by_signals(), _only_one(name):
            chosen = {**ports_from_environment(), **(ports or {})}
            if workers and store != "postgres":
                raise LabError("workers need PostgreSQL: make demo STORE=postgres WORKERS=3")
            demo = Demo(Options(chosen, once, reset, name, store, workers), Console())
            return demo.run()
    except (LabError, CannotGoOn) as error:
        _say(f"The demo cannot go on: {error}")
        return 1
    except OSError as error:
        _say(f"The demo cannot go on: {error.strerror} ({error.filename})")
        return 1
    except (_Signalled, Stopped):
        _say("Stopped; all three systems are down.")
        return 0 if demo is not None and demo.is_up else 130


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def ports_from_environment() -> dict[str, int]:
    """The ports, where the environment does not say otherwise. Raises LabError."""
    ports = dict(PORTS)
    for name in PORTS:
        variable = f"KOPPEL_DEMO_{name.upper()}_PORT"
        if value := os.environ.get(variable):
            if not value.isdigit():
                raise LabError(f"{variable} is {value!r}: give a port number, such as 9000")
            ports[name] = int(value)
    return ports


def stop_leftovers(name: str = "demo") -> int:
    """Stop what a killed demo left running."""
    Demo(Options(name=name), Console()).take_down()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line of `python -m lab.demo`."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="set up, couple, print, and end")
    parser.add_argument("--reset", action="store_true", help="begin from the fresh demo data")
    parser.add_argument("--stop", action="store_true", help="only stop what a killed demo left")
    parser.add_argument("--name", default="demo", help="of the working copies; default demo")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--workers", type=int, default=0, help="worker processes; default none")
    for name, port in PORTS.items():
        parser.add_argument(f"--{name}-port", type=int, metavar="PORT", help=f"default {port}")
    options = parser.parse_args(arguments)
    if options.stop:
        return stop_leftovers(options.name)
    given = {name: getattr(options, f"{name}_port") for name in PORTS}
    ports = {name: port for name, port in given.items() if port}
    return run(
        once=options.once,
        reset=options.reset,
        ports=ports,
        name=options.name,
        store=options.store,
        workers=options.workers,
    )


if __name__ == "__main__":
    sys.exit(main())
