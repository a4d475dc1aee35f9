"""The decision table and the deletion matrix, each row and each cell."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.sync.decide import WHOLE, decide
from koppel.sync.rule import (
    SIDES,
    Condition,
    CreatePolicy,
    DeletePolicy,
    FieldRule,
    Rule,
    Side,
    other,
)
from koppel.sync.state import Presence, View


def rule(**more: Any) -> Rule:
    connections = {"crm": "creme", "erp": "tryton"}
    fields = {"name": FieldRule(owner="erp"), "phone": FieldRule()}
    return Rule(entity="partner", connections=connections, fields=fields, **more)


STILL = View(id="1", now={"name": "n", "phone": "1"}, base={"name": "n", "phone": "1"})
MOVED = View(id="1", now={"name": "n", "phone": "2"}, base={"name": "n", "phone": "1"})
NEVER = View(id="1", now={"name": "n", "phone": "1"})
NONE = View(presence="none")


def lost(presence: Presence = "gone", **more: Any) -> View:
    return View(presence=presence, id="1", base={"name": "n", "phone": "1"}, **more)


def pair(side: Side, this: View, that: View) -> dict[str, View]:
    return {side: this, other(side): that}


def test_nothing_moved_nothing_to_do() -> None:
    assert decide(rule(), STILL, STILL).kind == "nothing"


@pytest.mark.parametrize("side", SIDES)
def test_what_one_side_changed_goes_to_the_other(side: Side) -> None:
    decision = decide(rule(), **pair(side, MOVED, STILL))
    assert decision.kind == "merge"
    assert decision.merge.to(other(side)) == {"phone": "2"}
    assert not decision.merge.to(side)


def test_both_moved_is_merged_field_by_field() -> None:
    erp = View(id="1", now={"name": "m", "phone": "3"}, base={"name": "n", "phone": "1"})
    decision = decide(rule(), MOVED, erp)
    assert decision.kind == "merge"
    assert decision.merge.crm == {"name": "m"}
    assert [conflict.field for conflict in decision.merge.conflicts] == ["phone"]


# -- a record on one side only ------------------------------------------------------------------

WHEN = (Condition(field="roles", op="contains", value="customer"),)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("policy", "roles", "in_scope", "kind"),
    [
        (CreatePolicy(allowed=True), ("prospect",), True, "create"),
        (CreatePolicy(allowed=True), ("prospect",), False, "nothing"),
        (CreatePolicy(allowed=False), ("customer",), True, "nothing"),
        (CreatePolicy(allowed=True, when=WHEN), ("prospect",), True, "nothing"),
        (CreatePolicy(allowed=True, when=WHEN), ("customer",), True, "create"),
        (None, ("customer",), True, "nothing"),
    ],
)
def test_a_record_is_created_only_when_the_rule_allows(
    side: Side, policy: CreatePolicy | None, roles: tuple[str, ...], in_scope: bool, kind: str
) -> None:
    create = {} if policy is None else {side: policy}
    source = View(id="1", now={"name": "n", "phone": "1", "roles": roles}, in_scope=in_scope)
    decision = decide(rule(create=create), **pair(side, NONE, source))
    assert decision.kind == kind
    if kind == "create":
        assert decision.side == side
        assert decision.merge.to(side) == {"name": "n", "phone": "1"}
        assert not decision.merge.to(other(side))


@pytest.mark.parametrize("presence", ["none", "gone", "trashed", "merged"])
@pytest.mark.parametrize("side", SIDES)
def test_nothing_is_created_from_a_record_that_is_not_there(side: Side, presence: Presence) -> None:
    create = {s: CreatePolicy(allowed=True) for s in SIDES}
    decision = decide(rule(create=create), **pair(side, NONE, View(presence=presence, id="1")))
    assert decision.kind == "nothing"


# -- the deletion matrix: policy x side x changed ------------------------------------------------

MATRIX: list[tuple[DeletePolicy | None, View, str]] = [
    (None, STILL, "uncouple"),
    ("uncouple", STILL, "uncouple"),
    ("delete", STILL, "delete"),
    ("ask", STILL, "conflict"),
    (None, MOVED, "conflict"),
    ("uncouple", MOVED, "conflict"),
    ("delete", MOVED, "conflict"),
    ("ask", MOVED, "conflict"),
    ("uncouple", NEVER, "conflict"),
    ("delete", NEVER, "conflict"),
]


@pytest.mark.parametrize("presence", ["gone", "trashed", "merged"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("policy", "survivor", "kind"), MATRIX)
def test_the_deletion_matrix(
    policy: DeletePolicy | None, survivor: View, kind: str, side: Side, presence: Presence
) -> None:
    """`side` lost its record; merged into nobody knows what counts as gone."""
    delete = {} if policy is None else {other(side): policy}
    decision = decide(rule(delete=delete), **pair(side, lost(presence), survivor))
    assert decision.kind == kind
    if kind == "delete":
        assert decision.side == other(side)
    if kind == "conflict":
        assert [conflict.field for conflict in decision.merge.conflicts] == [WHOLE]
    assert not decision.merge.changes


@pytest.mark.parametrize("side", SIDES)
def test_the_policy_of_the_survivors_side_counts(side: Side) -> None:
    decision = decide(rule(delete={side: "delete"}), **pair(side, lost(), STILL))
    assert decision.kind == "uncouple"


@pytest.mark.parametrize("policy", ["uncouple", "delete", "ask"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("survivor", [STILL, MOVED])
@pytest.mark.parametrize("how", ["dormant", "out of scope"])
def test_a_sleeping_pair_is_never_deleted(
    policy: DeletePolicy, side: Side, survivor: View, how: str
) -> None:
    keeper = View(id="1", now=survivor.now, base=survivor.base, in_scope=how == "dormant")
    delete = dict.fromkeys(SIDES, policy)
    decision = decide(rule(delete=delete), **pair(side, lost(), keeper), dormant=how == "dormant")
    assert decision.kind == "uncouple"


@pytest.mark.parametrize("one", ["gone", "trashed", "merged"])
@pytest.mark.parametrize("two", ["gone", "trashed", "merged"])
def test_both_gone_ends_the_pair(one: Presence, two: Presence) -> None:
    delete = dict.fromkeys(SIDES, "delete")
    assert decide(rule(delete=delete), lost(one), lost(two)).kind == "uncouple"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("answer", "kind", "where"),
    [("uncouple", "uncouple", None), ("delete", "delete", "keeper"), ("create", "create", "lost")],
)
def test_a_persons_answer_about_the_whole_record(
    side: Side, answer: str, kind: str, where: str | None
) -> None:
    decision = decide(
        rule(),
        **pair(side, lost(), MOVED),
        open_conflicts=frozenset({WHOLE}),
        resolved={WHOLE: answer},
    )
    assert decision.kind == kind
    assert decision.side == {"keeper": other(side), "lost": side, None: None}[where]
    if kind == "create":
        assert decision.merge.to(side) == {"name": "n", "phone": "2"}


def test_a_record_back_from_the_trash_ends_the_question() -> None:
    decision = decide(rule(), STILL, STILL, open_conflicts=frozenset({WHOLE}))
    assert decision.kind == "merge"
    assert decision.merge.closed == {WHOLE}


# -- merged, scope ------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mate", [STILL, MOVED, lost(), lost("trashed")])
def test_a_merged_record_is_followed(side: Side, mate: View) -> None:
    decision = decide(rule(), **pair(side, lost("merged", merged_into="B"), mate))
    assert (decision.kind, decision.side, decision.to) == ("follow", side, "B")


@pytest.mark.parametrize("side", SIDES)
def test_a_record_merged_into_a_coupled_one_is_asked(side: Side) -> None:
    views = pair(side, lost("merged", merged_into="B"), STILL)
    assert decide(rule(), **views, target_coupled=True).kind == "conflict"
    answered = decide(rule(), **views, target_coupled=True, resolved={WHOLE: "uncouple"})
    assert answered.kind == "uncouple"


@pytest.mark.parametrize("side", SIDES)
def test_a_record_that_leaves_the_scope_puts_the_pair_to_sleep(side: Side) -> None:
    left = View(id="1", now=MOVED.now, base=MOVED.base, in_scope=False)
    for mate in (STILL, MOVED):
        decision = decide(rule(), **pair(side, left, mate))
        assert decision.kind == "sleep"
        assert not decision.merge.changes
        asleep = decide(rule(), **pair(side, left, mate), dormant=True)
        assert asleep.kind == "nothing"


@pytest.mark.parametrize("side", SIDES)
def test_a_record_back_in_scope_wakes_the_pair_and_is_merged(side: Side) -> None:
    decision = decide(rule(), **pair(side, MOVED, STILL), dormant=True)
    assert decision.kind == "wake"
    assert decision.merge.to(other(side)) == {"phone": "2"}


PRESENCES: list[Presence] = ["none", "present", "gone", "trashed", "merged"]


@pytest.mark.parametrize("crm", PRESENCES)
@pytest.mark.parametrize("erp", PRESENCES)
def test_every_combination_has_an_answer_in_words(crm: Presence, erp: Presence) -> None:
    def seen(presence: Presence) -> View:
        return STILL if presence == "present" else lost(presence)

    assert decide(rule(), seen(crm), seen(erp)).why.endswith(".")
