"""`koppel assess | load | audit`: looked at first, loaded step by step, and proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.runs import show_result
from koppel.cli.session import PERSON, Session, out, plain, table
from koppel.engine import Engine
from koppel.engine.assess import Assessor
from koppel.engine.audit import EntityAudit, selection
from koppel.engine.load import Fill, plan_load
from koppel.engine.pace import Pace, Pacing, Remaining, per_system, quiet_hours
from koppel.engine.schedules import audit_and_keep
from koppel.errors import NeedsUser
from koppel.insight.assess import Assumptions
from koppel.insight.assess_page import effort, page, per_day
from koppel.store import Store
from koppel.store.models import Run

SHOWN = 10
"""Of each kind of relatives, so many are listed; the page has more."""

Entities = Annotated[list[str] | None, typer.Argument(help="Which entities; default: all.")]


@app.command("audit")
def audit_(
    context: typer.Context,
    entities: Entities = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make a plan that puts right what is found.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Show what the last audits came to; reads nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Prove that both sides agree, or list what does not, each with its cause. Writes nothing.

    Exit code 0: in step at that moment. 3: something is not.
    """
    here = session(context, json)
    if history:
        _show_history(here)
        return
    run: Run | None = None
    with here.engine("reading versions") as engine:
        audits, _ = audit_and_keep(engine, entities or None, trigger="manual", user=here.user)
        chosen = selection(audits)
        if repair and chosen:
            run = engine.plan(selection=chosen, user=here.user, trigger="audit")
    in_step = all(one.in_step for one in audits)
    value = {
        "in_step": in_step,
        "entities": [{"in_step": one.in_step, **plain(one)} for one in audits],
        "repair": {"run": run.id, "state": run.state, "counts": run.counts} if run else None,
    }
    here.print(value, lambda _: _show_audit(here, audits, run, repair))
    if not in_step:
        raise typer.Exit(PERSON)


def _show_history(here: Session) -> None:
    rows = [
        {
            "audit": row.id,
            "began": row.began,
            "trigger": row.trigger,
            "by": row.by,
            "in_step": row.in_step,
            "counts": row.counts,
        }
        for row in here.store().audits.recent()
    ]
    here.print(
        rows,
        lambda found: table(
            "Audits",
            ("audit", "began (UTC)", "asked by", "in step", "equal", "what was not"),
            [
                (
                    row["audit"],
                    f"{row['began']:%Y-%m-%d %H:%M:%S}",
                    row["by"] or row["trigger"],
                    "yes" if row["in_step"] else "NO",
                    sum(one["equal"] for one in row["counts"].values()),
                    ", ".join(
                        f"{many} {entity} {because.replace('_', ' ')}"
                        for entity, one in row["counts"].items()
                        for because, many in one["because"].items()
                    ),
                )
                for row in found
            ],
        ),
    )


def _show_audit(here: Session, audits: list[EntityAudit], run: Run | None, asked: bool) -> None:
    for one in audits:
        _show_counts(one)
        table(
            f"{one.entity}: not in step",
            ("record", "CRM", "ERP", "what", "field", "in the CRM", "in the ERP", "cause"),
            [
                (f.label, f.crm, f.erp, f.verdict, name, crm, erp, f.cause)
                for f in one.findings
                for name, crm, erp in (
                    [(a.field, a.crm, a.erp) for a in f.fields] or [("", None, None)]
                )
            ],
        )
        if one.kept:
            table(
                f"{one.entity}: kept differently for good",
                ("record", "field", "in the CRM", "in the ERP", "why"),
                [(k.label, k.field, k.crm, k.erp, k.why) for k in one.kept[:50]],
            )
    wrong = sum(len(one.findings) + sum(map(len, one.new.values())) for one in audits)
    if not wrong:
        here.say("[green]In step:[/] every coupled pair agrees in every field that travels.")
    elif run is not None:
        here.say(
            f"Repair plan: run {run.id} ({run.state}). Look: koppel plan {run.id}. "
            f"Then: koppel apply {run.id}{' --approve' if run.state == 'held' else ''}"
        )
    elif asked:
        here.say(f"{wrong} not in step; all of it waits for a person: koppel inbox")
    else:
        here.say(f"{wrong} not in step. A plan that puts it right: koppel audit --repair")


def _show_counts(one: EntityAudit) -> None:
    seen = " and ".join(f"{many:,} in the {side.upper()}" for side, many in one.seen.items())
    out.print(f"\n[bold]{one.entity}[/]: {seen}; {one.couplings:,} coupled.", highlight=False)
    rows: list[tuple[Any, ...]] = [
        ("equal", one.equal, f"{one.unmoved:,} known by version, {one.fetched:,} records read"),
    ]
    counts: Counter[str] = Counter(found.verdict for found in one.findings)
    for verdict, many in sorted(counts.items()):
        causes = Counter(f.because for f in one.findings if f.verdict == verdict)
        words = ", ".join(f"{n} {because.replace('_', ' ')}" for because, n in causes.most_common())
        rows.append((verdict, many, words))
    cut = sum(kept.truncated for kept in one.kept)
    if one.kept:
        words = f"{cut} of them truncated" if cut else "as a system stores it"
        rows.append(("kept differently", len(one.kept), words))
    if one.dormant or one.parted:
        rows.append(("set aside", one.dormant + one.parted, "out of scope, parted or undone"))
    for side, whys in one.uncoupled_counts.items():
        rows += [(f"uncoupled, {side.upper()}", many, why) for why, many in sorted(whys.items())]
    table("", ("what", "how many", ""), rows)
    out.print(f"Read between {one.began:%H:%M:%S} and {one.ended:%H:%M:%S} UTC.", highlight=False)


@app.command()
def assess(
    context: typer.Context,
    entities: Entities = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page.")] = None,
    rules: Annotated[
        Path | None, typer.Option(help="Write the proposed rules into this folder.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0, help="Minutes to type one change a second time.")
    ] = Assumptions().minutes_per_entry,
    calls_per_hour: Annotated[
        float | None, typer.Option(min=1, help="The most calls an hour that a system allows.")
    ] = None,
    calls_per_write: Annotated[
        float, typer.Option(min=1, help="Calls that a write is reckoned as.")
    ] = Assumptions().calls_per_write,
    changes_per_day: Annotated[
        float | None, typer.Option(min=0, help="Changes a day, where you know them better.")
    ] = None,
    json: Json = False,
) -> None:
    """Report what both systems hold and what coupling them would bring. Writes to neither."""
    here = session(context, json)
    assumed = Assumptions(
        minutes_per_entry=minutes,
        calls_per_hour=calls_per_hour,
        calls_per_write=calls_per_write,
        changes_per_day=changes_per_day,
    )
    with here.engine("reading both systems") as engine:
        found = Assessor(
            engine.store, engine.lines, progress=engine.progress, assumed=assumed
        ).assess(entities or None)
    value = plain(found)
    if html is not None:
        html.write_text(page(value), encoding="utf-8")
    if rules is not None:
        rules.mkdir(parents=True, exist_ok=True)
        for one in found.entities:
            (rules / f"{one.entity}.toml").write_text(one.rule, encoding="utf-8")
    here.print(value, show_assessment)
    if html is not None:
        here.say(f"The page: {html}")
    if rules is not None:
        here.say(f"The proposed rules: {rules}. Edit them, then: koppel import")


def show_assessment(value: dict[str, Any]) -> None:
    for one in value["entities"]:
        _show_overlap(one)
        table(
            "Fields",
            ("field", "filled CRM", "filled ERP", "valid CRM", "valid ERP", "cut by the other"),
            [
                (
                    name,
                    *(_share(sides[s]["filled"], sides[s]["records"]) for s in ("crm", "erp")),
                    *(_share(sides[s]["valid"], sides[s]["checked"]) for s in ("crm", "erp")),
                    sum(sides[s]["cut"] for s in ("crm", "erp")) or "",
                )
                for name, sides in one["fields"].items()
            ],
        )
        table(
            "Where the two disagree",
            ("field", "same", "differ", "only CRM", "only ERP", "how alike", "for example"),
            [
                (
                    name,
                    d["same"],
                    d["differ"],
                    d["only"]["crm"],
                    d["only"]["erp"],
                    f"{d['likeness'] / d['differ']:.0%}" if d["differ"] else "",
                    " | ".join(d["examples"][0]) if d["examples"] else "",
                )
                for name, d in one["between"].items()
                if d["same"] < d["pairs"]
            ],
        )
        table(
            "Proposed owners",
            ("field", "now", "proposed", "why"),
            [(p["field"], p["now"], p["owner"], p["why"]) for p in one["proposals"]],
        )
        out.print(effort(one, value["assumed"]), highlight=False)


def _show_overlap(one: dict[str, Any]) -> None:
    rule = "" if one["coupled"] else " (no rule couples these yet)"
    out.print(f"\n[bold]{one['entity']}[/]{rule}", highlight=False)
    table(
        "",
        ("", "CRM", "ERP"),
        [
            ("records", one["records"].get("crm", 0), one["records"].get("erp", 0)),
            ("only there", one["only"]["crm"], one["only"]["erp"]),
            *(
                (name, one[key].get("crm", 0), one[key].get("erp", 0))
                for name, key in (
                    ("twice", "duplicates"),
                    ("accounts with several numbers", "accounts"),
                    ("groups of companies", "groups"),
                )
            ),
            ("changes a day", *(_rate(one["volume"][side]) for side in ("crm", "erp"))),
            ("cannot be read", one["unreadable"].get("crm", 0), one["unreadable"].get("erp", 0)),
        ],
    )
    sure = ", ".join(f"{n} from {band}" for band, n in sorted(one["confidence"].items())[::-1])
    out.print(
        f"The same in both: {one['likely']:,} likely, {one['perhaps']:,} perhaps"
        f"{f' ({sure})' if sure else ''}.",
        highlight=False,
    )
    table(
        "What belongs together within one side",
        ("side", "names", "records", "because", "coupled with", "what it means"),
        [
            (r["side"].upper(), "; ".join(r["labels"]), ", ".join(r["records"]),
             "; ".join(r["reasons"][:3]), ", ".join(r["coupled_as"]), r["meaning"])
            for kin in ("twice", "accounts", "group")
            for r in [r for r in one["related"] if r["kin"] == kin][:SHOWN]
        ],
    )  # fmt: skip


def _rate(volume: dict[str, Any]) -> str:
    rate = per_day(volume)
    return "" if rate is None else f"{rate:.1f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""


@app.command()
def load(
    context: typer.Context,
    entities: Entities = None,
    fill: Annotated[
        str, typer.Option(help="gaps: only what is empty; owned: all that the rule says.")
    ] = "owned",
    sample: Annotated[
        int, typer.Option(min=0, help="Only that many records, to look at in both systems.")
    ] = 0,
    approve: Annotated[
        bool, typer.Option("--approve", help="Plan again and carry it out.")
    ] = False,
    per_hour: Annotated[
        list[str] | None,
        typer.Option(help="The most writes an hour to each system, or to one: NAME=NUMBER."),
    ] = None,
    calls_per_day: Annotated[
        list[str] | None,
        typer.Option(help="The most calls a day to each system, or to one: NAME=NUMBER."),
    ] = None,
    quiet: Annotated[str, typer.Option(help="Hours without writes, for example 8-18.")] = "",
    json: Json = False,
) -> None:
    """The first load: couple and plan, and write nothing without --approve.

    It may be stopped at any moment; the same command goes on where it stopped.
    """
    if fill not in ("gaps", "owned"):
        raise NeedsUser(f"'{fill}' is no way to fill", remedy="Say gaps or owned")
    how: Fill = "gaps" if fill == "gaps" else "owned"
    here = session(context, json)
    store = here.store()
    pacing = paces(store, per_hour or (), calls_per_day or (), quiet)
    with here.engine("reading both systems") as engine:
        pacing.hold(engine.lines)
        try:
            run = plan_load(engine, entities or None, fill=how, sample=sample, user=here.user)
            if approve and run.state == "held":
                run = carry_out(engine, run, pacing, user=here.user)
        finally:
            pacing.keep()
    if run.state == "held":
        value = {"run": run.id, "state": run.state, "steps": store.runs.count_steps(run)}
        here.print(value, lambda _: _show_load(value))
    else:
        show_result(here, engine, run)


def paces(
    store: Store, per_hour: Sequence[str], calls_per_day: Sequence[str], quiet: str
) -> Pacing:
    """The paces of all connections, from the options."""
    names = [row.name for row in store.connections.all()]
    hours = per_system(per_hour, names, "writes an hour")
    days = per_system(calls_per_day, names, "calls a day")
    span = quiet_hours(quiet)
    return Pacing({n: Pace(per_hour=hours.get(n), per_day=days.get(n), quiet=span) for n in names})


def carry_out(engine: Engine, run: Run, pacing: Pacing, *, user: str) -> Run:
    """Apply an approved load, and tell how long it will take and what calls are left."""
    steps = engine.store.runs.count_steps(run)
    total = sum(many for kind, many in steps.items() if ":" not in kind)
    engine.progress = Remaining(engine.progress, total, pacing)
    return engine.apply(run, user=user, approve=True)


def _show_load(value: dict[str, Any]) -> None:
    steps = ", ".join(f"{n:,} {kind}" for kind, n in value["steps"].items() if ":" not in kind)
    out.print(
        f"Run {value['run']} is planned and waits: {steps}. Nothing is written yet.\n"
        f"Look: koppel plan {value['run']}. Then the same command with --approve.",
        highlight=False,
    )
