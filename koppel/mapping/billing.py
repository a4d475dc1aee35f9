"""An ERP's order, invoice or credit note as a record of the CRM, equal to the cent.

The CRM reckons totals by itself, from lines with fewer decimals and with another rounding of tax.
So each line is written in a form that keeps its amount, and where rounding tax would make another
cent, lines that come to nothing but that cent are added. What cannot be kept exactly is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any

from msgspec import Struct

from koppel.mapping.orders import OrderMapping
from koppel.sync.totals import HUNDRED, TaxRounding, rounded, tax_of

CENT = Decimal("0.01")
MOST_CENTS = 5
"""More than this of a rate is no rounding any more."""

Item = Callable[[str], str | None]
"""The CRM's id of a product by the ERP's code; None where the CRM does not have it."""


class CannotKeep(Exception):
    """The CRM cannot hold these amounts to the cent; the message says why."""


class Line(Struct, frozen=True, kw_only=True):
    """One line as the CRM is to reckon it: quantity times price comes to `net` exactly."""

    name: str
    quantity: Decimal
    price: Decimal
    net: Decimal
    rate: Decimal
    item: str = ""
    unit: str = ""


class Sheet(Struct, frozen=True, kw_only=True):
    """The document, amounts in `currency`; those of a credit note with their sign turned."""

    kind: str
    number: str
    name: str
    currency: str
    lines: tuple[Line, ...]
    date: Any = None
    due: Any = None
    reference: str = ""
    status: str = ""
    note: str = ""
    made_from: str | None = None


def sheet_lines(
    fields: Mapping[str, Any], rounding: TaxRounding, *, sign: int = 1
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """The lines with which a CRM that rounds so comes to the document's totals, and its texts.

    `fields` are the native ones of an ERP's sale or invoice. Raises `CannotKeep`.
    """
    found, texts = [], []
    for line in fields.get("lines") or ():
        if line.get("type", "line") == "line":
            found.append(_line(line, sign))
        elif line.get("description"):
            texts.append(str(line["description"]))
    found += _corrections(found, fields.get("taxes") or (), rounding, sign)
    return tuple(found), tuple(texts)


def _line(line: Mapping[str, Any], sign: int) -> Line:
    amount = Decimal(line.get("amount") or 0) * sign
    if amount != amount.quantize(CENT):
        raise CannotKeep(f"{amount:f} has more than two decimals")
    quantity = Decimal(line.get("quantity") or 0) * sign
    price = Decimal(line.get("unit_price") or 0)
    if quantity < 0:
        quantity, price = -quantity, -price
    item = str(line.get("product_code") or "")
    name = " ".join(str(line.get("description") or item or "–").split())
    plain = quantity == quantity.quantize(CENT) and price == price.quantize(CENT)
    if not plain or not quantity or rounded(quantity * price, "EUR") != amount:
        told = f"{quantity.normalize():f} {line.get('unit') or ''}".strip()
        name = f"{name} ({told} at {abs(price).normalize():f})"
        quantity, price = Decimal(1), amount
    return Line(
        name=name,
        quantity=quantity.quantize(CENT),
        price=price.quantize(CENT),
        net=amount,
        rate=_rate(line),
        item=item,
        unit=str(line.get("unit") or ""),
    )


def _rate(line: Mapping[str, Any]) -> Decimal:
    rates = [tax.get("rate") for tax in line.get("taxes") or ()]
    if not rates:
        return Decimal(0)
    if len(rates) > 1 or rates[0] is None:
        raise CannotKeep("a line bears several taxes, or one that is no percentage")
    return Decimal(rates[0]) * HUNDRED


def _corrections(
    lines: Sequence[Line], taxes: Sequence[Mapping[str, Any]], rounding: TaxRounding, sign: int
) -> list[Line]:
    wanted: dict[Decimal, Decimal] = {}
    for tax in taxes:
        if tax.get("rate") is None:
            raise CannotKeep("a tax is no percentage")
        rate = Decimal(tax["rate"]) * HUNDRED
        wanted[rate] = wanted.get(rate, Decimal(0)) + Decimal(tax.get("amount") or 0) * sign
    found: list[Line] = []
    for rate in sorted({*wanted, *(line.rate for line in lines)}):
        nets = [line.net for line in lines if line.rate == rate]
        parts = nets if rounding == "line" else [sum(nets, Decimal(0))]
        own = sum((tax_of(net, rate, "EUR") for net in parts), Decimal(0))
        cents = int((wanted.get(rate, Decimal(0)) - own) / CENT)
        if cents and (rounding != "line" or abs(cents) > MOST_CENTS):
            raise CannotKeep(f"the tax of {rate.normalize():f} % is {cents} cents off")
        for _ in range(abs(cents)):
            found += _cent(rate, 1 if cents > 0 else -1)
    return found


def _cent(rate: Decimal, sign: int) -> list[Line]:
    """Lines of which the net comes to nothing, and the tax, rounded line by line, to one cent."""
    half = (Decimal("0.25") * HUNDRED / rate).to_integral_value(ROUND_CEILING) * CENT
    return [
        Line(
            name=f"Rounding of tax, {rate.normalize():f} %",
            quantity=Decimal("1.00"),
            price=(amount * sign).quantize(CENT),
            net=(amount * sign).quantize(CENT),
            rate=rate,
        )
        for amount in (2 * half, -half, -half)
    ]


def native(sheet: Sheet, mapping: OrderMapping, target: str, item: Item) -> dict[str, Any]:
    """The fields of the CRM's record."""
    header, names, records = mapping.header, mapping.lines, mapping.records
    fields: dict[str, Any] = {
        header.partner: target,
        header.currency: sheet.currency,
        header.number: sheet.number,
        header.name: sheet.name[: records.longest],
        header.issued: sheet.date,
        header.valid_to: sheet.due,
        header.note: sheet.note or None,
        records.buyer_reference: sheet.reference or None,
        records.made_from: sheet.made_from,
        header.discount_percent: Decimal("0.00"),
    }
    if sheet.status:
        fields[header.status] = sheet.status
    fields.pop("", None)
    fields[names.list] = [_native(line, mapping, item) for line in sheet.lines]
    return fields


def _native(line: Line, mapping: OrderMapping, item: Item) -> dict[str, Any]:
    names = mapping.lines
    known = item(line.item) if line.item and names.item_ref else None
    found: dict[str, Any] = {
        names.quantity: line.quantity,
        names.price: line.price,
        names.tax_rate: line.rate.quantize(CENT),
        names.unit: line.unit or None,
        names.discount: Decimal("0.00"),
        names.note: line.name if known else None,
    }
    found[names.item_ref if known else mapping.records.free_item] = (
        known or (f"{line.item} {line.name}".strip()[: mapping.records.longest])
    )
    found.pop("", None)
    return found


def differs(seen: Mapping[str, Any], wanted: Mapping[str, Any], lines: str) -> bool:
    """Does a record say anything else than what is wanted?"""
    for name, value in wanted.items():
        if name != lines:
            if (seen.get(name) or None) != (value or None):
                return True
            continue
        here = seen.get(name) or ()
        if len(here) != len(value):
            return True
        for one, two in zip(here, value, strict=True):
            if any((one.get(key) or None) != (part or None) for key, part in two.items()):
                return True
    return False
