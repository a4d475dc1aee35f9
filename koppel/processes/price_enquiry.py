"""The ERP's own price for a customer, a product and a quantity: asked, not copied.

The answer is kept in the store, so that it can be told with its age while the ERP is away. Who is
no customer of the ERP yet is told the list price, and that it is one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from koppel import typed
from koppel.connectors.base import Record
from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.processes.systems import Systems
from koppel.store.values import CouplingRow
from koppel.sync.rule import Side

PRODUCTS, PARTNERS = "product", "partner"


class Price(Struct, frozen=True, kw_only=True):
    """What the ERP says; amounts in `currency` for one `unit`. `age_seconds`: 0 for a new one.

    `note` is a sentence where the price is not what was asked for.
    """

    unit_price: Decimal | None
    list_price: Decimal | None
    price_list: str | None
    currency: str
    unit: str
    age_seconds: float = 0.0
    note: str = ""


class Break(Struct, frozen=True, kw_only=True):
    """A step of a price list: the price of one unit from a quantity on, and when it holds."""

    price_list: str
    from_quantity: Decimal
    unit_price: Decimal | None
    currency: str
    unit: str
    tax_included: bool = False
    valid_from: datetime.date | None = None
    valid_to: datetime.date | None = None


class Breaks(Struct, frozen=True, kw_only=True):
    """All steps for a product, with the age of the answer."""

    steps: tuple[Break, ...]
    age_seconds: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """One line of a question: a product by its id in the CRM or by its number."""

    quantity: Decimal
    item: str = ""
    record: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Quoted:
    """The answer to one line: a price, or a sentence that says why there is none."""

    wanted: Wanted
    price: Price | None = None
    message: str = ""


_price = typed.json_decoder(Price)
_steps = typed.json_decoder(tuple[Break, ...])


class PriceEnquiry:
    """Asks the ERP, and keeps what it answered."""

    product_resource = "product.product"
    """Where the ERP keeps its products."""

    def __init__(self, systems: Systems, clock: Callable[[], datetime.datetime]) -> None:
        self._systems = systems
        self._store = systems.store
        self._clock = clock

    def ask(
        self,
        party: str,
        product: str,
        quantity: Decimal,
        *,
        unit: str | None = None,
        currency: str | None = None,
        date: datetime.date | None = None,
    ) -> Price:
        """The price, by ids of the ERP; the last answer with its age where the ERP is away.

        `NeedsUser` where the ERP has no such function or refuses, `TryLater` where it is away and
        was never asked.
        """
        enquire = self._function("price_enquiry", "Take the price list instead")
        question = (
            f"price {self._systems.settings.erp} {party} {product} {quantity.normalize():f}"
            f" {unit or ''} {currency or ''} {date or ''}"
        )
        try:
            told = enquire(
                party=party, product=product, quantity=quantity, unit=unit, date=date,
                currency=currency,
            )  # fmt: skip
        except TryLater as error:
            at, kept = self._kept(question, error)
            return replace(_price.decode(kept), age_seconds=at)
        price = Price(
            unit_price=told.unit_price, list_price=told.list_price, price_list=told.price_list,
            currency=told.currency, unit=told.unit,
        )  # fmt: skip
        self._store.answers.put(question, msgspec.json.encode(price))
        return price

    def breaks(self, product: str) -> Breaks:
        """The steps of all price lists for a product of the ERP. Raises as `ask` does."""
        enquire = self._function("price_breaks", "Look at the price lists in the ERP")
        question = f"breaks {self._systems.settings.erp} {product}"
        try:
            told = enquire(product=product)
        except TryLater as error:
            at, kept = self._kept(question, error)
            return Breaks(steps=_steps.decode(kept), age_seconds=at)
        steps = tuple(
            Break(**{name: getattr(one, name) for name in Break.__struct_fields__}) for one in told
        )
        self._store.answers.put(question, msgspec.json.encode(steps))
        return Breaks(steps=steps)

    def lines(
        self,
        party: str | None,
        wanted: Sequence[Wanted],
        *,
        currency: str | None = None,
        date: datetime.date | None = None,
    ) -> list[Quoted]:
        """A price or a sentence for each line. `party` None: somebody the ERP does not know yet.

        Raises `TryLater` only where the ERP is away and no line has a kept answer.
        """
        found: list[Quoted] = []
        away: TryLater | None = None
        for one in wanted:
            try:
                found.append(Quoted(one, self._line(party, one, currency, date)))
            except TryLater as error:
                away = error
                found.append(Quoted(one, message="The ERP is away, and was not asked this before."))
            except KoppelError as error:
                found.append(Quoted(one, message=sentence(error)))
        if away is not None and all(one.price is None for one in found):
            raise away
        return found

    def _line(
        self,
        party: str | None,
        wanted: Wanted,
        currency: str | None,
        date: datetime.date | None,
    ) -> Price:
        product = self.product(wanted.record, wanted.item)
        if party is None:
            return self._list_price(product, wanted, currency)
        unit = self._unit(wanted.unit)
        price = self.ask(party, product, wanted.quantity, unit=unit, currency=currency, date=date)
        if price.unit_price is None:
            raise NeedsUser("The ERP has no price for this product")
        return price

    def _list_price(self, product: str, wanted: Wanted, currency: str | None) -> Price:
        """The list price of the coupled product, as the ERP told it last."""
        row = self._coupled(PRODUCTS, "erp", product)
        record = row.erp_base if row is not None else None
        if not isinstance(record, Record) or record.fields.get("list_price") is None:
            raise NeedsUser("The ERP knows neither this customer nor a list price of this product")
        told = str(record.fields.get("currency") or "")
        if currency and told and currency != told:
            raise NeedsUser(f"The list price is in {told}, and the customer is not in the ERP yet")
        unit = str(record.fields.get("unit") or "")
        if wanted.unit and self._unit(wanted.unit) not in (None, unit):
            raise NeedsUser(f"The list price is for one {unit}, not for one {wanted.unit}")
        amount = Decimal(record.fields["list_price"])
        return Price(
            unit_price=amount, list_price=amount, price_list=None, currency=told, unit=unit,
            age_seconds=self._since_look(),
            note="List price: the customer is not in the ERP yet.",
        )  # fmt: skip

    def _since_look(self) -> float:
        """Seconds since products were last in step with the ERP's log of changes."""
        at = self._store.couplings.cursor_at(PRODUCTS, "erp")
        return max(0.0, (self._clock() - at).total_seconds()) if at is not None else 0.0

    # Who and what.

    def product(self, record: str, item: str) -> str:
        """The ERP's id of a product: by its coupling, by its number, or its id itself."""
        if record:
            row = self._coupled(PRODUCTS, "crm", record)
            if row is not None and row.erp_id:
                return row.erp_id
        if not item:
            raise NeedsUser(
                "This line is for no product of the ERP",
                remedy="Give the product the ERP's number",
            )
        found = self._systems.erp.find(self.product_resource, {"code": item}, limit=2)
        if len(found) != 1:
            many = "more than one product" if found else "no product"
            raise NeedsUser(f"The ERP has {many} with the number '{item}'")
        return found[0].id

    def party(self, name: str) -> str:
        """The ERP's id of a customer: by its number, its id, or a CRM record's coupling."""
        resource = self._systems.lines.mapper(self._systems.settings.erp, PARTNERS).resource
        found = self._systems.erp.find(resource, {"code": name}, limit=2)
        if len(found) == 1:
            return found[0].id
        if name.isdigit():
            return name
        raise NeedsUser(f"the ERP has no customer with the number '{name}'")

    def _coupled(self, entity: str, side: Side, record: str) -> CouplingRow | None:
        row = self._store.couplings.by_record(entity, side, [record]).get(record)
        return row if row is not None and row.state == "active" else None

    def _unit(self, text: str) -> str | None:
        """A code of Rec 20 for the CRM's word; None for the product's own unit."""
        if not text:
            return None
        return self._systems.settings.values.units.get(text, text)

    def _function(self, name: str, remedy: str) -> Any:
        function = getattr(self._systems.erp, name, None)
        if function is None:
            raise NeedsUser(
                "this ERP tells no prices", place=self._systems.settings.erp, remedy=remedy
            )
        return function

    def _kept(self, question: str, error: TryLater) -> tuple[float, bytes]:
        """Age in seconds and content of a kept answer; raises the error where there is none."""
        kept = self._store.answers.get(question)
        if kept is None:
            raise error
        at, answer = kept
        return max(0.0, (self._clock() - at).total_seconds()), answer


def sentence(error: KoppelError) -> str:
    """What went wrong with one line, for people who know no connections."""
    text = error.message[:1].upper() + error.message[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
