"""`koppel token`: tokens for programs that use the interface."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import table

token = typer.Typer(help="Tokens for programs that use the interface: add, list, revoke.")
app.add_typer(token, name="token")


@token.command()
def add(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The user as whom the program acts.")],
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    scope: Annotated[
        list[str], typer.Option("--scope", help="An action that it may, such as view or decide.")
    ],
    days: Annotated[int, typer.Option(help="How long it is good.")] = 365,
) -> None:
    """Make a token and print it, this once."""
    here = session(context)
    store = here.store()
    made = store.tokens.make(user, name, scope, days=days)
    store.audit_log.write(here.user, "add token", f"{user}: {name}", scopes=scope)
    typer.echo(made)


@token.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All tokens: whose, what for, until when; never the token itself."""
    here = session(context, json)
    rows: list[dict[str, Any]] = [
        {
            "number": row.id,
            "user": row.user.get_username(),
            "name": row.name,
            "scopes": row.scopes,
            "until": row.until,
            "used": row.used_at,
        }
        for row in here.store().tokens.all()
    ]
    here.print(
        rows,
        lambda found: table(
            "Tokens",
            ("number", "user", "name", "scopes", "until", "last used"),
            [tuple(row.values()) for row in found],
        ),
    )


@token.command()
def revoke(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="The token's number.")],
) -> None:
    """Make a token worthless at once."""
    here = session(context)
    store = here.store()
    store.tokens.revoke(number)
    store.audit_log.write(here.user, "revoke token", str(number))
    here.say("Revoked.")
