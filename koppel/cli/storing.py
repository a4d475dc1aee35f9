"""`koppel migrate-store | backup | restore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from koppel import config
from koppel.cli.app import Json, app, session
from koppel.cli.session import Session, table
from koppel.connectors import registry
from koppel.engine.lines import Lines
from koppel.engine.writing import Writing
from koppel.errors import NeedsUser, TryLater
from koppel.store import open_store
from koppel.store.address import ENVIRONMENT, FILE, SQLITE_FILE, find_address, is_server, shown
from koppel.store.moving import backup as make_backup
from koppel.store.moving import move
from koppel.store.moving import restore as put_back
from koppel.store.secrets import find_key


@app.command("migrate-store")
def migrate_store(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Argument(envvar=ENVIRONMENT, help="PostgreSQL's address; better by the environment."),
    ],
    json: Json = False,
) -> None:
    """Move the home folder's store from SQLite to PostgreSQL, and prove that both are equal.

    Stop `koppel serve` first. The SQLite file stays where it is, and is not used any more.
    """
    here = session(context, json)
    source = here.home / SQLITE_FILE
    if not source.exists():
        raise NeedsUser("there is no store to move", place=str(source))
    store = open_store(source, clock=config.now, key=find_key(here.home))
    pairs = list(Lines(store, registry.connect).pairs())
    with Writing(store, pairs), here.progress("moving") as tell:
        _refuse_busy(store.lease.alive())
        moved = move(address, tell=tell)
    file = here.home / FILE
    file.touch(mode=0o600)
    file.write_text(f"{address}\n")
    here.print(
        {"address": shown(address), "tables": moved},
        lambda _: table(
            f"Moved to {shown(address)}: equal in every table",
            ("table", "rows", "digest"),
            [(one.table, one.rows, one.digest[:16]) for one in moved],
        ),
    )


def _refuse_busy(names: list[str]) -> None:
    busy = [name for name in names if not name.startswith("pair ")]
    if busy:
        raise TryLater(
            f"Koppel is at work on this store ({', '.join(busy)})",
            remedy="Stop koppel serve and koppel worker first",
        )


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The new file; it holds customers' data.")],
    json: Json = False,
) -> None:
    """Copy the store to a file, while Koppel goes on. The key is not in it."""
    here = session(context, json)
    address = _address(here)
    size = make_backup(address, file)
    here.print(
        {"file": str(file), "bytes": size, "store": shown(address)},
        lambda _: here.say(
            f"{shown(address)} is in {file} ({size:,} bytes). Keep the key elsewhere."
        ),
    )


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `koppel backup` wrote.")],
) -> None:
    """Put a backup back in place of the store. Stop `koppel serve` and every worker first."""
    here = session(context)
    address = _address(here)
    if is_server(address) or Path(address).exists():
        store = here.store()
        busy = store.lease.alive()
        store.close()
        if busy:
            raise TryLater(
                f"Koppel is at work on this store ({', '.join(busy)})",
                remedy="Stop koppel serve and koppel worker first",
            )
    put_back(address, file)
    here.store().inbox.log(here.user, "restore", str(file))
    here.say("Restored. Now: koppel check, koppel plan, koppel audit; then koppel serve.")


def _address(here: Session) -> str:
    address = find_address(here.home)
    if not is_server(address) and not os.path.exists(address):
        here.store()  # Says that there is none, and what to do.
    return address
