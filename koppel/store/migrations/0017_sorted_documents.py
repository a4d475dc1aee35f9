"""Indexes for the sorts and filters of customers, orders and invoices where there are very many.

PostgreSQL needs some of its own: it walks an index backwards with what is missing first, where
lists have it last, and finds what begins so by an index for patterns only. SQLite takes the index of
which a query gives most columns, so those of orders begin with what each list asks for.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models import Q

_POSTGRES = {
    "sale_day_last": "store_sale (side, kind, day DESC NULLS LAST, id DESC)",
    "sale_state_last": "store_sale (side, kind, state, day DESC NULLS LAST, id DESC)",
    "sale_number_like": "store_sale (number varchar_pattern_ops)",
    "sale_reference_like": "store_sale (reference varchar_pattern_ops)",
    "bill_day_last": "store_bill (day DESC NULLS LAST, id DESC)",
    "bill_number_like": "store_bill (number varchar_pattern_ops)",
}


def _make(apps: Any, editor: Any) -> None:
    if editor.connection.vendor == "postgresql":
        for name, told in _POSTGRES.items():
            editor.execute(f"CREATE INDEX {name} ON {told}")


def _drop(apps: Any, editor: Any) -> None:
    if editor.connection.vendor == "postgresql":
        for name in _POSTGRES:
            editor.execute(f"DROP INDEX {name}")


def _index(model: str, name: str, *fields: str, condition: Q | None = None) -> migrations.AddIndex:
    made = models.Index(fields=list(fields), name=name, condition=condition)
    return migrations.AddIndex(model_name=model, index=made)


class Migration(migrations.Migration):
    dependencies = [("store", "0016_large_stores")]
    operations = [
        _index("customer", "customer_town", "town", "id"),
        _index("customer", "customer_last", "last_order", "id"),
        _index("customer", "customer_open", "open_items", "id"),
        _index("customer", "customer_backlog", "backlog", "id"),
        _index("sale", "sale_payment", "side", "kind", "payment", "day"),
        _index("sale", "sale_net", "side", "kind", "net", "id"),
        _index("sale", "sale_backlog", "side", "kind", "backlog", "id"),
        migrations.RemoveIndex(model_name="sale", name="sale_number"),
        _index("sale", "sale_numbered", "side", "kind", "number", "id"),
        _index("sale", "sale_reference", "side", "kind", "reference"),
        _index("bill", "bill_reminded", "day", "id", condition=Q(dunning__gt=0)),
        _index("bill", "bill_kind", "kind", "day"),
        _index("bill", "bill_state", "state", "day"),
        migrations.RunPython(_make, _drop),
    ]
