"""Trouble on demand: faults between Koppel and a system, and a count of every boundary.

`FaultProxy` stands in front of a real system as an HTTP proxy on loopback, `FaultyConnector` wraps
any connector. Both follow a `FaultPlan`: which calls fail, how, and at which boundary the process
is to die. A boundary lies before and after each call, so a scenario with n calls has 2n of them.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

from koppel.connectors.base import (
    ASKED,
    Capabilities,
    ChangePage,
    Connector,
    Cursor,
    Fields,
    Gone,
    Health,
    IdPage,
    Outcome,
    Record,
    Resource,
    Unknown,
    Write,
)
from koppel.errors import Defect, Interrupted, NeedsUser, TryLater

T = TypeVar("T")
Kind = Literal["refuse", "slow", "cut", "drop_reply", "lose", "status", "html", "not_json"]
"""refuse: nobody listens. slow: the call is done, its answer comes too late. cut: the answer ends
in the middle. drop_reply: the call is done, its answer never comes. lose: the call never reaches
the system. status: an error of this HTTP code, nothing done. html, not_json: such an answer,
nothing done."""

PAGE = b"<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"


@dataclass(frozen=True)
class Call:
    """One call as it passed: an HTTP request, or a connector's method with its resource."""

    number: int
    method: str
    path: str
    body: bytes = b""


@dataclass
class Fault:
    """A planned fault; a context manager that takes itself off the plan at its end."""

    plan: FaultPlan
    kind: Kind
    after: int = 0
    count: int = 1
    match: Callable[[Call], bool] | str | None = None
    code: int = 500
    seconds: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)
    hits: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.plan.drop(self)

    def applies(self, call: Call) -> bool:
        """Whether this call is to fail; counts down `after` and then `count`."""
        if isinstance(self.match, str):
            if self.match not in call.path:
                return False
        elif self.match is not None and not self.match(call):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.count <= 0:
            return False
        self.count -= 1
        self.hits += 1
        return True


class FaultPlan:
    """Which calls fail, and where the scenario is to be killed."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.counts: Counter[str] = Counter()
        self.boundary = 0
        self._faults: list[Fault] = []
        self._kill_at = 0
        self._kill: Callable[[], None] = _interrupt
        self._lock = threading.RLock()

    def fault(
        self,
        kind: Kind,
        *,
        after: int = 0,
        count: int = 1,
        match: Callable[[Call], bool] | str | None = None,
        code: int = 500,
        seconds: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Let `count` calls fail, after the next `after` ones that match have passed.

        `match` is a part of the path or a question to the call. Use it with `with`, or call
        `clear` afterwards.
        """
        if kind not in get_args(Kind):
            raise ValueError(f"there is no fault {kind!r}")
        planned = Fault(self, kind, after, count, match, code, seconds, dict(headers or {}))
        with self._lock:
            self._faults.append(planned)
        self._changed()
        return planned

    def drop(self, fault: Fault) -> None:
        """Take one fault off the plan."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)
        self._changed()

    def clear(self) -> None:
        """Take all faults and the kill off the plan."""
        with self._lock:
            self._faults.clear()
            self._kill_at = 0
        self._changed()

    def kill_at(self, boundary: int, action: Callable[[], None] | None = None) -> None:
        """Count boundaries from now; call `action` at this one (default: raise `Interrupted`)."""
        with self._lock:
            self.boundary = 0
            self._kill_at = boundary
            self._kill = action or _interrupt

    def begin(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """A call sets out; the fault that it meets, if any."""
        with self._lock:
            call = Call(len(self.calls) + 1, method, path, body)
            self.calls.append(call)
            self.counts[path] += 1
            self._pass()
            return next((fault for fault in self._faults if fault.applies(call)), None)

    def end(self) -> None:
        """The call has had its effect; its answer has not gone out yet."""
        with self._lock:
            self._pass()

    def refusing(self) -> bool:
        """Whether nobody is to listen now."""
        return any(fault.kind == "refuse" for fault in self._faults)

    def _pass(self) -> None:
        self.boundary += 1
        if self.boundary == self._kill_at:
            self._kill_at = 0
            self._kill()

    def _changed(self) -> None:
        """Called after each change of the plan."""


def _interrupt() -> None:
    raise Interrupted


class FaultProxy(FaultPlan):
    """An HTTP proxy on loopback in front of `target` (`http://host:port`, a path is kept).

    Transparent where no fault is planned. `refuse` lasts until its fault is dropped, whatever its
    `count`: a listening socket cannot turn away single callers.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        parts = urlsplit(target)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{target} is not an http:// address")
        self._target = (parts.hostname, parts.port or 80)
        self._path = parts.path.rstrip("/")
        self._clients: set[socket.socket] = set()
        self._closed = threading.Event()
        self._released = threading.Event()
        self._listener = self._bind(0)
        self.port = int(self._listener.getsockname()[1])
        self._listen()

    @property
    def url(self) -> str:
        """What to enter in a connection instead of the target."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and break all connections."""
        self._closed.set()
        self._released.set()
        self._hang_up()

    def _bind(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return listener

    def _listen(self) -> None:
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _hang_up(self) -> None:
        _shut(self._listener)
        with self._lock:
            clients = tuple(self._clients)
        for client in clients:
            _shut(client)

    def _changed(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            released, self._released = self._released, threading.Event()
            released.set()
            listening = bool(self._listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
            if self.refusing() == listening:
                if listening:
                    # Bound and not listening: callers are refused and nobody else gets the port.
                    self._hang_up()
                    self._listener = self._bind(self.port)
                else:
                    self._listen()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client.makefile("rb") as stream:
                while not self._closed.is_set() and self._exchange(client, stream):
                    pass
        except (OSError, http.client.HTTPException, Interrupted):
            pass  # Either side went away, or the scenario was killed here: hang up.
        finally:
            with self._lock:
                self._clients.discard(client)
            _shut(client)

    def _exchange(self, client: socket.socket, stream: BinaryIO) -> bool:
        """One request and its answer; False where the connection ends."""
        asked = _read_request(stream)
        if asked is None:
            return False
        method, path, headers, body = asked
        fault = self.begin(method, path, body)
        kind = fault.kind if fault else None
        if fault is not None and kind in ("status", "html", "not_json"):
            self.end()
            client.sendall(_made_up(fault))
            return True
        if kind in ("lose", "refuse"):
            return False
        released = self._released
        head, content, keep = self._forward(method, path, headers, body)
        self.end()
        if fault is not None and kind == "slow":
            released.wait(fault.seconds)
            return False
        if kind == "drop_reply":
            return False
        if kind == "cut":
            client.sendall(head + content[: len(content) // 2])
            return False
        client.sendall(head + content)
        return keep

    def _forward(
        self, method: str, path: str, headers: http.client.HTTPMessage, body: bytes
    ) -> tuple[bytes, bytes, bool]:
        upstream = http.client.HTTPConnection(*self._target, timeout=120)
        try:
            upstream.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    upstream.putheader(name, value)
            upstream.putheader("Connection", "close")
            if body or method in ("POST", "PUT", "PATCH"):
                upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body or None)
            reply = upstream.getresponse()
            content = reply.read()
            kept = [
                (name, value)
                for name, value in reply.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "content-length")
            ]
        finally:
            upstream.close()
        return (
            _head(reply.status, reply.reason, kept, len(content)),
            b"" if method == "HEAD" else content,
            headers.get("Connection", "").lower() != "close",
        )


def _read_request(
    stream: BinaryIO,
) -> tuple[str, str, http.client.HTTPMessage, bytes] | None:
    line = stream.readline(65537)
    words = line.decode("latin-1").split()
    if len(words) != 3:
        return None
    headers = http.client.parse_headers(stream)
    size = int(headers.get("Content-Length") or 0)
    body = stream.read(size) if size else b""
    return words[0], words[1], headers, body


def _made_up(fault: Fault) -> bytes:
    if fault.kind == "html":
        return _head(200, "OK", [("Content-Type", "text/html; charset=utf-8")], len(PAGE)) + PAGE
    if fault.kind == "not_json":
        body = b'{"result": nonsense'
        return _head(200, "OK", [("Content-Type", "application/json")], len(body)) + body
    body = b"trouble on demand"
    reason = http.client.responses.get(fault.code, "Trouble")
    headers = [("Content-Type", "text/plain"), *fault.headers.items()]
    return _head(fault.code, reason, headers, len(body)) + body


def _head(status: int, reason: str, headers: Sequence[tuple[str, str]], size: int) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {size}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


class FaultyConnector:
    """Any connector, with the faults of a plan at its methods and a boundary around each write.

    A fault has the consequence that it would have over HTTP. A write in a batch is a call of its
    own here, so a scenario can be killed between two of them. What the connector answers beside
    records is a call like any other.
    """

    def __init__(self, inner: Connector, plan: FaultPlan | None = None) -> None:
        self.inner = inner
        self.plan = plan or FaultPlan()

    def check(self) -> Health:
        return self._read("check", "", self.inner.check)

    def capabilities(self, resource: str) -> Capabilities:
        return self.inner.capabilities(resource)

    def describe(self) -> Sequence[Resource]:
        return self._read("describe", "", self.inner.describe)

    def now(self, resource: str) -> Cursor:
        return self._read("now", resource, lambda: self.inner.now(resource))

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        return self._read("changes", resource, lambda: self.inner.changes(resource, since, limit))

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        return self._read("ids", resource, lambda: self.inner.ids(resource, page))

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        return self._read("fetch", resource, lambda: self.inner.fetch(resource, ids))

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        return self._read("find", resource, lambda: self.inner.find(resource, match, limit))

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for write in batch:
            try:
                outcomes.append(self._write(write))
            except (TryLater, NeedsUser, Defect) as error:
                if not outcomes:
                    raise
                # What came before has happened, so the caller must hear of it.
                rest = len(batch) - len(outcomes)
                return outcomes + [Unknown(message=f"not tried: {error}")] * rest
        return outcomes

    def recover(self, write: Write) -> Outcome | None:
        return self._read("recover", write.resource, lambda: self.inner.recover(write))

    def close(self) -> None:
        self.inner.close()

    def __getattr__(self, name: str) -> Any:
        if name not in ASKED:
            raise AttributeError(name)
        ask = getattr(self.inner, name)
        return lambda *given, **named: self._read(name, "", lambda: ask(*given, **named))

    def _read(self, method: str, resource: str, call: Callable[[], T]) -> T:
        fault = self.plan.begin(method, f"{method} {resource}".strip())
        if fault is not None:
            self.plan.end()
            _raise_before(fault)
            raise TryLater(f"the answer to {method} was lost ({fault.kind})")
        result = call()
        self.plan.end()
        return result

    def _write(self, write: Write) -> Outcome:
        fault = self.plan.begin("write", f"write {write.resource}")
        if fault is not None:
            _raise_before(fault)
            if fault.kind in ("lose", "status"):
                self.plan.end()
                return Unknown(message=f"the answer was lost ({fault.kind})")
        outcome = self.inner.write([write])[0]
        self.plan.end()
        if fault is not None:
            return Unknown(message=f"the answer was lost ({fault.kind})")
        return outcome


def _raise_before(fault: Fault) -> None:
    """Raise for the faults at which nothing was done, and everybody knows it."""
    if fault.kind == "refuse":
        raise TryLater("the system cannot be reached")
    if fault.kind == "not_json":
        raise Defect("the system answered with something that is not JSON")
    if fault.kind == "html":
        raise NeedsUser("the system answered with a web page", remedy="Check the address")
    if fault.kind == "status" and fault.code in (401, 403):
        raise NeedsUser("the system does not accept our log-in", remedy="Log in again")
    if fault.kind == "status" and fault.code in (429, 503):
        after = fault.headers.get("Retry-After")
        raise TryLater("the system asks for patience", after=float(after) if after else None)
