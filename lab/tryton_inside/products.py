"""The demo's 40 products, with units, taxes, two price lists with quantity breaks, and stock.

39 can be sold; of these one has no price. Three are out of trade: one is archived, one is not for
sale. All from fixed tables: nothing here depends on chance.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from trytond.pool import Pool

Values = dict[str, Any]

KINDS: tuple[tuple[str, str, str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Pumps", "unit", "19", "goods", (
        ("Centrifugal pump NP 40", "412.50"), ("Centrifugal pump NP 65", "589.00"),
        ("Gear pump ZP 16", "238.90"), ("Diaphragm pump MP 8", "174.25"),
        ("Dosing pump DP 2", "96.40"), ("Submersible pump TP 25", "329.99"))),
    ("Drives", "unit", "19", "goods", (
        ("Geared motor GM 0.37 kW", "287.60"), ("Geared motor GM 0.75 kW", "342.10"),
        ("Geared motor GM 1.5 kW", "455.75"), ("Frequency converter FU 2.2", "398.00"),
        ("Coupling KU 28", "34.85"), ("Bearing 6204-2RS", "4.37"), ("Bearing 6308-2Z", "12.79"))),
    ("Seals", "unit", "19", "goods", (
        ("Shaft seal 35x52x7", "1.83"), ("O-ring 20x2.5", "0.17"), ("Flat gasket DN 40", "2.09"),
        ("Mechanical seal GLRD 25", "58.45"))),
    ("Piping", "meter", "19", "goods", (
        ("Hydraulic hose DN 12", "7.94"), ("Suction hose DN 50", "15.62"),
        ("Steel tube 22x2", "6.18"), ("Cable 4x1.5 shielded", "2.47"))),
    ("Fluids", "liter", "19", "goods", (
        ("Gear oil CLP 220", "5.89"), ("Hydraulic oil HLP 46", "3.76"),
        ("Cooling lubricant KS 7", "9.35"))),
    ("Bulk", "kilogram", "7", "goods", (
        ("Filter sand 0.4-0.8 mm", "0.43"), ("Bearing grease LGMT", "18.55"),
        ("Tablet salt", "0.38"))),
    ("Documents", "unit", "7", "goods", (
        ("Operating manual, printed", "24.90"), ("Spare parts catalogue", "12.50"),
        ("Maintenance handbook", "39.00"))),
    ("Services", "hour", "19", "service", (
        ("Assembly on site", "92.00"), ("Commissioning", "118.00"), ("Remote support", "85.50"))),
    ("Exports", "unit", "0", "service", (
        ("Training abroad", "1450.00"), ("Export documentation", "65.00"))),
    ("Spare parts", "unit", "19", "goods", (
        ("Impeller NP 40", "47.13"), ("Impeller NP 65", "61.87"), ("Terminal box KK 3", "21.66"))),
    ("Specials", "unit", "19", "goods", (
        ("Test bench, made to order", ""), ("Pump NP 32 (discontinued)", "389.00"))),
)  # fmt: skip
"""Category, unit, VAT rate, type, and each product's name with its list price in EUR."""

ARCHIVED = "Pump NP 32 (discontinued)"
NOT_FOR_SALE = "Terminal box KK 3"
TRADE = (("100", "0.82"), ("50", "0.86"), ("10", "0.91"), (None, "0.95"))
"""The price list for dealers: from that quantity on, that share of the list price."""
ROUNDED = (("20", "0.975"), (None, "1"))
"""The price list for ordinary customers."""
STOCK = 2_000.0


def _made(rows: list[Values]) -> list[Any]:
    return list(Pool().get("product.template").create(rows))


def _numbered() -> list[tuple[str, str, str, str, str, str]]:
    """(code, name, price, category, unit, rate and type joined) of each product, in order."""
    found = []
    for category, unit, rate, kind, products in KINDS:
        for name, price in products:
            code = f"P-{len(found) + 1:03}"
            found.append((code, name, price, category, unit, f"{rate} {kind}"))
    return found


def add_products() -> dict[str, int]:
    """Create them; give the id of each by its code."""
    pool = Pool()
    units = {
        name: pool.get("ir.model.data").get_id(f"product.uom_{name}")
        for name in ("unit", "meter", "liter", "kilogram", "hour")
    }
    category = pool.get("product.category")
    accounting = {one.name: one.id for one in category.search([("accounting", "=", True)])}
    plain = category.create([{"name": kind[0]} for kind in KINDS])
    kinds = {one.name: one.id for one in plain}
    templates = _made([
        {
            "name": name, "type": about.split()[1], "default_uom": units[unit],
            "code": code, "salable": name != NOT_FOR_SALE, "sale_uom": units[unit],
            "list_price": Decimal(price) if price else None,
            "account_category": accounting[f"Goods {about.split()[0]} %"],
            "categories": [("add", [kinds[kind]])],
            "products": [("create", [{
                "cost_price": (Decimal(price or "900") * Decimal("0.6")).quantize(Decimal("0.01")),
            }])],
        }
        for code, name, price, kind, unit, about in _numbered()
    ])  # fmt: skip
    products = [template.products[0] for template in templates]
    codes = {product.code: product.id for product in products}
    gone = [product for product in products if product.template.name == ARCHIVED]
    templates = [product.template for product in gone]
    pool.get("product.product").write(gone, {"active": False})
    pool.get("product.template").write(templates, {"active": False})
    return codes


def add_price_lists(company: int, products: dict[str, int]) -> dict[str, int]:
    """One for dealers, one for everybody else, with quantity breaks; ids by name."""
    special = [
        {"product": products["P-001"], "quantity": 5.0, "formula": "Decimal('379.00')"},
        {"product": products["P-012"], "quantity": 200.0, "formula": "unit_price * 0.7"},
    ]
    made = Pool().get("product.price_list").create([
        {
            "name": name, "company": company, "price": "list_price",
            "lines": [("create", [
                {"sequence": number, **line} for number, line in enumerate([
                    *before,
                    *({"quantity": float(above) if above else None,
                       "formula": f"unit_price * {share}"} for above, share in steps),
                ], 1)
            ])],
        }
        for name, steps, before in (("Dealers", TRADE, special), ("Customers", ROUNDED, []))
    ])  # fmt: skip
    return {one.name: one.id for one in made}


def add_stock(company: int, products: dict[str, int], day: dt.date) -> None:
    """A stock-taking that finds plenty of all goods."""
    pool = Pool()
    product = pool.get("product.product")
    goods = [one for one in product.browse(list(products.values())) if one.type == "goods"]
    (storage,) = pool.get("stock.location").search([("code", "=", "STO")], limit=1)
    inventory = pool.get("stock.inventory")
    (counted,) = inventory.create([{
        "company": company, "location": storage.id, "date": day,
        "lines": [("create", [{"product": one.id, "quantity": STOCK} for one in goods])],
    }])  # fmt: skip
    inventory.confirm([counted])
