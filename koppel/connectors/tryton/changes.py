"""What has changed since a cursor.

* A cursor is a moment of the database's own clock. Time stamps in Tryton are those of the start of
  a transaction, so a record may appear behind the cursor: each pass looks back by the overlap
  (`looking_back`) and tells a record again, with its version.
* Within a pass records come in the order of their ids; the pass ends where it began in time.
* What no time stamp shows is left to the sweep (`Reader.ids`): a child or an employment that was
  deleted directly, an employment whose end date passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from koppel import typed
from koppel.connectors.base import Change, ChangePage, Cursor
from koppel.connectors.tryton.looking_back import start_of_pass
from koppel.connectors.tryton.reading import ANY_STATE, Domain, Reader
from koppel.connectors.tryton.records import newest_stamp, stamp_names
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.schema import BANK_ACCOUNTS, CHANGED_AT, CONTACT, PARTY, Schema
from koppel.errors import Defect

_TOLD = (
    "active",
    "replaced_by",
    "create_date",
    "last_modified_at",
    "write_uid.rec_name",
    "create_uid.rec_name",
)


class _Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a reader stands: `since` None is the first pass over everything.

    `until` is when the running pass began, `last` the last id it told; both only within a pass.
    """

    since: datetime | None = None
    until: datetime | None = None
    last: int = 0


class ChangeReader:
    """Reads what changed. `zone` is that of the database's time stamps."""

    def __init__(
        self,
        session: TrytonSession,
        reader: Reader,
        schema: Schema,
        *,
        overlap: timedelta,
        zone: ZoneInfo,
    ) -> None:
        self._session = session
        self._reader = reader
        self._schema = schema
        self._tie = schema.relation_type
        self._overlap = overlap
        self._zone = zone

    def clock(self) -> datetime:
        """The database's clock, naive in its own zone, as its time stamps are.

        The view `party.relation.all` has no stamps of its own and answers with the present moment.
        Without any relation the moment is the server's, from its `Date` header.
        """
        model, name = (PARTY, "id") if self._tie is None else ("party.relation.all", "create_date")
        rows = self._session.call(model, "search_read", [], 0, 1, None, [name])
        moment = rows[0][name] if rows else None
        if isinstance(moment, datetime):
            return moment
        seconds = self._session.server_date
        if seconds is None:
            raise Defect("Tryton's answer has no Date", place=self._session.name)
        return datetime.fromtimestamp(seconds, self._zone).replace(tzinfo=None)

    def now(self) -> Cursor:
        """A cursor that stands at this moment."""
        return _written(_Place(since=self.clock()))

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        """At most `limit` changes; see the module."""
        if limit < 1:
            raise Defect(f"a page of {limit} changes was asked for", place=resource)
        place = _place(since, resource)
        until = place.until or self.clock()
        if place.since is None:
            changes, last = self._everything(resource, place.last, limit)
        else:
            start = start_of_pass(place.since, until, self._overlap, self._zone)
            changes, last = self._since(resource, start, place.last, limit)
        if last is None:
            return ChangePage(changes=changes, cursor=_written(_Place(since=until)))
        following = _Place(since=place.since, until=until, last=last)
        return ChangePage(changes=changes, cursor=_written(following), more=True)

    def _everything(
        self, resource: str, last: int, limit: int
    ) -> tuple[tuple[Change, ...], int | None]:
        domain = [*self._reader.living_domain(resource), ["id", ">", last]]
        rows = self._reader.versions(resource, domain, limit)
        changes = tuple(Change(id=str(row["id"]), version=version) for version, row in rows)
        return changes, rows[-1][1]["id"] if len(rows) == limit else None

    def _since(
        self, resource: str, start: datetime, last: int, limit: int
    ) -> tuple[tuple[Change, ...], int | None]:
        domain = [["id", ">", last], ANY_STATE, self._touched(resource, start)]
        own = self._reader.own_parties()
        if own:
            domain.append(["id", "not in", own])
        found = self._reader.versions(resource, domain, limit, [*_TOLD, *self._stamps()])
        if not found:
            return (), None
        rows = [row for _, row in found]
        of_kind = self._of_kind(resource, rows)
        left = self._left(resource, [row for row in rows if row["id"] not in of_kind], start)
        changes = [
            self._change(row, version if row["id"] in of_kind and row["active"] else None)
            for version, row in found
            if row["id"] in of_kind or row["id"] in left
        ]
        changes.sort(key=lambda change: change.at or datetime.min.replace(tzinfo=UTC))
        return tuple(changes), rows[-1]["id"] if len(rows) == limit else None

    def _change(self, row: Mapping[str, Any], version: str | None) -> Change:
        """Without a version it is gone."""
        editor = row.get("write_uid.") or row.get("create_uid.") or {}
        moment = self._moment(row)
        # Who edited a child alone is not told here. A stamp is told with five or six decimals.
        is_own = moment - row["last_modified_at"] < timedelta(milliseconds=1)
        return Change(
            id=str(row["id"]),
            gone=version is None,
            merged_into=str(row["replaced_by"]) if row.get("replaced_by") else None,
            version=version,
            at=moment.replace(tzinfo=self._zone).astimezone(UTC),
            by=editor.get("rec_name") if is_own else None,
        )

    def _touched(self, resource: str, start: datetime) -> Domain:
        """Parties of which something has a stamp from `start` on."""
        # Tryton asks for active records in each part of a domain that does not speak of them.
        domain: Domain = ["OR", ["active", "in", []], *self._stamped(start)]
        merged = self._merged(start) if resource == CONTACT and self._tie is not None else []
        if merged:
            # Tryton leaves the contacts of a company as they were when it is merged into another.
            tied = [["type", "=", self._tie], ["to", "in", merged], ANY_STATE]
            domain.append(["relations", "where", tied])
        return domain

    def _stamps(self) -> list[str]:
        return [CHANGED_AT] if self._schema.module else stamp_names(self._schema)

    def _moment(self, row: Mapping[str, Any]) -> datetime:
        """When the row or something of it was written last, naive in the database's zone."""
        if self._schema.module:
            moment: datetime = row[CHANGED_AT]
            return moment
        youngest = newest_stamp(self._schema, row)
        return datetime.fromtimestamp(youngest, UTC).replace(tzinfo=None)

    def _stamped(self, start: datetime) -> list[Domain]:
        """Clauses for a party, its children and its employments, archived ones too."""
        if self._schema.module:
            return [[CHANGED_AT, ">=", start]]
        late = ["last_modified_at", ">=", start]
        clauses: list[Domain] = [late]
        clauses += [[name, "where", [late, ANY_STATE]] for name in self._schema.children]
        if self._schema.bank is not None:
            numbers = ["numbers", "where", [late, ANY_STATE]]
            clauses += [[BANK_ACCOUNTS, "where", [part, ANY_STATE]] for part in (late, numbers)]
        if self._tie is not None:
            # The view has no stamps when it is read, but knows them when it is searched.
            tie = ["type", "=", self._tie]
            for name in ("create_date", "write_date"):
                clauses.append(["relations", "where", [tie, [name, ">=", start], ANY_STATE]])
        return clauses

    def _merged(self, start: datetime) -> list[int]:
        """Parties that were merged into another one since."""
        domain = [
            ["replaced_by", "!=", None],
            ["last_modified_at", ">=", start],
            ["active", "=", False],
        ]
        return [row["id"] for row in self._reader.rows(domain, None, ["id"])]

    def _of_kind(self, resource: str, rows: Sequence[Mapping[str, Any]]) -> set[int]:
        """The rows that are (or were) records of that resource."""
        numbers = [row["id"] for row in rows]
        if self._tie is None:
            return set(numbers)
        domain = [["id", "in", numbers], ANY_STATE, *self._reader.kind_domain(resource)]
        return {row["id"] for row in self._reader.rows(domain, None, ["id"])}

    def _left(
        self, resource: str, others: Sequence[Mapping[str, Any]], start: datetime
    ) -> set[int]:
        """Parties known from before that were tied to an employer since, and so are gone here."""
        older = [row["id"] for row in others if row["create_date"] < start]
        if resource == CONTACT or not older:
            return set()
        domain = [
            ["from_", "in", older],
            ["type", "=", self._tie],
            ["create_date", ">=", start],
        ]
        found = self._session.call(
            "party.relation.all", "search_read", domain, 0, None, None, ["from_"]
        )
        return {row["from_"] for row in found}


def _written(place: _Place) -> Cursor:
    return msgspec.json.encode(place).decode()


def _place(since: Cursor | None, resource: str) -> _Place:
    if since is None:
        return _Place()
    try:
        return typed.from_json(since, _Place)
    except msgspec.MsgspecError:
        raise Defect(f"the cursor {since!r} was not made here", place=resource) from None
