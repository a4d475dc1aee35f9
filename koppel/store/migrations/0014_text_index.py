"""Searching as one types on PostgreSQL: an index of three-letter pieces, as SQLite has it."""

from typing import Any

from django.db import DatabaseError, migrations, transaction


def _index(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic():
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError:
        # Not installed there, or not allowed: each search then compares every row.
        return
    schema_editor.execute(
        "CREATE INDEX IF NOT EXISTS store_customer_text"
        " ON store_customer USING gin (search gin_trgm_ops)"
    )


def _drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS store_customer_text")


class Migration(migrations.Migration):
    dependencies = [
        ("store", "0013_people"),
    ]

    operations = [
        migrations.RunPython(_index, _drop),
    ]
