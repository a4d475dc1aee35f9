"""The customer of an order as the ERP knows it: addresses, contact, credit and reminders."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pycountry

from koppel.connectors.base import Gone, Record, Refused, Update
from koppel.engine.durable import Held
from koppel.errors import NeedsUser, TryLater
from koppel.model.sales import Order
from koppel.model.values import Address
from koppel.processes.rules import IncomingRule, PriceDifference, Situation, net_price
from koppel.processes.systems import Systems, written

PARTY, PRODUCT = "party.party", "product.product"
_TABLES = ("addresses", "contact_mechanisms")


@dataclass(frozen=True)
class Prices:
    """The CRM's prices beside the ERP's: how many were compared, what differs, what is unknown."""

    compared: int
    differences: tuple[PriceDifference, ...]
    unknown: tuple[str, ...]


class Customer:
    """Reads one customer of the ERP, once. `firm` is called before anything is written."""

    def __init__(self, systems: Systems, id: str, firm: Callable[[], None]) -> None:
        self._systems = systems
        self._firm = firm
        self.id = id
        self._record: Record | None = None

    @property
    def resource(self) -> str:
        """The ERP's resource of customers, as the mapping of partners names it."""
        return self._systems.lines.mapper(self._systems.settings.erp, "partner").resource

    def record(self) -> Record:
        """What the ERP holds; held where the customer is gone."""
        if self._record is None:
            seen = self._systems.erp.fetch(self.resource, [self.id])[self.id]
            self._record = self._there(seen)
        return self._record

    def _there(self, seen: Record | Gone) -> Record:
        if isinstance(seen, Gone):
            raise Held(
                "the customer is gone from the ERP",
                place=self.id,
                remedy="Couple the CRM's customer with another, then try again",
            )
        return seen

    # Where the invoice and the goods go.

    def places(self, order: Order, key: str) -> dict[str, str]:
        """Ids of addresses and contact for the order; a new delivery address is added."""
        found: dict[str, str] = {}
        places = (order.invoice_address, order.delivery_address)
        if order.contact is None and not any(one and one.part("line1") for one in places):
            return found
        if "addresses" not in self.record().fields:
            return found
        for name, wanted in (
            ("invoice_address", order.invoice_address),
            ("shipment_address", order.delivery_address),
        ):
            if wanted is None or not wanted.part("line1"):
                continue
            id = self._address(wanted)
            if id is None and name == "shipment_address":
                id = self._add(wanted, key)
            if id is not None:
                found[name] = id
        contact = self._contact(order)
        if contact is not None:
            found["contact"] = contact
        return found

    def comment(self, order: Order) -> str:
        """The order's note, with the contact and an invoice address that the ERP has no place for.

        Nothing that was typed in the CRM is left out.
        """
        parts = [order.note]
        if order.contact is not None and self._contact(order) is None:
            shown = (order.contact.name, order.contact.email, order.contact.phone)
            parts.append(f"Contact: {', '.join(filter(None, shown))}")
        address = order.invoice_address
        if (
            address is not None
            and address.part("line1")
            and "addresses" in self.record().fields
            and self._address(address) is None
        ):
            parts.append(f"Invoice to: {address}")
        return "\n".join(filter(None, parts))

    def _address(self, wanted: Address) -> str | None:
        for one in self.record().fields.get("addresses") or ():
            if one.get("active") is not False and _same_place(one, wanted):
                return str(one["id"])
        return None

    def _add(self, wanted: Address, key: str) -> str | None:
        seen = self.record()
        kept = [{"id": one["id"]} for one in seen.fields.get("addresses") or ()]
        new = {
            "street": wanted.part("line1"),
            "postal_code": wanted.part("postal_code"),
            "city": wanted.part("city"),
            "delivery": True,
        }
        country = _country(wanted.part("country"))
        if country is not None:
            new["country"] = country
        self._firm()
        outcome = written(
            self._systems.erp,
            Update(
                resource=seen.resource,
                key=f"{key}-address",
                id=self.id,
                expected=seen.version,
                fields={"addresses": [*kept, new]},
            ),
        )
        if isinstance(outcome, Refused):
            if outcome.reason in ("stale", "locked"):
                raise TryLater("the customer was changed at this moment", after=1)
            raise Held(
                f"the ERP does not take the delivery address: {outcome.message}",
                place=str(wanted),
                remedy="Correct it in the CRM, then try again",
            )
        self._record = None
        return self._address(wanted)

    def _contact(self, order: Order) -> str | None:
        contact = order.contact
        if contact is None:
            return None
        for one in self.record().fields.get("contact_mechanisms") or ():
            value = str(one.get("value") or "").casefold()
            if value and value in (contact.email.casefold(), contact.phone.casefold()):
                return str(one["id"])
        return None

    # Credit and reminders.

    def situation(self, order: Order, rules: Sequence[IncomingRule], *, new: bool) -> Situation:
        """What these rules for incoming orders look at; the ERP is asked for no more than that."""
        credit = any(rule.over_credit is not None for rule in rules)
        if credit or any(
            rule.blocked is not None or rule.dunning_from is not None for rule in rules
        ):
            figures = self._standing(credit=credit)
        else:
            figures = {}
        return Situation(
            gross=order.totals.gross,
            customer=self.id,
            new_customer=new,
            blocked=bool(figures.get("blocked")),
            credit_limit=figures.get("credit_limit"),
            exposure=figures.get("exposure"),
            dunning_level=int(figures.get("dunning_level") or 0),
            items=tuple(sorted({line.item for line in order.lines if line.item})),
        )

    def prices(self, order: Order) -> Prices:
        """The CRM's net price of each item beside the ERP's own, for the document's day.

        One call of the ERP for each item, so it is only asked where a rule wants it.
        """
        ask = getattr(self._systems.erp, "price_enquiry", None)
        if ask is None:
            return Prices(0, (), ("this ERP tells no prices.",))
        compared, found, unknown = 0, list[PriceDifference](), list[str]()
        units = self._systems.settings.values.units
        for line in order.lines:
            if line.kind != "item":
                continue
            (product,) = self._systems.erp.find(PRODUCT, {"code": line.item}, limit=1) or (None,)
            if product is None:
                unknown.append(f"the ERP has no product {line.item}.")
                continue
            try:
                told = ask(
                    party=self.id, product=product.id, quantity=line.quantity,
                    unit=units.get(line.unit, line.unit) or None, date=order.issued,
                    currency=order.currency,
                )  # fmt: skip
            except NeedsUser as error:
                unknown.append(f"{error.message}.")
                continue
            if told.unit_price is None:
                unknown.append(f"the ERP has no price of {line.item}.")
                continue
            compared += 1
            crm, erp = net_price(line), Decimal(told.unit_price)
            if crm != erp:
                found.append(
                    PriceDifference(
                        item=line.item,
                        quantity=line.quantity,
                        crm=crm,
                        erp=erp,
                        currency=order.currency,
                    )
                )
        return Prices(compared, tuple(found), tuple(unknown))

    def _standing(self, *, credit: bool) -> dict[str, Any]:
        """Reminders, and credit where it is asked for: by the ERP's own functions where it has
        them, with the record in the same call if it can, else from the customer's record."""
        names = ("credit_limit", "exposure", "dunning_level", "blocked")
        ask = getattr(self._systems.erp, "party_standing", None)
        if ask is not None:
            standing = ask(self.id, credit=credit)
            self._record = self._there(standing.record)
            return {name: getattr(standing, name) for name in names}
        ask = getattr(self._systems.erp, "party_figures", None)
        told = ask([self.id]).get(self.id) if ask is not None else None
        if told is not None:
            return {name: getattr(told, name) for name in names}
        fields = self.record().fields
        return {
            "credit_limit": _amount(fields.get("credit_limit")),
            "exposure": _amount(fields.get("exposure")),
            "blocked": bool(fields.get("blocked")),
            "dunning_level": fields.get("dunning_level") or 0,
        }


def _amount(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _same_place(one: Mapping[str, Any], wanted: Address) -> bool:
    street = str(one.get("street") or "")
    return all(
        _folded(str(there or "")) == _folded(here or "")
        for there, here in (
            (street, wanted.part("line1")),
            (one.get("postal_code"), wanted.part("postal_code")),
            (one.get("city"), wanted.part("city")),
        )
    )


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.replace("\n", " ").split())


def _country(text: str | None) -> str | None:
    """The code of ISO 3166-1 of a country's code or English name; None where it is neither."""
    if text is None:
        return None
    try:
        found = pycountry.countries.lookup(text)
    except LookupError:
        return None
    return str(found.alpha_2)
