"""The connector to Tryton 8: parties (companies and private persons) and contact persons.

It speaks Tryton's JSON-RPC with a session of its own user; no part of Tryton is imported. With the
module `koppel` on the server (package trytond_koppel) a repeated create is recognised by its key,
and reading versions is cheap; without it the connector does with what Tryton itself has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Day
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from koppel.connectors.base import (
    Capabilities,
    ChangePage,
    Choice,
    Cursor,
    Document,
    Fields,
    Gone,
    Health,
    IdPage,
    Option,
    OrderComparison,
    Outcome,
    PartyFigures,
    PartyStanding,
    PriceAnswer,
    PriceBreak,
    Record,
    Resource,
    Unknown,
    Write,
)
from koppel.connectors.http import Patience, ReplyLost, Timeouts
from koppel.connectors.tryton.changes import ChangeReader
from koppel.connectors.tryton.reading import Reader
from koppel.connectors.tryton.rpc import CallRefused, ServerFault, TrytonSession
from koppel.connectors.tryton.schema import CONTACT, PARTY, Schema, load_schema
from koppel.connectors.tryton.tables import ValueTables
from koppel.connectors.tryton.trade import SHAPES, Trade
from koppel.connectors.tryton.writing import MAX_WRITE, Writer
from koppel.errors import Defect, NeedsUser, TryLater

MAX_FETCH = 200
_R = TypeVar("_R")
_RELATION_REMEDY = (
    "Give a relation type the usage Koppel in Tryton, or name one in this connection"
    " (contact_relation)"
)
_NO_MODULE = (
    "Tryton has no module koppel: a repeated creation is recognised by its fields alone, and"
    " reading is slower. Install trytond_koppel to change that."
)
_LABELS = {PARTY: "Party", CONTACT: "Contact person"}
_RIGHTS = (
    ("party.party", "parties"),
    ("party.address", "addresses"),
    ("party.contact_mechanism", "contact mechanisms"),
    ("party.identifier", "identifiers"),
)


@dataclass(frozen=True)
class _Parts:
    schema: Schema
    reader: Reader
    changes: ChangeReader
    writer: Writer


class TrytonConnector:
    """A connector to one database of one Tryton server.

    `timeout` and `overlap_seconds` are in seconds; the overlap must be at least as long as the
    longest transaction in Tryton. `timezone` is the zone of the database's time stamps.
    `extra_fields` names more plain fields of parties to read and write. `hard_delete` deletes
    instead of deactivating. `use_module` false leaves the server's module `koppel` alone.
    """

    options: tuple[Option, ...] = (
        Option(name="url", label="Address of the Tryton server", required=True),
        Option(name="database", label="Database", required=True),
        Option(name="username", label="User", required=True),
        Option(name="password", label="Password", required=True, secret=True),
        Option(
            name="contact_relation",
            label="Relation type from a contact person to the company",
            help="Its name in Tryton; empty for the one with the usage Koppel",
        ),
        Option(name="timeout", label="Seconds to wait for an answer", default="60"),
        Option(
            name="overlap_seconds",
            label="Longest transaction in Tryton, in seconds",
            default="600",
        ),
        Option(name="timezone", label="Time zone of the database server", default="UTC"),
        Option(
            name="extra_fields",
            label="More fields of parties",
            help="Names as in Tryton, with commas between them",
        ),
        Option(
            name="hard_delete",
            label="Delete instead of deactivating (yes or no)",
            default="no",
        ),
        Option(name="ca_file", label="Certificate of your own authority (PEM file)"),
        Option(
            name="hint_secret",
            label="Secret that signs what Tryton asks Koppel",
            secret=True,
            help="The same as secret in the section koppel of Tryton's configuration, for the card",
        ),
    )

    def __init__(
        self,
        *,
        url: str,
        database: str,
        username: str,
        password: str,
        timeout: float = 60.0,
        contact_relation: str = "",
        overlap_seconds: int = 600,
        timezone: str = "UTC",
        extra_fields: Sequence[str] = (),
        hard_delete: bool = False,
        use_module: bool = True,
        ca_file: str | None = None,
        name: str = "tryton",
        patience: Patience | None = None,
    ) -> None:
        self.name = name
        self._address = url, database
        self._relation = contact_relation
        self._overlap = overlap_seconds
        self._extra = tuple(extra_fields)
        self._hard = hard_delete
        self._use_module = use_module
        self._zone = _zone(timezone, name)
        self._session = TrytonSession(
            url,
            database,
            username,
            password,
            name=name,
            timeouts=Timeouts(read=timeout),
            patience=patience,
            ca_file=ca_file,
        )
        self._tables = ValueTables(self._session)
        self._made: _Parts | None = None
        self._trade = Trade(
            self._session, overlap=timedelta(seconds=overlap_seconds), zone=self._zone
        )

    def __repr__(self) -> str:
        return f"TrytonConnector({self._session!r})"

    def link(self, resource: str, id: str) -> str | None:
        """The address that opens a record in Tryton's desktop client, as `Linking` says."""
        url, database = self._address
        model = PARTY if resource == CONTACT else resource
        return f"tryton://{urlsplit(url).netloc}/{quote(database)}/model/{model}/{id}"

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> TrytonConnector:
        """A connector from the settings in `options`, all of them texts."""
        extra = (config.get("extra_fields") or "").split(",")
        return cls(
            url=config["url"],
            database=config["database"],
            username=config["username"],
            password=config["password"],
            timeout=_seconds(config, "timeout", 60.0),
            contact_relation=config.get("contact_relation") or "",
            overlap_seconds=round(_seconds(config, "overlap_seconds", 600.0)),
            timezone=config.get("timezone") or "UTC",
            extra_fields=[name.strip() for name in extra if name.strip()],
            hard_delete=_yes(config, "hard_delete"),
            ca_file=config.get("ca_file") or None,
        )

    @property
    def calls(self) -> int:
        """How many calls have gone to the server so far."""
        return self._session.calls

    def check(self) -> Health:
        """Log in, and look for the relation type, the user's rights and the module `koppel`."""
        version = self._version()
        notes: list[str] = []
        try:
            schema = self._parts().schema
        except NeedsUser as error:
            problems = [str(error)]
        else:
            problems = self._problems(schema)
            if not schema.module:
                notes.append(_NO_MODULE)
        return Health(
            ok=not problems,
            system="Tryton",
            version=version,
            user=self._session.username,
            messages=(*problems, *notes),
        )

    def _problems(self, schema: Schema) -> list[str]:
        user = self._session.username
        problems = self._missing_rights()
        if schema.relation_type is None:
            problems.append(f"{self._no_relation().capitalize()}. {_RELATION_REMEDY}.")
        if schema.module and not schema.may_write_keys:
            problems.append(
                f"The user {user} may not write Koppel's keys: add it to the group Koppel in"
                " Tryton."
            )
        if not self._session.context.get("company"):
            problems.append(
                f"The user {user} has no company: give it one in Tryton, since numbers and"
                " payment terms depend on it."
            )
        return problems

    def capabilities(self, resource: str) -> Capabilities:
        self._known(resource)
        if resource in SHAPES:
            return self._trade.capabilities(resource)
        return Capabilities(
            changes="timestamp",
            deletes="scan",
            create_key="external_id" if self._parts().schema.module else "lookup",
            lock="timestamp",
            max_fetch=MAX_FETCH,
            max_write=MAX_WRITE,
            overlap_seconds=self._overlap,
        )

    def describe(self) -> Sequence[Resource]:
        self._tables.forget()
        schema = self._guarded(lambda: self._load(self._tables))
        self._made = self._assembled(schema)
        names = [PARTY] if schema.relation_type is None else [PARTY, CONTACT]
        parties = tuple(schema.resource(name, _LABELS[name]) for name in names)
        return (*parties, *self._guarded(self._trade.describe)) if schema.module else parties

    def now(self, resource: str) -> Cursor:
        if resource in SHAPES:
            return self._guarded(lambda: self._trade.now(resource))
        return self._guarded(lambda: self._of(resource).changes.now())

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        if resource in SHAPES:
            return self._guarded(lambda: self._trade.changes(resource, since, limit))
        return self._guarded(lambda: self._of(resource).changes.changes(resource, since, limit))

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        if resource in SHAPES:
            return self._guarded(lambda: self._trade.ids(resource, page))
        return self._guarded(lambda: self._of(resource).reader.ids(resource, page))

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        if len(ids) > MAX_FETCH:
            raise Defect(
                f"{len(ids)} records at once, {MAX_FETCH} are allowed",
                place=f"{self.name} {resource}",
            )
        if resource in SHAPES:
            return self._guarded(lambda: self._trade.fetch(resource, ids))
        return self._guarded(lambda: self._of(resource).reader.fetch(resource, ids))

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        if resource in SHAPES:
            return self._guarded(lambda: self._trade.find(resource, match, limit))
        return self._guarded(lambda: self._of(resource).reader.find(resource, match, limit))

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        if len(batch) > MAX_WRITE:
            raise Defect(f"{len(batch)} writes at once, {MAX_WRITE} are allowed", place=self.name)
        for write in batch:
            self._known(write.resource)
        outcomes: list[Outcome] = []
        for trade, part in groupby(batch, lambda write: write.resource in SHAPES):
            outcomes += self._written(list(part), trade, bool(outcomes))
        return outcomes

    def _written(self, part: list[Write], trade: bool, later: bool) -> Sequence[Outcome]:
        """`later`: something was written before, so that this part must not raise any more."""
        writer = self._trade.write if trade else self._parts().writer.write
        try:
            return self._guarded(lambda: writer(part))
        except TryLater as error:
            if not later:
                raise
            return [Unknown(message=str(error)) for _ in part]

    def recover(self, write: Write) -> Outcome | None:
        self._known(write.resource)
        if write.resource in SHAPES:
            return self._guarded(lambda: self._trade.recover(write))
        return self._guarded(lambda: self._parts().writer.recover(write))

    # Beside records: see `SalesFunctions`.

    def price_enquiry(
        self,
        *,
        party: str,
        product: str,
        quantity: Decimal,
        unit: str | None = None,
        date: Day | None = None,
        currency: str | None = None,
    ) -> PriceAnswer:
        return self._guarded(
            lambda: self._trade.price(party, product, quantity, unit, date, currency)
        )

    def price_breaks(self, *, product: str) -> Sequence[PriceBreak]:
        return self._guarded(lambda: self._trade.breaks(product))

    def value_lists(self) -> Mapping[str, Sequence[Choice]]:
        return self._guarded(self._trade.lists)

    def party_figures(self, parties: Sequence[str]) -> Mapping[str, PartyFigures]:
        return self._guarded(lambda: self._trade.figures(parties))

    def party_standing(self, party: str, *, credit: bool) -> PartyStanding:
        return self._guarded(lambda: self._of(PARTY).reader.standing(party, credit=credit))

    def invoice_document(self, invoice: str) -> Document:
        return self._guarded(lambda: self._trade.document(invoice))

    def compare_order(self, fields: Fields) -> OrderComparison:
        return self._guarded(lambda: self._trade.compare(fields))

    def close(self) -> None:
        self._session.close()

    # Inside.

    def _parts(self) -> _Parts:
        """What needs a look at the server first; made once, and anew by `describe`."""
        if self._made is None:
            schema = self._guarded(lambda: self._load(None))
            self._made = self._assembled(schema)
        return self._made

    def _load(self, tables: ValueTables | None) -> Schema:
        return load_schema(
            self._session, tables, self._relation, self._extra, use_module=self._use_module
        )

    def _assembled(self, schema: Schema) -> _Parts:
        reader = Reader(self._session, schema, self._tables)
        changes = ChangeReader(
            self._session,
            reader,
            schema,
            overlap=timedelta(seconds=self._overlap),
            zone=self._zone,
        )
        writer = Writer(self._session, reader, schema, self._tables, hard_delete=self._hard)
        return _Parts(schema, reader, changes, writer)

    def _no_relation(self) -> str:
        if self._relation:
            return f"there is no relation type {self._relation!r} in Tryton"
        return "no relation type in Tryton is marked as that of contact persons"

    def _of(self, resource: str) -> _Parts:
        self._known(resource)
        parts = self._parts()
        if resource == CONTACT and parts.schema.relation_type is None:
            raise NeedsUser(
                self._no_relation(),
                place=self.name,
                remedy=_RELATION_REMEDY,
            )
        return parts

    def _known(self, resource: str) -> None:
        if resource not in _LABELS and resource not in SHAPES:
            raise NeedsUser(
                f"there is no resource {resource!r}",
                place=self.name,
                remedy=f"Known are: {', '.join((*_LABELS, *SHAPES))}",
            )

    def _version(self) -> str:
        return self._guarded(self._session.server_version)

    def _missing_rights(self) -> list[str]:
        names = [name for name, _ in _RIGHTS]
        access = self._guarded(lambda: self._session.call("ir.model.access", "get_access", names))
        return [
            f"The user {self._session.username} may not read, create and change {label}: add it to"
            " the group that administers parties in Tryton."
            for name, label in _RIGHTS
            if not all(access[name].get(right) for right in ("read", "create", "write"))
        ]

    def _guarded(self, act: Callable[[], _R]) -> _R:
        """Nothing of `rpc` leaves the connector: an unforeseen refusal of a read is a defect."""
        try:
            return act()
        except ServerFault as fault:
            raise Defect(
                f"Tryton failed at a call: {fault.message}",
                place=self.name,
                remedy="Look into Tryton's own log",
            ) from None
        except ReplyLost as lost:
            raise TryLater(lost.message, place=self.name) from None
        except CallRefused as refused:
            raise NeedsUser(
                f"Tryton refused a call: {refused.message}",
                place=self.name,
                remedy="Check the rights of this connection's user",
            ) from None


def _zone(name: str, place: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise NeedsUser(
            f"there is no time zone {name!r}",
            place=place,
            remedy="Write it like Europe/Berlin, or UTC",
        ) from None


def _seconds(config: Mapping[str, str], name: str, default: float) -> float:
    text = config.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 86400:
        raise NeedsUser(
            f"{text!r} is not a number of seconds",
            place=f"tryton: {name}",
            remedy="Give a number from 0 to 86400",
        )
    return value


def _yes(config: Mapping[str, str], name: str) -> bool:
    text = (config.get(name) or "no").strip().lower()
    if text not in ("yes", "no", "true", "false"):
        raise NeedsUser(
            f"{text!r} is neither yes nor no",
            place=f"tryton: {name}",
            remedy="Write yes or no",
        )
    return text in ("yes", "true")
