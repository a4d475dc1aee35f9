"""The connector protocol: how Koppel talks to any system, in native records and in batches.

Everything here is a frozen value or a protocol; there is no I/O. Native field values are
`None`, `bool`, `int`, `float`, `Decimal`, `str`, `date`, `datetime`, and lists and dicts of these.
A child record inside a parent (an address of a party) is a dict with its own `"id"`.
In `Create` and `Update` an absent field means "do not touch", an explicit `None` means "clear".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Day
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct, field

type_names = (
    "text", "integer", "decimal", "float", "boolean", "date", "datetime",
    "choice", "reference", "references", "list", "object",
)  # fmt: skip
FieldType = Literal[
    "text", "integer", "decimal", "float", "boolean", "date", "datetime",
    "choice", "reference", "references", "list", "object",
]  # fmt: skip

Fields = Mapping[str, Any]
Cursor = str
"""Opaque to Koppel, understood by the connector that made it. At-least-once."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a connector can do for one resource; the contract suite tests what is declared."""

    changes: Literal["log", "timestamp", "scan"]
    deletes: Literal["log", "tombstone", "scan", "never"]
    create_key: Literal["native", "external_id", "lookup"]
    lock: Literal["version", "timestamp", "none"]
    actions: frozenset[str] = frozenset()
    webhooks: Literal["hint", "none"] = "none"
    writable: bool = True
    max_fetch: int = 200
    max_write: int = 1
    overlap_seconds: int = 0


class Option(Struct, frozen=True, kw_only=True):
    """One setting of a connector type, for forms and for the command line.

    A `secret` is encrypted at rest and never shown; `default` is used where nothing is given.
    """

    name: str
    label: str
    required: bool = False
    secret: bool = False
    default: str = ""
    help: str = ""


class Health(Struct, frozen=True, kw_only=True):
    """The answer of `check()`: `ok`, the system's name and version, and sentences for people."""

    ok: bool
    system: str
    version: str
    user: str = ""
    messages: tuple[str, ...] = ()


class Choice(Struct, frozen=True):
    """One allowed value of a choice field, with its label in the system's language."""

    value: str
    label: str = ""


class FieldInfo(Struct, frozen=True, kw_only=True):
    """One native field. `max_length` in characters, `scale` in decimal places.

    `reference` names the resource that a reference points to; `fields` describes the children of a
    list or object.
    """

    name: str
    type: FieldType
    label: str = ""
    required: bool = False
    writable: bool = True
    max_length: int | None = None
    scale: int | None = None
    choices: tuple[Choice, ...] = ()
    reference: str | None = None
    fields: tuple[FieldInfo, ...] = ()


class Resource(Struct, frozen=True, kw_only=True):
    """A native object type, as `describe()` tells it."""

    name: str
    label: str = ""
    fields: tuple[FieldInfo, ...] = ()

    def field(self, name: str) -> FieldInfo | None:
        """The field of that name; `a.b` goes into the children of `a`."""
        head, _, rest = name.partition(".")
        for info in self.fields:
            if info.name == head:
                if not rest:
                    return info
                return Resource(name=info.name, fields=info.fields).field(rest)
        return None


class Record(Struct, frozen=True, kw_only=True):
    """One native record as the system returned it.

    `version` changes whenever the record or one of its children changes; two equal versions mean
    equal content. It is a string that only its connector reads.
    """

    resource: str
    id: str
    version: str
    fields: dict[str, Any]


class Gone(Struct, frozen=True, kw_only=True):
    """The record is not there (any more): deleted, in the trash, or merged into another."""

    resource: str
    id: str
    merged_into: str | None = None
    trashed: bool = False


class Change(Struct, frozen=True, kw_only=True):
    """A hint that a record may have changed: who and when where the system tells (`at` in UTC)."""

    id: str
    gone: bool = False
    merged_into: str | None = None
    version: str | None = None
    at: datetime | None = None
    by: str | None = None


class ChangePage(Struct, frozen=True, kw_only=True):
    """Changes since a cursor, oldest first; `cursor` stands after this page; `more`: ask again.

    `anew`: the cursor was from a later time than the system has seen, so it was put back from a
    backup; these are changes from the beginning.
    """

    changes: tuple[Change, ...]
    cursor: Cursor
    more: bool = False
    anew: bool = False


class IdPage(Struct, frozen=True, kw_only=True):
    """One page of the sweep over all living records: (id, version) pairs in a stable order."""

    items: tuple[tuple[str, str], ...]
    next: str | None = None


class Create(Struct, frozen=True, kw_only=True, tag="create"):
    """Make a record. `key` names this very creation for ever, so that a repeat is recognised."""

    resource: str
    key: str
    fields: dict[str, Any]


class Update(Struct, frozen=True, kw_only=True, tag="update"):
    """Change the given fields if the record still has the version `expected` (None: no check)."""

    resource: str
    key: str
    id: str
    expected: str | None
    fields: dict[str, Any]


class Delete(Struct, frozen=True, kw_only=True, tag="delete"):
    """Remove a record the way the system's own user would (trash, deactivate)."""

    resource: str
    key: str
    id: str
    expected: str | None = None


class Act(Struct, frozen=True, kw_only=True, tag="act"):
    """Call one of the declared actions (`quote`, `confirm`, `post`, `cancel`)."""

    resource: str
    key: str
    id: str
    action: str
    expected: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


Write = Create | Update | Delete | Act

Reason = Literal["stale", "missing", "duplicate", "invalid", "locked", "forbidden", "in_use"]


class Written(Struct, frozen=True, kw_only=True, tag="written"):
    """It happened; `after` is what the system itself returned afterwards (the read-back)."""

    after: Record | Gone


class Refused(Struct, frozen=True, kw_only=True, tag="refused"):
    """It did not happen, and the system said why, in its own words; `fields` are to blame."""

    reason: Reason
    message: str
    fields: tuple[str, ...] = ()


class Unknown(Struct, frozen=True, kw_only=True, tag="unknown"):
    """The answer was lost: it may have happened. Ask `recover`."""

    message: str


Outcome = Written | Refused | Unknown


@runtime_checkable
class Connector(Protocol):
    """What every connector offers. Synchronous and batch-shaped; safe to use from one thread.

    Any call may raise `NeedsUser`, `TryLater` or `Defect`, and nothing else. Trouble with one
    record is a returned value.
    """

    def check(self) -> Health:
        """Is the system there, and may our user do what Koppel needs?"""

    def capabilities(self, resource: str) -> Capabilities:
        """What can be done with a resource; `NeedsUser` for an unknown one."""

    def describe(self) -> Sequence[Resource]:
        """All resources with their fields, as the system itself tells them."""

    def now(self, resource: str) -> Cursor:
        """A cursor after which every later change is reported."""

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        """At most `limit` changes after `since`; None means from the beginning, all records."""

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        """The sweep over all living records, for deletes and for the audit."""

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        """One entry for each id asked for."""

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        """Living records whose fields equal all of `match`."""

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        """One outcome for each write, in the same order; one refusal never stops the others."""

    def recover(self, write: Write) -> Outcome | None:
        """After `Unknown` or a crash: what became of it. None: it did not happen."""

    def close(self) -> None:
        """Give back connections and sessions. May be called twice."""


@runtime_checkable
class Linking(Protocol):
    """What a connector offers beside records where its system has addresses for people."""

    def link(self, resource: str, id: str) -> str | None:
        """The address at which a person opens a record; None for records that have none."""


class PriceAnswer(Struct, frozen=True, kw_only=True):
    """What the ERP's own pricing says for one customer, product, quantity, day and currency.

    Prices are per `unit` (UN/ECE Rec 20) in `currency` (ISO 4217), without tax; `unit_price` is
    None where the product has no price. `price_list` is its name. `at` is the ERP's clock in UTC.
    """

    unit_price: Decimal | None
    list_price: Decimal | None
    price_list: str | None
    currency: str
    unit: str
    at: datetime


class PriceBreak(Struct, frozen=True, kw_only=True):
    """A step of a price list: the price of one `unit` (Rec 20) from a quantity on.

    In `currency` (ISO 4217). The days between which it holds are None where the ERP knows none.
    """

    price_list: str
    from_quantity: Decimal
    unit_price: Decimal | None
    currency: str
    unit: str
    tax_included: bool = False
    valid_from: Day | None = None
    valid_to: Day | None = None


class PartyFigures(Struct, frozen=True, kw_only=True):
    """Credit and debts of a customer in the company's `currency`.

    `exposure` is what counts against the limit: open items and orders that are not invoiced yet.
    `receivable_today` and `overdue` move with the day. `blocked`: its dunning stops new orders.
    """

    currency: str
    credit_limit: Decimal | None
    exposure: Decimal | None
    receivable: Decimal
    receivable_today: Decimal
    overdue: Decimal
    dunning_level: int
    blocked: bool


class PartyStanding(Struct, frozen=True, kw_only=True):
    """A customer as an order asks for it: its record, its reminders, and maybe its credit.

    Amounts in the company's currency; None where there is none, or it was not asked for.
    """

    record: Record | Gone
    dunning_level: int = 0
    blocked: bool = False
    credit_limit: Decimal | None = None
    exposure: Decimal | None = None


class Document(Struct, frozen=True, kw_only=True):
    """A document as the ERP's own report prints it."""

    name: str
    media_type: str
    content: bytes


class TaxSum(Struct, frozen=True, kw_only=True):
    """The tax of one rate (a share: 0.19) and category (UNCL 5305) in a document."""

    rate: Decimal | None
    category: str | None
    base: Decimal
    amount: Decimal


class OrderLine(Struct, frozen=True, kw_only=True):
    """A line of an order as the ERP reckons it."""

    type: str
    product: str | None
    product_code: str | None
    description: str | None
    quantity: Decimal | None
    unit: str | None
    unit_price: Decimal | None
    amount: Decimal
    tax_rates: tuple[Decimal | None, ...] = ()


class OrderComparison(Struct, frozen=True, kw_only=True):
    """What an order would become in the ERP; `differences` from the expected amounts, as text."""

    currency: str
    untaxed_amount: Decimal
    tax_amount: Decimal
    total_amount: Decimal
    taxes: tuple[TaxSum, ...]
    lines: tuple[OrderLine, ...]
    differences: tuple[str, ...] = ()


@runtime_checkable
class SalesFunctions(Protocol):
    """What an ERP's connector answers beside records. Ids are native; raises as `Connector` does.

    Nothing of it changes the ERP.
    """

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
        """The customer's price by the ERP's own pricing (unit: the product's sales unit)."""

    def price_breaks(self, *, product: str) -> Sequence[PriceBreak]:
        """The steps of all price lists for a product, by the lists' own formulas."""

    def value_lists(self) -> Mapping[str, Sequence[Choice]]:
        """`payment_terms` by name, `currencies` by ISO 4217, `tax_rates` in percent ("19")."""

    def party_figures(self, parties: Sequence[str]) -> Mapping[str, PartyFigures]:
        """One entry for each customer that the ERP has."""

    def party_standing(self, party: str, *, credit: bool) -> PartyStanding:
        """One customer with its reminders, in one call; `credit` may take the ERP longer."""

    def invoice_document(self, invoice: str) -> Document:
        """The invoice by the ERP's own report, as PDF or whatever the report makes."""

    def compare_order(self, fields: Fields) -> OrderComparison:
        """What `Create` of a sale with these fields would make, reckoned by the ERP, not kept."""


ASKED = frozenset(
    name for name, value in vars(SalesFunctions).items() if callable(value) and name[0] != "_"
)
"""The names of these functions: each is a call of the system."""
