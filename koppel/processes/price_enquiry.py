"""The ERP's own price for a customer, a product and a quantity: asked, not copied.

The answer is kept, so that it can be told with its age while the ERP is away.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from koppel.errors import NeedsUser, TryLater
from koppel.processes.systems import Systems

_MOST = 5000


@dataclass(frozen=True)
class Price:
    """What the ERP says; amounts in `currency` for one `unit`. `age_seconds`: 0 for a new one."""

    unit_price: Decimal | None
    list_price: Decimal | None
    price_list: str | None
    currency: str
    unit: str
    age_seconds: float


_Key = tuple[str, str, Decimal, str | None, str | None, datetime.date | None]


class PriceEnquiry:
    """Asks, and remembers the answers of this process."""

    def __init__(self, systems: Systems, clock: Callable[[], datetime.datetime]) -> None:
        self._systems = systems
        self._clock = clock
        self._kept: dict[_Key, tuple[datetime.datetime, Price]] = {}

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
        """The price; the last answer with its age where the ERP is away.

        `NeedsUser` where the ERP has no such function, `TryLater` where it is away and was never
        asked.
        """
        key = (party, product, quantity, unit, currency, date)
        enquire = getattr(self._systems.erp, "price_enquiry", None)
        if enquire is None:
            raise NeedsUser(
                "this ERP tells no prices", place=self._systems.settings.erp,
                remedy="Take the price list instead",
            )  # fmt: skip
        try:
            told = enquire(
                party=party, product=product, quantity=quantity, unit=unit, date=date,
                currency=currency,
            )  # fmt: skip
        except TryLater:
            if key not in self._kept:
                raise
            at, price = self._kept[key]
            age = (self._clock() - at).total_seconds()
            return Price(
                price.unit_price, price.list_price, price.price_list, price.currency, price.unit,
                age,
            )  # fmt: skip
        price = Price(
            told.unit_price, told.list_price, told.price_list, told.currency, told.unit, 0.0
        )
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = (self._clock(), price)
        return price
