"""Uncoupled records that were read and are not in the store yet.

Several pages go there in one transaction: a page of records has thousands of keys all over an
index, and each transaction writes every page of the index that it touched.
"""

from __future__ import annotations

from typing import Any

from koppel.connectors.base import Record
from koppel.mapping.faults import BadValue
from koppel.store.values import ReplicaRow

ENOUGH = 1000
"""So many are brought to the store together."""


class Taken:
    """What is to be kept of one side's records, to be dropped, and to be reported: each once."""

    def __init__(self) -> None:
        self.rows: dict[str, ReplicaRow] = {}
        self.mapped: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        self.bad: dict[str, tuple[Record, BadValue]] = {}

    def __len__(self) -> int:
        return len(self.rows) + len(self.gone) + len(self.bad)

    def keep(self, row: ReplicaRow, canonical: dict[str, Any]) -> None:
        """A record that can be matched."""
        self._forget(row.record)
        self.rows[row.record] = row
        self.mapped[row.record] = canonical

    def drop(self, record: str) -> None:
        """A record that is not there any more."""
        self._forget(record)
        self.gone.add(record)

    def report(self, record: Record, error: BadValue) -> None:
        """A record whose content cannot be mapped."""
        self._forget(record.id)
        self.bad[record.id] = (record, error)

    def _forget(self, record: str) -> None:
        """What was read of it earlier is out of date."""
        self.rows.pop(record, None)
        self.mapped.pop(record, None)
        self.gone.discard(record)
        self.bad.pop(record, None)
