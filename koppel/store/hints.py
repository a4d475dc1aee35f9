"""Hints that are not dealt with yet, and when each pair is looked at; shared by all workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import connection, transaction
from msgspec import Struct

from koppel.store import bulk
from koppel.store.opening import Clock
from koppel.store.work_models import Hint, Pulse
from koppel.sync.rule import Side

_ADD = """
    INSERT INTO store_hint (entity, side, record, times, at) VALUES (%s, %s, %s, 1, %s)
    ON CONFLICT (entity, side, record) DO UPDATE SET times = store_hint.times + 1
"""


class Hinted(Struct, frozen=True):
    """A record that may have changed; `times` tells whether somebody said so again since."""

    entity: str
    side: Side
    record: str
    times: int


class HintStore:
    """Reads and writes hints. However many come for a record, it is one piece of work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def add(self, entity: str, side: Side, record: str) -> None:
        """A record may have changed."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_ADD, [entity, side, record, bulk.moment(self._clock())])

    def waiting(self, entities: Iterable[str], limit: int = 2000) -> list[Hinted]:
        """What is to be looked at, oldest first."""
        rows = Hint.objects.filter(entity__in=list(entities)).order_by("id")
        found = rows.values_list("entity", "side", "record", "times")[:limit]
        return [
            Hinted(entity, "crm" if side == "crm" else "erp", record, times)
            for entity, side, record, times in found
        ]

    def entities(self) -> set[str]:
        """The entities of which something is hinted at."""
        return set(Hint.objects.values_list("entity", flat=True).distinct())

    def count(self) -> int:
        """How many records wait to be looked at."""
        return Hint.objects.count()

    def done(self, hints: Sequence[Hinted]) -> None:
        """These were read; what was said of them since stays."""
        with transaction.atomic():
            for hint in hints:
                Hint.objects.filter(
                    entity=hint.entity, side=hint.side, record=hint.record, times=hint.times
                ).delete()


class PulseStore:
    """Reads and writes when each pair is looked at."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def follow(self, pairs: Iterable[str], every: float, sweep: float) -> None:
        """Make rows for new pairs and drop those of pairs that no rule names any more."""
        now = self._clock()
        wanted = set(pairs)
        known = set(Pulse.objects.values_list("pair", flat=True))
        Pulse.objects.filter(pair__in=known - wanted).delete()
        Pulse.objects.bulk_create(
            [
                Pulse(
                    pair=pair, every=every, next_poll=now,
                    next_sweep=now + timedelta(seconds=sweep),
                )
                for pair in sorted(wanted - known)
            ],
            ignore_conflicts=True,
        )  # fmt: skip

    def due(self) -> Mapping[str, bool]:
        """Pair -> is a sweep due too, for those that are to be looked at now."""
        now = self._clock()
        rows = Pulse.objects.filter(next_poll__lte=now).order_by("next_poll")
        return {row.pair: row.next_sweep <= now for row in rows}

    def get(self, pair: str) -> Pulse | None:
        """How a pair stands."""
        return Pulse.objects.filter(pair=pair).first()

    def all(self) -> list[Pulse]:
        """All pairs by name."""
        return list(Pulse.objects.order_by("pair"))

    def looked(
        self, pair: str, *, every: float, wait: float, sweep: float | None, trouble: str = ""
    ) -> None:
        """A look is over: the next one in `wait` seconds; `sweep` seconds to the next sweep."""
        now = self._clock()
        values = {"every": every, "next_poll": now + timedelta(seconds=wait), "trouble": trouble}
        if not trouble:
            values["last_poll"] = now
        if sweep is not None:
            values["next_sweep"] = now + timedelta(seconds=sweep)
        Pulse.objects.filter(pair=pair).update(**values)

    def hurry(self, pair: str, every: float) -> None:
        """Something happens there: look at it as often as at first."""
        soon = self._clock() + timedelta(seconds=every)
        rows = Pulse.objects.filter(pair=pair)
        rows.filter(every__gt=every).update(every=every)
        rows.filter(next_poll__gt=soon, trouble="").update(next_poll=soon)


__all__ = ["HintStore", "Hinted", "PulseStore"]
