"""The reference connector: what a connector promises, shown on a system in memory.

It holds to the whole protocol for every mix of capabilities that `Behaviour` can declare, counts
its calls by method (`calls`), and is the measure against which the contract suite was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from koppel.connectors.base import (
    Act,
    Capabilities,
    Change,
    ChangePage,
    Create,
    Cursor,
    Delete,
    Fields,
    Gone,
    Health,
    IdPage,
    Option,
    Outcome,
    Record,
    Refused,
    Resource,
    Update,
    Write,
    Written,
)
from koppel.connectors.memory_system import Behaviour, Entry, MemorySystem, Refusal, Row, Table
from koppel.errors import Defect, NeedsUser

VERSION = "1"

_shared: dict[str, MemorySystem] = {}


def share(system: MemorySystem) -> MemorySystem:
    """Offer a system to connectors made from settings, under its name."""
    _shared[system.name] = system
    return system


class MemoryConnector:
    """A connector to a `MemorySystem`. `sleep` is called with the behaviour's latency, if any."""

    options: tuple[Option, ...] = (
        Option(name="system", label="Name of the shared memory system", required=True),
        Option(name="user", label="User to act as", default="koppel"),
    )

    def __init__(
        self,
        system: MemorySystem,
        *,
        user: str = "koppel",
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.system = system
        self.user = user
        self.calls: Counter[str] = Counter()
        self.closed = False
        self._sleep = sleep

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> MemoryConnector:
        """A connector to a system of this process that `share` has offered."""
        if config["system"] not in _shared:
            raise NeedsUser(
                f"there is no memory system {config['system']!r} in this process",
                place="memory: system",
                remedy=f"Known are: {', '.join(sorted(_shared)) or 'none'}",
            )
        return cls(_shared[config["system"]], user=config.get("user") or "koppel")

    @property
    def behaviour(self) -> Behaviour:
        return self.system.behaviour

    def check(self) -> Health:
        self._count("check")
        return Health(ok=True, system=self.system.name, version=VERSION, user=self.user)

    def capabilities(self, resource: str) -> Capabilities:
        self._table(resource)
        behaviour = self.behaviour
        return Capabilities(
            changes=behaviour.changes,
            deletes=behaviour.deletes,
            create_key=behaviour.create_key,
            lock=behaviour.lock,
            actions=frozenset(behaviour.actions),
            max_fetch=behaviour.max_fetch,
            max_write=behaviour.max_write,
            overlap_seconds=behaviour.overlap_seconds,
        )

    def describe(self) -> Sequence[Resource]:
        self._count("describe")
        return tuple(table.resource for table in self.system.tables.values())

    def now(self, resource: str) -> Cursor:
        self._count("now")
        table = self._table(resource)
        if self.behaviour.changes == "log":
            return f"log:{len(table.log)}"
        if self.behaviour.changes == "timestamp":
            return f"stamp:{table.log[-1].stamp if table.log else 0.0}:"
        return "scan:"

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        self._count("changes")
        table = self._table(resource)
        if limit < 1:
            raise Defect(f"a page of {limit} changes was asked for", place=resource)
        anew = since is not None and self._ahead(table, since)
        kind, _, rest = (self._beginning(table) if anew or not since else since).partition(":")
        if kind == "all":
            page = self._all(table, rest, limit)
        elif kind == "log":
            page = self._log(table, int(rest), limit)
        elif kind == "stamp":
            page = self._stamps(table, rest, limit)
        elif kind == "scan":
            page = self._scan(table, rest, limit)
        else:
            raise Defect(f"the cursor {since!r} was not made here", place=resource)
        changes = page.changes[::-1] if self.behaviour.unordered else page.changes
        return ChangePage(changes=changes, cursor=page.cursor, more=page.more, anew=anew)

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        self._count("ids")
        table = self._table(resource)
        start = int(page or 0)
        end = start + self.behaviour.ids_page
        rows = table.order[start:end]
        return IdPage(
            items=tuple([(row.id, row.version) for row in rows if row.gone is None]),
            next=str(end) if end < len(table.order) else None,
        )

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        self._count("fetch")
        table = self._table(resource)
        if len(ids) > self.behaviour.max_fetch:
            raise Defect(
                f"{len(ids)} records at once, {self.behaviour.max_fetch} are allowed",
                place=resource,
            )
        wanted = reversed(ids) if self.behaviour.unordered else ids
        return {id: self._seen(table, id) for id in wanted}

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        self._count("find")
        table = self._table(resource)
        return [self._record(table, row) for row in self._matching(table, match)[:limit]]

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        self._count("write")
        if len(batch) > self.behaviour.max_write:
            raise Defect(f"{len(batch)} writes at once, {self.behaviour.max_write} are allowed")
        self.calls["writes"] += len(batch)
        return [self._once(write) for write in batch]

    def recover(self, write: Write) -> Outcome | None:
        self._count("recover")
        if write.key in self.system.done:
            return cast(Outcome, self.system.done[write.key])
        table = self._table(write.resource)
        if isinstance(write, Create):
            row = self._created(table, write)
            return None if row is None else Written(after=self._seen(table, row.id))
        seen = self._seen(table, write.id)
        if isinstance(write, Delete):
            return Written(after=seen) if isinstance(seen, Gone) else None
        if isinstance(seen, Gone) or seen.version == write.expected:
            return None
        try:
            stored = self.system.outlook(write.resource, self._fields_of(write))
        except Refusal:
            return None
        return Written(after=seen) if _covers(seen.fields, stored) else None

    def close(self) -> None:
        self.closed = True

    # Changes, one way per declared capability.

    def _beginning(self, table: Table) -> str:
        if self.behaviour.changes == "log":
            return f"all:0:{len(table.log)}"
        return "stamp::" if self.behaviour.changes == "timestamp" else "scan:"

    def _ahead(self, table: Table, since: Cursor) -> bool:
        """Is the cursor from a time that this system has not seen?"""
        kind, *rest = since.split(":")
        if kind == "log":
            return int(rest[0]) > len(table.log)
        if kind == "stamp" and rest[0]:
            return not table.log or float(rest[0]) > table.log[-1].stamp
        return False

    def _all(self, table: Table, rest: str, limit: int) -> ChangePage:
        """All living records, then on with the log from where it stood at the beginning."""
        start, _, log = rest.partition(":")
        changes, place = self._living(table, int(start), limit)
        more = place < len(table.order)
        return ChangePage(
            changes=changes,
            cursor=f"all:{place}:{log}" if more else f"log:{log}",
            more=more or int(log) < len(table.log),
        )

    def _scan(self, table: Table, rest: str, limit: int) -> ChangePage:
        changes, place = self._living(table, int(rest or 0), limit)
        more = place < len(table.order)
        return ChangePage(changes=changes, cursor=f"scan:{place}" if more else "scan:", more=more)

    def _living(self, table: Table, start: int, limit: int) -> tuple[tuple[Change, ...], int]:
        changes: list[Change] = []
        place = start
        while place < len(table.order) and len(changes) < limit:
            row = table.order[place]
            if row.gone is None:
                changes.append(Change(id=row.id, version=row.version))
            place += 1
        return tuple(changes), place

    def _log(self, table: Table, start: int, limit: int) -> ChangePage:
        end = min(start + limit, len(table.log))
        latest: dict[str, Entry] = {}
        for entry in table.log[start:end]:
            if self._told(entry):
                latest.pop(entry.id, None)
                latest[entry.id] = entry
        return ChangePage(
            changes=tuple(self._change(entry) for entry in latest.values()),
            cursor=f"log:{end}",
            more=end < len(table.log),
        )

    def _stamps(self, table: Table, rest: str, limit: int) -> ChangePage:
        """By stamp: only the last change of a record is to be seen.

        A clock may give the same stamp again, and a change may come late (overlap): such stamps
        are read once more. Counted stamps are each given once.
        """
        stamp, _, place_text = rest.partition(":")
        if place_text:
            place = int(place_text)
        elif not stamp:
            place = 0
        else:
            place = self.system.first_at(table, float(stamp) - self.behaviour.overlap_seconds)
            once = not self.system.has_clock and not self.behaviour.grain
            if once and not self.behaviour.overlap_seconds:
                while place < len(table.log) and table.log[place].stamp <= float(stamp):
                    place += 1
        changes: list[Change] = []
        while place < len(table.log) and len(changes) < limit:
            entry = table.log[place]
            if table.rows[entry.id].entry == place and self._told(entry):
                changes.append(self._change(entry))
            place += 1
        if place < len(table.log):
            return ChangePage(changes=tuple(changes), cursor=f"stamp:{stamp}:{place}", more=True)
        return ChangePage(changes=tuple(changes), cursor=self._last_stamp(table))

    def _last_stamp(self, table: Table) -> Cursor:
        return f"stamp:{table.log[-1].stamp if table.log else ''}:"

    def _told(self, entry: Entry) -> bool:
        return not entry.gone or self.behaviour.deletes in ("log", "tombstone")

    def _change(self, entry: Entry) -> Change:
        return Change(
            id=entry.id,
            gone=entry.gone,
            merged_into=entry.merged_into,
            version=None if entry.gone else entry.version,
            at=datetime.fromtimestamp(entry.stamp, UTC) if self.system.has_clock else None,
            by=entry.by,
        )

    # Records and writes.

    def _count(self, method: str) -> None:
        self.calls[method] += 1
        if self.behaviour.latency and self._sleep is not None:
            self._sleep(self.behaviour.latency)

    def _table(self, resource: str) -> Table:
        if resource not in self.system.tables:
            raise NeedsUser(
                f"there is no resource {resource!r}",
                place=self.system.name,
                remedy=f"Known are: {', '.join(self.system.tables)}",
            )
        return self.system.tables[resource]

    def _record(self, table: Table, row: Row) -> Record:
        return Record(
            resource=table.resource.name,
            id=row.id,
            version=row.version,
            fields=table.copy(row.fields),
        )

    def _seen(self, table: Table, id: str) -> Record | Gone:
        row = table.rows.get(id)
        if row is None:
            return Gone(resource=table.resource.name, id=id)
        return row.gone or self._record(table, row)

    def _matching(self, table: Table, match: Fields) -> list[Row]:
        found: dict[str, None] | None = None
        for name, value in match.items():
            if table.resource.field(name) is None:
                raise NeedsUser(
                    f"there is no field {name!r}",
                    place=f"{self.system.name} {table.resource.name}",
                    remedy="Correct the match keys of the rule",
                )
            ids = table.matching(name, value)
            found = dict.fromkeys(id for id in ids if found is None or id in found)
        if found is None:
            return list(table.living())
        return [table.rows[id] for id in found]

    def _created(self, table: Table, write: Create) -> Row | None:
        """The record that this very creation made, as far as the system can tell."""
        if self.behaviour.create_key != "lookup":
            id = table.keys.get(write.key)
            return None if id is None else table.rows[id]
        try:
            stored = self.system.outlook(write.resource, write.fields)
        except Refusal:
            return None
        plain = {
            name: value for name, value in stored.items() if not isinstance(value, list | dict)
        }
        rows = [row for row in self._matching(table, plain) if _covers(row.fields, stored)]
        return rows[0] if plain and len(rows) == 1 else None

    def _once(self, write: Write) -> Outcome:
        """Written, or answered as it was when it came before under this key."""
        done = self.system.done
        if write.key in done:
            return cast(Outcome, done[write.key])
        outcome = self._write(write)
        if self.behaviour.keeps_keys and isinstance(outcome, Written):
            done[write.key] = outcome
        return outcome

    def _write(self, write: Write) -> Outcome:
        try:
            table = self._table(write.resource)
            if isinstance(write, Create):
                row = self._created(table, write)
                if row is None:
                    key = None if self.behaviour.create_key == "lookup" else write.key
                    row = self.system.create(write.resource, write.fields, self.user, key)
                return Written(after=self._seen(table, row.id))
            if isinstance(write, Delete):
                gone = self._seen(table, write.id)
                if isinstance(gone, Gone) and write.id in table.rows:
                    return Written(after=gone)
                self._refuse_stale(write)
                row = self.system.delete(write.resource, write.id, self.user)
            else:
                self._refuse_stale(write)
                fields = self._fields_of(write)
                row = self.system.update(write.resource, write.id, fields, self.user)
            return Written(after=self._seen(table, row.id))
        except Refusal as refusal:
            return Refused(
                reason=refusal.reason, message=refusal.message, fields=tuple(refusal.fields)
            )

    def _refuse_stale(self, write: Update | Delete | Act) -> None:
        row = self.system.row(write.resource, write.id)
        if self.behaviour.lock != "none" and write.expected not in (None, row.version):
            raise Refusal("stale", f"{write.resource} {write.id} was changed meanwhile")

    def _fields_of(self, write: Update | Act) -> dict[str, Any]:
        if isinstance(write, Update):
            return write.fields
        if write.action not in self.behaviour.actions:
            raise Refusal("invalid", f"there is no action {write.action}")
        name, value = self.behaviour.actions[write.action]
        return {**write.fields, name: value}


def _covers(fields: Fields, stored: Fields) -> bool:
    """Whether the record holds all of the stored values; new children have no id yet."""
    return all(_same(fields[name], value) for name, value in stored.items())


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) and isinstance(there, list):
        return len(there) == len(wanted) and all(map(_same, there, wanted))
    if isinstance(wanted, dict) and isinstance(there, dict):
        return all(
            _same(there.get(name), value)
            for name, value in wanted.items()
            if name != "id" or value is not None
        )
    return bool(there == wanted)
