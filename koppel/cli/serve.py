"""`koppel serve | demo`."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from typing import Annotated

import typer

from koppel import config
from koppel.cli.app import app, session
from koppel.cli.session import PATIENCE, Session, err
from koppel.engine import Engine, seen
from koppel.engine.lines import Lines
from koppel.engine.schedules import Scheduler
from koppel.engine.watch import Pace, Watch, Watching
from koppel.engine.webhooks import Bell
from koppel.errors import NeedsUser
from koppel.processes.desk import DeskPace, OrderDesk, couple_by_watch
from koppel.processes.replica_desk import ReplicaDesk
from koppel.store import Store
from koppel.web.door import Door
from koppel.web.serving import settle_until


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
    processes: Annotated[
        int,
        typer.Option(
            envvar="KOPPEL_PROCESSES",
            min=0,
            help="Processes that answer pages; 0: one for each processor, at most four.",
        ),
    ] = 0,
) -> None:
    """Keep both systems in step, take hints, and show Koppel's pages, until stopped."""
    seen.log_as(os.environ.get("KOPPEL_LOG", ""))
    here = session(context)
    door = Door(here.home, host, port, processes)
    store = here.store()
    if hand_over:
        from koppel.cli.workers import serve_only

        serve_only(here, store, door)
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
    use_here(store, watch, desk)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    door.open()
    watch.start()
    desk.start()
    scheduler.start()
    views.start()
    bell.start()
    here.say(f"Koppel serves on http://{host}:{port} (stop: Ctrl-C)")
    settle_until(stop)
    err.print("Stopping: what is being written is finished first.")
    bell.stop()
    views.stop()
    desk.stop()
    scheduler.stop()
    watch.stop()
    door.close()


def make_store(here: Session) -> Store:
    """A store for a thread of its own: it shares the database, not the connection."""
    from koppel.store.secrets import find_key

    return Store(config.now, find_key(here.home), lambda: find_key(here.home))


def make_engine(here: Session) -> Engine:
    """The watch's own engine, on a store of its own."""
    return Engine(make_store(here), patience=PATIENCE)


def use_here(store: Store, watch: Watching, desk: OrderDesk) -> None:
    """What the pages of this process work with."""
    from koppel.connectors import registry
    from koppel.web import orders, service

    orders.use(desk)
    lines = Lines(store, registry.connect)
    service.use(service.Service(store=store, lines=lines, watch=watch, clock=config.now))


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
