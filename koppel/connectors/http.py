"""JSON over HTTP for connectors: every kind of trouble becomes one of a few clear consequences.

What `HttpSession.request` promises:

* Nothing was sent (refused, unknown host, no answer to the connection attempt): tried again a few
  times, then `TryLater`.
* A read (`effect=False`) whose answer is lost, cut, late or a 5xx: tried again, then `TryLater`.
* A write (`effect=True`) that was sent and whose answer is lost, cut, late or a 5xx: `ReplyLost`,
  at once and without a second try. The connector turns it into an `Unknown` outcome.
* 401 and 403: `Unauthorized` (a `NeedsUser`). 429, and 503 with a `Retry-After`: `TryLater` with
  the seconds asked for. A redirect or a web page instead of JSON: `NeedsUser` with the address.
  JSON that cannot be read: `Defect`.
* Any other status (404, 400, 409 ...) is the caller's to read, and so is each in `expected`.

No message, `repr` or log line holds a header, a query string, a password or a token.
"""

from __future__ import annotations

import email.utils
import logging
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import stamina

from koppel import typed
from koppel.connectors.hosts import HostCheck
from koppel.errors import Defect, KoppelError, NeedsUser, TryLater

MEGABYTE = 1024 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PATIENCE_ASKED = (408, 425, 429)

logger = logging.getLogger(__name__)
# Below this level these two log whole addresses and headers, tokens among them.
for _chatty in ("httpx", "httpcore"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)
# It warns of each repeat in words for programmers; ours are logged here.
logging.getLogger("stamina").setLevel(logging.ERROR)


class ReplyLost(Exception):
    """A write went out and its answer never arrived whole: it may or may not have happened.

    For connectors only: they answer with an `Unknown` outcome, and `recover` finds out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthorized(NeedsUser):
    """The system refused our log-in (401) or lacks a right for us (403); nothing was done."""

    def __init__(self, message: str, *, status: int, place: str = "", remedy: str = "") -> None:
        super().__init__(message, place=place, remedy=remedy)
        self.status = status


class _Again(Exception):
    """Safe to try again; `final` is what to raise when the tries are used up."""

    def __init__(self, final: KoppelError) -> None:
        super().__init__(final.message)
        self.final = final


@dataclass(frozen=True)
class Patience:
    """How often and how long to try again what is safe to repeat. All times in seconds."""

    attempts: int = 3
    first_wait: float = 0.2
    longest_wait: float = 3.0
    jitter: float = 0.5
    total: float = 45.0


@dataclass(frozen=True)
class Timeouts:
    """Seconds for the connection to stand, and for each wait on an answer."""

    connect: float = 5.0
    read: float = 60.0
    total: float = 300.0
    """Until an answer is there whole: one that drips in byte by byte ends here."""


@dataclass(frozen=True, repr=False)
class Reply:
    """An answer that arrived whole. `body` is the parsed JSON, None where it was not JSON."""

    status: int
    body: Any
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, bytes={len(self.content)})"


class HttpSession:
    """One keep-alive connection to one address.

    `name` is what errors call the connection; `secrets` are texts that must never appear in one.
    `parse` and `dump` read and write JSON for systems with value types of their own. `now` tells
    the seconds since 1970 and is used only to read a `Retry-After` date.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
        timeouts: Timeouts | None = None,
        patience: Patience | None = None,
        max_bytes: int = 64 * MEGABYTE,
        ca_file: str | None = None,
        login_remedy: str = "",
        parse: Callable[[bytes], Any] = typed.from_json,
        dump: Callable[[Any], bytes] = msgspec.json.encode,
        now: Callable[[], float] = time.time,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = _checked_address(url, name)
        self.name = name
        self.patience = patience or Patience()
        self.timeouts = timeouts or Timeouts()
        self.calls = 0
        self._secrets = {secret for secret in secrets if secret}
        self._max_bytes = max_bytes
        self._login_remedy = login_remedy or (
            "Enter a valid user with its password, or a new token, in this connection's settings"
        )
        self._parse = parse
        self._dump = dump
        self._now = now
        self._host = HostCheck(httpx.URL(self.address).host, name)
        self._client = httpx.Client(
            base_url=self.address,
            headers={"Accept": "application/json", **(headers or {})},
            timeout=httpx.Timeout(self.timeouts.read, connect=self.timeouts.connect),
            follow_redirects=False,
            verify=_tls(self.address, ca_file, self.name),
            trust_env=httpx.URL(self.address).host not in _LOOPBACK,
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"HttpSession({self.address})"

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
        """Close the connection; may be called twice."""
        self._client.close()

    def set_header(self, name: str, value: str, *, secret: bool = True) -> None:
        """Send this header with every later call; a secret one is kept out of all messages."""
        self._client.headers[name] = value
        if secret:
            self.keep_secret(value)

    def drop_header(self, name: str) -> None:
        """Stop sending a header."""
        self._client.headers.pop(name, None)

    def keep_secret(self, text: str) -> None:
        """Never show this text in a message."""
        if text:
            self._secrets.add(text)

    def redact(self, text: str) -> str:
        """The text with every known secret blotted out; for words that the system itself chose."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def get(self, path: str = "", **options: Any) -> Reply:
        """A read by GET; see `request`."""
        return self.request("GET", path, effect=False, **options)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        effect: bool,
        payload: Any = msgspec.UNSET,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (),
        timeout: float | None = None,
    ) -> Reply:
        """One call. `path` is relative to the address, `timeout` in seconds.

        `effect` says whether the call changes something and so must not be repeated blindly.
        `payload` is sent as JSON. A status in `expected` is returned, not raised.
        """
        content = None if payload is msgspec.UNSET else self._dump(payload)
        sent_headers = dict(headers or {})
        if content is not None:
            sent_headers.setdefault("Content-Type", "application/json")
        request = self._client.build_request(
            method,
            path,
            content=content,
            params=params,
            headers=sent_headers,
            timeout=httpx.USE_CLIENT_DEFAULT
            if timeout is None
            else httpx.Timeout(timeout, connect=min(timeout, self.timeouts.connect)),
        )
        try:
            for attempt in self._attempts():
                with attempt:
                    return self._try(attempt.num, request, effect, expected)
        except _Again as again:
            raise again.final from None
        raise Defect("no attempt was made", place=self.name)

    def _attempts(self) -> Iterator[stamina.Attempt]:
        patience = self.patience
        return iter(
            stamina.retry_context(
                on=_Again,
                attempts=patience.attempts,
                timeout=patience.total,
                wait_initial=patience.first_wait,
                wait_max=patience.longest_wait,
                wait_jitter=patience.jitter,
            )
        )

    def _try(
        self, number: int, request: httpx.Request, effect: bool, expected: Collection[int]
    ) -> Reply:
        try:
            return self._once(request, effect, expected)
        except _Again as again:
            logger.info("%s (attempt %d)", again, number)
            raise

    def _once(self, request: httpx.Request, effect: bool, expected: Collection[int]) -> Reply:
        self._host.check()
        self.calls += 1
        try:
            response = self._client.send(request, stream=True)
            try:
                content = self._read(response, effect)
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._unreachable(error) from None
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise Defect(
                f"{self.address} was called wrongly: {self.redact(str(error))}", place=self.name
            ) from None
        except httpx.ProxyError:
            raise _Again(
                TryLater(f"the proxy on the way to {self.address} refused", place=self.name)
            ) from None
        except httpx.TimeoutException:
            raise self._lost(effect, "did not answer in time") from None
        except (httpx.TransportError, httpx.DecodingError):
            raise self._lost(effect, "broke off its answer") from None
        return self._classify(response, content, effect, expected)

    def _read(self, response: httpx.Response, effect: bool) -> bytes:
        parts: list[bytes] = []
        size = 0
        until = time.monotonic() + self.timeouts.total
        for part in response.iter_bytes():
            size += len(part)
            if time.monotonic() > until:
                raise self._lost(effect, "did not come to the end of its answer")
            if size > self._max_bytes:
                sentence = f"answered with more than {self._max_bytes // MEGABYTE} MB"
                if effect:
                    raise ReplyLost(f"{self.address} {sentence}")
                raise Defect(f"{self.address} {sentence}", place=self.name)
            parts.append(part)
        return b"".join(parts)

    def _classify(
        self, response: httpx.Response, content: bytes, effect: bool, expected: Collection[int]
    ) -> Reply:
        status = response.status_code
        if status not in expected:
            self._raise_for_status(response, content, effect)
        return Reply(
            status=status,
            body=self._body(response, content, effect, expected),
            content=content,
            headers=response.headers,
        )

    def _raise_for_status(self, response: httpx.Response, content: bytes, effect: bool) -> None:
        status = response.status_code
        if status in (401, 403, 407):
            raise self._unauthorized(status)
        if status in _PATIENCE_ASKED or (status == 503 and "retry-after" in response.headers):
            raise TryLater(
                f"{self.address} asks for patience (HTTP {status})",
                after=self._retry_after(response),
                place=self.name,
            )
        if status >= 500:
            raise self._lost(effect, f"answered with an error of its own (HTTP {status})")
        if 300 <= status < 400:
            target = _shown(response.headers.get("location", ""), self.address)
            raise NeedsUser(
                f"{self.address} sends us on to {target} instead of answering",
                place=self.name,
                remedy="Enter the address that the system itself uses",
            )
        if status < 300 and _is_page(response, content):
            raise NeedsUser(
                f"{self.address} answered with a web page instead of JSON",
                place=self.name,
                remedy="Check the address",
            )

    def _body(
        self, response: httpx.Response, content: bytes, effect: bool, expected: Collection[int]
    ) -> Any:
        if not content.strip():
            return None
        try:
            return self._parse(content)
        except (ValueError, msgspec.MsgspecError):
            status = response.status_code
        except RecursionError:
            raise Defect(
                f"{self.address} answered with JSON that is nested beyond all bounds",
                place=self.name,
            ) from None
        if status >= 500 and status not in expected:
            raise self._lost(effect, f"answered with an error of its own (HTTP {status})")
        if status >= 400:
            return None
        if "content-length" not in response.headers and not _is_chunked(response):
            # The end of such an answer is the end of the connection: a cut cannot be told apart.
            raise self._lost(effect, "broke off its answer")
        raise Defect(
            f"{self.address} answered with something that is not JSON (HTTP {status})",
            place=self.name,
            remedy="Check the address and the version of the system",
        )

    def _lost(self, effect: bool, sentence: str) -> Exception:
        message = f"{self.address} {sentence}"
        if effect:
            return ReplyLost(message)
        return _Again(TryLater(message, place=self.name))

    def _unreachable(self, error: httpx.TransportError) -> Exception:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or str(cause.args[-1])
            return NeedsUser(
                f"the secure connection to {self.address} failed: {reason}",
                place=self.name,
                remedy="Check the address, or give the certificate of your own authority",
            )
        return _Again(
            TryLater(
                f"{self.address} cannot be reached",
                place=self.name,
                remedy="Check that the system runs and that the address is right",
            )
        )

    def _unauthorized(self, status: int) -> Unauthorized:
        if status == 403:
            return Unauthorized(
                f"{self.address} denies us this call (HTTP 403)",
                status=status,
                place=self.name,
                remedy="Give the connection's user the right, or use another user",
            )
        what = "the proxy on the way to " if status == 407 else ""
        return Unauthorized(
            f"{what}{self.address} does not accept our log-in (HTTP {status})",
            status=status,
            place=self.name,
            remedy=self._login_remedy,
        )

    def _retry_after(self, response: httpx.Response) -> float | None:
        """Seconds to wait, from either form of the header (RFC 9110, 10.2.3)."""
        text = response.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - self._now())
        except (ValueError, TypeError):
            return None


def _checked_address(url: str, name: str) -> str:
    """The address without a trailing slash; `NeedsUser` where it cannot be one."""
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, TypeError):
        raise _bad_address("is not an address", name) from None
    if parsed.userinfo:
        raise _bad_address("holds a user or password", name)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise _bad_address("does not begin with http:// or https:// and a host", name)
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/")


def _bad_address(what: str, name: str) -> NeedsUser:
    return NeedsUser(
        f"the address of the system {what}",
        place=name,
        remedy="Write it like https://crm.example.com, and log-in details in their own settings",
    )


def _tls(address: str, ca_file: str | None, name: str) -> ssl.SSLContext | bool:
    if address.startswith("http://"):
        # Knows no authority, so it would refuse all; loading the real ones takes its time.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise NeedsUser(
            f"the certificate file {ca_file} cannot be read",
            place=name,
            remedy="Give a readable file in PEM form",
        ) from None


def _shown(location: str, address: str) -> str:
    """Where a redirect leads, without its query."""
    try:
        target = httpx.URL(address).join(location).copy_with(query=None, fragment=None)
        return str(target.copy_with(userinfo=b""))
    except httpx.InvalidURL:
        return "another address"


def _is_page(response: httpx.Response, content: bytes) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return "html" in kind or content[:256].lstrip()[:1] == b"<"


def _is_chunked(response: httpx.Response) -> bool:
    return "chunked" in response.headers.get("transfer-encoding", "").lower()
