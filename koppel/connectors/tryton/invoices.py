"""Invoices and credit notes to customers, deliveries to them, and dunnings."""

from __future__ import annotations

from typing import Any

from koppel.connectors.base import FieldInfo
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.documents import Row, Setting, Shape
from koppel.connectors.tryton.shapes import (
    PAID_NAMES,
    TAX_FIELDS,
    TAX_SUM_FIELDS,
    ZERO,
    amounts,
    due_date,
    dunning_level,
    is_credit,
    payment_status,
    pointed,
    quantity,
    ref,
    refs,
    rows_of,
    taxes_of,
    text,
    told,
)

PAYMENT = ("draft", "open", "partial", "paid", "overdue", "cancelled")
INVOICE_STATES = ("draft", "validated", "posted", "paid", "cancelled")


def _invoice_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    currencies = codes.choices("currency.currency")
    return (
        told("number", "text"),
        told("type", "choice", choices=("invoice", "credit_note")),
        told("state", "choice", choices=INVOICE_STATES),
        told("reference", "text"),
        told("description", "text"),
        told("party", "reference", reference="party.party"),
        told("invoice_address", "reference", reference="party.address"),
        told("currency", "choice", "Currency (ISO 4217)", choices=currencies),
        told("payment_term", "text"),
        told("invoice_date", "date"),
        told("due_date", "date"),
        told("paid_date", "date", "Settled on"),
        rows_of(
            "due_dates", (told("date", "date"), told("amount", "decimal"), told("open", "boolean"))
        ),
        *amounts("untaxed_amount", "tax_amount", "total_amount", "amount_to_pay"),
        told("payment_status", "choice", choices=PAYMENT),
        rows_of("taxes", TAX_SUM_FIELDS),
        told("sales", "references", reference="sale.sale"),
        told("origin_invoices", "references", reference="account.invoice"),
        told("dunning_level", "integer"),
        told("dunning_date", "date"),
        rows_of(
            "lines",
            (
                told("sequence", "integer"),
                told("type", "choice", choices=("line", "subtotal", "title", "comment")),
                told("product", "reference", reference="product.product"),
                told("product_code", "text"),
                told("description", "text"),
                told("quantity", "decimal"),
                told("unit", "text"),
                told("unit_price", "decimal"),
                rows_of("taxes", TAX_FIELDS),
                told("amount", "decimal"),
                told("sale_line", "text", "Line of the sale"),
            ),
        ),
    )  # fmt: skip


def _invoice(setting: Setting, row: Row, more: None) -> dict[str, Any]:
    codes = setting.codes
    return {
        "number": text(row["number"]),
        "type": "credit_note" if is_credit(row) else "invoice",
        "state": row["state"],
        "reference": text(row["reference"]),
        "description": text(row["description"]),
        "party": ref(row["party"]),
        "invoice_address": ref(row["invoice_address"]),
        "currency": codes.name("currency.currency", row["currency"]),
        "payment_term": codes.name("account.invoice.payment_term", row["payment_term"]),
        "invoice_date": row["invoice_date"],
        "due_date": due_date(row),
        "paid_date": _paid_at(row),
        "due_dates": [_due(line) for line in row["lines_to_pay."]],
        "untaxed_amount": row["untaxed_amount"],
        "tax_amount": row["tax_amount"],
        "total_amount": row["total_amount"],
        "amount_to_pay": row["amount_to_pay"],
        "payment_status": payment_status(row, setting.today),
        "taxes": [
            {**codes.tax(tax["tax"]), "id": str(tax["id"]), "base": tax["base"],
             "amount": tax["amount"]}
            for tax in row["taxes."]
            if tax["tax"] is not None
        ],
        "sales": refs(row["sales"]),
        "origin_invoices": refs(row["origin_invoices"]),
        "dunning_level": dunning_level(row),
        "dunning_date": _dunned_at(row),
        "lines": [_invoice_line(codes, line) for line in row["lines."]],
    }  # fmt: skip


def _due(line: Row) -> dict[str, Any]:
    amount = line["amount_second_currency"]
    if amount is None:
        amount = (line["debit"] or ZERO) - (line["credit"] or ZERO)
    return {
        "id": str(line["id"]),
        "date": line["maturity_date"],
        "amount": amount,
        "open": not line["reconciliation"],
    }


def _dunned_at(row: Row) -> Any:
    days = [
        dunning["date"]
        for line in row["lines_to_pay."]
        for dunning in line.get("dunnings.") or ()
        if dunning["state"] != "draft" and dunning["date"] and not line["reconciliation"]
    ]
    return max(days, default=None)


def _paid_at(row: Row) -> Any:
    """The day on which the last of what was due was settled; None while something is open."""
    lines = row["lines_to_pay."]
    if not lines or any(not line["reconciliation"] for line in lines):
        return None
    return max(line["reconciliation."]["date"] for line in lines)


def _invoice_line(codes: Codes, line: Row) -> dict[str, Any]:
    product = line.get("product.") or {}
    return {
        "id": str(line["id"]),
        "sequence": line["sequence"],
        "type": line["type"],
        "product": ref(line["product"]),
        "product_code": text(product.get("code")),
        "description": text(line["description"]),
        "quantity": quantity(line["quantity"]),
        "unit": codes.unit(line["unit"]),
        "unit_price": line["unit_price"],
        "taxes": taxes_of(codes, line["taxes"]),
        "amount": line["amount"],
        "sale_line": pointed(line["origin"], "sale.line"),
    }


INVOICE = Shape(
    name="account.invoice",
    label="Invoice to a customer",
    infos=_invoice_infos,
    names=(
        *PAID_NAMES, "lines_to_pay.reconciliation.date", "number", "reference", "description",
        "party", "invoice_address", "currency",
        "payment_term", "invoice_date", "tax_amount", "taxes.tax", "taxes.base", "taxes.amount",
        "sales", "origin_invoices", "lines.sequence", "lines.type", "lines.product",
        "lines.product.code", "lines.description", "lines.quantity", "lines.unit",
        "lines.unit_price", "lines.taxes", "lines.amount", "lines.origin",
    ),
    record=_invoice,
    domain=(["type", "=", "out"],),
)  # fmt: skip

SHIPMENT_STATES = (
    "draft", "waiting", "assigned", "picked", "packed", "shipped", "done", "cancelled"
)  # fmt: skip
MOVE_STATES = ("staging", "draft", "assigned", "done", "cancelled")


def _shipment_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    return (
        told("number", "text"),
        told("reference", "text"),
        told("state", "choice", choices=SHIPMENT_STATES),
        told("customer", "reference", reference="party.party"),
        told("delivery_address", "reference", reference="party.address"),
        told("planned_date", "date"),
        told("effective_date", "date"),
        told("sales", "references", reference="sale.sale"),
        rows_of(
            "lines",
            (
                told("product", "reference", reference="product.product"),
                told("product_code", "text"),
                told("quantity", "decimal"),
                told("unit", "text"),
                told("state", "choice", choices=MOVE_STATES),
                told("planned_date", "date"),
                told("effective_date", "date"),
                told("sale_line", "text", "Line of the sale"),
            ),
        ),
    )


def _shipment(setting: Setting, row: Row, more: None) -> dict[str, Any]:
    moves = row["outgoing_moves."]
    return {
        "number": text(row["number"]),
        "reference": text(row["reference"]),
        "state": row["state"],
        "customer": ref(row["customer"]),
        "delivery_address": ref(row["delivery_address"]),
        "planned_date": row["planned_date"],
        "effective_date": row["effective_date"],
        "sales": refs({move["sale"] for move in moves if move["sale"] is not None}),
        "lines": [
            {
                "id": str(move["id"]),
                "product": ref(move["product"]),
                "product_code": text(move["product."]["code"]),
                "quantity": quantity(move["quantity"]),
                "unit": setting.codes.unit(move["unit"]),
                "state": move["state"],
                "planned_date": move["planned_date"],
                "effective_date": move["effective_date"],
                "sale_line": pointed(move["origin"], "sale.line"),
            }
            for move in moves
        ],
    }


SHIPMENT = Shape(
    name="stock.shipment.out",
    label="Delivery to a customer",
    infos=_shipment_infos,
    names=(
        "number", "reference", "state", "customer", "delivery_address", "planned_date",
        "effective_date", "outgoing_moves.product", "outgoing_moves.product.code",
        "outgoing_moves.quantity", "outgoing_moves.unit", "outgoing_moves.state",
        "outgoing_moves.planned_date", "outgoing_moves.effective_date", "outgoing_moves.origin",
        "outgoing_moves.sale",
    ),
    record=_shipment,
)  # fmt: skip


def _dunning_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    return (
        told("party", "reference", reference="party.party"),
        told("invoice", "reference", reference="account.invoice"),
        told("level", "integer"),
        told("level_name", "text"),
        told("state", "choice", choices=("draft", "waiting", "final")),
        told("date", "date"),
        told("maturity_date", "date"),
        told("amount", "decimal"),
        told("currency", "text", "Currency (ISO 4217)"),
        told("blocked", "boolean"),
    )


def _dunning(setting: Setting, row: Row, more: None) -> dict[str, Any]:
    own = row["second_currency"] is None
    currency = row["currency"] if own else row["second_currency"]
    return {
        "party": ref(row["party"]),
        "invoice": pointed(row["line."]["move_origin"], "account.invoice"),
        "level": row["level."]["sequence"],
        "level_name": row["level."]["rec_name"],
        "state": row["state"],
        "date": row["date"],
        "maturity_date": row["maturity_date"],
        "amount": row["amount"] if own else row["amount_second_currency"],
        "currency": setting.codes.name("currency.currency", currency),
        "blocked": bool(row["blocked"]),
    }


DUNNING = Shape(
    name="account.dunning",
    label="Dunning",
    infos=_dunning_infos,
    names=(
        "party", "line.move_origin", "level.sequence", "level.rec_name", "state", "date",
        "maturity_date", "amount", "currency", "second_currency", "amount_second_currency",
        "blocked",
    ),
    record=_dunning,
)  # fmt: skip
