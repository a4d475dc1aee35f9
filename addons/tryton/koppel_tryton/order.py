"""An order as it comes from outside, filled into a sale with the ERP's own prices and taxes.

The order is {"values": {field: value}, "lines": [line, ..] or absent, "expected": {..}}. A line is
{"id", "type", "product" or its "code", "quantity", "unit", "unit_price", "base_price",
"discount_rate", "taxes", "description", "note", "amount"}, all but the type optional. Values are
Tryton's own: ids, Decimals. Expected are "untaxed_amount", "tax_amount", "total_amount", and
"taxes": [[rate, amount], ..].
"""

from collections import defaultdict
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.modules.product import round_price
from trytond.pool import Pool
from trytond.transaction import inactive_records

TOTALS = ("untaxed_amount", "tax_amount", "total_amount")
PRICED = frozenset({"product", "quantity", "unit"})
"""What the ERP's price depends on."""

ABOUT_PARTY = frozenset({"msg_party_inactive", "msg_no_party"})


class Told:
    """The order, taken apart."""

    def __init__(self, order):
        self.values = dict(order.get("values") or {})
        self.lines = order.get("lines")
        self.expected = dict(order.get("expected") or {})

    def only(self, names):
        """Does it touch no other fields than these?"""
        return self.lines is None and set(self.values) <= set(names)


def refuse(message, **about):
    """Say no in a sentence in the user's language, and beside it to which part of the order.

    The part takes the place of the domain, which a client would offer to its user to look into:
    Koppel alone calls what refuses so.
    """
    part = "lines" if "line" in about else "party" if message in ABOUT_PARTY else None
    raise UserError(gettext(f"koppel.{message}", **about), domain={"koppel_part": part})


def fill_header(sale, told, *, new):
    """Set the fields of the sale; what was not told follows from the party as in the form."""
    pool = Pool()
    party = pool.get("party.party")
    values = dict(told.values)
    if "party" in values:
        sale.party = party(values.pop("party"))
        if not sale.party.active:
            refuse("msg_party_inactive", party=sale.party.rec_name)
        sale.on_change_party()
    elif new:
        refuse("msg_no_party")
    for name in ("invoice_party", "shipment_party"):
        if name in values:
            number = values.pop(name)
            setattr(sale, name, party(number) if number else None)
            getattr(sale, f"on_change_{name}")()
    for name, value in values.items():
        setattr(sale, name, value)


def fill_lines(sale, told):
    """Make the sale's lines those of the order."""
    line_model = Pool().get("sale.line")
    asked = _with_products(told.lines or ())
    present = {line.id: line for line in sale.lines} if sale.id and sale.id > 0 else {}
    lines = []
    for number, line in enumerate(asked, 1):
        kept = present.get(line.get("id"))
        if line.get("id") is not None and kept is None:
            refuse("msg_line_unknown", line=number)
        one = kept or line_model(type=line.get("type") or "line")
        if kept is None:
            one.sale = sale
        if kept is None or set(line) - {"id", "amount"}:
            _fill_line(one, line, number, fresh=kept is None)
        if line.get("sequence") is not None:
            one.sequence = line["sequence"]
        lines.append(one)
    _in_order(lines)
    sale.lines = lines


def _with_products(lines):
    """The lines with the product of each code: one in use before one that is archived.

    That a product is discontinued is told when it is filled in, not that it is unknown.
    """
    codes = sorted({line["code"] for line in lines if line.get("code")})
    product, found = Pool().get("product.product"), {}
    with inactive_records():
        some = product.search([("code", "in", codes)], order=[("id", "ASC")]) if codes else []
    for one in sorted(some, key=lambda one: not (one.active and one.template.active)):
        found.setdefault(one.code, one.id)
    asked = []
    for number, line in enumerate(lines, 1):
        if line.get("code") and "product" not in line:
            if line["code"] not in found:
                refuse("msg_product_unknown", line=number, code=line["code"])
            line = {**line, "product": found[line["code"]]}
        asked.append(line)
    return asked


def _in_order(lines):
    """Number them as they stand, and leave the numbers that fit."""
    last = 0
    for line in lines:
        number = getattr(line, "sequence", None)
        if number is None or number <= last:
            line.sequence = number = last + 1
        last = number


def priced(sale, asked):
    """One line that is filled in, but belongs to nothing that is stored."""
    line = Pool().get("sale.line")(type="line")
    line.sale = sale
    told = {name: asked[name] for name in ("product", "quantity", "unit") if asked.get(name)}
    _fill_line(line, told, 1, fresh=True, strict=False)
    return line


def _fill_line(one, line, number, *, fresh, strict=True):
    for name in ("description", "note"):
        if name in line:
            setattr(one, name, line[name])
    if one.type != "line":
        return
    pool = Pool()
    if fresh:
        one.product = one.unit = one.quantity = one.unit_price = None
        one.taxes = []
    if fresh or PRICED & set(line):
        if "product" in line:
            one.product = pool.get("product.product")(line["product"]) if line["product"] else None
        if "quantity" in line:
            one.quantity = line["quantity"]
        if line.get("unit"):
            one.unit = pool.get("product.uom")(line["unit"])
        _check_product(one, number)
        one.on_change_product()
        one.on_change_quantity()
    if line.get("taxes") is not None:
        one.taxes = [pool.get("account.tax")(id_) for id_ in line["taxes"]]
    _price(one, line)
    if not strict:
        return
    if one.unit_price is None:
        refuse("msg_no_price", line=number, product=_name(one))
    if "base_price" in one._fields and getattr(one, "base_price", None) is None:
        one.base_price = one.unit_price


def _price(one, line):
    """The net price: as given, or what the discount leaves of the base price."""
    if line.get("base_price") is not None:
        one.base_price = line["base_price"]
    rate = line.get("discount_rate")
    if line.get("unit_price") is not None:
        one.unit_price = round_price(line["unit_price"])
    elif rate is not None:
        base = getattr(one, "base_price", None)
        base = one.unit_price if base is None else base
        if base is not None:
            one.unit_price = round_price(base * (1 - rate))
    net_only = line.get("base_price") is None and line.get("unit_price") is not None
    if rate is not None and rate != 1 and net_only:
        one.base_price = round_price(line["unit_price"] / (1 - rate))


def _check_product(one, number):
    product = one.product
    if product is None:
        return
    if not product.active or not product.template.active:
        refuse("msg_product_inactive", line=number, product=product.rec_name)
    if not product.salable:
        refuse("msg_product_unsalable", line=number, product=product.rec_name)


def _name(line):
    return line.product.rec_name if line.product else line.description or ""


def compare(sale, told):
    """What differs from the order, to the cent: {"found": [[what, expected, reckoned], ..]}."""
    found = []
    for number, (line, wanted) in enumerate(zip(sale.lines, told.lines or (), strict=False), 1):
        amount = wanted.get("amount")
        if amount is not None and amount != line.amount:
            what = line.product.code if line.product else line.description
            found.append([f"line {number} ({what or ''})", amount, line.amount])
    for name in TOTALS:
        amount = told.expected.get(name)
        if amount is not None and amount != getattr(sale, name):
            found.append([name, amount, getattr(sale, name)])
    if told.expected.get("taxes") is not None:
        found += _taxes(sale, told.expected["taxes"])
    return {"found": found}


def _taxes(sale, expected):
    reckoned, wanted = defaultdict(Decimal), defaultdict(Decimal)
    for tax in sale._get_taxes().values():
        rate = tax.tax.rate if tax.tax and tax.tax.rate is not None else Decimal(0)
        reckoned[rate.normalize()] += tax.amount
    for rate, amount in expected:
        wanted[Decimal(rate).normalize()] += amount
    return [
        [f"tax of {rate * 100:f} %", wanted.get(rate, Decimal(0)), reckoned.get(rate, Decimal(0))]
        for rate in sorted({*reckoned, *wanted})
        if wanted.get(rate, Decimal(0)) != reckoned.get(rate, Decimal(0))
    ]
