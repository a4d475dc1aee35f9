"""The demo's 60 sales, in every state that a sale goes through, from a fixed seed.

Days are counted back from the day on which the demo is made, so that what is overdue is overdue.
Everything runs in bulk, state by state: Tryton works on fifty sales at once nearly as fast as on
one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

from trytond.pool import Pool

from lab.tryton_inside.telling import tell

Values = dict[str, Any]

PLAN: tuple[tuple[str, int, int], ...] = (
    ("draft", 4, 1), ("quoted", 8, 5), ("cancelled", 2, 40), ("confirmed", 7, 4),
    ("partly_shipped", 7, 12), ("shipped", 5, 10), ("invoiced", 7, 9), ("partly_paid", 5, 20),
    ("paid", 5, 35), ("overdue", 4, 50), ("dunned", 3, 100), ("credited", 3, 25),
)  # fmt: skip
"""What becomes of a sale, of how many, and about how many days ago they were ordered."""

POSTED = ("invoiced", "partly_paid", "paid", "overdue", "dunned", "credited")
SENT = ("shipped", *POSTED)
ORDERED = ("confirmed", "partly_shipped", *SENT)
TERMS = {"overdue": "net 14", "dunned": "net 14", "invoiced": "net 60", "partly_paid": "net 60"}
"""Terms that make the state true today."""
REMARKS = ("Please deliver in the morning.", "Goods inwards: gate 3.", "As discussed by phone.")


class Story:
    """One sale's way."""

    def __init__(self, key: str, fate: str, day: dt.date) -> None:
        self.key, self.fate, self.day = key, fate, day
        self.sale = 0


def add_sales(partners: dict[str, int], products: dict[str, int], today: dt.date) -> dict[str, int]:
    """Make them all; give the id of each by its key ("S0001", in the order of PLAN)."""
    rng = Random("20260101:sales")
    stories = [
        Story(f"S{number:04}", fate, today - dt.timedelta(days=ago + rng.randint(0, 3)))
        for number, (fate, ago) in enumerate(
            ((fate, ago) for fate, count, ago in PLAN for _ in range(count)), 1
        )
    ]
    buyers = rng.sample(sorted(partners), len(stories) - 12)
    buyers += rng.sample(buyers, 12)
    made = [
        _sale(rng, story, partners[buyer], products)
        for story, buyer in zip(stories, buyers, strict=True)
    ]
    Pool().get("sale.sale").save(made)
    for story, one in zip(stories, made, strict=True):
        story.sale = one.id
    tell(0.972, "tryton: 60 sales")
    _drive(stories)
    return {story.key: story.sale for story in stories}


def _sale(rng: Random, story: Story, party: int, products: dict[str, int]) -> Any:
    """One sale, not saved yet, with Tryton's own prices and taxes."""
    pool = Pool()
    term = TERMS.get(story.fate)
    values: Values = {
        "party": party,
        "reference": f"PO {rng.randint(10_000, 99_999)}" if rng.random() < 0.8 else None,
        "sale_date": None if story.fate in ("draft", "quoted") else story.day,
        "quotation_date": story.day,
        "shipping_date": story.day + dt.timedelta(days=rng.choice((7, 14, 21))),
        "invoice_method": "order",
        "comment": rng.choice(REMARKS) if rng.random() < 0.3 else None,
    }
    if term:
        (found,) = pool.get("account.invoice.payment_term").search([("name", "=", term)])
        values["payment_term"] = found.id
    order = {"values": values, "lines": list(_lines(rng, products))}
    return pool.get("sale.sale").koppel_filled(order)


def _lines(rng: Random, products: dict[str, int]) -> Sequence[Values]:
    able = [code for code in sorted(products) if code not in ("P-038", "P-039", "P-040")]
    lines: list[Values] = []
    for code in rng.sample(able, rng.randint(2, 6)):
        line: Values = {
            "type": "line",
            "product": products[code],
            "quantity": float(rng.choice((1, 2, 3, 5, 8, 12, 25, 60))),
        }
        if rng.random() < 0.25:
            line["discount_rate"] = rng.choice((Decimal("0.05"), Decimal("0.1")))
        lines.append(line)
    if rng.random() < 0.3:
        lines.append({"type": "comment", "description": "Packed on one pallet, please."})
    if rng.random() < 0.2:
        fee = {"type": "line", "description": "Freight", "quantity": 1.0}
        lines.append({**fee, "unit_price": Decimal("49.00")})
    return lines


def _drive(stories: Sequence[Story]) -> None:
    pool = Pool()
    sale = pool.get("sale.sale")

    def of(*fates: str) -> list[Any]:
        return sale.browse([story.sale for story in stories if story.fate in fates])

    def process() -> None:
        sale.process(of(*ORDERED))

    sale.quote(of("quoted", *ORDERED))
    sale.cancel(of("cancelled"))
    sale.confirm(of(*ORDERED))
    process()
    tell(0.978, "tryton: confirmed")
    days = {story.sale: story.day for story in stories}
    _ship(of("partly_shipped"), days, whole=False)
    _ship(of(*SENT), days, whole=True)
    process()
    tell(0.984, "tryton: delivered")
    _post(of(*POSTED), days)
    process()
    tell(0.99, "tryton: invoiced")
    _pay(of("partly_paid"), days, Decimal("0.4"))
    _pay(of("paid"), days, Decimal(1))
    _credit(of("credited"), days)
    _dun(of("dunned"))
    process()
    # What Tryton put into its queue has been done here already.
    queue = pool.get("ir.queue")
    queue.delete(queue.search([]))


def _today() -> dt.date:
    """The company's day, by which Tryton dates and numbers: not ours in the hours at midnight."""
    found: dt.date = Pool().get("ir.date").today()
    return found


def _ship(sales: Sequence[Any], days: dict[int, dt.date], *, whole: bool) -> None:
    shipment = Pool().get("stock.shipment.out")
    move = Pool().get("stock.move")
    found = []
    for one in sales:
        for sent in one.shipments:
            sent.effective_date = min(
                days[one.id] + dt.timedelta(days=4), _today() - dt.timedelta(days=1)
            )
            found.append(sent)
    shipment.save(found)
    if not whole:
        shipment.draft(found)
        for sent in found:
            for part in sent.outgoing_moves:
                half = max(part.unit.round(part.quantity / 2), part.unit.rounding)
                move.write([part], {"quantity": min(half, part.quantity)})
    shipment.wait([sent for sent in found if sent.state == "draft"])
    found = shipment.browse([sent.id for sent in found])
    shipment.assign_force(found)
    shipment.pick(found)
    shipment.pack(found)
    shipment.do(found)


def _post(sales: Sequence[Any], days: dict[int, dt.date]) -> None:
    invoice = Pool().get("account.invoice")
    found = []
    for one in sales:
        for bill in one.invoices:
            bill.invoice_date = days[one.id] + dt.timedelta(days=5)
            found.append(bill)
    found.sort(key=lambda bill: bill.invoice_date)
    invoice.save(found)
    # One after the other: numbers have to follow the dates.
    for bill in found:
        invoice.post([bill])


def _pay(sales: Sequence[Any], days: dict[int, dt.date], share: Decimal) -> None:
    pool = Pool()
    (method,) = pool.get("account.invoice.payment.method").search([], limit=1)
    line = pool.get("account.move.line")
    for one in sales:
        for bill in one.invoices:
            amount = bill.currency.round(bill.amount_to_pay * share)
            day = min(bill.invoice_date + dt.timedelta(days=7), _today())
            paid = bill.pay_invoice(amount, method, day)
            if share == 1:
                line.reconcile([*bill.lines_to_pay, *paid])
                pool.get("account.invoice").process([bill])


def _credit(sales: Sequence[Any], days: dict[int, dt.date]) -> None:
    """One sale is credited as a whole, which settles its invoice; of the others one line."""
    invoice = Pool().get("account.invoice")
    for number, one in enumerate(sales):
        (bill,) = one.invoices
        (credit,) = invoice.credit([bill], refund=not number)
        if number:
            line = Pool().get("account.invoice.line")
            line.delete([part for part in credit.lines if part.type == "line"][1:])
            invoice.write([credit], {"invoice_date": _today()})
            invoice.update_taxes([credit])
            invoice.post([credit])


def _dun(sales: Sequence[Any]) -> None:
    """Let the dunning run so often that the sales come to levels one, two and three."""
    pool = Pool()
    dunning = pool.get("account.dunning")
    (procedure,) = pool.get("account.dunning.procedure").search([], limit=1)
    party = pool.get("party.party")
    wanted = {}
    for level, one in enumerate(sales, 1):
        party.write([one.party], {"dunning_procedure": procedure.id})
        wanted[one.party.id] = level
    for run in range(3):
        dunning.generate_dunnings(_today())
        due = dunning.search([("state", "=", "draft")])
        dunning.process([one for one in due if wanted.get(one.party.id, 0) > run])
        later = [one for one in due if wanted.get(one.party.id, 0) <= run + 1]
        dunning.write(later, {"blocked": True})
    dunning.write(dunning.search([("blocked", "=", True)]), {"blocked": False})
