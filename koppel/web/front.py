"""Pages from several processes: what only reads the store is answered here, the rest handed on.

One process does the work: it holds the queues of hints, presses and errands and the streams of
progress. Beside it any number of processes answer the pages that declare `anywhere`. Whatever else
they are asked they hand on to the one, over a socket that only Koppel's own user can open, and give
its answer back as it comes.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.urls import Resolver404, resolve

from koppel.engine.errand import Errand, Errands
from koppel.engine.watch import Press
from koppel.errors import Defect
from koppel.sync.rule import Side
from koppel.web.rights import right_of
from koppel.web.serving import Application

TURNS = 3
"""Pages of one process that are made at once; more of them would only take turns at its processor,
and all would wait for the last."""
PATIENCE = 150.0
"""Seconds after which an answer that was handed on is given up."""
PART = 65_536
_HOPS = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
        "transfer-encoding", "upgrade", "server", "date", "x-forwarded-for", "x-forwarded-proto",
    )
)  # fmt: skip
"""Headers that concern one connection, or that each server says for itself."""


class Front:
    """The application of a process that answers pages. `engine`: the socket of the other one."""

    def __init__(self, pages: Application, engine: str) -> None:
        self._pages = pages
        self._engine = engine
        self._turns = threading.Semaphore(TURNS)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and anywhere(_path(environ)):
            with self._turns:
                return self._pages(environ, start)
        return self._handed_on(environ, start)

    def _handed_on(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        other = _Connection(self._engine)
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            body = environ["wsgi.input"].read(length) if length else None
            other.request(environ["REQUEST_METHOD"], _target(environ), body, _headers(environ))
            answer = other.getresponse()
        except (OSError, http.client.HTTPException):
            other.close()
            start("503 Service Unavailable", [("Content-Length", "0"), ("Retry-After", "2")])
            return [b""]
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOPS]
        start(f"{answer.status} {answer.reason}", headers)
        return _Parts(other, answer)


@lru_cache(4096)
def anywhere(path: str) -> bool:
    """Can any process answer a look at this address?"""
    if path.startswith(settings.STATIC_URL):
        return True
    try:
        right = right_of(resolve(path).func)
    except Resolver404:
        return False
    return right is not None and right.anywhere


def _path(environ: dict[str, Any]) -> str:
    raw: bytes = environ.get("PATH_INFO", "").encode("latin-1")
    return raw.decode("utf-8", "replace")


def _target(environ: dict[str, Any]) -> str:
    """The address as the first line of a call holds it."""
    path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {
        name[5:].replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    found = {name: value for name, value in found.items() if name.lower() not in _HOPS}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found[name.replace("_", "-").title()] = environ[name]
    found["X-Forwarded-For"] = environ.get("REMOTE_ADDR", "")
    found["X-Forwarded-Proto"] = environ["wsgi.url_scheme"]
    return found


class _Connection(http.client.HTTPConnection):
    """To a socket of this machine."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Parts:
    """An answer as it comes; a stream is told line by line."""

    def __init__(self, other: _Connection, answer: http.client.HTTPResponse) -> None:
        self._other = other
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        while part := self._answer.read1(PART):
            yield part

    def close(self) -> None:
        """Whoever asked has the answer, or is gone."""
        self._answer.close()
        self._other.close()


class Elsewhere:
    """The watch is in another process; a page that asks for it must be answered there."""

    def __init__(self) -> None:
        self.errands = Errands()

    @property
    def last_error(self) -> str:
        """Not known here."""
        raise _misplaced()

    @property
    def last_poll(self) -> datetime | None:
        """Not known here."""
        raise _misplaced()

    def hint(self, entity: str, side: Side, record: str) -> None:
        """Not taken here."""
        raise _misplaced()

    def press(
        self, entity: str, side: Side, record: str, *, user: str, timeout: float = 25.0
    ) -> Press:
        """Not done here."""
        raise _misplaced()

    def errand(self, errand: Errand) -> Errand:
        """Not done here."""
        raise _misplaced()


def _misplaced() -> Defect:
    return Defect("a page that is answered anywhere asked for what only one process has")
