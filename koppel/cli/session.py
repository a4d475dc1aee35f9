"""One call of the command line: home, store, engine, output, progress, exit codes."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from koppel import config
from koppel.engine import Engine
from koppel.errors import Defect, Interrupted, KoppelError, NeedsUser, TryLater
from koppel.store import Store, open_store
from koppel.store.address import find_address, is_server
from koppel.store.secrets import find_key

DONE, FAILED, USAGE, PERSON, LATER, INTERRUPTED = 0, 1, 2, 3, 4, 130

WIDE = 240
"""Columns of a table that goes to a file or a pipe: there nobody's window is too narrow."""

PATIENCE = 60.0
"""Seconds that a command waits for a Koppel that is at work on the same store."""

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, soft_wrap=True)


@dataclass
class Session:
    """What a command needs."""

    home: Path
    json: bool = False
    user: str = ""

    def __post_init__(self) -> None:
        self.user = self.user or getpass.getuser()

    def store(self, *, create: bool = False) -> Store:
        """The store of the home folder, or the one on PostgreSQL; made with `create`."""
        address = find_address(self.home)
        if not is_server(address) and not Path(address).exists() and not create:
            raise NeedsUser(
                "there is no Koppel here yet",
                place=str(self.home),
                remedy="Begin with: koppel init (or give --home)",
            )
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = find_key(self.home, create=create)
        return open_store(address, clock=config.now, key=key, find_key=lambda: find_key(self.home))

    @contextmanager
    def engine(self, text: str = "") -> Iterator[Engine]:
        """An engine that shows what it does while it works."""
        store = self.store()
        with self.progress(text) as tell:
            engine = Engine(store, progress=tell, patience=PATIENCE)
            try:
                yield engine
            except KeyboardInterrupt:
                raise Interrupted from None
            finally:
                engine.close()

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[str, int], None]]:
        """A line that says what is going on and counts; on standard error, on a terminal only."""
        if self.json or not err.is_terminal:
            yield lambda what, many: None
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("{task.completed:,} records"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(text or "working", total=None)
            last = [text]

            def tell(what: str, many: int) -> None:
                if what != last[0]:
                    bar.reset(task, description=what, total=None)
                    last[0] = what
                bar.advance(task, many)

            yield tell

    def print(self, value: Any, show: Callable[[Any], None]) -> None:
        """As JSON, or as `show` prints it."""
        if self.json:
            sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain(value))).decode() + "\n")
        else:
            show(value)

    def say(self, text: str) -> None:
        """A sentence for people; nothing with --json."""
        if not self.json:
            out.print(text, highlight=False)


def plain(value: Any) -> Any:
    """As JSON can write it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value)
        return plain({k: item for k, item in fields.items() if item is not msgspec.UNSET})
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value


def words(value: Any) -> str:
    """A value for a table's cell."""
    if value is None or value == "" or value == ():
        return "–"
    if isinstance(value, msgspec.Struct):
        parts = [
            str(part)
            for part in msgspec.structs.astuple(value)
            if part and part is not msgspec.UNSET
        ]
        return ", ".join(parts) or "–"
    if isinstance(value, dict):
        parts = [f"{name}: {words(item)}" for name, item in value.items() if item is not None]
        return "; ".join(parts)
    if isinstance(value, list | tuple):
        return ", ".join(words(item) for item in value)
    return str(value)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people; an empty one as a sentence."""
    if not rows:
        out.print(f"{title}: none.", highlight=False)
        return
    grid = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(words(cell) for cell in row))
    out.print(grid)


def guarded(command: Callable[[], Any]) -> int:
    """Run a command; errors become a sentence and an exit code."""
    try:
        command()
    except TryLater as error:
        err.print(f"[yellow]Later:[/] {error}", highlight=False)
        return LATER
    except NeedsUser as error:
        err.print(f"[red]Please act:[/] {error}", highlight=False, markup=True)
        return PERSON
    except (Defect, KoppelError) as error:
        err.print(f"[red]Defect:[/] {error}", highlight=False)
        return FAILED
    except (Interrupted, KeyboardInterrupt):
        err.print("Interrupted. Nothing is lost; the next run goes on from here.")
        return INTERRUPTED
    return DONE
