"""How many calls each connection was asked a day: what is left of a quota survives a restart."""

from __future__ import annotations

from datetime import date, timedelta

from django.db.models import F

from koppel.store.work_models import CallCount

KEPT = timedelta(days=31)


class CallStore:
    """Counts calls by connection and day."""

    def made(self, connection: str, day: date) -> int:
        """The calls of a day so far."""
        row = CallCount.objects.filter(connection=connection, day=day).first()
        return row.calls if row else 0

    def add(self, connection: str, day: date, calls: int) -> None:
        """So many more; counts older than a month are dropped."""
        row, made = CallCount.objects.get_or_create(
            connection=connection, day=day, defaults={"calls": calls}
        )
        if made:
            CallCount.objects.filter(connection=connection, day__lt=day - KEPT).delete()
        else:
            CallCount.objects.filter(id=row.id).update(calls=F("calls") + calls)
