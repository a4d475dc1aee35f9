"""Twenty people at their browsers, in a process of their own that does nothing else.

Each waits about half a second between two calls, as people do, and keeps one connection. What a
call takes is from its first byte sent to its last byte read. `python -m bench.people` reads one
line of JSON and prints one.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from typing import Any
from urllib.parse import quote

import msgspec

from bench.pages_rows import ROOTS, TOWNS, TRADES

PAUSE = (0.2, 1.0)
"""Seconds."""
KINDS = ("search", "customer", "orders", "insight")


class Load(msgspec.Struct):
    """Who asks whom, and how often. `cookies`: one session for each person."""

    port: int
    cookies: list[str]
    partners: int
    calls: int


class Call(msgspec.Struct):
    """One call that was made: its kind, seconds, and bytes of the answer."""

    kind: str
    seconds: float
    size: int


class Made(msgspec.Struct):
    """All calls, the seconds from the first to the last, and this process's own work."""

    calls: list[Call]
    seconds: float
    work: float


def make(load: Load) -> Made:
    """Let all of them ask at once."""
    calls: list[Call] = []
    faults: list[BaseException] = []

    def person(number: int) -> None:
        try:
            calls.extend(_person(load, number))
        except BaseException as error:
            faults.append(error)

    started, work = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=person, args=(n,)) for n in range(len(load.cookies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return Made(calls, time.perf_counter() - started, time.process_time() - work)


def _person(load: Load, number: int) -> list[Call]:
    chance, calls = random.Random(number), []
    web = http.client.HTTPConnection("127.0.0.1", load.port, timeout=120)
    for turn in range(load.calls + 1):
        for kind, address, part in visits(chance, load.partners):
            time.sleep(chance.uniform(*PAUSE))
            call = _call(web, load.cookies[number], kind, address, part)
            if turn:  # The first time each process reads templates and translations.
                calls.append(call)
    web.close()
    return calls


def _call(
    web: http.client.HTTPConnection, cookie: str, kind: str, address: str, part: bool
) -> Call:
    headers = {"Cookie": f"koppel_session={cookie}", "Accept-Encoding": "gzip"}
    started = time.perf_counter()
    web.request("GET", address, headers=headers | ({"HX-Request": "true"} if part else {}))
    answer = web.getresponse()
    size = len(answer.read())
    took = time.perf_counter() - started
    if answer.status != 200:
        raise SystemExit(f"{address} gives {answer.status}")
    return Call(kind, took, size)


def visits(chance: random.Random, partners: int) -> list[tuple[str, str, bool]]:
    """What one person looks at: kind, address, and whether it is a part of a page."""
    query = quote(_typed(chance, partners))
    return [
        ("search", f"/customers?q={query}", True),
        ("customer", f"/customers/{chance.randrange(1, partners)}", False),
        ("orders", "/orders", False),
        ("insight", "/insight", False),
    ]


def _typed(chance: random.Random, partners: int) -> str:
    """As far as somebody has come: a name, two words, a number, a mail address, a phone."""
    root, trade, n = chance.choice(ROOTS), chance.choice(TRADES), chance.randrange(partners)
    name = f"{root} {trade} {n} GmbH"
    return chance.choice(
        (
            name[: chance.randint(3, len(name))],
            f"{trade[:5]} {chance.choice(TOWNS)[:5]}",
            f"K{n:07}"[: chance.randint(4, 8)],
            f"info{n}@{root[:2].lower()}",
            f"030 {n:07}",
        )
    )


def ask(load: Load) -> Made:
    """The same from a process of its own."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "bench.people"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Made)


if __name__ == "__main__":
    told: Any = msgspec.json.encode(make(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    print(json.dumps(json.loads(told)))
