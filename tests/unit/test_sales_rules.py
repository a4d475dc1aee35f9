"""How an order is written for the ERP, judged, and understood: pure decisions."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace

from koppel.connectors.base import Refused
from koppel.model.billing import Invoice
from koppel.model.sales import Allowance, Order, OrderLine
from koppel.processes import rules
from koppel.processes.refusals import explain
from koppel.processes.rules import IncomingRule, Situation, judge
from koppel.processes.settings import parse_settings, shipped_settings
from koppel.sync.totals import Side, compare, line_net, only_methods_differ, taxed, totals

TODAY = date(2026, 11, 25)


def line(quantity: str, price: str, *, percent: str = "0", rate: str = "19") -> OrderLine:
    made = OrderLine(
        position=1,
        item="P-1",
        name="Pump",
        quantity=Decimal(quantity),
        price=Decimal(price),
        discount_percent=Decimal(percent),
        tax_rate=Decimal(rate),
    )
    return OrderLine(
        **{
            name: getattr(made, name)
            for name in made.__struct_fields__
            if name != "net"
        },
        net=line_net(made, "EUR"),
    )  # fmt: skip


def order(*lines: OrderLine, allowances: tuple[Allowance, ...] = ()) -> Order:
    return Order(
        source="crm/quote/1",
        partner="1",
        currency="EUR",
        lines=lines,
        allowances=allowances,
        totals=totals(lines, allowances, "EUR"),
    )


def test_a_discount_that_the_price_can_carry_stays_the_discount_of_its_line() -> None:
    (written,) = rules.erp_lines(order(line("3", "9.99", percent="10")))
    assert written["unit_price"] == Decimal("8.9910")
    assert written["base_price"] == Decimal("9.99")
    assert written["discount_rate"] == Decimal("0.1")
    assert written["amount"] == Decimal("26.97")


def test_a_discount_that_rounding_the_price_would_change_becomes_a_line_of_its_own() -> None:
    one = line("1000", "9.99", percent="3.33")
    assert one.net == Decimal("9657.33")
    full, less = rules.erp_lines(order(one))
    assert (full["unit_price"], full["amount"]) == (Decimal("9.99"), Decimal("9990.00"))
    assert (less["quantity"], less["amount"]) == (Decimal(1), Decimal("-332.67"))
    assert less["taxes"] == [{"rate": Decimal("0.19"), "category": "S"}]


def test_a_discount_on_the_order_is_one_line_for_each_rate() -> None:
    less = Allowance(name="Discount 5 %", amount=Decimal("-5.00"), tax_rate=Decimal(19))
    written = rules.erp_lines(order(line("1", "100"), allowances=(less,)))
    assert [one["amount"] for one in written] == [Decimal("100.00"), Decimal("-5.00")]


def test_tax_is_rounded_once_for_each_rate_as_en_16931_asks() -> None:
    lines = [line("1", "0.03"), line("1", "0.03"), line("1", "0.03", rate="7")]
    found = totals(lines, (), "EUR")
    assert [(one.rate, one.taxable, one.amount) for one in found.taxes] == [
        (Decimal(7), Decimal("0.03"), Decimal("0.00")),
        (Decimal(19), Decimal("0.06"), Decimal("0.01")),
    ]
    by_line = totals(lines, (), "EUR", "line")
    assert by_line.gross == Decimal("0.11")


def test_a_difference_that_only_rounding_makes_is_told_apart_from_a_wrong_rate() -> None:
    lines = [line("1", "0.03")] * 2
    crm, erp = totals(lines, (), "EUR", "line"), totals(lines, (), "EUR")
    found = compare(crm, erp, [("line 1", Decimal("0.03"), Decimal("0.03"))], "EUR", 2)
    assert [one.place for one in found] == ["tax of 19 %", "gross"]
    assert all(one.only_rounding for one in found)
    wrong = totals([line("1", "0.03", rate="7")] * 2, (), "EUR")
    assert not any(one.only_rounding for one in compare(crm, wrong, [], "EUR", 2))


def test_two_ways_of_rounding_tax_are_proved_and_named() -> None:
    lines = [line("1", "0.03")] * 2
    crm, erp = totals(lines, (), "EUR", "line"), totals(lines, (), "EUR")
    parts = taxed(lines, ())
    one = Side(totals=crm, groups=crm.taxes, taxed=parts)
    two = Side(totals=erp, groups=erp.taxes, taxed=parts)
    found = only_methods_differ(one, two, "EUR")
    assert found is not None
    assert [str(way) for way in found] == [
        "line by line, halves up",
        "once for each rate, halves up",
    ]
    # One cent that no method makes is no rounding.
    odd = replace(erp.taxes[0], amount=Decimal("0.03"))
    three = Side(
        totals=replace(erp, taxes=(odd,), gross=Decimal("0.09")), groups=(odd,), taxed=parts
    )
    assert only_methods_differ(one, three, "EUR") is None


@pytest.mark.parametrize(
    ("crm", "erp", "percent", "said"),
    [
        ("9.00", "10.00", "10.00", "10 % below the ERP's 10.00"),
        ("10.50", "10.00", "5.00", "5 % above the ERP's 10.00"),
        ("1.00", "0", "100", "100 % above the ERP's 0"),
    ],
)
def test_a_price_is_told_beside_the_erps_own(crm: str, erp: str, percent: str, said: str) -> None:
    found = rules.PriceDifference(
        item="P-1", quantity=Decimal(5), crm=Decimal(crm), erp=Decimal(erp), currency="EUR"
    )
    assert found.percent == Decimal(percent)
    assert str(found) == f"the price of P-1 is {crm} EUR for 5, {said}"
    rule = IncomingRule(name="Prices", decision="hold", price_difference_over=Decimal(6))
    now = Situation(gross=Decimal(1), price_difference=found.percent, price_differs=str(found))
    assert (judge([rule], now).verdict == "hold") == (found.percent > 6)


def test_the_price_that_counts_is_that_after_the_lines_discount() -> None:
    assert rules.net_price(line("3", "9.99", percent="10")) == Decimal("8.9910")


@pytest.mark.parametrize(("currency", "gross"), [("JPY", "119"), ("KWD", "119.595")])
def test_amounts_have_the_minor_units_of_their_currency(currency: str, gross: str) -> None:
    one = line("1", "100.5")
    one = OrderLine(
        position=1, quantity=one.quantity, price=one.price, tax_rate=Decimal(19),
        net=Decimal("100") if currency == "JPY" else Decimal("100.500"),
    )  # fmt: skip
    assert totals([one], (), currency).gross == Decimal(gross)


def test_the_first_rule_whose_conditions_are_all_met_decides() -> None:
    known = [
        IncomingRule(name="small", decision="accept", amount_over=None, items=("P-9",)),
        IncomingRule(name="large and new", decision="hold", amount_over=Decimal(500),
                     new_customer=True),
        IncomingRule(name="credit", decision="clerk", over_credit=True),
    ]  # fmt: skip
    new = Situation(gross=Decimal(501), new_customer=True)
    assert judge(known, new).rule == "large and new"
    old = Situation(
        gross=Decimal(501), credit_limit=Decimal(1000), exposure=Decimal(600), items=("P-1",)
    )
    assert judge(known, old).rule == "credit"
    assert "credit limit of 1000 is exceeded" in judge(known, old).why
    assert judge(known, Situation(gross=Decimal(1))).verdict == "accept"


@pytest.mark.parametrize(
    ("open_", "due", "state"),
    [
        ("119.00", date(2026, 12, 1), "open"),
        ("119.00", date(2026, 11, 24), "overdue"),
        ("19.00", date(2026, 12, 1), "partial"),
        ("0", date(2026, 11, 24), "paid"),
    ],
)
def test_what_is_due_becomes_overdue_without_anybody_telling(
    open_: str, due: date, state: str
) -> None:
    invoice = Invoice(
        id="1", number="I-1", currency="EUR", net=Decimal(100), tax=Decimal(19),
        gross=Decimal("119.00"), open=Decimal(open_), due=due,
    )  # fmt: skip
    assert rules.invoice_state(invoice, TODAY) == state


def test_an_order_delivered_in_part_is_not_delivered() -> None:
    fields = {
        "state": "processing", "party": "7", "currency": "EUR",
        "lines": [
            {"product_code": "A", "quantity": Decimal(2), "quantity_shipped": Decimal(2),
             "quantity_open": Decimal(0)},
            {"product_code": "B", "quantity": Decimal(3), "quantity_shipped": Decimal(1)},
        ],
    }  # fmt: skip
    told = rules.response("1", fields, TODAY)
    assert told.state == "partly delivered"
    assert [one.open for one in told.lines] == [Decimal(0), Decimal(2)]


@pytest.mark.parametrize(
    ("refused", "sentence", "who"),
    [
        (Refused(reason="invalid", message="The period is closed."), "accounting period", "open"),
        (
            Refused(reason="invalid", message="Der Buchungszeitraum ist geschlossen."),
            "accounting period",
            "open",
        ),
        (Refused(reason="forbidden", message="No."), "may not do this", "administrator"),
        (
            Refused(reason="invalid", message="Sure?", fields=("accept:past_date",)),
            "does not take the order",
            "--accept past_date",
        ),
    ],
)
def test_a_refusal_names_who_can_help(refused: Refused, sentence: str, who: str) -> None:
    said, remedy = explain(refused, "abcdef0123")
    assert sentence in said
    assert refused.message in said
    assert who in remedy


def test_the_shipped_settings_can_be_read() -> None:
    found = parse_settings(shipped_settings())
    assert found.transfer.until == "confirm"
    assert found.transfer.tax_rounding == "proved"
    assert [one.name for one in found.incoming] == ["Customers with reminders", "Blocked customers"]
