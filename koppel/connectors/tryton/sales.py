"""A sale as one record: header, lines, and how far it is delivered, invoiced, paid and dunned.

The quantities of a line are derived: shipped from its stock moves that are done (goods that came
back count against it), invoiced from the lines of invoices that are not cancelled, open is what is
neither shipped nor given up; all in the unit of the line. Credit notes count as invoices of the
sale where they credit one of its invoices.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from koppel.connectors.base import FieldInfo
from koppel.connectors.tryton.codes import Codes
from koppel.connectors.tryton.documents import Row, Setting, Shape
from koppel.connectors.tryton.invoices import INVOICE_STATES, PAYMENT, SHIPMENT_STATES
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
    rows_of,
    taxes_of,
    text,
    told,
)

SALE_STATES = ("draft", "quotation", "confirmed", "processing", "done", "cancelled")
INVOICED = ("none", "pending", "awaiting payment", "partially paid", "paid", "exception")
SHIPPED = ("none", "waiting", "partially shipped", "sent", "exception")
LINE_TYPES = ("line", "comment", "subtotal", "title")
LINE_STATUS = (
    "draft", "quotation", "confirmed", "partly shipped", "shipped", "invoiced", "cancelled"
)  # fmt: skip
CRM_FIELDS = ("koppel_crm_owner", "koppel_crm_source", "koppel_crm_activity", "koppel_crm_url")


def _line_infos(codes: Codes) -> tuple[FieldInfo, ...]:
    return (
        told("sequence", "integer", writable=True),
        told("type", "choice", choices=LINE_TYPES, writable=True),
        told("product", "reference", reference="product.product", writable=True),
        told("product_code", "text", writable=True),
        told("description", "text", writable=True),
        told("note", "text", writable=True),
        told("quantity", "decimal", writable=True),
        told("unit", "choice", "Unit (UN/ECE Rec 20)", choices=codes.choices("product.uom"),
             writable=True),
        *amounts("unit_price", "base_price", "discount_rate", writable=True),
        rows_of("taxes", TAX_FIELDS, writable=True),
        told("amount", "decimal"),
        *amounts("quantity_shipped", "quantity_invoiced", "quantity_open"),
        told("planned_date", "date"),
        told("effective_date", "date"),
        told("status", "choice", choices=LINE_STATUS),
    )  # fmt: skip


def _infos(codes: Codes) -> tuple[FieldInfo, ...]:
    def party(name: str, *, required: bool = False) -> FieldInfo:
        return told(name, "reference", reference="party.party", writable=True, required=required)

    def address(name: str) -> FieldInfo:
        return told(name, "reference", reference="party.address", writable=True)

    return (
        told("number", "text"),
        told("reference", "text", "Reference of the customer", writable=True),
        told("koppel_key", "text"),
        told("description", "text", writable=True),
        told("comment", "text", writable=True),
        party("party", required=True),
        told("contact", "reference", reference="party.contact_mechanism", writable=True),
        party("invoice_party"),
        address("invoice_address"),
        party("shipment_party"),
        address("shipment_address"),
        told("payment_term", "choice", writable=True,
             choices=codes.choices("account.invoice.payment_term")),
        told("price_list", "reference", reference="product.price_list", writable=True),
        told("currency", "choice", "Currency (ISO 4217)", writable=True,
             choices=codes.choices("currency.currency")),
        told("incoterm", "choice", "Incoterm", writable=True,
             choices=codes.choices("incoterm.incoterm")),
        told("sale_date", "date", writable=True),
        told("quotation_date", "date", writable=True),
        told("quotation_expire", "date"),
        told("shipping_date", "date", "Delivery date asked for", writable=True),
        told("state", "choice", choices=SALE_STATES),
        told("invoice_state", "choice", choices=INVOICED),
        told("shipment_state", "choice", choices=SHIPPED),
        *amounts("untaxed_amount", "tax_amount", "total_amount"),
        rows_of("taxes", TAX_SUM_FIELDS),
        rows_of("lines", _line_infos(codes), writable=True),
        rows_of("shipments", _SHIPMENT_FIELDS),
        rows_of("invoices", _INVOICE_FIELDS),
        told("payment_status", "choice", choices=("none", *PAYMENT)),
        told("dunning_level", "integer"),
        *(told(name, "text", writable=True) for name in CRM_FIELDS),
    )  # fmt: skip


_SHIPMENT_FIELDS = (
    told("number", "text"),
    told("state", "choice", choices=SHIPMENT_STATES),
    told("planned_date", "date"),
    told("effective_date", "date"),
)
_INVOICE_FIELDS = (
    told("number", "text"),
    told("type", "choice", choices=("invoice", "credit_note")),
    told("state", "choice", choices=INVOICE_STATES),
    told("invoice_date", "date"),
    told("due_date", "date"),
    *amounts("untaxed_amount", "tax_amount", "total_amount", "amount_to_pay"),
    told("payment_status", "choice", choices=PAYMENT),
    told("dunning_level", "integer"),
)


class _Around:
    """Shipments and invoices of the sales that were read, by the line they belong to."""

    def __init__(self) -> None:
        self.shipments: dict[int, Row] = {}
        self.invoices: dict[int, Row] = {}
        self.credits: dict[int, set[int]] = defaultdict(set)
        """From an invoice to those that credit it."""


def _around(answer: Row) -> _Around:
    """From what the module read along."""
    found = _Around()
    found.shipments = {row["id"]: row for row in answer["shipments"]}
    found.invoices = {row["id"]: row for row in answer["invoices"]}
    for one, row in found.invoices.items():
        for origin in row["origin_invoices"] or ():
            found.credits[origin].add(one)
    return found


_SHIPMENT_NAMES = ("number", "state", "planned_date", "effective_date")
_INVOICE_NAMES = (*PAID_NAMES, "number", "invoice_date", "tax_amount", "origin_invoices")


def _sale(setting: Setting, row: Row, around: _Around) -> dict[str, Any]:
    codes = setting.codes
    invoices = [_invoice(setting.today, around.invoices[one]) for one in _billed(row, around)]
    shipments = {
        int(number)
        for line in row["lines."]
        for move in line["moves."]
        if (number := pointed(move["shipment"], "stock.shipment.out"))
    }
    return {
        "number": text(row["number"]),
        "reference": text(row["reference"]),
        "koppel_key": text(row["koppel_key"]),
        "description": text(row["description"]),
        "comment": text(row["comment"]),
        "party": ref(row["party"]),
        "contact": ref(row["contact"]),
        "invoice_party": ref(row["invoice_party"]),
        "invoice_address": ref(row["invoice_address"]),
        "shipment_party": ref(row["shipment_party"]),
        "shipment_address": ref(row["shipment_address"]),
        "payment_term": codes.name("account.invoice.payment_term", row["payment_term"]),
        "price_list": ref(row.get("price_list")),
        "currency": codes.name("currency.currency", row["currency"]),
        **(
            {"incoterm": codes.name("incoterm.incoterm", row["incoterm"])}
            if "incoterm" in row
            else {}
        ),
        "sale_date": row["sale_date"],
        "quotation_date": row["quotation_date"],
        "quotation_expire": row["quotation_expire"],
        "shipping_date": row["shipping_date"],
        "state": row["state"],
        "invoice_state": row["invoice_state"],
        "shipment_state": row["shipment_state"],
        "untaxed_amount": row["untaxed_amount"],
        "tax_amount": row["tax_amount"],
        "total_amount": row["total_amount"],
        "taxes": _taxes(codes, row["koppel_taxes"]),
        "lines": [_line(codes, row["state"], line, around) for line in row["lines."]],
        "shipments": [_shipment(around.shipments[one]) for one in sorted(shipments)],
        "invoices": invoices,
        "payment_status": _paid(invoices),
        "dunning_level": max((one["dunning_level"] for one in invoices), default=0),
        **{name: text(row[name]) for name in CRM_FIELDS},
    }


def _billed(row: Row, around: _Around) -> list[int]:
    """The invoices of a sale, and the credit notes of these."""
    direct = {
        bill["invoice"]
        for line in row["lines."]
        for bill in line["invoice_lines."]
        if bill["invoice"] in around.invoices
    }
    return sorted(direct | {credit for one in direct for credit in around.credits[one]})


def _taxes(codes: Codes, told_as: str | None) -> list[dict[str, Any]]:
    return [
        {**codes.tax(tax), "id": str(tax), "base": Decimal(base), "amount": Decimal(amount)}
        for tax, base, amount in json.loads(told_as or "[]")
        if tax is not None
    ]


def _shipment(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "number": text(row["number"]),
        "state": row["state"],
        "planned_date": row["planned_date"],
        "effective_date": row["effective_date"],
    }


def _invoice(today: date, row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "number": text(row["number"]),
        "type": "credit_note" if is_credit(row) else "invoice",
        "state": row["state"],
        "invoice_date": row["invoice_date"],
        "due_date": due_date(row),
        "untaxed_amount": row["untaxed_amount"],
        "tax_amount": row["tax_amount"],
        "total_amount": row["total_amount"],
        "amount_to_pay": row["amount_to_pay"],
        "payment_status": payment_status(row, today),
        "dunning_level": dunning_level(row),
    }


def _paid(invoices: Iterable[Mapping[str, Any]]) -> str:
    """The worst of what its posted invoices say; credit notes are left out."""
    found = {
        one["payment_status"]
        for one in invoices
        if one["type"] == "invoice" and one["payment_status"] not in ("draft", "cancelled")
    }
    for status in ("overdue", "partial"):
        if status in found:
            return status
    if found == {"paid", "open"}:
        return "partial"
    return next(iter(found), "none")


def _line(codes: Codes, state: str, line: Row, around: _Around) -> dict[str, Any]:
    product = line.get("product.") or {}
    discounts = {"base_price", "discount_rate"} & set(line)
    moves = [move for move in line["moves."] if move["state"] != "cancelled"]
    ordered = quantity(line["quantity"])
    shipped = _shipped(codes, line, moves)
    billed = _invoiced(codes, line, around)
    return {
        "id": str(line["id"]),
        "sequence": line["sequence"],
        "type": line["type"],
        "product": ref(line["product"]),
        "product_code": text(product.get("code")),
        "description": text(line["description"]),
        "note": text(line["note"]),
        "quantity": ordered,
        "unit": codes.unit(line["unit"]),
        "unit_price": line["unit_price"],
        **{name: line[name] for name in sorted(discounts)},
        "taxes": taxes_of(codes, line["taxes"]),
        "amount": line["amount"],
        "quantity_shipped": None if ordered is None else shipped,
        "quantity_invoiced": None if ordered is None else billed,
        "quantity_open": _open(line, state, ordered, shipped),
        "planned_date": _planned(line, moves),
        "effective_date": max(
            (
                one["effective_date"]
                for one in moves
                if one["state"] == "done" and one["effective_date"]
            ),
            default=None,
        ),
        "status": _status(state, line, ordered, shipped, billed),
    }


def _planned(line: Row, moves: Sequence[Row]) -> date | None:
    """When the next delivery of what is still to come is planned; after the last, when it was."""
    still = [move for move in moves if move["state"] != "done"] or moves
    days: list[date] = [move["planned_date"] for move in still if move["planned_date"]]
    asked: date | None = line["shipping_date"]
    return min(days, default=asked)


def _shipped(codes: Codes, line: Row, moves: Iterable[Row]) -> Decimal:
    total = ZERO
    for move in moves:
        if move["state"] == "done":
            amount = quantity(move["quantity"]) or ZERO
            total += codes.converted(amount, move["unit"], line["unit"])
    return -total if (line["quantity"] or 0) < 0 else total


def _invoiced(codes: Codes, line: Row, around: _Around) -> Decimal:
    total = ZERO
    for bill in line["invoice_lines."]:
        invoice = around.invoices.get(bill["invoice"])
        if bill["type"] == "line" and invoice and invoice["state"] in ("posted", "paid"):
            amount = quantity(bill["quantity"]) or ZERO
            total += codes.converted(amount, bill["unit"] or line["unit"], line["unit"])
    return total


def _open(line: Row, state: str, ordered: Decimal | None, shipped: Decimal) -> Decimal | None:
    """What is still to be delivered; services and free lines are not, nor what was given up."""
    if ordered is None:
        return None
    if state in ("cancelled", "done") or not line["movable"]:
        return ZERO
    return ordered - shipped


def _status(
    state: str, line: Row, ordered: Decimal | None, shipped: Decimal, billed: Decimal
) -> str | None:
    if line["type"] != "line" or ordered is None:
        return None
    if state in ("draft", "quotation", "cancelled"):
        return state
    whole = abs(ordered)
    sent = abs(shipped) >= whole or not line["movable"]
    if abs(billed) >= whole and sent and whole:
        return "invoiced"
    if line["movable"] and shipped:
        return "shipped" if sent else "partly shipped"
    return "confirmed"


SALE = Shape(
    name="sale.sale",
    label="Sale",
    infos=_infos,
    names=(
        "number", "reference", "koppel_key", "description", "comment", "party", "contact",
        "invoice_party", "invoice_address", "shipment_party", "shipment_address", "payment_term",
        "price_list", "currency", "incoterm", "sale_date", "quotation_date", "quotation_expire",
        "shipping_date", "state", "invoice_state", "shipment_state", "untaxed_amount",
        "tax_amount", "total_amount", "koppel_taxes", *CRM_FIELDS,
        "lines.sequence", "lines.type", "lines.product", "lines.product.code", "lines.description",
        "lines.note", "lines.quantity", "lines.unit", "lines.unit_price", "lines.base_price",
        "lines.discount_rate", "lines.taxes", "lines.amount", "lines.shipping_date",
        "lines.movable", "lines.moves.state", "lines.moves.quantity", "lines.moves.unit",
        "lines.moves.planned_date", "lines.moves.effective_date", "lines.moves.shipment",
        "lines.invoice_lines.type", "lines.invoice_lines.quantity", "lines.invoice_lines.unit",
        "lines.invoice_lines.invoice",
    ),
    record=_sale,
    whole={"stock.shipment.out": _SHIPMENT_NAMES, "account.invoice": _INVOICE_NAMES},
    around=_around,
    optional=frozenset({"incoterm", "price_list", "lines.base_price", "lines.discount_rate",
                        "koppel_taxes", "koppel_key", *CRM_FIELDS}),
)  # fmt: skip
