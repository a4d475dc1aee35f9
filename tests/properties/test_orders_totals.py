"""For any order: what the ERP reckons of the lines it gets is equal to the cent, or it is seen.

The ERP here rounds as strictly apart from the CRM as real ones do: its unit prices have four
decimals, its amounts are rounded half to even, its tax once for each rate.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from koppel.connectors.base import Record
from koppel.connectors.memory_system import Refusal
from koppel.mapping.billing import CannotKeep, sheet_lines
from koppel.mapping.orders import OrderReader, load_order_mapping, shipped_order_mapping
from koppel.model.sales import Order
from koppel.model.values import minor_units
from koppel.processes import rules
from koppel.sync.totals import compare, only_methods_differ, tax_of
from koppel.testing.sales import SalesSystem

RATES = {"P-0": Decimal(0), "P-7": Decimal(7), "P-19": Decimal(19), "P-5": Decimal("5.5")}
CURRENCIES = ("EUR", "JPY", "KWD")
MAPPING = load_order_mapping(shipped_order_mapping("memory_crm"), source="order.toml")
CENT = Decimal("0.01")


def amounts(largest: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1, largest * 100).map(lambda cents: Decimal(cents) * CENT)


@st.composite
def documents(draw: st.DrawFn) -> Record:
    """A quote of one to eight lines, with discounts of every kind and on the whole."""
    lines = []
    for number in range(draw(st.integers(1, 8))):
        code = draw(st.sampled_from(sorted(RATES)))
        price, quantity = draw(amounts(900)), draw(amounts(300))
        kind = draw(st.sampled_from(("none", "percent", "line", "unit")))
        discount = {
            "none": Decimal(0),
            "percent": draw(amounts(100)),
            "line": draw(amounts(5)),
            "unit": price * draw(st.integers(0, 100)) / 100,
        }[kind]
        lines.append(
            {
                "id": str(number),
                "kind": "item",
                "product_code": code,
                "quantity": quantity,
                "unit_price": price,
                "discount": discount,
                "discount_unit": "percent" if kind == "none" else kind,
                "vat": RATES[code],
                "unit": "C62",
            }
        )
    fields = {
        "organisation": "1",
        "currency": draw(st.sampled_from(CURRENCIES)),
        "discount": draw(st.one_of(st.just(Decimal(0)), amounts(60))),
        "lines": lines,
    }
    return Record(resource="quote", id="1", version="1", fields=fields)


def erp() -> SalesSystem:
    system = SalesSystem()
    system.rates = dict(RATES)
    return system


def reckoned(order: Order) -> tuple[list[dict[str, object]], dict[str, object]]:
    lines = rules.erp_lines(order)
    return lines, erp()._reckoned({"currency": order.currency, "lines": lines})


@given(documents(), st.sampled_from(("rate", "line")), st.booleans())
@settings(max_examples=300, deadline=None)
def test_both_sides_are_equal_to_the_cent_or_the_difference_is_seen(
    record: Record, rounding: str, spread: bool
) -> None:
    mapping = replace(MAPPING, tax_rounding=rounding, spread_discount=spread)
    order = OrderReader(mapping).read(record, "crm/quote/1", lambda resource, id: None)
    lines, made = reckoned(order)
    theirs = rules.erp_totals(made)
    found = compare(
        order.totals, theirs, rules.line_pairs(lines, made["lines"]), order.currency, len(lines)
    )
    same = (
        order.totals.net == theirs.net
        and order.totals.gross == theirs.gross
        and order.totals.tax == theirs.tax
    )
    assert same or found
    if not found:
        places = Decimal(1).scaleb(-minor_units(order.currency))
        assert theirs.net == sum((line.net for line in order.lines), Decimal(0)) + sum(
            (one.amount for one in order.allowances), Decimal(0)
        )
        assert theirs.gross == theirs.gross.quantize(places)


@given(documents())
@settings(max_examples=200, deadline=None)
def test_an_erp_that_compares_makes_the_order_exactly_or_not_at_all(record: Record) -> None:
    order = OrderReader(MAPPING).read(record, "crm/quote/1", lambda resource, id: None)
    system = erp()
    party = system.create("party", {"name": "A"}, "clerk")
    fields = {
        "party": party.id,
        "currency": order.currency,
        "lines": rules.erp_lines(order),
        **rules.expected_totals(order.totals),
    }
    try:
        row = system.create("sale.sale", fields, "koppel")
    except Refusal:
        assert system.made == 0
        return
    assert row.fields["total_amount"] == order.totals.gross
    assert row.fields["untaxed_amount"] == order.totals.net


@given(documents(), st.sampled_from(("rate", "line")), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_difference_is_taken_only_where_both_taxes_can_be_reckoned_again(
    record: Record, rounding: str, spread: bool
) -> None:
    mapping = replace(MAPPING, tax_rounding=rounding, spread_discount=spread)
    order = OrderReader(mapping).read(record, "crm/quote/1", lambda resource, id: None)
    _lines, made = reckoned(order)
    theirs = rules.erp_side(made)
    found = only_methods_differ(rules.crm_side(order), theirs, order.currency)
    if order.totals.net != theirs.totals.net:
        assert found is None
        return
    # Net amounts agree, so nothing but the two methods can be between the taxes: and it is shown.
    assert found is not None
    crm, erp = found
    for side, method in ((rules.crm_side(order), crm), (theirs, erp)):
        again = {
            rate: sum(
                (
                    tax_of(amount, rate, order.currency, method.half)
                    for amount in (
                        [one.amount for one in side.taxed if one.rate == rate]
                        if method.where == "line"
                        else [one.taxable for one in side.groups if one.rate == rate]
                    )
                ),
                Decimal(0),
            )
            for rate in {one.rate for one in side.totals.taxes if one.rate}
        }
        assert again == {one.rate: one.amount for one in side.totals.taxes if one.rate}


@given(documents(), st.integers(0, 9), st.sampled_from((-1, 1)), st.integers(2, 500))
@settings(max_examples=200, deadline=None)
def test_tax_that_no_method_makes_is_never_taken(
    record: Record, place: int, sign: int, size: int
) -> None:
    order = OrderReader(MAPPING).read(record, "crm/quote/1", lambda resource, id: None)
    _lines, made = reckoned(order)
    side = rules.erp_side(made)
    if not side.groups:
        return
    # More than rounding half a unit of each part can ever come to.
    unit = Decimal(1).scaleb(-minor_units(order.currency))
    wrong = sign * unit * (len(side.taxed) + size)
    taxes = list(made["taxes"])
    number = place % len(taxes)
    taxes[number] = {**taxes[number], "amount": taxes[number]["amount"] + wrong}
    told = {**made, "taxes": taxes, "total_amount": made["total_amount"] + wrong}
    assert only_methods_differ(rules.crm_side(order), rules.erp_side(told), order.currency) is None
    moved = {**made, "untaxed_amount": made["untaxed_amount"] + unit}
    assert only_methods_differ(rules.crm_side(order), rules.erp_side(moved), order.currency) is None


@given(documents(), st.sampled_from((1, -1)))
@settings(max_examples=300, deadline=None)
def test_a_record_of_the_erps_document_comes_to_the_same_cents_or_is_refused(
    record: Record, sign: int
) -> None:
    euros = replace(record, fields={**record.fields, "currency": "EUR"})
    order = OrderReader(MAPPING).read(euros, "crm/quote/1", lambda resource, id: None)
    _lines, made = reckoned(order)
    try:
        lines, _texts = sheet_lines(made, "line", sign=sign)
    except CannotKeep:
        return
    for line in lines:
        # As the CRM itself reckons it: two decimals, halves up.
        assert line.quantity == line.quantity.quantize(CENT)
        assert line.price == line.price.quantize(CENT)
        amount = (line.quantity * line.price).quantize(CENT, ROUND_HALF_UP)
        assert amount == line.net
    tax = sum((tax_of(line.net, line.rate, "EUR") for line in lines), Decimal(0))
    net = sum((line.net for line in lines), Decimal(0))
    assert net == sign * made["untaxed_amount"]
    assert net + tax == sign * made["total_amount"]
