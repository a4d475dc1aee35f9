"""Memory systems in processes of their own, so that time and memory are Koppel's alone.

Each system answers over a pipe; `Remote` is a connector like any other, as seen from Koppel.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Literal

from koppel.connectors.base import (
    Capabilities,
    ChangePage,
    Cursor,
    Fields,
    Gone,
    Health,
    IdPage,
    Outcome,
    Record,
    Resource,
    Write,
)
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import MemorySystem
from koppel.testing.endless import endless_crm, endless_erp
from koppel.testing.generated import fill_crm, fill_erp, memory_crm, memory_erp

Side = Literal["crm", "erp"]
RESOURCES: dict[Side, str] = {"crm": "organisation", "erp": "party"}


class Desk:
    """One system with its connector, and what its own users do."""

    def __init__(self, side: Side, count: int, endless: bool) -> None:
        self.side = side
        self.system: MemorySystem
        if endless:
            self.system = (endless_crm if side == "crm" else endless_erp)(count)
        else:
            self.system = memory_crm() if side == "crm" else memory_erp()
            (fill_crm if side == "crm" else fill_erp)(self.system, count, contacts=0)
        self.connector = MemoryConnector(self.system)

    def rename(self, every: int) -> int:
        """Somebody renames every so-manieth record."""
        resource = RESOURCES[self.side]
        ids = [row.id for row in self.system.table(resource).order][::every]
        for id in ids:
            name = self.system.row(resource, id).fields["name"]
            self.system.update(resource, id, {"name": f"{name} neu"}, "human")
        return len(ids)

    def deletes_by_sweep(self) -> None:
        """From now on nobody tells of deletes: all ids have to be looked through."""
        self.system.behaviour = replace(self.system.behaviour, deletes="scan")

    def deletes_by_log(self) -> None:
        """From now on the log tells of deletes again."""
        self.system.behaviour = replace(self.system.behaviour, deletes="log")

    def take_calls(self) -> dict[str, int]:
        """How many calls there were of each kind since this was last asked."""
        calls = dict(self.connector.calls)
        self.connector.calls.clear()
        return calls


def _serve(pipe: Connection, side: Side, count: int, endless: bool) -> None:
    desk = Desk(side, count, endless)
    pipe.send(("done", None))
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        target = desk if hasattr(desk, name) else desk.connector
        try:
            pipe.send(("done", getattr(target, name)(*arguments)))
        except Exception as error:
            pipe.send(("failed", error))


class Remote:
    """A connector to a system in another process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._waited = 0.0

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a method over there: of the connector or of the desk."""
        begun = time.perf_counter()
        self._pipe.send((name, arguments))
        answer = self.answer()
        self._waited += time.perf_counter() - begun
        return answer

    def take_waited(self) -> float:
        """Seconds of waiting for answers since this was last asked."""
        waited, self._waited = self._waited, 0.0
        return waited

    def answer(self) -> Any:
        """What comes back, or the exception that was raised over there."""
        state, value = self._pipe.recv()
        if state == "failed":
            raise value
        return value

    def check(self) -> Health:
        return self.ask("check")  # type: ignore[no-any-return]

    def capabilities(self, resource: str) -> Capabilities:
        return self.ask("capabilities", resource)  # type: ignore[no-any-return]

    def describe(self) -> Sequence[Resource]:
        return self.ask("describe")  # type: ignore[no-any-return]

    def now(self, resource: str) -> Cursor:
        return self.ask("now", resource)  # type: ignore[no-any-return]

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        return self.ask("changes", resource, since, limit)  # type: ignore[no-any-return]

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        return self.ask("ids", resource, page)  # type: ignore[no-any-return]

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        return self.ask("fetch", resource, ids)  # type: ignore[no-any-return]

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        return self.ask("find", resource, match, limit)  # type: ignore[no-any-return]

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        return self.ask("write", batch)  # type: ignore[no-any-return]

    def recover(self, write: Write) -> Outcome | None:
        return self.ask("recover", write)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Nothing: the systems outlive an engine."""


@contextmanager
def systems(crm: int, erp: int) -> Iterator[dict[Side, Remote]]:
    """A CRM and an ERP with that many partners; the same numbers are the same companies."""
    with _started({"crm": crm, "erp": erp}, endless=False) as remotes:
        yield remotes


@contextmanager
def endless_systems(count: int) -> Iterator[dict[Side, Remote]]:
    """Both with that many partners, made when they are asked for."""
    with _started({"crm": count, "erp": count}, endless=True) as remotes:
        yield remotes


@contextmanager
def _started(counts: dict[Side, int], *, endless: bool) -> Iterator[dict[Side, Remote]]:
    context = multiprocessing.get_context("spawn")
    remotes: dict[Side, Remote] = {}
    pipes: list[Connection] = []
    children = []
    for side, count in counts.items():
        here, there = context.Pipe()
        child = context.Process(target=_serve, args=(there, side, count, endless), daemon=True)
        child.start()
        there.close()
        children.append(child)
        pipes.append(here)
        remotes[side] = Remote(here)
    try:
        for remote in remotes.values():
            remote.answer()
        yield remotes
    finally:
        for pipe in pipes:
            pipe.close()
        for child in children:
            child.join(10)
