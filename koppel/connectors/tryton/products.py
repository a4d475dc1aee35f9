"""Products, price lists, payment terms and currencies: what a salesperson needs for an offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from koppel.connectors.base import FieldInfo
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.documents import Row, Setting, Shape
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.shapes import (
    TAX_FIELDS,
    ZERO,
    quantity,
    ref,
    rows_of,
    taxes_of,
    text,
    told,
)

STATUSES = ("for_sale", "not_for_sale", "discontinued")
GTIN_TYPES = frozenset({"ean", "isbn", "ismn"})
"""Kinds of identifiers in Tryton that are numbers of GS1."""


def _storages(session: TrytonSession) -> Mapping[str, Any]:
    """Stock is counted in all warehouses' storage zones."""
    rows = session.call(
        "stock.location", "search_read", [["type", "=", "warehouse"]], 0, None, None,
        ["storage_location"],
    )  # fmt: skip
    return {"locations": [row["storage_location"] for row in rows], "with_childs": True}


@dataclass(frozen=True)
class _More:
    """What the read of a product does not reach: its template's categories, the currency."""

    templates: Mapping[int, Row]
    currency: str | None


def _more(session: TrytonSession, rows: Sequence[Row]) -> _More:
    """Categories and taxes by template, since products share them; the company's currency."""
    templates = sorted({row["template"] for row in rows})
    found = session.call(
        "product.template", "search_read", [["id", "in", templates]], 0, None, None,
        ["categories", "account_category.customer_taxes"], context={"active_test": False},
    )  # fmt: skip
    company = session.context.get("company")
    told = session.call(
        "company.company", "search_read", [["id", "=", company]], 0, 1, None, ["currency.code"]
    )
    currency = told[0]["currency."]["code"] if told else None
    return _More({row["id"]: row for row in found}, currency)


def _product_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    units = codes.choices("product.uom")
    return (
        told("code", "text"),
        told("gtin", "text", "GTIN"),
        told("name", "text"),
        told("description", "text"),
        told("active", "boolean"),
        told("salable", "boolean"),
        told("status", "choice", choices=STATUSES),
        told("type", "choice", choices=("goods", "assets", "service")),
        told("list_price", "decimal"),
        told("currency", "text", "Currency of the list price (ISO 4217)"),
        told("unit", "choice", "Unit (UN/ECE Rec 20)", choices=units),
        told("sale_unit", "choice", "Sales unit (UN/ECE Rec 20)", choices=units),
        told("category", "text", "The first of the categories"),
        told("categories", "references"),
        told("tax_category", "text", "Category of the tax (UNCL 5305)"),
        told("tax_percent", "decimal", "Tax in percent"),
        rows_of("taxes", TAX_FIELDS),
        told("quantity", "decimal", "In stock, in the unit"),
        told("forecast_quantity", "decimal", "In stock when all that is planned is done"),
    )


def _product(setting: Setting, row: Row, more: _More) -> dict[str, Any]:
    codes, template = setting.codes, more.templates[row["template"]]
    accounting = template.get("account_category.") or {}
    names = [codes.name("product.category", one) for one in template["categories"]]
    categories = sorted(name for name in names if name)
    taxes = taxes_of(codes, accounting.get("customer_taxes"))
    active = bool(row["active"]) and bool(row["template."]["active"])
    for_sale = "for_sale" if row["salable"] else "not_for_sale"
    return {
        "code": text(row["code"]),
        "gtin": _gtin(row.get("identifiers.") or ()),
        "name": row["template."]["name"],
        "description": text(row["description"]),
        "active": active,
        "salable": bool(row["salable"]),
        "status": for_sale if active else "discontinued",
        "type": row["type"],
        "list_price": row["list_price_used"],
        "currency": more.currency,
        "unit": codes.unit(row["default_uom"]),
        "sale_unit": codes.unit(row["sale_uom"]),
        "category": categories[0] if categories else None,
        "categories": categories,
        # Only one tax can be told by its category and rate; several are told in `taxes` alone.
        "tax_category": taxes[0]["category"] if len(taxes) == 1 else None,
        "tax_percent": _percent(taxes[0]["rate"]) if len(taxes) == 1 else None,
        "taxes": taxes,
        "quantity": quantity(row["quantity"]),
        "forecast_quantity": quantity(row["forecast_quantity"]),
    }


def _gtin(identifiers: Sequence[Row]) -> str | None:
    """The first European or international article number."""
    return next((text(one["code"]) for one in identifiers if one["type"] in GTIN_TYPES), None)


def _percent(rate: Decimal | None) -> Decimal | None:
    return None if rate is None else (rate * 100).normalize() + ZERO


PRODUCT = Shape(
    name="product.product",
    label="Product",
    infos=_product_infos,
    names=(
        "code", "description", "active", "salable", "type", "list_price_used", "default_uom",
        "sale_uom", "template", "template.name", "template.active",
        "identifiers.type", "identifiers.code",
        "quantity", "forecast_quantity",
    ),
    record=_product,
    prepared=_more,
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
