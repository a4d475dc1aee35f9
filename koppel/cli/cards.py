"""`koppel card-link | card-settings`: short-lived links to one record's card."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec.structs import replace

from koppel.cli.app import Json, app, session
from koppel.errors import NeedsUser
from koppel.processes import cards
from koppel.sync.rule import SIDES, Side


@app.command("card-link")
def card_link(
    context: typer.Context,
    entity: Annotated[str, typer.Argument(help="What kind of record, such as partner.")],
    side: Annotated[str, typer.Argument(help="Whose id it is: crm or erp.")],
    record: Annotated[str, typer.Argument(help="The record's id there.")],
    minutes: Annotated[
        int | None, typer.Option(min=1, help="How long it is good; at most as long as is set.")
    ] = None,
    figures: Annotated[bool, typer.Option(help="Show money too.")] = True,
    json: Json = False,
) -> None:
    """Make a link that shows one record's key figures without a sign-in, for a short time."""
    here = session(context, json)
    if side not in SIDES:
        raise NeedsUser(f"'{side}' is no side", remedy="Write crm or erp")
    there: Side = "crm" if side == "crm" else "erp"
    store = here.store()
    link = cards.make_link(
        store, entity, there, record, user=here.user, figures=figures, minutes=minutes
    )
    address = link.address(cards.public_address(store))

    def say(_: object) -> None:
        typer.echo(address)
        here.say(f"Good until {link.until:%Y-%m-%d %H:%M} UTC.")

    here.print({"url": address, "until": link.until}, say)


@app.command("card-settings")
def card_settings(
    context: typer.Context,
    frame: Annotated[
        list[str] | None,
        typer.Option(help="Whose pages may show the card in a frame; may be given several times."),
    ] = None,
    no_frames: Annotated[bool, typer.Option("--no-frames", help="Nobody's pages.")] = False,
    minutes: Annotated[int | None, typer.Option(help="How long links are good.")] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="End all links that were made so far.")
    ] = False,
    json: Json = False,
) -> None:
    """Show or change who may show the card in a frame, and how long links are good."""
    here = session(context, json)
    store = here.store()
    found = cards.card_settings(store)
    wanted = found
    if frame or no_frames:
        wanted = replace(wanted, frames=tuple(frame or ()))
    if minutes is not None:
        wanted = replace(wanted, minutes=minutes)
    if wanted != found:
        found = cards.save_settings(store, wanted, user=here.user)
    if revoke:
        found = cards.revoke(store, user=here.user)
    here.print(
        found,
        lambda told: here.say(
            f"Links are good for {told.minutes} minutes. Frames: "
            f"{', '.join(told.frames) or 'none'}." + (" All links are ended." if revoke else "")
        ),
    )
