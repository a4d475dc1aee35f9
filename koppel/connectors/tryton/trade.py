"""All that the connector offers beside parties, behind one door: read, written and asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date as Day
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from koppel.connectors.base import (
    Capabilities,
    ChangePage,
    Choice,
    Cursor,
    Document,
    Fields,
    Gone,
    IdPage,
    OrderComparison,
    Outcome,
    PartyFigures,
    PriceAnswer,
    PriceBreak,
    Record,
    Resource,
    Write,
)
from koppel.connectors.tryton.asking import Asker
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.documents import Documents, Shape
from koppel.connectors.tryton.invoices import DUNNING, INVOICE, SHIPMENT
from koppel.connectors.tryton.products import CURRENCY, PAYMENT_TERM, PRICE_LIST, PRODUCT
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.sales import SALE
from koppel.connectors.tryton.selling import ACTIONS, SALES, Seller
from koppel.errors import NeedsUser

MAX_FETCH = 200
MAX_WRITE = 20
SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        SALE, PRODUCT, PRICE_LIST, PAYMENT_TERM, CURRENCY, INVOICE, SHIPMENT, DUNNING
    )
}  # fmt: skip
_NO_MODULE = "Install trytond_koppel in Tryton: sales and products need it"


class Trade:
    """Sales, and what belongs to them, of one session."""

    def __init__(self, session: TrytonSession, *, overlap: timedelta, zone: ZoneInfo) -> None:
        self._session = session
        self._overlap = overlap
        self.documents = Documents(session, SHAPES, Codes(session), overlap=overlap, zone=zone)
        self._seller = Seller(session, self.documents)
        self._asker = Asker(session, self.documents, self._seller)

    def capabilities(self, resource: str) -> Capabilities:
        """Only sales are written."""
        sales = resource == SALES
        return Capabilities(
            changes="timestamp",
            deletes="scan",
            create_key="external_id",
            lock="version",
            actions=ACTIONS if sales else frozenset(),
            writable=sales,
            max_fetch=MAX_FETCH,
            max_write=MAX_WRITE,
            overlap_seconds=int(self._overlap.total_seconds()),
        )

    def describe(self) -> list[Resource]:
        """What this Tryton has of it."""
        return self.documents.describe()

    def now(self, resource: str) -> Cursor:
        return self._of(resource).now(resource)

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        return self._of(resource).changes(resource, since, limit)

    def ids(self, resource: str, page: str | None) -> IdPage:
        return self._of(resource).ids(resource, page)

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        return self._of(resource).fetch(resource, ids)

    def find(self, resource: str, match: Fields, limit: int) -> Sequence[Record]:
        return self._of(resource).find(resource, match, limit)

    def write(self, batch: Sequence[Write]) -> list[Outcome]:
        self._of(SALES)
        return self._seller.write(batch)

    def recover(self, write: Write) -> Outcome | None:
        self._of(write.resource)
        return self._seller.recover(write)

    def price(
        self,
        party: str,
        product: str,
        quantity: Decimal,
        unit: str | None,
        day: Day | None,
        currency: str | None,
    ) -> PriceAnswer:
        self._of(SALES)
        return self._asker.price(party, product, quantity, unit, day, currency)

    def breaks(self, product: str) -> tuple[PriceBreak, ...]:
        self._of(SALES)
        return self._asker.breaks(product)

    def lists(self) -> dict[str, tuple[Choice, ...]]:
        self._of(SALES)
        return self._asker.lists()

    def figures(self, parties: Sequence[str]) -> Mapping[str, PartyFigures]:
        self._of(SALES)
        return self._asker.figures(parties)

    def document(self, invoice: str) -> Document:
        return self._asker.document(invoice)

    def compare(self, fields: Fields) -> OrderComparison:
        self._of(SALES)
        return self._asker.compare(fields)

    def _of(self, resource: str) -> Documents:
        if not self.documents.has(resource):
            raise NeedsUser(
                f"Tryton does not tell which {resource} have changed",
                place=self._session.name,
                remedy=_NO_MODULE,
            )
        return self.documents
