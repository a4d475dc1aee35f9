"""Taking loads back: their writes are undone, and the pairs that they made are pairs no more.

Afterwards both systems and the store stand as before the load, so that it can be made again. What a
person has edited since is left as it is, and its pair stays coupled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import transaction
from msgspec import Struct, field

from koppel.engine.runner import Engine, steps_of
from koppel.store import Store
from koppel.store.bulk import chunks
from koppel.sync.rule import SIDES

PAGE = 200


class TakenBack(Struct, kw_only=True):
    """Which runs were undone by which, how many pairs were freed, and what was left and why."""

    runs: dict[int, int] = field(default_factory=dict)
    freed: int = 0
    kept: list[str] = field(default_factory=list)


def take_back(engine: Engine, numbers: Sequence[int], *, user: str) -> TakenBack:
    """Undo these runs, newest first. Raises as the engine does; doing it again goes on."""
    store = engine.store
    found = TakenBack()
    for number in sorted(numbers, reverse=True):
        row = store.runs.get(number)
        if row.state == "applying":
            store.runs.end(row, "interrupted")
        run = engine.apply(engine.undo(number, user=user), user=user, approve=True)
        found.runs[number] = run.id
        kept: set[str] = set()
        for step in steps_of(store, run):
            if step.state != "done" or step.body.refused:
                kept.add(step.coupling)
                found.kept.append(f"{step.label}: {step.message or ' '.join(step.body.refused)}")
        found.freed += _free(store, number, kept)
    return found


def _free(store: Store, number: int, kept: Collection[str]) -> int:
    """Forget the couplings that a run made; their records are looked at again by the next plan."""
    made = [
        step.coupling
        for step in steps_of(store, number, kinds=("couple", "create"))
        if step.coupling and step.coupling not in kept
    ]
    freed = 0
    for part in chunks(made, PAGE):
        rows = store.couplings.by_id(part)
        waiting = store.inbox.open_fields(rows)
        with transaction.atomic():
            for id, fields in waiting.items():
                store.inbox.close_conflicts(id, fields)
            store.couplings.remove(rows)
            for row in rows.values():
                for side in SIDES:
                    record = row.record(side)
                    if record:
                        store.replica.refresh(row.entity, side, [record])
                        store.inbox.wait(row.entity, side, record, reason="the load was taken back")
        freed += len(rows)
    return freed
