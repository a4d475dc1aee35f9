"""Totals of an order, to the cent: the arithmetic of EN 16931, and the comparison of two sides.

Amounts are rounded half up to the currency's minor units at each business term that is an amount,
and nowhere else. Whether two sides agree is asked of amounts that are rounded already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Literal

from msgspec import Struct

from koppel.model.sales import Allowance, Order, OrderLine, Taxed, TaxSubtotal, Totals
from koppel.model.values import minor_units

HUNDRED = Decimal(100)
TaxRounding = Literal["rate", "line"]
"""Where tax is rounded: once for each rate (EN 16931), or for each line."""
Half = Literal["up", "even"]
_HALVES: Mapping[Half, str] = {"up": ROUND_HALF_UP, "even": ROUND_HALF_EVEN}


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Half up to the currency's minor units."""
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), rounding=ROUND_HALF_UP)


def unambiguous(amount: Decimal, currency: str) -> bool:
    """Do rounding half up and half to even come to the same?"""
    places = Decimal(1).scaleb(-minor_units(currency))
    return amount.quantize(places, ROUND_HALF_UP) == amount.quantize(places, ROUND_HALF_EVEN)


def line_net(line: OrderLine, currency: str) -> Decimal:
    """The net amount of a line (BT-131): quantity times price, less the line's discounts."""
    if line.kind == "text":
        return Decimal(0)
    full = line.quantity * line.price
    return rounded(full * (HUNDRED - line.discount_percent) / HUNDRED - line.discount_amount,
                   currency)  # fmt: skip


def tax_of(taxable: Decimal, rate: Decimal, currency: str, half: Half = "up") -> Decimal:
    """The tax of one rate (BT-117)."""
    places = Decimal(1).scaleb(-minor_units(currency))
    return (taxable * rate / HUNDRED).quantize(places, rounding=_HALVES[half])


def taxed(lines: Iterable[OrderLine], allowances: Iterable[Allowance]) -> tuple[Taxed, ...]:
    """The amounts that bear tax, each with its rate; those without a rate are left out."""
    parts = [(line.tax_rate, line.net) for line in lines if line.kind != "text"]
    parts += [(one.tax_rate, one.amount) for one in allowances]
    return tuple(Taxed(rate=rate, amount=amount) for rate, amount in parts if rate)


def totals(
    lines: Iterable[OrderLine],
    allowances: Iterable[Allowance],
    currency: str,
    rounding: TaxRounding = "rate",
) -> Totals:
    """Net, tax by rate, gross. Lines count with their own `net`; without a rate there is no tax."""
    parts: list[tuple[Decimal, str, Decimal]] = [
        (line.tax_rate if line.tax_rate is not None else Decimal(0), line.tax_category, line.net)
        for line in lines
        if line.kind != "text"
    ]
    parts += [
        (one.tax_rate if one.tax_rate is not None else Decimal(0), one.tax_category, one.amount)
        for one in allowances
    ]
    taxable: dict[Decimal, Decimal] = {}
    tax: dict[Decimal, Decimal] = {}
    category: dict[Decimal, str] = {}
    for rate, kind, amount in parts:
        taxable[rate] = taxable.get(rate, Decimal(0)) + amount
        tax[rate] = tax.get(rate, Decimal(0)) + tax_of(amount, rate, currency)
        category.setdefault(rate, kind)
    subtotals = tuple(
        TaxSubtotal(
            rate=rate,
            taxable=taxable[rate],
            amount=tax[rate]
            if rounding == "line"
            else tax_of(taxable[rate], rate, currency),
            category=category[rate],
        )
        for rate in sorted(taxable)
    )  # fmt: skip
    net = sum((one.taxable for one in subtotals), Decimal(0))
    return Totals(
        net=rounded(net, currency),
        taxes=subtotals,
        gross=rounded(net + sum((one.amount for one in subtotals), Decimal(0)), currency),
    )


class LineDifference(Struct, frozen=True, kw_only=True):
    """Where the sides do not agree; `place` is a line's position and name, or a total."""

    place: str
    crm: Decimal | None
    erp: Decimal | None
    only_rounding: bool = False
    """A difference of tax alone, no larger than rounding it elsewhere can make."""

    def __str__(self) -> str:
        return f"{self.place}: {_amount(self.crm)} in the CRM, {_amount(self.erp)} in the ERP"


def _amount(value: Decimal | None) -> str:
    return "nothing" if value is None else f"{value:f}"


def compare(
    crm: Totals, erp: Totals, lines: Sequence[tuple[str, Decimal | None, Decimal | None]],
    currency: str, parts: int,
) -> tuple[LineDifference, ...]:  # fmt: skip
    """Every difference, line by line first, then the totals; empty where all agree to the cent.

    `lines`: name, CRM's net, ERP's net; `parts`: how many amounts bear tax, which bounds what
    rounding can do.
    """
    found = [LineDifference(place=name, crm=one, erp=two) for name, one, two in lines if one != two]
    if crm.net != erp.net:
        found.append(LineDifference(place="net", crm=crm.net, erp=erp.net))
    rates = {one.rate: one for one in crm.taxes if one.rate or one.amount}
    others = {one.rate: one for one in erp.taxes if one.rate or one.amount}
    nets_agree = not found
    cent = Decimal(1).scaleb(-minor_units(currency))
    for rate in sorted(rates.keys() | others.keys()):
        one, two = rates.get(rate), others.get(rate)
        name = f"tax of {rate.normalize():f} %"
        if one is None or two is None or one.taxable != two.taxable:
            found.append(
                LineDifference(
                    place=f"taxable at {rate.normalize():f} %",
                    crm=one.taxable if one else None,
                    erp=two.taxable if two else None,
                )
            )
            nets_agree = False
        elif one.amount != two.amount:
            small = abs(one.amount - two.amount) <= cent * parts / 2 + cent / 2
            found.append(
                LineDifference(
                    place=name, crm=one.amount, erp=two.amount, only_rounding=nets_agree and small
                )
            )
    if crm.gross != erp.gross:
        only = nets_agree and bool(found) and all(one.only_rounding for one in found)
        found.append(
            LineDifference(place="gross", crm=crm.gross, erp=erp.gross, only_rounding=only)
        )
    return tuple(found)


class TaxMethod(Struct, frozen=True, kw_only=True):
    """How a side rounds tax: where, and what it makes of a half."""

    where: TaxRounding
    half: Half

    def __str__(self) -> str:
        place = "once for each rate" if self.where == "rate" else "line by line"
        return f"{place}, halves {'up' if self.half == 'up' else 'to even'}"


METHODS = tuple(
    TaxMethod(where=where, half=half) for where in ("rate", "line") for half in ("up", "even")
)  # fmt: skip


def methods_of(
    told: Totals, groups: Sequence[TaxSubtotal], taxed: Sequence[Taxed], currency: str
) -> tuple[TaxMethod, ...]:
    """The methods that come to exactly the tax told, rate by rate; none where no method does.

    `groups` are the amounts that a side taxes as one (there may be several of a rate), `taxed` the
    amounts of its lines. Both must come to what the side itself calls taxable.
    """
    base = {one.rate: one.taxable for one in told.taxes if one.rate}
    tax = {one.rate: one.amount for one in told.taxes if one.rate}
    lines = [(one.rate, one.amount) for one in taxed]
    rows = [(one.rate, one.taxable) for one in groups]
    if _by_rate(lines) != base or _by_rate(rows) != base:
        return ()
    if told.gross - told.net != sum(tax.values(), Decimal(0)):
        return ()
    return tuple(
        method
        for method in METHODS
        if _by_rate(
            (rate, tax_of(amount, rate, currency, method.half))
            for rate, amount in (lines if method.where == "line" else rows)
        )
        == tax
    )


def _by_rate(parts: Iterable[tuple[Decimal, Decimal]]) -> dict[Decimal, Decimal]:
    found: dict[Decimal, Decimal] = {}
    for rate, amount in parts:
        if rate:
            found[rate] = found.get(rate, Decimal(0)) + amount
    return found


class Side(Struct, frozen=True, kw_only=True):
    """What a side tells of an order's tax: its totals, what it taxes as one, and its lines."""

    totals: Totals
    groups: tuple[TaxSubtotal, ...]
    taxed: tuple[Taxed, ...]


def only_methods_differ(crm: Side, erp: Side, currency: str) -> tuple[TaxMethod, TaxMethod] | None:
    """Proof that two sides differ by nothing but where and how they round tax, or None.

    Net and what is taxable at each rate are equal to the cent, and the tax of each side is exactly
    what its method makes of its own amounts. The methods are named, the CRM's first.
    """
    here, there = crm.totals, erp.totals
    if here.net != there.net or _by_rate((t.rate, t.taxable) for t in here.taxes) != _by_rate(
        (t.rate, t.taxable) for t in there.taxes
    ):
        return None
    ours = methods_of(here, crm.groups, crm.taxed, currency)
    theirs = methods_of(there, erp.groups, erp.taxed, currency)
    return (ours[0], theirs[0]) if ours and theirs else None


def order_totals(order: Order, rounding: TaxRounding = "rate") -> Totals:
    """The totals of an order's own lines and allowances."""
    return totals(order.lines, order.allowances, order.currency, rounding)
