"""Pages that are on their way together: none is sent after one that did not get through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from koppel.connectors.base import Connector, Write
from koppel.connectors.memory_system import Behaviour
from koppel.errors import Defect, KoppelError, TryLater
from koppel.store.models import Journal
from koppel.testing.generated import erp_fields, memory_crm, partners
from tests.scenarios.pair import PairOfSystems, make_pair

BATCH = 20
PAGE = 60
"""Writes of a page: as many whole batches as make sixty."""
SIZE = 10 * PAGE


@pytest.fixture
def pair(tmp_path: Path, store_template: Path) -> PairOfSystems:
    crm = memory_crm(Behaviour(max_write=BATCH))
    pair = make_pair(tmp_path, store_template, entities=("partner",), crm=crm)
    for partner in partners(SIZE):
        pair.erp_human.create("party", erp_fields(partner))
    return pair


class Failing:
    """Fails at one call to write, and counts all that are asked of it."""

    def __init__(self, inner: Connector, at: int, error: KoppelError) -> None:
        self._inner = inner
        self._at = at
        self._error = error
        self.asked = 0

    def write(self, batch: Sequence[Write]) -> Any:
        self.asked += 1
        if self.asked == self._at:
            raise self._error
        return self._inner.write(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def made(pair: PairOfSystems) -> int:
    return len(list(pair.crm.table("organisation").living()))


@pytest.mark.parametrize("error", [TryLater("away"), Defect("broken")], ids=["away", "broken"])
@pytest.mark.parametrize("at", [1, 5, 6])
def test_nothing_is_sent_after_a_page_that_did_not_get_through(
    pair: PairOfSystems, at: int, error: KoppelError
) -> None:
    failing = Failing(pair.connectors["crm"], at, error)
    inner: Any = failing
    pair.wrap = lambda name, there: inner if name == "crm" else there
    engine = pair.engine()
    run = engine.plan()
    with pytest.raises(type(error)):
        engine.apply(run, approve=True)
    assert failing.asked == at
    assert made(pair) == (at - 1) * BATCH
    # What was laid ready behind it: not done, or found out about before anything is planned anew.
    pair.wrap = lambda name, there: there
    pair.engine().apply(pair.engine().plan(), approve=True)
    assert made(pair) == SIZE
    assert pair.store.couplings.count("partner", "active") == SIZE
    assert not Journal.objects.filter(state="intent").exists()
    assert pair.sync().counts["writes"] == 0
