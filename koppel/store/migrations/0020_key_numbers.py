"""Blocking keys as numbers: a third of the size, and no index of texts.

The keys of a store are taken along, in pages; with a million customers that takes some minutes.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from koppel.store.blocking import number

_PAGE = 5000

# Keys without a replica are of no use to anybody.
_OLD = """
    SELECT k.id, k.entity, k.key, k.strong, k.side, r.id
    FROM store_textkey k LEFT JOIN store_replica r
        ON r.entity = k.entity AND r.side = k.side AND r.record = k.record
    WHERE k.id > %s ORDER BY k.id LIMIT %s
"""


def _make(apps: Any, editor: Any) -> None:
    """The table; on SQLite its primary key is all of it, which spares an index as large as it."""
    sqlite = editor.connection.vendor == "sqlite"
    if sqlite:
        editor.sql_create_table += " WITHOUT ROWID"
    try:
        editor.create_model(apps.get_model("store", "BlockKey"))
    finally:
        if sqlite:
            del editor.sql_create_table


def _fill(apps: Any, editor: Any) -> None:
    """All keys as numbers; sorted first, as numbers fall anywhere and a large table is on disk."""
    with editor.connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE key_number (key bigint, side varchar(3), replica bigint)"
        )
        last = 0
        while True:
            cursor.execute(_OLD, [last, _PAGE])
            found = cursor.fetchall()
            if found:
                last = found[-1][0]
                _keep(
                    cursor,
                    editor.connection.vendor,
                    [
                        (number(entity, key, bool(strong)), side, replica)
                        for _, entity, key, strong, side, replica in found
                        if replica is not None
                    ],
                )
            if len(found) < _PAGE:
                break
        cursor.execute(
            "INSERT INTO store_blockkey (key, side, replica)"
            " SELECT DISTINCT key, side, replica FROM key_number ORDER BY key, side, replica"
        )
        cursor.execute("DROP TABLE key_number")


def _keep(cursor: Any, vendor: str, rows: list[tuple[int, str, int]]) -> None:
    if vendor != "postgresql":
        cursor.executemany("INSERT INTO key_number VALUES (%s, %s, %s)", rows)
        return
    with cursor.copy("COPY key_number FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)


class Migration(migrations.Migration):
    dependencies = [
        ("store", "0019_former_pairs"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="blockkey", name="block_key"),
        migrations.RemoveIndex(model_name="blockkey", name="block_record"),
        migrations.RenameModel("BlockKey", "TextKey"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="BlockKey",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "key",
                                "side",
                                "replica",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("key", models.BigIntegerField()),
                        ("side", models.CharField(max_length=3)),
                        ("replica", models.BigIntegerField()),
                    ],
                    options={
                        "indexes": [models.Index(fields=["replica"], name="block_replica")],
                    },
                ),
            ],
        ),
        migrations.RunPython(_make),
        migrations.RunPython(_fill),
        migrations.DeleteModel("TextKey"),
    ]
