"""The piece of the demo that couples: Koppel's set-up, its first run, and its server."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import process
from lab.system import LabError, Progress, Running
from lab.truth import Truth

if TYPE_CHECKING:
    from koppel.engine import Engine

LOGIN = ("koppel", "koppel-lab")
"""Koppel's own pages; for a lab that listens on loopback only."""

READY_SECONDS = 60.0


@dataclass(frozen=True)
class Coupled:
    """What the first run came to."""

    partners: int
    """Couplings of partners, those included for which one side was created."""
    contacts: int
    products: int
    review: int
    """Proposed pairs that wait for a person's word."""
    conflicts: int
    quarantine: int
    writes: int
    """Of this run."""
    of_pairs: int
    """How many of the true pairs are coupled."""
    pairs: int
    wrong: int
    """Couplings that the truth says are wrong."""


def couple(
    creme: Running, tryton: Running, home: Path, truth: Truth, progress: Progress
) -> Coupled:
    """Set Koppel up on both systems and bring them into step. Raises LabError."""
    from koppel.errors import KoppelError

    try:
        _init(creme, tryton, home, progress)
        return _first_run(home, truth, progress)
    except KoppelError as error:
        raise LabError(f"the first coupling stopped: {error}") from error


def _first_run(home: Path, truth: Truth, progress: Progress) -> Coupled:
    from koppel.cli.session import Session
    from koppel.engine import Engine

    counts: Counter[str] = Counter()

    def tell(what: str, many: int) -> None:
        counts[what] += many
        progress(f"{what} ({counts[what]})" if counts[what] else what, 0.5)

    store = Session(home=home, user="demo").store()
    engine = Engine(store, progress=tell)
    try:
        run = engine.sync(user="demo")
        if run.state == "held":
            # Two filled systems meet for the first time: the guards ask, and here nobody minds.
            progress("the guards ask: " + " ".join(run.reasons), 0.6)
            run = engine.apply(run, user="demo", approve=True)
        progress("reading orders and invoices for the pages", 0.8)
        _fill_views(engine)
    finally:
        engine.close()
    _make_login()
    return _result(store, run.counts.get("writes", 0), truth)


def _fill_views(engine: Engine) -> None:
    """All that the pages show, so that they open on figures; a few seconds for the demo's data."""
    from koppel.processes.replication import Replication
    from koppel.processes.systems import Systems

    Replication(Systems(engine.store, engine.lines)).fill(rounds=60)


def load() -> None:
    """Load Koppel's code, which takes a second or two: best while the systems start."""
    importlib.import_module("koppel.cli.setup")


def _init(creme: Running, tryton: Running, home: Path, progress: Progress) -> None:
    """`koppel init` in this process, with all settings from the environment."""
    from koppel.cli.app import app

    progress("asking both systems what they have", 0.3)
    settings = {
        f"KOPPEL_{side}_{name.upper()}": value
        for side, running in (("CRM", creme), ("ERP", tryton))
        for name, value in running.koppel.items()
    }
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            systems = ["--crm", creme.name, "--erp", tryton.name]
            arguments = ["--home", str(home), "--user", "demo", "init", "--json", *systems]
            app(arguments, standalone_mode=False)
    finally:
        # The secrets are Koppel's alone from here on: no child process is to find them.
        for name in settings:
            os.environ.pop(name)
        os.environ.update(before)


def _koppel(home: Path) -> list[str]:
    return [str(Path(sys.executable).parent / "koppel"), "--home", str(home)]


def _make_login() -> None:
    """A user for Koppel's pages, where there is none yet."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if not users.filter(username=LOGIN[0]).exists():
        users.create_superuser(LOGIN[0], password=LOGIN[1])


def _result(store: object, writes: int, truth: Truth) -> Coupled:
    from koppel.store import Store

    assert isinstance(store, Store)
    waits = dict(store.inbox.totals())
    partners = [row for row in store.couplings.each("partner") if row.state == "active"]
    found = {(str(row.crm_id), str(row.erp_id)) for row in partners}
    return Coupled(
        partners=len(partners),
        contacts=store.couplings.count("contact", "active"),
        products=store.couplings.count("product", "active"),
        review=waits.get("reviews", 0),
        conflicts=waits.get("conflicts", 0),
        quarantine=waits.get("quarantine", 0),
        writes=writes,
        of_pairs=len(found & set(truth.partners)),
        pairs=len(truth.partners),
        wrong=len(wrong(found, truth)),
    )


def wrong(found: set[tuple[str, str]], truth: Truth) -> set[tuple[str, str]]:
    """Couplings of a record that has a true partner with another one.

    Coupling a duplicate's second copy is not wrong; nor is a record that Koppel itself created.
    """
    true_erp = dict(truth.partners)
    true_crm = {erp: crm for crm, erp in truth.partners}
    for first, second in truth.crm_duplicates:
        true_erp[second] = true_erp[first]
    return {
        (crm, erp)
        for crm, erp in found
        if true_erp.get(crm, erp) != erp or (erp in true_crm and true_erp.get(crm) != erp)
    }


def work(home: Path, folder: Path) -> int:
    """Start a worker whose process is told by `folder`; gives its process id."""
    folder.mkdir(parents=True, exist_ok=True)
    # By way of the folder, so that the process can be told from others by its arguments.
    command = [*_koppel(folder / ".."), "worker", "--drain", "8"]
    return process.spawn(command, dict(os.environ), folder, folder / "worker.log")


def serve(home: Path, port: int, progress: Progress, *, hand_over: bool = False) -> int:
    """Start Koppel's server and wait until it answers; gives its process id. Raises LabError."""
    process.check_port(port, "koppel")
    progress("starting", 0.9)
    log = home / "server.log"
    command = [*_koppel(home), "serve", "--port", str(port)]
    if hand_over:
        command.append("--hand-over")
    pid = process.spawn(command, dict(os.environ), home, log)
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(f"http://127.0.0.1:{port}/login"):
        if process.running_pid(home) is None:
            raise LabError(f"Koppel did not come up; its log {log} ends: {process.tail(log)}")
        if time.monotonic() > deadline:
            raise LabError(f"Koppel did not answer within {READY_SECONDS:.0f} s; see {log}")
        progress("starting", 0.95)
        time.sleep(0.1)
    return pid


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
