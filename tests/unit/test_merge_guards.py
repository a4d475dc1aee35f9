"""The guards hold a plan that looks like an accident."""

from __future__ import annotations

import pytest

from koppel.sync.guards import PlanCounts, check_guards
from koppel.sync.rule import SIDES, Guards, Side

GUARDS = Guards(deletes=0.05, changes=0.5, creates=100, least=10)


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        (PlanCounts(couplings=1000, deletes=51), "delete 51 of 1000"),
        (PlanCounts(couplings=1000, updates=501), "change 501 of 1000"),
        (PlanCounts(couplings=1000, creates={"erp": 101}, unmatched=101), "101 in the ERP"),
        (PlanCounts(couplings=5, drift=("The field 'vat' is gone.",)), "'vat'"),
    ],
)
def test_a_plan_beyond_the_rules_limits_is_held(counts: PlanCounts, word: str) -> None:
    (reason,) = check_guards(GUARDS, counts)
    assert word in reason


@pytest.mark.parametrize(
    "counts",
    [
        PlanCounts(),
        PlanCounts(couplings=1000, deletes=50, updates=500, unmatched=100),
        PlanCounts(couplings=10, deletes=9, updates=9),
        PlanCounts(couplings=0, updates=5000, seen={"crm": 0, "erp": 5000}),
        PlanCounts(couplings=1000, creates={"erp": 5000}, unmatched=0),
    ],
)
def test_an_ordinary_plan_may_run(counts: PlanCounts) -> None:
    assert check_guards(GUARDS, counts) == ()


@pytest.mark.parametrize("side", SIDES)
def test_a_side_that_is_suddenly_empty_holds_the_plan(side: Side) -> None:
    assert check_guards(GUARDS, PlanCounts(couplings=3, seen={side: 0}))
    assert check_guards(GUARDS, PlanCounts(couplings=3, empty=frozenset({side})))
    assert not check_guards(
        Guards(empty_side=False), PlanCounts(couplings=3, empty=frozenset({side}))
    )
