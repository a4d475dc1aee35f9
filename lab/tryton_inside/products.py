"""The demo's 40 products, with units, taxes, two price lists with quantity breaks, and stock."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from trytond.pool import Pool

from lab.world_products import CATALOGUE

Values = dict[str, Any]

UNITS = {"C62": "unit", "MTR": "meter", "LTR": "liter", "KGM": "kilogram", "HUR": "hour"}
TRADE = (("100", "0.82"), ("50", "0.86"), ("10", "0.91"), (None, "0.95"))
"""The price list for dealers: from that quantity on, that share of the list price."""
ROUNDED = (("20", "0.975"), (None, "1"))
"""The price list for ordinary customers."""
STOCK = 2_000.0


def _made(rows: list[Values]) -> list[Any]:
    return list(Pool().get("product.template").create(rows))


def add_products() -> dict[str, int]:
    """Create them; give the id of each by its code."""
    pool = Pool()
    units = {
        code: pool.get("ir.model.data").get_id(f"product.uom_{name}")
        for code, name in UNITS.items()
    }
    category = pool.get("product.category")
    accounting = {one.name: one.id for one in category.search([("accounting", "=", True)])}
    names = list(dict.fromkeys(one.category for one in CATALOGUE))
    kinds = {one.name: one.id for one in category.create([{"name": name} for name in names])}
    templates = _made([
        {
            "name": one.name, "type": one.kind, "default_uom": units[one.unit],
            "code": one.code, "salable": one.status != "not for sale",
            "sale_uom": units[one.unit], "list_price": one.price,
            "account_category": accounting[f"Goods {one.vat} %"],
            "categories": [("add", [kinds[one.category]])],
            "products": [("create", [{
                "cost_price": ((one.price or 900) * Decimal("0.6")).quantize(Decimal("0.01")),
            }])],
        }
        for one in CATALOGUE
    ])  # fmt: skip
    products = [template.products[0] for template in templates]
    codes = {product.code: product.id for product in products}
    archived = {one.code for one in CATALOGUE if one.status == "discontinued"}
    gone = [product for product in products if product.code in archived]
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
