"""`koppel plan | apply | sync | status | journal | undo`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import PERSON, Session, out, table
from koppel.engine.runner import Engine, Selection, steps_of
from koppel.errors import NeedsUser
from koppel.store.codec import decode
from koppel.store.models import Journal, Run
from koppel.store.values import PlannedStep
from koppel.sync.rule import Side

Only = Annotated[str, typer.Option("--only", help="One record: ENTITY:crm:ID or ENTITY:erp:ID.")]
Entities = Annotated[list[str] | None, typer.Argument(help="Which entities; default: all.")]


def _selection(text: str) -> Selection | None:
    if not text:
        return None
    entity, _, rest = text.partition(":")
    side, _, record = rest.partition(":")
    if side not in ("crm", "erp") or not record:
        raise NeedsUser(f"'{text}' names no record", remedy="Write it as partner:crm:42")
    found: Side = "crm" if side == "crm" else "erp"
    return {entity: {found: [record]}}


@app.command()
def plan(
    context: typer.Context,
    what: Annotated[
        list[str] | None, typer.Argument(help="Entities, or the number of a plan to show again.")
    ] = None,
    only: Only = "",
    json: Json = False,
) -> None:
    """Make a plan and print exactly what it would change: record, field, old and new, why."""
    here = session(context, json)
    if what and what[0].isdigit():
        _show_plan(here, here.store().runs.get(int(what[0])), here.store())
        return
    with here.engine("reading both systems") as engine:
        run = engine.plan(what or None, selection=_selection(only), user=here.user)
    _show_plan(here, run, engine.store)


def step_value(step: PlannedStep) -> dict[str, Any]:
    """A step as `--json` prints it."""
    body = step.body
    return {
        "number": step.number,
        "entity": step.entity,
        "kind": step.kind,
        "state": step.state,
        "label": step.label,
        "crm": step.crm_id,
        "erp": step.erp_id,
        "coupling": step.coupling,
        "reason": body.reason,
        "message": step.message,
        "changes": list(body.changes),
        "conflicts": list(body.conflicts),
        "notices": list(body.notices),
        "refused": list(body.refused),
    }


def _show_plan(here: Session, run: Run, store: Any) -> None:
    if here.json:
        steps = [step_value(step) for step in steps_of(store, run)]
        value = {"run": run.id, "state": run.state, "reasons": run.reasons, "steps": steps}
        here.print(value, lambda _: None)
        return
    many = 0
    for step in steps_of(store, run):
        many += _show_step(step)
    counts = store.runs.count_steps(run)
    summary = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()) if ":" not in kind)
    out.print(f"\nRun {run.id}: {summary or 'nothing to do'}; {many} fields.", highlight=False)
    if run.state == "held":
        out.print(f"[yellow]Held:[/] {' '.join(run.reasons)}", highlight=False)
        out.print(f"To approve it: koppel apply {run.id} --approve", highlight=False)
    elif run.state == "ready":
        out.print(f"To carry it out: koppel apply {run.id}", highlight=False)


_QUIET = ("rebase",)


def _show_step(step: PlannedStep) -> int:
    body = step.body
    if step.kind in _QUIET:
        return 0
    rows: list[tuple[Any, ...]] = [
        (f"{c.side.upper()} {c.field}", c.old, c.new, c.owner, c.why) for c in body.changes
    ]
    rows += [(f"conflict: {c.field}", c.crm, c.erp, "ask", c.why) for c in body.conflicts]
    head = f"[bold]{step.number}. {step.kind} {step.entity}[/] {step.label}"
    state = "" if step.state == "planned" else f" ({step.state}) {step.message}"
    out.print(f"{head}{state}", highlight=False)
    out.print(f"   {body.reason}", style="dim", highlight=False)
    for sentence in body.refused:
        out.print(f"   left alone: {sentence}", style="yellow", highlight=False)
    if rows:
        table("", ("field", "old / CRM", "new / ERP", "owner", "why"), rows)
    return len(body.changes)


@app.command()
def apply(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The run to carry out.")],
    approve: Annotated[bool, typer.Option(help="Carry a held plan out all the same.")] = False,
    json: Json = False,
) -> None:
    """Carry out exactly that plan; refuses when a record has changed since."""
    here = session(context, json)
    with here.engine("writing") as engine:
        run = engine.apply(engine.store.runs.get(number), user=here.user, approve=approve)
    show_result(here, engine, run)


@app.command()
def sync(
    context: typer.Context,
    entities: Entities = None,
    only: Only = "",
    json: Json = False,
) -> None:
    """Plan and apply in one go: bring both systems into step now."""
    here = session(context, json)
    with here.engine("reading both systems") as engine:
        run = engine.sync(entities or None, selection=_selection(only), user=here.user)
    show_result(here, engine, run)


def show_result(here: Session, engine: Engine, run: Run) -> None:
    """What a run came to; a held one ends with the exit code that asks for a person."""
    counts = run.counts.get("steps", {})
    writes = run.counts.get("writes", 0)
    troubles = [
        {"label": step.label, "state": step.state, "message": step.message}
        for step in steps_of(engine.store, run)
        if step.state not in ("done", "planned")
    ]
    value = {
        "run": run.id,
        "state": run.state,
        "writes": writes,
        "steps": counts,
        "reasons": run.reasons,
        "troubles": troubles,
    }
    here.print(value, lambda _: _show_result(value))
    if run.state == "held":
        raise typer.Exit(PERSON)


def _show_result(value: dict[str, Any]) -> None:
    steps = ", ".join(f"{n} {kind}" for kind, n in value["steps"].items() if ":" not in kind)
    out.print(
        f"Run {value['run']} is {value['state']}: {value['writes']} writes"
        f"{f' ({steps})' if steps else ''}.",
        highlight=False,
    )
    for trouble in value["troubles"]:
        out.print(
            f"  {trouble['state']}: {trouble['label']}: {trouble['message']}",
            style="yellow",
            highlight=False,
        )
    if value["state"] == "held":
        out.print(f"[yellow]Held:[/] {' '.join(value['reasons'])}", highlight=False)
        out.print(
            f"Look: koppel plan {value['run']}. Approve: koppel apply {value['run']} --approve",
            highlight=False,
        )


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """What is coupled, what ran, and what waits for a person."""
    here = session(context, json)
    store = here.store()
    entities = store.documents.names("rule")
    value = {
        "couplings": {
            entity: {
                state: many
                for state in ("active", "dormant", "parted", "undone")
                if (many := store.couplings.count(entity, state))
            }
            for entity in entities
        },
        "waits": dict(store.inbox.totals()),
        "connections": [
            {"name": c.name, "side": c.side, "paused": c.paused, "away_since": c.away_since}
            for c in store.connections.all()
        ],
        "runs": [
            {
                "run": run.id,
                "kind": run.kind,
                "trigger": run.trigger,
                "state": run.state,
                "started": run.started_at,
                "writes": run.counts.get("writes", 0),
                "reasons": run.reasons,
            }
            for run in store.runs.recent(10)
        ],
    }
    here.print(value, lambda _: _show_status(value))


def _show_status(value: dict[str, Any]) -> None:
    table(
        "Coupled",
        ("entity", "in step", "other"),
        [
            (e, states.pop("active", 0), ", ".join(f"{n} {s}" for s, n in states.items()))
            for e, states in value["couplings"].items()
        ],
    )
    table("Waits", ("what", "how many"), [row for row in value["waits"].items() if row[1]])
    table(
        "Systems",
        ("name", "side", "state"),
        [
            (c["name"], c["side"], c["paused"] or (c["away_since"] and "away") or "used")
            for c in value["connections"]
        ],
    )
    table(
        "Last runs",
        ("run", "kind", "trigger", "state", "started (UTC)", "writes", "remark"),
        [
            (
                r["run"],
                r["kind"],
                r["trigger"],
                r["state"],
                f"{r['started']:%Y-%m-%d %H:%M:%S}",
                r["writes"],
                " ".join(r["reasons"]),
            )
            for r in value["runs"]
        ],
    )


@app.command()
def journal(
    context: typer.Context,
    coupling: Annotated[str, typer.Option(help="The history of one coupling.")] = "",
    run: Annotated[int, typer.Option(help="All that one run wrote.")] = 0,
    limit: Annotated[int, typer.Option(help="How many entries.")] = 30,
    json: Json = False,
) -> None:
    """What was written, when, why, and what stood there before."""
    here = session(context, json)
    store = here.store()
    if coupling:
        entries = store.journal.of_coupling(coupling, limit)
    elif run:
        entries = store.journal.of_run(run)[:limit]
    else:
        entries = store.journal.recent(limit)
    here.print([_entry(entry) for entry in entries], _show_journal)


def _entry(entry: Journal) -> dict[str, Any]:
    return {
        "at": entry.intent_at,
        "run": entry.run_id,
        "entity": entry.entity,
        "coupling": entry.coupling,
        "side": entry.side,
        "record": entry.record,
        "state": entry.state,
        "message": entry.message,
        "changes": [
            {"field": name, "old": old, "new": new, "owner": owner, "why": why}
            for name, old, new, owner, why in decode(entry.changes) or []
        ],
    }


def _show_journal(entries: list[dict[str, Any]]) -> None:
    table(
        "Journal",
        ("when (UTC)", "run", "record", "state", "field", "old", "new", "why"),
        [
            (
                f"{e['at']:%m-%d %H:%M:%S}",
                e["run"],
                f"{e['side']} {e['entity']} {e['record']}",
                e["state"],
                c["field"],
                c["old"],
                c["new"],
                c["why"] or e["message"],
            )
            for e in entries
            for c in (e["changes"] or [{"field": "", "old": "", "new": "", "why": e["message"]}])
        ],
    )


@app.command()
def undo(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The run; default: the last that wrote.")] = 0,
    dry_run: Annotated[bool, typer.Option("--plan", help="Only show what it would do.")] = False,
    json: Json = False,
) -> None:
    """Take a run back, field by field; what a person edited since is left alone, and named."""
    here = session(context, json)
    with here.engine("reading both systems") as engine:
        if not number:
            number = engine.store.journal.last_writing_run()
        run = engine.undo(number, user=here.user)
        if not dry_run:
            engine.apply(run, user=here.user)
    if dry_run:
        _show_plan(here, run, engine.store)
        return
    show_result(here, engine, run)
