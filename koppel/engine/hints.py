"""The hints that wait: each record once, and those first whose records were read ahead."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from koppel.engine.ahead import Early
from koppel.sync.rule import Side

Hint = tuple[str, Side, str]
"""Entity, side and native id of a record that may have changed."""

MOST = 5000
"""More hints than this at once are dropped: the next poll finds what they were about."""


def selection_of(hints: Iterable[Hint]) -> dict[str, dict[Side, list[str]]]:
    """Hints as a run takes them: entity -> side -> records."""
    chosen: dict[str, dict[Side, list[str]]] = {}
    for entity, side, record in hints:
        chosen.setdefault(entity, {}).setdefault(side, []).append(record)
    return chosen


class Hints:
    """Not for two threads at once; whoever shares it locks it.

    A hint whose record is being read ahead has left the queue: if the record is hinted at once
    more, it was edited after it was read, perhaps, and is read again.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hint, None] = {}
        self._early: dict[Hint, None] = {}
        self._given: Mapping[Hint, Early] = {}
        self.since = 0.0
        """When the first of those that wait came, on the steady clock."""

    def __bool__(self) -> bool:
        return bool(self._waiting or self._early)

    @property
    def ready(self) -> bool:
        """Were records read ahead? Then nothing is gained by waiting for more hints."""
        return bool(self._early)

    def add(self, hint: Hint) -> None:
        """A record may have changed."""
        if not self._waiting:
            self.since = time.monotonic()
        if len(self._waiting) < MOST:
            self._waiting[hint] = None

    def following(self, entity: str, side: Side, most: int) -> Sequence[str]:
        """Records that the next run will be about, to be read ahead; it is about no others."""
        chosen = [hint for hint in self._waiting if hint[:2] == (entity, side)][:most]
        for hint in chosen:
            del self._waiting[hint]
        self._early.update(dict.fromkeys(chosen))
        return [record for _, _, record in chosen]

    def found(self, given: Mapping[Hint, Early]) -> None:
        """This was read ahead."""
        self._given = given

    def take(self) -> tuple[list[Hint], Mapping[Hint, Early]]:
        """The hints of the next run, and what was read ahead of them."""
        if not self._early:
            hints, self._waiting = list(self._waiting), {}
            return hints, {}
        again = self._early.keys() & self._waiting.keys()
        for hint in again:
            # In this run all the same: a record that is edited all the time must not wait for ever.
            del self._waiting[hint]
        given = {hint: early for hint, early in self._given.items() if hint not in again}
        hints, self._early, self._given = list(self._early), {}, {}
        return hints, given
