"""`koppel audit`: what goes live is proved."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import PERSON, Session, out, plain, table
from koppel.engine.audit import Auditor, EntityAudit, selection
from koppel.store.models import Run

Entities = Annotated[list[str] | None, typer.Argument(help="Which entities; default: all.")]


@app.command("audit")
def audit_(
    context: typer.Context,
    entities: Entities = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make a plan that puts right what is found.")
    ] = False,
    json: Json = False,
) -> None:
    """Prove that both sides agree, or list what does not, each with its cause. Writes nothing.

    Exit code 0: in step at that moment. 3: something is not.
    """
    here = session(context, json)
    run: Run | None = None
    with here.engine("reading versions") as engine:
        auditor = Auditor(engine.store, engine.lines, progress=engine.progress)
        audits = auditor.audit(entities or None)
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
    counts: dict[str, int] = {}
    for found in one.findings:
        counts[found.verdict] = counts.get(found.verdict, 0) + 1
    rows += [(verdict, many, "") for verdict, many in sorted(counts.items())]
    if one.dormant or one.parted:
        rows.append(("set aside", one.dormant + one.parted, "out of scope, parted or undone"))
    for side, whys in one.uncoupled_counts.items():
        rows += [(f"uncoupled, {side.upper()}", many, why) for why, many in sorted(whys.items())]
    table("", ("what", "how many", ""), rows)
    out.print(f"Read between {one.began:%H:%M:%S} and {one.ended:%H:%M:%S} UTC.", highlight=False)
