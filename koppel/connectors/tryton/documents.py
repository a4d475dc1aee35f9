"""Reading what Koppel watches beside parties: by id, by match, all of it, and what has changed.

Each kind of document has a `Shape`: which fields one nested read asks for, and how a row becomes a
record. Versions and changes come from Tryton's module `koppel`: one call answers which documents
have changed since a moment, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from koppel import typed
from koppel.connectors.base import (
    Change,
    ChangePage,
    Cursor,
    FieldInfo,
    Fields,
    Gone,
    IdPage,
    Record,
    Resource,
)
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.looking_back import start_of_pass
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.errors import Defect, NeedsUser

VERSION = "koppel_version"
SWEEP_PAGE = 2_000
Row = Mapping[str, Any]
Domain = list[Any]


@dataclass(frozen=True)
class Setting:
    """What a row needs besides itself: the code tables, and the server's day."""

    codes: Codes
    today: date


@dataclass(frozen=True)
class Shape:
    """One resource: its fields, the names to read, and how to read them.

    `prepared` reads more for all rows at once where a nested read does not reach; its answer is
    handed to `record`.
    Or the module's `koppel_whole` reads it along: `whole` are its names, by model, and `around`
    makes of its answer what is handed to `record`. `context` is laid over the user's.
    """

    name: str
    label: str
    infos: Callable[[Codes], tuple[FieldInfo, ...]]
    names: tuple[str, ...]
    record: Callable[[Setting, Row, Any], dict[str, Any]]
    domain: tuple[Any, ...] = ()
    prepared: Callable[[TrytonSession, Sequence[Row]], Any] = lambda session, rows: None
    whole: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    around: Callable[[Row], Any] = lambda answer: None
    context: Callable[[TrytonSession], Mapping[str, Any]] = lambda session: {}
    optional: frozenset[str] = frozenset()
    """First parts of names that are read only where Tryton has the field."""


class _Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a reader stands: `since` None is the first pass; `until` and `last` within a pass."""

    since: datetime | None = None
    until: datetime | None = None
    last: int = 0


class Documents:
    """Reads the documents of one session. `zone` is that of the database's time stamps."""

    def __init__(
        self,
        session: TrytonSession,
        shapes: Mapping[str, Shape],
        codes: Codes,
        *,
        overlap: timedelta,
        zone: ZoneInfo,
    ) -> None:
        self._session = session
        self._shapes = shapes
        self._overlap = overlap
        self._zone = zone
        self._names: dict[str, list[str]] = {}
        self.codes = codes

    def describe(self) -> list[Resource]:
        """All resources that this Tryton has."""
        self._names.clear()
        self.codes.forget()
        return [
            Resource(name=shape.name, label=shape.label, fields=self._infos(shape))
            for shape in self._shapes.values()
            if self.has(shape.name)
        ]

    def _infos(self, shape: Shape) -> tuple[FieldInfo, ...]:
        lacking = shape.optional - {name.partition(".")[0] for name in self._readable(shape)}
        return tuple(info for info in shape.infos(self.codes) if info.name not in lacking)

    def has(self, resource: str) -> bool:
        """Does Tryton's module `koppel` watch these?"""
        return VERSION in self._readable(self._shapes[resource])

    # By id and by match.

    def fetch(self, resource: str, ids: Sequence[str]) -> dict[str, Record | Gone]:
        """One entry for each id."""
        numbers = [int(id) for id in ids if id.isascii() and id.isdigit()]
        found = self._read(resource, [["id", "in", numbers]], None) if numbers else {}
        return {id: found.get(id) or Gone(resource=resource, id=id) for id in ids}

    def find(self, resource: str, match: Fields, limit: int | None) -> list[Record]:
        """The documents whose fields equal all of `match`, the oldest first."""
        shape = self._shapes[resource]
        infos = {info.name: info for info in self._infos(shape)}
        domain: Domain = []
        for name, value in match.items():
            info = infos.get(name)
            if info is None or info.type in ("list", "object", "references"):
                raise NeedsUser(
                    f"one cannot search by the field {name!r}",
                    place=f"{self._session.name} {resource}",
                    remedy="Correct the match keys of the rule",
                )
            clause = self._clause(name, info, value)
            if clause is None:
                return []
            domain.append(clause)
        return list(self._read(resource, domain, limit).values())

    def _clause(self, name: str, info: FieldInfo, value: Any) -> Domain | None:
        if value is None:
            return [name, "=", None]
        if info.type == "reference":
            return [name, "=", int(value)] if str(value).isdigit() else None
        table = TABLE_FIELDS.get(name)
        if table is not None:
            number = (
                self.codes.unit_number(value)
                if table == "product.uom"
                else self.codes.number(table, value)
            )
            return None if number is None else [_NATIVE.get(name, name), "=", number]
        return [name, "=", value]

    def _read(self, resource: str, domain: Domain, limit: int | None) -> dict[str, Record]:
        shape = self._shapes[resource]
        domain = [*shape.domain, *domain]
        context = {"active_test": False, **shape.context(self._session)}
        if shape.whole:
            asked = self.asked(resource)
            answer = self._session.call(
                shape.name, "koppel_whole", domain, limit, asked, context=context
            )
            return self.told(resource, answer)
        order, names = [["id", "ASC"]], self._readable(shape)
        rows = self._session.call(
            shape.name, "search_read", domain, 0, limit, order, names, context=context
        )
        return self._records(shape, rows, shape.prepared(self._session, rows) if rows else None)

    def asked(self, resource: str) -> dict[str, list[str]]:
        """The names that `koppel_whole` is to read, by model."""
        shape = self._shapes[resource]
        below = {model: list(names) for model, names in shape.whole.items()}
        return {shape.name: self._readable(shape), **below}

    def told(self, resource: str, answer: Row) -> dict[str, Record]:
        """The records of what `koppel_whole` answered, or a changing call with the same names."""
        shape = self._shapes[resource]
        return self._records(shape, answer["rows"], shape.around(answer))

    def _records(self, shape: Shape, rows: Sequence[Row], more: Any) -> dict[str, Record]:
        setting = Setting(self.codes, self.today())
        return {
            str(row["id"]): Record(
                resource=shape.name,
                id=str(row["id"]),
                version=str(row[VERSION]),
                fields=shape.record(setting, row, more),
            )
            for row in rows
        }

    def today(self) -> date:
        """The day at the server, by the clock of its answers, in the database's zone."""
        seconds = self._session.server_date
        if seconds is None:
            raise Defect("Tryton's answer has no Date", place=self._session.name)
        return datetime.fromtimestamp(seconds, self._zone).date()

    def _readable(self, shape: Shape) -> list[str]:
        """The names to read, less those that this Tryton lacks."""
        if shape.name not in self._names:
            heads = {name.partition(".")[0] for name in shape.names}
            known = self.codes.models.fields(shape.name, {*heads, VERSION})
            wanted = [
                name
                for name in shape.names
                if name.partition(".")[0] not in shape.optional or name.partition(".")[0] in known
            ]
            inner = {name.split(".")[0] for name in shape.optional if "." in name}
            for head in inner:
                wanted = self._without_missing(shape, head, known, wanted)
            self._names[shape.name] = [*wanted, *([VERSION] if VERSION in known else ())]
        return self._names[shape.name]

    def _without_missing(
        self, shape: Shape, head: str, known: Mapping[str, Any], wanted: list[str]
    ) -> list[str]:
        relation = known.get(head, {}).get("relation")
        inner = {name for name in shape.optional if name.startswith(f"{head}.")}
        asked = {name.split(".")[1] for name in inner}
        below = self.codes.models.fields(relation, asked) if relation else {}
        missing = {name for name in inner if name.split(".")[1] not in below}
        return [name for name in wanted if not any(name.startswith(lost) for lost in missing)]

    # The sweep and the changes.

    def ids(self, resource: str, page: str | None) -> IdPage:
        """One page of all documents, by id."""
        if page is not None and not page.isdigit():
            raise Defect(f"the page {page!r} was not made here", place=resource)
        rows = self._call(resource, "koppel_versions", int(page or 0), SWEEP_PAGE)["rows"]
        items = tuple((str(number), version) for number, version, _ in rows)
        return IdPage(items=items, next=items[-1][0] if len(rows) == SWEEP_PAGE else None)

    def now(self, resource: str) -> Cursor:
        """A cursor that stands at this moment."""
        return _written(_Place(since=self._call(resource, "koppel_versions", 0, 0)["at"]))

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        """At most `limit` changes, in one call; within a pass by id."""
        if limit < 1:
            raise Defect(f"a page of {limit} changes was asked for", place=resource)
        place = _place(since, resource)
        if place.since is None:
            answer = self._call(resource, "koppel_versions", place.last, limit)
        else:
            answer = self._changed(resource, place.since, place, limit)
        rows, until = answer["rows"], place.until or answer["at"]
        changes = [
            Change(
                id=str(number),
                version=version,
                at=stamp.replace(tzinfo=self._zone).astimezone(UTC),
            )
            for number, version, stamp in rows
        ]
        if len(rows) < limit:
            changes.sort(key=lambda change: change.at or datetime.min.replace(tzinfo=UTC))
            return ChangePage(changes=tuple(changes), cursor=_written(_Place(since=until)))
        following = _Place(since=place.since, until=until, last=rows[-1][0])
        return ChangePage(changes=tuple(changes), cursor=_written(following), more=True)

    def _changed(self, resource: str, since: datetime, place: _Place, limit: int) -> Any:
        # The clock comes with the answer: where it was set back, it is asked once more.
        start = start_of_pass(since, place.until, self._overlap, self._zone)
        answer = self._call(resource, "koppel_changed", start, place.last, limit)
        now = place.until or answer["at"]
        earlier = start_of_pass(since, now, self._overlap, self._zone)
        if earlier < start:
            answer = self._call(resource, "koppel_changed", earlier, place.last, limit)
        return answer

    def _call(self, resource: str, method: str, *args: Any) -> Any:
        return self._session.call(self._shapes[resource].name, method, *args)


TABLE_FIELDS = {
    "currency": "currency.currency",
    "payment_term": "account.invoice.payment_term",
    "incoterm": "incoterm.incoterm",
    "unit": "product.uom",
    "sale_unit": "product.uom",
}
"""Native fields that hold the code of a row, and the table of the row."""
_NATIVE = {"unit": "default_uom", "sale_unit": "sale_uom"}


def _written(place: _Place) -> Cursor:
    return msgspec.json.encode(place).decode()


def _place(since: Cursor | None, resource: str) -> _Place:
    if since is None:
        return _Place()
    try:
        return typed.from_json(since, _Place)
    except msgspec.MsgspecError:
        raise Defect(f"the cursor {since!r} was not made here", place=resource) from None
