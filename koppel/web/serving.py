"""Serving the pages over HTTP: what every process that does so makes ready, and its server."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from koppel.errors import NeedsUser, TryLater

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]
"""As WSGI has it (PEP 3333)."""

LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a message to the pages; those of systems are held to far less (`koppel.web.hooks`)."""
SETTLE = 30.0
"""Seconds between two looks at what the audit log has yet to be told."""
THREADS = 12
BACKLOG = 1024
FORWARDED = "x-forwarded-for x-forwarded-proto"
_PAGES_CACHE = "PRAGMA cache_size=-8000"


def prepare(home: Path, host: str) -> None:
    """Let this process know by which name it is asked, and sign cookies as all of them do.

    The key comes from that of the store, so that a restart signs nobody out.
    """
    from django.conf import settings
    from django.db.backends.signals import connection_created

    from koppel.store.secrets import find_key

    if not os.environ.get("KOPPEL_WEB_SECRET"):
        settings.SECRET_KEY = hashlib.sha256(b"koppel web " + find_key(home)).hexdigest()
    if host not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS.append(host)
    connection_created.connect(_lean, dispatch_uid="koppel-web")


def _lean(connection: Any, **_: Any) -> None:
    """Threads that answer keep their connections, and so less memory each than a run has."""
    if connection.vendor == "sqlite" and threading.current_thread().name.startswith("waitress"):
        with connection.cursor() as cursor:
            cursor.execute(_PAGES_CACHE)


def application() -> Application:
    """Koppel's pages and interfaces, with all that they need loaded."""
    from django.core.wsgi import get_wsgi_application
    from django.urls import resolve

    found: Application = get_wsgi_application()
    resolve("/")  # reads all addresses, and with them all pages
    return found


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that take calls from now on; `NeedsUser` says which port is taken."""
    found: list[socket.socket] = []
    try:
        kind = socket.SOCK_STREAM
        for family, *_, address in socket.getaddrinfo(host, port, type=kind):
            if family in (socket.AF_INET, socket.AF_INET6):
                found.append(_listening(family, address[:2]))
    except OSError as error:
        for one in found:
            one.close()
        raise NeedsUser(
            f"port {port} on {host} cannot be used: {error.strerror}",
            remedy="Stop what listens there, or choose another with --port",
        ) from error
    return found


def _listening(family: int, address: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def server(pages: Application, *sockets: socket.socket, proxy: str = "") -> Any:
    """A server that is not running yet. `proxy`: whose word on who asks is trusted."""
    from waitress import create_server

    told = {"trusted_proxy": proxy, "trusted_proxy_headers": FORWARDED} if proxy else {}
    return create_server(
        pages,
        # Whoever sends more, or more slowly, than people and systems do is cut off.
        max_request_body_size=LARGEST_BODY,
        max_request_header_size=65_536,
        channel_timeout=60,
        connection_limit=200,
        backlog=BACKLOG,
        sockets=sockets,
        threads=THREADS,
        ident="koppel",
        **told,
    )


def run(server: Any, then: Callable[[], None] = lambda: None) -> None:
    """Let a server answer in a thread, until it is closed; `then` is called however it ends."""
    threading.Thread(target=_run, args=(server, then), name="koppel-web", daemon=True).start()


def _run(server: Any, then: Callable[[], None]) -> None:
    try:
        server.run()
    except OSError:
        # It waits at a socket that another thread has closed: that is how it ends.
        if server.socket is not None and server.socket.fileno() != -1:
            raise
    finally:
        then()


def finish(server: Any) -> None:
    """Answer what is being answered, take nothing more, and tell the audit log of it."""
    server.task_dispatcher.shutdown()
    settle(everything=True)


def settle_until(stop: threading.Event) -> None:
    """Wait; meanwhile and at the end, the audit log gets the looks of minutes that are over."""
    stopped = False
    while not stopped:
        stopped = stop.wait(SETTLE)
        settle(everything=stopped)


def settle(*, everything: bool = False) -> None:
    """Tell the audit log what it has yet to be told of looks; of all of them with `everything`."""
    from django.db import Error

    from koppel.store.away import away
    from koppel.web import service

    try:
        service.current().looks.settle(everything=everything)
    except Error as error:
        away(error)
    except TryLater:
        return  # the next time


def trusted_proxy() -> str:
    """The address of the web server before Koppel; empty where there is none."""
    return os.environ.get("KOPPEL_PROXY", "")
