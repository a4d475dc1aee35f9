"""`koppel guide | rehearse`: the introduction step by step, and the same on copies."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.golive import carry_out, paces, show_assessment
from koppel.cli.inbox import review_values, show_reviews
from koppel.cli.session import PERSON, Session, out, table
from koppel.engine import Engine, rehearsal
from koppel.engine.guide import SAMPLE, STEPS, Guide, Standing, coming, standings, step_named
from koppel.engine.hand import answer
from koppel.engine.load import Fill
from koppel.engine.pace import Pacing
from koppel.errors import KoppelError, NeedsUser
from koppel.insight.assess import Assumptions
from koppel.insight.assess_page import duration
from koppel.store.address import find_address
from koppel.store.models import GuideEntry

guide = typer.Typer(help="The introduction, step by step.", no_args_is_help=False)
app.add_typer(guide, name="guide")

BATCH, AUDIT = "30 2 * * *", "30 4 * * *"
"""When the nightly batch and the nightly audit run unless one says otherwise."""


@guide.callback(invoke_without_command=True)
def _guide(context: typer.Context) -> None:
    """The introduction, step by step; without a command: where it stands."""
    if context.invoked_subcommand is None:
        _show(session(context))


@guide.command()
def show(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="Which step; default: all.")] = "",
    json: Json = False,
) -> None:
    """Where the introduction stands, or what one step came to."""
    here = session(context, json)
    if not step:
        _show(here)
        return
    name = step_named(step).name
    found = next(one for one in standings(here.store()) if one.step.name == name)
    here.print(_value(found), lambda _: _told(here, found))


def _show(here: Session) -> None:
    store = here.store()
    found = standings(store)
    value = [{**_value(one), "result": _short(one.result)} for one in found]
    here.print(value, lambda _: _show_all(found, coming(store)))


def _value(one: Standing) -> dict[str, Any]:
    return {
        "step": one.step.name,
        "title": one.step.title,
        "state": one.state,
        "at": one.at,
        "by": one.by,
        "result": one.result,
    }


def _short(result: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is long."""
    return {name: value for name, value in result.items() if name not in ("report", "first")}


_MARKS = {"done": "✓", "open": "", "again": "again", "failed": "failed", "undone": "undone"}


def _show_all(found: Sequence[Standing], following: Standing | None) -> None:
    table(
        "Introduction",
        ("", "step", "", "when (UTC)", "by", "what came of it"),
        [
            (
                _MARKS[one.state],
                one.step.name,
                one.step.title,
                f"{one.at:%Y-%m-%d %H:%M}" if one.at else "",
                one.by,
                summary(one.step.name, one.result) if one.state != "undone" else "",
            )
            for one in found
        ],
    )
    if following is None:
        out.print("All done. Leave it on with: koppel serve", highlight=False)
    else:
        out.print(f"Next: koppel guide run {following.step.name}", highlight=False)


def summary(name: str, result: Mapping[str, Any]) -> str:
    """What a step came to, in a sentence."""
    if "error" in result:
        return str(result["error"])
    if result.get("skipped"):
        return "skipped"
    teller = _SUMMARIES.get(name)
    return teller(result) if teller and result else ""


def _assessed(result: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{one['entity']}: {one['records'].get('crm', 0):,} and {one['records'].get('erp', 0):,}, "
        f"{one['likely']:,} the same, {one['perhaps']:,} perhaps, load in "
        f"{duration(one['load']['seconds'])}"
        for one in result["report"]["entities"]
    )


def _planned(result: Mapping[str, Any]) -> str:
    parts = [
        f"{entity}: " + ", ".join(f"{n:,} {kind}" for kind, n in kinds.items() if ":" not in kind)
        for entity, kinds in result["kinds"].items()
        if kinds
    ]
    return f"run {result['run']}: {'; '.join(parts) or 'nothing to do'}"


def _loaded(result: Mapping[str, Any]) -> str:
    coupled = ", ".join(f"{n:,} {entity}" for entity, n in result["coupled"].items())
    proof = "in step" if result["in_step"] else "not all in step: koppel audit"
    return f"{result['writes']:,} writes; coupled: {coupled}; {proof}"


_SUMMARIES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "connect": lambda r: ", ".join(f"{name}: {what}" for name, what in r["systems"].items()),
    "assess": _assessed,
    "owners": lambda r: ", ".join(f"{entity} version {n}" for entity, n in r["after"].items()),
    "match": lambda r: f"{_planned(r)}; {r['open']:,} pairs wait for a word",
    "plan": _planned,
    "sample": lambda r: f"{len(r['records'])} records, {r['writes']:,} writes",
    "load": _loaded,
    "schedules": lambda r: (
        f"batch {r['batch'] or 'none'}, audit {r['audit'] or 'none'}, {r['zone']}"
    ),
}


def _told(here: Session, one: Standing) -> None:
    """A step with what it came to, at length."""
    out.print(f"[bold]{one.step.title}[/] ({one.state}): {one.step.what}", highlight=False)
    if one.result:
        out.print(summary(one.step.name, one.result), highlight=False)
    match one.step.name:
        case "assess" if "report" in one.result:
            show_assessment(one.result["report"])
        case "plan" | "match":
            _show_changes(one.result)
        case "sample" if "records" in one.result:
            _show_records(one.result)


def _show_changes(result: Mapping[str, Any]) -> None:
    for step in result.get("first", ()):
        table(
            f"{step['kind']} {step['entity']} {step['label']}",
            ("field", "old", "new", "why"),
            [
                (f"{c['side'].upper()} {c['field']}", c["old"], c["new"], c["why"])
                for c in step["changes"]
            ],
        )
    if "run" in result:
        out.print(f"All of it: koppel plan {result['run']}", highlight=False)


def _show_records(result: Mapping[str, Any]) -> None:
    table(
        "Look at these in both systems",
        ("record", "in the CRM", "in the ERP"),
        [
            (one["label"], *(_place(one.get(side)) for side in ("crm", "erp")))
            for one in result["records"]
        ],
    )


def _place(found: Mapping[str, Any] | None) -> str:
    return str(found.get("link") or found.get("id") or "") if found else ""


# Doing.


class Wanted:
    """What the options of `guide run` say."""

    def __init__(self, **given: Any) -> None:
        self.given = given

    def __getattr__(self, name: str) -> Any:
        return self.given[name]


@guide.command("run")
def run_(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="Which step; default: the next one.")] = "",
    entity: Annotated[
        list[str] | None, typer.Option(help="Only this entity; may be given several times.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0, help="assess: minutes to type one change a second time.")
    ] = Assumptions().minutes_per_entry,
    calls_per_hour: Annotated[
        float | None, typer.Option(min=1, help="assess: the most calls an hour that are allowed.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="owners: take the proposed rules as they are.")
    ] = False,
    rules: Annotated[
        Path | None, typer.Option(help="owners: a folder with edited rules, ENTITY.toml.")
    ] = None,
    fill: Annotated[str, typer.Option(help="plan: gaps or owned, as in koppel load.")] = "owned",
    size: Annotated[int, typer.Option(min=1, help="sample: how many records.")] = SAMPLE,
    per_hour: Annotated[
        list[str] | None, typer.Option(help="load: the most writes an hour, or NAME=NUMBER.")
    ] = None,
    calls_per_day: Annotated[
        list[str] | None, typer.Option(help="load: the most calls a day, or NAME=NUMBER.")
    ] = None,
    quiet: Annotated[str, typer.Option(help="load: hours without writes, such as 8-18.")] = "",
    zone: Annotated[str, typer.Option(help="schedules: the time zone.")] = "UTC",
    batch: Annotated[str, typer.Option(help="schedules: the batch's cron; empty: none.")] = BATCH,
    audit: Annotated[str, typer.Option(help="schedules: the audit's cron; empty: none.")] = AUDIT,
    json: Json = False,
) -> None:
    """Do a step, again if need be. Asks nothing; exit code 3: something waits for a person."""
    here = session(context, json)
    following = coming(here.store())
    if not step and following is None:
        raise NeedsUser("all steps are done", remedy="Name the one to do again")
    name = step_named(step or (following.step.name if following else "")).name
    if fill not in ("gaps", "owned"):
        raise NeedsUser(f"'{fill}' is no way to fill", remedy="Say gaps or owned")
    wanted = Wanted(
        entities=entity, minutes=minutes, calls_per_hour=calls_per_hour, accept=accept,
        rules=rules, fill=fill, size=size, zone=zone, batch=batch, audit=audit,
        pacing=paces(here.store(), per_hour or (), calls_per_day or (), quiet),
    )  # fmt: skip
    entry = do(here, name, wanted)
    found = next(one for one in standings(here.store()) if one.step.name == name)
    here.print(_value(found), lambda _: _told(here, found))
    if name == "load" and not (entry.result["in_step"] and entry.result["state"] == "done"):
        raise typer.Exit(PERSON)


def do(here: Session, name: str, wanted: Wanted) -> GuideEntry:
    """One step with an engine of its own."""
    with here.engine(f"{name}: reading both systems") as engine:
        pacing: Pacing = wanted.pacing
        if name in ("sample", "load"):
            pacing.hold(engine.lines)
        try:
            return _done(Guide(engine, user=here.user), engine, name, wanted)
        finally:
            pacing.keep()


def _done(steps: Guide, engine: Engine, name: str, wanted: Wanted) -> GuideEntry:
    how: Fill = "gaps" if wanted.fill == "gaps" else "owned"
    match name:
        case "connect":
            return steps.connect()
        case "assess":
            assumed = Assumptions(
                minutes_per_entry=wanted.minutes, calls_per_hour=wanted.calls_per_hour
            )
            return steps.assess(wanted.entities, assumed)
        case "owners":
            return steps.owners(_rules(steps, wanted))
        case "match":
            return steps.match(wanted.entities)
        case "plan":
            return steps.plan(wanted.entities, fill=how)
        case "sample":
            return steps.sample(wanted.size)
        case "load":
            return steps.load(
                apply=lambda run: carry_out(engine, run, wanted.pacing, user=steps.user)
            )
        case _:
            return steps.schedules(zone=wanted.zone, batch=wanted.batch, audit=wanted.audit)


def _rules(steps: Guide, wanted: Wanted) -> dict[str, str]:
    if wanted.rules is not None:
        found = {path.stem: path.read_text("utf-8") for path in wanted.rules.glob("*.toml")}
        if not found:
            raise NeedsUser("there are no rules in that folder", place=str(wanted.rules))
        return found
    if not wanted.accept:
        raise NeedsUser(
            "which rules shall it be?",
            remedy="Take the proposed ones with --accept, or your own with --rules FOLDER "
            "(koppel assess --rules FOLDER writes the proposed ones, ready to edit)",
        )
    return steps.proposed()


@guide.command()
def skip(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="Which step.")],
    json: Json = False,
) -> None:
    """Take a step for done without doing it, as where one loads with other commands."""
    here = session(context, json)
    with here.engine() as engine:
        Guide(engine, user=here.user).skip(step)
    here.print({"step": step, "state": "done"}, lambda _: here.say(f"{step} is skipped."))


@guide.command()
def undo(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="Which step.")],
    json: Json = False,
) -> None:
    """Take a step back: what it wrote in both systems, what it decided, what it found."""
    here = session(context, json)
    with here.engine("taking back") as engine:
        entry = Guide(engine, user=here.user).undo(step)
    here.print({"step": step, "result": entry.result}, lambda _: _undone(here, step, entry))


def _undone(here: Session, step: str, entry: GuideEntry) -> None:
    here.say(f"{step} is undone.")
    if entry.result.get("runs"):
        here.say(f"{entry.result['freed']:,} pairs are free again.")
    for kept in entry.result.get("kept", ())[:20]:
        out.print(f"  left as it is: {kept}", style="yellow", highlight=False)


# Asking.


def lead(here: Session) -> None:
    """Step by step with a person at the keyboard; may be left and taken up at any step."""
    while (following := coming(here.store())) is not None:
        step = following.step
        number = [one.name for one in STEPS].index(step.name) + 1
        out.print(f"\n[bold]{number}. {step.title}[/] {step.what}", highlight=False)
        if following.state in ("again", "failed"):
            out.print(f"   {following.state}: {summary(step.name, following.result)}", style="dim")
        choice = typer.prompt("Do it (d), undo the step before (u), or leave (l)", default="d")
        if choice.startswith("l"):
            here.say("Go on at any time with: koppel init --continue")
            return
        try:
            if choice.startswith("u"):
                with here.engine("taking back") as engine:
                    Guide(engine, user=here.user).undo(STEPS[max(0, number - 2)].name)
                continue
            do(here, step.name, _asked(here, step.name))
        except KoppelError as error:
            out.print(f"[yellow]{error}[/]", highlight=False)
            continue
        _told(here, next(one for one in standings(here.store()) if one.step.name == step.name))
        if step.name == "match":
            _review(here)
    here.say("All steps are done. Leave it on with: koppel serve")


def _asked(here: Session, name: str) -> Wanted:
    """What a step needs to know, asked for with defaults."""
    given: dict[str, Any] = {
        "entities": None, "minutes": Assumptions().minutes_per_entry, "calls_per_hour": None,
        "accept": True, "rules": None, "fill": "owned", "size": SAMPLE, "zone": "UTC",
        "batch": BATCH, "audit": AUDIT, "pacing": paces(here.store(), (), (), ""),
    }  # fmt: skip
    match name:
        case "assess":
            given["minutes"] = typer.prompt(
                "Minutes to type one change a second time", default=given["minutes"]
            )
        case "owners":
            given["rules"] = _edited(here)
        case "plan":
            given["fill"] = _chosen("Fill only gaps, or all owned fields", ("owned", "gaps"))
        case "sample":
            given["size"] = typer.prompt("How many records", default=SAMPLE)
        case "load":
            hourly = typer.prompt("At most how many writes an hour (0: no limit)", default=0)
            limit = [str(hourly)] if hourly else []
            given["pacing"] = paces(here.store(), limit, (), "")
        case "schedules":
            given["zone"] = typer.prompt("Time zone", default="Europe/Berlin")
            given["batch"] = typer.prompt("Nightly batch (cron)", default=BATCH)
            given["audit"] = typer.prompt("Nightly audit (cron)", default=AUDIT)
    return Wanted(**given)


def _chosen(text: str, choices: Sequence[str]) -> str:
    """One of the choices; the first where the person says nothing."""
    while True:
        says = str(typer.prompt(f"{text} ({', '.join(choices)})", default=choices[0]))
        found = [choice for choice in choices if choice.startswith(says.strip().lower())]
        if len(found) == 1:
            return found[0]


def _edited(here: Session) -> Path | None:
    """A folder with the proposed rules as the person has edited them; None: as proposed."""
    if not typer.confirm("Edit the proposed rules first?", default=False):
        return None
    folder = here.home / "rules"
    folder.mkdir(exist_ok=True)
    with here.engine("reading the proposal") as engine:
        proposed = Guide(engine, user=here.user).proposed()
    for entity, text in proposed.items():
        path = folder / f"{entity}.toml"
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        subprocess.run([*shlex.split(editor), str(path)], check=False)
    return folder


def _review(here: Session) -> None:
    """Ask about each doubtful pair; what is left for later stays in the inbox."""
    store = here.store()
    reviews = store.inbox.reviews()
    if not reviews or not typer.confirm(f"Answer the {len(reviews)} doubtful pairs now?"):
        return
    for row in reviews:
        show_reviews(review_values(store, [row]))
        says = _chosen("The same company or person?", ("later", "same", "different"))
        try:
            answer(store, row.id, says, by=here.user)
        except NeedsUser as error:
            out.print(f"[yellow]{error}[/]", highlight=False)


def lead_if_asked(here: Session) -> None:
    """After `koppel init`, where a person sits at the keyboard."""
    if not here.json and sys.stdin.isatty() and typer.confirm("Go on step by step?", default=True):
        lead(here)


@app.command()
def rehearse(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The rehearsal's own home folder.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Where a copy is: NAME.SETTING=VALUE; for each connection."),
    ] = None,
    json: Json = False,
) -> None:
    """Set up a rehearsal over copies of both systems, with the configuration of this Koppel.

    Do the introduction there with: koppel --home FOLDER guide. Given again, it takes the present
    configuration over anew.
    """
    here = session(context, json)
    if find_address(folder) == find_address(here.home):
        raise NeedsUser(
            "the rehearsal would use this Koppel's own store",
            place=str(folder),
            remedy="Name another folder (and unset KOPPEL_DATABASE_URL)",
        )
    store = here.store()
    found = rehearsal.overridden(rehearsal.read_configuration(store), set_ or ())
    store.close()
    there = Session(home=folder, json=json, user=here.user)
    copy = there.store(create=True)
    taken = rehearsal.write_configuration(copy, found, user=here.user)
    engine = Engine(copy)
    try:
        Guide(engine, user=here.user).connect()
    finally:
        engine.close()
    here.print(
        {"home": str(folder), "documents": taken, "connections": list(found.connections)},
        lambda _: here.say(f"Ready. Go on with: koppel --home {folder} guide run assess"),
    )
