"""The audit log: who did and saw what, each line bound to the one before it.

The digest of a line covers its content and the digest of its predecessor, so that a line that was
changed, removed or put in shows (`verify`). Lines cut off at the end show only against a digest
that was noted elsewhere; `koppel audit-log verify` prints the present one for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction

from koppel.errors import TryLater
from koppel.store.models import Event
from koppel.store.opening import Clock

TRIES = 20
"""How often a line is tried again when another process wrote one at the same moment."""


@dataclass(frozen=True)
class Verdict:
    """What `verify` found: the lines read, the newest digest, and what is wrong."""

    lines: int
    digest: str
    faults: tuple[str, ...]


class AuditLog:
    """Writes, reads and verifies the audit log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def write(self, user: str, action: str, subject: str = "", **detail: Any) -> None:
        """Add a line. Two processes cannot follow the same line: the second tries again."""
        kept = json.loads(json.dumps(detail, default=str))
        for _ in range(TRIES):
            last = Event.objects.order_by("-id").values_list("digest", flat=True).first() or ""
            line = Event(
                at=self._clock(), user=user, action=action, subject=subject[:200], detail=kept
            )
            line.previous, line.digest = last, digest_of(line, last)
            try:
                with transaction.atomic():
                    line.save(force_insert=True)
                return
            except IntegrityError:
                continue
        raise TryLater("the audit log is being written by too many at once")

    def recent(
        self, limit: int = 100, *, before: int = 0, user: str = "", action: str = ""
    ) -> list[Event]:
        """The newest lines first, older than line `before`, of one user or action."""
        rows = Event.objects.order_by("-id")
        if before:
            rows = rows.filter(id__lt=before)
        if user:
            rows = rows.filter(user=user)
        if action:
            rows = rows.filter(action=action)
        return list(rows[:limit])

    def verify(self, expect: str = "") -> Verdict:
        """Read the whole chain; with `expect` also: is the line of that digest still there?"""
        lines, last, begun = 0, "", False
        faults: list[str] = []
        seen = not expect
        for line in self._lines():
            lines += 1
            if not line.digest and not begun:
                continue  # written before lines were bound to each other
            begun = True
            if line.previous != last:
                faults.append(f"before line {line.id} something was removed or put in")
            if line.digest != digest_of(line, line.previous):
                faults.append(f"line {line.id} was changed")
            last = line.digest
            seen = seen or last == expect
        if not seen:
            faults.append("the line of the expected digest is gone: the end was cut off")
        return Verdict(lines, last, tuple(faults))

    def _lines(self) -> Iterator[Event]:
        return Event.objects.order_by("id").iterator(chunk_size=1000)


def digest_of(line: Event, previous: str) -> str:
    """SHA-256 over the predecessor's digest and all that the line says."""
    at: datetime = line.at.astimezone(UTC)
    said = [
        previous,
        at.isoformat(timespec="microseconds"),
        line.user,
        line.action,
        line.subject,
        line.detail,
    ]
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
