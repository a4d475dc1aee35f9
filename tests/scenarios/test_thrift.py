"""What a run does once, and not again for each place that needs it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from koppel.connectors.base import Record
from koppel.engine.audit import Auditor
from koppel.mapping.compiled import Mapper
from koppel.testing.generated import fill_crm, fill_erp
from tests.scenarios.pair import PairOfSystems

MANY = 12


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each record was mapped."""
    counts: Counter[str] = Counter()
    get = Mapper.get

    def counted(self: Mapper, record: Record, *arguments: Any, **named: Any) -> dict[str, Any]:
        counts[f"{record.resource} {record.id}"] += 1
        return get(self, record, *arguments, **named)

    monkeypatch.setattr(Mapper, "get", counted)
    return counts


def test_a_plan_takes_what_reading_has_mapped(pair: PairOfSystems, mapped: Counter[str]) -> None:
    fill_crm(pair.crm, MANY, contacts=0)
    fill_erp(pair.erp, MANY, contacts=0)
    run = pair.engine().plan(["partner"])
    kinds = pair.store.runs.count_steps(run)
    assert kinds["couple"] == MANY
    assert set(mapped.values()) == {1}
    assert len(mapped) == 2 * MANY


def test_a_record_that_is_to_be_created_is_mapped_once(
    pair: PairOfSystems, mapped: Counter[str]
) -> None:
    fill_erp(pair.erp, MANY, contacts=0)
    run = pair.engine().plan(["partner"])
    assert pair.store.runs.count_steps(run)["create"] == MANY
    assert set(mapped.values()) == {1}
    assert len(mapped) == MANY


def test_a_plan_that_is_made_again_maps_anew(pair: PairOfSystems, mapped: Counter[str]) -> None:
    fill_erp(pair.erp, 1, contacts=0)
    pair.engine().plan(["partner"])
    (record,) = pair.erp.table("party").rows
    pair.erp_human.edit("party", record, {"name": "Umbenannt GmbH"})
    run = pair.engine().plan(["partner"])
    (step,) = [one for page in pair.store.runs.steps(run) for one in page]
    assert step.body.writes["crm"]["name"] == "Umbenannt GmbH"


def test_a_first_audit_maps_each_base_once(pair: PairOfSystems, mapped: Counter[str]) -> None:
    fill_crm(pair.crm, MANY, contacts=0)
    fill_erp(pair.erp, MANY, contacts=0)
    pair.sync()
    mapped.clear()
    engine = pair.engine()
    (found,) = Auditor(pair.store, engine.lines, progress=lambda _what, _many: None).audit(
        ["partner"]
    )
    assert found.equal == MANY
    assert set(mapped.values()) == {1}
    assert len(mapped) == 2 * MANY
