"""Products, price lists, payment terms and currencies: what a salesperson needs for an offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from koppel.connectors.base import FieldInfo
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.documents import Row, Setting, Shape
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.shapes import (
    TAX_FIELDS,
    quantity,
    ref,
    rows_of,
    taxes_of,
    text,
    told,
)


def _storages(session: TrytonSession) -> Mapping[str, Any]:
    """Stock is counted in all warehouses' storage zones."""
    rows = session.call(
        "stock.location", "search_read", [["type", "=", "warehouse"]], 0, None, None,
        ["storage_location"],
    )  # fmt: skip
    return {"locations": [row["storage_location"] for row in rows], "with_childs": True}


def _templates(session: TrytonSession, rows: Sequence[Row]) -> dict[int, Row]:
    """Categories and taxes, by template: products share them, and the read of a product does not
    reach them."""
    templates = sorted({row["template"] for row in rows})
    found = session.call(
        "product.template", "search_read", [["id", "in", templates]], 0, None, None,
        ["categories", "account_category.customer_taxes"], context={"active_test": False},
    )  # fmt: skip
    return {row["id"]: row for row in found}


def _product_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    units = codes.choices("product.uom")
    return (
        told("code", "text"),
        told("name", "text"),
        told("description", "text"),
        told("active", "boolean"),
        told("salable", "boolean"),
        told("type", "choice", choices=("goods", "assets", "service")),
        told("list_price", "decimal"),
        told("unit", "choice", "Unit (UN/ECE Rec 20)", choices=units),
        told("sale_unit", "choice", "Sales unit (UN/ECE Rec 20)", choices=units),
        told("categories", "references"),
        rows_of("taxes", TAX_FIELDS),
        told("quantity", "decimal", "In stock, in the unit"),
        told("forecast_quantity", "decimal", "In stock when all that is planned is done"),
    )


def _product(setting: Setting, row: Row, templates: Mapping[int, Row]) -> dict[str, Any]:
    codes, template = setting.codes, templates[row["template"]]
    accounting = template.get("account_category.") or {}
    names = [codes.name("product.category", one) for one in template["categories"]]
    return {
        "code": text(row["code"]),
        "name": row["template."]["name"],
        "description": text(row["description"]),
        "active": bool(row["active"]) and bool(row["template."]["active"]),
        "salable": bool(row["salable"]),
        "type": row["type"],
        "list_price": row["list_price_used"],
        "unit": codes.unit(row["default_uom"]),
        "sale_unit": codes.unit(row["sale_uom"]),
        "categories": sorted(name for name in names if name),
        "taxes": taxes_of(codes, accounting.get("customer_taxes")),
        "quantity": quantity(row["quantity"]),
        "forecast_quantity": quantity(row["forecast_quantity"]),
    }


PRODUCT = Shape(
    name="product.product",
    label="Product",
    infos=_product_infos,
    names=(
        "code", "description", "active", "salable", "type", "list_price_used", "default_uom",
        "sale_uom", "template", "template.name", "template.active",
        "quantity", "forecast_quantity",
    ),
    record=_product,
    prepared=_templates,
    context=_storages,
)  # fmt: skip


def _price_list_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    return (
        told("name", "text"),
        told("active", "boolean"),
        told("tax_included", "boolean"),
        told("price", "choice", choices=("list_price", "cost_price")),
        rows_of(
            "lines",
            (
                told("product", "reference", reference="product.product"),
                told("category", "text"),
                told("quantity", "decimal", "From this quantity on"),
                told("formula", "text"),
            ),
        ),
    )  # fmt: skip


def _price_list(setting: Setting, row: Row, more: None) -> dict[str, Any]:
    return {
        "name": row["name"],
        "active": bool(row["active"]),
        "tax_included": bool(row["tax_included"]),
        "price": row["price"],
        "lines": [
            {
                "id": str(line["id"]),
                "product": ref(line["product"]),
                "category": setting.codes.name("product.category", line["category"]),
                "quantity": quantity(line["quantity"]),
                "formula": line["formula"],
            }
            for line in row["lines."]
        ],
    }


PRICE_LIST = Shape(
    name="product.price_list",
    label="Price list",
    infos=_price_list_infos,
    names=(
        "name", "active", "tax_included", "price", "lines.product", "lines.category",
        "lines.quantity", "lines.formula",
    ),
    record=_price_list,
)  # fmt: skip


_TERM_TYPES = ("fixed", "percent", "percent_on_total", "remainder")


def _term_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    return (
        told("name", "text"),
        told("description", "text"),
        told("active", "boolean"),
        rows_of(
            "lines",
            (
                told("type", "choice", choices=_TERM_TYPES),
                told("ratio", "decimal"),
                told("amount", "decimal"),
                told("currency", "text"),
                told("months", "integer"),
                told("days", "integer"),
            ),
        ),
    )  # fmt: skip


def _term(setting: Setting, row: Row, more: None) -> dict[str, Any]:
    return {
        "name": row["name"],
        "description": text(row["description"]),
        "active": bool(row["active"]),
        "lines": [
            {
                "id": str(line["id"]),
                "type": line["type"],
                "ratio": line["ratio"],
                "amount": line["amount"],
                "currency": setting.codes.name("currency.currency", line["currency"]),
                "months": sum(delta["months"] or 0 for delta in line["relativedeltas."]),
                "days": sum(
                    (delta["days"] or 0) + 7 * (delta["weeks"] or 0)
                    for delta in line["relativedeltas."]
                ),
            }
            for line in row["lines."]
        ],
    }


PAYMENT_TERM = Shape(
    name="account.invoice.payment_term",
    label="Payment term",
    infos=_term_infos,
    names=(
        "name", "description", "active", "lines.type", "lines.ratio", "lines.amount",
        "lines.currency", "lines.relativedeltas.months", "lines.relativedeltas.weeks",
        "lines.relativedeltas.days",
    ),
    record=_term,
)  # fmt: skip


def _currency_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    return (
        told("code", "text", "Code (ISO 4217)"),
        told("name", "text"),
        told("symbol", "text"),
        told("digits", "integer"),
        told("rounding", "decimal"),
        told("active", "boolean"),
        rows_of("rates", (told("date", "date"), told("rate", "decimal"))),
    )


def _currency(setting: Setting, row: Row, more: None) -> dict[str, Any]:
    return {
        "code": row["code"],
        "name": row["name"],
        "symbol": text(row["symbol"]),
        "digits": row["digits"],
        "rounding": row["rounding"],
        "active": bool(row["active"]),
        "rates": [
            {"id": str(rate["id"]), "date": rate["date"], "rate": rate["rate"]}
            for rate in row["rates."]
        ],
    }


CURRENCY = Shape(
    name="currency.currency",
    label="Currency",
    infos=_currency_infos,
    names=("code", "name", "symbol", "digits", "rounding", "active", "rates.date", "rates.rate"),
    record=_currency,
)
