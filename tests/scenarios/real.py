"""A coupled pair of the real systems: instances of its own, a home folder, and `koppel` as people
use it, in processes of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from koppel.cli.session import Session
from koppel.connectors.base import Connector, Record
from koppel.connectors.creme import CremeConnector
from koppel.connectors.tryton import TrytonConnector
from koppel.engine import Engine
from koppel.store.models import Run
from lab.creme import Creme
from lab.system import Running, free_port
from lab.tryton import TrytonLab

KOPPEL = str(Path(sys.executable).parent / "koppel")
ORGANISATION, CRM_CONTACT = "persons.organisation", "persons.contact"
PARTY, ERP_CONTACT = "party.party", "party.contact"
RESOURCES = {"crm": (ORGANISATION, CRM_CONTACT), "erp": (PARTY, ERP_CONTACT)}
READY_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
"""How long a test waits for what should take seconds, on a machine that others use too."""


class RealPair:
    """A Creme and a Tryton from one template, with a Koppel between them."""

    def __init__(self, name: str, template: str, home: Path) -> None:
        self.instance = f"test-{name}-{os.getpid()}"
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._creme, self._tryton = Creme(attached=True), TrytonLab(attached=True)
        for system in (self._creme, self._tryton):
            system.reset(self.instance, template)
        self.creme: Running = self._creme.start(self.instance, template, koppel_url=self.url)
        self.tryton: Running = self._tryton.start(self.instance, template, koppel_url=self.url)

    def settings(self) -> dict[str, str]:
        """The environment with which `koppel init` finds both systems."""
        return {
            f"KOPPEL_{side}_{name.upper()}": value
            for side, running in (("CRM", self.creme), ("ERP", self.tryton))
            for name, value in running.koppel.items()
        }

    def init(self) -> None:
        """Configure Koppel on both."""
        done = self.koppel("init", environment=self.settings())
        assert done.returncode == 0, done.stderr

    @contextmanager
    def engine(self, **seams: Any) -> Iterator[Engine]:
        """An engine of this process on the pair's home; faster than a process for each step."""
        store = Session(home=self.home, user="test").store()
        engine = Engine(store, **seams)
        try:
            yield engine
        finally:
            engine.close()
            store.close()

    def run(self) -> Run:
        """One sync in this process; it must get through."""
        with self.engine() as engine:
            run = engine.sync(user="test")
        assert run.state == "done", run.reasons
        return run

    def at_rest(self) -> None:
        """Sync until nothing is left to write; that must be so with the second run."""
        self.run()
        again = self.run()
        assert again.counts["writes"] == 0, again.counts

    def waits(self, entity: str) -> dict[str, str]:
        """Record -> the reason why it is in quarantine."""
        with self.engine() as engine:
            rows = engine.store.inbox.quarantine()
            return {row.record: row.reason for row in rows if row.entity == entity}

    def coupled(self, entity: str = "partner") -> dict[str, str]:
        """CRM id -> ERP id of the active couplings."""
        with self.engine() as engine:
            return {
                str(row.crm_id): str(row.erp_id)
                for row in engine.store.couplings.each(entity)
                if row.state == "active"
            }

    def koppel(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One call of the command line, in a process of its own."""
        return subprocess.run(
            [KOPPEL, "--home", str(self.home), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            timeout=600,
            check=False,
        )

    def ask(self, *arguments: str) -> Any:
        """What a command answers with --json."""
        done = self.koppel(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def sync(self, *arguments: str) -> Any:
        """`koppel sync`, approved where a guard holds the plan: two filled systems meet here."""
        done = self.koppel("sync", *arguments, "--json")
        told = json.loads(done.stdout)
        if told["state"] == "held":
            return self.ask("apply", str(told["run"]), "--approve")
        assert told["state"] == "done", done.stdout + done.stderr
        return told

    def couplings(self, entity: str = "partner", state: str = "active") -> list[dict[str, Any]]:
        """The couplings of a state."""
        rows = self.ask("couplings", "list", entity, "--state", state, "--limit", "100000")
        return list(rows)

    @contextmanager
    def connectors(self) -> Iterator[dict[str, Connector]]:
        """Connectors of the test's own, to look at what the systems hold."""
        crm = CremeConnector(self.creme.url, self.creme.koppel["token"])
        erp = TrytonConnector.from_config(self.tryton.koppel)
        try:
            yield {"crm": crm, "erp": erp}
        finally:
            crm.close()
            erp.close()

    def contents(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Every living record of both systems: (resource, id) -> its native fields."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        with self.connectors() as connectors:
            for side, connector in connectors.items():
                for resource in RESOURCES[side]:
                    found |= _contents(connector, resource)
        return found

    def count(self) -> dict[str, int]:
        """How many living records each resource has."""
        counts = {resource: 0 for resources in RESOURCES.values() for resource in resources}
        for resource, _ in self.contents():
            counts[resource] += 1
        return counts

    @contextmanager
    def serving(self, *options: str) -> Iterator[Path]:
        """`koppel serve` meanwhile; gives its log."""
        log = self.home / "serve.log"
        command = [KOPPEL, "--home", str(self.home), "serve", "--port", str(self.port), *options]
        with (
            log.open("a") as out,
            subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            ) as serving,
        ):
            try:
                wait_until(
                    lambda: serving.poll() is not None or _answers(f"{self.url}/healthz"),
                    READY_SECONDS,
                )
                ended = serving.poll()
                assert ended is None, f"serve has ended ({ended}): {log.read_text()[-2000:]}"
                yield log
            finally:
                serving.send_signal(signal.SIGTERM)
                serving.wait(60)

    def set_clocks(self, crm: float = 0.0, erp: float = 0.0, zone: str = "UTC") -> None:
        """Start both anew, so many seconds ahead; the ERP stamps in the time of `zone`."""
        if self._creme.ahead != crm:
            self._creme.ahead = crm
            self._creme.stop(self.instance)
            self.creme = self._creme.start(self.instance, koppel_url=self.url)
        if (self._tryton.ahead, self._tryton.zone) != (erp, zone):
            self._tryton.ahead, self._tryton.zone = erp, zone
            self._tryton.stop(self.instance)
            port = int(self.tryton.extra["port"])
            self.tryton = self._tryton.start(self.instance, port=port)

    def stop(self) -> None:
        """Stop both systems and remove what they leave."""
        for system, running in ((self._creme, self.creme), (self._tryton, self.tryton)):
            system.stop(self.instance)
            shutil.rmtree(running.folder, ignore_errors=True)


def _contents(connector: Connector, resource: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    page: str | None = None
    while True:
        swept = connector.ids(resource, page)
        ids = [id for id, _ in swept.items]
        for start in range(0, len(ids), 200):
            read = connector.fetch(resource, ids[start : start + 200])
            found |= {
                (resource, id): record.fields
                for id, record in read.items()
                if isinstance(record, Record)
            }
        page = swept.next
        if page is None:
            return found


def wait_until(true: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Look again until it is so; how many seconds that took. A test fails that waits in vain."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"not so within {seconds:.0f} s"
        time.sleep(0.1)
    return time.monotonic() - started


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


__all__ = ["RealPair", "wait_until"]
