"""`koppel worker`, and the part of `koppel serve` that leaves the work to workers."""

from __future__ import annotations

import os
import signal
import threading
from typing import Annotated

import typer

from koppel import config
from koppel.cli.app import app, session
from koppel.cli.serve import make_engine, make_store, use_here
from koppel.cli.session import Session, err
from koppel.connectors import registry
from koppel.engine import seen
from koppel.engine.lines import Lines
from koppel.engine.queue import JobQueue
from koppel.engine.schedules import Scheduler
from koppel.engine.webhooks import Bell
from koppel.errors import NeedsUser
from koppel.processes.asked import AskedDesk, AskedWatch
from koppel.processes.worker import Worker, worker_name
from koppel.store import Store
from koppel.store.address import find_address, is_server
from koppel.web.door import Door
from koppel.web.serving import settle_until


def serve_only(here: Session, store: Store, door: Door) -> None:
    """The pages and what systems call, with the work done by workers."""
    address = _server_address(here)
    queue = JobQueue(address, worker_name())
    lines = Lines(store, registry.connect)
    watch = AskedWatch(queue, store, lines.pairs, lambda: make_engine(here))
    desk = AskedDesk(lambda: make_engine(here), queue)
    use_here(store, watch, desk)
    scheduler = Scheduler(lambda: make_engine(here), config.now)
    bell = Bell(lambda: make_store(here))
    door.open()
    desk.start()
    scheduler.start()
    bell.start()
    here.say(f"Koppel serves on {door.address} and leaves the work to its workers")
    settle_until(_stopping())
    err.print("Stopping: what is being written is finished first.")
    desk.stop()
    bell.stop()
    scheduler.stop()
    door.close()
    queue.stop(0)


@app.command()
def worker(
    context: typer.Context,
    metrics: Annotated[int, typer.Option(help="A port on loopback for Prometheus; 0: none.")] = 0,
    drain: Annotated[
        int, typer.Option(help="Seconds to finish what is under way when told to stop.")
    ] = 60,
) -> None:
    """Do the work of a Koppel on PostgreSQL: one of any number of processes, on any hosts.

    It needs the database's address (KOPPEL_DATABASE_URL) and the key (KOPPEL_KEY).
    """
    seen.log_as(os.environ.get("KOPPEL_LOG", ""))
    here = session(context)
    address = _server_address(here)
    store = here.store()
    one = Worker(address, store, lambda: make_engine(here))
    if metrics:
        seen.listen(metrics)
    one.start()
    here.say(f"Worker {one.name} takes jobs (stop: Ctrl-C)")
    _stopping().wait()
    err.print("Stopping: what is being written is finished first.")
    one.stop(drain)


def _server_address(here: Session) -> str:
    address = find_address(here.home)
    if not is_server(address):
        raise NeedsUser(
            "several processes need PostgreSQL, and this store is a SQLite file",
            place=address,
            remedy="Move it with: koppel migrate-store; or run koppel serve alone",
        )
    return address


def _stopping() -> threading.Event:
    """Set as soon as the process is told to stop."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    return stop
