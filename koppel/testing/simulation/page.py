"""`docs/reliability.md`, written by a run of the simulation from what it counted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from koppel.testing.simulation import IN_EVERY_RUN

KEPT = Path("tests/scenarios/kept")

_TROUBLES = {
    "refuse": "nobody listens",
    "slow": "the call is done, and its answer comes too late",
    "cut": "the call is done, and its answer ends in the middle",
    "drop_reply": "the call is done, and its answer never comes",
    "lose": "the call never reaches the system",
    "401": "the log-in is refused",
    "429": "the system asks for patience",
    "500": "an error of the server",
    "html": "a web page where JSON was due",
    "not_json": "JSON that is none",
    "kill": "the process dies at a call, without a last word",
    "kill_in_store": "the process dies at a statement to its own store",
    "disk_full": "the store takes nothing more for a while",
    "database_gone": "the store answers nothing to the end of the run",
    "taken_over": "silent for too long: another worker does all the work, then this one goes on",
    "meanwhile": "somebody edits, enters, merges or deletes in the middle of a run",
}
_EVENTS = {
    "enter": "a company is entered, in one system or in both",
    "prospect": "sales enters a prospect",
    "promote": "a prospect becomes a customer",
    "edit": "a field is edited",
    "edit_both": "the same field is edited in both systems",
    "delete": "a record is deleted",
    "restore": "a record is taken out of the trash",
    "merge": "two records are merged",
    "decide": "a person decides a conflict",
    "answer": "a person answers a proposed pair",
    "sync": "a run over everything",
    "poll": "a look at one or both systems",
    "hint": "a hint comes: late, twice, out of order, or never",
    "press": "a button is pressed for one record",
    "restart": "Koppel is started anew",
    "wait": "a minute to a week goes by",
    "skew": "a system's clock is 10 minutes ahead or behind",
    "daylight": "the clocks go forward or back by an hour",
    "outage": "a system is away for an hour, a day or seven days",
    "keep_store": "Koppel's store is backed up",
    "put_store_back": "Koppel's store is put back from a backup",
    "keep_system": "a system is backed up",
    "put_system_back": "a system is put back from a backup",
    "quote": "a quote is written",
    "hand_over": "an order is handed over, once or twice",
    "orders": "a look at what is due of orders",
}

_PAGE = """# Reliability

*Written by `make chaos ARGS="--docs docs/reliability.md"`; do not edit it by hand.*

## What is promised

Whatever fails and whenever it does, once both systems and Koppel are back:

1. both sides agree, but for what a person is asked about,
2. what a person typed last stands in both systems, or in the inbox with its value,
3. no record is there twice,
4. no order is there twice, and each that arrived is whole, to the cent,
5. where an owner's value replaced another one, a notice says so and keeps the lost value,
6. nothing is left open: no write of which the outcome is unknown, no run that goes on for ever.

## How it is shown

A *life* is drawn from one number, its seed: two systems with manners of their own (what they tell
of changes and deletions, what they cut, round and write in capitals, in which order they answer),
people at work in both, and trouble at any call, at any statement to the store and at any instant
between. It is played against the real engine, the real order processes and a real store; only the
two systems are in memory, and threads take turns, so that the same seed is the same life for ever.
Then all trouble ends, Koppel goes on until there is nothing left to do, and all promises are
checked. A life that breaks one is made short, kept in `tests/scenarios/kept`, and played in every
run of the tests from then on:
`tests/scenarios/test_chaos.py::test_a_life_that_once_failed_ends_well`.

```sh
make chaos                              # some thousand lives
make chaos SEEDS=20000 START=100000     # others
python -m koppel.testing.simulation --show 4711
```

`make test` plays the first {short} seeds. The same kinds of trouble are brought upon real systems,
over HTTP through a proxy that fails on demand, by SIGKILL, and on PostgreSQL:
`tests/scenarios/test_real_kill.py`, `tests/scenarios/test_taken_for_dead.py`,
`tests/scenarios/test_real_trouble.py`. Their own clocks are set, ten minutes off and through the
hour that comes twice in autumn: `tests/scenarios/test_real_clocks.py`.

## The last long run

{day}: **{seeds} lives** (seeds {first} to {last}) in {seconds:.0f} s on {jobs} processes
({rate:.1f} a second), {events} events, {calls} calls to the two systems, {ahead} records read
ahead, {held} plans held for a person. **Every life ended well.**

| trouble | struck | |
|---|---:|---|
{troubles}

| event | times | |
|---|---:|---|
{happened}

## What it has found

Each was a fault of Koppel, is put right, and is played again in every run of the tests.

{kept}
"""


def write(
    path: Path, start: int, seeds: int, seconds: float, jobs: int, counts: Mapping[str, int]
) -> None:
    """Write the page from the counts of a run in which no life failed."""
    path.write_text(
        _PAGE.format(
            short=f"{IN_EVERY_RUN:,}",
            day=f"{datetime.now(UTC):%Y-%m-%d}",
            seeds=f"{seeds:,}",
            first=start,
            last=start + seeds - 1,
            seconds=seconds,
            jobs=jobs,
            rate=seeds / seconds,
            events=f"{counts.get('events', 0):,}",
            calls=f"{counts.get('calls', 0):,}",
            ahead=f"{counts.get('read ahead', 0):,}",
            held=f"{counts.get('held plans', 0):,}",
            troubles=_rows(_TROUBLES, "trouble", counts),
            happened=_rows(_EVENTS, "event", counts),
            kept=_kept(),
        ),
        encoding="utf-8",
    )


def _rows(words: Mapping[str, str], kind: str, counts: Mapping[str, int]) -> str:
    return "\n".join(
        f"| {name.replace('_', ' ')} | {counts.get(f'{kind} {name}', 0):,} | {text} |"
        for name, text in words.items()
    )


def _kept() -> str:
    from koppel.testing.simulation.playing import load

    lines = []
    for path in sorted(KEPT.glob("*.json")):
        life = load(path)
        lines.append(f"* {life.about} (`{path.stem}`, {len(life.events)} events)")
    return "\n".join(lines) or "Nothing yet."
