"""What the rules of a store are tried with: records, couplings, a clock; and what is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from koppel.connectors.base import Record
from koppel.store import Store
from koppel.store.values import CouplingRow, PlannedStep, ReplicaRow
from koppel.sync.rule import Side

KEY = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_KEY = b"OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="


@dataclass
class Clock:
    """A clock that stands still until somebody moves it on."""

    now: datetime = datetime(2026, 11, 2, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """Move it on."""
        self.now += timedelta(seconds=seconds)


def record(number: int, side: Side = "crm", **fields: Any) -> Record:
    """A record of one side."""
    resource = "organisation" if side == "crm" else "party"
    return Record(resource=resource, id=str(number), version=f"v{number}", fields=fields)


def coupling(number: int, **values: Any) -> CouplingRow:
    """A coupling of the records of that number."""
    row = CouplingRow(id=f"{number:032x}", entity="partner", label=f"Partner {number}", **values)
    row.put("crm", record(number, "crm", name=f"Partner {number}"))
    row.put("erp", record(number, "erp", name=f"Partner {number}"))
    return row


def replica(number: int, side: Side = "crm", **values: Any) -> ReplicaRow:
    """What was read of a record."""
    return ReplicaRow(
        entity="partner",
        side=side,
        record=str(number),
        version=f"v{number}",
        label=f"Partner {number}",
        content=record(number, side, name=f"Partner {number}"),
        features=b"{}",
        **values,
    )


def step(number: int, **values: Any) -> PlannedStep:
    """A step of a plan."""
    return PlannedStep(number=number, entity="partner", kind="update", **values)


class Stop(Exception):
    """Where a transaction of a test ends before its time."""


class StoreFixtures:
    """What a subclass gives."""

    @pytest.fixture
    def clock(self) -> Clock:
        """The store's clock."""
        return Clock()

    @pytest.fixture
    def store(self, clock: Clock) -> Store:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def reopen(self, clock: Clock) -> Callable[[bytes], Store]:
        """Opens the same store anew, with a key."""
        raise NotImplementedError
