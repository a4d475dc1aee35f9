"""A business system in memory: the reference for what connectors meet, fast and without surprise.

Several connectors and human users may share one `MemorySystem`. It checks values against its
declared fields, gives ids, counts versions, keeps a log of all changes, and (where its `Behaviour`
says so) cuts, trims, rounds and upper-cases values the way real systems do. It has no clock and
no chance of its own: without an injected clock its stamps count 1, 2, 3 ...

A list of children is always given as a whole: a child with a known `id` is changed (fields that
it leaves out stay), one without is added, one that is missing is removed.
"""

from __future__ import annotations

import copy
import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from koppel.connectors.base import FieldInfo, Gone, Reason, Resource


@dataclass(frozen=True)
class Behaviour:
    """How a memory system behaves. Texts naming fields are written `resource.field`.

    `lossy`: long texts are cut, blanks at the ends dropped and decimals rounded to their scale,
    where a strict system refuses. `grain`: seconds that one stamp lasts (0: each change its own).
    `keeps_keys`: a write whose key was done already is not done again, and gets the answer of then.
    `latency`: seconds that each call takes. `actions`: what an action sets, by its name.
    """

    changes: Literal["log", "timestamp", "scan"] = "log"
    deletes: Literal["log", "tombstone", "scan", "never"] = "log"
    create_key: Literal["native", "external_id", "lookup"] = "native"
    lock: Literal["version", "timestamp", "none"] = "version"
    lossy: bool = False
    upper: frozenset[str] = frozenset()
    unique: frozenset[str] = frozenset()
    drop_unknown: bool = False
    trash: bool = True
    unordered: bool = False
    keeps_keys: bool = False
    grain: float = 0.0
    overlap_seconds: int = 0
    latency: float = 0.0
    max_fetch: int = 200
    max_write: int = 100
    ids_page: int = 10_000
    actions: Mapping[str, tuple[str, Any]] = field(default_factory=dict)


class Refusal(Exception):
    """The system says no, in its own words."""

    def __init__(self, reason: Reason, message: str, *fields: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.fields = fields


class Row:
    """One stored record with its version, its last stamp and the key of its creation."""

    __slots__ = ("entry", "fields", "gone", "id", "key", "stamp", "version")

    def __init__(self, id: str, fields: dict[str, Any], key: str | None) -> None:
        self.id = id
        self.fields = fields
        self.key = key
        self.gone: Gone | None = None
        self.version = ""
        self.stamp = 0.0
        self.entry = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the change log."""

    id: str
    stamp: float
    by: str
    version: str
    gone: bool
    merged_into: str | None


class Table:
    """All records of one resource, in the order of their creation, and their log."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.infos = {info.name: info for info in resource.fields}
        self.lists = tuple(i.name for i in resource.fields if i.type in ("list", "references"))
        self.maps = tuple(info.name for info in resource.fields if info.type == "object")
        self.rows: dict[str, Row] = {}
        self.order: list[Row] = []
        self.log: list[Entry] = []
        self.keys: dict[str, str] = {}
        self._indexes: dict[str, dict[Any, dict[str, None]]] = {}

    def copy(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields, so that changing them changes nothing here."""
        copied = dict(fields)
        for name in self.lists:
            copied[name] = [
                dict(one) if isinstance(one, dict) else one for one in copied[name] or ()
            ]
        for name in self.maps:
            if copied[name] is not None:
                copied[name] = dict(copied[name])
        return copied

    def living(self) -> Iterator[Row]:
        return (row for row in self.order if row.gone is None)

    def matching(self, name: str, value: Any) -> Sequence[str]:
        """Ids of living records in which the field (or a child's field, `a.b`) equals the value."""
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = {}
            for row in self.living():
                for found in _values(row.fields, name):
                    index.setdefault(found, {})[row.id] = None
        try:
            return tuple(index.get(value, ()))
        except TypeError:
            return ()

    def unindex(self, row: Row) -> None:
        for name, index in self._indexes.items():
            for value in _values(row.fields, name):
                index.get(value, {}).pop(row.id, None)

    def index(self, row: Row) -> None:
        for name, index in self._indexes.items():
            for value in _values(row.fields, name):
                index.setdefault(value, {})[row.id] = None


class MemorySystem:
    """The system itself. `by` in its methods is the name of the acting user."""

    def __init__(
        self,
        name: str,
        resources: Sequence[Resource],
        behaviour: Behaviour | None = None,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self.behaviour = behaviour or Behaviour()
        self.tables = {resource.name: Table(resource) for resource in resources}
        self.has_clock = clock is not None
        self._clock = clock
        self._ticks = 0
        self._children = 0
        self.done: dict[str, Any] = {}
        """Key of a write -> the answer to it, where keys are kept."""
        self._inner: dict[int, dict[str, FieldInfo]] = {}

    def table(self, resource: str) -> Table:
        return self.tables[resource]

    def row(self, resource: str, id: str) -> Row:
        """The living record, or a `Refusal`."""
        row = self.tables[resource].rows.get(id)
        if row is None or row.gone is not None:
            raise Refusal("missing", f"there is no {resource} {id}")
        return row

    def create(
        self, resource: str, fields: Mapping[str, Any], by: str, key: str | None = None
    ) -> Row:
        table = self.tables[resource]
        stored = self._checked(table, fields, {})
        id = str(len(table.order) + 1)
        self._refuse_duplicates(table, stored, id)
        row = Row(id, stored, key)
        table.rows[id] = row
        table.order.append(row)
        if key is not None:
            table.keys[key] = id
        table.index(row)
        self._note(table, row, by)
        return row

    def update(self, resource: str, id: str, fields: Mapping[str, Any], by: str) -> Row:
        """Change the given fields. A write that changes nothing gets a new version all the same."""
        table = self.tables[resource]
        row = self.row(resource, id)
        stored = self._checked(table, fields, row.fields)
        self._refuse_duplicates(table, stored, id)
        table.unindex(row)
        row.fields = {**row.fields, **stored}
        table.index(row)
        self._note(table, row, by)
        return row

    def delete(self, resource: str, id: str, by: str) -> Row:
        """Into the trash, or away for good, as the behaviour says; refused while referenced."""
        row = self.row(resource, id)
        if self.behaviour.deletes == "never":
            raise Refusal("forbidden", f"{self.name} never deletes a {resource}")
        user = self._user_of(resource, id)
        if user:
            raise Refusal("in_use", f"{resource} {id} is used by {user}")
        gone = Gone(resource=resource, id=id, trashed=self.behaviour.trash)
        return self._remove(resource, row, gone, by)

    def merge(self, resource: str, id: str, into: str, by: str) -> Row:
        """`id` becomes part of `into`, which takes over what it lacks and all references."""
        row, target = self.row(resource, id), self.row(resource, into)
        if row is target:
            raise Refusal("invalid", "a record cannot be merged into itself")
        table = self.tables[resource]
        taken = {
            name: value
            for name, value in row.fields.items()
            if target.fields[name] in (None, "") and value not in (None, "", [])
        }
        for other, link in self._links(resource):
            for user in tuple(self.tables[other].matching(link, id)):
                self.update(other, user, {link: into}, by)
        gone = Gone(resource=resource, id=id, merged_into=into)
        self._remove(resource, row, gone, by)
        table.unindex(target)
        target.fields = {**target.fields, **taken}
        table.index(target)
        self._note(table, target, by)
        return target

    def restore(self, resource: str, id: str, by: str) -> Row:
        """Take a record out of the trash."""
        table = self.tables[resource]
        row = table.rows.get(id)
        if row is None or row.gone is None or not row.gone.trashed:
            raise Refusal("missing", f"there is no {resource} {id} in the trash")
        row.gone = None
        table.index(row)
        self._note(table, row, by)
        return row

    def snapshot(self) -> Any:
        """Everything as it is now, for `put_back`."""
        return copy.deepcopy((self.tables, self._children, self.done))

    def put_back(self, snapshot: Any) -> None:
        """Be as at the snapshot: ids and places in the log are given out again.

        Versions are not: they stand for contents, as those of any system should.
        """
        self.tables, self._children, self.done = copy.deepcopy(snapshot)

    def outlook(self, resource: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """How these fields would look once stored, without new children."""
        return self._checked(self.tables[resource], fields, None)

    def first_at(self, table: Table, stamp: float) -> int:
        """The place in the log of the first change with at least this stamp."""
        return bisect_left(table.log, stamp, key=lambda entry: entry.stamp)

    def _remove(self, resource: str, row: Row, gone: Gone, by: str) -> Row:
        table = self.tables[resource]
        table.unindex(row)
        row.gone = gone
        self._note(table, row, by)
        return row

    def _note(self, table: Table, row: Row, by: str) -> None:
        self._ticks += 1
        stamp = float(self._ticks) if self._clock is None else self._clock()
        if self.behaviour.grain:
            stamp = stamp // self.behaviour.grain * self.behaviour.grain
        # A log is in the order of its stamps even where somebody sets the clock back.
        row.stamp = max(stamp, table.log[-1].stamp) if table.log else stamp
        if self.behaviour.lock == "timestamp":
            row.version = f"{row.stamp:.6f}/{_fingerprint(row.fields)}"
        else:
            row.version = str(self._ticks)
        row.entry = len(table.log)
        table.log.append(
            Entry(
                id=row.id,
                stamp=row.stamp,
                by=by,
                version=row.version,
                gone=row.gone is not None,
                merged_into=row.gone.merged_into if row.gone else None,
            )
        )

    def _links(self, resource: str) -> Iterator[tuple[str, str]]:
        for name, table in self.tables.items():
            for info in table.resource.fields:
                if info.type == "reference" and info.reference == resource:
                    yield name, info.name

    def _user_of(self, resource: str, id: str) -> str:
        for other, link in self._links(resource):
            users = self.tables[other].matching(link, id)
            if users:
                return f"{other} {users[0]}"
        return ""

    def _refuse_duplicates(self, table: Table, fields: Mapping[str, Any], id: str) -> None:
        for name, value in fields.items():
            if value in (None, "") or f"{table.resource.name}.{name}" not in self.behaviour.unique:
                continue
            if any(other != id for other in table.matching(name, value)):
                raise Refusal("duplicate", f"{name} {value} is taken", name)

    def _checked(
        self, table: Table, fields: Mapping[str, Any], before: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The values as stored: only those given where there is a record before, else all."""
        creating = before is not None and not before
        stored: dict[str, Any] = {}
        if creating:
            stored = {name: [] if name in table.lists else None for name in table.infos}
        for name, value in fields.items():
            info = table.infos.get(name)
            if info is None:
                if self.behaviour.drop_unknown:
                    continue
                raise Refusal("invalid", f"there is no field {name}", name)
            if not info.writable:
                raise Refusal("invalid", f"{name} cannot be written", name)
            path = f"{table.resource.name}.{name}"
            stored[name] = self._value(info, value, path, (before or {}).get(name), before is None)
        missing = [
            name
            for name, declared in table.infos.items()
            if declared.required and stored.get(name, 0) in (None, "", [])
        ]
        if missing:
            raise Refusal("invalid", f"{', '.join(missing)} must be given", *missing)
        return stored

    def _value(self, info: FieldInfo, value: Any, path: str, old: Any, dry: bool) -> Any:
        if value is None:
            return [] if info.type in ("list", "references") else None
        if info.type == "list":
            return self._children_of(info, value, path, old or (), dry)
        if info.type == "object":
            return self._child(info, value, path, old or {}, dry)
        if info.type == "references":
            return [self._scalar(info, one, path) for one in value]
        return self._scalar(info, value, path)

    def _children_of(
        self, info: FieldInfo, value: Any, path: str, old: Sequence[Any], dry: bool
    ) -> list[dict[str, Any]]:
        if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
            raise Refusal("invalid", f"{info.name} must be a list of records", info.name)
        known = {child["id"]: child for child in old}
        children = []
        for given in value:
            id = given.get("id")
            if id is not None and id not in known and not dry:
                raise Refusal("invalid", f"{info.name} has no child {id}", info.name)
            child = self._child(info, given, path, known.get(id, {}), dry)
            if id is None and not dry:
                self._children += 1
                id = str(self._children)
            children.append({"id": id, **child})
        return children

    def _child(
        self, info: FieldInfo, given: Any, path: str, old: Mapping[str, Any], dry: bool
    ) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise Refusal("invalid", f"{info.name} must be a record", info.name)
        infos = self._inner.get(id(info)) or self._learn(info)
        child = {} if dry else {name: old.get(name) for name in infos}
        for name, value in given.items():
            if name == "id":
                continue
            inner = infos.get(name)
            if inner is None:
                if self.behaviour.drop_unknown:
                    continue
                raise Refusal("invalid", f"{info.name} has no field {name}", f"{info.name}.{name}")
            child[name] = self._value(inner, value, f"{path}.{name}", None, True)
        for inner in info.fields:
            if inner.required and child.get(inner.name, dry) in (None, ""):
                name = f"{info.name}.{inner.name}"
                raise Refusal("invalid", f"{name} must be given", name)
        return child

    def _learn(self, info: FieldInfo) -> dict[str, FieldInfo]:
        infos = {inner.name: inner for inner in info.fields}
        self._inner[id(info)] = infos
        return infos

    def _scalar(self, info: FieldInfo, value: Any, path: str) -> Any:
        """The value as stored. `path` is `resource.field`; its part after the dot is to blame."""
        if info.type == "text":
            return self._text(info, value, path)
        if info.type == "decimal":
            return self._decimal(info, value, path)
        complaint = ""
        if info.type == "choice":
            if not any(choice.value == value for choice in info.choices):
                complaint = f"has no choice {value}"
        elif info.type in ("reference", "references"):
            known = self.tables.get(info.reference or "")
            if known is not None and (value not in known.rows or known.rows[value].gone):
                complaint = f"points to {value}, which is not there"
        elif not _fits(info.type, value):
            complaint = f"must be of the type {info.type}"
        if complaint:
            raise _blame(path, complaint)
        return value

    def _text(self, info: FieldInfo, value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise _blame(path, "must be a text")
        text = value.strip()[: info.max_length] if self.behaviour.lossy else value
        if info.max_length is not None and len(text) > info.max_length:
            raise _blame(path, f"is longer than {info.max_length} characters")
        return text.upper() if path in self.behaviour.upper else text

    def _decimal(self, info: FieldInfo, value: Any, path: str) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, Decimal | int):
            raise _blame(path, "must be a decimal number")
        number = Decimal(value)
        if info.scale is None:
            return number
        rounded = number.quantize(Decimal(1).scaleb(-info.scale), rounding=ROUND_HALF_UP)
        if rounded != number and not self.behaviour.lossy:
            raise _blame(path, f"has more than {info.scale} decimal places")
        return rounded


def _blame(path: str, complaint: str) -> Refusal:
    name = path.partition(".")[2]
    return Refusal("invalid", f"{name} {complaint}", name)


def _fits(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "date":
        return isinstance(value, date) and not isinstance(value, datetime)
    return kind != "datetime" or isinstance(value, datetime)


def _values(fields: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The values that `name` (`a`, or `a.b` for children) takes in a record."""
    head, _, rest = name.partition(".")
    value = fields.get(head)
    if rest:
        for child in (value,) if isinstance(value, Mapping) else value or ():
            yield from _values(child, rest)
    elif isinstance(value, list):
        yield from (one for one in value if not isinstance(one, dict))
    elif not isinstance(value, dict):
        yield value


def _fingerprint(fields: Mapping[str, Any]) -> str:
    return hashlib.blake2b(repr(sorted(fields.items())).encode(), digest_size=8).hexdigest()
