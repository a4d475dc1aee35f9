"""What hints are about is read while the run before writes, and nothing is lost by that."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from koppel.connectors.base import Connector, Gone, Outcome, Record, Write
from koppel.engine import Engine
from koppel.engine.ahead import Given, ReadAhead
from koppel.engine.hints import Hint, Hints
from koppel.errors import TryLater
from koppel.store.models import Run
from koppel.testing.chaos import FaultPlan, FaultyConnector
from koppel.testing.generated import fill_crm, fill_erp
from koppel.testing.simulation.turns import Turns
from tests.scenarios.pair import PairOfSystems, make_pair

MANY = 3


class Seen(FaultyConnector):
    """Counts what is read, and lets something happen when something was read or written."""

    def __init__(self, inner: Connector, house: House) -> None:
        super().__init__(inner, FaultPlan())
        self._house = house

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        self._house.fetched.update(f"{resource} {record}" for record in ids)
        if resource in self._house.away:
            raise TryLater(f"{resource} is away")
        found = super().fetch(resource, ids)
        self._house.meanwhile()
        return found

    def write(self, writes: Sequence[Write]) -> list[Outcome]:
        answers = list(super().write(writes))
        self._house.meanwhile()
        return answers


class House:
    """A coupled pair of a few partners, whose systems hint at each edit."""

    def __init__(self, pair: PairOfSystems, chance: random.Random) -> None:
        self.pair = pair
        self.hints = Hints()
        self.fetched: Counter[str] = Counter()
        self.away: set[str] = set()
        self.plans: list[Callable[[], None]] = []
        fill_crm(pair.crm, MANY, contacts=0)
        fill_erp(pair.erp, MANY, contacts=0)
        pair.sync()
        pair.sync()
        pair.wrap = lambda _name, inner: Seen(inner, self)
        self.engine = Engine(
            pair.store,
            connect=pair._connect,
            new_id=lambda: f"{next(pair._ids):032x}",
            pool=lambda _many: Turns(chance, lambda: False),
        )
        rows = [row for row in pair.store.couplings.each("partner") if row.state == "active"]
        self.crm = [str(row.crm_id) for row in rows]
        self.erp = [str(row.erp_id) for row in rows]

    def meanwhile(self) -> None:
        """The next of what happens while Koppel works."""
        if self.plans:
            self.plans.pop(0)()

    def edit(self, side: str, place: int, value: str) -> None:
        """A person edits a field, and the system hints at it."""
        if side == "crm":
            record = self.crm[place]
            self.pair.crm_human.edit("organisation", record, {"phone": value})
            self.hints.add(("partner", "crm", record))
        else:
            record = self.erp[place]
            self.pair.erp_human.edit("party", record, {"language": value})
            self.hints.add(("partner", "erp", record))

    def run(self) -> Run:
        """One run for the hints, as the watch does it."""
        return self.run_for(*self.hints.take())

    def run_for_first(self, many: int) -> Run:
        """One run for the first of so many hints; the others come in while it is under way."""
        hints, early = self.hints.take()
        assert (len(hints), early) == (many, {})
        for hint in hints[1:]:
            self.hints.add(hint)
        return self.run_for(hints[:1], early)

    def run_for(self, hints: Sequence[Hint], early: Given) -> Run:
        """One run for these hints."""
        selection: dict[str, dict[Any, list[str]]] = {}
        for entity, side, record in hints:
            selection.setdefault(entity, {}).setdefault(side, []).append(record)
        ahead = ReadAhead(self.pair.store, self.hints.following)
        run = self.engine.sync(
            selection=selection, trigger="hint", sweep=False, given=early, ahead=ahead
        )
        self.hints.found(ahead.found())
        return run

    def in_erp(self, place: int) -> str:
        """What the ERP has of a partner, without spaces."""
        return str(self.pair.erp.table("party").rows[self.erp[place]].fields).replace(" ", "")


@pytest.fixture
def house(pair: PairOfSystems) -> House:
    return House(pair, random.Random(7))


def test_what_is_hinted_at_while_a_run_writes_is_read_by_then(house: House) -> None:
    house.edit("crm", 0, "+49 30 100")
    house.edit("crm", 1, "+49 30 110")
    house.edit("crm", 2, "+49 30 120")
    house.fetched.clear()
    house.run_for_first(3)
    assert house.fetched == {f"organisation {one}": 1 for one in house.crm[:3]}
    house.edit("crm", 1, "+49 30 111")
    house.run()
    # The one that was edited once more was read once more.
    assert house.fetched[f"organisation {house.crm[2]}"] == 1
    assert house.fetched[f"organisation {house.crm[1]}"] == 2
    assert "+4930111" in house.in_erp(1)
    assert "+4930120" in house.in_erp(2)


def test_where_reading_ahead_fails_the_next_run_reads(house: House) -> None:
    house.edit("crm", 0, "+49 30 200")
    house.edit("crm", 1, "+49 30 210")

    def gone() -> None:
        house.away.add("organisation")

    house.plans = [gone]
    assert house.run_for_first(2).state == "done"
    house.away.clear()
    house.run()
    assert "+4930210" in house.in_erp(1)


def test_what_a_run_in_between_has_moved_is_read_again(house: House) -> None:
    house.edit("crm", 0, "+49 30 300")
    house.edit("crm", 1, "+49 30 310")
    house.run_for_first(2)
    # Somebody presses the button for it, and the base moves.
    house.pair.crm_human.edit("organisation", house.crm[1], {"phone": "+49 30 311"})
    house.pair.sync(selection={"partner": {"crm": [house.crm[1]]}}, trigger="button")
    house.fetched.clear()
    house.run()
    assert house.fetched[f"organisation {house.crm[1]}"] == 1
    assert "+4930311" in house.in_erp(1)
    assert house.pair.sync().counts["writes"] == 0


EDITS = st.tuples(st.sampled_from(["crm", "crm", "erp"]), st.integers(0, 1), st.integers(100, 999))
TURNS = st.lists(st.one_of(EDITS, st.none()), min_size=4, max_size=24)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    before=TURNS,
    during=st.lists(st.lists(EDITS, max_size=3), min_size=4, max_size=12),
    seed=st.integers(0),
)
def test_whatever_is_edited_when_no_edit_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    store_template: Path,
    before: list[tuple[str, int, int] | None],
    during: list[list[tuple[str, int, int]]],
    seed: int,
) -> None:
    house = House(make_pair(tmp_path_factory.mktemp("ahead"), store_template), random.Random(seed))

    def happen(edits: Sequence[tuple[str, int, int]]) -> None:
        for side, place, number in edits:
            language = ("de", "en", "fr")[number % 3]
            house.edit(side, place, f"+49 30 5{number}" if side == "crm" else language)

    house.plans = [lambda edits=edits: happen(edits) for edits in during]  # type: ignore[misc]
    for turn in before:
        if turn is None:
            house.run()
        else:
            happen([turn])
    turns = 0
    while house.hints or house.plans:
        house.plans = house.plans if house.hints else []
        house.run()
        turns += 1
        assert turns < 60
    # A poll sees every change: that it has nothing to write shows that no hint was lost.
    assert house.pair.sync().counts["writes"] == 0
