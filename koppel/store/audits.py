"""Audits that were made, and alarms: what a person should know though nobody asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from koppel.errors import NeedsUser
from koppel.store.models import Alarm, AuditResult
from koppel.store.opening import Clock

KEPT = 400
"""Audits; a nightly one is kept for a year and more."""
MOST_FINDINGS = 500
"""Findings of an audit that are kept one by one; the counts tell of all."""


class AuditStore:
    """Keeps what audits came to."""

    def add(
        self,
        *,
        began: datetime,
        ended: datetime,
        trigger: str,
        by: str,
        in_step: bool,
        counts: dict[str, Any],
        findings: Sequence[Any],
    ) -> AuditResult:
        """Keep one; the oldest beyond `KEPT` are dropped."""
        with transaction.atomic():
            row = AuditResult.objects.create(
                began=began,
                ended=ended,
                trigger=trigger,
                by=by,
                in_step=in_step,
                counts=counts,
                findings=list(findings[:MOST_FINDINGS]),
            )
            old = AuditResult.objects.order_by("-id").values_list("id", flat=True)[KEPT:]
            AuditResult.objects.filter(id__in=list(old)).delete()
            return row

    def last(self) -> AuditResult | None:
        """The newest one."""
        return AuditResult.objects.order_by("-id").first()

    def recent(self, limit: int = 30) -> list[AuditResult]:
        """The newest ones."""
        return list(AuditResult.objects.order_by("-id")[:limit])


class AlarmStore:
    """Raises and closes alarms. At most one of a kind and subject is open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def raise_(self, kind: str, subject: str, text: str, *, remedy: str = "") -> Alarm:
        """Open an alarm, or say anew what the open one of this kind and subject says."""
        row, _ = Alarm.objects.update_or_create(
            kind=kind,
            subject=subject,
            state="open",
            defaults={"text": text, "remedy": remedy, "at": self._clock()},
        )
        return row

    def clear(self, kind: str, subject: str, *, by: str = "") -> None:
        """What an alarm told of is no more."""
        Alarm.objects.filter(kind=kind, subject=subject, state="open").update(
            state="closed", closed_at=self._clock(), by=by
        )

    def close(self, number: int, *, by: str) -> Alarm:
        """A person has seen to it; `NeedsUser` where there is no such open alarm."""
        row = Alarm.objects.filter(id=number, state="open").first()
        if row is None:
            raise NeedsUser(f"there is no open alarm {number}", remedy="koppel alarms")
        row.state, row.closed_at, row.by = "closed", self._clock(), by
        row.save(update_fields=["state", "closed_at", "by"])
        return row

    def open(self) -> list[Alarm]:
        """All open alarms, newest first."""
        return list(Alarm.objects.filter(state="open").order_by("-at", "-id"))
