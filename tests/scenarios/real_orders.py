"""Sales on the real pair: the ERP's products in the CRM, prospects with quotes, transfers."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from koppel import config
from koppel.connectors import registry
from koppel.connectors.base import Connector, Create, Record, Update, Written
from koppel.engine import Engine
from koppel.processes.orders import Orders
from koppel.processes.settings import KIND, NAME, shipped_settings
from koppel.store import Store, open_store
from koppel.store.opening import Clock
from koppel.store.secrets import find_key
from tests.scenarios.real import RealPair

QUOTE, SALE, PRODUCT = "billing.quote", "sale.sale", "product.product"
CENT = Decimal("0.01")
Wrap = Callable[[str, Connector], Connector]


def _opened(pair: RealPair, clock: Clock = config.now) -> Store:
    return open_store(pair.home / "koppel.sqlite3", clock=clock, key=find_key(pair.home))


@dataclass
class RealSales:
    """A pair with quotes. `orders` gives the processes in this very process, as after a restart."""

    pair: RealPair
    crm: Connector
    erp: Connector
    store: Store
    products: list[Mapping[str, Any]] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def begin(cls, pair: RealPair, crm: Connector, erp: Connector) -> RealSales:
        """Make goods of the ERP known to the CRM by their codes."""
        pair.init()
        found = cls(pair, crm, erp, _opened(pair))
        ids = [id for id, _ in erp.ids(PRODUCT).items][:60]
        known = _codes(crm)
        for record in erp.fetch(PRODUCT, ids).values():
            if not isinstance(record, Record) or record.fields["type"] != "goods":
                continue
            priced = record.fields["list_price"] and record.fields["salable"]
            if priced and record.fields["taxes"] and record.fields["unit"] == "C62":
                found.products.append(record.fields)
                if record.fields["code"] not in known:
                    found._product(record.fields)
        return found

    def open(self, clock: Clock = config.now) -> None:
        """Let this process work on the pair's store."""
        self.store = _opened(self.pair, clock)

    def _product(self, fields: Mapping[str, Any]) -> None:
        self.made(
            "products.product",
            {
                "name": fields["name"],
                "erp_code": fields["code"],
                "unit": fields["unit"],
                "unit_price": Decimal(fields["list_price"]).quantize(CENT),
            },
        )

    def made(self, resource: str, fields: Mapping[str, Any]) -> str:
        """A record of the CRM; its id."""
        write = Create(resource=resource, key=uuid.uuid4().hex, fields=dict(fields))
        (outcome,) = self.crm.write([write])
        assert isinstance(outcome, Written), outcome
        return outcome.after.id

    def edited(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        """A change of the CRM's record."""
        write = Update(
            resource=resource, key=uuid.uuid4().hex, id=id, expected=None, fields=dict(fields)
        )
        (outcome,) = self.crm.write([write])
        assert isinstance(outcome, Written), outcome

    def know(self, *codes: str) -> None:
        """Make products of the ERP known to the CRM."""
        for code in codes:
            (found,) = self.erp.find(PRODUCT, {"code": code})
            self._product(found.fields)

    def prospect(self, **address: str) -> str:
        """An organisation of the CRM that the ERP does not know."""
        number = next(self._numbers)
        return self.made(
            "persons.organisation",
            {
                "name": f"Neukunde {number} {uuid.uuid4().hex[:6]} GmbH",
                "roles": ["prospect"],
                "billing_address": {
                    "name": "Billing address",
                    "address": f"Ringstraße {number}",
                    "zipcode": "50667",
                    "city": "Köln",
                    "country": "Germany",
                    **address,
                },
            },
        )

    def line(
        self, number: int, quantity: str, *, price: str = "", discount: str = "0", vat: str = ""
    ) -> dict[str, Any]:
        """A line for one of the ERP's goods."""
        product = self.products[number]
        rate = Decimal(product["taxes"][0]["rate"]) * 100
        return {
            "product_code": product["code"],
            "quantity": Decimal(quantity),
            "unit_price": Decimal(price or product["list_price"]).quantize(CENT),
            "discount": Decimal(discount),
            "discount_unit": "percent",
            "vat": Decimal(vat or rate).quantize(CENT),
        }

    def quote(self, *lines: dict[str, Any], target: str = "", **fields: Any) -> str:
        """A quote, of a new prospect where no target is given."""
        return self.made(
            QUOTE,
            {
                "name": f"Offer {next(self._numbers)}",
                "target": target or self.prospect(),
                "currency": "EUR",
                "issuing_date": date.today(),
                "lines": list(lines) or [self.line(0, "2"), self.line(1, "1")],
                **fields,
            },
        )

    def orders(
        self, wrap: Wrap = lambda name, inner: inner, settings: Mapping[str, str] | None = None
    ) -> Orders:
        """The processes with connectors of their own, wrapped; `settings` replace the ERP's."""

        def connect(kind: str, config: Mapping[str, str]) -> Connector:
            changed = {**config, **(settings or {})} if kind == "tryton" else config
            return wrap(kind, registry.connect(kind, changed))

        return Orders(Engine(self.store, connect=connect))

    @contextmanager
    def settings(self, *changes: tuple[str, str]) -> Iterator[None]:
        """Other order settings meanwhile."""
        before = self.store.documents.get(KIND, NAME) or shipped_settings()
        text = before
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.store.documents.put(KIND, NAME, text)
        try:
            yield
        finally:
            self.store.documents.put(KIND, NAME, before)

    def sales_of(self, quote: str) -> list[Record]:
        """The ERP's orders of a quote, whatever their key's end."""
        name = self.orders().systems.settings.crm
        return list(self.erp.find(SALE, {"koppel_key": f"{name}/{QUOTE}/{quote}"}, limit=5))


def _codes(crm: Connector) -> set[Any]:
    ids = [id for id, _ in crm.ids("products.product").items]
    read = crm.fetch("products.product", ids[:500]) if ids else {}
    return {one.fields.get("erp_code") for one in read.values() if isinstance(one, Record)}
