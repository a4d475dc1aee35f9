"""Which step runs where: what the settings may say, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from koppel.errors import NeedsUser
from koppel.model.fulfilment import OrderResponse
from koppel.processes import rules
from koppel.processes.process_map import PLACES, STEPS, ProcessMap
from koppel.processes.settings import parse_settings, shipped_settings
from koppel.web.sentences import PATTERNS
from koppel.web.words import PLACES as PLACE_WORDS
from koppel.web.words import STEPS as STEP_WORDS

TODAY = date(2026, 11, 25)


def steps(**places: str) -> str:
    return "[steps]\n" + "".join(f'{step} = "{place}"\n' for step, place in places.items())


def test_without_a_map_everything_runs_as_it_did() -> None:
    settings = parse_settings("")
    assert settings.steps == parse_settings(shipped_settings()).steps
    assert (settings.steps.confirmation, settings.transfer.until) == ("koppel", "confirm")


@pytest.mark.parametrize(
    ("text", "confirmation", "until"),
    [
        ('[transfer]\nuntil = "confirm"', "koppel", "confirm"),
        ('[transfer]\nuntil = "quote"', "erp", "quote"),
        ('[transfer]\nuntil = "draft"', "erp", "draft"),
        (steps(confirmation="koppel"), "koppel", "confirm"),
        (steps(confirmation="erp"), "erp", "quote"),
        (steps(confirmation="erp") + '[transfer]\nuntil = "draft"', "erp", "draft"),
    ],
)
def test_how_far_an_order_goes_and_who_confirms_it_tell_each_other(
    text: str, confirmation: str, until: str
) -> None:
    settings = parse_settings(text)
    assert (settings.steps.confirmation, settings.transfer.until) == (confirmation, until)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (steps(invoice="crm"), "'invoice' cannot run in 'crm': an invoice is booked where"),
        (steps(delivery="koppel"), "'delivery' cannot run in 'koppel'"),
        (steps(quote="somewhere"), "'quote' cannot run in 'somewhere'"),
        (steps(invoice="elsewhere"), "'payment' cannot run in 'erp' while the step 'invoice'"),
        (steps(payment="elsewhere"), "'dunning' cannot run in 'erp' while the step 'payment'"),
        (steps(confirmation="koppel") + '[transfer]\nuntil = "quote"', "and to stop before"),
        (steps(confirmation="erp") + '[transfer]\nuntil = "confirm"', "and Koppel too"),
        (
            steps(order="person") + '[[automatic]]\nresource = "quote"\nstatus = "Won"\n',
            "handed over by their status, and the step 'order' is 'person'",
        ),
        (
            steps(invoice="elsewhere", payment="elsewhere", dunning="elsewhere")
            + "[records]\ninvoice = true\n",
            "keep invoices as records",
        ),
        (
            steps(dunning="elsewhere")
            + '[[incoming]]\nname = "Dunned"\ndecision = "hold"\ndunning_from = 1\n',
            "the rule 'Dunned' looks at reminders",
        ),
    ],
)
def test_what_cannot_run_so_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(NeedsUser) as refused:
        parse_settings(text)
    assert sentence in refused.value.message
    assert refused.value.remedy


def test_every_place_of_every_step_says_what_follows_in_both_languages() -> None:
    assert list(STEPS) == list(ProcessMap.__struct_fields__) == list(STEP_WORDS)
    assert set(PLACE_WORDS) == set(PLACES)
    assert {text for places in STEPS.values() for text in places.values()} <= set(PATTERNS)


@dataclass
class Order:
    """An order of the ERP, delivered, invoiced, overdue and dunned."""

    def told(self) -> OrderResponse:
        line: dict[str, Any] = {
            "type": "line", "product_code": "P-1", "quantity": Decimal(2), "unit": "C62",
            "quantity_shipped": Decimal(2), "quantity_open": Decimal(0),
            "quantity_invoiced": Decimal(2), "amount": Decimal(20), "status": "invoiced",
            "planned_date": TODAY, "effective_date": TODAY,
        }  # fmt: skip
        invoice: dict[str, Any] = {
            "id": "9", "number": "R-1", "type": "invoice", "state": "posted",
            "untaxed_amount": Decimal(20), "tax_amount": Decimal(0), "total_amount": Decimal(20),
            "amount_to_pay": Decimal(20), "invoice_date": date(2026, 10, 1),
            "due_date": date(2026, 10, 15), "dunning_level": 1,
        }  # fmt: skip
        shipment = {"id": "5", "number": "L-1", "state": "done", "planned_date": TODAY}
        fields = {
            "number": "S-1", "state": "done", "party": "3", "currency": "EUR", "lines": [line],
            "invoices": [invoice], "shipments": [shipment], "dunning_level": 1,
            "untaxed_amount": Decimal(20), "total_amount": Decimal(20),
        }  # fmt: skip
        return rules.response("7", fields, TODAY)


def test_all_of_an_order_is_shown_where_all_runs_in_the_erp() -> None:
    told = Order().told()
    assert ProcessMap().shown(told) == told
    assert (told.state, told.payment) == ("invoiced", "overdue")


def test_nothing_is_shown_of_reminders_that_another_system_sends() -> None:
    told = ProcessMap(dunning="elsewhere").shown(Order().told())
    assert told.dunning is None
    assert [one.dunning_level for one in told.invoices] == [0]
    assert told.payment == "overdue"


def test_payments_that_another_system_books_make_nothing_open_paid_or_overdue() -> None:
    told = ProcessMap(payment="elsewhere", dunning="elsewhere").shown(Order().told())
    assert (told.state, told.payment) == ("invoiced", "none")
    assert [(one.number, one.status, one.due) for one in told.invoices] == [("R-1", "none", None)]


def test_an_order_ends_with_its_delivery_where_another_system_invoices() -> None:
    places = {"invoice": "elsewhere", "payment": "elsewhere", "dunning": "elsewhere"}
    told = ProcessMap(**places).shown(Order().told())
    assert (told.state, told.payment, told.invoices) == ("delivered", "none", ())
    assert [(line.status, line.invoiced, line.delivered) for line in told.lines] == [
        ("shipped", Decimal(0), Decimal(2))
    ]
    assert told.shipments


def test_deliveries_of_another_system_leave_an_order_confirmed() -> None:
    places = dict.fromkeys(("delivery", "invoice", "payment", "dunning"), "elsewhere")
    told = ProcessMap(**places).shown(Order().told())
    assert (told.state, told.shipments) == ("confirmed", ())
    assert [(line.status, line.delivered, line.planned) for line in told.lines] == [
        ("confirmed", Decimal(0), None)
    ]
