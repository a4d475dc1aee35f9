"""What people answer to proposed pairs of which one record is coupled already."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from koppel.engine import hand
from koppel.engine.watch import Pace, Watch
from koppel.errors import NeedsUser
from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.pair import PairOfSystems


@pytest.fixture
def proposed(pair: PairOfSystems) -> tuple[PairOfSystems, int]:
    """One coupled pair, and its company a second time in the CRM, proposed to a person."""
    partner = next(iter(partners(1)))
    pair.crm_human.create("organisation", crm_fields(partner))
    pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    assert pair.store.couplings.count("partner", "active") == 1
    pair.crm_human.create("organisation", crm_fields(partner))
    pair.sync()
    (review,) = pair.store.inbox.reviews()
    return pair, review.id


def test_a_record_that_is_coupled_cannot_be_called_the_same_as_a_third(
    proposed: tuple[PairOfSystems, int],
) -> None:
    pair, number = proposed
    with pytest.raises(NeedsUser, match="coupled to another record already"):
        hand.answer(pair.store, number, "same", by="eva")
    assert [review.id for review in pair.store.inbox.reviews()] == [number]
    assert pair.sync().state == "done"


def test_a_duplicate_called_different_leaves_the_coupled_pair_alone(
    proposed: tuple[PairOfSystems, int],
) -> None:
    pair, number = proposed
    hand.answer(pair.store, number, "different", by="eva")
    run = pair.sync()
    parties = [row for row in pair.erp.table("party").rows.values() if not row.gone]
    organisations = [row for row in pair.crm.table("organisation").rows.values() if not row.gone]
    assert run.state == "done"
    assert len(organisations) == 2
    assert len(parties) <= 2
    assert pair.sync().counts.get("writes", 0) == 0


def test_a_defect_in_a_run_is_told_and_does_not_end_the_watch(
    pair: PairOfSystems, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(pair.engine, lambda: datetime.now(UTC), Pace())

    def broken() -> None:
        raise ZeroDivisionError("a defect")

    with caplog.at_level(logging.ERROR):
        assert watch._guarded(pair.engine(), broken) is False
    assert "a defect" in watch.last_error
    assert "a defect stopped the run" in caplog.text
