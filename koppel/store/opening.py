"""Opening a store: points Django at the database, migrates it, and hands out `Store`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from koppel.errors import NeedsUser
from koppel.store.address import database_settings, is_server, shown

if TYPE_CHECKING:
    from koppel.store.answers import AnswerStore
    from koppel.store.auditlog import AuditLog
    from koppel.store.audits import AlarmStore, AuditStore
    from koppel.store.calls import CallStore
    from koppel.store.cards import CardKeys
    from koppel.store.connections import ConnectionStore
    from koppel.store.couplings import CouplingStore
    from koppel.store.documents import DocumentStore
    from koppel.store.gates import GateStore
    from koppel.store.guide import GuideStore
    from koppel.store.hints import HintStore, PulseStore
    from koppel.store.inbox import InboxStore
    from koppel.store.journal import JournalStore
    from koppel.store.lease import LeaseStore
    from koppel.store.pairs import PairStore
    from koppel.store.people import PeopleStore
    from koppel.store.personal import PersonalStore
    from koppel.store.provider import ProviderStore
    from koppel.store.replica import ReplicaStore
    from koppel.store.runs import RunStore
    from koppel.store.schedules import ScheduleStore
    from koppel.store.second_factor import SecondFactorStore
    from koppel.store.standing import StandingStore
    from koppel.store.tokens import TokenStore
    from koppel.store.webhooks import WebhookStore

Clock = Callable[[], datetime]
"""Gives the present time, in UTC and aware of it."""

OLDEST_POSTGRES = 15
_MIGRATING = 0x6B6F7070
"""The number of the lock that is held while tables are made."""

_setup_lock = threading.RLock()


class Store:
    """All of the store, one attribute per concern. One instance per open database."""

    def __init__(
        self, clock: Clock, key: bytes, find_key: Callable[[], bytes] | None = None
    ) -> None:
        from koppel.store.answers import AnswerStore
        from koppel.store.auditlog import AuditLog
        from koppel.store.audits import AlarmStore, AuditStore
        from koppel.store.calls import CallStore
        from koppel.store.cards import CardKeys
        from koppel.store.connections import ConnectionStore
        from koppel.store.couplings import CouplingStore
        from koppel.store.documents import DocumentStore
        from koppel.store.figures import FigureStore
        from koppel.store.gates import GateStore
        from koppel.store.guide import GuideStore
        from koppel.store.hints import HintStore, PulseStore
        from koppel.store.inbox import InboxStore
        from koppel.store.journal import JournalStore
        from koppel.store.lease import LeaseStore
        from koppel.store.orders import OrderStore
        from koppel.store.pairs import PairStore
        from koppel.store.people import PeopleStore
        from koppel.store.personal import PersonalStore
        from koppel.store.processes import ProcessStore
        from koppel.store.provider import ProviderStore
        from koppel.store.replica import ReplicaStore
        from koppel.store.runs import RunStore
        from koppel.store.schedules import ScheduleStore
        from koppel.store.second_factor import SecondFactorStore
        from koppel.store.seen import SeenStore
        from koppel.store.standing import StandingStore
        from koppel.store.tokens import TokenStore
        from koppel.store.webhooks import WebhookStore

        self.clock = clock
        self.audit_log: AuditLog = AuditLog(clock)
        self.people: PeopleStore = PeopleStore(clock)
        self.second_factors: SecondFactorStore = SecondFactorStore(clock, key, find_key)
        self.standing: StandingStore = StandingStore(clock)
        self.tokens: TokenStore = TokenStore(clock)
        self.card_keys: CardKeys = CardKeys(key, find_key)
        self.webhooks: WebhookStore = WebhookStore(clock, key, find_key)
        self.connections: ConnectionStore = ConnectionStore(clock, key, find_key)
        self.documents: DocumentStore = DocumentStore(clock)
        self.provider: ProviderStore = ProviderStore(clock, self.documents, self.people)
        self.personal: PersonalStore = PersonalStore(clock)
        self.couplings: CouplingStore = CouplingStore(clock)
        self.runs: RunStore = RunStore(clock)
        self.journal: JournalStore = JournalStore(clock)
        self.inbox: InboxStore = InboxStore(clock, self.audit_log)
        self.replica: ReplicaStore = ReplicaStore(clock)
        self.pairs: PairStore = PairStore()
        self.lease: LeaseStore = LeaseStore(clock)
        self.answers: AnswerStore = AnswerStore(clock)
        self.hints: HintStore = HintStore(clock)
        self.pulses: PulseStore = PulseStore(clock)
        self.gates: GateStore = GateStore(clock)
        self.processes: ProcessStore = ProcessStore(clock)
        self.orders: OrderStore = OrderStore(clock)
        self.calls: CallStore = CallStore()
        self.guide: GuideStore = GuideStore(clock)
        self.audits: AuditStore = AuditStore()
        self.alarms: AlarmStore = AlarmStore(clock)
        self.schedules: ScheduleStore = ScheduleStore(clock)
        self.seen: SeenStore = SeenStore(clock)
        self.figures: FigureStore = FigureStore(clock)

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
    database: Path | str,
    *,
    clock: Clock,
    key: bytes = b"",
    migrate: bool = True,
    find_key: Callable[[], bytes] | None = None,
) -> Store:
    """Open the store in `database`, made and migrated if need be.

    `database`: a SQLite file, `:memory:`, or PostgreSQL's address (`koppel.store.address`).
    `key` encrypts the secrets of connections (`koppel.store.secrets`); without it they can be
    neither written nor read; `find_key` finds it anew where it was rotated. `migrate` False: the
    database is known to be up to date.
    Raises `NeedsUser` where the database cannot be used.
    """
    from django.db import DatabaseError, Error

    try:
        point_at(database)
        if migrate:
            _migrate()
    except ImportError as error:
        raise NeedsUser(
            f"PostgreSQL's driver is missing: {error}",
            place=shown(database),
            remedy="Install it with: pip install 'koppel[postgres]'",
        ) from error
    except (DatabaseError, Error) as error:
        server = is_server(database)
        raise NeedsUser(
            f"the store cannot be opened: {_first_line(error)}",
            place=shown(database),
            remedy="Check that the database exists, answers, and lets this user in"
            if server
            else "Check that the folder exists, is writable and has space left",
        ) from error
    return Store(clock, key, find_key)


def point_at(database: Path | str) -> None:
    """Let every thread's next connection go to this database."""
    from django.db import DEFAULT_DB_ALIAS, connections

    connections.close_all()
    connections.settings[DEFAULT_DB_ALIAS].update(database_settings(database))
    # This thread's wrapper may be one for the other kind of database.
    if hasattr(connections._connections, DEFAULT_DB_ALIAS):  # type: ignore[attr-defined]
        del connections[DEFAULT_DB_ALIAS]


def _migrate() -> None:
    """Bring the tables up to date; of several processes that begin together, one does it."""
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor != "postgresql":
        call_command("migrate", verbosity=0, interactive=False)
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
        try:
            _check_version()
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATING])


def _check_version() -> None:
    from django.db import connection

    found = getattr(connection, "pg_version", 0) // 10000
    if found < OLDEST_POSTGRES:
        raise NeedsUser(
            f"this is PostgreSQL {found}",
            remedy=f"Koppel needs PostgreSQL {OLDEST_POSTGRES} or newer",
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
