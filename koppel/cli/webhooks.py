"""`koppel webhook`: programs that are told what happened."""

from __future__ import annotations

from typing import Annotated

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import FAILED, table
from koppel.engine import webhooks

webhook = typer.Typer(
    help="Programs that are told what happened: add, list, remove, test, deliveries.",
    no_args_is_help=True,
)
app.add_typer(webhook, name="webhook")

Number = Annotated[int, typer.Argument(help="The webhook's number.")]


@webhook.command()
def add(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Where messages go: https://host/path.")],
    event: Annotated[
        list[str] | None,
        typer.Option(help=f"What to tell: {', '.join(webhooks.EVENTS)}; none given: all."),
    ] = None,
    secret: Annotated[
        str, typer.Option(envvar="KOPPEL_WEBHOOK_SECRET", help="Signs them; default: a new one.")
    ] = "",
    json: Json = False,
) -> None:
    """Tell a program what happens from now on. Its secret is printed this once."""
    here = session(context, json)
    row, made = webhooks.subscribe(
        here.store(), address, event or (), user=here.user, secret=secret
    )

    def say(_: object) -> None:
        typer.echo(made)
        here.say(f"Webhook {row.id}. Messages are signed with this secret; it is not shown again.")

    here.print({"number": row.id, "events": row.events, "secret": made}, say)


@webhook.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All webhooks: where, what, how many messages wait; never a secret."""
    here = session(context, json)
    store = here.store()
    counts = store.webhooks.counts()
    rows = [
        {
            "number": row.id,
            "address": row.address,
            "events": row.events,
            "waiting": counts.get(row.id, {}).get("waiting", 0),
            "given_up": counts.get(row.id, {}).get("given up", 0),
            "stopped": row.stopped,
        }
        for row in store.webhooks.all()
    ]
    here.print(
        rows,
        lambda found: table(
            "Webhooks",
            ("number", "address", "events", "waiting", "given up", "stopped"),
            [(*list(one.values())[:2], ", ".join(one["events"]), *list(one.values())[3:])
             for one in found],
        ),
    )  # fmt: skip


@webhook.command()
def remove(context: typer.Context, number: Number) -> None:
    """Tell a program nothing any more, and forget what waits for it."""
    here = session(context)
    webhooks.unsubscribe(here.store(), number, user=here.user)
    here.say("Removed.")


@webhook.command("test")
def try_(context: typer.Context, number: Number, json: Json = False) -> None:
    """Send a test message now. Exit code 1 where it does not arrive."""
    here = session(context, json)
    store = here.store()
    status, trouble = webhooks.Sender(store).test(store.webhooks.get(number))
    here.print(
        {"status": status, "trouble": trouble},
        lambda _: here.say(trouble or f"Arrived: answered with {status}."),
    )
    if trouble:
        raise typer.Exit(FAILED)


@webhook.command()
def deliveries(
    context: typer.Context,
    number: Number,
    again: Annotated[
        bool, typer.Option("--again", help="Try what waits or was given up once more, now.")
    ] = False,
    json: Json = False,
) -> None:
    """What was sent to a program, and what came of it."""
    here = session(context, json)
    store = here.store()
    row = store.webhooks.get(number)
    if again:
        store.webhooks.stop(row, "")
        store.webhooks.again(row)
        store.audit_log.write(here.user, "webhook again", str(number))
    rows = [
        {
            "number": one.id,
            "event": one.event,
            "made": one.made_at,
            "state": one.state,
            "attempts": one.attempts,
            "next": one.next_at,
            "status": one.status,
            "message": one.message,
        }
        for one in store.webhooks.deliveries(number)
    ]
    here.print(
        rows,
        lambda found: table(
            f"Deliveries to {row.address}",
            ("number", "event", "made (UTC)", "state", "attempts", "next (UTC)", "status", "why"),
            [
                (
                    one["number"],
                    one["event"],
                    f"{one['made']:%Y-%m-%d %H:%M:%S}",
                    one["state"],
                    one["attempts"],
                    f"{one['next']:%Y-%m-%d %H:%M:%S}" if one["next"] else "",
                    one["status"] or "",
                    one["message"],
                )
                for one in found
            ],
        ),
    )
