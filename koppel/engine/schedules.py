"""Scheduled work: the nightly batch and the nightly audit, run when due while Koppel serves.

When a job is due is reckoned by `koppel.mapping.schedule`; what came of it is kept in the store. An
audit that finds something out of step raises an alarm that offers the repair plan, and the next
audit that finds nothing takes it back.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError
from msgspec import Struct

from koppel.engine.audit import Auditor, EntityAudit, selection
from koppel.engine.runner import Engine
from koppel.errors import KoppelError, NeedsUser, TryLater
from koppel.mapping.schedule import KIND, NAME, Due, Job, Schedules, due, load_schedules, next_run
from koppel.store import Store
from koppel.store.away import away
from koppel.store.models import AuditResult

logger = logging.getLogger(__name__)

State = Literal["done", "held", "later", "failed"]

WAKE = 20.0
"""Seconds after which the scheduler looks again, for the document may have changed."""
REPAIR = "koppel audit --repair"


class Ended(Struct, frozen=True, kw_only=True):
    """How a job ended, in a sentence; `number` is its run's or audit's."""

    state: State
    text: str
    number: int | None = None


def text_of(store: Store) -> str:
    """The live document; empty where nobody made one."""
    return store.documents.get(KIND, NAME) or ""


def live(store: Store) -> Schedules:
    """The live schedules. Raises `DocumentFaults`."""
    return load_schedules(text_of(store), source=f"{KIND} {NAME}")


def save(store: Store, text: str, *, user: str) -> Schedules:
    """Check the document against the connections and make it the live one.

    A job that is new begins with its next time, not with one that has just gone by.
    """
    names = [row.name for row in store.connections.all()]
    before = live(store).jobs
    schedules = load_schedules(text, source=f"{KIND} {NAME}", connections=names)
    store.documents.put(KIND, NAME, text, author=user)
    for name, job in schedules.jobs.items():
        if before.get(name) != job:
            store.schedules.known_from_now(name)
    for name in before.keys() - schedules.jobs.keys():
        store.schedules.forget(name)
    store.inbox.log(user, "schedule", ", ".join(schedules.jobs) or "none")
    return schedules


def connections_of(store: Store) -> list[str]:
    """All connections; quiet hours of any of them hold scheduled work back."""
    return [row.name for row in store.connections.all()]


# Audits that are kept.


def audit_and_keep(
    engine: Engine, entities: Sequence[str] | None = None, *, trigger: str, user: str = ""
) -> tuple[list[EntityAudit], AuditResult]:
    """An audit whose result is kept. One of everything that is in step closes the alarm."""
    store = engine.store
    began = store.clock()
    audits = Auditor(store, engine.lines, progress=engine.progress).audit(entities)
    row = store.audits.add(
        began=began,
        ended=store.clock(),
        trigger=trigger,
        by=user,
        in_step=all(one.in_step for one in audits),
        counts={one.entity: counts(one) for one in audits},
        findings=[
            msgspec.to_builtins(
                {
                    "entity": found.entity,
                    "coupling": found.coupling,
                    "label": found.label,
                    "verdict": found.verdict,
                    "because": found.because,
                    "cause": found.cause,
                    "fields": [one.field for one in found.fields],
                }
            )
            for one in audits
            for found in one.findings
        ],
    )
    if not entities and not selection(audits):
        store.alarms.clear("audit", "", by=user or trigger)
    return audits, row


def counts(one: EntityAudit) -> dict[str, Any]:
    """The figures of an audit of one entity, for keeping."""
    return {
        "couplings": one.couplings,
        "equal": one.equal,
        "kept": len(one.kept),
        "because": dict(Counter(found.because for found in one.findings)),
        "verdicts": dict(Counter(found.verdict for found in one.findings)),
        "new": {side: len(records) for side, records in one.new.items()},
        "uncoupled": {side: sum(whys.values()) for side, whys in one.uncoupled_counts.items()},
        "read": one.fetched,
    }


def alarmed(store: Store, audits: Sequence[EntityAudit]) -> str:
    """Raise the alarm for what drifted, is orphaned or new; the sentence, empty where nothing is.

    Conflicts raise none: they stand in the inbox already.
    """
    wrong = Counter[str]()
    for one in audits:
        wrong.update(f.verdict for f in one.findings if f.verdict != "conflict")
        wrong["new"] += sum(len(records) for records in one.new.values())
    told = ", ".join(f"{many:,} {what}" for what, many in wrong.items() if many)
    if told:
        text = f"The audit found records that are not in step: {told}."
        store.alarms.raise_("audit", "", text, remedy=f"A plan that puts it right: {REPAIR}")
        return text
    return ""


# Jobs.


def run_job(engine: Engine, job: Job, *, user: str = "") -> Ended:
    """Do a job's task now. Raises `TryLater` where a system is away or another Koppel at work."""
    if engine.store.guide.under_way():
        return Ended(state="held", text="the introduction is under way")
    if engine.store.runs.last(state="held") is not None:
        # What a person has to approve first would be planned anew, and not be held to their word.
        if job.run == "sync":
            return Ended(state="held", text="a plan is held and waits for a person")
    elif job.run == "audit":
        # What people have changed since the last poll is no drift.
        engine.sync(job.entities or None, trigger="schedule", user=user or job.name)
    if job.run == "sync":
        run = engine.sync(job.entities or None, trigger="schedule", user=user or job.name)
        if run.state == "held":
            return Ended(state="held", text=" ".join(run.reasons), number=run.id)
        writes = run.counts.get("writes", 0)
        return Ended(state="done", text=f"run {run.id}: {writes:,} writes", number=run.id)
    audits, row = audit_and_keep(engine, job.entities or None, trigger="schedule", user=user)
    text = alarmed(engine.store, audits)
    if not text:
        text = "in step" if row.in_step else "in step but for conflicts that wait for a person"
    return Ended(state="done", text=text, number=row.id)


def run_and_keep(engine: Engine, job: Job, moment: Due | None, *, user: str = "") -> Ended | None:
    """The same with its outcome kept and told; None where another process did it meanwhile.

    `moment`: what it is due for, None where a person starts it. Raises `TryLater`.
    """
    store = engine.store
    if not store.schedules.begin(job.name, moment.at if moment else None):
        return None
    try:
        ended = run_job(engine, job, user=user)
    except TryLater as error:
        store.schedules.end(job.name, "later", str(error))
        raise
    except KoppelError as error:
        ended = Ended(state="failed", text=str(error))
    store.schedules.end(job.name, ended.state, ended.text)
    if ended.state == "done":
        store.alarms.clear("schedule", job.name, by="schedule")
    else:
        store.alarms.raise_("schedule", job.name, f"The job {job.name} {_word(ended)}")
    return ended


def _word(ended: Ended) -> str:
    verb = "was held" if ended.state == "held" else "failed"
    return f"{verb}: {ended.text}"


class Scheduler:
    """The thread that runs due jobs. `engine` is made inside it, as the watch makes its own."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        clock: Callable[[], datetime],
        *,
        wake: float = WAKE,
    ) -> None:
        self._make_engine = make_engine
        self._clock = clock
        self._wake = wake
        self._stop = threading.Event()
        self._again: dict[str, tuple[Due, datetime]] = {}
        self._thread = threading.Thread(target=self._run, name="koppel-schedule", daemon=True)
        self.last_error = ""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finish the job that runs, then stop. `timeout` in seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        engine = self._make_engine()
        try:
            while not self._stop.wait(self._look(engine)):
                pass
        finally:
            engine.close()
            engine.store.close()

    def _look(self, engine: Engine) -> float:
        try:
            return self.look(engine)
        except DatabaseError as error:
            self.last_error = away(error).message
            logger.error("schedules: %s", self.last_error)
            return self._wake

    def look(self, engine: Engine) -> float:
        """Run what is due; in how many seconds to look again."""
        store = engine.store
        try:
            schedules = live(store)
        except NeedsUser as error:
            self.last_error = str(error)
            return self._wake
        names = connections_of(store)
        wait = self._wake
        for job in schedules.jobs.values():
            moment = self._due(store, schedules, job, names)
            if moment is not None:
                self._one(engine, job, moment)
            coming = next_run(schedules, job, names, self._clock())
            if coming is not None:
                wait = min(wait, (coming.start - self._clock()).total_seconds())
        return max(0.1, wait)

    def _due(
        self, store: Store, schedules: Schedules, job: Job, names: Sequence[str]
    ) -> Due | None:
        now = self._clock()
        if job.name in self._again:
            moment, when = self._again[job.name]
            if now > moment.start + timedelta(minutes=job.late):
                del self._again[job.name]
            else:
                return moment if now >= when else None
        row = store.schedules.get(job.name)
        return due(schedules, job, names, row.due if row else None, now)

    def _one(self, engine: Engine, job: Job, moment: Due) -> None:
        again = self._again.pop(job.name, None)
        try:
            run_and_keep(engine, job, None if again else moment, user=job.name)
            self.last_error = ""
        except TryLater as error:
            self._again_after(job, moment, error)
        except (OperationalError, InterfaceError) as error:
            self._again_after(job, moment, away(error))
        except Exception as error:
            # A defect in one job must not end the scheduler unseen: it is told, and goes on.
            self.last_error = f"a defect stopped the job {job.name}: {error}"
            engine.store.schedules.end(job.name, "failed", self.last_error)
            engine.store.alarms.raise_("schedule", job.name, self.last_error)
            logger.exception("a defect stopped the job %s", job.name)

    def _again_after(self, job: Job, moment: Due, error: TryLater) -> None:
        self.last_error = str(error)
        logger.warning("job %s: %s", job.name, error)
        wait = min(max(error.after or 60.0, 10.0), 600.0)
        self._again[job.name] = moment, self._clock() + timedelta(seconds=wait)
