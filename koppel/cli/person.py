"""`koppel person`: what is kept of one person, as a document, and erasing it."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import FAILED, plain, table
from koppel.engine import erasing
from koppel.errors import NeedsUser
from koppel.store import Store, retention
from koppel.store.people_models import Erasure
from koppel.store.personal import FATE, Subject
from koppel.sync.rule import Side

person = typer.Typer(help="One person's data: find, export, erase; how long documents are kept.")
app.add_typer(person, name="person")

Entity = Annotated[str, typer.Argument(help="contact or partner.")]
SideOf = Annotated[str, typer.Argument(help="crm or erp: whose number it is.")]
Record = Annotated[str, typer.Argument(help="The record's number there.")]


def _subject(store: Store, entity: str, side: str, record: str) -> Subject:
    here: Side = "crm" if side == "crm" else "erp"
    found = store.personal.subject(entity, here, record) if side in ("crm", "erp") else None
    if found is None:
        raise NeedsUser(
            f"nothing here knows {entity} {side} {record}", remedy="Find it: koppel person find"
        )
    return found


def _of(subject: Subject) -> dict[str, Any]:
    return {"entity": subject.entity, "records": dict(subject.records)}


@person.command()
def find(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A name, e-mail address, phone or number.")],
    json: Json = False,
) -> None:
    """Who is meant: people and companies, with their numbers on both sides."""
    here = session(context, json)
    store = here.store()
    found = store.personal.find(query)
    store.audit_log.write(here.user, "find person", found=[" ".join(one.place) for one in found])
    here.print(
        [{"label": one.label, **_of(one)} for one in found],
        lambda rows: table(
            "People",
            ("name", "what", "CRM", "ERP"),
            [
                (r["label"], r["entity"], r["records"].get("crm"), r["records"].get("erp"))
                for r in rows
            ],
        ),
    )


@person.command()
def export(
    context: typer.Context,
    entity: Entity,
    side: SideOf,
    record: Record,
    file: Annotated[Path | None, typer.Option(help="Where to; default: standard output.")] = None,
) -> None:
    """Everything that Koppel keeps of one person, as JSON."""
    here = session(context)
    store = here.store()
    subject = _subject(store, entity, side, record)
    told = {"label": subject.label, **_of(subject), **store.personal.gather(subject).rows}
    store.audit_log.write(here.user, "export person", " ".join(subject.place))
    text = msgspec.json.format(msgspec.json.encode(plain(told))).decode() + "\n"
    if file is None:
        sys.stdout.write(text)
        return
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    here.say(f"Written to {file}.")


@person.command()
def erase(
    context: typer.Context,
    entity: Entity,
    side: SideOf,
    record: Record,
    json: Json = False,
) -> None:
    """Make a plan: what would be done in both systems and here. Nothing is changed yet."""
    here = session(context, json)
    subject = _subject(here.store(), entity, side, record)
    with here.engine("asking the systems") as engine:
        row = erasing.plan(engine, subject, date.today(), user=here.user)
    _show(here, row)
    here.say(f"Approve it: koppel person approve {row.id}")


@person.command()
def approve(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The erasure's number.")],
    json: Json = False,
) -> None:
    """Carry a plan out: the person is erased in both systems and here. It cannot be undone."""
    here = session(context, json)
    with here.engine("erasing") as engine:
        row = erasing.carry_out(engine, number, user=here.user)
    _show(here, row)
    if row.state != "done":
        raise typer.Exit(FAILED)


@person.command()
def reject(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The erasure's number.")],
) -> None:
    """Drop a plan; nobody is erased."""
    here = session(context)
    store = here.store()
    row = Erasure.objects.filter(id=number).first()
    if row is None:
        raise NeedsUser(f"there is no erasure {number}", remedy="List: koppel person erasures")
    erasing.reject(store, row, user=here.user)
    here.say(f"Erasure {number} is dropped.")


@person.command()
def erasures(context: typer.Context, json: Json = False) -> None:
    """All plans, the newest first."""
    here = session(context, json)
    here.store()
    here.print(
        [_told(row) for row in Erasure.objects.order_by("-id")],
        lambda rows: table(
            "Erasures",
            ("number", "what", "who", "state", "by", "at (UTC)"),
            [(r["number"], r["entity"], r["label"], r["state"], r["by"], r["at"]) for r in rows],
        ),
    )


@person.command("retention")
def retention_(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A document to hold from now on; else it is shown.")
    ] = None,
) -> None:
    """How long orders and invoices are kept: show it, or take a document as the live one."""
    here = session(context)
    store = here.store()
    if file is None:
        kept = store.documents.get(retention.KIND, retention.NAME)
        sys.stdout.write(kept or retention.SHIPPED)
        return
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NeedsUser(f"cannot be read: {error}", place=str(file)) from error
    retention.parse_retention(text, source=str(file))
    version = store.documents.put(retention.KIND, retention.NAME, text, author=here.user)
    store.audit_log.write(here.user, "set retention", version=version)
    here.say(f"It holds from now on (version {version}).")


def _told(row: Erasure) -> dict[str, Any]:
    return {
        "number": row.id,
        "entity": row.entity,
        "label": row.label,
        "state": row.state,
        "records": row.records,
        "steps": row.steps,
        "kept": row.kept,
        "store": row.store,
        "by": row.approved_by or row.made_by,
        "at": row.ended_at or row.made_at,
    }


def _show(here: Any, row: Erasure) -> None:
    def show(told: dict[str, Any]) -> None:
        table(
            f"Erasure {row.id}: {row.label} ({row.state})",
            ("side", "record", "does", "fields", "it is", "until", "trouble"),
            [
                (
                    step["side"].upper(), step["record"], step["does"], ", ".join(step["fields"]),
                    step["record_is"], step["until"], step["said"],
                )
                for step in told["steps"]
            ],
        )  # fmt: skip
        table(
            "Koppel's own store",
            ("kind", "rows", "becomes", "what it is"),
            [(kind, many, *FATE[kind]) for kind, many in told["store"].items()],
        )
        if told["kept"]:
            table(
                "Kept, for the law wants it",
                ("side", "documents", "many", "until", "because"),
                [
                    (k["side"].upper(), k["sort"], k["many"], k["until"], k["because"])
                    for k in told["kept"]
                ],
            )

    here.print(_told(row), show)
