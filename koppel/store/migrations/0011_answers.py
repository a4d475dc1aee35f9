"""Answers of a system that are kept for when it is away."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("store", "0010_seen")]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                (
                    "question",
                    models.CharField(max_length=300, primary_key=True, serialize=False),
                ),
                ("answer", models.BinaryField()),
                ("at", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
