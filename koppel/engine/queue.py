"""Durable jobs for several workers: DBOS Transact on PostgreSQL, behind a seam of four calls.

A job is a name with plain arguments: one look at a pair, one press, one order. It is kept in the
database until it is done, is carried out by one worker at a time, and is taken up by another one
where its worker died. Jobs are safe to do twice: what each writes is in the journal or in the steps
of a process first. Small numbers go first. Of jobs with the same `once` only one waits or runs.

DBOS finds what its own process left behind; whose process never comes back is not its business, so
each worker holds a lease, and another one hands the jobs of the silent over (`recover`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from koppel import typed
from koppel.engine import seen
from koppel.errors import Defect, KoppelError, NeedsUser, TryLater

logger = logging.getLogger(__name__)

PRESS, ORDERS, HINTS, POLL = 1, 10, 20, 30
"""Who goes first: a pressed button, orders, what was hinted at, what is polled."""

VERSION = "1"
"""Workers of one version do each other's jobs: it changes only when jobs mean something else."""

_LOOK = 0.2
"""Seconds between two looks at a queue."""

Work = Callable[..., Any]


@dataclass(frozen=True)
class Lane:
    """How many jobs of a queue run at once: in all, and in each worker. None: any number."""

    most: int | None = None
    each: int | None = None


@dataclass
class JobQueue:
    """The database's queues. `jobs` by name: what this process can do; none for who only asks."""

    address: str
    worker: str
    jobs: Mapping[str, Work] = field(default_factory=dict)
    _client: Any = None
    _lanes: dict[str, Lane] = field(default_factory=dict)

    def start(self, lanes: Mapping[str, Lane]) -> None:
        """Take jobs from now on, of these queues."""
        dbos = _dbos()
        dbos.DBOS(
            config={
                "name": "koppel",
                "system_database_url": _url(self.address),
                "executor_id": self.worker,
                "application_version": VERSION,
                "log_level": "ERROR",
                "serializer": _serializer(),
                "sys_db_pool_size": 8,
            }
        )
        jobs = self.jobs

        @dbos.DBOS.workflow(name="koppel")  # type: ignore[untyped-decorator, unused-ignore]
        def job(name: str, arguments: list[Any], carrier: dict[str, str]) -> Any:
            with seen.about(job=name), seen.span("job", carrier, job=name):
                answer = _done(jobs[name], arguments)
            seen.jobs.labels(name, answer.get("error", "done")).inc()
            return answer

        dbos.DBOS.launch()
        self.open(lanes)

    def open(self, lanes: Mapping[str, Lane]) -> None:
        """Make queues that are not there yet; every worker takes jobs from all of them."""
        for name, lane in lanes.items():
            if self._lanes.get(name) != lane:
                _dbos().DBOS.register_queue(
                    name,
                    global_concurrency=lane.most,
                    worker_concurrency=lane.each,
                    polling_interval_sec=_LOOK,
                    on_conflict="always_update",
                )
                self._lanes[name] = lane

    def put(
        self, lane: str, name: str, *arguments: Any, priority: int, once: str = "", delay: float = 0
    ) -> str:
        """Ask for a job; its id, or that of the one like it that waits or runs already."""
        options: dict[str, Any] = {
            "workflow_name": "koppel",
            "queue_name": lane,
            "priority": priority,
            "app_version": VERSION,
        }
        if once:
            options |= {"deduplication_id": once, "duplication_policy": "return-existing"}
        if delay:
            options["delay_seconds"] = delay
        handle = self._asking().enqueue(options, name, list(arguments), seen.carried())
        return str(handle.get_workflow_id())

    def result(self, id: str, timeout: float) -> Any:
        """What a job came to; None where it takes longer. Raises what the job raised."""
        until = time.monotonic() + timeout
        handle = self._asking().retrieve_workflow(id)
        while time.monotonic() < until:
            status = handle.get_status().status
            if status == "SUCCESS":
                return _told(handle.get_result())
            if status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
                raise Defect(f"the job ended as {status.lower()}", place=id)
            time.sleep(_LOOK)
        return None

    def recover(self, living: Callable[[], Collection[str]]) -> list[str]:
        """Hand the jobs of workers that are not among the living to others; whose they were.

        Who lives is asked after who has jobs: a worker that came in between is not taken for dead.
        """
        dbos = _dbos()
        pending = dbos.DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        silent = sorted({job.executor_id for job in pending} - set(living()))
        if silent:
            logger.warning("jobs of silent workers are handed over: %s", ", ".join(silent))
            dbos.DBOS._recover_pending_workflows(silent)
        return silent

    def counts(self) -> dict[str, int]:
        """State -> jobs that are not at their end."""
        jobs = self._asking().list_workflows(status=["PENDING", "ENQUEUED", "DELAYED"])
        found: dict[str, int] = {}
        for job in jobs:
            found[job.status] = found.get(job.status, 0) + 1
        return found

    def forget(self, before_ms: int) -> None:
        """Drop jobs that ended before this moment (milliseconds since 1970)."""
        dbos = _dbos()
        old = dbos.DBOS.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED"], limit=2000, load_input=False,
            load_output=False,
        )  # fmt: skip
        ids = [job.workflow_id for job in old if (job.updated_at or job.created_at) < before_ms]
        if ids:
            dbos.DBOS.delete_workflows(ids)

    def stop(self, seconds: int) -> None:
        """Take no more jobs, and wait at most so long for those under way."""
        if self.jobs:
            _dbos().DBOS.destroy(workflow_completion_timeout_sec=seconds)
        if self._client is not None:
            self._client.destroy()
            self._client = None

    def _asking(self) -> Any:
        if self._client is None:
            dbos = _dbos()
            # Whoever asks may be there before the first worker is.
            dbos.DBOS.migrate(_url(self.address))
            self._client = dbos.DBOSClient(
                system_database_url=_url(self.address),
                application_name="koppel",
                retry_connection_errors=False,
                serializer=_serializer(),
            )
        return self._client


def _done(work: Work, arguments: list[Any]) -> dict[str, Any]:
    """What a job came to as plain values: an error by its consequence, told to whoever waits."""
    try:
        return {"result": work(*arguments)}
    except KoppelError as error:
        return {
            "error": type(error).__name__,
            "message": error.message,
            "place": error.place,
            "remedy": error.remedy,
        }
    except Exception as error:
        # Kept as an answer too: a job without an answer would hold its place in the queue for ever.
        logger.exception("a defect ended a job")
        told = f"a defect ended the job: {type(error).__name__}: {error}"
        return {"error": "Defect", "message": told, "place": "", "remedy": ""}


def _told(answer: Mapping[str, Any]) -> Any:
    if "error" not in answer:
        return answer["result"]
    kinds = {"TryLater": TryLater, "NeedsUser": NeedsUser}
    kind = kinds.get(answer["error"], Defect)
    raise kind(answer["message"], place=answer["place"], remedy=answer["remedy"])


def _serializer() -> Any:
    """Jobs as JSON: DBOS's own way is pickle, with which whoever may write to the database could
    have workers run whatever they like."""
    import dbos

    class Json(dbos.Serializer):  # type: ignore[misc, unused-ignore]
        def name(self) -> str:
            return "koppel_json"

        def serialize(self, data: Any) -> str:
            return msgspec.json.encode(data).decode()

        def deserialize(self, serialized_data: str) -> Any:
            return typed.from_json(serialized_data)

    return Json()


def _url(address: str) -> str:
    return address.replace("postgres://", "postgresql://", 1)


def _dbos() -> Any:
    try:
        import dbos
    except ImportError as error:
        raise NeedsUser(
            f"the library for several workers is missing: {error}",
            remedy="Install it with: pip install 'koppel[workers]'",
        ) from error
    return dbos
