"""Order documents of a CRM: what of a native record is what of an order, and value tables.

A mapping (`koppel/mappings/<connector>/order.toml`) names the native fields; values of the CRM that
the ERP calls otherwise (units, payment terms, delivery terms) go through tables of the process's
settings. A value that no table knows is told in a sentence, never guessed and never left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from koppel import typed
from koppel.connectors.base import Record, Resource
from koppel.errors import NeedsUser
from koppel.model.sales import Allowance, Order, OrderLine, Person
from koppel.model.values import Address, is_currency
from koppel.sync.totals import TaxRounding, line_net, rounded, taxed, totals

ZERO, HUNDRED = Decimal(0), Decimal(100)


class HeaderNames(Struct, frozen=True, forbid_unknown_fields=True):
    """Native names of an order's header; an empty name: the system has no such field."""

    partner: str
    currency: str
    number: str = ""
    name: str = ""
    status: str = ""
    buyer_reference: str = ""
    issued: str = ""
    valid_to: str = ""
    requested_delivery: str = ""
    payment_terms: str = ""
    delivery_terms: str = ""
    note: str = ""
    discount_percent: str = ""
    contact: str = ""
    invoice_address: str = ""
    delivery_address: str = ""
    owner: str = ""
    made_from: str = ""
    made_from_resource: str = ""
    net: str = ""
    gross: str = ""
    contact_resource: str = ""
    contact_partner: str = ""
    """The contact's field that names its company: the customer where only a contact is given."""
    contact_name: tuple[str, ...] = ()
    contact_email: str = ""
    contact_phone: str = ""


class LineNames(Struct, frozen=True, forbid_unknown_fields=True):
    """Native names of a line. `items` names the resource in which `item_ref` is looked up."""

    list: str
    quantity: str
    price: str
    item: str = ""
    item_ref: str = ""
    items: str = ""
    item_number: str = "code"
    name: str = ""
    item_name: str = "name"
    note: str = ""
    unit: str = ""
    discount: str = ""
    discount_unit: str = ""
    net: str = ""
    tax_rate: str = ""
    tax_category: str = ""
    type: str = ""
    discount_kinds: Mapping[str, Literal["percent", "line", "unit"]] = field(default_factory=dict)
    text_types: tuple[str, ...] = ()


class RecordNames(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the CRM keeps the ERP's documents as records of its own; empty: nowhere.

    `order`, `invoice`, `credit_note` are resources, the others native names: of the document that a
    record belongs to, of the customer's order number, of a line's text without an item. `longest`:
    how many characters of a name it keeps.
    """

    order: str = ""
    invoice: str = ""
    credit_note: str = ""
    made_from: str = ""
    buyer_reference: str = ""
    free_item: str = "name"
    longest: int = 100


class OrderMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """How a CRM keeps orders. `spread_discount`: it takes the order's discount off each line.

    `quotes`: which of the resources are quotes; the others are orders already.
    """

    connector: str
    resources: tuple[str, ...]
    header: HeaderNames
    lines: LineNames
    address: Mapping[str, str] = field(default_factory=dict)
    records: RecordNames = field(default_factory=RecordNames)
    tax_rounding: TaxRounding = "rate"
    spread_discount: bool = False
    quotes: tuple[str, ...] = ()


class OrderFault(Exception):
    """The document cannot be read as an order; each sentence names the place and the value."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = tuple(sentences)


def load_order_mapping(text: str, *, source: str) -> OrderMapping:
    """Read a mapping; `NeedsUser` says where it is wrong."""
    try:
        return typed.convert(tomllib.loads(text), OrderMapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the mapping") from error


def shipped_order_mapping(connector: str) -> str:
    """The text of the mapping that comes with a connector; `NeedsUser` where there is none."""
    path = files("koppel") / "mappings" / connector / "order.toml"
    if not path.is_file():
        raise NeedsUser(
            f"the connector {connector} brings no mapping for orders",
            remedy=f"Write koppel/mappings/{connector}/order.toml",
        )
    return path.read_text(encoding="utf-8")


Lookup = Callable[[str, str], Mapping[str, Any] | None]
"""(resource, id) -> the native fields of a record that the order points to."""


class OrderReader:
    """Reads the orders of one CRM."""

    def __init__(self, mapping: OrderMapping, resource: Resource | None = None) -> None:
        self.mapping = mapping
        self._resource = resource

    def references(self, record: Record) -> set[tuple[str, str]]:
        """What must be at hand to read the order: (resource, id) of the contact, and of items of
        which the line itself does not tell the number."""
        names, header = self.mapping.lines, self.mapping.header
        wanted = {
            (names.items, str(line[names.item_ref]))
            for line in record.fields.get(names.list) or ()
            if names.items
            and names.item_ref
            and line.get(names.item_ref) is not None
            and not self._text(line, names.item)
        }
        contact = record.fields.get(header.contact) if header.contact else None
        if contact and header.contact_resource:
            wanted.add((header.contact_resource, str(contact)))
        return wanted

    def has(self, name: str) -> bool:
        """Does the resource have this field? True where it was not described."""
        return self._resource is None or self._resource.field(name) is not None

    def choice(self, name: str, label: str) -> Any:
        """The value of a choice by its label; `NeedsUser` names those that there are."""
        info = self._resource.field(name) if self._resource is not None else None
        if info is None or not info.choices:
            return label
        for choice in info.choices:
            if label in (choice.label, choice.value):
                return choice.value
        raise NeedsUser(
            f"'{label}' is no value of {name}",
            remedy=f"There are: {', '.join(one.label or one.value for one in info.choices)}",
        )

    def status(self, record: Record) -> str:
        """The document's status as the CRM shows it."""
        return self._labelled(record.fields, self.mapping.header.status)

    def owner(self, record: Record) -> str | None:
        """Who looks after a record, as the CRM shows it."""
        return self._labelled(record.fields, self.mapping.header.owner) or None

    def lines_of(self, snapshot: bytes | None, record: Record) -> dict[str, Any]:
        """The native fields that put a document's lines back to those of a snapshot.

        A line that is gone comes back without its old id. Raises `NeedsUser` without a snapshot.
        """
        if snapshot is None:
            raise NeedsUser("the lines of before are not known", place=record.id)
        names = self.mapping.lines
        before: Mapping[str, Any] = typed.from_json(bytes(snapshot))[1]["fields"]
        here = {str(line.get("id")) for line in record.fields.get(names.list) or ()}
        writable = [
            names.quantity, names.price, names.discount, names.discount_unit, names.unit,
            names.note, names.tax_rate,
        ]  # fmt: skip
        lines = []
        for line in before.get(names.list) or ():
            kept = {
                name: line.get(name) for name in writable if name and line.get(name) is not None
            }
            if str(line.get("id")) in here:
                kept["id"] = line["id"]
            else:
                identity = (names.item_ref, names.item, names.name)
                kept |= {name: line[name] for name in identity[:2] if name and line.get(name)}
            lines.append({name: self._native(name, value) for name, value in kept.items()})
        fields: dict[str, Any] = {names.list: lines}
        discount = self.mapping.header.discount_percent
        if discount and before.get(discount) is not None:
            fields[discount] = self._native(discount, before[discount])
        return fields

    def _native(self, name: str, value: Any) -> Any:
        """Decimals, which a snapshot keeps as texts, as decimals."""
        names = self.mapping.lines
        amounts = (
            names.quantity, names.price, names.discount, names.tax_rate,
            self.mapping.header.discount_percent,
        )  # fmt: skip
        return _decimal(value) if name in amounts else value

    def read(self, record: Record, source: str, look: Lookup) -> Order:
        """The order; raises `OrderFault` with all that is wrong."""
        header, faults = self.mapping.header, list[str]()
        fields = record.fields
        currency = str(fields.get(header.currency) or "")
        if not is_currency(currency):
            currency = str(self._label(header.currency, currency))
        if not is_currency(currency):
            raise OrderFault([f"The currency '{currency}' is none of ISO 4217."])
        partner = fields.get(header.partner)
        if partner is None and header.contact_partner and fields.get(header.contact):
            contact = look(header.contact_resource, str(fields[header.contact])) or {}
            partner = contact.get(header.contact_partner)
        if partner is None:
            faults.append("The order has no customer.")
        lines = [
            self._line(place, line, currency, look, faults)
            for place, line in enumerate(fields.get(self.mapping.lines.list) or (), start=1)
        ]
        if not any(line.kind != "text" for line in lines):
            faults.append("The order has no lines.")
        if faults:
            raise OrderFault(faults)
        percent = _decimal(self._get(fields, header.discount_percent)) or ZERO
        allowances = self._discount(lines, percent, currency)
        bearing = self._taxed(lines, allowances, percent, currency)
        own = totals(*bearing, currency, self.mapping.tax_rounding)
        faults += self._as_shown(fields, own.net, own.gross, currency)
        if faults:
            raise OrderFault(faults)
        return Order(
            source=source,
            number=self._text(fields, header.number),
            name=self._text(fields, header.name),
            partner=str(partner),
            currency=currency,
            lines=tuple(lines),
            allowances=tuple(allowances),
            totals=own,
            taxed=taxed(*bearing),
            buyer_reference=self._text(fields, header.buyer_reference),
            issued=_day(self._get(fields, header.issued)),
            valid_to=_day(self._get(fields, header.valid_to)),
            requested_delivery=_day(self._get(fields, header.requested_delivery)),
            payment_terms=self._labelled(fields, header.payment_terms),
            delivery_terms=self._labelled(fields, header.delivery_terms),
            note=self._text(fields, header.note),
            status=self._labelled(fields, header.status),
            contact=self._contact(fields, look),
            invoice_address=self._address(fields, header.invoice_address),
            delivery_address=self._address(fields, header.delivery_address),
            owner=self._labelled(fields, header.owner),
            made_from=self._made_from(fields),
        )

    def _line(
        self, place: int, line: Mapping[str, Any], currency: str, look: Lookup, faults: list[str]
    ) -> OrderLine:
        names = self.mapping.lines
        if names.type and str(line.get(names.type)) in names.text_types:
            return OrderLine(position=place, kind="text", name=self._text(line, names.name))
        item, name = self._text(line, names.item), self._text(line, names.name)
        reference = line.get(names.item_ref) if names.item_ref else None
        if reference is not None and not item and names.items:
            found = look(names.items, str(reference)) or {}
            item = str(found.get(names.item_number) or "")
            name = name or str(found.get(names.item_name) or "")
            if not item:
                faults.append(f"Line {place}: the product '{name or reference}' has no number.")
        percent, amount = self._line_discount(place, line, faults)
        quantity = _decimal(line.get(names.quantity)) or ZERO
        rate = self._rate(place, line, faults)
        made = OrderLine(
            position=place,
            kind="item" if item or reference is not None else "charge",
            source=str(line.get("id") or ""),
            item=item,
            name=name or item,
            note=self._text(line, names.note),
            quantity=quantity,
            unit=self._text(line, names.unit),
            price=_decimal(line.get(names.price)) or ZERO,
            discount_percent=percent,
            discount_amount=amount,
            tax_rate=rate,
            tax_category=self._text(line, names.tax_category),
        )
        return msgspec.structs.replace(made, net=line_net(made, currency))

    def _line_discount(
        self, place: int, line: Mapping[str, Any], faults: list[str]
    ) -> tuple[Decimal, Decimal]:
        names = self.mapping.lines
        discount = _decimal(self._get(line, names.discount)) or ZERO
        if not discount:
            return ZERO, ZERO
        unit = str(line.get(names.discount_unit)) if names.discount_unit else "percent"
        kind = names.discount_kinds.get(unit, "percent" if unit == "percent" else None)
        if kind == "percent":
            return discount, ZERO
        if kind == "unit":
            return ZERO, discount * (_decimal(line.get(names.quantity)) or ZERO)
        if kind is None:
            faults.append(f"Line {place}: a discount of the kind '{unit}' is not known.")
        return ZERO, discount

    def _rate(self, place: int, line: Mapping[str, Any], faults: list[str]) -> Decimal | None:
        name = self.mapping.lines.tax_rate
        value = line.get(name) if name else None
        if value is None:
            return None
        path = f"{self.mapping.lines.list}.{name}"
        try:
            return Decimal(str(self._label(path, value)).rstrip(" %").replace(",", "."))
        except InvalidOperation:
            faults.append(f"Line {place}: the tax rate '{self._label(path, value)}' is no number.")
            return None

    def _discount(
        self, lines: Sequence[OrderLine], percent: Decimal, currency: str
    ) -> list[Allowance]:
        """The discount on the whole order, for each rate, as the CRM itself reckons it."""
        if not percent:
            return []
        less: dict[Decimal | None, Decimal] = {}
        category: dict[Decimal | None, str] = {}
        for line in lines:
            if line.kind != "text":
                taken = self._discounted(line, percent, currency) - line.net
                less[line.tax_rate] = less.get(line.tax_rate, ZERO) + taken
                category.setdefault(line.tax_rate, line.tax_category)
        return [
            Allowance(
                name=f"Discount {percent.normalize():f} %",
                amount=amount,
                tax_rate=rate,
                tax_category=category[rate],
            )
            for rate, amount in sorted(less.items(), key=lambda one: one[0] or ZERO)
            if amount
        ]

    def _discounted(self, line: OrderLine, percent: Decimal, currency: str) -> Decimal:
        """A line less its share of the order's discount, rounded once as Creme does."""
        if not self.mapping.spread_discount:
            return rounded(line.net * (HUNDRED - percent) / HUNDRED, currency)
        full = line.quantity * line.price * (HUNDRED - line.discount_percent) / HUNDRED
        full -= line.discount_amount
        return rounded(full * (HUNDRED - percent) / HUNDRED, currency)

    def _taxed(
        self,
        lines: Sequence[OrderLine],
        allowances: Sequence[Allowance],
        percent: Decimal,
        currency: str,
    ) -> tuple[Sequence[OrderLine], Sequence[Allowance]]:
        """What the CRM reckons tax of: lines with their share of the order's discount, or both."""
        if self.mapping.tax_rounding == "line" and percent:
            shown = [
                msgspec.structs.replace(line, net=self._discounted(line, percent, currency))
                for line in lines
            ]
            return shown, ()
        return lines, allowances

    def _as_shown(
        self, fields: Mapping[str, Any], net: Decimal, gross: Decimal, currency: str
    ) -> list[str]:
        """Are the totals those that the CRM itself shows? Else the order was misunderstood."""
        faults = []
        header = self.mapping.header
        for name, native, amount in (("net", header.net, net), ("gross", header.gross, gross)):
            shown = _decimal(self._get(fields, native))
            if shown is not None and rounded(shown, currency) != amount:
                faults.append(f"The CRM shows {shown:f} {name}, its lines come to {amount:f}.")
        return faults

    def _contact(self, fields: Mapping[str, Any], look: Lookup) -> Person | None:
        header = self.mapping.header
        id = self._get(fields, header.contact)
        if id is None or not header.contact_resource:
            return None
        found = look(header.contact_resource, str(id))
        if found is None:
            return None
        name = " ".join(str(found[n]) for n in header.contact_name if found.get(n))
        return Person(
            name=name,
            email=self._text(found, header.contact_email),
            phone=self._text(found, header.contact_phone),
        )

    def _made_from(self, fields: Mapping[str, Any]) -> str:
        header = self.mapping.header
        id = self._get(fields, header.made_from)
        return f"{header.made_from_resource}/{id}" if id is not None else ""

    def _address(self, fields: Mapping[str, Any], native: str) -> Address | None:
        given = self._get(fields, native)
        if not isinstance(given, Mapping):
            return None
        parts = {
            name: str(given[part]) for name, part in self.mapping.address.items() if given.get(part)
        }
        return Address(**parts) if parts else None

    @staticmethod
    def _get(fields: Mapping[str, Any], name: str) -> Any:
        return fields.get(name) if name else None

    def _text(self, fields: Mapping[str, Any], name: str) -> str:
        value = self._get(fields, name)
        return "" if value is None else str(value)

    def _labelled(self, fields: Mapping[str, Any], name: str) -> str:
        value = self._get(fields, name)
        return "" if value is None else str(self._label(name, value))

    def _label(self, path: str, value: Any) -> Any:
        """The label of a choice; any other value as it is."""
        info = self._resource.field(path) if self._resource is not None and path else None
        if info is not None:
            for choice in info.choices:
                if choice.value == value:
                    return choice.label or choice.value
        return value


def _decimal(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _day(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else None
