"""`koppel order transfer | status | list | retry | cancel | watch | price | invoice`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import LATER, PERSON, Session, out, table, words
from koppel.errors import NeedsUser, TryLater
from koppel.processes.orders import Orders, find_order
from koppel.processes.settings import order_settings
from koppel.processes.views import link_view, order_view, printable, transfer_view
from koppel.store import Store
from koppel.store.order_models import Process
from koppel.store.orders import status_of

orders = typer.Typer(
    help="Orders: hand over to the ERP, look at, retry, cancel.", no_args_is_help=True
)
app.add_typer(orders, name="order")

Document = Annotated[
    str, typer.Argument(help="The CRM's document, as RESOURCE/ID: billing.quote/12.")
]
Which = Annotated[str, typer.Argument(help="The process (its first signs do) or RESOURCE/ID.")]


@contextmanager
def _orders(here: Session, text: str) -> Iterator[Orders]:
    with here.engine(text) as engine:
        yield Orders(engine)


def _document(text: str) -> tuple[str, str]:
    resource, _, record = text.rpartition("/")
    if not resource or not record:
        raise NeedsUser(f"'{text}' names no document", remedy="Write it as billing.quote/12")
    return resource, record


@orders.command()
def transfer(context: typer.Context, document: Document, json: Json = False) -> None:
    """Hand a quote or sales order over to the ERP. Repeated, it tells how the same order stands.

    Exit code 0: it is there. 3: it waits for a person. 4: it waits for a system.
    """
    here = session(context, json)
    resource, record = _document(document)
    with _orders(here, "handing over") as found:
        row = found.transfer(resource, record, user=here.user)
        _told(here, found.store, row)


@orders.command()
def retry(
    context: typer.Context,
    process: Which,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", help="Answer with yes: decision, difference, or the ERP's name."),
    ] = None,
    json: Json = False,
) -> None:
    """Try a transfer again that is held or waits; the document is read anew."""
    here = session(context, json)
    with _orders(here, "handing over") as found:
        row = found.retry(process, user=here.user, accept=accept or ())
        _told(here, found.store, row)


@orders.command()
def cancel(context: typer.Context, process: Which, json: Json = False) -> None:
    """Stop a transfer; an order that is in the ERP is cancelled there."""
    here = session(context, json)
    with _orders(here, "cancelling") as found:
        row = found.cancel(process, user=here.user)
        value = transfer_view(found.store, row)
    here.print(value, lambda _: out.print(value["message"], highlight=False))


def _told(here: Session, store: Store, row: Process) -> None:
    value = transfer_view(store, row)
    here.print(value, _show_transfer)
    if row.state in ("held", "failed"):
        raise typer.Exit(PERSON)
    if row.state in ("waiting", "running"):
        raise typer.Exit(LATER)


def _show_transfer(value: dict[str, Any]) -> None:
    out.print(value["message"], highlight=False)
    for line in value["lines"]:
        out.print(f"  {line}", highlight=False)
    out.print(f"Process {value['process'][:8]}, {value['state']}", style="dim", highlight=False)


@orders.command()
def status(context: typer.Context, document: Document, json: Json = False) -> None:
    """Where an order stands in the ERP: lines, deliveries, invoices, reminders, and the log."""
    here = session(context, json)
    store = here.store()
    subject = document if "/" in document else store.processes.get(document).subject
    resource, record = _document(subject)
    if resource == order_settings(store).erp_resource:
        value = link_view(store, find_order(store, subject))
    else:
        value = order_view(store, resource, record)
    row = store.processes.latest("order_transfer", subject)
    value["log"] = [
        {"at": one.at, "step": one.step, "text": one.text}
        for one in (store.processes.entries(row) if row is not None else ())
    ]
    here.print(value, _show_status)


@orders.command()
def invoice(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="As in `status`; sale.sale/7 for the ERP's own.")],
    number: Annotated[str, typer.Argument(help="The invoice's number, where it has several.")] = "",
    to: Annotated[Path, typer.Option(help="The folder to write it to.")] = Path(),
    json: Json = False,
) -> None:
    """Fetch an invoice or credit note as the ERP's own report prints it."""
    here = session(context, json)
    with _orders(here, "asking the ERP for the invoice") as found:
        link = find_order(found.store, document)
        told = status_of(link)
        invoices = [one for one in (told.invoices if told else ()) if printable(one)]
        wanted = [one for one in invoices if not number or number in (one.number, one.id)]
        if len(wanted) != 1:
            raise NeedsUser(
                f"{document} has {len(wanted) or 'no'} such invoices",
                remedy=f"There are: {', '.join(one.number for one in invoices) or 'none yet'}",
            )
        printed = found.printed(link, wanted[0].id)
    path = to / Path(printed.name).name
    path.write_bytes(printed.content)
    value = {"file": str(path), "media_type": printed.media_type, "bytes": len(printed.content)}
    here.print(value, lambda _: out.print(str(path), highlight=False))


def _show_status(value: dict[str, Any]) -> None:
    head = f"{value['erp_number'] or 'No number yet'}: {value['state']}"
    age = value["age_seconds"]
    out.print(head + (f" ({age:.0f} s old)" if age is not None else ""), highlight=False)
    for message in value["messages"]:
        out.print(f"  {message}", style="yellow", highlight=False)
    names = ("position", "item", "description", "ordered", "delivered", "open", "planned", "status")
    table("Lines", names, [[line.get(name) for name in names] for line in value["lines"]])
    shown = ("number", "type", "date", "due", "gross", "open", "status")
    if value["invoices"]:
        table("Invoices", shown, [[one.get(name) for name in shown] for one in value["invoices"]])
    table("Log", ("at", "step", "what"), [(o["at"], o["step"], o["text"]) for o in value["log"]])


@orders.command("list")
def list_(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="Only these: running, waiting, held, done ...")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """Transfers: at which step, since when, and why they wait."""
    here = session(context, json)
    store = here.store()
    rows = store.processes.list(states=state or (), limit=limit)
    value = [
        {
            "process": row.id,
            "document": row.subject,
            "label": row.label,
            "state": row.state,
            "step": row.step,
            "since": row.since,
            "why": row.why,
            "remedy": row.remedy,
            "attempts": row.attempts,
            "user": row.user,
            "trace": row.trace,
        }
        for row in rows
    ]
    names = ("process", "document", "label", "state", "step", "since", "why")
    here.print(
        value,
        lambda _: table(
            "Orders",
            names,
            [
                [str(words(one[n]))[:8] if n == "process" else one[n] for n in names]
                for one in value
            ],
        ),
    )


@orders.command()
def watch(
    context: typer.Context,
    follow: Annotated[bool, typer.Option(help="Go on until stopped.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between looks.")] = 5.0,
    json: Json = False,
) -> None:
    """Look at the orders of both systems, and go on with whatever is due."""
    here = session(context, json)
    with _orders(here, "watching orders") as found:
        while True:
            try:
                changed = found.poll(user=here.user)
                went = [row for row in found.run_due() if row.state == "done"]
                value = {"changed": changed, "transferred": len(went)}
                if not follow or changed or went:
                    here.print(value, lambda v: out.print(_summary(v), highlight=False))
            except TryLater as error:
                if not follow:
                    raise
                here.say(str(error))
            if not follow:
                return
            time.sleep(every)


def _summary(value: dict[str, int]) -> str:
    return f"{value['changed']} orders changed, {value['transferred']} handed over."


@orders.command()
def price(
    context: typer.Context,
    party: Annotated[str, typer.Argument(help="The customer's id in the ERP.")],
    product: Annotated[str, typer.Argument(help="The product's id or code in the ERP.")],
    quantity: Annotated[str, typer.Argument(help="How many.")] = "1",
    currency: Annotated[str, typer.Option(help="ISO 4217; else the ERP's own.")] = "",
    json: Json = False,
) -> None:
    """Ask the ERP for its price for a customer, a product and a quantity."""
    here = session(context, json)
    try:
        many = Decimal(quantity)
    except InvalidOperation as error:
        raise NeedsUser(f"'{quantity}' is no quantity") from error
    with _orders(here, "asking") as found:
        told = found.prices.ask(party, product, many, currency=currency or None)
    value = {
        "unit_price": told.unit_price,
        "list_price": told.list_price,
        "price_list": told.price_list,
        "currency": told.currency,
        "unit": told.unit,
        "age_seconds": told.age_seconds,
    }
    here.print(
        value,
        lambda _: out.print(
            f"{words(told.unit_price)} {told.currency} for one {told.unit}"
            f" (list price {words(told.list_price)})",
            highlight=False,
        ),
    )
