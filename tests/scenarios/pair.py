"""A coupled pair of memory systems with an engine and a store of its own, for scenario tests."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection

from koppel.connectors.base import Connector
from koppel.connectors.memory import MemoryConnector
from koppel.connectors.memory_system import MemorySystem
from koppel.engine import Engine
from koppel.engine.executor import no_boundary
from koppel.mapping.document import default_rule, shipped_mapping
from koppel.store import Store, open_store
from koppel.store.models import Run
from koppel.testing.generated import memory_crm, memory_erp
from koppel.testing.human import MemoryHuman

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
KEY = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass
class Ticking:
    """A clock that moves on by a second with each look."""

    now: datetime = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class PairOfSystems:
    """Two memory systems, a store and a way to make engines, each as after a restart."""

    store: Store
    crm: MemorySystem
    erp: MemorySystem
    wrap: Callable[[str, Connector], Connector] = field(default=lambda name, inner: inner)
    boundary: Callable[[str], None] = no_boundary
    _ids: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.connectors = {
            "crm": MemoryConnector(self.crm),
            "erp": MemoryConnector(self.erp),
        }
        self.crm_human = MemoryHuman(self.crm)
        self.erp_human = MemoryHuman(self.erp)

    def engine(self) -> Engine:
        return Engine(
            self.store,
            connect=self._connect,
            boundary=lambda name: self.boundary(name),
            new_id=lambda: f"{next(self._ids):032x}",
        )

    def _connect(self, type_name: str, settings: Mapping[str, str]) -> Connector:
        return self.wrap(settings["system"], self.connectors[settings["system"]])

    def sync(self, **options: Any) -> Run:
        return self.engine().sync(**options)

    def configure(self, *entities: str) -> None:
        for side in ("crm", "erp"):
            self.store.connections.put(
                side, side=side, type="memory", config={"system": side}, secrets={}
            )
            for entity in entities:
                text = shipped_mapping(f"memory_{side}", entity)
                self.store.documents.put("mapping", f"{side}/{entity}", text)
        for entity in entities:
            self.store.documents.put("rule", entity, default_rule(entity))


def make_pair(
    folder: Path,
    template: Path,
    *,
    entities: tuple[str, ...] = ("partner", "contact"),
    crm: MemorySystem | None = None,
    erp: MemorySystem | None = None,
) -> PairOfSystems:
    """A configured pair whose store is a copy of the migrated `template`."""
    path = folder / "koppel.sqlite3"
    shutil.copy(template, path)
    store = open_store(path, clock=Ticking(), key=KEY, migrate=False)
    with connection.cursor() as cursor:
        # What a power cut would lose is not what these tests are about; a killed process is.
        cursor.execute("PRAGMA synchronous=OFF")
    return pair_on(store, entities=entities, crm=crm, erp=erp)


def pair_on(
    store: Store,
    *,
    entities: tuple[str, ...] = ("partner", "contact"),
    crm: MemorySystem | None = None,
    erp: MemorySystem | None = None,
) -> PairOfSystems:
    """A configured pair on an empty store."""
    pair = PairOfSystems(store, crm or memory_crm(), erp or memory_erp())
    pair.configure(*entities)
    return pair
