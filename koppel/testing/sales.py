"""A memory ERP that sells: it reckons orders as real ones do, and refuses as real ones do.

Its orders have the shape of the resource `sale.sale`. It rounds line amounts half to even and tax
once for each rate, gives numbers when an order is quoted, knows products, a credit limit and
blocked customers, and takes an order as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from koppel.connectors.base import FieldInfo, Resource
from koppel.connectors.memory_system import Behaviour, MemorySystem, Refusal, Row
from koppel.model.values import minor_units
from koppel.testing.generated import CRM_RESOURCES, ERP_RESOURCES

SALE, QUOTE = "sale.sale", "quote"
ZERO = Decimal(0)
ACTIONS: Mapping[str, tuple[str, Any]] = {
    "quote": ("state", "quotation"),
    "confirm": ("state", "processing"),
    "cancel": ("state", "cancelled"),
    "draft": ("state", "draft"),
}


def _texts(*names: str) -> tuple[FieldInfo, ...]:
    return tuple(FieldInfo(name=name, type="text") for name in names)


def _decimals(*names: str) -> tuple[FieldInfo, ...]:
    return tuple(FieldInfo(name=name, type="decimal") for name in names)


_TAX_FIELDS = (*_texts("category", "name"), *_decimals("rate", "base", "amount"))
SALE_RESOURCE = Resource(
    name=SALE,
    fields=(
        *_texts(
            "number", "reference", "koppel_key", "description", "comment", "contact",
            "invoice_address", "shipment_address", "payment_term", "currency", "incoterm", "state",
            "accepted",
        ),
        FieldInfo(name="party", type="reference", reference="party", required=True),
        FieldInfo(name="shipping_date", type="date"),
        FieldInfo(name="sale_date", type="date"),
        *_decimals("untaxed_amount", "tax_amount", "total_amount"),
        FieldInfo(name="accept", type="references"),
        FieldInfo(name="taxes", type="list", fields=_TAX_FIELDS),
        FieldInfo(
            name="lines",
            type="list",
            fields=(
                *_texts(
                    "type", "product_code", "description", "note", "unit", "status", "base_price",
                    "discount_rate",
                ),
                *_decimals(
                    "quantity", "unit_price", "amount", "rate", "quantity_shipped",
                    "quantity_invoiced", "quantity_open",
                ),
                FieldInfo(name="planned_date", type="date"),
                FieldInfo(name="effective_date", type="date"),
                FieldInfo(name="taxes", type="list", fields=_TAX_FIELDS),
            ),
        ),
        FieldInfo(
            name="shipments",
            type="list",
            fields=(
                *_texts("number", "state"),
                FieldInfo(name="planned_date", type="date"),
                FieldInfo(name="effective_date", type="date"),
            ),
        ),
        FieldInfo(
            name="invoices",
            type="list",
            fields=(
                *_texts("number", "type", "state"),
                *_decimals("untaxed_amount", "tax_amount", "total_amount", "amount_to_pay"),
                FieldInfo(name="invoice_date", type="date"),
                FieldInfo(name="due_date", type="date"),
                FieldInfo(name="dunning_level", type="integer"),
            ),
        ),
        FieldInfo(name="dunning_level", type="integer"),
    ),
)  # fmt: skip
QUOTE_RESOURCE = Resource(
    name=QUOTE,
    fields=(
        *_texts(
            "number", "name", "status", "currency", "reference", "payment_terms", "incoterm",
            "comment", "erp_number",
        ),
        FieldInfo(name="organisation", type="reference", reference="organisation"),
        FieldInfo(name="requested", type="date"),
        *_decimals("discount"),
        FieldInfo(
            name="lines",
            type="list",
            fields=(
                *_texts("kind", "product_code", "name", "unit", "discount_unit"),
                *_decimals("quantity", "unit_price", "discount", "vat"),
            ),
        ),
    ),
)  # fmt: skip


class SalesSystem(MemorySystem):
    """The ERP. `rates`: product code -> tax rate in percent; an unknown code is no product."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        name: str = "erp",
        digits: int = 4,
        behaviour: Behaviour | None = None,
    ) -> None:
        behaviour = replace(behaviour or Behaviour(), actions=ACTIONS)
        super().__init__(name, (*ERP_RESOURCES, SALE_RESOURCE), behaviour, clock=clock)
        self.rates: dict[str, Decimal] = {}
        self.discontinued: set[str] = set()
        self.blocked: set[str] = set()
        self.credit_limit: Decimal | None = None
        self.digits = digits
        self.made = 0
        self._numbers = 0

    def create(
        self, resource: str, fields: Mapping[str, Any], by: str, key: str | None = None
    ) -> Row:
        if resource != SALE:
            return super().create(resource, fields, by, key)
        reckoned = self._reckoned(dict(fields))
        _refuse_difference(fields, reckoned)
        if fields["party"] in self.blocked:
            raise Refusal("invalid", "This customer is blocked.", "party")
        row = super().create(resource, {**reckoned, "state": "draft", "koppel_key": key}, by, key)
        self.made += 1
        return row

    def update(self, resource: str, id: str, fields: Mapping[str, Any], by: str) -> Row:
        if resource != SALE:
            return super().update(resource, id, fields, by)
        before = self.row(resource, id).fields
        changed = dict(fields)
        if by == "koppel" and "lines" in fields and before["state"] != "draft":
            raise Refusal("locked", "The lines of a confirmed order are frozen.", "lines")
        if "lines" in fields and ("unit_price" in (fields["lines"] or [{}])[0]):
            merged = {**before, **changed}
            changed = {**changed, **self._reckoned(merged, only_sums=True)}
            if by == "koppel":
                _refuse_difference(fields, changed)
        if fields.get("state") in ("quotation", "processing") and not before["number"]:
            self._numbers += 1
            changed["number"] = f"S-{self._numbers:05d}"
        if fields.get("state") == "processing":
            self._credit(before, changed.pop("accept", None) or ())
        if fields.get("state") == "cancelled" and before["state"] == "done":
            raise Refusal("invalid", "A delivered order cannot be cancelled.")
        changed.pop("accept", None)
        return super().update(resource, id, changed, by)

    def _credit(self, sale: Mapping[str, Any], accepted: Sequence[str]) -> None:
        over = self.credit_limit is not None and sale["total_amount"] > self.credit_limit
        if over and "credit_limit_amount" not in accepted:
            raise Refusal("invalid", "The credit limit is exceeded.", "accept:credit_limit_amount")

    def _reckoned(self, fields: dict[str, Any], *, only_sums: bool = False) -> dict[str, Any]:
        currency = str(fields.get("currency") or "EUR")
        places = Decimal(1).scaleb(-minor_units(currency))
        sums: dict[Decimal, Decimal] = {}
        lines = []
        for line in fields.get("lines") or ():
            kept = {
                name: value
                for name, value in line.items()
                if name not in ("taxes", "base_price", "discount_rate")
            }
            kept.setdefault("type", "line")
            if kept["type"] == "line":
                rate = self._rate(line)
                amount = (line["quantity"] * self._price(line)).quantize(places, ROUND_HALF_EVEN)
                kept |= {"unit_price": self._price(line), "amount": amount, "rate": rate}
                kept["taxes"] = [{"rate": rate / 100}] if rate else []
                kept.setdefault("quantity_open", line["quantity"])
                kept.setdefault("status", "draft")
                sums[rate] = sums.get(rate, ZERO) + amount
            lines.append(kept)
        taxes = [
            {
                "rate": rate / 100,
                "category": "S",
                "base": base,
                "amount": (base * rate / 100).quantize(places, ROUND_HALF_EVEN),
            }
            for rate, base in sorted(sums.items())
            if rate
        ]
        net = sum(sums.values(), ZERO)
        tax = sum((Decimal(str(one["amount"])) for one in taxes), ZERO)
        found = {
            "lines": lines, "taxes": taxes, "untaxed_amount": net, "tax_amount": tax,
            "total_amount": net + tax,
        }  # fmt: skip
        return found if only_sums else {**fields, **found}

    def _price(self, line: Mapping[str, Any]) -> Decimal:
        if "unit_price" not in line:
            raise Refusal("invalid", f"There is no price for {line.get('product_code')}.", "lines")
        price: Decimal = line["unit_price"].quantize(
            Decimal(1).scaleb(-self.digits), ROUND_HALF_EVEN
        )
        return price

    def _rate(self, line: Mapping[str, Any]) -> Decimal:
        if "rate" in line and line["rate"] is not None:
            return Decimal(line["rate"])
        code = line.get("product_code")
        if code is None:
            taxes = line.get("taxes") or ()
            return Decimal(taxes[0]["rate"]) * 100 if taxes else ZERO
        if code not in self.rates:
            raise Refusal("invalid", f"There is no product {code}.", "lines.product_code")
        if code in self.discontinued:
            raise Refusal("invalid", f"The product {code} is not salable.", "lines.product_code")
        return self.rates[code]


def _refuse_difference(given: Mapping[str, Any], reckoned: Mapping[str, Any]) -> None:
    """The expected amounts, where given, are compared to the cent; nothing is made else."""
    found, blamed = [], []
    for place, (line, made) in enumerate(
        zip(given.get("lines") or (), reckoned["lines"], strict=True), start=1
    ):
        if line.get("amount") is not None and line["amount"] != made["amount"]:
            found.append(f"line {place}: {made['amount']} against {line['amount']}")
            blamed.append("lines")
    for name in ("untaxed_amount", "tax_amount", "total_amount"):
        if given.get(name) is not None and given[name] != reckoned[name]:
            found.append(f"{name}: {reckoned[name]} against {given[name]}")
            blamed.append(name)
    if found:
        raise Refusal("invalid", f"The ERP reckons otherwise: {'; '.join(found)}.", *blamed)


def sales_crm(
    *, clock: Callable[[], float] | None = None, behaviour: Behaviour | None = None
) -> MemorySystem:
    """A CRM in memory that has quotes beside organisations and contacts."""
    return MemorySystem("crm", (*CRM_RESOURCES, QUOTE_RESOURCE), behaviour, clock=clock)
