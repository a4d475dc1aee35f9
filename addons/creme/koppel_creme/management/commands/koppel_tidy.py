"""`koppel_tidy`: keep the memory of Koppel's old writes small. For a nightly job."""

import json
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from koppel_creme.models import DoneWrite

_STEP = 500


class Command(BaseCommand):
    help = (
        "Forgets writes older than some days, which Koppel does not repeat any more. "
        "Of creations the key and the id are kept for ever."
    )

    def add_arguments(self, parser):
        parser.add_argument("--days", type=int, default=90, help="how old (default: 90)")

    def handle(self, *, days, **options):
        old = DoneWrite.objects.filter(at__lt=now() - timedelta(days=days))
        forgotten, _ = old.exclude(kind="create").delete()
        shortened = 0
        whole = old.filter(kind="create", outcome__startswith='{"kind"').order_by("pk")
        while rows := list(whole[:_STEP]):
            for row in rows:
                row.outcome = json.dumps({"id": int(_record_id(json.loads(row.outcome)))})
            DoneWrite.objects.bulk_update(rows, ["outcome"])
            shortened += len(rows)
        self.stdout.write(f"{forgotten} writes forgotten, {shortened} creations shortened.")


def _record_id(outcome):
    after = outcome["after"]
    return (after.get("record") or after["gone"])["id"]
