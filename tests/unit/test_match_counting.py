"""Counting how common words are: exact while there are few, within bounds when there are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from koppel.engine import pairing
from koppel.engine.pairing import _counted
from koppel.sync.match import features


def encoded(many: int) -> Iterator[bytes]:
    """Every company has a word that all have and one of its own, and each tenth one more."""
    for number in range(many):
        name = f"Hydraulik Eigen{number}" + (" Zehntel" if number % 10 == 0 else "")
        yield msgspec.msgpack.encode(features("partner", {"kind": "company", "name": name}))


def test_few_words_are_counted_exactly() -> None:
    counts = _counted(encoded(100))
    assert (counts["hydraulik"], counts["zehntel"], counts["eigen7"]) == (100, 10, 1)


def test_of_many_words_the_common_ones_stay_and_their_number_is_bounded() -> None:
    counts = _counted(encoded(1000), most=50)
    assert len(counts) <= 50
    assert counts["hydraulik"] == 1000


def test_forgetting_is_seldom_even_where_every_word_is_there_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = 0

    class Watched(pairing.Counter[str]):
        def __init__(self, *given: Any) -> None:
            nonlocal made
            made += 1
            super().__init__(*given)

    monkeypatch.setattr(pairing, "Counter", Watched)
    twice = [row for row in encoded(1000) for _ in range(2)]
    assert len(_counted(twice, most=100)) <= 100
    # Each time half of the words go: two thousand records, fifty new words between.
    assert made < 120
