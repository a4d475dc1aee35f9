"""Schedules as a document: jobs by cron, quiet hours and polling, and when each is due. Pure.

All of it is reckoned on wall clocks of one time zone; moments come and go aware of theirs. Around a
change of daylight saving a job at a fixed hour runs once: one whose hour is left out runs right
after the gap, one whose hour comes twice runs the first time (as cron does on Debian). The clock is
handed in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tomlkit
from cronsim import CronSim, CronSimError
from msgspec import Struct, field

from koppel.mapping.faults import DocumentFaults, Fault, nearest
from koppel.model import ENTITIES

KIND, NAME = "schedule", "koppel"
"""Where the store keeps the document."""

Task = Literal["sync", "audit"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LATE = 60
"""Minutes after which a job that could not run when it was due is left to its next time."""

_SPAN = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? )?"
    r"(?P<from>\d{1,2}(?::\d{2})?)-(?P<to>\d{1,2}(?::\d{2})?)"
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_AT_MOST = 32
"""Quiet spans that follow each other without a gap; more than that is for ever."""


class Job(Struct, frozen=True, kw_only=True):
    """One task at certain times. `late`: minutes for which it may still begin afterwards."""

    name: str
    run: Task
    cron: str
    entities: tuple[str, ...] = ()
    late: int = LATE


class Span(Struct, frozen=True, kw_only=True):
    """Quiet from `begin` to `end` (minutes of the day) on these days (0: Monday).

    One that ends before it begins goes over midnight, and belongs to the day on which it begins.
    """

    begin: int
    end: int
    days: frozenset[int] = frozenset(range(7))
    text: str = ""
    """As it was written."""


class Schedules(Struct, frozen=True, kw_only=True):
    """The document. `poll`: connection -> seconds between two looks, 0 for none at all."""

    zone: str = "UTC"
    poll: Mapping[str, float] = field(default_factory=dict)
    quiet: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)

    @property
    def zone_info(self) -> tzinfo:
        """The time zone."""
        return ZoneInfo(self.zone)


class Due(Struct, frozen=True, kw_only=True):
    """A job's time as its cron expression says, and when it may begin: after the quiet hours."""

    at: datetime
    start: datetime


# When.


def moments(job: Job, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The job's times after a moment, in UTC, each once."""
    last = after.astimezone(UTC)
    for found in CronSim(job.cron, after.astimezone(zone)):
        moment = found.astimezone(UTC)
        if moment > last:
            last = moment
            yield moment


def quiet_until(schedules: Schedules, connections: Iterable[str], now: datetime) -> datetime | None:
    """The end (UTC) of the quiet hours of any of these connections; None outside of them."""
    zone = schedules.zone_info
    spans = [span for name in connections for span in schedules.quiet.get(name, ())]
    moment = now.astimezone(UTC)
    for _ in range(_AT_MOST):
        ends = [end for span in spans if (end := _end(span, zone, moment)) is not None]
        if not ends:
            break
        moment = max(ends)
    return moment if moment > now.astimezone(UTC) else None


def _end(span: Span, zone: tzinfo, moment: datetime) -> datetime | None:
    local = moment.astimezone(zone)
    for back in (0, 1):
        day = (local - timedelta(days=back)).date()
        if day.weekday() not in span.days:
            continue
        over = timedelta(days=1 if span.end <= span.begin else 0)
        begin = datetime.combine(day, _time(span.begin), zone).astimezone(UTC)
        end = _at_minute(day, span.end, over, zone)
        if begin <= moment < end:
            return end
    return None


def _at_minute(day: Any, minutes: int, over: timedelta, zone: tzinfo) -> datetime:
    whole = timedelta(days=minutes // 1440)
    return datetime.combine(day + over + whole, _time(minutes % 1440), zone).astimezone(UTC)


def _time(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)


def next_run(
    schedules: Schedules, job: Job, connections: Sequence[str], after: datetime
) -> Due | None:
    """The job's first time after a moment, and when it will begin; None where there is none."""
    for moment in moments(job, schedules.zone_info, after):
        return Due(at=moment, start=quiet_until(schedules, connections, moment) or moment)
    return None


def due(
    schedules: Schedules,
    job: Job,
    connections: Sequence[str],
    last: datetime | None,
    now: datetime,
) -> Due | None:
    """The time for which the job has to begin now; None where there is none.

    `last`: the time that it was due last and is done with. Of several missed times only the newest
    counts, and one that could have begun more than `late` minutes ago is left out.
    """
    late = timedelta(minutes=job.late)
    # Who waits for the end of quiet hours may have been due a day ago.
    back = timedelta(days=1) if any(schedules.quiet.get(name) for name in connections) else late
    floor = now - max(back, late)
    since = max(last, floor) if last is not None else floor
    found: Due | None = None
    for moment in moments(job, schedules.zone_info, since):
        if moment > now:
            break
        start = quiet_until(schedules, connections, moment) or moment
        if start <= now <= start + late:
            found = Due(at=moment, start=start)
    return found


# The document.


def load_schedules(text: str, *, source: str, connections: Sequence[str] = ()) -> Schedules:
    """Read the document. Raises `DocumentFaults` with all its faults.

    `connections`: those that there are; a name that is none of them is a fault.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = Fault(source, "", f"it is not TOML: {error}", "Correct the line")
        raise DocumentFaults([fault]) from error
    reader = _Reader(table, source, connections)
    found = reader.read()
    if reader.faults:
        raise DocumentFaults(reader.faults)
    return found


class _Reader:
    """Takes the schedules out of their table, and notes what is wrong."""

    def __init__(self, table: Mapping[str, Any], source: str, connections: Sequence[str]) -> None:
        self.table = table
        self.source = source
        self.connections = connections
        self.faults: list[Fault] = []

    def fault(self, place: str, message: str, remedy: str) -> None:
        self.faults.append(Fault(self.source, place, message, remedy))

    def read(self) -> Schedules:
        known = ("time_zone", "poll", "quiet", "jobs")
        for key in self.table:
            if key not in known:
                self.fault(key, "there is no such setting", nearest(key, known))
        return Schedules(
            zone=self._zone(),
            poll={name: self._seconds(name, v) for name, v in self._named("poll")},
            quiet={name: self._spans(name, v) for name, v in self._named("quiet")},
            jobs={
                name: job
                for name, value in self._part("jobs").items()
                if (job := self._job(name, value)) is not None
            },
        )

    def _zone(self) -> str:
        zone = self.table.get("time_zone", "UTC")
        try:
            ZoneInfo(str(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fault("time_zone", f"{zone!r} is no time zone", "Write it as Europe/Berlin")
            return "UTC"
        return str(zone)

    def _part(self, key: str) -> Mapping[str, Any]:
        value = self.table.get(key, {})
        if isinstance(value, dict):
            return value
        self.fault(key, "must be a table", f"Write it as [{key}]")
        return {}

    def _named(self, key: str) -> list[tuple[str, Any]]:
        """The entries of a table by connection."""
        found = list(self._part(key).items())
        for name, _ in found:
            if self.connections and name not in self.connections:
                remedy = nearest(name, self.connections)
                self.fault(f"{key}.{name}", "there is no such connection", remedy)
        return found

    def _seconds(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            self.fault(f"poll.{name}", "must be a number of seconds", "Write 5, or 0 for none")
            return 0.0
        return float(value)

    def _spans(self, name: str, value: Any) -> tuple[Span, ...]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            self.fault(f"quiet.{name}", "must be a list of spans", 'Write ["mon-fri 8:00-18:00"]')
            return ()
        found = []
        for text in texts:
            span = read_span(text)
            if span is None:
                remedy = "Write it as 22:00-6:00 or mon-fri 8:00-18:00"
                self.fault(f"quiet.{name}", f"{text!r} is no span of hours", remedy)
            else:
                found.append(span)
        return tuple(found)

    def _job(self, name: str, value: Any) -> Job | None:
        place = f"jobs.{name}"
        if not _NAME.fullmatch(name):
            self.fault(place, "cannot name a job", "Use small letters, digits and dashes")
        if not isinstance(value, dict):
            self.fault(place, "must be a table", f"Write it as [{place}]")
            return None
        known = ("run", "cron", "entities", "late")
        for key in value:
            if key not in known:
                self.fault(f"{place}.{key}", "there is no such setting", nearest(key, known))
        run: Any = value.get("run")
        cron, late = value.get("cron"), value.get("late", LATE)
        before = len(self.faults)
        if run not in get_args(Task):
            remedy = nearest(str(run or ""), get_args(Task))
            self.fault(f"{place}.run", f"{run!r} is nothing that can be run", remedy)
        trouble = cron_trouble(cron)
        if trouble:
            self.fault(f"{place}.cron", trouble, 'Write it as "30 2 * * *"')
        if isinstance(late, bool) or not isinstance(late, int) or late < 1:
            self.fault(f"{place}.late", "must be whole minutes", "Write 60")
        entities = value.get("entities", [])
        for one in entities if isinstance(entities, list) else [entities]:
            if one not in ENTITIES:
                remedy = nearest(str(one), ENTITIES)
                self.fault(f"{place}.entities", f"{one!r} is no entity", remedy)
        if len(self.faults) > before:
            return None
        return Job(name=name, run=run, cron=str(cron), entities=tuple(entities), late=late)


def cron_trouble(cron: Any) -> str:
    """What is wrong with a cron expression, in words; empty where nothing is."""
    if not isinstance(cron, str) or len(cron.split()) != 5:
        return f"{cron!r} is no cron expression: minute, hour, day, month, day of the week"
    try:
        next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return f"{cron!r} is no cron expression: {error}"
    except StopIteration:
        return f"{cron!r} never comes"
    return ""


def read_span(text: str) -> Span | None:
    """A span of quiet hours from its text: "22:00-6:00", "mon-fri 8-18"; None where it is none."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        return None
    begin, end = _minutes(match["from"]), _minutes(match["to"])
    if begin is None or end is None or begin == end or begin == 1440:
        return None
    if match["first"] is None:
        return Span(begin=begin, end=end, text=text)
    last = match["last"] or match["first"]
    if match["first"] not in DAYS or last not in DAYS:
        return None
    first, many = DAYS.index(match["first"]), (DAYS.index(last) - DAYS.index(match["first"])) % 7
    days = frozenset((first + n) % 7 for n in range(many + 1))
    return Span(begin=begin, end=end, days=days, text=text)


def _minutes(text: str) -> int | None:
    hours, _, minutes = text.partition(":")
    found = int(hours) * 60 + int(minutes or 0)
    return found if found <= 1440 and int(minutes or 0) < 60 else None


def with_job(text: str, job: Job) -> str:
    """The document with this job in it, new or in place of one of the same name."""
    document: Any = tomlkit.parse(text)
    entry = tomlkit.table()
    entry["run"], entry["cron"] = job.run, job.cron
    if job.entities:
        entry["entities"] = list(job.entities)
    if job.late != LATE:
        entry["late"] = job.late
    document.setdefault("jobs", tomlkit.table(is_super_table=True))[job.name] = entry
    return tomlkit.dumps(document)


def without_job(text: str, name: str) -> str:
    """The document without a job; unchanged where it has none of that name."""
    document: Any = tomlkit.parse(text)
    document.get("jobs", {}).pop(name, None)
    return tomlkit.dumps(document)


def with_setting(text: str, path: Sequence[str], value: Any) -> str:
    """The document with one setting changed (`("quiet", "tryton")`); None takes it out."""
    document: Any = tomlkit.parse(text)
    table = document
    for name in path[:-1]:
        table = table.setdefault(name, tomlkit.table())
    if value is None:
        table.pop(path[-1], None)
    else:
        table[path[-1]] = value
    return tomlkit.dumps(document)
