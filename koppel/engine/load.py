"""The first load: couples and plans first, writes nothing until approved, and keeps a pace.

It is an ordinary run with ordinary steps, so it can be looked at, killed at any instant, taken up
again and undone like any other. What is special: it is always held until it is approved, it may
fill gaps only, it may take a sample, and it asks each system for no more than it is allowed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import transaction

from koppel.connectors.base import Connector, Outcome, Write
from koppel.engine.intake import Progress
from koppel.engine.lines import Connect
from koppel.engine.runner import Engine
from koppel.errors import NeedsUser, TryLater
from koppel.store import Store, bulk
from koppel.store.models import Run, Step
from koppel.store.runs import encode_body
from koppel.sync.merge import is_empty
from koppel.sync.rule import SIDES, Side

Fill = Literal["gaps", "owned"]

HELD = "This is a first load; look at the plan and approve it."


@dataclass
class Pace:
    """How much a system is asked for: writes an hour, and local hours in which none is sent."""

    per_hour: int | None = None
    quiet: tuple[int, int] | None = None
    """From and to, in full hours: (8, 18) sends nothing from 8:00 until before 18:00."""

    def wait_until(self, now: datetime) -> datetime | None:
        """The end of the quiet hours, where `now` lies in them."""
        if self.quiet is None:
            return None
        first, last = self.quiet
        within = first <= now.hour < last if first < last else now.hour >= first or now.hour < last
        if not within:
            return None
        end = now.replace(hour=last % 24, minute=0, second=0, microsecond=0)
        return end if end > now else end + timedelta(days=1)


def quiet_hours(text: str) -> tuple[int, int] | None:
    """From "8-18"; None for an empty text."""
    if not text:
        return None
    first, dash, last = text.partition("-")
    if not dash or not first.isdigit() or not last.isdigit():
        raise NeedsUser(f"'{text}' is no span of hours", remedy="Write it as 8-18")
    hours = int(first), int(last)
    if not all(0 <= hour <= 24 for hour in hours) or hours[0] == hours[1]:
        raise NeedsUser(f"'{text}' is no span of hours", remedy="Write it as 8-18")
    return hours


class Paced:
    """A connector that sends writes no faster than its pace allows; all else goes straight on."""

    def __init__(
        self,
        inner: Connector,
        pace: Pace,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._inner = inner
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._free = clock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        """As the connector's, after a wait. Raises `TryLater` within the quiet hours."""
        now = self._clock()
        until = self._pace.wait_until(now)
        if until is not None:
            raise TryLater(
                f"quiet hours: nothing is written before {until:%H:%M}",
                after=(until - now).total_seconds(),
                remedy="Start the same command again then; it goes on where it stopped",
            )
        if self._pace.per_hour:
            if self._free > now:
                self._sleep((self._free - now).total_seconds())
            begun = max(self._free, now)
            self._free = begun + timedelta(seconds=3600 * len(batch) / self._pace.per_hour)
        return self._inner.write(batch)


def paced(
    connect: Connect,
    pace: Pace,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    sleep: Callable[[float], None] = time.sleep,
) -> Connect:
    """`connect`, with each connector held to the pace."""

    def connected(type_name: str, settings: Mapping[str, str]) -> Connector:
        inner = connect(type_name, settings)
        if pace.per_hour is None and pace.quiet is None:
            return inner
        held: Any = Paced(inner, pace, clock=clock, sleep=sleep)
        return held  # type: ignore[no-any-return]

    return connected


@dataclass
class Remaining:
    """A progress that tells how far the load is and how long it will still take."""

    tell: Progress
    total: int
    timer: Callable[[], float] = time.monotonic
    done: int = 0
    _begun: float = field(default=0.0)

    def __post_init__(self) -> None:
        self._begun = self.timer()

    def __call__(self, what: str, many: int) -> None:
        if not what.startswith("writing"):
            self.tell(what, many)
            return
        self.done += many
        spent = self.timer() - self._begun
        left = spent / max(1, self.done) * max(0, self.total - self.done)
        minutes, seconds = divmod(round(left), 60)
        shown = f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
        self.tell(f"{what}: {self.done:,} of {self.total:,}, about {shown} left", many)


def plan_load(
    engine: Engine,
    entities: Sequence[str] | None,
    *,
    fill: Fill = "owned",
    sample: int = 0,
    user: str = "",
) -> Run:
    """The plan of a first load, held. Nothing is written to either system.

    All uncoupled records are looked at, also those that an earlier load left out. `sample`: only
    that many of the records that something would be written for, chosen evenly; the others are
    left for the next load.
    """
    for line in engine.lines.all(entities):
        engine.store.replica.refresh_uncoupled(line.entity)
    run = engine.plan(entities, user=user, trigger="load")
    if sample:
        _sample(engine.store, run, sample)
    if fill == "gaps":
        _only_gaps(engine.store, run)
    if engine.store.runs.count_steps(run):
        engine.store.runs.update(run, state="held", reasons=[*run.reasons, HELD])
    return run


def _sample(store: Store, run: Run, many: int) -> None:
    """Leave only every n-th of the steps that write, of the first entity that has any."""
    every: dict[str, list[int]] = {}
    others: list[int] = []
    for page in store.runs.steps(run, state="planned"):
        for step in page:
            if step.body.writes:
                every.setdefault(step.entity, []).append(step.number)
            else:
                others.append(step.number)
    wanted = next(iter(every.values()), [])
    kept = set(wanted[:: max(1, len(wanted) // many)][:many])
    left = [number for numbers in every.values() for number in numbers if number not in kept]
    with transaction.atomic():
        store.runs.mark_steps(run, [*left, *others], "left", "not in the sample")
        store.runs.update(run, cursors=[])


def _only_gaps(store: Store, run: Run) -> None:
    """Take out of the plan what would replace a value; the fields that are empty stay in."""
    for page in store.runs.steps(run, kinds=("couple", "update")):
        rows: list[tuple[Any, ...]] = []
        for step in page:
            body = step.body
            kept = [change for change in body.changes if is_empty(change.old)]
            if len(kept) == len(body.changes):
                continue
            body.changes = tuple(kept)
            names = {side: {c.field for c in kept if c.side == side} for side in SIDES}
            body.writes = {
                side: fields
                for side, every in body.writes.items()
                if (fields := {n: v for n, v in every.items() if n in names[_side(side)]})
            }
            body.notices = tuple(n for n in body.notices if n.field in names[n.side])
            rows.append((encode_body(body), run.id, step.number))
        bulk.update(Step, ("body",), ("run_id", "number"), rows)


def _side(text: str) -> Side:
    return "crm" if text == "crm" else "erp"
