"""Answers of a system that are kept, so that they can be told with their age while it is away."""

from __future__ import annotations

from datetime import datetime, timedelta

from koppel.store.opening import Clock
from koppel.store.order_models import KeptAnswer

KEEP = timedelta(days=92)
"""Older answers are of no use to anybody."""
_TIDY = 500
"""So many new answers, and the old ones are looked through."""


class AnswerStore:
    """Reads and writes kept answers: bytes by the question."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._puts = 0

    def get(self, question: str) -> tuple[datetime, bytes] | None:
        """When it was answered, and the answer; None where it never was, or long ago."""
        row = KeptAnswer.objects.filter(question=question).first()
        if row is None or self._clock() - row.at > KEEP:
            return None
        return row.at, bytes(row.answer)

    def put(self, question: str, answer: bytes) -> None:
        """Keep the newest answer to a question."""
        KeptAnswer.objects.update_or_create(
            question=question, defaults={"answer": answer, "at": self._clock()}
        )
        self._puts += 1
        if self._puts % _TIDY == 0:
            KeptAnswer.objects.filter(at__lt=self._clock() - KEEP).delete()
