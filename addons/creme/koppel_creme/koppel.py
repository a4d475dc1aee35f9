"""Calls from Creme to Koppel, signed, with a short time-out, and never an exception.

The signature is `sha256=` and the hexadecimal HMAC-SHA256, under the shared secret, of the time
stamp (whole seconds since 1970), a point, the method, a blank, the path as sent (without a query),
a line feed, and the body: it fits one address only. Koppel refuses old and repeated ones.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import conf

TIMEOUT = 2.0
_LARGEST = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What Koppel said. `reached`: it is not away; `body`: None where it said no JSON."""

    reached: bool
    status: int = 0
    body: Any = None


def sign(secret: bytes, timestamp: str, method: str, path: str, body: bytes) -> str:
    """The value of the header `Koppel-Signature`; `path` as sent, without a query."""
    message = f"{timestamp}.{method} {path}\n".encode() + body
    return "sha256=" + hmac.new(secret, message, hashlib.sha256).hexdigest()


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_direct = urllib.request.build_opener(_StayHere, urllib.request.ProxyHandler({}))
_proxied = urllib.request.build_opener(_StayHere)


def call(method: str, path: str, payload: Any = None, timeout: float = TIMEOUT) -> Answer:
    """One call to Koppel; the path begins with a slash, the time-out is in seconds."""
    body = b"" if payload is None else json.dumps(payload, ensure_ascii=False).encode()
    timestamp = str(int(time.time()))
    address = conf.koppel_url() + path
    request = urllib.request.Request(
        address,
        data=body if method != "GET" else None,
        method=method,
        headers={
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Koppel-Timestamp": timestamp,
            "Koppel-Signature": sign(
                conf.secret(), timestamp, method, urlsplit(address).path, body
            ),
        },
    )
    loopback = urlsplit(conf.koppel_url()).hostname in ("127.0.0.1", "localhost", "::1")
    try:
        with (_direct if loopback else _proxied).open(request, timeout=timeout) as response:
            return Answer(True, response.status, _parsed(response.read(_LARGEST)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(True, error.code, _parsed(error.read(_LARGEST)))
    except (OSError, ValueError):
        return Answer(False)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
