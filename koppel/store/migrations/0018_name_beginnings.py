"""Beginnings of names on PostgreSQL, whatever the language of the database."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def _make(apps: Any, editor: Any) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute('CREATE INDEX customer_begins ON store_customer (name_key COLLATE "C", id)')


def _drop(apps: Any, editor: Any) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP INDEX customer_begins")


class Migration(migrations.Migration):
    dependencies = [("store", "0017_sorted_documents")]
    operations = [migrations.RunPython(_make, _drop)]
