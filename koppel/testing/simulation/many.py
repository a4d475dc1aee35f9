"""Playing many lives on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

CHUNK = 20
"""Seeds that a process plays before it tells of them."""


class Told(msgspec.Struct):
    """What came of some seeds."""

    seeds: int
    counts: dict[str, int]
    failures: list[tuple[int, list[str], Any]]


def play_some(task: tuple[Sequence[int], bool]) -> Told:
    """Play these seeds, one after the other, in this process."""
    seeds, shorten = task
    from koppel.store.opening import setup_django

    setup_django()
    from koppel.testing.simulation.events import draw
    from koppel.testing.simulation.playing import Stage, shrink

    counts: Counter[str] = Counter()
    failures: list[tuple[int, list[str], Any]] = []
    with Stage() as stage:
        for seed in seeds:
            result = stage.play(draw(seed))
            counts += result.counts
            if result.ok:
                continue
            life = result.life
            if shorten:
                life = shrink(life, lambda one: not stage.play(one).ok)
            failures.append((seed, result.wrong, life))
    return Told(len(seeds), dict(counts), failures)


def play(start: int, seeds: int, jobs: int, shorten: bool) -> Iterator[Told]:
    """All of these seeds, on so many processes."""
    # Sets of texts are in another order in each process otherwise: the same seed, the same run.
    os.environ["PYTHONHASHSEED"] = "0"
    last = start + seeds
    tasks = [(range(at, min(at + CHUNK, last)), shorten) for at in range(start, last, CHUNK)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(play_some, tasks)
