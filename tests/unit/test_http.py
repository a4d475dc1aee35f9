"""Each kind of trouble over HTTP has its one consequence, and no message holds a secret."""

from __future__ import annotations

import email.utils
import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from koppel.connectors.http import (
    HttpSession,
    Patience,
    Reply,
    ReplyLost,
    Timeouts,
    Unauthorized,
)
from koppel.errors import Defect, KoppelError, NeedsUser, TryLater
from koppel.testing.chaos import FaultProxy, Kind

SECRET = "s3cr3t-token"
LOOPBACK = IPv4Address("127.0.0.1")
QUICK = Patience(attempts=3, first_wait=0.001, longest_wait=0.002, jitter=0.0)


class Answers:
    """A transport that plays answers in turn, the last one for ever, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A response can be read once only.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def session(answers: Answers, **options: Any) -> HttpSession:
    return HttpSession(
        "http://crm.example:8000/base/",
        name="creme",
        headers={"Authorization": f"Bearer {SECRET}"},
        secrets=[SECRET],
        patience=QUICK,
        transport=httpx.MockTransport(answers),
        **options,
    )


def call(answers: Answers, *, effect: bool, **options: Any) -> Reply:
    with session(answers) as open_session:
        return open_session.request("POST", "/things", effect=effect, payload={}, **options)


def page(status: int = 200) -> httpx.Response:
    return httpx.Response(status, html="<html><body>Log in</body></html>")


def test_a_json_answer_is_parsed() -> None:
    answers = Answers(httpx.Response(200, json={"a": [1, "ü"]}))
    reply = call(answers, effect=True, params={"q": "x"})
    assert (reply.status, reply.body) == (200, {"a": [1, "ü"]})
    request = answers.requests[0]
    assert str(request.url) == "http://crm.example:8000/base/things?q=x"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {SECRET}"


def test_an_empty_answer_has_no_body() -> None:
    assert call(Answers(httpx.Response(204)), effect=True).body is None


def test_own_types_of_json_go_out_and_come_in() -> None:
    answers = Answers(httpx.Response(200, content=b'{"n": "1.50"}'))
    with session(answers, parse=lambda raw: ["parsed", raw], dump=lambda value: b"[7]") as open_:
        assert open_.request("POST", effect=True, payload=7).body == ["parsed", b'{"n": "1.50"}']
    assert answers.requests[0].content == b"[7]"


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x")])
@pytest.mark.parametrize("effect", [False, True])
def test_what_was_never_sent_is_tried_again_and_then_for_later(
    error: Exception, effect: bool
) -> None:
    answers = Answers(error)
    with pytest.raises(TryLater, match="cannot be reached"):
        call(answers, effect=effect)
    assert len(answers.requests) == 3


@pytest.mark.parametrize("effect", [False, True])
def test_a_system_that_comes_back_in_time_is_no_trouble(effect: bool) -> None:
    answers = Answers(httpx.ConnectError("x"), httpx.Response(200, json=1))
    assert call(answers, effect=effect).body == 1


LOST = [
    httpx.ReadTimeout("x"),
    httpx.WriteTimeout("x"),
    httpx.ReadError("x"),
    httpx.RemoteProtocolError("x"),
    httpx.Response(500, json={}),
    httpx.Response(502),
    page(504),
]


@pytest.mark.parametrize("trouble", LOST, ids=repr)
def test_a_read_without_an_answer_is_tried_again_and_then_for_later(
    trouble: httpx.Response | Exception,
) -> None:
    answers = Answers(trouble)
    with pytest.raises(TryLater):
        call(answers, effect=False)
    assert len(answers.requests) == 3


@pytest.mark.parametrize("trouble", LOST, ids=repr)
def test_a_write_without_an_answer_is_never_repeated(trouble: httpx.Response | Exception) -> None:
    answers = Answers(trouble)
    with pytest.raises(ReplyLost):
        call(answers, effect=True)
    assert len(answers.requests) == 1


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_refused_log_in_needs_the_user(status: int, effect: bool) -> None:
    answers = Answers(httpx.Response(status))
    with pytest.raises(Unauthorized) as caught:
        call(answers, effect=effect)
    assert caught.value.status == status
    assert caught.value.remedy
    assert len(answers.requests) == 1


def test_the_connector_says_how_to_log_in_again() -> None:
    with (
        session(Answers(httpx.Response(401)), login_remedy="Ask Clara") as open_session,
        pytest.raises(Unauthorized, match="Ask Clara"),
    ):
        open_session.get()


NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        (email.utils.formatdate(NOW + 30, usegmt=True), 30.0),
        (email.utils.formatdate(NOW - 30, usegmt=True), 0.0),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_wish_for_patience_is_passed_on(status: int, header: str, after: float | None) -> None:
    answers = Answers(httpx.Response(status, headers={"Retry-After": header}))
    with (
        session(answers, now=lambda: NOW) as open_session,
        pytest.raises(TryLater) as caught,
    ):
        open_session.request("POST", effect=True)
    assert caught.value.after == after
    assert len(answers.requests) == 1


def test_too_many_calls_without_a_time_are_for_later_too() -> None:
    with pytest.raises(TryLater) as caught:
        call(Answers(httpx.Response(429)), effect=True)
    assert caught.value.after is None


@pytest.mark.parametrize("effect", [False, True])
def test_a_web_page_needs_the_user_to_check_the_address(effect: bool) -> None:
    with pytest.raises(NeedsUser, match="web page instead of JSON") as caught:
        call(Answers(page()), effect=effect)
    assert "http://crm.example:8000/base" in str(caught.value)


def test_a_redirect_is_not_followed_but_named() -> None:
    target = f"https://user:pw@other.example/login?token={SECRET}"
    answers = Answers(httpx.Response(302, headers={"Location": target}))
    with pytest.raises(NeedsUser, match=r"https://other\.example/login") as caught:
        call(answers, effect=False)
    assert SECRET not in str(caught.value)
    assert "pw" not in str(caught.value)
    assert len(answers.requests) == 1


def test_broken_json_is_a_defect() -> None:
    answers = Answers(httpx.Response(200, content=b'{"a": ', headers={"content-length": "6"}))
    with pytest.raises(Defect, match="not JSON"):
        call(answers, effect=False)


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_other_refusals_are_the_callers_to_read(status: int) -> None:
    reply = call(Answers(httpx.Response(status, json={"why": "no"})), effect=True)
    assert (reply.status, reply.body) == (status, {"why": "no"})
    assert call(Answers(page(status)), effect=True).body is None


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_an_expected_status_is_the_callers_to_read(status: int) -> None:
    answers = Answers(httpx.Response(status, json={"why": "no"}))
    assert call(answers, effect=True, expected=[status]).body == {"why": "no"}


def test_an_answer_beyond_all_bounds_is_not_read_to_its_end() -> None:
    answers = Answers(httpx.Response(200, content=b"x" * 5000))
    with session(answers, max_bytes=1000) as open_session:
        with pytest.raises(Defect, match="more than"):
            open_session.get()
        with pytest.raises(ReplyLost, match="more than"):
            open_session.request("POST", effect=True)


@pytest.mark.parametrize(
    "address", ["crm.example.com", "ftp://crm", "http://", "", "http://koppel:pw@crm.example"]
)
def test_an_address_that_is_none_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(NeedsUser) as caught:
        HttpSession(address)
    assert "pw" not in str(caught.value)


def test_a_certificate_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NeedsUser, match=r"authority\.pem"):
        HttpSession("https://crm.example", ca_file=str(tmp_path / "authority.pem"))


def test_nothing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    troubles: list[httpx.Response | Exception] = [
        *LOST,
        httpx.ConnectError(f"no route for {SECRET}"),
        httpx.LocalProtocolError(f"bad header {SECRET}"),
        httpx.Response(401, text=f"bad token {SECRET}"),
        httpx.Response(429, text=SECRET),
        page(),
    ]
    shown = [repr(session(Answers(page())))]
    for trouble in troubles:
        with pytest.raises((KoppelError, ReplyLost)) as caught:
            call(Answers(trouble), effect=True, params={"token": SECRET})
        shown += [str(caught.value), repr(caught.value)]
    shown.append(repr(call(Answers(httpx.Response(200, json=SECRET)), effect=False)))
    assert SECRET not in "".join(shown)
    assert SECRET not in caplog.text


def test_words_of_the_system_can_be_cleared_of_secrets() -> None:
    with session(Answers(page())) as open_session:
        open_session.set_header("X-Session", "abc123")
        assert open_session.redact(f"{SECRET} and abc123 are wrong") == "*** and *** are wrong"
        open_session.drop_header("X-Session")
        open_session.drop_header("X-Session")


def test_a_repeat_is_logged_in_words_for_people(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call(Answers(httpx.ReadError("x"), httpx.Response(200, json=1)), effect=False)
    assert caplog.messages == ["http://crm.example:8000/base broke off its answer (attempt 1)"]


def test_calls_are_counted_with_their_repeats() -> None:
    with session(Answers(httpx.ConnectError("x"))) as open_session:
        with pytest.raises(TryLater):
            open_session.get()
        assert open_session.calls == 3
        open_session.close()


class Echo(BaseHTTPRequestHandler):
    """Answers each request with what it was, and counts them on the server."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cast(EchoServer, self.server).seen.append(self.path)
        content = json.dumps({"path": self.path, "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.path == "/endless"

    do_GET = do_POST = answer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to the terminal."""


class EchoServer(ThreadingHTTPServer):
    """Keeps the paths that it was asked for."""

    daemon_threads = True

    def __init__(self, seen: list[str]) -> None:
        super().__init__((str(LOOPBACK), 0), Echo)
        self.seen = seen


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def echo(seen: list[str]) -> Iterator[FaultProxy]:
    server = EchoServer(seen)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with FaultProxy(f"http://127.0.0.1:{server.server_port}") as proxy:
        yield proxy
    server.shutdown()
    server.server_close()


@pytest.fixture
def through(echo: FaultProxy) -> Iterator[HttpSession]:
    with HttpSession(echo.url, patience=QUICK, timeouts=Timeouts(read=0.3)) as open_session:
        yield open_session


def test_the_proxy_without_faults_changes_nothing(
    echo: FaultProxy, through: HttpSession, seen: list[str]
) -> None:
    for number in range(3):
        reply = through.request("POST", f"/a/{number}?x=1", effect=True, payload={"ü": number})
        body = msgspec.json.encode({"ü": number}).decode()
        assert reply.body == {"path": f"/a/{number}?x=1", "body": body}
    assert through.get("/endless").body["path"] == "/endless"
    assert seen == [call.path for call in echo.calls]
    assert echo.counts["/a/0?x=1"] == 1
    assert echo.boundary == 8


@pytest.mark.parametrize("kind", ["slow", "cut", "drop_reply"])
def test_what_was_done_and_not_answered_is_lost(
    echo: FaultProxy, through: HttpSession, seen: list[str], kind: Kind
) -> None:
    with echo.fault(kind), pytest.raises(ReplyLost):
        through.request("POST", "/write", effect=True)
    assert seen == ["/write"]
    assert through.get("/again").status == 200


def test_what_never_arrived_is_lost_too_for_all_that_we_know(
    echo: FaultProxy, through: HttpSession, seen: list[str]
) -> None:
    with echo.fault("lose"), pytest.raises(ReplyLost):
        through.request("POST", "/write", effect=True)
    assert seen == []


def test_nobody_listens_and_then_somebody_does(
    echo: FaultProxy, through: HttpSession, seen: list[str]
) -> None:
    assert through.get("/before").status == 200
    with echo.fault("refuse"), pytest.raises(TryLater, match="cannot be reached"):
        through.request("POST", "/write", effect=True)
    assert through.get("/after").status == 200
    assert seen == ["/before", "/after"]


def test_a_fault_meets_the_call_that_was_meant(echo: FaultProxy, through: HttpSession) -> None:
    with echo.fault("status", after=1, match="/b", code=401) as fault:
        for path in ("/a", "/b", "/a"):
            assert through.get(path).status == 200
        with pytest.raises(Unauthorized):
            through.get("/b")
        assert through.get("/b").status == 200
        assert fault.hits == 1


def test_a_fault_can_look_into_the_call(echo: FaultProxy, through: HttpSession) -> None:
    with echo.fault("not_json", match=lambda call: b"write" in call.body):
        assert through.request("POST", "/rpc", effect=True, payload="read").status == 200
        with pytest.raises(Defect):
            through.request("POST", "/rpc", effect=True, payload="write")


def test_a_scenario_is_killed_at_the_boundary_that_was_meant(
    echo: FaultProxy, through: HttpSession, seen: list[str]
) -> None:
    killed: list[Callable[[], None] | list[str]] = []
    for boundary, done in ((1, 0), (2, 1), (3, 1), (4, 2)):
        seen.clear()
        killed.clear()
        echo.kill_at(boundary, lambda: killed.append(list(seen)))
        through.get("/one")
        through.get("/two")
        assert killed == [["/one", "/two"][:done]]


def test_a_proxy_with_a_fault_of_no_kind_is_a_mistake(echo: FaultProxy) -> None:
    with pytest.raises(ValueError, match="no fault"):
        echo.fault(cast(Kind, "gone"))
    with pytest.raises(ValueError, match="not an http"):
        FaultProxy("ftp://x")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk")])
    day = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "desk.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    return path


@pytest.fixture
def secure(certificate: Path, seen: list[str]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = EchoServer(seen)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_certificate_of_nobody_known_needs_the_user(secure: str, seen: list[str]) -> None:
    with (
        HttpSession(secure, patience=QUICK) as open_session,
        pytest.raises(NeedsUser, match=r"secure connection to https://127\.0\.0\.1:\d+ failed"),
    ):
        open_session.request("POST", "/write", effect=True)
    assert seen == []


def test_a_certificate_of_the_own_authority_is_accepted(secure: str, certificate: Path) -> None:
    with HttpSession(secure, patience=QUICK, ca_file=str(certificate)) as open_session:
        assert open_session.get("/read").status == 200


def test_tls_with_a_system_that_has_none_needs_the_user(echo: FaultProxy) -> None:
    with (
        HttpSession(echo.url.replace("http:", "https:"), patience=QUICK) as open_session,
        pytest.raises(NeedsUser, match="secure connection"),
    ):
        open_session.get()
