"""What the demo's company makes and sells: 40 products and services, as the ERP keeps them.

Pure and from fixed tables: nothing here depends on chance. 39 can be sold; of these one has no
price. One is archived, one is not for sale.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Product:
    """A product of the ERP. `price` is net, in euros, for one `unit` (UN/ECE Rec 20)."""

    code: str
    name: str
    price: Decimal | None
    unit: str
    vat: Decimal
    """Percent."""
    category: str
    kind: str
    """goods or service: nothing of a service is ever in stock."""
    status: str = "for sale"
    """for sale, not for sale, or discontinued."""


_KINDS: tuple[tuple[str, str, str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Pumps", "C62", "19", "goods", (
        ("Centrifugal pump NP 40", "412.50"), ("Centrifugal pump NP 65", "589.00"),
        ("Gear pump ZP 16", "238.90"), ("Diaphragm pump MP 8", "174.25"),
        ("Dosing pump DP 2", "96.40"), ("Submersible pump TP 25", "329.99"))),
    ("Drives", "C62", "19", "goods", (
        ("Geared motor GM 0.37 kW", "287.60"), ("Geared motor GM 0.75 kW", "342.10"),
        ("Geared motor GM 1.5 kW", "455.75"), ("Frequency converter FU 2.2", "398.00"),
        ("Coupling KU 28", "34.85"), ("Bearing 6204-2RS", "4.37"), ("Bearing 6308-2Z", "12.79"))),
    ("Seals", "C62", "19", "goods", (
        ("Shaft seal 35x52x7", "1.83"), ("O-ring 20x2.5", "0.17"), ("Flat gasket DN 40", "2.09"),
        ("Mechanical seal GLRD 25", "58.45"))),
    ("Piping", "MTR", "19", "goods", (
        ("Hydraulic hose DN 12", "7.94"), ("Suction hose DN 50", "15.62"),
        ("Steel tube 22x2", "6.18"), ("Cable 4x1.5 shielded", "2.47"))),
    ("Fluids", "LTR", "19", "goods", (
        ("Gear oil CLP 220", "5.89"), ("Hydraulic oil HLP 46", "3.76"),
        ("Cooling lubricant KS 7", "9.35"))),
    ("Bulk", "KGM", "7", "goods", (
        ("Filter sand 0.4-0.8 mm", "0.43"), ("Bearing grease LGMT", "18.55"),
        ("Tablet salt", "0.38"))),
    ("Documents", "C62", "7", "goods", (
        ("Operating manual, printed", "24.90"), ("Spare parts catalogue", "12.50"),
        ("Maintenance handbook", "39.00"))),
    ("Services", "HUR", "19", "service", (
        ("Assembly on site", "92.00"), ("Commissioning", "118.00"), ("Remote support", "85.50"))),
    ("Exports", "C62", "0", "service", (
        ("Training abroad", "1450.00"), ("Export documentation", "65.00"))),
    ("Spare parts", "C62", "19", "goods", (
        ("Impeller NP 40", "47.13"), ("Impeller NP 65", "61.87"), ("Terminal box KK 3", "21.66"))),
    ("Specials", "C62", "19", "goods", (
        ("Test bench, made to order", ""), ("Pump NP 32 (discontinued)", "389.00"))),
)  # fmt: skip
"""Category, unit, VAT rate, type, and each product's name with its list price in EUR."""

_STATUS = {"Terminal box KK 3": "not for sale", "Pump NP 32 (discontinued)": "discontinued"}


def _catalogue() -> tuple[Product, ...]:
    found: list[Product] = []
    for category, unit, vat, kind, products in _KINDS:
        for name, price in products:
            found.append(
                Product(
                    code=f"P-{len(found) + 1:03}",
                    name=name,
                    price=Decimal(price) if price else None,
                    unit=unit,
                    vat=Decimal(vat),
                    category=category,
                    kind=kind,
                    status=_STATUS.get(name, "for sale"),
                )
            )
    return tuple(found)


CATALOGUE = _catalogue()
"""All of them, in the order of their codes."""

SOLD = tuple(one for one in CATALOGUE if one.price and one.status == "for sale")
"""What a customer can order."""

TYPED = tuple(one for number, one in enumerate(SOLD) if number % 9 % 2 == 0)
"""The 21 that salespeople typed into the CRM themselves, before anything was coupled."""
