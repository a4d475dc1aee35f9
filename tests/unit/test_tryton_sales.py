"""Sales documents of Tryton without a server: statuses, quantities, orders, refusals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.orders import OrderBuilder
from koppel.connectors.tryton.selling import _differing
from koppel.connectors.tryton.shapes import (
    due_date,
    dunning_level,
    is_credit,
    payment_status,
    pointed,
    quantity,
)
from koppel.connectors.tryton.values import FieldRefused

TODAY = date(2026, 11, 25)
TABLES: dict[str, list[dict[str, Any]]] = {
    "product.uom": [
        {"id": 1, "symbol": "u", "name": "Unit", "category": 1, "factor": 1.0, "digits": 0,
         "unece_code": "C62"},
        {"id": 2, "symbol": "kg", "name": "Kilogram", "category": 2, "factor": 1.0, "digits": 2,
         "unece_code": "KGM"},
        {"id": 3, "symbol": "g", "name": "Gram", "category": 2, "factor": 0.001, "digits": 0,
         "unece_code": "GRM"},
    ],
    "account.tax": [
        {"id": 7, "name": "VAT 19 %", "type": "percentage", "rate": Decimal("0.19"),
         "unece_category_code": "S"},
    ],
    "currency.currency": [{"id": 1, "code": "EUR"}],
    "account.invoice.payment_term": [{"id": 4, "name": "net 30"}],
    "incoterm.incoterm": [{"id": 5, "code": "DAP"}],
    "product.category": [],
}  # fmt: skip


class Tables:
    """Answers as Tryton's session does, from TABLES."""

    def call(self, model: str, method: str, *args: Any, **more: Any) -> Any:
        if model == "ir.model":
            return [{"name": name} for name in TABLES]
        if method == "fields_get":
            return {name: {} for row in TABLES[model] for name in row}
        return TABLES[model]


@pytest.fixture
def builder() -> OrderBuilder:
    session: Any = Tables()
    return OrderBuilder(Codes(session))


def invoice(*due: tuple[date, bool], state: str = "posted", open: str = "100") -> dict[str, Any]:
    return {
        "state": state,
        "total_amount": Decimal(100),
        "amount_to_pay": Decimal(open),
        "lines_to_pay.": [
            {"maturity_date": day, "reconciliation": 1 if paid else None} for day, paid in due
        ],
    }


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (invoice(state="draft"), "draft"),
        (invoice((TODAY, False)), "open"),
        (invoice((TODAY, False), open="40"), "partial"),
        (invoice((date(2026, 11, 24), False), open="40"), "overdue"),
        (invoice((date(2026, 11, 24), True), (TODAY, False), open="50"), "partial"),
        (invoice((date(2026, 11, 24), True), open="0"), "paid"),
        (invoice((date(2026, 11, 24), False), state="cancelled"), "cancelled"),
    ],
)
def test_the_payment_status_follows_from_dates_and_amounts(
    row: dict[str, Any], status: str
) -> None:
    assert payment_status(row, TODAY) == status


def test_the_due_date_is_the_first_that_is_open_else_the_last() -> None:
    one, two = date(2026, 12, 1), date(2026, 12, 31)
    assert due_date(invoice((one, False), (two, False))) == one
    assert due_date(invoice((one, True), (two, False))) == two
    assert due_date(invoice((one, True), (two, True))) == two
    assert due_date(invoice()) is None


def test_only_dunnings_that_were_sent_for_what_is_open_count() -> None:
    def line(state: str, level: int, paid: bool) -> dict[str, Any]:
        dunning = {"state": state, "level.": {"sequence": level}}
        return {"reconciliation": 1 if paid else None, "dunnings.": [dunning]}

    lines = [line("waiting", 2, False), line("draft", 3, False), line("final", 3, True)]
    assert dunning_level({"lines_to_pay.": lines}) == 2


def test_a_credit_note_is_known_by_its_sequence_or_its_sum() -> None:
    assert is_credit({"sequence_type_cache": "credit_note", "total_amount": Decimal(0)})
    assert is_credit({"sequence_type_cache": None, "total_amount": Decimal(-1)})
    assert not is_credit({"sequence_type_cache": "invoice", "total_amount": Decimal(-1)})


def test_references_and_quantities_are_read_exactly() -> None:
    assert pointed("sale.line,12", "sale.line") == "12"
    assert pointed("stock.move,12", "sale.line") is None
    assert quantity(2.5) == Decimal("2.5")
    assert str(quantity(100.0)) in ("100", "1E+2")
    assert quantity(None) is None


def test_an_order_is_told_in_the_numbers_of_tryton(builder: OrderBuilder) -> None:
    order = builder.build(
        {
            "party": "3",
            "payment_term": "net 30",
            "currency": "EUR",
            "incoterm": "DAP",
            "total_amount": Decimal("11.90"),
            "taxes": [{"rate": Decimal("0.19"), "amount": Decimal("1.90")}],
            "lines": [
                {
                    "product_code": "P-001",
                    "quantity": Decimal("2.5"),
                    "unit": "KGM",
                    "taxes": [{"rate": Decimal("0.19"), "category": "S"}],
                    "amount": Decimal("10.00"),
                },
                {"type": "comment", "description": "mind the step"},
            ],
        },
        new=True,
    )
    assert order["values"] == {"party": 3, "payment_term": 4, "currency": 1, "incoterm": 5}
    assert order["expected"]["total_amount"] == Decimal("11.90")
    assert order["expected"]["taxes"] == [[Decimal("0.19"), Decimal("1.90")]]
    assert order["lines"][0] == {
        "type": "line", "code": "P-001", "quantity": 2.5, "unit": 2, "taxes": [7],
        "amount": Decimal("10.00"),
    }  # fmt: skip
    assert order["lines"][1] == {"type": "comment", "description": "mind the step"}


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({}, "party"),
        ({"party": "x"}, "party"),
        ({"party": "3", "currency": "XXX"}, "currency"),
        ({"party": "3", "state": "done"}, "state"),
        ({"party": "3", "total_amount": 1.5}, "total_amount"),
        ({"party": "3", "lines": [{"product": "12"}]}, "lines.quantity"),
        ({"party": "3", "lines": [{"quantity": Decimal(1), "unit": "XYZ"}]}, "lines.unit"),
        ({"party": "3", "lines": [{"quantity": Decimal(1), "status": "x"}]}, "lines.status"),
        ({"party": "3", "lines": [{"quantity": Decimal(1), "taxes": [{"rate": Decimal("0.5")}]}]},
         "lines.taxes"),
    ],
)  # fmt: skip
def test_what_tryton_does_not_know_is_refused_by_name(
    builder: OrderBuilder, fields: dict[str, Any], blamed: str
) -> None:
    with pytest.raises(FieldRefused) as refused:
        builder.build(fields, new=True)
    assert refused.value.fields == (blamed,)


def test_quantities_are_converted_between_units_of_one_kind() -> None:
    session: Any = Tables()
    codes = Codes(session)
    assert codes.converted(Decimal(1500), 3, 2) == Decimal("1.50")
    assert codes.converted(Decimal(3), 1, 1) == Decimal(3)


def test_a_difference_names_each_amount() -> None:
    answer = {
        "differences": [
            ["line 2 (P-001)", Decimal("98.98"), Decimal("99.00")],
            ["tax of 19 %", Decimal("1.00"), Decimal("1.01")],
        ]
    }
    refused = _differing(answer)
    assert refused is not None
    assert refused.fields == ("lines", "taxes")
    assert "line 2 (P-001): 98.98 against 99.00" in refused.message
    assert _differing({"differences": []}) is None
