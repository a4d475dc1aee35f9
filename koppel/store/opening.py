"""Opening a store: points Django at the database, migrates it, and hands out `Store`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from koppel.errors import NeedsUser

if TYPE_CHECKING:
    from koppel.store.connections import ConnectionStore
    from koppel.store.couplings import CouplingStore
    from koppel.store.documents import DocumentStore
    from koppel.store.inbox import InboxStore
    from koppel.store.journal import JournalStore
    from koppel.store.lease import LeaseStore
    from koppel.store.pairs import PairStore
    from koppel.store.replica import ReplicaStore
    from koppel.store.runs import RunStore

Clock = Callable[[], datetime]
"""Gives the present time, in UTC and aware of it."""

_setup_lock = threading.RLock()


class Store:
    """All of the store, one attribute per concern. One instance per open database."""

    def __init__(self, clock: Clock, key: bytes) -> None:
        from koppel.store.connections import ConnectionStore
        from koppel.store.couplings import CouplingStore
        from koppel.store.documents import DocumentStore
        from koppel.store.inbox import InboxStore
        from koppel.store.journal import JournalStore
        from koppel.store.lease import LeaseStore
        from koppel.store.orders import OrderStore
        from koppel.store.pairs import PairStore
        from koppel.store.processes import ProcessStore
        from koppel.store.replica import ReplicaStore
        from koppel.store.runs import RunStore

        self.clock = clock
        self.connections: ConnectionStore = ConnectionStore(clock, key)
        self.documents: DocumentStore = DocumentStore(clock)
        self.couplings: CouplingStore = CouplingStore(clock)
        self.runs: RunStore = RunStore(clock)
        self.journal: JournalStore = JournalStore(clock)
        self.inbox: InboxStore = InboxStore(clock)
        self.replica: ReplicaStore = ReplicaStore(clock)
        self.pairs: PairStore = PairStore()
        self.lease: LeaseStore = LeaseStore(clock)
        self.processes: ProcessStore = ProcessStore(clock)
        self.orders: OrderStore = OrderStore(clock)

    def close(self) -> None:
        """Close this thread's connection to the database."""
        from django.db import connections

        connections.close_all()


def setup_django() -> None:
    """Make Django ready, once per process; nothing to do while Django itself loads the store."""
    import django
    from django.apps import apps

    with _setup_lock:
        if apps.ready or apps.loading:
            return
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.store.settings")
        django.setup()


def open_store(
    database: Path | str, *, clock: Clock, key: bytes = b"", migrate: bool = True
) -> Store:
    """Open the store in the SQLite file `database` (or `:memory:`), made and migrated if need be.

    `key` encrypts the secrets of connections (`koppel.store.secrets`); without it they can be
    neither written nor read. `migrate` False: the file is known to be up to date.
    Raises `NeedsUser` where the file cannot be used.
    """
    from django.core.management import call_command
    from django.db import DatabaseError, connections

    connections.close_all()
    connections.settings["default"]["NAME"] = str(database)
    connections["default"].settings_dict["NAME"] = str(database)
    try:
        if migrate:
            call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        raise NeedsUser(
            f"the store cannot be opened: {error}",
            place=str(database),
            remedy="Check that the folder exists, is writable and has space left",
        ) from error
    return Store(clock, key)
