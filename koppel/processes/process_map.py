"""Which step of quote to cash runs where: one table of the order settings, `[steps]`.

A step may run only where the systems can carry it out; anything else is refused with a sentence.
What follows from each place is told here too, for the page of the set-up and the documentation.
`elsewhere` is a third system, such as an accountant's: Koppel shows nothing of that step in the
CRM, and no state follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from koppel.errors import NeedsUser
from koppel.model.billing import Invoice
from koppel.model.fulfilment import LineStatus, OrderResponse, OrderState

Place = Literal["crm", "erp", "koppel", "person", "elsewhere"]
PLACES: tuple[Place, ...] = ("crm", "erp", "koppel", "person", "elsewhere")

STEPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "quote": {
            "crm": "Quotes are written in the CRM and can be handed over.",
            "erp": "Quotes are written in the ERP; a quote of the CRM is not handed over.",
        },
        "order": {
            "koppel": "Koppel makes the ERP's order from the CRM's document, when somebody presses "
            "or when its status says so.",
            "person": "Koppel makes the ERP's order when somebody presses, never by itself.",
            "erp": "Orders are entered in the ERP; nothing is handed over.",
        },
        "confirmation": {
            "koppel": "Koppel confirms the order in the ERP as soon as the totals agree.",
            "erp": "The order waits as a quotation with its number until a clerk confirms it in "
            "the ERP.",
        },
        "delivery": {
            "erp": "The ERP delivers; the CRM shows shipments, quantities and dates.",
            "elsewhere": "Another system delivers; the CRM shows nothing of it.",
        },
        "invoice": {
            "erp": "The ERP invoices; the CRM shows invoices and credit notes.",
            "elsewhere": "Another system invoices; the CRM shows neither invoices nor what follows "
            "from them.",
        },
        "payment": {
            "erp": "The ERP books payments; the CRM shows what is open, paid or overdue.",
            "elsewhere": "Another system books payments; the CRM does not show them.",
        },
        "dunning": {
            "erp": "The ERP reminds; the CRM shows the level, and rules may look at it.",
            "elsewhere": "Another system reminds; the CRM does not show it, and no rule looks at "
            "it.",
        },
    }
)
"""Each step, where it may run, and what follows from that."""

_WHY_NOT: Mapping[tuple[str, str], str] = {
    ("delivery", "crm"): "the CRM keeps no stock",
    ("invoice", "crm"): "an invoice is booked where it is made, and the CRM keeps no accounts",
    ("payment", "crm"): "the CRM keeps no accounts",
    ("dunning", "crm"): "reminders follow from what is booked, and the CRM keeps no accounts",
    ("order", "crm"): "an order is delivered and invoiced from the ERP",
    ("confirmation", "crm"): "an order is confirmed where its credit and its stock are known",
    ("quote", "koppel"): "Koppel writes no quotes",
}


class ProcessMap(Struct, frozen=True, forbid_unknown_fields=True):
    """Where each step runs. `confirmation` empty: where `transfer.until` says."""

    quote: str = "crm"
    order: str = "koppel"
    confirmation: str = ""
    delivery: str = "erp"
    invoice: str = "erp"
    payment: str = "erp"
    dunning: str = "erp"

    def check(self, source: str) -> None:
        """`NeedsUser` names the first step that cannot run where it is put."""
        for step, places in STEPS.items():
            place = getattr(self, step)
            if place in places or (step == "confirmation" and not place):
                continue
            why = _WHY_NOT.get((step, place))
            raise NeedsUser(
                f"the step '{step}' cannot run in '{place}'" + (f": {why}" if why else ""),
                place=source,
                remedy=f"It can be: {', '.join(places)}",
            )
        for step, needed in (("payment", "invoice"), ("dunning", "payment")):
            if getattr(self, needed) == "elsewhere" and getattr(self, step) != "elsewhere":
                raise NeedsUser(
                    f"the step '{step}' cannot run in '{getattr(self, step)}' while the step "
                    f"'{needed}' runs elsewhere",
                    place=source,
                    remedy=f'Put it elsewhere too: {step} = "elsewhere"',
                )

    def told(self) -> list[tuple[str, str, str]]:
        """(step, place, what follows), in their order."""
        return [
            (step, getattr(self, step), places[getattr(self, step)])
            for step, places in STEPS.items()
        ]

    def shown(self, told: OrderResponse) -> OrderResponse:
        """The ERP's order without what runs elsewhere; the state is that of what is left."""
        if self.dunning == "elsewhere":
            bills = tuple(replace(one, dunning_level=0) for one in told.invoices)
            told = replace(told, dunning=None, invoices=bills)
        if self.payment == "elsewhere":
            told = replace(
                told, payment="none", invoices=tuple(map(_without_payment, told.invoices)),
                state="invoiced" if told.state == "paid" else told.state,
            )  # fmt: skip
        if self.invoice == "elsewhere":
            told = replace(
                told, invoices=(), state="delivered" if told.state == "invoiced" else told.state,
                lines=tuple(map(_without_invoice, told.lines)),
            )  # fmt: skip
        if self.delivery == "elsewhere":
            told = replace(
                told, shipments=(), state=_UNDELIVERED.get(told.state, told.state),
                lines=tuple(map(_without_delivery, told.lines)),
            )  # fmt: skip
        return told


_UNDELIVERED: Mapping[str, OrderState] = {
    "partly delivered": "confirmed",
    "delivered": "confirmed",
}
_QUIET: Mapping[str, str] = {"shipped": "confirmed", "partly shipped": "confirmed"}


def _without_payment(one: Invoice) -> Invoice:
    if one.status == "cancelled":
        return one
    return replace(one, status="none", open=one.gross, due=None)


def _without_invoice(line: LineStatus) -> LineStatus:
    status = "shipped" if line.status == "invoiced" else line.status
    return replace(line, invoiced=type(line.invoiced)(0), status=status)


def _without_delivery(line: LineStatus) -> LineStatus:
    zero = type(line.delivered)(0)
    return replace(
        line, delivered=zero, open=zero, planned=None, delivered_on=None,
        status=_QUIET.get(line.status, line.status),
    )  # fmt: skip


def derived(given: ProcessMap, until: str | None, source: str) -> tuple[ProcessMap, str]:
    """The whole map, and how far an order goes in the ERP: either tells the other.

    `until` None: it is not said. Raises `NeedsUser` where both are said and differ.
    """
    if not given.confirmation:
        place = "koppel" if until in (None, "confirm") else "erp"
        return replace(given, confirmation=place), until or "confirm"
    if given.confirmation == "koppel" and until in ("draft", "quote"):
        raise NeedsUser(
            f"Koppel is to confirm orders (steps.confirmation), and to stop before (transfer.until "
            f'= "{until}")',
            place=source,
            remedy='Leave transfer.until out, or let the ERP confirm: confirmation = "erp"',
        )
    if given.confirmation == "erp" and until == "confirm":
        raise NeedsUser(
            "a clerk in the ERP is to confirm orders (steps.confirmation), and Koppel too "
            '(transfer.until = "confirm")',
            place=source,
            remedy='Leave transfer.until out, or let Koppel confirm: confirmation = "koppel"',
        )
    return given, until or ("confirm" if given.confirmation == "koppel" else "quote")
