"""The demo's display says what is going on, on a terminal and without one."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from lab.display import Display, Stopped, without_name


def _plain() -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    return Display(Console(file=out, width=100), threading.Event()), out


def test_without_a_terminal_each_new_sentence_is_one_line() -> None:
    display, out = _plain()
    with display.shown():
        row = display.row("tryton")
        row("tryton: creating the database", 0.1)
        row("80 customers", 0.2)
        row("160 customers", 0.4)
        row.done("runs on http://127.0.0.1:8000")
    lines = [line.split("  ", 1)[1].strip() for line in out.getvalue().splitlines()]
    said = [line.split(" s  ")[-1] for line in lines]
    assert said == ["creating the database", "80 customers", "runs on http://127.0.0.1:8000"]


def test_a_long_count_is_repeated_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.display.PLAIN_SECONDS", 0.0)
    display, out = _plain()
    row = display.row("creme")
    row("entering organisations (10 of 400)", 0.1)
    row("entering organisations (20 of 400)", 0.2)
    assert out.getvalue().count("entering") == 2


def test_on_a_terminal_all_rows_are_on_the_screen_with_their_time() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    display = Display(console, threading.Event())
    with display.shown():
        for name in ("tryton", "creme", "koppel"):
            display.row(name)(f"{name}: at work [here]", 0.5)
    screen = out.getvalue()
    assert all(name in screen for name in ("tryton", "creme", "koppel"))
    assert "at work [here]" in screen
    assert "0 s" in screen


def test_work_ends_at_its_next_word_when_it_is_to_stop() -> None:
    display, _ = _plain()
    row = display.row("creme")
    display.stop.set()
    with pytest.raises(Stopped):
        row("making tables", 0.5)
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Creme: making its tables", "making its tables"),
        ("making its tables", "making its tables"),
        ("note: it takes long", "note: it takes long"),
    ],
)
def test_the_name_is_not_said_twice(sentence: str, shown: str) -> None:
    assert without_name(sentence, "creme") == shown
