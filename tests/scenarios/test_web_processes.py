"""`koppel serve` with pages from several processes: nobody who uses them notices which it was."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from koppel import config
from koppel.store import Store, open_store
from koppel.store.address import ENVIRONMENT
from koppel.store.searching import name_key, searchable
from koppel.store.secrets import find_key
from koppel.store.seen_models import Customer
from lab.system import free_port
from tests.postgres import Databases
from tests.scenarios.real import KOPPEL

PASSWORD = "a password of five words"
PATIENCE = 120.0
CUSTOMERS = 30


@dataclass
class Served:
    """A serving Koppel, its store, and what it says."""

    store: Store
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @contextmanager
    def browser(self, name: str) -> Iterator[httpx.Client]:
        """Somebody who is signed in."""
        with httpx.Client(base_url=self.url, timeout=PATIENCE, follow_redirects=True) as web:
            web.get("/login")
            form = {"username": name, "password": PASSWORD}
            # Who comes from nowhere trusted says of itself what it likes.
            claim = {"X-Forwarded-For": "6.6.6.6"}
            assert web.post("/login", data=form | token(web), headers=claim).url.path == "/"
            yield web

    def others(self) -> list[int]:
        """The numbers of the processes that answer pages."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(word) for task in tasks for word in task.read_text().split()]
        return [one for one in children if b"koppel.web.page_process" in started_as(one)]

    def until_shared(self, times: int = 1) -> None:
        """Wait until the others have taken over."""
        until(lambda: self.log.read_text().count("processes answer pages") >= times)


def started_as(pid: int) -> bytes:
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_bytes() if path.exists() else b""


def token(web: httpx.Client) -> dict[str, str]:
    return {"csrfmiddlewaretoken": web.cookies["koppel_csrf"]}


def until(true: object, seconds: float = PATIENCE) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def serving(home: Path, address: Path | str, *options: str) -> Iterator[Served]:
    """`koppel serve` on a store with three people and some customers."""
    home.chmod(0o700)
    store = open_store(address, clock=config.now, key=find_key(home, create=True))
    for name in ("anna", "ben", "clara"):
        store.people.add(name, PASSWORD, ["clerk"])
    names = [f"Müller {number:02} GmbH" for number in range(CUSTOMERS)]
    store.seen.put_customers(
        [
            Customer(name=name, name_key=name_key(name), erp_id=str(n), search=searchable([name]))
            for n, name in enumerate(names)
        ]
    )
    log, port = home / "log.txt", free_port()
    command = [KOPPEL, "--home", str(home), "serve", "--port", str(port), "--processes", "2"]
    place = {} if isinstance(address, Path) else {ENVIRONMENT: address}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *options], stdout=out, stderr=out, env={**os.environ, **place}
        )
    one = Served(store, f"http://127.0.0.1:{port}", process, log)
    try:
        one.until_shared()
        yield one
    finally:
        process.terminate()
        process.wait(60)
        store.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    with serving(home, home / "koppel.sqlite3") as one:
        yield one


def test_signing_in_looking_keeping_a_filter_and_signing_out(served: Served) -> None:
    with served.browser("anna") as web:
        found = web.get("/customers", params={"q": "muller 07"}, headers={"HX-Request": "true"})
        (address,) = set(re.findall(r"/customers/\d+", found.text))
        assert "Müller 07 GmbH" in web.get(address).text
        kept = {"name": "the seventh", "query": "q=muller+07"}
        answer = web.post("/lists/customers/filters", data=kept | token(web))
        # Kept by the one process, said and shown by the other.
        assert "The filter is kept." in answer.text
        assert "the seventh" in answer.text
        assert web.get("/insight").status_code == 200
        assert web.get("/healthz").json() == {"ok": True}
        assert web.get("/static/web/koppel.css").status_code == 200
        assert web.get("/").status_code == 200
        web.post("/logout", data=token(web))
        assert web.get("/customers").url.path == "/login"


def test_who_signed_in_from_where_is_what_was_seen_not_what_was_said(served: Served) -> None:
    with served.browser("anna"):
        (line,) = served.store.audit_log.recent(1, user="anna", actions=["sign in"])
    assert line.subject == "127.0.0.1"


def test_a_right_that_is_taken_away_is_gone_in_every_process(served: Served) -> None:
    with served.browser("ben") as web:
        assert all(web.get("/orders").status_code == 200 for _ in range(4))
        served.store.people.set_roles("ben", ["viewer"])
        for _ in range(8):
            # A connection of its own each: any of the processes may take it.
            with httpx.Client(base_url=served.url, cookies=web.cookies, timeout=PATIENCE) as one:
                assert one.get("/orders").status_code == 403
                assert one.get("/customers").status_code == 200


def test_looks_through_all_processes_are_one_chain(served: Served) -> None:
    with served.browser("clara") as web:
        cookies = dict(web.cookies)

    def look(number: int) -> int:
        with httpx.Client(base_url=served.url, cookies=cookies, timeout=PATIENCE) as one:
            return sum(one.get(f"/customers/{n}").status_code for n in range(1, 6))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(8))) == [1000] * 8
    assert served.store.audit_log.verify().faults == ()
    assert len(served.store.audit_log.recent(100, user="clara", actions=["see"])) == 40


def test_a_process_that_is_killed_is_begun_again_and_all_end_with_the_first(
    served: Served,
) -> None:
    one, other = served.others()
    os.kill(one, signal.SIGKILL)
    with served.browser("clara") as web:
        assert all(web.get("/customers").status_code == 200 for _ in range(10))
        until(lambda: len(served.others()) == 2)
        assert other in served.others()
        assert web.get("/customers").status_code == 200
    left = served.others()
    served.process.kill()
    served.process.wait(60)
    until(lambda: not any(map(started_as, left)))


@pytest.mark.parametrize("loaded", [0.0, 0.4, 0.8, 1.2, 1.6, 2.5, 4.0])
def test_a_process_ends_when_it_is_told_to_however_far_it_has_come(
    tmp_path: Path, loaded: float
) -> None:
    tmp_path.chmod(0o700)
    key = find_key(tmp_path, create=True)
    open_store(tmp_path / "koppel.sqlite3", clock=config.now, key=key).close()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "koppel.web.page_process", str(tmp_path), "127.0.0.1"]
        number = listening.fileno()
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [*command, "nowhere", str(number)], pass_fds=[number], stdin=pipe, stdout=pipe
        ) as process:
            time.sleep(loaded)
            assert process.poll() is None
            process.terminate()
            # At once while it loads, in good order once it answers.
            assert process.wait(60) in (-signal.SIGTERM, 0)


@pytest.mark.xdist_group("postgres")
def test_where_workers_do_the_work_pages_come_from_several_processes_too(
    databases: Databases, tmp_path: Path
) -> None:
    with serving(tmp_path, databases.fresh(), "--hand-over") as one, one.browser("anna") as web:
        assert len(one.others()) == 2
        assert "Müller 07 GmbH" in web.get("/customers?q=muller+07").text
        assert web.get("/").status_code == 200
        assert one.store.audit_log.verify().faults == ()
