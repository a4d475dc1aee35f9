"""Desk: a small system with a REST interface, for the connector that the how-to writes.

It serves a memory system over HTTP the way many products do: one address per record, versions in
`ETag` and `If-Match`, an `Idempotency-Key` for creations, 404, 412 and 422 for its refusals.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from koppel.connectors.base import FieldInfo, Resource
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import MemorySystem, Refusal

TOKEN = "desk-token-for-tests"
CUSTOMERS = Resource(
    name="customer",
    label="Customer",
    fields=(
        FieldInfo(name="name", type="text", required=True, max_length=80),
        FieldInfo(name="phone", type="text", max_length=30),
        FieldInfo(name="city", type="text", max_length=40),
    ),
)
STATUS = {"missing": 404, "stale": 412, "invalid": 422, "duplicate": 422}
Answer = tuple[int, Any]


class Desk:
    """A running Desk; a context manager."""

    def __init__(self) -> None:
        self.system = MemorySystem("Desk", [CUSTOMERS])
        self._reader = MemoryConnector(self.system)
        self._lock = threading.Lock()
        desk = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                status, told = desk.answer(self.command, self.path, dict(self.headers), body)
                content = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing to the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, headers: dict[str, str], body: Any) -> Answer:
        """Status and JSON for one request."""
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "log in first"}
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.strip("/").split("/")
        with self._lock:
            try:
                return self._route(method, path, query, headers, body)
            except Refusal as refusal:
                told = {"message": refusal.message, "fields": refusal.fields}
                return STATUS.get(refusal.reason, 409), told

    def _route(
        self,
        method: str,
        path: list[str],
        query: dict[str, str],
        headers: dict[str, str],
        body: Any,
    ) -> Answer:
        match method, path:
            case "GET", ["about"]:
                return 200, {"name": "Desk", "version": "1.0"}
            case "GET", ["schema"]:
                return 200, [
                    {"name": info.name, "required": info.required, "max_length": info.max_length}
                    for info in CUSTOMERS.fields
                ]
            case "GET", ["feed", *cursor]:
                since = cursor[0] if cursor else None
                page = self._reader.changes("customer", since, int(query["limit"]))
                items = [{"id": one.id, "gone": one.gone} for one in page.changes]
                return 200, {"items": items, "cursor": page.cursor, "more": page.more}
            case "GET", ["latest"]:
                return 200, {"cursor": self._reader.now("customer")}
            case "GET", ["customers"]:
                found = self._reader.find("customer", query, limit=1000)
                return 200, [self._told(record.id) for record in found]
            case "GET", ["created", key]:
                id = self.system.table("customer").keys.get(key)
                return (200, self._told(id)) if id else (404, {"message": "no such key"})
            case "POST", ["customers"]:
                key = headers["Idempotency-Key"]
                id = self.system.table("customer").keys.get(key)
                row = self.system.create("customer", body, "desk", key) if id is None else None
                return 201, self._told(id or (row.id if row else ""))
            case _, ["customers", id]:
                return self._record(method, id, headers.get("If-Match"), body)
        return 404, {"message": "no such address"}

    def _record(self, method: str, id: str, expected: str | None, body: Any) -> Answer:
        row = self.system.row("customer", id)
        if expected not in (None, row.version):
            raise Refusal("stale", "it was changed meanwhile")
        if method == "PATCH":
            self.system.update("customer", id, body, "desk")
        elif method == "DELETE":
            self.system.delete("customer", id, "desk")
            return 200, None
        return 200, self._told(id)

    def _told(self, id: str) -> dict[str, Any]:
        row = self.system.row("customer", id)
        return {"id": id, "version": row.version, **row.fields}
