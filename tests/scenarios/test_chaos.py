"""Simulated lives: the first seeds, and every life that ever failed.

`make chaos` plays thousands of others. A life that fails there is made short and put into `kept/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from koppel.engine.intake import Intake
from koppel.testing.simulation import IN_EVERY_RUN
from koppel.testing.simulation.events import draw
from koppel.testing.simulation.playing import Result, Stage, load, save, shrink

KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))
SEEDS = 50


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where lives are played."""
    with Stage() as found:
        yield found


def assert_all_is_well(result: Result) -> None:
    told = "\n".join([f"seed {result.life.seed}", *result.trace, "", *result.wrong])
    assert result.ok, told


@pytest.mark.parametrize("path", KEPT, ids=[path.stem for path in KEPT])
def test_a_life_that_once_failed_ends_well(stage: Stage, path: Path) -> None:
    assert_all_is_well(stage.play(load(path)))


@pytest.mark.parametrize("group", range(IN_EVERY_RUN // SEEDS))
def test_whatever_happens_both_sides_agree_and_nothing_is_lost_or_doubled(
    stage: Stage, group: int
) -> None:
    for seed in range(group * SEEDS, (group + 1) * SEEDS):
        assert_all_is_well(stage.play(draw(seed)))


def test_one_seed_is_one_run(stage: Stage) -> None:
    one, two = stage.play(draw(5)), stage.play(draw(5))
    assert one.trace == two.trace
    assert one.counts == two.counts


def test_a_planted_fault_is_found_made_short_and_kept(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Intake, "newcomers", lambda self, sides: None)
    found = next(
        result for seed in range(60) if not (result := stage.play(draw(seed, length=12))).ok
    )
    short = shrink(found.life, lambda life: not stage.play(life).ok)
    assert len(short.events) <= 4
    save(short, tmp_path / "kept.json")
    again = load(tmp_path / "kept.json")
    assert again == short
    assert stage.play(again).wrong == stage.play(short).wrong != []
