"""`koppel serve | demo`."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import threading
from typing import Annotated, Any

import typer
from django.db import Error

from koppel import config
from koppel.cli.app import app, session
from koppel.cli.session import PATIENCE, Session, err
from koppel.engine import Engine, seen
from koppel.engine.lines import Lines
from koppel.engine.schedules import Scheduler
from koppel.engine.watch import Pace, Watch, Watching
from koppel.engine.webhooks import Bell
from koppel.errors import NeedsUser, TryLater
from koppel.processes.desk import DeskPace, OrderDesk, couple_by_watch
from koppel.processes.replica_desk import ReplicaDesk
from koppel.store import Store
from koppel.store.away import away

SETTLE = 30.0
"""Seconds between two looks at what the audit log has yet to be told."""
LARGEST_BODY = 16 * 1024 * 1024
"""Bytes of a message to the pages; those of systems are held to far less (`koppel.web.hooks`)."""


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8200,
    poll: Annotated[float, typer.Option(help="Seconds between polls.")] = 5.0,
    sweep: Annotated[float, typer.Option(help="Seconds between sweeps for deletes.")] = 600.0,
    hand_over: Annotated[
        bool, typer.Option("--hand-over", help="Leave the work to `koppel worker`; PostgreSQL.")
    ] = False,
) -> None:
    """Keep both systems in step, take hints, and show Koppel's pages, until stopped."""
    seen.log_as(os.environ.get("KOPPEL_LOG", ""))
    here = session(context)
    free(host, port)
    store = here.store()
    if hand_over:
        from koppel.cli.workers import serve_only

        serve_only(here, store, host, port)
        return
    watch = Watch(lambda: make_engine(here), config.now, Pace(poll=poll, sweep=sweep))
    scheduler = Scheduler(lambda: make_engine(here), config.now)
    desk = OrderDesk(
        lambda: make_engine(here),
        couple_by_watch(watch, store),
        DeskPace(poll=poll),
        f"http://{host}:{port}",
    )
    views = ReplicaDesk(lambda: make_engine(here))
    bell = Bell(lambda: make_store(here))
    keep_sessions(here)
    server = make_server(store, watch, desk, host, port)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    watch.start()
    desk.start()
    scheduler.start()
    views.start()
    bell.start()
    thread = threading.Thread(target=server.run, name="koppel-web", daemon=True)
    thread.start()
    here.say(f"Koppel serves on http://{host}:{port} (stop: Ctrl-C)")
    until_stopped(stop)
    bell.stop()
    views.stop()
    desk.stop()
    scheduler.stop()
    watch.stop()
    server.close()


def until_stopped(stop: threading.Event) -> None:
    """Wait; meanwhile and at the end, the audit log gets the looks of minutes that are over."""
    from koppel.web import service

    stopped = False
    while not stopped:
        stopped = stop.wait(SETTLE)
        try:
            service.current().looks.settle(everything=stopped)
        except Error as error:
            away(error)
        except TryLater:
            continue
    err.print("Stopping: what is being written is finished first.")


def make_store(here: Session) -> Store:
    """A store for a thread of its own: it shares the database, not the connection."""
    from koppel.store.secrets import find_key

    return Store(config.now, find_key(here.home), lambda: find_key(here.home))


def make_engine(here: Session) -> Engine:
    """The watch's own engine, on a store of its own."""
    return Engine(make_store(here), patience=PATIENCE)


def keep_sessions(here: Session) -> None:
    """Sign cookies with a key of this store, so that a restart signs nobody out."""
    import hashlib

    from django.conf import settings

    from koppel.store.secrets import find_key

    if not os.environ.get("KOPPEL_WEB_SECRET"):
        settings.SECRET_KEY = hashlib.sha256(b"koppel web " + find_key(here.home)).hexdigest()


def free(host: str, port: int) -> None:
    """Is the port free? `NeedsUser` says which is not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NeedsUser(
                f"port {port} on {host} cannot be used: {error.strerror}",
                remedy="Stop what listens there, or choose another with --port",
            ) from error


def make_server(store: Store, watch: Watching, desk: OrderDesk, host: str, port: int) -> Any:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from waitress import create_server

    from koppel.connectors import registry
    from koppel.web import orders, service

    if host not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS.append(host)
    orders.use(desk)
    service.use(
        service.Service(
            store=store, lines=Lines(store, registry.connect), watch=watch, clock=config.now
        )
    )
    proxy = os.environ.get("KOPPEL_PROXY")
    told = {"trusted_proxy": proxy, "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto"}
    return create_server(
        get_wsgi_application(),
        # Whoever sends more, or more slowly, than people and systems do is cut off.
        max_request_body_size=LARGEST_BODY,
        max_request_header_size=65_536,
        channel_timeout=60,
        connection_limit=200,
        host=host,
        port=port,
        threads=12,
        ident="koppel",
        **(told if proxy else {}),
    )


@app.command()
def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option(help="Set up, couple, print, and end.")] = False,
    reset: Annotated[bool, typer.Option(help="Begin from the fresh demo data.")] = False,
) -> None:
    """Bring a real Tryton and a real Creme up, couple them, and keep them running."""
    try:
        lab = importlib.import_module("lab.demo")
    except ModuleNotFoundError as error:
        raise NeedsUser(
            "the demo needs the folder `lab`, which is not part of an installed Koppel",
            remedy="Get the sources and run: make demo",
        ) from error
    raise typer.Exit(lab.run(once=once, reset=reset))
