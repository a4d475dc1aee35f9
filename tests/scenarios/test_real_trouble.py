"""Trouble upon the two real systems: every kind of fault over HTTP, clocks that differ, a week of
outage, two workers at once, and an ERP that is put back from a backup and gives its ids out again.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from koppel.config import now
from koppel.connectors.base import Connector, Record
from koppel.engine import Engine
from koppel.errors import KoppelError, TryLater
from koppel.store import Store
from koppel.store.secrets import find_key
from koppel.store.work_models import Lease
from koppel.testing.chaos import FaultProxy, Kind
from lab.creme_human import CremeHuman
from lab.tryton_human import TrytonHuman
from tests.scenarios.real import ORGANISATION, PARTY, RealPair

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

NAME = "Trouble Turbinen AG"


@dataclass
class Desk:
    """The pair behind two proxies, with a store of its own, and a person on each side."""

    pair: RealPair
    clara: CremeHuman
    admin: TrytonHuman
    look: Mapping[str, Connector]
    crm: FaultProxy
    erp: FaultProxy
    organisation: str = ""
    party: str = ""
    typed: int = 0

    @contextmanager
    def engine(self, ahead: timedelta = timedelta(0), **seams: Any) -> Iterator[Engine]:
        """A Koppel whose clock is so much ahead of everybody else's."""

        def clock() -> datetime:
            return now() + ahead

        with self.pair.engine():
            engine = Engine(Store(clock, find_key(self.pair.home)), **seams)
            try:
                yield engine
            finally:
                engine.close()

    def sync(self, ahead: timedelta = timedelta(0)) -> int:
        """One run; how much it wrote."""
        with self.engine(ahead) as engine:
            run = engine.sync(user="test")
            assert run.state == "done", run.reasons
            return int(run.counts["writes"])

    def stopped(self, ahead: timedelta = timedelta(0)) -> str:
        """A run that trouble may stop: why, where it did."""
        with self.engine(ahead) as engine:
            try:
                engine.sync(user="test")
            except KoppelError as error:
                return str(error)
        return ""

    def type_phone(self) -> str:
        """Clara types another phone number into Creme."""
        self.typed += 1
        phone = f"+49 30 77{self.typed:05}"
        self.clara.edit(ORGANISATION, self.organisation, {"phone": phone})
        return phone.replace(" ", "")

    def type_name(self) -> str:
        """Somebody renames the party in Tryton."""
        self.typed += 1
        name = f"{NAME} {self.typed}"
        self.admin.edit(PARTY, self.party, {"name": name})
        return name

    def phone(self) -> str:
        """The party's phone number in Tryton."""
        ways = self.fields("erp", PARTY, self.party)["contact_mechanisms"]
        return str(next(w["value"] for w in ways if w["type"] == "phone")).replace(" ", "")

    def name(self) -> str:
        """The organisation's name in Creme."""
        return str(self.fields("crm", ORGANISATION, self.organisation)["name"])

    def fields(self, side: str, resource: str, id: str) -> Mapping[str, Any]:
        found = self.look[side].fetch(resource, [id])[id]
        assert isinstance(found, Record)
        return found.fields

    def assert_once(self) -> None:
        """One coupling of the two, and nothing open."""
        with self.engine() as engine:
            store = engine.store
            rows = store.couplings.by_record("partner", "crm", [self.organisation])
            assert rows[self.organisation].erp_id == self.party
            assert not store.journal.open_intents()
            assert not store.inbox.quarantine()


@pytest.fixture(scope="module")
def desk(real_pair: RealPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home, kept = tmp_path_factory.mktemp("trouble"), real_pair.home
    real_pair.home = home
    clara, admin = CremeHuman.salesperson(real_pair.creme), TrytonHuman.admin(real_pair.tryton)
    with (
        real_pair.connectors() as look,
        FaultProxy(real_pair.creme.url) as crm,
        FaultProxy(real_pair.tryton.url) as erp,
    ):
        try:
            real_pair.init()
            made = Desk(real_pair, clara, admin, look, crm, erp)
            with real_pair.engine() as engine:
                for name, proxy in (("creme", crm), ("tryton", erp)):
                    row = engine.store.connections.get(name)
                    row.config = {**row.config, "url": proxy.url}
                    row.save(update_fields=["config"])
            made.organisation = clara.create(
                ORGANISATION, {"name": NAME, "phone": "+49 30 7700000", "roles": ["customer"]}
            )
            made.sync()
            with real_pair.engine() as engine:
                rows = engine.store.couplings.by_record("partner", "crm", [made.organisation])
                made.party = str(rows[made.organisation].erp_id)
            made.sync()
            yield made
        finally:
            real_pair.home = kept
            clara.close()
            admin.close()


FAULTS: list[tuple[Kind, int]] = [
    ("refuse", 0), ("slow", 0), ("cut", 0), ("drop_reply", 0), ("lose", 0), ("status", 401),
    ("status", 429), ("status", 500), ("html", 0), ("not_json", 0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), FAULTS, ids=[f"{k}{c or ''}" for k, c in FAULTS])
def test_a_fault_of_any_kind_at_a_read_and_at_a_write_of_either_system_is_survived(
    desk: Desk, kind: Kind, code: int
) -> None:
    phone, name = desk.type_phone(), desk.type_name()
    # What reads comes first; the second fault of each side strikes later, at a write or near it.
    faults = [
        proxy.fault(kind, after=place, code=code or 500, seconds=0.5)
        for proxy in (desk.crm, desk.erp)
        for place in (0, 3)
    ]
    for _ in range(2):
        desk.stopped()
        connections.close_all()
    desk.crm.clear()
    desk.erp.clear()
    assert sum(fault.hits for fault in faults) or kind == "refuse"
    # A gate that closed meanwhile is closed for some minutes at most.
    desk.sync(timedelta(minutes=10))
    assert (desk.phone(), desk.name()) == (phone, name)
    assert desk.sync(timedelta(minutes=10)) == 0
    desk.assert_once()


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)])
def test_a_clock_that_is_ten_minutes_off_loses_no_change(desk: Desk, ahead: timedelta) -> None:
    for _ in range(2):
        phone, name = desk.type_phone(), desk.type_name()
        desk.sync(ahead)
        assert (desk.phone(), desk.name()) == (phone, name)
    assert desk.sync(ahead) == 0
    desk.assert_once()


@pytest.mark.parametrize("side", ["crm", "erp"])
def test_people_work_on_through_seven_days_without_the_other_system(desk: Desk, side: str) -> None:
    proxy = desk.crm if side == "crm" else desk.erp
    wanted = ""
    with proxy.fault("refuse"):
        for day in range(7):
            wanted = desk.type_name() if side == "crm" else desk.type_phone()
            assert desk.stopped(timedelta(days=day))
    desk.sync(timedelta(days=7))
    assert wanted in (desk.phone(), desk.name())
    assert desk.sync(timedelta(days=7)) == 0
    desk.assert_once()


def test_who_was_cut_off_and_wakes_up_doubles_nothing(desk: Desk) -> None:
    name = f"Trouble Zwilling {desk.typed} GmbH"
    desk.clara.create(
        ORGANISATION, {"name": name, "phone": "+49 40 1112222", "roles": ["customer"]}
    )
    phone = desk.type_phone()
    asleep, wake = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def boundary(where: str) -> None:
        if where == "intents journalled" and not asleep.is_set():
            asleep.set()
            assert wake.wait(120)

    def first() -> None:
        engine = Engine(Store(now, find_key(desk.pair.home)), boundary=boundary)
        try:
            engine.sync(user="first")
        except TryLater as error:
            failed.append(error)
        finally:
            engine.close()
            connections.close_all()

    with desk.pair.engine():
        thread = threading.Thread(target=first)
        thread.start()
        assert asleep.wait(120)
        Lease.objects.filter(name__startswith="pair").update(until=now())
        engine = Engine(Store(now, find_key(desk.pair.home)))
        assert engine.sync(user="second").state == "done"
        engine.close()
        wake.set()
        thread.join(120)
    assert "taken the work over" in str(failed[0])
    assert len(desk.look["erp"].find(PARTY, {"name": name}, 5)) == 1
    assert desk.phone() == phone
    assert desk.sync() == 0
    desk.assert_once()


def test_an_erp_that_was_put_back_gives_an_id_out_again_and_nobody_becomes_another(
    desk: Desk,
) -> None:
    pair, template = desk.pair, f"trouble-{desk.pair.instance}"
    lost = f"Verlorene Walzen {desk.typed} GmbH"
    pair._tryton.snapshot(template, pair.instance)
    try:
        crm = desk.clara.create(
            ORGANISATION,
            {"name": lost, "phone": "+49 41 333444", "email": "info@walzen.example",
             "roles": ["customer"]},
        )  # fmt: skip
        desk.sync()
        (before,) = desk.look["erp"].find(PARTY, {"name": lost}, 5)
        port = int(pair.tryton.extra["port"])
        pair._tryton.reset(pair.instance, template)
        pair._tryton.start(pair.instance, template, port)
    finally:
        shutil.rmtree(pair._tryton._template_folder(template), ignore_errors=True)
    with pair.connectors() as look:
        # Tryton counts its ids on from where the backup stood.
        admin = TrytonHuman.admin(pair.tryton)
        new = admin.create(PARTY, {"name": "Neue Wellen KG"})
        admin.edit(
            PARTY, new, {"contact_mechanisms": [{"type": "email", "value": "a@wellen.example"}]}
        )
        admin.close()
        assert new == before.id
        desk.sync(timedelta(minutes=30))
        desk.sync(timedelta(minutes=30))
        kept = look["crm"].fetch(ORGANISATION, [crm])[crm]
        assert isinstance(kept, Record)
        assert kept.fields["name"] == lost
        assert kept.fields["email"] == "info@walzen.example"
        assert len(look["crm"].find(ORGANISATION, {"name": "Neue Wellen KG"}, 5)) == 1
        assert desk.sync(timedelta(minutes=30)) == 0
