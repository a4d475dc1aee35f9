"""The clocks of the real systems: ten minutes off, set right, and the hour that comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from koppel.connectors.base import Record
from lab.creme_human import CremeHuman
from lab.tryton_human import TrytonHuman
from tests.scenarios.real import ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

MINUTE, HOUR = 60.0, 3600.0
ZONE = "Europe/Berlin"
END_OF_SUMMER = datetime(2027, 10, 31, 1, tzinfo=UTC)
"""In that zone it is three o'clock then, and two o'clock."""


@dataclass
class Desk:
    """People at work in a pair whose clocks are set."""

    pair: RealPair
    organisation: str = ""
    party: str = ""
    typed: int = 0

    def type(self) -> tuple[str, str]:
        """A phone number in Creme, a name in Tryton."""
        self.typed += 1
        phone, name = f"+493088{self.typed:05}", f"Uhren Ulm {self.typed} GmbH"
        clara, admin = (
            CremeHuman.salesperson(self.pair.creme),
            TrytonHuman.admin(self.pair.tryton),
        )
        clara.edit(ORGANISATION, self.organisation, {"phone": phone})
        admin.edit(PARTY, self.party, {"name": name})
        clara.close()
        admin.close()
        return phone, name

    def poll(self) -> int:
        """A look at what is told, without a sweep; how much it wrote."""
        with self.pair.engine() as engine:
            run = engine.sync(user="test", trigger="poll", sweep=False)
        assert run.state == "done", run.reasons
        return int(run.counts.get("writes", 0))

    def read(self) -> tuple[str, str]:
        """What the other system has of each."""
        with self.pair.connectors() as look:
            party = look["erp"].fetch(PARTY, [self.party])[self.party]
            organisation = look["crm"].fetch(ORGANISATION, [self.organisation])[self.organisation]
        assert isinstance(party, Record)
        assert isinstance(organisation, Record)
        ways = party.fields["contact_mechanisms"]
        phone = next(way["value"] for way in ways if way["type"] == "phone")
        return str(phone).replace(" ", ""), str(organisation.fields["name"])

    def assert_both_go_across(self) -> None:
        """Both are edited, and a look at what is told is enough to bring them across."""
        typed = self.type()
        self.poll()
        assert self.read() == typed
        assert self.poll() == 0


@pytest.fixture
def desk(real_pair: RealPair, tmp_path: Path) -> Iterator[Desk]:
    kept, real_pair.home = real_pair.home, tmp_path
    clara = CremeHuman.salesperson(real_pair.creme)
    try:
        real_pair.init()
        made = Desk(real_pair)
        made.organisation = clara.create(
            ORGANISATION,
            {
                "name": f"Uhren {tmp_path.name} GmbH",
                "phone": "+49 30 8800000",
                "roles": ["customer"],
            },
        )
        made.pair.at_rest()
        made.party = real_pair.coupled()[made.organisation]
        yield made
    finally:
        real_pair.set_clocks()
        real_pair.home = kept
        clara.close()


@pytest.mark.parametrize(("crm", "erp"), [(10, -10), (-10, 10)])
def test_systems_whose_clocks_are_ten_minutes_off_lose_no_change(
    desk: Desk, crm: int, erp: int
) -> None:
    desk.pair.set_clocks(crm=crm * MINUTE, erp=erp * MINUTE)
    desk.assert_both_go_across()


def test_a_clock_that_is_set_right_again_loses_no_change(desk: Desk) -> None:
    desk.pair.set_clocks(crm=HOUR, erp=HOUR)
    desk.assert_both_go_across()
    desk.pair.set_clocks(crm=-10 * MINUTE, erp=-10 * MINUTE)
    typed = desk.type()
    desk.pair.set_clocks()
    desk.poll()
    assert desk.read() == typed
    desk.assert_both_go_across()


def test_what_is_edited_in_the_hour_that_comes_twice_goes_across(desk: Desk) -> None:
    with desk.pair.engine() as engine:
        row = engine.store.connections.get("tryton")
        row.config = {**row.config, "timezone": ZONE}
        row.save(update_fields=["config"])
    now = datetime.now(UTC)
    for minutes in (-2, 1, 61):
        # Two minutes to three, one minute past two, and past three at last.
        ahead = (END_OF_SUMMER - now).total_seconds() + minutes * MINUTE
        desk.pair.set_clocks(erp=ahead, zone=ZONE)
        desk.assert_both_go_across()
