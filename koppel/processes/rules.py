"""What the processes decide, without any I/O: how an order is written, judged and understood.

`erp_lines` writes an order so that the ERP's own arithmetic comes to the CRM's amounts; `judge`
decides on an incoming order and explains it; `response` reads the ERP's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from koppel.model.billing import Dunning, Invoice, PaymentState
from koppel.model.fulfilment import Despatch, LineStatus, OrderResponse, OrderState
from koppel.model.sales import Order, OrderLine, Taxed, TaxSubtotal, Totals
from koppel.sync.totals import HUNDRED, Side, rounded, unambiguous

ZERO = Decimal(0)
PRICE_DIGITS = 4
"""Decimal places that an ERP keeps of a unit price."""


# How an order is written.


def erp_lines(order: Order, digits: int = PRICE_DIGITS) -> list[dict[str, Any]]:
    """The order's lines for the ERP, each with the `amount` that it must come to.

    A discount becomes the line's own where the ERP's rounding of the price keeps the amount, else
    a line beneath; a discount on the whole order becomes one line for each tax rate. So no cent is
    rounded away on the way, and what cannot be kept exactly is seen by the comparison.
    """
    written: list[dict[str, Any]] = []
    for line in order.lines:
        written += _line(line, order.currency, digits)
    for one in order.allowances:
        written.append(_charge(one.name, one.amount, one.tax_rate, one.tax_category))
    return written


def _line(line: OrderLine, currency: str, digits: int) -> list[dict[str, Any]]:
    if line.kind == "text":
        return [{"type": "comment", "description": line.name or line.note}]
    base = {
        "type": "line",
        "description": line.name,
        "quantity": line.quantity,
        "unit": line.unit or None,
        "note": line.note or None,
    }
    base = {name: value for name, value in base.items() if value is not None}
    if line.kind == "item":
        base["product_code"] = line.item
    else:
        base["taxes"] = _taxes(line.tax_rate, line.tax_category)
    discounted = bool(line.discount_percent or line.discount_amount)
    price = line.price
    if discounted and line.quantity:
        exact = _full(line) / line.quantity
        unit = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
        amount = line.quantity * unit
        if rounded(amount, currency) == line.net and unambiguous(amount, currency):
            found = {**base, "unit_price": unit, "base_price": price, "amount": line.net}
            if not line.discount_amount:
                found["discount_rate"] = line.discount_percent / HUNDRED
            return [found]
        full = rounded(line.quantity * price, currency)
        less = _charge(
            f"Discount on {line.item or line.name}", line.net - full, line.tax_rate,
            line.tax_category,
        )  # fmt: skip
        return [{**base, "unit_price": price, "amount": full}, less]
    return [{**base, "unit_price": price, "amount": line.net}]


def _full(line: OrderLine) -> Decimal:
    """The line's amount before it is rounded."""
    share = (HUNDRED - line.discount_percent) / HUNDRED
    return line.quantity * line.price * share - line.discount_amount


def _charge(name: str, amount: Decimal, rate: Decimal | None, category: str) -> dict[str, Any]:
    return {
        "type": "line",
        "description": name,
        "quantity": Decimal(1),
        "unit_price": amount,
        "taxes": _taxes(rate, category),
        "amount": amount,
    }


def _taxes(rate: Decimal | None, category: str) -> list[dict[str, Any]]:
    if rate is None or not rate:
        return []
    share = {"rate": rate / HUNDRED}
    return [{**share, "category": category} if category else share]


def expected_totals(totals: Totals, *, taxes: bool = True) -> dict[str, Any]:
    """What the ERP's own reckoning must come to, as the ERP compares it."""
    expected: dict[str, Any] = {"untaxed_amount": totals.net}
    if taxes:
        expected["tax_amount"] = totals.tax
        expected["total_amount"] = totals.gross
        expected["taxes"] = [
            {"rate": one.rate / HUNDRED, "amount": one.amount} for one in totals.taxes if one.rate
        ]
    return expected


def erp_totals(fields: Mapping[str, Any]) -> Totals:
    """The totals that the ERP itself returned with an order."""
    net = Decimal(fields.get("untaxed_amount") or 0)
    gross = Decimal(fields.get("total_amount") or 0)
    found: dict[Decimal, list[Decimal]] = {}
    for one in fields.get("taxes") or ():
        sums = found.setdefault(Decimal(one.get("rate") or 0) * HUNDRED, [ZERO, ZERO])
        sums[0] += Decimal(one.get("base") or 0)
        sums[1] += Decimal(one.get("amount") or 0)
    taxes = tuple(
        TaxSubtotal(rate=rate, taxable=sums[0], amount=sums[1])
        for rate, sums in sorted(found.items())
    )
    return Totals(net=net, taxes=taxes, gross=gross)


def erp_side(fields: Mapping[str, Any]) -> Side:
    """What the ERP taxes: together, by each of its taxes, and line by line."""
    groups = [
        TaxSubtotal(
            rate=Decimal(one["rate"]) * HUNDRED,
            taxable=Decimal(one.get("base") or 0),
            amount=Decimal(one.get("amount") or 0),
        )
        for one in fields.get("taxes") or ()
        if one.get("rate")
    ]
    lines = [
        Taxed(rate=Decimal(tax["rate"]) * HUNDRED, amount=Decimal(line.get("amount") or 0))
        for line in fields.get("lines") or ()
        for tax in line.get("taxes") or ()
        if tax.get("rate")
    ]
    return Side(totals=erp_totals(fields), groups=tuple(groups), taxed=tuple(lines))


def crm_side(order: Order) -> Side:
    """What the CRM taxes of an order."""
    return Side(totals=order.totals, groups=order.totals.taxes, taxed=order.taxed)


def line_pairs(
    sent: Sequence[Mapping[str, Any]], returned: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Decimal | None, Decimal | None]]:
    """Each line with the amount that was sent and the one that came back, in their order."""
    here = [line for line in sent if line.get("type", "line") == "line"]
    there = [line for line in returned if line.get("type", "line") == "line"]
    pairs: list[tuple[str, Decimal | None, Decimal | None]] = []
    for place in range(max(len(here), len(there))):
        one = here[place] if place < len(here) else None
        two = there[place] if place < len(there) else None
        shown: Mapping[str, Any] = one or two or {}
        name = shown.get("product_code") or shown.get("description") or ""
        pairs.append((
            f"line {place + 1} ({name})",
            None if one is None else Decimal(one["amount"]),
            None if two is None else Decimal(two.get("amount") or 0),
        ))  # fmt: skip
    return pairs


# How an incoming order is judged.

Verdict = Literal["accept", "hold", "clerk"]


class Decision(Struct, frozen=True, kw_only=True):
    """What a rule says of an order, and why, in a sentence."""

    verdict: Verdict
    rule: str
    why: str


class Situation(Struct, frozen=True, kw_only=True):
    """What is known when an order is judged. Amounts in the order's currency; None: unknown."""

    gross: Decimal
    customer: str = ""
    new_customer: bool = False
    blocked: bool = False
    credit_limit: Decimal | None = None
    exposure: Decimal | None = None
    dunning_level: int = 0
    items: tuple[str, ...] = ()
    price_difference: Decimal | None = None
    """The largest, in percent of the ERP's price."""
    price_differs: str = ""
    """Which price that is, in words."""


class IncomingRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: the first whose conditions are all met decides. Without conditions it always is."""

    name: str
    decision: Verdict
    amount_over: Decimal | None = None
    customers: tuple[str, ...] = ()
    new_customer: bool | None = None
    blocked: bool | None = None
    over_credit: bool | None = None
    dunning_from: int | None = None
    items: tuple[str, ...] = ()
    price_difference_over: Decimal | None = None

    def reasons(self, now: Situation) -> list[str] | None:
        """Why it applies, None where it does not."""
        found: list[str] = []
        if self.amount_over is not None:
            if now.gross <= self.amount_over:
                return None
            found.append(f"the order is worth {now.gross:f}, more than {self.amount_over:f}")
        if self.customers:
            if now.customer not in self.customers:
                return None
            found.append(f"the customer is {now.customer}")
        if self.new_customer is not None:
            if now.new_customer != self.new_customer:
                return None
            found.append("the customer is new" if now.new_customer else "the customer is known")
        if self.blocked is not None:
            if now.blocked != self.blocked:
                return None
            found.append(f"the customer is {'' if now.blocked else 'not '}blocked")
        if self.dunning_from is not None:
            if now.dunning_level < self.dunning_from:
                return None
            found.append(f"the customer has a reminder of level {now.dunning_level}")
        return self._credit(now, found)

    def _credit(self, now: Situation, found: list[str]) -> list[str] | None:
        if self.over_credit is not None:
            over = now.credit_limit is not None and (
                (now.exposure or ZERO) + now.gross > now.credit_limit
            )
            if over != self.over_credit:
                return None
            if over:
                found.append(
                    f"{(now.exposure or ZERO):f} are open, and with this order the credit limit "
                    f"of {now.credit_limit:f} is exceeded"
                )
        if self.items:
            hit = sorted(set(self.items) & set(now.items))
            if not hit:
                return None
            found.append(f"it holds {', '.join(hit)}")
        if self.price_difference_over is not None:
            if (now.price_difference or ZERO) <= self.price_difference_over:
                return None
            found.append(
                now.price_differs or f"a price is {now.price_difference:f} % off the ERP's"
            )
        return found


def judge(rules: Sequence[IncomingRule], now: Situation) -> Decision:
    """The decision of the first rule that applies; without one the order is accepted."""
    for rule in rules:
        why = rule.reasons(now)
        if why is not None:
            text = " and ".join(why) or "the rule applies to every order"
            return Decision(verdict=rule.decision, rule=rule.name, why=text)
    return Decision(verdict="accept", rule="", why="no rule holds it")


class PriceDifference(Struct, frozen=True, kw_only=True):
    """A line's price beside the ERP's own for this customer, quantity and day; both net of tax."""

    item: str
    quantity: Decimal
    crm: Decimal
    erp: Decimal
    currency: str

    @property
    def percent(self) -> Decimal:
        """How far off, in percent of the ERP's price; 100 where that is nothing."""
        if not self.erp:
            return HUNDRED if self.crm else ZERO
        return (abs(self.crm - self.erp) / abs(self.erp) * HUNDRED).quantize(Decimal("0.01"))

    def __str__(self) -> str:
        way = "above" if self.crm > self.erp else "below"
        return (
            f"the price of {self.item} is {self.crm:f} {self.currency} for {self.quantity:f}, "
            f"{self.percent.normalize():f} % {way} the ERP's {self.erp:f}"
        )


def net_price(line: OrderLine) -> Decimal:
    """What one piece costs after the line's own discounts, to four decimals."""
    if not line.quantity:
        return line.price
    return (_full(line) / line.quantity).quantize(Decimal("0.0001"), ROUND_HALF_UP)


# How the ERP's order is understood.

_STATES: Mapping[str, OrderState] = {
    "draft": "draft", "quotation": "quoted", "confirmed": "confirmed", "processing": "confirmed",
    "done": "delivered", "cancelled": "cancelled",
}  # fmt: skip


def payment_state(invoices: Sequence[Invoice], today: date) -> PaymentState:
    """Of all invoices together: overdue before partial before open before paid."""
    counted = [one for one in invoices if one.state in ("posted", "paid") and one.gross]
    if not counted:
        return "none"
    states = [invoice_state(one, today) for one in counted]
    if "overdue" in states:
        return "overdue"
    if all(state == "paid" for state in states):
        return "paid"
    return "partial" if "partial" in states or "paid" in states else "open"


def invoice_state(invoice: Invoice, today: date) -> PaymentState:
    """Derived, because no system tells the moment at which an invoice becomes overdue."""
    if invoice.state == "cancelled":
        return "cancelled"
    if invoice.state in ("draft", "validated"):
        return "none"
    if not invoice.open:
        return "paid"
    if invoice.due is not None and invoice.due < today and invoice.open > 0:
        return "overdue"
    return "partial" if invoice.open != invoice.gross else "open"


def response(id: str, fields: Mapping[str, Any], today: date) -> OrderResponse:
    """The ERP's order as its own fields tell it."""
    invoices = tuple(_invoice(one, fields, today) for one in fields.get("invoices") or ())
    lines = tuple(_lines(fields))
    level = int(fields.get("dunning_level") or 0)
    return OrderResponse(
        id=id,
        number=str(fields.get("number") or ""),
        state=order_state(str(fields.get("state") or "draft"), lines, invoices, today),
        native_state=str(fields.get("state") or ""),
        partner=str(fields.get("party") or ""),
        currency=str(fields.get("currency") or "EUR"),
        net=Decimal(fields.get("untaxed_amount") or 0),
        tax=Decimal(fields.get("tax_amount") or 0),
        gross=Decimal(fields.get("total_amount") or 0),
        buyer_reference=str(fields.get("reference") or ""),
        ordered_on=fields.get("sale_date"),
        requested_delivery=fields.get("shipping_date"),
        lines=lines,
        shipments=tuple(
            Despatch(
                id=str(one["id"]),
                number=str(one.get("number") or ""),
                state=str(one.get("state") or ""),
                planned=one.get("planned_date"),
                delivered_on=one.get("effective_date"),
            )
            for one in fields.get("shipments") or ()
        ),
        invoices=invoices,
        payment=payment_state(invoices, today),
        dunning=Dunning(level=level) if level else None,
    )


def _lines(fields: Mapping[str, Any]) -> list[LineStatus]:
    found = []
    for place, line in enumerate(fields.get("lines") or (), start=1):
        if line.get("type", "line") != "line":
            continue
        ordered = Decimal(line.get("quantity") or 0)
        delivered = Decimal(line.get("quantity_shipped") or 0)
        found.append(
            LineStatus(
                position=place,
                item=str(line.get("product_code") or ""),
                description=str(line.get("description") or line.get("product_code") or ""),
                ordered=ordered,
                delivered=delivered,
                open=Decimal(_or(line.get("quantity_open"), ordered - delivered)),
                invoiced=Decimal(line.get("quantity_invoiced") or 0),
                unit=str(line.get("unit") or ""),
                planned=line.get("planned_date"),
                delivered_on=line.get("effective_date"),
                net=None if line.get("amount") is None else Decimal(line["amount"]),
                status=str(line.get("status") or "draft"),
            )
        )
    return found


def _or(value: Any, otherwise: Decimal) -> Any:
    return otherwise if value is None else value


def _invoice(one: Mapping[str, Any], order: Mapping[str, Any], today: date) -> Invoice:
    found = Invoice(
        id=str(one["id"]),
        number=str(one.get("number") or ""),
        currency=str(order.get("currency") or "EUR"),
        net=Decimal(one.get("untaxed_amount") or 0),
        tax=Decimal(one.get("tax_amount") or 0),
        gross=Decimal(one.get("total_amount") or 0),
        open=Decimal(one.get("amount_to_pay") or 0),
        type="credit_note" if one.get("type") == "credit_note" else "invoice",
        state=str(one.get("state") or ""),
        date=one.get("invoice_date"),
        due=one.get("due_date"),
        dunning_level=int(one.get("dunning_level") or 0),
    )
    return _with_status(found, invoice_state(found, today))


def _with_status(invoice: Invoice, status: PaymentState) -> Invoice:
    return replace(invoice, status=status)


def order_state(
    native: str, lines: Sequence[LineStatus], invoices: Sequence[Invoice], today: date
) -> OrderState:
    """The header's state from its lines: what is delivered in part is not delivered."""
    known = _STATES.get(native, "draft")
    if known in ("draft", "quoted", "cancelled"):
        return known
    goods = [line for line in lines if line.ordered > 0]
    sent = [line for line in goods if line.delivered]
    all_sent = bool(goods) and all(line.open <= 0 for line in goods) and bool(sent)
    payment = payment_state(invoices, today)
    if native == "done" or all_sent:
        if payment == "paid":
            return "paid"
        return "invoiced" if payment != "none" else "delivered"
    return "partly delivered" if sent else "confirmed"


def as_of(told: OrderResponse, today: date) -> OrderResponse:
    """The same order on another day: what is due becomes overdue without anybody's doing."""
    invoices = tuple(_with_status(one, invoice_state(one, today)) for one in told.invoices)
    return replace(
        told,
        invoices=invoices,
        payment=payment_state(invoices, today),
        state=order_state(told.native_state, told.lines, invoices, today),
    )
