"""What several processes answer between them: what one hands on to the other arrives as it was."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, get_resolver

from koppel import config
from koppel.connectors import registry
from koppel.engine.lines import Lines
from koppel.errors import Defect
from koppel.store import open_store
from koppel.web import front, service, serving
from koppel.web.rights import right_of


def told(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    """Says what it was asked."""
    body = environ["wsgi.input"].read()
    said = {name: value for name, value in environ.items() if isinstance(value, str)}
    answer = json.dumps(said | {"body": body.decode("latin-1")}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start("201 Created", [*headers, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [answer]


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Callable[[serving.Application], str]]:
    """Serves an application as the process that does the work does."""
    servers: list[Any] = []

    def serve(application: serving.Application) -> str:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(str(tmp_path / "engine"))
        made.listen()
        servers.append(serving.server(application, made, proxy="localhost"))
        serving.run(servers[-1])
        return str(tmp_path / "engine")

    yield serve
    for server in servers:
        server.close()


def ask(application: serving.Application, method: str, path: str, **more: Any) -> tuple[Any, Any]:
    """Status and headers, and the parts of the answer."""
    body = more.pop("body", b"")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "koppel",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body) or ""),
        "REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "koppel.example", **more,
    }  # fmt: skip
    began: list[Any] = []
    parts = application(environ, lambda status, headers: began.extend((status, headers)))
    return began, parts


def refused(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    raise AssertionError("this was to be handed on")


def test_what_is_handed_on_arrives_as_it_was_asked(
    inner: Callable[[serving.Application], str],
) -> None:
    pages = front.Front(refused, inner(told))
    (status, headers), parts = ask(
        pages, "POST", "/hints/crm/M\u00fcller &+%".encode().decode("latin-1"),
        body=b"\0\xff{}", QUERY_STRING="a=1&b=%20", CONTENT_TYPE="application/json",
        HTTP_X_KOPPEL_SIGNATURE="sha256=0", HTTP_COOKIE="koppel_session=1",
        HTTP_X_FORWARDED_FOR="6.6.6.6", HTTP_CONNECTION="keep-alive, upgrade",
        **{"wsgi.url_scheme": "https"},
    )  # fmt: skip
    said = json.loads(b"".join(parts))
    parts.close()
    assert status == "201 Created"
    assert [pair for pair in headers if pair[0] == "Set-Cookie"] == [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ]
    assert not {name.lower() for name, _ in headers} & {"server", "date", "connection"}
    assert said["REQUEST_METHOD"] == "POST"
    assert said["PATH_INFO"].encode("latin-1").decode() == "/hints/crm/Müller &+%"
    assert said["QUERY_STRING"] == "a=1&b=%20"
    assert said["body"] == "\0\xff{}"
    assert said["CONTENT_TYPE"] == "application/json"
    assert said["HTTP_HOST"] == "koppel.example"
    assert said["HTTP_X_KOPPEL_SIGNATURE"] == "sha256=0"
    assert said["HTTP_COOKIE"] == "koppel_session=1"
    # Who asks is what the first process saw, not what the caller says of itself.
    assert said["REMOTE_ADDR"] == "192.0.2.7"
    assert said["HTTP_X_FORWARDED_PROTO"] == "https"


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_the_address_of_whoever_asks_goes_along(
    inner: Callable[[serving.Application], str], address: str
) -> None:
    pages = front.Front(refused, inner(told))
    _, parts = ask(pages, "GET", "/login", REMOTE_ADDR=address)
    assert json.loads(b"".join(parts))["REMOTE_ADDR"] == address
    parts.close()


def test_a_stream_is_handed_on_line_by_line_and_ends_with_its_reader(
    inner: Callable[[serving.Application], str],
) -> None:
    go_on, closed = threading.Semaphore(0), threading.Event()

    class Lines:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(1000):
                yield f"data: {number}\n\n".encode()
                go_on.acquire(timeout=10)

        def close(self) -> None:
            closed.set()

    def stream(environ: dict[str, Any], start: Callable[..., Any]) -> Lines:
        start("200 OK", [("Content-Type", "text/event-stream")])
        return Lines()

    _, parts = ask(front.Front(refused, inner(stream)), "GET", "/errands/1/events")
    lines = iter(parts)
    assert next(lines) == b"data: 0\n\n"
    go_on.release()
    assert next(lines) == b"data: 1\n\n"
    parts.close()
    for _ in range(999):
        go_on.release()
    assert closed.wait(10)


def test_while_the_other_process_is_away_the_caller_is_told_to_try_later(tmp_path: Path) -> None:
    (status, headers), parts = ask(front.Front(refused, str(tmp_path / "gone")), "GET", "/login")
    assert status.startswith("503")
    assert ("Retry-After", "2") in headers
    assert b"".join(parts) == b""


def test_only_looks_at_pages_that_say_so_are_answered_here(tmp_path: Path) -> None:
    asked: list[str] = []

    def pages(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        return []

    here = front.Front(pages, str(tmp_path / "gone"))
    for method in ("GET", "HEAD", "POST"):
        for path in ("/customers", "/customers/7", "/static/web/koppel.css", "/", "/login", "/no"):
            ask(here, method, path)
    assert asked == [
        f"{method} {path}"
        for method in ("GET", "HEAD")
        for path in ("/customers", "/customers/7", "/static/web/koppel.css")
    ]


def patterns() -> list[URLPattern]:
    """All addresses whose page is answered anywhere."""
    return [
        one
        for one in get_resolver().url_patterns
        if (right := right_of(one.callback)) is not None and right.anywhere
    ]


def test_no_page_that_is_answered_anywhere_asks_for_the_process_that_works(tmp_path: Path) -> None:
    store = open_store(tmp_path / "koppel.sqlite3", clock=config.now)
    store.people.add("anna", "a password of five words", ["administrator"])
    lines = Lines(store, registry.connect)
    service.use(service.Service(store, lines, front.Elsewhere(), config.now))
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="anna"))
    values = {"number": "1", "page": "customers", "entity": "partner", "side": "crm"}
    try:
        for one in patterns():
            path = "/" + str(one.pattern)
            for name, converter in one.pattern.converters.items():
                kind = "int" if "Int" in type(converter).__name__ else "str"
                path = path.replace(f"<{kind}:{name}>", values.get(name, "1"))
            assert web.get(path).status_code in (200, 404), path
        with pytest.raises(Defect):
            web.get("/")
    finally:
        service._current.clear()
        store.close()
    assert len(patterns()) > 10
