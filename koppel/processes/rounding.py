"""Tax that two systems round differently: proved to be just that, or not taken.

A CRM that rounds tax line by line and an ERP that rounds once for each rate are a cent apart now
and then, and neither is wrong. Such an order is taken with the ERP's tax if both taxes can be
reckoned again, each by one method and to the exact cent, from amounts that are equal on both
sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from koppel.connectors.base import OrderComparison, Refused
from koppel.model.sales import Order, Taxed, TaxSubtotal, Totals
from koppel.processes import rules
from koppel.processes.systems import Systems
from koppel.sync.totals import HUNDRED, Side, only_methods_differ

TAXES = frozenset({"tax_amount", "total_amount", "taxes"})
"""The expected amounts that tax alone can make differ."""


def of_tax_alone(refused: Refused) -> bool:
    """Was an order refused for nothing but its tax?"""
    return bool(refused.fields) and TAXES.issuperset(refused.fields)


def explained(order: Order, erp: Side) -> str | None:
    """Why the two taxes differ, in a sentence, where rounding is proved to be the only reason."""
    found = only_methods_differ(rules.crm_side(order), erp, order.currency)
    if found is None or order.totals.gross == erp.totals.gross:
        return None
    crm, theirs = found
    return (
        f"The tax is {order.totals.tax:f} {order.currency} in the CRM and {erp.totals.tax:f} in "
        f"the ERP, which counts: the CRM rounds {crm}, the ERP {theirs}; every net amount is the "
        "same"
    )


def with_the_erps_tax(
    systems: Systems, order: Order, fields: Mapping[str, Any]
) -> tuple[dict[str, Any], str] | None:
    """The same order, expecting the tax that the ERP reckons, and why that is; None without proof.

    Where the ERP reckons nothing without keeping it, no tax is expected: the draft is compared.
    """
    asked = {name: value for name, value in fields.items() if name not in TAXES}
    reckon = getattr(systems.erp, "compare_order", None)
    if reckon is None:
        return asked, ""
    told: OrderComparison = reckon(asked)
    why = explained(order, _side(told))
    if told.differences or why is None:
        return None
    taxes = [{"rate": one.rate, "amount": one.amount} for one in told.taxes if one.rate]
    amounts = {"tax_amount": told.tax_amount, "total_amount": told.total_amount, "taxes": taxes}
    return asked | amounts, why


def _side(told: OrderComparison) -> Side:
    groups = tuple(
        TaxSubtotal(rate=one.rate * HUNDRED, taxable=one.base, amount=one.amount)
        for one in told.taxes
        if one.rate
    )
    sums: dict[Decimal, list[Decimal]] = {}
    for one in groups:
        found = sums.setdefault(one.rate, [Decimal(0), Decimal(0)])
        found[0] += one.taxable
        found[1] += one.amount
    taxes = tuple(
        TaxSubtotal(rate=rate, taxable=both[0], amount=both[1])
        for rate, both in sorted(sums.items())
    )
    lines = tuple(
        Taxed(rate=rate * HUNDRED, amount=line.amount)
        for line in told.lines
        for rate in line.tax_rates
        if rate
    )
    totals = Totals(net=told.untaxed_amount, taxes=taxes, gross=told.total_amount)
    return Side(totals=totals, groups=groups, taxed=lines)
