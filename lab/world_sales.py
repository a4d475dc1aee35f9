"""What the salespeople of the demo's company have written: quotes and orders.

Pure and from a fixed seed, as the rest of the world, and for products that the ERP has by the same
codes. Prices are net, in euros; rates are percent of VAT; units are UN/ECE Rec 20 codes.
Days count back from the day on which a system is filled, so that a demo never looks old.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from lab.world import PAYMENT_TERMS, World
from lab.world_products import TYPED, Product


@dataclass(frozen=True)
class SaleLine:
    """A line: for a product by its code, or with a text of its own and no code."""

    code: str
    text: str
    quantity: Decimal
    price: Decimal
    vat: Decimal
    discount: Decimal = Decimal(0)
    """Percent."""
    comment: str = ""


@dataclass(frozen=True)
class Document:
    """A quote or an order of the CRM, for an organisation by its key in the world."""

    key: str
    customer: str
    name: str
    status: str
    """As Creme calls it: Created, Pending, Accepted, Rejected, and Issued for orders."""
    days_ago: int
    lines: tuple[SaleLine, ...]
    discount: Decimal = Decimal(0)
    """Percent of the whole."""
    requested_in: int | None = None
    """Days from now to the delivery that the customer asks for."""
    reference: str = ""
    incoterm: str = ""
    payment_term: str = ""
    """One of PAYMENT_TERMS; empty: as agreed with the customer."""
    comment: str = ""


QUOTE_STATES = ("Created",) * 8 + ("Pending",) * 8 + ("Accepted",) * 10 + ("Rejected",) * 4
ORDER_STATES = ("Created",) * 5 + ("Issued",) * 4 + ("Accepted",) * 9 + ("Rejected",) * 2
SUBJECTS = (
    "Pumps for hall {n}", "Spare parts {n}", "Cooling circuit {n}", "Line {n}, second stage",
    "Rebuilding of station {n}", "Yearly need of parts", "Water treatment {n}",
)  # fmt: skip
BULK = ("MTR", "KGM", "LTR")
INCOTERMS = ("", "", "EXW", "DAP", "DDP", "FCA")


def quotes(world: World) -> tuple[Document, ...]:
    """30 quotes for customers that both systems know."""
    return _documents(world, "Q", QUOTE_STATES)


def orders(world: World) -> tuple[Document, ...]:
    """20 sales orders for customers that both systems know."""
    return _documents(world, "S", ORDER_STATES)


def _documents(world: World, letter: str, states: tuple[str, ...]) -> tuple[Document, ...]:
    random = Random(f"{world.seed}:sales:{letter}")
    customers = {one.key for one in world.crm if one.role == "customer"}
    coupled = sorted(key for key, _partner in world.pairs if key in customers)
    chosen = random.sample(coupled, len(states))
    return tuple(
        _document(random, f"{letter}{number:04d}", customer, status)
        for number, (customer, status) in enumerate(zip(chosen, states, strict=True), 1)
    )


def _document(random: Random, key: str, customer: str, status: str) -> Document:
    lines = [_line(random, product) for product in random.sample(TYPED, random.randint(1, 5))]
    if random.random() < 0.4:
        freight = Decimal(random.choice(("35.00", "58.90", "119.00")))
        lines.append(SaleLine("", "Freight and packing", Decimal(1), freight, Decimal(19)))
    return Document(
        key=key,
        customer=customer,
        name=random.choice(SUBJECTS).format(n=random.randint(1, 9)),
        status=status,
        days_ago=random.randint(0, 60),
        lines=tuple(lines),
        discount=Decimal(random.choice((0, 0, 0, 2, 5))),
        requested_in=random.choice((None, 7, 14, 21, 30)),
        reference=random.choice(("", f"PO {random.randint(10_000, 99_999)}")),
        incoterm=random.choice(INCOTERMS),
        payment_term=random.choice(("", *PAYMENT_TERMS)),
        comment=random.choice(("", "", "Please announce the delivery by telephone.")),
    )


def _line(random: Random, product: Product) -> SaleLine:
    assert product.price is not None
    many = product.unit in BULK or product.price < 100
    quantity = Decimal(random.randint(5, 120) if many else random.randint(1, 6))
    if product.unit in (*BULK, "HUR"):
        quantity += Decimal(random.choice(("0", "0.5", "0.25")))
    return SaleLine(
        code=product.code,
        text=product.name,
        quantity=quantity,
        price=product.price,
        vat=product.vat,
        discount=Decimal(random.choice(("0", "0", "0", "3", "7.5", "12.5"))),
        comment=random.choice(("", "", "", "As discussed")),
    )
