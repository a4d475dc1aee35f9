"""The audit log: who did and saw what, each line bound to the one before it.

The digest of a line covers its content and the digest of its predecessor, so that a line that was
changed, removed or put in shows (`verify`). Lines cut off at the end show only against a digest
that was noted elsewhere; `koppel audit-log verify` prints the present one for that.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, connection, transaction

from koppel.errors import TryLater
from koppel.store import bulk
from koppel.store.models import Event
from koppel.store.opening import Clock

_COLUMNS = ("at", "user", "action", "subject", "detail", "previous", "digest")
TRIES = 20
"""How often a line is tried again when another process wrote one at the same moment."""


@dataclass(frozen=True)
class Verdict:
    """What `verify` found: the lines read, the newest digest, and what is wrong."""

    lines: int
    digest: str
    faults: tuple[str, ...]


@dataclass
class _Waiting:
    """A line that one thread has to write, and that another one may write for it."""

    line: Event
    written: bool = False


class AuditLog:
    """Writes, reads and verifies the audit log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._list = threading.Lock()
        self._writing = threading.Lock()

    def write(self, user: str, action: str, subject: str = "", **detail: Any) -> None:
        """Add a line; it is on the disk when this returns, or with the transaction it is part of.

        Every look at a customer waits for its line, and the disk takes the same time for one line
        as for many: whoever comes while lines are being written finds those that came meanwhile
        written together with its own. Two processes cannot follow the same line: the second tries
        again.
        """
        kept = json.loads(json.dumps(detail, default=str))
        line = Event(
            at=self._clock(), user=_stored(user), action=action, subject=_stored(subject[:200]),
            detail=kept,
        )  # fmt: skip
        if connection.in_atomic_block:
            _add([line])
            return
        mine = _Waiting(line)
        with self._list:
            self._waiting.append(mine)
        try:
            with self._writing:
                if not mine.written:
                    self._write_all()
        finally:
            with self._list:
                if mine in self._waiting:
                    self._waiting.remove(mine)

    def _write_all(self) -> None:
        """Where it fails, each thread writes its own line again, and finds out for itself."""
        with self._list:
            some = list(self._waiting)
        _add([one.line for one in some])
        with self._list:
            for one in some:
                one.written = True
            self._waiting = [one for one in self._waiting if not one.written]

    def recent(
        self, limit: int = 100, *, before: int = 0, user: str = "", actions: Collection[str] = ()
    ) -> list[Event]:
        """The newest lines first, older than line `before`, of one user or of some actions."""
        rows = Event.objects.order_by("-id")
        if before:
            rows = rows.filter(id__lt=before)
        if user:
            rows = rows.filter(user=user)
        if actions:
            rows = rows.filter(action__in=actions)
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


def _add(lines: Sequence[Event]) -> None:
    """Add lines in one transaction, each bound to the one before it."""
    for _ in range(TRIES):
        try:
            with transaction.atomic():
                last = _last()
                for line in lines:
                    line.previous, line.digest = last, digest_of(line, last)
                    last = line.digest
                bulk.insert(Event, _COLUMNS, bulk.rows(Event, _COLUMNS, lines))
            return
        except IntegrityError:
            continue
    raise TryLater("the audit log is being written by too many at once")


def _stored(text: str) -> str:
    """As every database keeps it, so that the digest is of what will be read again."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _last() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT digest FROM store_event ORDER BY id DESC LIMIT 1")
        found = cursor.fetchone()
    return str(found[0]) if found else ""


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
