"""Stands where Koppel would, for tests of what Creme tells Koppel."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Heard:
    """One call that came in."""

    method: str
    path: str
    body: bytes
    timestamp: str
    signature: str

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.body)) if self.body else {}

    def signed_with(self, secret: bytes) -> bool:
        """Does the signature fit this time stamp, method, path and body?"""
        text = f"{self.timestamp}.{self.method} {self.path}\n".encode() + self.body
        wanted = "sha256=" + hmac.new(secret, text, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, self.signature)


@dataclass
class Listener:
    """Stands where Koppel would: keeps what it hears, answers what it is told to."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    status: int = 200
    answer: dict[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    server: ThreadingHTTPServer | None = None

    def open(self) -> None:
        listener = self

        class Ear(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = self.headers
                listener.heard.append(
                    Heard(
                        self.command,
                        self.path,
                        body,
                        headers.get("Koppel-Timestamp", ""),
                        headers.get("Koppel-Signature", ""),
                    )
                )
                time.sleep(listener.delay)
                content = json.dumps(listener.answer).encode()
                self.send_response(listener.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Ear)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def hints(self) -> list[tuple[str, str]]:
        return [
            (one.told["resource"], one.told["id"])
            for one in list(self.heard)
            if one.path == "/hints/creme"
        ]

    def wait_for(self, resource: str, id: str, seconds: float = 15.0) -> bool:
        """Has the hint come? Creme pauses for 5 seconds after a hint that reached nobody."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (resource, id) in self.hints():
                return True
            time.sleep(0.05)
        return False
