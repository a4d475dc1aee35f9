"""A customer's orders and figures are found by the customer, in stores of any size.

SQLite keeps no statistics: of two indexes it takes the one of which a query gives more columns.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("store", "0015_webhooks"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="sale", name="sale_party"),
        migrations.AddIndex(
            model_name="sale",
            index=models.Index(fields=["party", "side", "kind", "day"], name="sale_party"),
        ),
        migrations.RemoveConstraint(model_name="figure", name="one_figure"),
        migrations.AddConstraint(
            model_name="figure",
            constraint=models.UniqueConstraint(
                fields=["customer", "currency", "month"], name="one_figure"
            ),
        ),
    ]
