"""The first load: couples and plans first, writes nothing until approved.

It is an ordinary run with ordinary steps, so it can be looked at, killed at any instant, taken up
again and undone like any other. What is special: it is always held until it is approved, it may
fill gaps only, and it may take a sample. How fast it goes is `koppel.engine.pace`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from django.db import transaction

from koppel.engine.runner import Engine
from koppel.store import Store, bulk
from koppel.store.models import Run, Step
from koppel.store.runs import encode_body
from koppel.sync.merge import is_empty
from koppel.sync.rule import SIDES, Side

Fill = Literal["gaps", "owned"]

HELD = "This is a first load; look at the plan and approve it."


def plan_load(
    engine: Engine,
    entities: Sequence[str] | None,
    *,
    fill: Fill = "owned",
    sample: int = 0,
    user: str = "",
) -> Run:
    """The plan of a first load, held. Nothing is written to either system.

    All uncoupled records are looked at, also those that an earlier load left out. `sample`: only
    that many of the records that something would be written for, chosen evenly; the others are
    left for the next load.
    """
    for line in engine.lines.all(entities):
        engine.store.replica.refresh_uncoupled(line.entity)
    run = engine.plan(entities, user=user, trigger="sample" if sample else "load")
    if sample:
        _sample(engine.store, run, sample)
    if fill == "gaps":
        _only_gaps(engine.store, run)
    if engine.store.runs.count_steps(run):
        engine.store.runs.update(run, state="held", reasons=[*run.reasons, HELD])
    return run


def _sample(store: Store, run: Run, many: int) -> None:
    """Leave only every n-th of the steps that write, of the first entity that has any."""
    every: dict[str, list[int]] = {}
    others: list[int] = []
    for page in store.runs.steps(run, state="planned"):
        for step in page:
            if step.body.writes:
                every.setdefault(step.entity, []).append(step.number)
            else:
                others.append(step.number)
    wanted = next(iter(every.values()), [])
    kept = set(wanted[:: max(1, len(wanted) // many)][:many])
    left = [number for numbers in every.values() for number in numbers if number not in kept]
    with transaction.atomic():
        store.runs.mark_steps(run, [*left, *others], "left", "not in the sample")
        store.runs.update(run, cursors=[])


def _only_gaps(store: Store, run: Run) -> None:
    """Take out of the plan what would replace a value; the fields that are empty stay in."""
    for page in store.runs.steps(run, kinds=("couple", "update")):
        rows: list[tuple[Any, ...]] = []
        for step in page:
            body = step.body
            kept = [change for change in body.changes if is_empty(change.old)]
            if len(kept) == len(body.changes):
                continue
            body.changes = tuple(kept)
            names = {side: {c.field for c in kept if c.side == side} for side in SIDES}
            body.writes = {
                side: fields
                for side, every in body.writes.items()
                if (fields := {n: v for n, v in every.items() if n in names[_side(side)]})
            }
            body.notices = tuple(n for n in body.notices if n.field in names[n.side])
            rows.append((encode_body(body), run.id, step.number))
        bulk.update(Step, ("body",), ("run_id", "number"), rows)


def _side(text: str) -> Side:
    return "crm" if text == "crm" else "erp"
