"""What the demo says while it works: a live line per system, or plain lines without a terminal."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Column

PLAIN_SECONDS = 10.0
"""Without a terminal, a line that only counts on is repeated this often."""


class Row:
    """One line of the display. Called like `lab.system.Progress`; safe from any thread."""

    def __init__(self, display: Display, name: str) -> None:
        self.name = name
        self._display = display
        self._begun = time.monotonic()
        self._ended: float | None = None

    def __call__(self, sentence: str, share: float) -> None:
        self._display.tell(self, sentence, share)

    def done(self, sentence: str) -> None:
        """The last sentence; the clock of this row stands still from here on."""
        self._ended = time.monotonic()
        self._display.tell(self, sentence, 1.0)

    @property
    def seconds(self) -> float:
        """How long the row has been at work."""
        return (self._ended or time.monotonic()) - self._begun


class Display:
    """All rows. Every call looks whether the work is to end (`stop`), and raises `Stopped` then."""

    def __init__(self, console: Console, stop: threading.Event) -> None:
        self.console = console
        self.stop = stop
        self._lock = threading.Lock()
        self._last: dict[str, tuple[str, float]] = {}
        self._tasks: dict[str, TaskID] = {}
        self._rows: dict[str, Row] = {}
        self._live = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("[bold]{task.fields[name]}", table_column=Column(width=8)),
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[clock]:>6}"),
            console=console,
            expand=True,
        )

    @contextmanager
    def shown(self) -> Iterator[Display]:
        """Show the rows meanwhile; they stay on the screen afterwards."""
        if not self.console.is_terminal:
            yield self
            return
        over = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(over,), daemon=True)
        with self._live:
            ticker.start()
            try:
                yield self
            finally:
                over.set()
                ticker.join()
                self._update_clocks()

    def row(self, name: str) -> Row:
        """A new line."""
        row = Row(self, name)
        with self._lock:
            self._rows[name] = row
            self._tasks[name] = self._live.add_task("", total=1.0, name=name, clock="0 s")
        return row

    def tell(self, row: Row, sentence: str, share: float) -> None:
        """Show what a row is at."""
        if self.stop.is_set():
            raise Stopped
        sentence = without_name(sentence, row.name)
        with self._lock:
            self._live.update(self._tasks[row.name], description=sentence, completed=share)
        if not self.console.is_terminal:
            self._plain(row, sentence)

    def _plain(self, row: Row, sentence: str) -> None:
        """A line where something new goes on, or after a while."""
        gist, now = re.sub(r"\d+", "", sentence), time.monotonic()
        with self._lock:
            before, when = self._last.get(row.name, ("", 0.0))
            if gist == before and now - when < PLAIN_SECONDS:
                return
            self._last[row.name] = (gist, now)
            line = f"{row.name:8} {row.seconds:4.0f} s  {sentence}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _tick(self, over: threading.Event) -> None:
        while not over.wait(0.5):
            self._update_clocks()

    def _update_clocks(self) -> None:
        with self._lock:
            for name, row in self._rows.items():
                self._live.update(self._tasks[name], clock=f"{row.seconds:.0f} s")


class Stopped(BaseException):
    """The work is to end. No `Exception`, so that nobody takes it for a failure."""


def without_name(sentence: str, name: str) -> str:
    """The systems begin their sentences with their name, which the row shows already."""
    first, colon, rest = sentence.partition(": ")
    return rest if colon and first.lower() == name.lower() else sentence
