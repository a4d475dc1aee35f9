"""What holds for every merge, decision and undo, whatever the values and the rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from koppel.sync.decide import decide
from koppel.sync.merge import is_empty, merge, rebase, same, units
from koppel.sync.rule import (
    SIDES,
    CreatePolicy,
    DeletePolicy,
    Direction,
    FieldRule,
    First,
    Owner,
    Policy,
    Rule,
    Side,
    other,
)
from koppel.sync.state import Merge, Presence, View
from koppel.sync.undo import undo_fields

NAMES = ("a", "b", "c", "d", "e")
GROUPS = ({}, {"g": ("d", "e")})

values = st.one_of(
    st.none(),
    st.sampled_from(["", "x", "y", "z"]),
    st.sampled_from([(), ("p",), ("p", "q"), ("q", "r")]),
    st.sampled_from([0, 1, False]),
)
moments = st.one_of(
    st.none(), st.integers(1, 3).map(lambda day: datetime(2026, 11, day, tzinfo=UTC))
)
field_rules = st.builds(
    FieldRule,
    owner=st.sampled_from(["crm", "erp", "shared", "shared"]),
    policy=st.sampled_from(["ask", "crm", "erp", "newest", "union"]),
    direction=st.sampled_from(["both", "both", "both", "to_crm", "to_erp", "none"]),
    fill=st.booleans(),
    first=st.sampled_from([None, None, "crm", "erp", "newest"]),
)


@st.composite
def rules(draw: st.DrawFn, **fixed: Any) -> Rule:
    groups = draw(st.sampled_from(GROUPS))
    names = draw(st.lists(st.sampled_from((*NAMES, *groups)), unique=True, min_size=1))
    fields = {name: draw(field_rules) for name in names}
    return Rule(
        entity="partner",
        connections={"crm": "creme", "erp": "tryton"},
        fields=fields,
        groups=groups,
        **fixed,
    )


@st.composite
def views(draw: st.DrawFn, **fixed: Any) -> View:
    known = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=3))
    now = {name: draw(values) for name in known}
    base: dict[str, Any] | None = {
        name: now[name] if draw(st.booleans()) else draw(values)
        for name in known
        if draw(st.integers(0, 9))
    }
    if not draw(st.integers(0, 4)):
        base = None
    return View(id="1", now=now, base=base, changed_at=draw(moments), **fixed)


def written(view: View, fields: dict[str, Any]) -> dict[str, Any]:
    """The record after a write to a side that stores what it is given."""
    return {**(view.now or {}), **fields}


def settle(rule: Rule, merged: Merge, crm: View, erp: View) -> tuple[View, View]:
    """Both sides after the merge was written and read back."""
    after = {"crm": written(crm, merged.crm), "erp": written(erp, merged.erp)}
    bases = rebase(
        rule,
        merged,
        crm,
        erp,
        crm_after=after["crm"] if merged.crm else None,
        erp_after=after["erp"] if merged.erp else None,
    )
    assert not bases.failed
    return (
        replace(crm, now=after["crm"], base=bases.crm),
        replace(erp, now=after["erp"], base=bases.erp),
    )


@given(rules(), views(), views())
def test_it_converges(rule: Rule, crm: View, erp: View) -> None:
    """What was written and read back leaves nothing to write; only conflicts stay."""
    first = merge(rule, crm, erp)
    waiting = frozenset(conflict.field for conflict in first.conflicts)
    second = merge(rule, *settle(rule, first, crm, erp), waiting)
    assert not second.changes
    assert not second.notices
    assert {conflict.field for conflict in second.conflicts} == waiting


@given(rules(), views(), views())
def test_it_is_idempotent(rule: Rule, crm: View, erp: View) -> None:
    """A second merge before any base moved, after the writes arrived, asks for no other values."""
    first = merge(rule, crm, erp)
    again = merge(
        rule,
        replace(crm, now=written(crm, first.crm)),
        replace(erp, now=written(erp, first.erp)),
    )
    for name in first.crm | first.erp:
        assert name not in again.crm
        assert name not in again.erp


@given(rules(), views(), views())
def test_an_owners_value_is_never_overwritten(rule: Rule, crm: View, erp: View) -> None:
    """Except that it is filled in once, where the owner had none when the pair was coupled."""
    merged = merge(rule, crm, erp)
    for unit in units(rule, crm.now or {}, erp.now or {}):
        if unit.rule.owner == "shared":
            continue
        view = crm if unit.rule.owner == "crm" else erp
        for name in unit.fields:
            if name in merged.to(unit.rule.owner):
                assert unit.rule.fill
                assert is_empty((view.now or {})[name])
                assert any(
                    v.base is None or n not in v.base for v in (crm, erp) for n in unit.fields
                )


@given(rules(), views(), views())
def test_nothing_travels_against_its_direction(rule: Rule, crm: View, erp: View) -> None:
    merged = merge(rule, crm, erp)
    for unit in units(rule, crm.now or {}, erp.now or {}):
        for side in SIDES:
            if unit.rule.direction not in ("both", f"to_{side}"):
                assert not set(unit.fields) & set(merged.to(side))


def mirrored(rule: Rule) -> Rule:
    """The same rule with the sides' parts exchanged."""
    swap = {"crm": "erp", "erp": "crm", "to_crm": "to_erp", "to_erp": "to_crm"}

    def turned(one: FieldRule) -> FieldRule:
        return FieldRule(
            owner=cast(Owner, swap.get(one.owner, one.owner)),
            policy=cast(Policy, swap.get(one.policy, one.policy)),
            direction=cast(Direction, swap.get(one.direction, one.direction)),
            fill=one.fill,
            first=cast(First | None, swap.get(one.first or "", one.first)),
        )

    return replace(rule, fields={name: turned(one) for name, one in rule.fields.items()})


@given(rules(), views(), views())
def test_it_is_symmetric(rule: Rule, crm: View, erp: View) -> None:
    """With sides and rule exchanged, the outcome is the same, exchanged."""
    one, two = merge(rule, crm, erp), merge(mirrored(rule), erp, crm)
    assert (one.crm, one.erp) == (two.erp, two.crm)
    assert {(c.field, str(c.crm), str(c.erp)) for c in one.conflicts} == {
        (c.field, str(c.erp), str(c.crm)) for c in two.conflicts
    }
    assert {(n.field, n.side, str(n.lost)) for n in one.notices} == {
        (n.field, other(n.side), str(n.lost)) for n in two.notices
    }


@given(rules(), views(), views())
def test_nothing_is_lost_without_a_trace(rule: Rule, crm: View, erp: View) -> None:
    """What a write replaces stands in the change; an edit that loses is told in a notice too."""
    merged = merge(rule, crm, erp)
    for side, view in zip(SIDES, (crm, erp), strict=True):
        changes = {change.field: change for change in merged.changes if change.side == side}
        assert changes.keys() == merged.to(side).keys()
        for name, value in merged.to(side).items():
            assert changes[name].old == (view.now or {})[name]
            assert changes[name].new == value
            assert changes[name].why.endswith(".")
    coupled = all(v.base is not None and set(NAMES) & set(v.now or {}) <= set(v.base)
                  for v in (crm, erp))  # fmt: skip
    if coupled:
        noticed = {(notice.field, notice.side) for notice in merged.notices}
        for change in merged.changes:
            view = crm if change.side == "crm" else erp
            edited = not same(change.old, (view.base or {})[change.field])
            if edited and "joined" not in change.why:
                assert (change.field, change.side) in noticed


@given(rules(), views(), views())
def test_a_side_that_nobody_touched_and_no_news_means_no_writes(
    rule: Rule, crm: View, erp: View
) -> None:
    """However much two sides differ: if neither moved since its own base, nothing travels."""
    still = [replace(view, base=dict(view.now or {})) for view in (crm, erp)]
    assert merge(rule, still[0], still[1]) == Merge()


@given(rules(), views(), views(), st.data())
def test_a_persons_answer_settles_the_conflict(
    rule: Rule, crm: View, erp: View, data: st.DataObject
) -> None:
    first = merge(rule, crm, erp)
    waiting = frozenset(conflict.field for conflict in first.conflicts)
    answers = {c.field: data.draw(st.sampled_from([c.crm, c.erp])) for c in first.conflicts}
    merged = merge(rule, crm, erp, waiting, answers)
    assert not merged.conflicts
    assert merged.closed == waiting
    after = merge(rule, *settle(rule, merged, crm, erp))
    assert after == Merge()


# -- decisions ------------------------------------------------------------------------------------

presences: st.SearchStrategy[Presence] = st.sampled_from(
    ["none", "present", "gone", "trashed", "merged"]
)


@st.composite
def any_views(draw: st.DrawFn) -> View:
    presence = draw(presences)
    view = draw(views(presence=presence, in_scope=draw(st.booleans())))
    if presence != "present":
        target = draw(st.sampled_from([None, "B"])) if presence == "merged" else None
        return replace(view, now=None, merged_into=target)
    return view


policies: st.SearchStrategy[DeletePolicy] = st.sampled_from(["uncouple", "delete", "ask"])


@given(
    rules(
        create={side: CreatePolicy(allowed=True) for side in SIDES},
        delete={side: cast(DeletePolicy, "delete") for side in SIDES},
    ),
    any_views(),
    any_views(),
    st.booleans(),
    st.booleans(),
)
def test_a_decision_never_deletes_what_somebody_changed_or_what_sleeps(
    rule: Rule, crm: View, erp: View, dormant: bool, target_coupled: bool
) -> None:
    decision = decide(rule, crm, erp, dormant=dormant, target_coupled=target_coupled)
    assert decision.why.endswith(".")
    if decision.kind == "delete":
        assert decision.side is not None
        survivor = crm if decision.side == "crm" else erp
        lost = erp if decision.side == "crm" else crm
        assert survivor.presence == "present"
        assert lost.presence in ("gone", "trashed", "merged")
        assert survivor.now == survivor.base or all(
            same((survivor.now or {}).get(n), (survivor.base or {}).get(n)) for n in NAMES
        )
        assert survivor.in_scope
        assert not dormant
    if decision.kind == "create":
        assert decision.side is not None
        target = crm if decision.side == "crm" else erp
        assert target.presence == "none"


@given(rules(), any_views(), any_views(), policies, policies)
def test_decisions_are_symmetric(
    rule: Rule, crm: View, erp: View, one: DeletePolicy, two: DeletePolicy
) -> None:
    """But for two merged records, of which one is followed first."""
    here = decide(replace(rule, delete={"crm": one, "erp": two}), crm, erp)
    there = decide(replace(mirrored(rule), delete={"crm": two, "erp": one}), erp, crm)
    assert here.kind == there.kind
    if {crm.presence, erp.presence} != {"merged"}:
        turned: Side | None = other(there.side) if there.side else None
        assert here.side == turned


# -- undo -----------------------------------------------------------------------------------------

scalars = st.one_of(st.none(), st.text(max_size=3), st.integers(0, 5))
natives = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, scalars))
children = st.dictionaries(
    st.integers(1, 4), st.fixed_dictionaries({"no": scalars, "kind": scalars}), max_size=4
).map(lambda found: [{"id": key, **child} for key, child in sorted(found.items())])


@given(natives, natives, natives)
def test_undo_restores_what_nobody_touched_and_leaves_the_rest(
    before: dict[str, Any], after: dict[str, Any], current: dict[str, Any]
) -> None:
    restore, refused = undo_fields(before, after, current, NAMES)
    for name in NAMES:
        old, wrote, now = before.get(name), after.get(name), current.get(name)
        result = restore.get(name, now)
        if now == wrote:
            assert result == old
        else:
            assert result == now
    touched = {n for n in NAMES if current.get(n) not in (before.get(n), after.get(n))}
    assert len(refused) == len({n for n in touched if before.get(n) != after.get(n)})


def without_ids(records: list[dict[str, Any]]) -> list[str]:
    return sorted(str([record["no"], record["kind"]]) for record in records)


@given(children, children)
def test_undo_restores_lists_of_children(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """A child that has to be made again comes back with its content, under a new id."""
    restore, refused = undo_fields({"tel": before}, {"tel": after}, {"tel": after}, ["tel"])
    assert refused == ()
    result = restore.get("tel", after)
    assert without_ids(result) == without_ids(before)


@given(children, children, children)
def test_undo_never_touches_a_child_that_a_person_edited(
    before: list[dict[str, Any]], after: list[dict[str, Any]], current: list[dict[str, Any]]
) -> None:
    restore, _ = undo_fields({"tel": before}, {"tel": after}, {"tel": current}, ["tel"])
    result = {child["id"]: child for child in restore.get("tel", current) if "id" in child}
    old, wrote = ({child["id"]: child for child in side} for side in (before, after))
    for child in current:
        key = child["id"]
        for name in ("no", "kind"):
            edited = child[name] not in (
                wrote.get(key, {}).get(name),
                old.get(key, {}).get(name),
            )
            if edited:
                assert result[key][name] == child[name]
