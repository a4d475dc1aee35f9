"""Figures on how the coupling stands: shares, ages, and what was done by hour and by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Min, Q
from django.db.models.functions import TruncDay, TruncHour

from koppel.store.models import (
    Conflict,
    Coupling,
    Journal,
    Notice,
    Pending,
    Quarantine,
    Replica,
    Run,
)
from koppel.store.opening import Clock


@dataclass(frozen=True)
class Share:
    """Couplings of one entity: all that are active, and those that nothing keeps out of step."""

    entity: str
    active: int
    in_step: int
    other: int
    uncoupled: Mapping[str, int]

    @property
    def share(self) -> float | None:
        """In step of active, 0 to 1; None where nothing is coupled."""
        return self.in_step / self.active if self.active else None


class StandingStore:
    """Reads; never writes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def shares(self, entities: list[str]) -> list[Share]:
        """For each entity, how many couplings are in step."""
        states = Coupling.objects.values_list("entity", "state").annotate(many=Count("id"))
        counts = {(entity, state): many for entity, state, many in states}
        alone = Replica.objects.filter(coupled=False).values_list("entity", "side")
        uncoupled = {(e, s): many for e, s, many in alone.annotate(many=Count("id"))}
        out = self._out_of_step()
        found = []
        for entity in entities:
            active = counts.get((entity, "active"), 0)
            total = sum(many for (one, _), many in counts.items() if one == entity)
            found.append(
                Share(
                    entity=entity,
                    active=active,
                    in_step=max(0, active - out[entity]),
                    other=total - active,
                    uncoupled={side: uncoupled.get((entity, side), 0) for side in ("crm", "erp")},
                )
            )
        return found

    @staticmethod
    def _out_of_step() -> Counter[str]:
        """Entity -> couplings with a conflict, a failure or a change that was not taken up yet."""
        rows = set(
            Conflict.objects.filter(state__in=["open", "resolved"]).values_list(
                "entity", "coupling"
            )
        )
        rows |= set(
            Quarantine.objects.filter(state="open")
            .exclude(coupling="")
            .values_list("entity", "coupling")
        )
        for side in ("crm", "erp"):
            waiting = Pending.objects.filter(side=side).values_list("entity", "record")
            for entity, record in waiting:
                rows |= set(
                    Coupling.objects.filter(
                        **{"entity": entity, f"{side}_id": record, "state": "active"}
                    ).values_list("entity", "id")
                )
        return Counter(entity for entity, _ in rows)

    def oldest_unsynchronised(self) -> datetime | None:
        """Since when the oldest change waits that did not reach the other side."""
        found = [
            Conflict.objects.filter(state__in=["open", "resolved"]).aggregate(t=Min("opened_at")),
            Pending.objects.filter(waits_for="").aggregate(t=Min("at")),
            Quarantine.objects.filter(state="open").aggregate(t=Min("at")),
            Run.objects.filter(state="held").aggregate(t=Min("started_at")),
        ]
        times = [one["t"] for one in found if one["t"] is not None]
        return min(times) if times else None

    def days(self, days: int = 30) -> dict[date, Counter[str]]:
        """Day (UTC) -> writes to each side, conflicts opened and decided, values put back."""
        since = self._clock() - timedelta(days=days)
        found: dict[date, Counter[str]] = {
            (since + timedelta(days=one)).date(): Counter() for one in range(1, days + 1)
        }
        journal = Journal.objects.filter(intent_at__gte=since, state="done")
        for at, side, many in (
            journal.annotate(day=TruncDay("intent_at"))
            .values_list("day", "side")
            .annotate(many=Count("id"))
        ):
            found.setdefault(at.date(), Counter())[side] += many
        for name, rows, column in (
            ("conflicts", Conflict.objects.filter(opened_at__gte=since), "opened_at"),
            ("decided", Conflict.objects.filter(closed_at__gte=since), "closed_at"),
            ("notices", Notice.objects.filter(at__gte=since), "at"),
        ):
            per_day = rows.annotate(day=TruncDay(column)).values_list("day")
            for at, many in per_day.annotate(many=Count("id")):
                found.setdefault(at.date(), Counter())[name] += many
        return found

    def flows(self, weeks: int = 4) -> dict[tuple[str, str], dict[datetime, int]]:
        """(entity, side that changed) -> full hour -> changes that were brought across."""
        since = self._clock() - timedelta(weeks=weeks)
        rows = Journal.objects.filter(
            Q(run__trigger__in=["poll", "hint"]), intent_at__gte=since, state="done"
        )
        found: dict[tuple[str, str], dict[datetime, int]] = {}
        for hour, entity, side, many in (
            rows.annotate(hour=TruncHour("intent_at"))
            .values_list("hour", "entity", "side")
            .annotate(many=Count("id"))
        ):
            giver = "erp" if side == "crm" else "crm"
            found.setdefault((entity, giver), {})[hour] = many
        return found
