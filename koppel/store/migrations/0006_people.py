"""Roles with their rights, failed sign-ins, and the chain of the audit log."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

ROLES = {
    "administrator": "view figures synchronise decide approve export configure privacy people",
    "integrator": "view synchronise decide approve export configure",
    "clerk": "view figures synchronise decide export",
    "sales": "view figures synchronise",
    "viewer": "view",
}


def make_roles(apps: Any, schema_editor: Any) -> None:
    """The five roles that Koppel brings."""
    Group = apps.get_model("auth", "Group")
    RoleRight = apps.get_model("store", "RoleRight")
    for name, actions in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        for action in actions.split():
            RoleRight.objects.get_or_create(role=group, action=action, entity="*")


class Migration(migrations.Migration):
    dependencies = [
        ("store", "0005_golive"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AddField(
            model_name="event",
            name="previous",
            field=models.CharField(default="", max_length=64),
        ),
        migrations.AddField(
            model_name="event",
            name="digest",
            field=models.CharField(default="", max_length=64),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.UniqueConstraint(
                condition=models.Q(("digest", ""), _negated=True),
                fields=("previous",),
                name="one_successor",
            ),
        ),
        migrations.CreateModel(
            name="RoleRight",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("action", models.CharField(max_length=20)),
                ("entity", models.CharField(default="*", max_length=40)),
                (
                    "role",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="auth.group"),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("role", "action", "entity"), name="one_right")
                ],
            },
        ),
        migrations.CreateModel(
            name="SignInFailure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("address", models.CharField(max_length=60)),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["address", "at"], name="failures_of_address")],
            },
        ),
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
