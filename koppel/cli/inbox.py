"""`koppel couplings | conflicts | resolve | quarantine`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import out, table
from koppel.connectors.base import Record
from koppel.engine import hand
from koppel.errors import NeedsUser
from koppel.store import Store
from koppel.store.codec import decode
from koppel.store.models import Review
from koppel.sync.rule import SIDES

couplings = typer.Typer(help="Couplings: list, show, make, break, remake, review, answer.")
app.add_typer(couplings, name="couplings")


@couplings.command("list")
def list_(
    context: typer.Context,
    entity: Annotated[str, typer.Argument(help="Which entity.")] = "partner",
    state: Annotated[str, typer.Option(help="active, dormant, parted or undone.")] = "",
    limit: Annotated[int, typer.Option(help="How many.")] = 50,
    json: Json = False,
) -> None:
    """All couplings of an entity."""
    here = session(context, json)
    rows: list[dict[str, Any]] = []
    for row in here.store().couplings.each(entity):
        if state in ("", row.state):
            rows.append(
                {"id": row.id, "crm": row.crm_id, "erp": row.erp_id, "state": row.state,
                 "label": row.label, "why": row.made_by}
            )  # fmt: skip
        if len(rows) >= limit:
            break
    here.print(
        rows,
        lambda found: table(
            f"Couplings of {entity}",
            ("id", "CRM", "ERP", "state", "name", "made because"),
            [tuple(row.values()) for row in found],
        ),
    )


@couplings.command()
def show(
    context: typer.Context,
    coupling: Annotated[str, typer.Argument(help="Its id.")],
    json: Json = False,
) -> None:
    """One coupling with both bases, field by field."""
    here = session(context, json)
    row = here.store().couplings.by_id([coupling]).get(coupling)
    if row is None:
        raise NeedsUser(f"there is no coupling {coupling}")
    bases = {
        side: base.fields
        for side, base in (("crm", row.crm_base), ("erp", row.erp_base))
        if isinstance(base, Record)
    }
    value = {"id": row.id, "label": row.label, "state": row.state, "bases": bases}

    def print_it(_: Any) -> None:
        for side, fields in bases.items():
            table(f"{row.label}: {side.upper()}", ("field", "value"), list(fields.items()))

    here.print(value, print_it)


@couplings.command()
def make(
    context: typer.Context,
    entity: Annotated[str, typer.Argument(help="partner or contact.")],
    crm: Annotated[str, typer.Argument(help="The CRM's id.")],
    erp: Annotated[str, typer.Argument(help="The ERP's id.")],
) -> None:
    """Say that two records belong together; the next sync couples them."""
    here = session(context)
    hand.make(here.store(), entity, crm, erp, by=here.user)
    here.say("Noted. The next sync couples them; to see what it would write: koppel plan")


@couplings.command("break")
def break_(
    context: typer.Context,
    coupling: Annotated[str, typer.Argument(help="Its id.")],
    leave: Annotated[bool, typer.Option("--leave", help="Leave both records alone.")] = False,
) -> None:
    """Break a pair; it is never proposed again. Both records stay."""
    here = session(context)
    row = hand.part(here.store(), coupling, by=here.user, leave=leave)
    here.say(f"Broken: {row.label}.")


@couplings.command()
def remake(
    context: typer.Context, coupling: Annotated[str, typer.Argument(help="Its id.")]
) -> None:
    """Take a parted, undone or dormant coupling up again."""
    here = session(context)
    row = hand.remake(here.store(), coupling, by=here.user)
    here.say(f"Taken up again with the next sync: {row.label}.")


@couplings.command()
def review(context: typer.Context, json: Json = False) -> None:
    """Proposed pairs that a person decides on."""
    here = session(context, json)
    store = here.store()
    here.print(review_values(store, store.inbox.reviews()), show_reviews)


def review_values(store: Store, reviews: Iterable[Review]) -> list[dict[str, Any]]:
    """Proposed pairs with both names and the reasons."""
    rows = []
    for row in reviews:
        labels = [
            found.label
            for side, record in zip(SIDES, (row.crm_id, row.erp_id), strict=True)
            for found in store.replica.get(row.entity, side, [record]).values()
        ]
        rows.append(
            {"number": row.id, "entity": row.entity, "crm": row.crm_id, "erp": row.erp_id,
             "score": round(row.score, 2), "labels": labels, "reasons": row.reasons}
        )  # fmt: skip
    return rows


def show_reviews(found: list[dict[str, Any]]) -> None:
    """Proposed pairs as a table."""
    table(
        "Review",
        ("number", "entity", "CRM", "ERP", "score", "names", "reasons"),
        [tuple(row.values()) for row in found],
    )


@couplings.command()
def answer(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The proposed pair's number.")],
    says: Annotated[str, typer.Argument(help="same, different or later.")],
) -> None:
    """Answer a proposed pair."""
    here = session(context)
    hand.answer(here.store(), number, says, by=here.user)
    here.say("Noted; the next sync acts on it.")


@app.command()
def conflicts(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="open, resolved or closed.")] = "open",
    json: Json = False,
) -> None:
    """Fields that both sides changed, with all four values."""
    here = session(context, json)
    rows = []
    for row in here.store().inbox.conflicts(state=state):
        crm_base, erp_base, crm, erp = decode(row.values)
        rows.append(
            {"number": row.id, "record": row.label, "field": row.field, "crm_before": crm_base,
             "erp_before": erp_base, "crm": crm, "erp": erp, "why": row.why}
        )  # fmt: skip
    here.print(
        rows,
        lambda found: table(
            f"Conflicts ({state})",
            ("number", "record", "field", "CRM before", "ERP before", "CRM", "ERP", "why"),
            [tuple(row.values()) for row in found],
        ),
    )


@app.command()
def resolve(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The conflict's number.")],
    value: Annotated[str, typer.Argument(help="crm, erp, base, or the value itself.")],
) -> None:
    """Decide a conflict; the next sync writes the value to the side that differs."""
    here = session(context)
    row = hand.resolve(here.store(), number, value, by=here.user)
    here.say(f"Noted for {row.label}, {row.field}; the next sync writes it.")


@app.command()
def quarantine(
    context: typer.Context,
    release: Annotated[int, typer.Option(help="Try this entry again.")] = 0,
    json: Json = False,
) -> None:
    """Records that failed twice: why, and what would put it right."""
    here = session(context, json)
    store = here.store()
    if release:
        row = store.inbox.release(release)
        store.inbox.log(here.user, "release", f"{row.entity} {row.side} {row.record}")
        here.say(f"{row.label} is tried again with the next sync.")
        return
    rows = [
        {"number": row.id, "entity": row.entity, "side": row.side, "record": row.record,
         "name": row.label, "reason": row.reason, "remedy": row.remedy, "failures": row.failures}
        for row in store.inbox.quarantine()
    ]  # fmt: skip
    here.print(
        rows,
        lambda found: table(
            "Quarantine",
            ("number", "entity", "side", "record", "name", "reason", "what helps", "failures"),
            [tuple(row.values()) for row in found],
        ),
    )
    if rows and not here.json:
        out.print("To try one again: koppel quarantine --release NUMBER", highlight=False)
