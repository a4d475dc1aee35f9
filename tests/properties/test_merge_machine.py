"""Two lossy systems, people who edit them, a network that loses answers, and the pure core.

A rule-based state machine: whatever the order of edits, syncs, refusals, lost replies and answers,
the owner's value stands, no value goes without a trace, bases hold only what a side returned, and
as soon as nobody edits any more, both sides come to rest.
"""

from __future__ import annotations

from typing import Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from koppel.sync.decide import decide
from koppel.sync.merge import rebase, same
from koppel.sync.rule import SIDES, FieldRule, Rule, Side
from koppel.sync.state import Decision, View

RULE = Rule(
    entity="partner",
    connections={"crm": "creme", "erp": "tryton"},
    fields={
        "name": FieldRule(owner="erp"),
        "sector": FieldRule(owner="crm"),
        "phone": FieldRule(),
        "note": FieldRule(policy="crm"),
        "roles": FieldRule(policy="union"),
        "limit": FieldRule(owner="erp", direction="to_crm"),
        "place": FieldRule(),
    },
    groups={"place": ("street", "city")},
)
FIELDS = ("name", "sector", "phone", "note", "roles", "limit", "street", "city")

texts = st.sampled_from([None, "", "ab", "Abcdefgh", "abcdxyz", "ABCD", "öl"])
role_lists = st.sets(st.sampled_from(["customer", "prospect", "supplier", "rival"])).map(
    lambda found: tuple(sorted(found))
)
Fate = Literal["done", "refused", "answer lost"]
fates: st.SearchStrategy[Fate] = st.sampled_from(["done", "done", "done", "refused", "answer lost"])


class System:
    """A system that cuts and upper-cases text, and drops roles that it does not know."""

    def __init__(self, length: int, upper: bool, roles: frozenset[str]) -> None:
        self._length, self._upper, self._roles = length, upper, roles
        self.record: dict[str, Any] = {}
        self.version = 0
        self.returned: set[tuple[str, str]] = set()

    def stored(self, value: Any) -> Any:
        """What becomes of a value here."""
        if isinstance(value, tuple):
            return tuple(role for role in value if role in self._roles)
        if isinstance(value, str):
            return (value.upper() if self._upper else value)[: self._length]
        return value

    def write(self, fields: dict[str, Any]) -> None:
        self.record |= {name: self.stored(value) for name, value in fields.items()}
        self.version += 1

    def read(self) -> dict[str, Any]:
        self.returned |= {(name, repr(value)) for name, value in self.record.items()}
        return dict(self.record)


class TwoSystems(RuleBasedStateMachine):
    """The engine's loop without the engine: read, decide, write, read back, rebase."""

    def __init__(self) -> None:
        super().__init__()
        every = frozenset({"customer", "prospect", "supplier", "rival"})
        self.systems: dict[Side, System] = {
            "crm": System(6, False, every),
            "erp": System(4, True, every - {"rival"}),
        }
        self.bases: dict[Side, dict[str, Any] | None] = {"crm": None, "erp": None}
        self.open: dict[str, tuple[Any, Any]] = {}
        self.answers: dict[str, Any] = {}
        self.by_hand: dict[tuple[Side, str], Any] = {}

    @initialize(crm=st.tuples(*[texts] * 7), erp=st.tuples(*[texts] * 7), roles=role_lists)
    def begin(self, crm: tuple[Any, ...], erp: tuple[Any, ...], roles: tuple[str, ...]) -> None:
        plain = [name for name in FIELDS if name != "roles"]
        for side, record in (("crm", crm), ("erp", erp)):
            fields = {**dict(zip(plain, record, strict=True)), "roles": roles}
            for name, value in fields.items():
                self.edit(side, name, value)

    def edit(self, side: Side, name: str, value: Any) -> None:
        system = self.systems[side]
        system.write({name: value})
        self.by_hand[side, name] = system.record[name]

    @rule(side=st.sampled_from(SIDES), name=st.sampled_from(FIELDS), text=texts, roles=role_lists)
    def somebody_edits(
        self, side: Side, name: str, text: str | None, roles: tuple[str, ...]
    ) -> None:
        self.edit(side, name, roles if name == "roles" else text)

    @rule(crm=fates, erp=fates, meanwhile=st.one_of(st.none(), st.sampled_from(SIDES)), text=texts)
    def sync(self, crm: Fate, erp: Fate, meanwhile: Side | None, text: str | None) -> None:
        """`meanwhile`: between reading and writing, somebody edits that side."""
        views, versions = self.look()
        decision = self.decide(views)
        if meanwhile is not None:
            self.edit(meanwhile, "phone", text)
        self.apply(decision, views, versions, {"crm": crm, "erp": erp})

    @precondition(lambda self: bool(self.open))
    @rule(data=st.data(), text=texts)
    def a_person_answers(self, data: st.DataObject, text: str | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        choices = [*self.open[name]] if name == "place" else [*self.open[name], text]
        self.answers[name] = data.draw(st.sampled_from(choices))

    def look(self) -> tuple[dict[Side, View], dict[Side, int]]:
        views: dict[Side, View] = {
            side: View(id="1", now=self.systems[side].read(), base=self.bases[side])
            for side in SIDES
        }
        return views, {side: self.systems[side].version for side in SIDES}

    def decide(self, views: dict[Side, View]) -> Decision:
        decision = decide(
            RULE,
            views["crm"],
            views["erp"],
            open_conflicts=frozenset(self.open),
            resolved=self.answers,
        )
        assert decision.kind in ("merge", "nothing")
        return decision

    def apply(
        self,
        decision: Decision,
        views: dict[Side, View],
        versions: dict[Side, int],
        fate: dict[Side, Fate],
    ) -> None:
        after: dict[Side, dict[str, Any] | None] = {"crm": None, "erp": None}
        for side in SIDES:
            system, fields = self.systems[side], decision.merge.to(side)
            stale = system.version != versions[side]
            if not fields or stale or fate[side] == "refused":
                continue
            self.check_trace(decision, side)
            system.write(fields)
            after[side] = system.read()  # After a lost answer, recovery finds the same.
        settled = rebase(
            RULE,
            decision.merge,
            views["crm"],
            views["erp"],
            crm_after=after["crm"],
            erp_after=after["erp"],
        )
        self.bases = {"crm": settled.crm, "erp": settled.erp}
        for conflict in decision.merge.conflicts:
            self.open[conflict.field] = (conflict.crm, conflict.erp)
        for name in settled.closed:
            self.open.pop(name, None)
            self.answers.pop(name, None)

    def check_trace(self, decision: Decision, side: Side) -> None:
        """What a write is about to replace stands in the plan; an owner's value is never it."""
        record = self.systems[side].record
        answered = set(self.answers) | ({"street", "city"} if "place" in self.answers else set())
        for change in decision.merge.changes:
            if change.side != side:
                continue
            assert change.old == record[change.field]
            if change.owner == side and change.field not in answered:
                assert same(record[change.field], None)
                assert self.bases[side] is None or change.field not in (self.bases[side] or {})

    @invariant()
    def bases_hold_only_what_a_side_returned(self) -> None:
        for side in SIDES:
            for name, value in (self.bases[side] or {}).items():
                assert (name, repr(value)) in self.systems[side].returned

    @invariant()
    def an_owners_value_is_what_a_person_entered_there(self) -> None:
        for name, owner in (("name", "erp"), ("sector", "crm"), ("limit", "erp")):
            entered = self.by_hand.get((owner, name))
            if not same(entered, None):
                assert self.systems[owner].record[name] == entered

    @rule()
    def everything_comes_to_rest(self) -> None:
        """With nobody editing and nothing failing, the second sync has nothing left to write."""
        for _ in range(2):
            views, versions = self.look()
            decision = self.decide(views)
            self.apply(decision, views, versions, {"crm": "done", "erp": "done"})
        views, _ = self.look()
        rest = self.decide(views)
        assert not rest.merge.changes
        assert not rest.merge.notices
        assert {conflict.field for conflict in rest.merge.conflicts} == set(self.open)
        self.check_agreement()

    def check_agreement(self) -> None:
        """What is not in conflict agrees as far as the systems can hold it."""
        crm, erp = self.systems["crm"], self.systems["erp"]
        for name in FIELDS:
            if name in self.open or ("place" in self.open and name in ("street", "city")):
                continue
            one, two = crm.record[name], erp.record[name]
            if name == "limit" and same(two, None):
                continue  # Its owner has none and may not be filled: the CRM keeps what it had.
            assert same(erp.stored(one), two) or same(crm.stored(two), one), name


TwoSystems.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTwoSystems = TwoSystems.TestCase
