"""The world of a simulated life: two systems, a clock, a Koppel at work, and what strikes it.

Koppel here is the real engine with its real store (SQLite, a file in memory); only its connectors
pass through `begin` and `boundary`, its statements through `_statement`, and its threads are turns.
A kill leaves no last word: from that instant neither a system nor the store hears anything more.
"""

from __future__ import annotations

import itertools
import random
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from django.db import DatabaseError, OperationalError, connection, connections

from koppel.connectors.base import Connector
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import Behaviour, MemorySystem
from koppel.engine import Engine
from koppel.engine.ahead import ReadAhead
from koppel.engine.durable import Program
from koppel.engine.hints import Hints, selection_of
from koppel.engine.watch import held
from koppel.errors import Interrupted, KoppelError, TryLater
from koppel.mapping.document import default_rule, shipped_mapping
from koppel.mapping.orders import shipped_order_mapping
from koppel.processes.orders import Orders
from koppel.processes.settings import KIND, NAME, shipped_settings
from koppel.store import Store, open_store
from koppel.store.models import Coupling, Run
from koppel.store.work_models import Lease
from koppel.sync.rule import SIDES, Side
from koppel.testing.chaos import Fault, FaultPlan, FaultyConnector
from koppel.testing.chaos import Kind as FaultKind
from koppel.testing.sales import QUOTE, SALE, SalesSystem, sales_crm
from koppel.testing.simulation.events import Event, Life, Trouble
from koppel.testing.simulation.people import People
from koppel.testing.simulation.turns import OneThread, Turns

START = datetime(2026, 10, 19, 8, tzinfo=UTC)
KEY = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
RATES = {"P-001": Decimal(19), "P-002": Decimal(7)}

_STATUS = {"401": 401, "429": 429, "500": 500}
_FAULTS = frozenset(
    ("refuse", "slow", "cut", "drop_reply", "lose", "html", "not_json", *_STATUS)
)  # fmt: skip
_WRITING = ("INSERT", "UPDATE", "DELETE")


@dataclass
class Struck:
    """A trouble of the present run, and how much of it has passed."""

    trouble: Trouble
    seen: int = 0
    spent: bool = False

    def due(self) -> bool:
        """Is this the place? Counts."""
        self.seen += 1
        first, last = self.trouble.at, self.trouble.at + self.trouble.count
        return first <= self.seen < last


@dataclass
class _Wire:
    """A fault plan's place at one side's connector (see `FaultyConnector`)."""

    world: World
    side: Side
    end: Callable[[], None] = field(init=False)

    def __post_init__(self) -> None:
        self.end = self.world.boundary

    def begin(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        return self.world.begin(self.side, path)


class World:
    """One life, from its beginning. `trace` is told of everything, in order."""

    def __init__(self, life: Life, folder: Path, template: Path) -> None:
        self.life = life
        self.trace: list[str] = []
        self.counts: Counter[str] = Counter()
        self.now = START
        self.skew: dict[Side, int] = {"crm": 0, "erp": 0}
        self.away: dict[Side, datetime] = {}
        self.lost_texts: list[str] = []
        """What the inbox of a store said that was lost: gone with the disk, but it was there."""
        self._chance = random.Random(life.seed)
        self._ids = itertools.count()
        self._struck: list[Struck] = []
        self._dead = False
        self._sleeping = False
        self._folder = folder
        self._file = folder / "koppel.sqlite3"
        self._kept: list[Path] = []
        self._backups: dict[Side, list[tuple[Any, Any, list[str]]]] = {"crm": [], "erp": []}
        self.put_back: set[Side] = set()
        """Systems that were put back: what was entered there since the backup is gone with them."""
        self.store_back: datetime | None = None
        """When a backup was put in place of the store last."""
        self.quotes: list[str] = []
        shutil.copyfile(template, self._file)
        self.systems = self._make()
        self.people = People(
            self.systems["crm"], self.systems["erp"], contacts=life.setting.contacts
        )
        self.connectors = {
            side: FaultyConnector(MemoryConnector(self.systems[side]), _Wire(self, side))  # type: ignore[arg-type]
            for side in SIDES
        }
        self.store = self._open()
        self._configure()
        self.engine = self._engine()
        self._orders: Orders | None = None
        self._hints = Hints()
        self._hinted = False

    # the two systems and their clocks

    def _make(self) -> dict[Side, MemorySystem]:
        crm, erp = self.life.setting.crm, self.life.setting.erp
        made = SalesSystem(clock=self._clock_of("erp"), behaviour=_behaviour(erp, ()))
        made.rates = dict(RATES)
        upper = ("organisation.billing_city",)
        return {
            "crm": sales_crm(clock=self._clock_of("crm"), behaviour=_behaviour(crm, upper)),
            "erp": made,
        }

    def _clock_of(self, side: Side) -> Callable[[], float]:
        return lambda: self.now.timestamp() + self.skew[side]

    def clock(self) -> datetime:
        """Koppel's own."""
        return self.now

    # Koppel

    def _open(self) -> Store:
        store = open_store(self._file, clock=self.clock, key=KEY, migrate=False)
        connection.execute_wrappers.append(self._statement)
        return store

    def _configure(self) -> None:
        documents = self.store.documents
        entities = ("partner", "contact") if self.life.setting.contacts else ("partner",)
        for side in SIDES:
            self.store.connections.put(
                side, side=side, type="memory", config={"system": side}, secrets={}
            )
            for entity in entities:
                documents.put(
                    "mapping", f"{side}/{entity}", shipped_mapping(f"memory_{side}", entity)
                )
        for entity in entities:
            documents.put("rule", entity, default_rule(entity))
        documents.put("mapping", "crm/order", shipped_order_mapping("memory_crm"))
        documents.put(KIND, NAME, shipped_settings().replace('"sale.sale"', f'"{SALE}"'))

    def _engine(self, connectors: Mapping[Side, Connector] | None = None) -> Engine:
        chosen = connectors or self.connectors
        return Engine(
            self.store,
            connect=lambda kind, settings: chosen["crm" if settings["system"] == "crm" else "erp"],
            boundary=lambda name: self.boundary(),
            new_id=lambda: f"{next(self._ids):032x}",
            pool=self._pool,
        )

    def _pool(self, threads: int) -> Turns:
        kind = OneThread if threads == 1 else Turns
        return kind(self._chance, lambda: self._dead)

    @property
    def orders(self) -> Orders:
        if self._orders is None:
            self._orders = Orders(self.engine, boundary=lambda name: self.boundary())
        return self._orders

    def restart(self) -> None:
        """A new process."""
        connections.close_all()
        self.engine = self._engine()
        self._orders = None
        self._hints = Hints()

    # what happens at each boundary

    def say(self, text: str) -> None:
        self.trace.append(text)

    def begin(self, side: Side, path: str) -> Fault | None:
        """A call sets out."""
        if self._dead:
            raise Interrupted
        self.now += timedelta(seconds=1)
        if not self._sleeping:
            self.say(f"    {side} {path}")
            self.counts["calls"] += 1
            self.boundary()
        if self.away.get(side, self.now) > self.now:
            return _fault("refuse")
        if self._sleeping:
            return None
        for struck in self._struck:
            kind = struck.trouble.kind
            if kind in _FAULTS and struck.trouble.side in ("", side) and struck.due():
                self._strikes(kind)
                return _fault(kind)
        return None

    def boundary(self) -> None:
        """Before or after an effect: here a process may die, sleep, or somebody act."""
        if self._dead:
            raise Interrupted
        if self._sleeping:
            return
        for struck in self._struck:
            kind = struck.trouble.kind
            if struck.spent or kind not in ("kill", "taken_over", "meanwhile"):
                continue
            struck.seen += 1
            if struck.seen < struck.trouble.at:
                continue
            if kind == "taken_over" and connection.in_atomic_block:
                continue
            struck.spent = True
            self._strikes(kind)
            if kind == "kill":
                self._dead = True
                raise Interrupted
            if kind == "taken_over":
                self._take_over()
            elif struck.trouble.then is not None:
                self.say(f"    ! {self.people.act(struck.trouble.then)}")

    def _statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._dead:
            raise Interrupted
        # A gate is looked at by the wall clock's second: not the same in each playing.
        if not self._struck or "store_gate" in sql:
            return execute(sql, params, many, context)
        for struck in self._struck:
            kind = struck.trouble.kind
            if kind == "kill_in_store" and not struck.spent:
                struck.seen += 1
                if struck.seen >= struck.trouble.at:
                    struck.spent = True
                    self._strikes(kind)
                    self._dead = True
                    raise Interrupted
            elif kind == "database_gone":
                struck.seen += 1
                if struck.seen >= struck.trouble.at:
                    self._strikes(kind, once=struck)
                    raise OperationalError("unable to open database file")
            elif kind == "disk_full" and sql.lstrip().startswith(_WRITING) and struck.due():
                self._strikes(kind)
                raise OperationalError("database or disk is full")
        return execute(sql, params, many, context)

    def _strikes(self, kind: str, once: Struck | None = None) -> None:
        if once is not None and once.spent:
            return
        if once is not None:
            once.spent = True
        self.counts[f"trouble {kind}"] += 1
        self.say(f"    ! {kind}")

    def _take_over(self) -> None:
        """Silent for longer than the lease: another worker does all there is, then this goes on."""
        Lease.objects.update(until=self.now - timedelta(seconds=1))
        failed: list[BaseException] = []

        def other() -> None:
            engine = self._engine()
            try:
                self._approved(engine, engine.sync())
                if self.life.setting.orders:
                    orders = Orders(engine, program=Program())
                    orders.run_due()
                    orders.poll()
            except KoppelError as error:
                self.say(f"    (the other worker: {error})")
            except BaseException as error:
                failed.append(error)
            finally:
                connections.close_all()

        self._sleeping = True
        try:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        finally:
            self._sleeping = False
        if failed:
            raise failed[0]

    # pieces of work

    def work(self, what: Callable[[], Any], trouble: tuple[Trouble, ...] = ()) -> Any:
        """Let Koppel do something under trouble; what came of it, None where it was stopped."""
        self._struck = [Struck(one) for one in trouble]
        try:
            return what()
        except Interrupted:
            self._dead = False
            self._struck = []
            self.say("    killed")
            self.restart()
        except TryLater as error:
            self.say(f"    later: {error}")
        except KoppelError as error:
            self.say(f"    {type(error).__name__}: {error}")
            self.engine.lines.refresh()
        except DatabaseError as error:
            # As whoever serves does it: told, and tried again later.
            self.say(f"    store: {error}")
        finally:
            self._struck = []
            self._learn()
        return None

    def _learn(self) -> None:
        """Which records are coupled now."""
        rows = Coupling.objects.filter(entity="partner", state="active")
        pairs = list(rows.values_list("crm_id", "erp_id"))
        self.people.known = {("crm", str(crm)) for crm, _ in pairs if crm}
        self.people.known |= {("erp", str(erp)) for _, erp in pairs if erp}

    def sync(self, **how: Any) -> Run:
        """A run; one that is held is looked at by a person, and approved."""
        self._hinted = how.get("trigger") == "hint" or (self._hinted and "selection" in how)
        return self._approved(self.engine, self.engine.sync(**how))

    def hinted(self, side: Side, record: str, more: int) -> None:
        """Runs for a hint, and for those that come meanwhile: what these are about is read ahead.

        `more`: so many come at each page that is written. They are lost with the process.
        """
        self._hints.add(("partner", side, record))
        while self._hints and held(self.store) is None:
            hints, given = self._hints.take()
            self.counts["read ahead"] += len(given)
            ahead = ReadAhead(self.store, partial(self._following, more))
            self.sync(
                selection=selection_of(hints), trigger="hint", sweep=False, given=given, ahead=ahead
            )
            self._hints.found(ahead.found())

    def _following(self, more: int, entity: str, side: Side, most: int) -> Sequence[str]:
        for _ in range(min(more, len(self.people.changed))):
            self._hints.add(("partner", *self.people.changed.pop()))
        return self._hints.following(entity, side, most)

    def _approved(self, engine: Engine, run: Run) -> Run:
        if run.state == "held":
            self.say(f"    held: {run.reasons}")
            self.counts["held plans"] += 1
            run = engine.apply(run, approve=True)
        return run

    # copies of the store

    def keep_store(self) -> None:
        """A backup."""
        copy = self._folder / f"kept-{len(self._kept)}"
        _copy(self._file, copy)
        self._kept.append(copy)

    def put_store_back(self, pick: int, texts: Callable[[], list[str]]) -> str:
        """A backup is put in place of the store."""
        if not self._kept:
            return ""
        self.lost_texts += texts()
        self.restart()
        _copy(self._kept[pick % len(self._kept)], self._file)
        self.store_back = self.now
        self._learn()
        return "the store is put back from a backup"

    # copies of the systems

    def keep_system(self, side: Side) -> None:
        """A backup of one of the two systems."""
        copy = self.systems[side].snapshot(), self.people.ledger.copy_of(side), list(self.quotes)
        self._backups[side].append(copy)

    def put_system_back(self, side: Side, pick: int, reused: bool) -> str:
        """A backup is put in place of one of the two systems; `reused`: ids are given out again
        before Koppel looks."""
        if not self._backups[side]:
            return ""
        snapshot, entered, quotes = self._backups[side][pick % len(self._backups[side])]
        self.away.clear()
        for _ in range(3):
            # Koppel looks every few seconds: it has seen where its own last write stands. If not,
            # a backup of before it is told from what Koppel read only by an audit.
            # The same holds of what a hint has told and no poll has passed yet.
            due = self._hinted or self._wrote_since(side, snapshot)
            run = self.work(self.sync) if due else None
            if run is None or not run.counts.get("writes"):
                break
        self.systems[side].put_back(snapshot)
        self.people.ledger.put_back(side, entered)
        if side == "crm":
            self.quotes = list(quotes)
        self.put_back.add(side)
        new = Event("enter", what=side) if reused else None
        swept = self.systems[side].behaviour
        at_once = swept.deletes == "scan" and swept.changes != "log"
        if new and at_once:
            # Such a system does not say that it was put back: only what it holds tells.
            self.say(f"    {self.people.act(new)}")
        # Koppel looks every few seconds, and putting a backup back takes minutes.
        self.work(self.sync)
        if new and not at_once:
            self.say(f"    {self.people.act(new)}")
        return f"the {side} is put back from a backup"

    def _wrote_since(self, side: Side, snapshot: Any) -> bool:
        """Did Koppel write to a table of that side since the backup, or last of all?"""
        tables, kept = self.systems[side].tables, snapshot[0]
        logs = [table.log for table in tables.values()]
        since = [
            entry.by for name, table in tables.items() for entry in table.log[len(kept[name].log) :]
        ]
        return "koppel" in since or any(log[-1].by == "koppel" for log in logs if log)

    # orders

    def quote(self, pick: int, amount: int) -> str:
        """Somebody writes a quote for an organisation of the CRM."""
        living = self.people.living("crm")
        if not living:
            return ""
        number = len(self.quotes) + 1
        lines = [
            {
                "kind": "item", "product_code": code, "name": code, "unit": "piece",
                "quantity": Decimal(1 + amount % 7), "unit_price": Decimal("9.99"),
                "discount": Decimal(0), "discount_unit": "percent", "vat": rate,
            }
            for code, rate in RATES.items()
        ]  # fmt: skip
        fields = {
            "number": f"QUO-{number}", "name": f"Offer {number}", "currency": "EUR",
            "organisation": living[pick % len(living)], "status": "Pending", "lines": lines,
        }  # fmt: skip
        self.quotes.append(self.people.humans["crm"].create(QUOTE, fields))
        return f"quote {self.quotes[-1]} for {fields['organisation']}"


def _copy(source: Path, target: Path) -> None:
    """The database's own way of copying, whoever has it open."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as two:
        one.backup(two)


def _behaviour(given: Mapping[str, Any], upper: tuple[str, ...]) -> Behaviour:
    values = dict(given)
    values["upper"] = frozenset(upper if values.pop("upper") else ())
    return Behaviour(**values)


def _fault(kind: str) -> Fault:
    names: dict[str, FaultKind] = dict.fromkeys(_STATUS, "status")
    return Fault(FaultPlan(), names.get(kind, kind), code=_STATUS.get(kind, 500))  # type: ignore[arg-type]
