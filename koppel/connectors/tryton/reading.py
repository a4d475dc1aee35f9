"""Reading parties: by id, by match, all of them, and what has changed since a cursor.

* A cursor is a moment of the database's own clock. Time stamps in Tryton are those of the start of
  a transaction, so a record may appear behind the cursor: each pass looks back by `overlap_seconds`
  and tells a record again, with its version.
* Within a pass records come in the order of their ids; the pass ends where it began in time.
* What no time stamp shows is left to the sweep (`ids`): a child or an employment that was deleted
  directly, an employment whose end date passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from koppel.connectors.base import Change, ChangePage, Cursor, Fields, Gone, IdPage, Record
from koppel.connectors.tryton.records import (
    Snapshot,
    read_names,
    snapshots,
    ties_of,
)
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.schema import (
    BANK_ACCOUNTS,
    CHANGED_AT,
    CONTACT,
    EMPLOYER,
    PARTY,
    VERSION,
    Leaf,
    Schema,
)
from koppel.connectors.tryton.tables import ValueTables
from koppel.connectors.tryton.values import compact_iban
from koppel.errors import Defect, NeedsUser

Domain = list[Any]
SWEEP_PAGE = 500
_ANY_STATE = ["active", "in", [True, False]]
OWN_MODELS = ("company.company", "company.employee", "bank")
"""Whose parties are not customers: our own companies, our staff, the banks."""

_OWN_SECONDS = 60.0


class _Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a reader stands: `since` None is the first pass over everything.

    `until` is when the running pass began, `last` the last id it told; both only within a pass.
    """

    since: datetime | None = None
    until: datetime | None = None
    last: int = 0


class Reader:
    """Reads the parties of one session."""

    def __init__(
        self,
        session: TrytonSession,
        schema: Schema,
        tables: ValueTables,
        *,
        overlap: timedelta,
        zone: ZoneInfo,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._schema = schema
        self._tables = tables
        self._overlap = overlap
        self._zone = zone
        self._ticks = ticks
        self._models: tuple[str, ...] | None = None
        self._own: list[int] | None = None
        self._own_until = 0.0

    # By id and by match.

    def snapshots(self, ids: Iterable[str]) -> dict[str, Snapshot]:
        """The parties of these ids that are there, active or not."""
        numbers = [int(text) for text in ids if text.isascii() and text.isdigit()]
        if not numbers:
            return {}
        return self._read([["id", "in", numbers], _ANY_STATE], None)

    def fetch(self, resource: str, ids: Sequence[str]) -> dict[str, Record | Gone]:
        """One entry for each id."""
        found = self.snapshots(ids)
        own = set(self._own_parties()) if found else set()
        answer: dict[str, Record | Gone] = {}
        for id in ids:
            snapshot = found.get(id)
            if snapshot is None or int(id) in own:
                answer[id] = Gone(resource=resource, id=id)
            else:
                answer[id] = snapshot.seen_as(resource)
        return answer

    def find(self, resource: str, match: Fields, limit: int) -> list[Record]:
        """Living records whose fields equal all of `match`, the oldest first."""
        domain = self._living(resource)
        for name, value in match.items():
            clause = self._clause(resource, name, value)
            if clause is None:
                return []
            domain.append(clause)
        return [snapshot.record for snapshot in self._read(domain, limit).values()]

    def by_keys(self, keys: Iterable[str]) -> dict[str, Snapshot]:
        """The parties that were created under these keys, active or not."""
        found = self._read([["koppel_key", "in", list(keys)], _ANY_STATE], None)
        return {snapshot.record.fields["koppel_key"]: snapshot for snapshot in found.values()}

    def has_code(self, code: str) -> bool:
        """Is there a party with that code, active or not?"""
        return bool(self._search_read(PARTY, [["code", "=", code], _ANY_STATE], 1, ["code"]))

    def accounts(self, ibans: Iterable[str]) -> dict[str, int]:
        """The bank accounts that Tryton knows under these IBANs."""
        wanted = list(ibans)
        if not wanted:
            return {}
        rows = self._search_read(
            "bank.account.number",
            [["number_compact", "in", wanted], ["type", "=", "iban"]],
            None,
            ["number_compact", "account"],
        )
        return {row["number_compact"]: row["account"] for row in rows}

    def _read(self, domain: Domain, limit: int | None) -> dict[str, Snapshot]:
        rows = self._search_read(PARTY, domain, limit, read_names(self._schema))
        found = snapshots(self._schema, self._tables, rows, _today())
        return {snapshot.record.id: snapshot for snapshot in found}

    def _search_read(
        self, model: str, domain: Domain, limit: int | None, names: Sequence[str]
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._session.call(
            model, "search_read", domain, 0, limit, [["id", "ASC"]], list(names)
        )
        return rows

    # Domains.

    def _living(self, resource: str) -> Domain:
        domain: Domain = [["active", "=", True]]
        tie = self._schema.relation_type
        if tie is not None:
            operator = "where" if resource == CONTACT else "not where"
            domain.append(["relations", operator, [["type", "=", tie]]])
        own = self._own_parties()
        if own:
            domain.append(["id", "not in", own])
        return domain

    def _own_parties(self) -> list[int]:
        if self._own is not None and self._ticks() < self._own_until:
            return self._own
        found: set[int] = set()
        for model in self._own_models():
            rows = self._search_read(model, [], None, ["party"])
            found.update(row["party"] for row in rows if row["party"])
        self._own, self._own_until = sorted(found), self._ticks() + _OWN_SECONDS
        return self._own

    def _own_models(self) -> tuple[str, ...]:
        if self._models is None:
            rows = self._search_read("ir.model", [["name", "in", list(OWN_MODELS)]], None, ["name"])
            self._models = tuple(row["name"] for row in rows)
        return self._models

    def _clause(self, resource: str, name: str, value: Any) -> Domain | None:
        """A search clause; None where the value can match nothing."""
        head, _, child_name = name.partition(".")
        child = self._schema.children.get(head)
        if name in self._schema.leaves:
            clause = self._leaf_clause(name, self._schema.leaves[name], value)
            return _by_value_rows(clause) if name in _VALUE_ROWS else clause
        if child is not None and child_name in child.leaves:
            return self._leaf_clause(name, child.leaves[child_name], value)
        if child is not None and not child_name and isinstance(value, list):
            return self._list_clause(head, child.leaves, value)
        if name == f"{BANK_ACCOUNTS}.iban" and self._schema.bank is not None:
            return [f"{BANK_ACCOUNTS}.numbers.number_compact", "=", compact_iban(value)]
        if name == EMPLOYER and resource == CONTACT and str(value).isdigit():
            tie = self._schema.relation_type
            return ["relations", "where", [["type", "=", tie], ["to", "=", int(value)]]]
        raise NeedsUser(
            f"one cannot search by the field {name!r}",
            place=f"{self._session.name} {resource}",
            remedy="Correct the match keys of the rule",
        )

    def _leaf_clause(self, path: str, leaf: Leaf, value: Any) -> Domain | None:
        if value is None:
            return [path, "=", None]
        if leaf.table:
            number = self._tables.number(leaf.table, str(value))
            return None if number is None else [path, "=", number]
        if leaf.info.type == "reference":
            return [path, "=", int(value)] if str(value).isdigit() else None
        return [path, "=", value]

    def _list_clause(
        self, name: str, leaves: Mapping[str, Leaf], items: Sequence[Any]
    ) -> Domain | None:
        clauses: Domain = []
        for item in items:
            inner = [
                self._leaf_clause(key, leaves[key], value)
                for key, value in item.items()
                if key in leaves
            ]
            if None in inner:
                return None
            clauses.append([name, "where", inner])
        return clauses or [name, "=", None]

    # The sweep.

    def ids(self, resource: str, page: str | None) -> IdPage:
        """One page of all living records, by id."""
        domain = [*self._living(resource), ["id", ">", _page_number(page, resource)]]
        rows = self._search_read(PARTY, domain, SWEEP_PAGE, [VERSION])
        items = tuple((str(row["id"]), row[VERSION]) for row in rows)
        return IdPage(items=items, next=items[-1][0] if len(rows) == SWEEP_PAGE else None)

    # Changes.

    def clock(self) -> datetime:
        """The database's clock, naive in its own zone, as its time stamps are.

        The view `party.relation.all` has no stamps of its own and answers with the present moment.
        Without any relation the moment is the server's, from its `Date` header.
        """
        if self._schema.relation_type is not None:
            rows = self._search_read("party.relation.all", [], 1, ["create_date"])
            if rows and isinstance(rows[0]["create_date"], datetime):
                return rows[0]["create_date"]
        else:
            self._search_read("party.party", [], 1, ["id"])
        seconds = self._session.server_date
        if seconds is None:
            raise Defect("Tryton's answer has no Date", place=self._session.name)
        moment = datetime.fromtimestamp(seconds, UTC)
        return moment.astimezone(self._zone).replace(tzinfo=None)

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
            start = place.since - self._overlap
            changes, last = self._since(resource, start, place.last, limit)
        if last is None:
            return ChangePage(changes=changes, cursor=_written(_Place(since=until)))
        following = _Place(since=place.since, until=until, last=last)
        return ChangePage(changes=changes, cursor=_written(following), more=True)

    def _everything(
        self, resource: str, last: int, limit: int
    ) -> tuple[tuple[Change, ...], int | None]:
        domain = [*self._living(resource), ["id", ">", last]]
        names = [VERSION]
        rows = self._search_read(PARTY, domain, limit, names)
        changes = tuple(Change(id=str(row["id"]), version=row[VERSION]) for row in rows)
        return changes, rows[-1]["id"] if len(rows) == limit else None

    def _since(
        self, resource: str, start: datetime, last: int, limit: int
    ) -> tuple[tuple[Change, ...], int | None]:
        domain = [["id", ">", last], self._touched(resource, start)]
        found: list[int] = self._session.call(
            PARTY,
            "search",
            domain,
            0,
            limit,
            [["id", "ASC"]],
            context={"active_test": False},
        )
        if not found:
            return (), None
        names = [*_TOLD, *self._tie_names()]
        rows = self._search_read(PARTY, [["id", "in", found], _ANY_STATE], None, names)
        own = set(self._own_parties())
        late = self._became_contacts(resource, rows, start)
        changes = []
        for row in rows:
            is_contact = bool(ties_of(self._schema, row))
            if row["id"] in own:
                continue
            if is_contact == (resource == CONTACT) or row["id"] in late:
                changes.append(self._change(resource, row, is_contact))
        changes.sort(key=lambda change: change.at or datetime.min.replace(tzinfo=UTC))
        return tuple(changes), found[-1] if len(found) == limit else None

    def _change(self, resource: str, row: Mapping[str, Any], is_contact: bool) -> Change:
        living = bool(row["active"]) and is_contact == (resource == CONTACT)
        editor = row.get("write_uid.") or row.get("create_uid.") or {}
        moment = row[CHANGED_AT].replace(tzinfo=self._zone)
        is_own = row["last_modified_at"] == row[CHANGED_AT]
        return Change(
            id=str(row["id"]),
            gone=not living,
            merged_into=str(row["replaced_by"]) if row.get("replaced_by") else None,
            version=row[VERSION] if living else None,
            at=moment.astimezone(UTC),
            by=editor.get("rec_name") if is_own else None,
        )

    def _touched(self, resource: str, start: datetime) -> Domain:
        """Parties of which something has a stamp from `start` on."""
        domain: Domain = ["OR", [CHANGED_AT, ">=", start]]
        tie = self._schema.relation_type
        if tie is not None and resource == CONTACT:
            # Merging companies moves their contacts without a stamp of their own.
            heirs = self._heirs(start)
            if heirs:
                moved = [["type", "=", tie], ["to", "in", heirs]]
                domain.append(["relations", "where", moved])
        return domain

    def _tie_names(self) -> list[str]:
        return [] if self._schema.relation_type is None else ["relations.type", "relations.to"]

    def _heirs(self, start: datetime) -> list[int]:
        domain = [
            ["replaced_by", "!=", None],
            ["last_modified_at", ">=", start],
            ["active", "=", False],
        ]
        rows = self._search_read(PARTY, domain, None, ["replaced_by"])
        return sorted({row["replaced_by"] for row in rows})

    def _became_contacts(
        self, resource: str, rows: Sequence[Mapping[str, Any]], start: datetime
    ) -> set[int]:
        """Parties known from before that were tied to an employer meanwhile."""
        if resource == CONTACT or self._schema.relation_type is None:
            return set()
        older = [
            row["id"] for row in rows if row["create_date"] < start and ties_of(self._schema, row)
        ]
        if not older:
            return set()
        domain = [
            ["from_", "in", older],
            ["type", "=", self._schema.relation_type],
            ["create_date", ">=", start],
        ]
        ties = self._search_read("party.relation", domain, None, ["from_"])
        return {row["from_"] for row in ties}


_TOLD = (
    "active",
    "replaced_by",
    "create_date",
    "last_modified_at",
    "write_uid.rec_name",
    "create_uid.rec_name",
    VERSION,
    CHANGED_AT,
)


_VALUE_ROWS = {"lang": "langs", "customer_payment_term": "payment_terms"}
"""Fields that Tryton keeps in rows of their own and cannot search by, and the list of the rows."""


def _by_value_rows(clause: Domain | None) -> Domain | None:
    if clause is None:
        return None
    name, _, value = clause
    if value is None:
        return [_VALUE_ROWS[name], "not where", [[name, "!=", None]]]
    return [_VALUE_ROWS[name], "where", [clause]]


def _today() -> date:
    return datetime.now(UTC).date()


def _page_number(page: str | None, resource: str) -> int:
    if page is not None and not page.isdigit():
        raise Defect(f"the page {page!r} was not made here", place=resource)
    return int(page or 0)


def _written(place: _Place) -> Cursor:
    return msgspec.json.encode(place).decode()


def _place(since: Cursor | None, resource: str) -> _Place:
    if since is None:
        return _Place()
    try:
        return msgspec.json.decode(since, type=_Place)
    except msgspec.MsgspecError:
        raise Defect(f"the cursor {since!r} was not made here", place=resource) from None
