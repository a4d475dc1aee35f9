"""What the demo's company sells, and what its salespeople have written: quotes and orders.

Pure and from a fixed seed, as the rest of the world: the ERP and the CRM get the same products by
the same codes. Prices are net, in euros; rates are percent of VAT; units are UN/ECE Rec 20 codes.
Days count back from the day on which a system is filled, so that a demo never looks old.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from lab.world import PAYMENT_TERMS, World


@dataclass(frozen=True)
class Product:
    """Something for sale; `service`: nothing of it is ever in stock."""

    code: str
    name: str
    price: Decimal
    unit: str = "C62"
    vat: Decimal = Decimal(19)
    category: str = "Pumps"
    service: bool = False
    stock: int = 0


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


PRODUCTS: tuple[Product, ...] = (
    Product("P-1001", "Centrifugal pump NK 32", Decimal("1249.00"), category="Pumps", stock=24),
    Product("P-1002", "Centrifugal pump NK 50", Decimal("1790.00"), category="Pumps", stock=12),
    Product("P-1003", "Submersible pump TP 80", Decimal("2385.50"), category="Pumps", stock=7),
    Product("P-1004", "Dosing pump DP 5", Decimal("689.90"), category="Pumps", stock=30),
    Product("P-1005", "Gear pump ZP 12", Decimal("934.45"), category="Pumps", stock=9),
    Product("V-2001", "Ball valve DN 25", Decimal("38.75"), category="Valves", stock=400),
    Product("V-2002", "Ball valve DN 50", Decimal("71.20"), category="Valves", stock=260),
    Product("V-2003", "Check valve DN 50", Decimal("84.90"), category="Valves", stock=150),
    Product("V-2004", "Butterfly valve DN 100", Decimal("142.35"), category="Valves", stock=80),
    Product("V-2005", "Solenoid valve 24 V", Decimal("119.99"), category="Valves", stock=95),
    Product("M-3001", "Electric motor 1.5 kW", Decimal("312.00"), category="Drives", stock=40),
    Product("M-3002", "Electric motor 4 kW", Decimal("598.00"), category="Drives", stock=22),
    Product("M-3003", "Frequency converter 4 kW", Decimal("745.60"), category="Drives", stock=15),
    Product(
        "H-4001", "Pressure hose 1 inch", Decimal("14.85"), category="Hoses", unit="MTR", stock=1200
    ),
    Product(
        "H-4002", "Suction hose 2 inch", Decimal("27.40"), category="Hoses", unit="MTR", stock=600
    ),
    Product("D-5001", "Seal set NBR", Decimal("7.35"), category="Parts", stock=2000),
    Product("D-5002", "Bearing 6205", Decimal("9.99"), category="Parts", stock=1500),
    Product("D-5003", "Grease LG 2", Decimal("18.33"), category="Parts", unit="KGM", stock=180),
    Product(
        "B-6001",
        "Handbook Pump technology",
        Decimal("49.00"),
        category="Books",
        vat=Decimal(7),
        stock=60,
    ),
    Product(
        "S-9001", "Commissioning", Decimal("118.00"), category="Services", unit="HUR", service=True
    ),
    Product(
        "S-9002",
        "Maintenance on site",
        Decimal("96.50"),
        category="Services",
        unit="HUR",
        service=True,
    ),
)
"""All products, by code the same in both systems."""

QUOTE_STATES = ("Created",) * 8 + ("Pending",) * 8 + ("Accepted",) * 10 + ("Rejected",) * 4
ORDER_STATES = ("Created",) * 5 + ("Issued",) * 4 + ("Accepted",) * 9 + ("Rejected",) * 2
SUBJECTS = (
    "Pumps for hall {n}", "Spare parts {n}", "Cooling circuit {n}", "Line {n}, second stage",
    "Rebuilding of station {n}", "Yearly need of parts", "Water treatment {n}",
)  # fmt: skip
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
    lines = [_line(random, product) for product in random.sample(PRODUCTS, random.randint(1, 5))]
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
    many = product.unit in ("MTR", "KGM") or product.price < 100
    quantity = Decimal(random.randint(5, 120) if many else random.randint(1, 6))
    if product.unit in ("MTR", "KGM", "HUR"):
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
