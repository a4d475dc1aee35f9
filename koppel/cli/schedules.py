"""`koppel schedule | alarms`: what runs by itself and when, and what a person should know."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import FAILED, PERSON, Session, table
from koppel.engine import schedules
from koppel.errors import NeedsUser
from koppel.mapping.schedule import (
    LATE,
    Job,
    Schedules,
    next_run,
    quiet_until,
    with_job,
    with_setting,
    without_job,
)

schedule = typer.Typer(help="What runs by itself while Koppel serves.", no_args_is_help=True)
app.add_typer(schedule, name="schedule")

Name = Annotated[str, typer.Argument(help="The job's name, such as nightly.")]


@schedule.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All jobs with their next time and how they ended last; polling and quiet hours."""
    here = session(context, json)
    store = here.store()
    found = schedules.live(store)
    names = schedules.connections_of(store)
    now = store.clock()
    until = quiet_until(found, names, now)
    jobs = []
    for job in found.jobs.values():
        row, coming = store.schedules.get(job.name), next_run(found, job, names, now)
        jobs.append(
            {
                "name": job.name,
                "run": job.run,
                "cron": job.cron,
                "entities": list(job.entities),
                "next": coming.start if coming else None,
                "began": row.began if row else None,
                "outcome": row.outcome if row else "",
                "text": row.text if row else "",
            }
        )
    value = {
        "time_zone": found.zone,
        "jobs": jobs,
        "poll": dict(found.poll),
        "quiet": {name: [span.text for span in spans] for name, spans in found.quiet.items()},
        "quiet_until": until,
    }
    here.print(value, lambda told: _show(told, found))


def _show(value: dict[str, Any], found: Schedules) -> None:
    zone = ZoneInfo(found.zone)
    table(
        f"Jobs (times of {found.zone})",
        ("name", "runs", "cron", "next", "last began", "ended", "what came of it"),
        [
            (
                job["name"],
                f"{job['run']} {', '.join(job['entities'])}".strip(),
                job["cron"],
                _clock(job["next"], zone),
                _clock(job["began"], zone),
                job["outcome"],
                job["text"],
            )
            for job in value["jobs"]
        ],
    )
    rows = [
        (
            name,
            _poll(found.poll[name]) if name in found.poll else "as koppel serve says",
            ", ".join(value["quiet"].get(name, ())),
        )
        for name in sorted({*found.poll, *found.quiet})
    ]
    table("Systems", ("name", "looked at", "quiet hours"), rows)


def _clock(moment: datetime | None, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%a %Y-%m-%d %H:%M}" if moment else ""


def _poll(seconds: float) -> str:
    return f"every {seconds:g} s" if seconds else "only by hints and jobs"


def _save(here: Session, text: str, say: str) -> None:
    schedules.save(here.store(), text, user=here.user)
    here.print({"saved": True}, lambda _: here.say(say))


@schedule.command("set")
def set_(
    context: typer.Context,
    name: Name,
    run: Annotated[str, typer.Option(help="sync: the batch; audit: the proof.")] = "sync",
    cron: Annotated[
        str, typer.Option(help="Minute, hour, day, month, weekday; such as '30 2 * * *'.")
    ] = "30 2 * * *",
    entity: Annotated[
        list[str] | None, typer.Option(help="Only this entity; may be given several times.")
    ] = None,
    late: Annotated[
        int, typer.Option(min=1, help="Minutes for which a missed job is still made up.")
    ] = LATE,
    json: Json = False,
) -> None:
    """Make a job or change it. It is checked at once; `koppel serve` follows within seconds."""
    here = session(context, json)
    store = here.store()
    run_: Any = run
    job = Job(name=name, run=run_, cron=cron, entities=tuple(entity or ()), late=late)
    found = schedules.save(store, with_job(schedules.text_of(store), job), user=here.user)
    coming = next_run(found, job, schedules.connections_of(store), store.clock())
    when = _clock(coming.start if coming else None, ZoneInfo(found.zone))
    here.print(
        {"job": name, "next": coming.start if coming else None},
        lambda _: here.say(f"{name} runs next on {when} ({found.zone})."),
    )


@schedule.command()
def remove(context: typer.Context, name: Name, json: Json = False) -> None:
    """Take a job out: it runs no more."""
    here = session(context, json)
    store = here.store()
    _job(schedules.live(store), name)
    _save(here, without_job(schedules.text_of(store), name), f"{name} runs no more.")


@schedule.command("run")
def run_(context: typer.Context, name: Name, json: Json = False) -> None:
    """Run a job now, whatever its time. Exit code 3: a person has to look; 1: it failed."""
    here = session(context, json)
    with here.engine("reading both systems") as engine:
        job = _job(schedules.live(engine.store), name)
        ended = schedules.run_and_keep(engine, job, None, user=here.user)
    assert ended is not None
    here.print(ended, lambda told: here.say(f"{name}: {told.state}. {told.text}"))
    if ended.state != "done":
        raise typer.Exit(PERSON if ended.state == "held" else FAILED)


@schedule.command()
def zone(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A time zone, such as Europe/Berlin.")],
    json: Json = False,
) -> None:
    """Set the time zone of all jobs and quiet hours."""
    here = session(context, json)
    text = with_setting(schedules.text_of(here.store()), ("time_zone",), name)
    _save(here, text, f"All times are those of {name} now.")


@schedule.command()
def quiet(
    context: typer.Context,
    connection: Annotated[str, typer.Argument(help="Which system.")],
    spans: Annotated[
        list[str] | None, typer.Argument(help="Such as 'mon-fri 8:00-18:00'; none: no quiet hours.")
    ] = None,
    json: Json = False,
) -> None:
    """Set the hours in which nothing is written to a system by itself; a press still is."""
    here = session(context, json)
    text = with_setting(schedules.text_of(here.store()), ("quiet", connection), spans or None)
    _save(here, text, f"Quiet hours of {connection}: {', '.join(spans or ['none'])}.")


@schedule.command()
def poll(
    context: typer.Context,
    connection: Annotated[str, typer.Argument(help="Which system.")],
    seconds: Annotated[float, typer.Argument(min=0, help="0: only by hints and jobs.")],
    json: Json = False,
) -> None:
    """Set how often a system's changes are looked for while Koppel serves."""
    here = session(context, json)
    text = with_setting(schedules.text_of(here.store()), ("poll", connection), seconds)
    _save(here, text, f"{connection} is looked at {_poll(seconds)}.")


def _job(found: Schedules, name: str) -> Job:
    if name not in found.jobs:
        raise NeedsUser(
            f"there is no job '{name}' (there is: {', '.join(found.jobs) or 'none'})",
            remedy="Make it with: koppel schedule set",
        )
    return found.jobs[name]


@app.command()
def alarms(
    context: typer.Context,
    close: Annotated[int, typer.Option(help="Close the alarm of this number.")] = 0,
    json: Json = False,
) -> None:
    """What a person should know of: an audit that found drift, a job that failed."""
    here = session(context, json)
    store = here.store()
    if close:
        store.alarms.close(close, by=here.user)
        store.inbox.log(here.user, "close alarm", str(close))
    rows = [
        {"number": a.id, "kind": a.kind, "text": a.text, "remedy": a.remedy, "at": a.at}
        for a in store.alarms.open()
    ]
    here.print(
        rows,
        lambda found: table(
            "Alarms",
            ("number", "kind", "since (UTC)", "what", "what to do"),
            [
                (a["number"], a["kind"], f"{a['at']:%Y-%m-%d %H:%M}", a["text"], a["remedy"])
                for a in found
            ],
        ),
    )
