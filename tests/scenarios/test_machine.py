"""Two lossy systems, people at work in both, a network that fails, kills in between: the engine.

A rule-based state machine over the real engine and store. Whatever the order of what people do,
of faults, kills and syncs: both sides come to rest, no record is doubled, an owner's value stands,
and each value that Koppel replaced is in the journal, in a notice or in a conflict.

`KOPPEL_LONG=1` plays more and longer, and other games each time.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from koppel.connectors.base import Record
from koppel.connectors.memory_system import Behaviour
from koppel.engine import hand
from koppel.errors import Interrupted, TryLater
from koppel.store.codec import decode, decode_record
from koppel.store.models import Conflict, Journal
from koppel.sync.rule import SIDES, Side
from koppel.testing.chaos import FaultPlan, FaultyConnector, Kind
from koppel.testing.generated import memory_crm, memory_erp
from koppel.testing.human import MemoryHuman
from tests.scenarios.pair import PairOfSystems, make_pair

LONG = os.environ.get("KOPPEL_LONG") == "1"
RESOURCE: dict[Side, str] = {"crm": "organisation", "erp": "party"}
FAULTS: list[Kind] = ["refuse", "slow", "cut", "drop_reply", "lose", "status"]

# Names, towns and numbers that have nothing in common: who is who is not what is tried out here.
COMPANIES = (
    ("Abendroth Pumpen", "Kiel", "431"), ("Brinkmann Lacke", "Passau", "851"),
    ("Cordes Zahnräder", "Görlitz", "3581"), ("Dahlem Optik", "Emden", "4921"),
    ("Ebersbach Ventile", "Lindau", "8382"), ("Falkenberg Seile", "Trier", "651"),
    ("Gutzkow Waagen", "Stralsund", "3831"), ("Hallstein Federn", "Fulda", "661"),
    ("Isenburg Kessel", "Coburg", "9561"), ("Jessen Bohrer", "Husum", "4841"),
    ("Kniephof Farben", "Cottbus", "355"), ("Lohmeyer Ketten", "Konstanz", "7531"),
)  # fmt: skip


class PeopleAndTrouble(RuleBasedStateMachine):
    """One game. `crm` and `erp` ids stand for living records that people know of."""

    template: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="koppel-machine-"))
        self.plan = FaultPlan()
        self.pair = self._make()
        self.count = itertools.count(1)
        self.companies = iter(COMPANIES)
        self.entered: dict[tuple[Side, str, str], str] = {}
        """What a person typed last into a field of a record, as the system took it."""

    def _make(self) -> PairOfSystems:
        crm = memory_crm(
            Behaviour(lossy=True, upper=frozenset({"organisation.billing_city"})), name="crm"
        )
        erp = memory_erp(
            Behaviour(lossy=True, deletes="scan", changes="timestamp", lock="timestamp"),
            name="erp",
        )
        pair = make_pair(self.folder, self.template, entities=("partner",), crm=crm, erp=erp)
        pair.wrap = lambda name, inner: FaultyConnector(inner, self.plan)
        pair.boundary = lambda name: self.plan.end()
        return pair

    def teardown(self) -> None:
        try:
            self.everything_comes_to_rest()
        finally:
            self.pair.store.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # people

    def human(self, side: Side) -> MemoryHuman:
        return self.pair.crm_human if side == "crm" else self.pair.erp_human

    def living(self, side: Side) -> list[str]:
        system = self.pair.crm if side == "crm" else self.pair.erp
        return [row.id for row in system.table(RESOURCE[side]).living()]

    def read(self, side: Side, record: str) -> Mapping[str, Any]:
        seen = self.human(side).read(RESOURCE[side], record)
        assert seen is not None
        return seen

    def new(self, sides: tuple[Side, ...], role: str = "customer") -> None:
        company = next(self.companies, None)
        if company is None:
            return
        name, town, prefix = company
        site = f"https://{name.split()[0].lower()}.example"
        phone, email = f"+49{prefix}555000", f"info@{name.split()[0].lower()}.example"
        if "crm" in sides:
            self.pair.crm_human.create(
                "organisation",
                {"name": f"  {name} GmbH ", "role": role, "website": site, "phone": phone,
                 "email": email, "billing_city": town, "billing_country": "DE"},
            )  # fmt: skip
        if "erp" in sides:
            ways = {"website": site, "phone": phone, "email": email}
            self.pair.erp_human.create(
                "party",
                {
                    "name": f"{name} GmbH",
                    "addresses": [{"city": town, "country": "DE", "invoice": True}],
                    "contact_mechanisms": [
                        {"type": kind, "value": value} for kind, value in ways.items()
                    ],
                },
            )

    @initialize()
    def begin(self) -> None:
        self.new(("crm", "erp"))
        self.new(("crm", "erp"))

    @rule(sides=st.sampled_from([("crm",), ("erp",), ("crm", "erp")]))
    def somebody_enters_a_company(self, sides: tuple[Side, ...]) -> None:
        self.new(sides)

    @rule()
    def sales_enters_a_prospect(self) -> None:
        self.new(("crm",), role="prospect")

    @rule(data=st.data())
    def a_prospect_becomes_a_customer(self, data: st.DataObject) -> None:
        found = [id for id in self.living("crm") if self.read("crm", id)["role"] == "prospect"]
        if found:
            chosen = data.draw(st.sampled_from(found))
            self.pair.crm_human.edit("organisation", chosen, {"role": "customer"})

    @rule(data=st.data(), side=st.sampled_from(SIDES), name=st.sampled_from(["name", "email"]))
    def somebody_edits(self, data: st.DataObject, side: Side, name: str) -> None:
        # Only of a coupled record: how much of an unknown one may change until nobody can tell who
        # it is, that is what the tests of matching are about.
        found = [id for row in self.couplings() if (id := row.record(side)) in self.living(side)]
        if not found:
            return
        chosen = data.draw(st.sampled_from(found))
        number = next(self.count)
        value = f" Neuer Name {number} AG  " if name == "name" else f"edit{number}@x.example"
        self.type(side, chosen, name, value)

    def type(self, side: Side, record: str, name: str, value: str) -> None:
        fields: dict[str, Any] = {name: value}
        if side == "erp" and name == "email":
            ways = [
                {**way, "value": value} if way["type"] == "email" else way
                for way in self.read("erp", record)["contact_mechanisms"]
            ]
            if not any(way["type"] == "email" for way in ways):
                ways.append({"type": "email", "value": value})
            fields = {"contact_mechanisms": ways}
        self.human(side).edit(RESOURCE[side], record, fields)
        self.entered[side, record, name] = value.strip()

    @rule(data=st.data())
    def both_edit_the_same(self, data: st.DataObject) -> None:
        pairs = [(str(c.crm_id), str(c.erp_id)) for c in self.couplings()]
        pairs = [p for p in pairs if p[0] in self.living("crm") and p[1] in self.living("erp")]
        if pairs:
            crm, erp = data.draw(st.sampled_from(pairs))
            number = next(self.count)
            self.type("crm", crm, "email", f"crm{number}@x.example")
            self.type("erp", erp, "email", f"erp{number}@x.example")

    @rule(data=st.data(), side=st.sampled_from(SIDES))
    def somebody_deletes(self, data: st.DataObject, side: Side) -> None:
        if len(self.living(side)) > 1:
            chosen = data.draw(st.sampled_from(self.living(side)))
            self.human(side).delete(RESOURCE[side], chosen)

    @rule(data=st.data(), side=st.sampled_from(SIDES))
    def somebody_merges_two(self, data: st.DataObject, side: Side) -> None:
        if len(self.living(side)) > 2:
            one, two = data.draw(st.permutations(self.living(side)))[:2]
            self.human(side).merge(RESOURCE[side], one, two)

    @rule(data=st.data(), says=st.sampled_from(["crm", "erp"]))
    def a_person_decides(self, data: st.DataObject, says: str) -> None:
        found = self.pair.store.inbox.conflicts()
        if found:
            chosen = data.draw(st.sampled_from([row.id for row in found]))
            row = self.pair.store.inbox.conflict(chosen)
            hand.resolve(self.pair.store, chosen, says if row.field else "uncouple", by="somebody")

    # Koppel

    def couplings(self) -> list[Any]:
        rows = self.pair.store.couplings.each("partner")
        return [row for row in rows if row.state == "active"]

    @rule()
    def sync(self) -> None:
        self.run()

    def run(self) -> int:
        """One run, approved where a guard asks; how much it wrote."""
        for side in SIDES:
            while self.pair.store.gates.closed(side)[0]:
                pass  # Each look at the clock moves it on by a second.
        engine = self.pair.engine()
        run = engine.sync()
        if run.state == "held":
            run = engine.apply(run, approve=True)
        assert run.state == "done"
        return int(run.counts["writes"])

    @rule(kind=st.sampled_from(FAULTS), place=st.integers(0, 14))
    def a_sync_meets_trouble(self, kind: Kind, place: int) -> None:
        try:
            with self.plan.fault(kind, after=place):
                self.run()
        except TryLater:
            pass  # The next run takes it up again: that is what the invariants are about.

    @rule(boundary=st.integers(1, 40))
    def a_sync_is_killed(self, boundary: int) -> None:
        self.plan.kill_at(boundary)
        try:
            self.run()
        except Interrupted:
            pass
        finally:
            self.plan.clear()

    # what holds

    @precondition(lambda self: bool(self.entered))
    @rule()
    def everything_comes_to_rest(self) -> None:
        self.plan.clear()
        for _ in range(4):
            if not self.run():
                break
        assert self.run() == 0, "it goes on writing"
        assert self.pair.store.journal.open_intents() == []
        assert [row.reason for row in self.pair.store.inbox.quarantine()] == []
        self.check_nothing_doubled_or_left_out()
        self.check_both_sides_agree()
        self.check_traces()

    def site(self, side: Side, record: str) -> str:
        fields = self.read(side, record)
        if side == "crm":
            return str(fields["website"])
        ways = [w["value"] for w in fields["contact_mechanisms"] if w["type"] == "website"]
        return str(ways[0])

    def check_nothing_doubled_or_left_out(self) -> None:
        store = self.pair.store
        for side in SIDES:
            living = self.living(side)
            doubled = {
                s: n for s, n in Counter(self.site(side, r) for r in living).items() if n > 1
            }
            assert doubled == {}
            known = set(store.couplings.versions("partner", side, living))
            known |= store.inbox.under_review("partner", side, living)
            known |= {row.record for row in store.inbox.all_pending()}
            for record in living:
                role = self.read(side, record).get("role", "customer")
                assert record in known or role != "customer", f"{side} {record} is left out"

    def check_both_sides_agree(self) -> None:
        waiting = self.pair.store.inbox.open_fields([row.id for row in self.couplings()])
        for row in self.couplings():
            if "" in waiting.get(row.id, {}):
                continue
            crm, erp = self.read("crm", str(row.crm_id)), self.read("erp", str(row.erp_id))
            assert crm["name"] == erp["name"], "the ERP owns the name"
            if "email" not in waiting.get(row.id, {}):
                ways = [w for w in erp["contact_mechanisms"] if w["type"] == "email"]
                assert [crm["email"]] == [way["value"] for way in ways]
            places = [place["city"] for place in erp["addresses"] if place["invoice"]]
            assert crm["billing_city"] == str(places[0]).upper()
        for (side, record, name), value in self.entered.items():
            if side == "erp" and name == "name" and record in self.living("erp"):
                assert self.read("erp", record)["name"] == value, "an owner's value was replaced"

    def check_traces(self) -> None:
        """What a person typed stands there still, or what became of it is written down."""
        kept = "\n".join(self.traces())
        for (side, record, name), value in self.entered.items():
            if record in self.living(side):
                now = repr(self.read(side, record))
                assert value in now or value in kept, f"{side} {name} {value} is lost"

    def traces(self) -> Iterator[str]:
        for entry in Journal.objects.all():
            before = decode_record(entry.before)
            if isinstance(before, Record):
                yield repr(before.fields)
        for row in self.pair.store.inbox.notices():
            yield repr(decode(row.values))
        for conflict in Conflict.objects.all():
            yield repr(decode(conflict.values))


@pytest.fixture(scope="module", autouse=True)
def _template(store_template: Path) -> None:
    PeopleAndTrouble.template = store_template


PeopleAndTrouble.TestCase.settings = settings(
    max_examples=400 if LONG else 25,
    stateful_step_count=40 if LONG else 18,
    deadline=None,
    derandomize=not LONG,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestPeopleAndTrouble = PeopleAndTrouble.TestCase
