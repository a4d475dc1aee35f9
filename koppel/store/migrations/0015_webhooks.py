"""Webhooks with their messages; orders that the CRM wants otherwise, found by an index."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("store", "0014_text_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="Webhook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("address", models.TextField()),
                ("events", models.JSONField(default=list)),
                ("secret", models.BinaryField(default=b"")),
                ("made_at", models.DateTimeField()),
                ("by", models.CharField(default="", max_length=120)),
                ("seen_at", models.DateTimeField()),
                ("stopped", models.TextField(default="")),
            ],
        ),
        migrations.CreateModel(
            name="WebhookMessage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("event", models.CharField(max_length=40)),
                ("key", models.CharField(max_length=200)),
                ("body", models.TextField()),
                ("state", models.CharField(default="waiting", max_length=10)),
                ("attempts", models.IntegerField(default=0)),
                ("next_at", models.DateTimeField(null=True)),
                ("status", models.IntegerField(null=True)),
                ("message", models.TextField(default="")),
                ("made_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "webhook",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="store.webhook"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["next_at"],
                        name="due_webhook_messages",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("webhook", "key"), name="one_webhook_message")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="orderlink",
            index=models.Index(
                condition=models.Q(("note", ""), _negated=True),
                fields=["-changed_at"],
                name="noted_orders",
            ),
        ),
    ]
