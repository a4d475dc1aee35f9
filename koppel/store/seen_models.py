"""Tables of what was last read of customers, products and sales documents, made for being shown.

Copies for views and figures: both systems stay the source, and every row says when it was read.
They may be dropped at any time and are filled again. Amounts are whole ten-thousandths, so that a
sum in the database is exact on every database.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q

SCALE = 10_000
"""Parts of one unit of a currency, and of one unit of measure."""


class ExactField(models.BigIntegerField):  # type: ignore[type-arg]
    """A decimal of up to four places, kept as a whole number."""

    # How the stubs of Django are told the type of values.
    _pyi_private_set_type: Decimal | int  # type: ignore[assignment]
    _pyi_private_get_type: Decimal  # type: ignore[assignment]

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        """As it comes out, sums included."""
        return None if value is None else exact(value)

    def get_prep_value(self, value: Any) -> Any:
        """As it goes in."""
        return None if value is None else whole(value)

    def to_python(self, value: Any) -> Any:
        """A decimal, whatever is given."""
        return None if value is None else Decimal(value)


def whole(value: Decimal | int) -> int:
    """A decimal as the column holds it; more than four places are rounded half to even."""
    return int((Decimal(value) * SCALE).to_integral_value())


def exact(value: Any) -> Decimal:
    """A column's number as a decimal with at least two places."""
    parts = int(value)
    if parts % 100 == 0:
        return Decimal(parts // 100).scaleb(-2)
    if parts % 10 == 0:
        return Decimal(parts // 10).scaleb(-3)
    return Decimal(parts).scaleb(-4)


class Customer(models.Model):
    """One customer or prospect as both systems know it: a coupling, or a record without one.

    The columns hold the owner's value where there is one, else the other side's. `search` is the
    folded text of both sides and of the contacts. The figures are those of `currency`.
    """

    coupling = models.CharField(max_length=32, null=True, unique=True)
    crm_id = models.CharField(max_length=120, null=True, unique=True)
    erp_id = models.CharField(max_length=120, null=True, unique=True)
    crm_version = models.CharField(max_length=200, default="")
    erp_version = models.CharField(max_length=200, default="")
    name = models.TextField(default="")
    name_key = models.CharField(max_length=200, default="")
    number = models.CharField(max_length=120, default="")
    tax_id = models.CharField(max_length=60, default="")
    email = models.CharField(max_length=254, default="")
    phone = models.CharField(max_length=60, default="")
    town = models.CharField(max_length=120, default="")
    postal_code = models.CharField(max_length=20, default="")
    country = models.CharField(max_length=2, default="")
    region = models.CharField(max_length=40, default="")
    sector = models.CharField(max_length=120, default="")
    salesperson = models.CharField(max_length=120, default="")
    roles = models.CharField(max_length=200, default="")
    active = models.BooleanField(default=True)
    search = models.TextField(default="")
    crm_read = models.DateTimeField(null=True)
    erp_read = models.DateTimeField(null=True)
    # Figures, reckoned again whenever a document of the customer changes.
    currency = models.CharField(max_length=3, default="")
    orders = models.IntegerField(default=0)
    first_order = models.DateField(null=True)
    last_order = models.DateField(null=True)
    rhythm = models.IntegerField(null=True)
    quiet_from = models.DateField(null=True)
    turnover = ExactField(default=0)
    turnover_before = ExactField(default=0)
    intake = ExactField(default=0)
    backlog = ExactField(default=0)
    open_items = ExactField(default=0)
    overdue = ExactField(default=0)
    paid_gross = ExactField(default=0)
    paid_days = ExactField(default=0)
    late_days = ExactField(default=0)
    behaviour = models.CharField(max_length=10, default="unknown")
    trend = models.CharField(max_length=10, default="none")
    abc = models.CharField(max_length=1, default="")
    rfm = models.CharField(max_length=3, default="")
    segment = models.CharField(max_length=12, default="")
    dunning = models.IntegerField(default=0)
    credit_limit = ExactField(null=True)
    exposure = ExactField(null=True)
    blocked = models.BooleanField(default=False)
    credit_at = models.DateTimeField(null=True)
    figures_at = models.DateTimeField(null=True)
    dirty = models.BooleanField(default=True)

    class Meta:
        indexes = [
            models.Index(fields=["name_key", "id"], name="customer_name"),
            models.Index(fields=["number"], name="customer_number"),
            models.Index(fields=["turnover", "id"], name="customer_turnover"),
            models.Index(fields=["abc", "name_key"], name="customer_abc"),
            models.Index(fields=["segment", "name_key"], name="customer_segment"),
            models.Index(fields=["region", "name_key"], name="customer_region"),
            models.Index(fields=["salesperson", "name_key"], name="customer_sales"),
            models.Index(fields=["trend", "turnover"], name="customer_trend"),
            models.Index(fields=["quiet_from"], name="customer_quiet"),
            models.Index(fields=["town", "id"], name="customer_town"),
            models.Index(fields=["last_order", "id"], name="customer_last"),
            models.Index(fields=["open_items", "id"], name="customer_open"),
            models.Index(fields=["backlog", "id"], name="customer_backlog"),
            models.Index(fields=["dirty"], condition=Q(dirty=True), name="customer_dirty"),
        ]


class Person(models.Model):
    """A contact of a customer, as one side knows it."""

    side = models.CharField(max_length=3)
    record = models.CharField(max_length=120)
    version = models.CharField(max_length=200, default="")
    coupling = models.CharField(max_length=32, default="")
    partner = models.CharField(max_length=120, default="")
    name = models.TextField(default="")
    job = models.TextField(default="")
    email = models.CharField(max_length=254, default="")
    phone = models.CharField(max_length=60, default="")
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["side", "record"], name="one_person")]
        indexes = [models.Index(fields=["side", "partner"], name="person_partner")]


class Article(models.Model):
    """A product of the ERP."""

    record = models.CharField(max_length=120, unique=True)
    version = models.CharField(max_length=200, default="")
    code = models.CharField(max_length=120, default="", db_index=True)
    name = models.TextField(default="")
    name_key = models.CharField(max_length=200, default="", db_index=True)
    category = models.TextField(default="")
    unit = models.CharField(max_length=20, default="")
    price = ExactField(null=True)
    cost = ExactField(null=True)
    stock = ExactField(null=True)
    forecast = ExactField(null=True)
    active = models.BooleanField(default=True)
    search = models.TextField(default="")
    read_at = models.DateTimeField()


class Sale(models.Model):
    """An order of the ERP, or a quote, order or opportunity of the CRM."""

    side = models.CharField(max_length=3)
    kind = models.CharField(max_length=12)
    resource = models.CharField(max_length=120)
    record = models.CharField(max_length=120)
    version = models.CharField(max_length=200, default="")
    party = models.CharField(max_length=120, default="")
    number = models.CharField(max_length=120, default="")
    title = models.TextField(default="")
    reference = models.CharField(max_length=200, default="")
    state = models.CharField(max_length=60, default="")
    payment = models.CharField(max_length=12, default="")
    day = models.DateField(null=True)
    until = models.DateField(null=True)
    currency = models.CharField(max_length=3, default="")
    net = ExactField(default=0)
    tax = ExactField(default=0)
    gross = ExactField(default=0)
    backlog = ExactField(default=0)
    won = models.BooleanField(default=False)
    lost = models.BooleanField(default=False)
    dunning = models.IntegerField(default=0)
    salesperson = models.CharField(max_length=120, default="")
    read_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["side", "resource", "record"], name="one_sale")
        ]
        indexes = [
            models.Index(fields=["party", "side", "kind", "day"], name="sale_party"),
            models.Index(fields=["side", "kind", "day", "id"], name="sale_day"),
            models.Index(fields=["side", "kind", "number", "id"], name="sale_numbered"),
            models.Index(fields=["side", "kind", "state", "day"], name="sale_state"),
            models.Index(fields=["side", "kind", "payment", "day"], name="sale_payment"),
            models.Index(fields=["side", "kind", "net", "id"], name="sale_net"),
            models.Index(fields=["side", "kind", "backlog", "id"], name="sale_backlog"),
            models.Index(fields=["side", "kind", "reference"], name="sale_reference"),
        ]


class SaleLine(models.Model):
    """One line of a sale with how far it is delivered and invoiced."""

    sale = models.BigIntegerField(db_index=True)
    position = models.IntegerField()
    item = models.CharField(max_length=120, default="", db_index=True)
    name = models.TextField(default="")
    unit = models.CharField(max_length=20, default="")
    ordered = ExactField(default=0)
    delivered = ExactField(default=0)
    open = ExactField(default=0)
    invoiced = ExactField(default=0)
    net = ExactField(default=0)
    cost = ExactField(null=True)
    planned = models.DateField(null=True)
    delivered_on = models.DateField(null=True)
    status = models.CharField(max_length=20, default="")


class Bill(models.Model):
    """An invoice or credit note of the ERP.

    `credits` are the invoices that a credit note credits. `counted`: it is part of turnover, being
    posted; so is a cancelled invoice that a credit note credits, for the books hold both.
    """

    record = models.CharField(max_length=120, unique=True)
    version = models.CharField(max_length=200, default="")
    party = models.CharField(max_length=120, default="")
    number = models.CharField(max_length=120, default="")
    kind = models.CharField(max_length=12, default="invoice")
    state = models.CharField(max_length=12, default="")
    day = models.DateField(null=True)
    due = models.DateField(null=True)
    paid = models.DateField(null=True)
    currency = models.CharField(max_length=3, default="")
    net = ExactField(default=0)
    tax = ExactField(default=0)
    gross = ExactField(default=0)
    open = ExactField(default=0)
    dunning = models.IntegerField(default=0)
    dunned_on = models.DateField(null=True)
    sales = models.JSONField(default=list)
    credits = models.JSONField(default=list)
    counted = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["party", "day"], name="bill_party"),
            models.Index(fields=["day", "id"], name="bill_day"),
            models.Index(fields=["number"], name="bill_number"),
            models.Index(fields=["due"], condition=~Q(open=0), name="bill_open"),
            models.Index(fields=["day", "id"], condition=Q(dunning__gt=0), name="bill_reminded"),
            models.Index(fields=["kind", "day"], name="bill_kind"),
            models.Index(fields=["state", "day"], name="bill_state"),
        ]


class BillLine(models.Model):
    """One line of an invoice."""

    bill = models.BigIntegerField(db_index=True)
    position = models.IntegerField()
    item = models.CharField(max_length=120, default="")
    name = models.TextField(default="")
    unit = models.CharField(max_length=20, default="")
    quantity = ExactField(default=0)
    price = ExactField(default=0)
    net = ExactField(default=0)


class Delivery(models.Model):
    """A shipment to a customer."""

    record = models.CharField(max_length=120, unique=True)
    version = models.CharField(max_length=200, default="")
    party = models.CharField(max_length=120, default="")
    number = models.CharField(max_length=120, default="")
    state = models.CharField(max_length=12, default="")
    planned = models.DateField(null=True)
    delivered_on = models.DateField(null=True)
    sales = models.JSONField(default=list)
    read_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["party", "planned"], name="delivery_party")]


class Figure(models.Model):
    """Turnover and order intake of one customer in one month and currency."""

    customer = models.BigIntegerField()
    month = models.DateField()
    currency = models.CharField(max_length=3)
    turnover = ExactField(default=0)
    intake = ExactField(default=0)
    orders = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "currency", "month"], name="one_figure")
        ]
        indexes = [models.Index(fields=["currency", "month"], name="figure_month")]


class Overview(models.Model):
    """The figures of the whole house, reckoned together; one row for each currency."""

    currency = models.CharField(max_length=3, primary_key=True)
    content = models.BinaryField()
    at = models.DateTimeField()


class SavedFilter(models.Model):
    """A filter of a list that somebody keeps; `shared` shows it to all."""

    page = models.CharField(max_length=20)
    user = models.CharField(max_length=120)
    name = models.CharField(max_length=120)
    query = models.TextField(default="")
    shared = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["page", "user", "name"], name="one_filter")]


class TargetGroup(models.Model):
    """A segment of customers that the CRM is to know, for a campaign.

    `plan` holds who would be marked and unmarked when it was asked for; a second person's or the
    same person's approval carries it out.
    """

    name = models.CharField(max_length=120, unique=True)
    query = models.TextField(default="")
    state = models.CharField(max_length=12, default="draft")
    plan = models.JSONField(default=dict)
    written = models.JSONField(default=list)
    made_by = models.CharField(max_length=120, default="")
    approved_by = models.CharField(max_length=120, default="")
    message = models.TextField(default="")
    made_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)
