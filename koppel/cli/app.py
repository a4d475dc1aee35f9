"""The commands of `koppel` and their options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from koppel import __version__, config
from koppel.cli.session import Session, guarded

app = typer.Typer(
    name="koppel",
    help="Couples a CRM with an ERP, both ways.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option("--home", envvar="KOPPEL_HOME", help="The folder with store and key."),
    ] = None,
    user: Annotated[str, typer.Option(help="Who acts, for the log.")] = "",
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    context.obj = Session(home=config.home(home), user=user)


def session(context: typer.Context, json: bool = False) -> Session:
    """The session of a call."""
    found: Session = context.find_root().obj
    found.json = json
    return found


def load() -> typer.Typer:
    """The app with all its commands."""
    from koppel.cli import (  # noqa: F401  (they add their commands)
        cards,
        golive,
        guide,
        inbox,
        matching,
        orders,
        people,
        person,
        prices,
        runs,
        schedules,
        serve,
        setup,
        storing,
        tokens,
        webhooks,
        workers,
    )

    return app


def main() -> None:
    """The entry point: runs a command and ends with its exit code."""
    config.tell_crashes()
    command = load()
    sys.exit(guarded(lambda: command(prog_name="koppel")))
