"""Gates: how much each connection was asked by all processes together, and whether it is closed.

One row per connection, changed in one short transaction per call that is counted; a connection
without limits that answers is only looked at, and at most once a second.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction

from koppel.store.opening import Clock
from koppel.store.work_models import Gate


class GateStore:
    """Reads and writes gates."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def closed(self, name: str) -> tuple[float, str]:
        """Seconds until somebody may ask again (0: now), and why not before; an open gate says why
        too where the last call was not answered."""
        row = Gate.objects.filter(name=name).first()
        if row is None:
            return 0.0, ""
        if row.closed_until is None:
            return 0.0, row.why
        return max(0.0, (row.closed_until - self._clock()).total_seconds()), row.why

    def all(self) -> list[Gate]:
        """All gates by name."""
        return list(Gate.objects.order_by("name"))

    def ask(
        self, name: str, *, per_second: float | None, per_day: int | None, share: float
    ) -> float:
        """Count one call, if it fits into `share` of the limits: 0; else seconds to wait."""
        now = self._clock()
        second, day = int(now.timestamp()), now.toordinal()
        with transaction.atomic():
            row = self._row(name)
            # A limit below one a second is a window of several seconds with one call.
            span = 1 if per_second is None or per_second >= 1 else round(1 / per_second)
            window = second - second % span
            if row.second != window:
                row.second, row.used = window, 0
            if row.day != day:
                row.day, row.used_today = day, 0
            if per_day is not None and row.used_today >= max(1, int(per_day * share)):
                midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
                return (midnight + timedelta(days=1) - now).total_seconds()
            if per_second is not None and row.used >= max(1, int(per_second * share)):
                return window + span - now.timestamp()
            row.used += 1
            row.used_today += 1
            row.save(update_fields=["second", "used", "day", "used_today"])
            return 0.0

    def close(self, name: str, seconds: float, why: str) -> None:
        """The system asked for patience: nobody asks for so long."""
        until = self._clock() + timedelta(seconds=seconds)
        with transaction.atomic():
            row = self._row(name)
            if row.closed_until is None or row.closed_until < until:
                row.closed_until, row.why = until, why[:500]
                row.save(update_fields=["closed_until", "why"])

    def failed(self, name: str, why: str, *, limit: int, first: float, longest: float) -> None:
        """It did not answer: from `limit` failures in a row on nobody asks for a while, doubled
        with each further failure, from `first` up to `longest` seconds."""
        with transaction.atomic():
            row = self._row(name)
            row.failures += 1
            row.why = why[:500]
            if row.failures >= limit:
                wait = min(longest, first * 2 ** min(row.failures - limit, 10))
                row.closed_until = self._clock() + timedelta(seconds=wait)
            row.save(update_fields=["failures", "why", "closed_until"])

    def answered(self, name: str) -> None:
        """It answered: the gate is open."""
        Gate.objects.filter(name=name).exclude(failures=0, closed_until=None).update(
            failures=0, closed_until=None, why=""
        )

    @staticmethod
    def _row(name: str) -> Gate:
        Gate.objects.bulk_create([Gate(name=name)], ignore_conflicts=True)
        rows = Gate.objects.filter(name=name)
        if connection.vendor == "postgresql":
            rows = rows.select_for_update()
        return rows.get()
