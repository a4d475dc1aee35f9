"""Systems of any size that hold nothing but what was changed: for measuring, not for correctness.

A record is made from its number when somebody asks for it, always the same one; only what people
or Koppel wrote is kept. So a system of a million partners needs no more memory than its edits. It
is a `MemorySystem` like any other: `MemoryConnector` speaks to it.

```python
crm, erp = endless_crm(1_000_000), endless_erp(1_000_000)
connector = MemoryConnector(erp)
connector.ids("party")          # versions of all, page by page
erp.update("party", "77", {"name": "Another GmbH"}, "human")
```

The partners of both are the same companies under the same numbers; their ids are those numbers.
Searching by a field looks through all of them once, and then keeps what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, SupportsIndex, overload

from koppel.connectors.base import Resource
from koppel.connectors.memory_system import Behaviour, MemorySystem, Row, Table
from koppel.testing.generated import (
    CRM_RESOURCES,
    ERP_RESOURCES,
    crm_fields,
    erp_fields,
    partner_at,
)

Make = Callable[[int], dict[str, Any]]
"""Number, from 1 -> the fields of the record."""

FIRST_VERSION = "0"
"""Of records that nobody has changed."""


def crm_record(number: int, *, seed: int = 1) -> dict[str, Any]:
    """The fields of an organisation that knows its number in the ERP already."""
    partner = partner_at(number, seed=seed)
    return {**crm_fields(partner), "customer_number": f"{number:06}"}


def erp_record(number: int, *, seed: int = 1) -> dict[str, Any]:
    """The fields of a party."""
    return erp_fields(partner_at(number, seed=seed))


def endless_crm(count: int, behaviour: Behaviour | None = None, *, seed: int = 1) -> EndlessSystem:
    """A CRM with that many organisations."""
    return EndlessSystem(
        "crm",
        CRM_RESOURCES,
        "organisation",
        count,
        lambda number: crm_record(number, seed=seed),
        behaviour,
    )


def endless_erp(count: int, behaviour: Behaviour | None = None, *, seed: int = 1) -> EndlessSystem:
    """An ERP with that many parties."""
    return EndlessSystem(
        "erp",
        ERP_RESOURCES,
        "party",
        count,
        lambda number: erp_record(number, seed=seed),
        behaviour,
    )


class EndlessSystem(MemorySystem):
    """A memory system of which one resource begins with `count` records that are made on demand."""

    def __init__(
        self,
        name: str,
        resources: Sequence[Resource],
        made: str,
        count: int,
        make: Make,
        behaviour: Behaviour | None = None,
    ) -> None:
        super().__init__(name, resources, behaviour)
        self._made = self.tables[made]
        rows = _Rows(self._made, count, make)
        self._made.rows = rows
        self._made.order = _Order(rows)

    @property
    def held(self) -> int:
        """How many records are kept, because somebody changed them."""
        return len(self._made.rows)

    def _note(self, table: Table, row: Row, by: str) -> None:
        super()._note(table, row, by)
        table.rows[row.id] = row


class _MadeRow(Row):
    """A record that nobody has changed; its fields are made when they are looked at."""

    __slots__ = ("_kept", "_rows")

    def __init__(self, id: str, rows: _Rows) -> None:
        self._rows = rows
        self._kept: dict[str, Any] | None = None
        self.id = id
        self.key = None
        self.gone = None
        self.version = FIRST_VERSION
        self.stamp = 0.0
        self.entry = -1

    @property
    def fields(self) -> dict[str, Any]:
        if self._kept is None:
            self._kept = self._rows.made(int(self.id))
        return self._kept

    @fields.setter
    def fields(self, value: dict[str, Any]) -> None:
        self._kept = value


class _Rows(dict[str, Row]):
    """Id -> record: those that were changed are held, the others made."""

    def __init__(self, table: Table, count: int, make: Make) -> None:
        super().__init__()
        self.count = count
        self._table = table
        self._make = make

    def made(self, number: int) -> dict[str, Any]:
        """All fields of a record as it was in the beginning, children with their ids."""
        fields = {**dict.fromkeys(self._table.infos), **self._make(number)}
        for name in self._table.lists:
            infos = self._table.infos[name].fields
            fields[name] = [
                {
                    "id": f"{number}-{name}-{place}",
                    **dict.fromkeys(info.name for info in infos),
                    **child,
                }
                for place, child in enumerate(fields[name] or ())
            ]
        return fields

    def __missing__(self, id: str) -> Row:
        if not self._within(id):
            raise KeyError(id)
        return _MadeRow(id, self)

    def __contains__(self, id: object) -> bool:
        return super().__contains__(id) or self._within(id)

    def get(self, id: str, default: Any = None) -> Any:
        """The record of that id, held or made."""
        try:
            return self[id]
        except KeyError:
            return default

    def _within(self, id: object) -> bool:
        return (
            isinstance(id, str)
            and id.isascii()
            and id.isdigit()
            and id[0] != "0"
            and int(id) <= self.count
        )


class _Order(list[Row]):
    """All records in the order of their numbers; what was created later comes after the made."""

    def __init__(self, rows: _Rows) -> None:
        super().__init__()
        self._rows = rows

    def __len__(self) -> int:
        return self._rows.count + super().__len__()

    def __iter__(self) -> Iterator[Row]:
        return (self[place] for place in range(len(self)))

    @overload
    def __getitem__(self, place: SupportsIndex) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        number = place.__index__()
        if number < self._rows.count:
            return self._rows[str(number + 1)]
        return super().__getitem__(number - self._rows.count)
