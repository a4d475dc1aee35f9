"""The field merge, case by case."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from koppel.sync.merge import creation, is_empty, merge, rebase, same
from koppel.sync.rule import FieldRule, Rule
from koppel.sync.state import Merge, View


def rule(groups: dict[str, tuple[str, ...]] | None = None, **fields: FieldRule) -> Rule:
    connections = {"crm": "creme", "erp": "tryton"}
    return Rule(entity="partner", connections=connections, fields=fields, groups=groups or {})


def view(now: dict[str, Any], base: dict[str, Any] | None = None, **more: Any) -> View:
    return View(id="1", now=now, base=base, **more)


def merge_one(
    field_rule: FieldRule,
    crm: tuple[Any, Any],
    erp: tuple[Any, Any],
    *,
    forced: bool = False,
    **more: Any,
) -> Merge:
    """Merge one field f; each side is (base, now)."""
    return merge(
        rule(f=field_rule),
        view({"f": crm[1]}, {"f": crm[0]}),
        view({"f": erp[1]}, {"f": erp[0]}),
        frozenset({"f"}) if forced else frozenset(),
        **more,
    )


SHARED = FieldRule()
CRM = FieldRule(owner="crm")
ERP = FieldRule(owner="erp")


@pytest.mark.parametrize(
    ("field_rule", "crm", "erp", "to_crm", "to_erp", "conflict", "notices"),
    [
        # nobody moved
        (SHARED, ("a", "a"), ("a", "a"), {}, {}, False, 0),
        (SHARED, ("Abcdef", "Abcdef"), ("ABC", "ABC"), {}, {}, False, 0),
        (ERP, ("Abcdef", "Abcdef"), ("ABC", "ABC"), {}, {}, False, 0),
        # both moved to the same
        (SHARED, ("a", "b"), ("a", "b"), {}, {}, False, 0),
        (ERP, ("a", None), ("a", ""), {}, {}, False, 0),
        # one moved, shared
        (SHARED, ("a", "b"), ("a", "a"), {}, {"f": "b"}, False, 0),
        (SHARED, ("a", "a"), ("a", "b"), {"f": "b"}, {}, False, 0),
        (SHARED, ("a", None), ("a", "a"), {}, {"f": None}, False, 0),
        # both moved, shared
        (SHARED, ("a", "b"), ("a", "c"), {}, {}, True, 0),
        (FieldRule(policy="crm"), ("a", "b"), ("a", "c"), {}, {"f": "b"}, False, 1),
        (FieldRule(policy="erp"), ("a", "b"), ("a", "c"), {"f": "c"}, {}, False, 1),
        (FieldRule(policy="newest"), ("a", "b"), ("a", "c"), {}, {}, True, 0),
        (FieldRule(policy="union"), ("a", "b"), ("a", "c"), {}, {}, True, 0),
        # owned
        (ERP, ("a", "a"), ("a", "b"), {"f": "b"}, {}, False, 0),
        (ERP, ("a", "b"), ("a", "a"), {"f": "a"}, {}, False, 1),
        (ERP, ("a", "b"), ("a", "c"), {"f": "c"}, {}, False, 1),
        (ERP, ("a", "a"), ("a", None), {"f": None}, {}, False, 0),
        (CRM, ("a", "a"), ("a", "b"), {}, {"f": "a"}, False, 1),
        (CRM, ("a", "b"), ("a", "c"), {}, {"f": "b"}, False, 1),
        # direction
        (FieldRule(direction="none"), ("a", "b"), ("a", "c"), {}, {}, False, 0),
        (FieldRule(direction="to_erp"), ("a", "b"), ("a", "a"), {}, {"f": "b"}, False, 0),
        (FieldRule(direction="to_erp"), ("a", "a"), ("a", "b"), {}, {"f": "a"}, False, 1),
        (FieldRule(direction="to_crm"), ("a", "b"), ("a", "c"), {"f": "c"}, {}, False, 1),
        (FieldRule(owner="erp", direction="to_erp"), ("a", "b"), ("a", "c"), {}, {}, False, 0),
        (FieldRule(owner="crm", direction="to_erp"), ("a", "b"), ("a", "c"), {}, {"f": "b"},
         False, 1),
    ],
)  # fmt: skip
def test_a_field_goes_where_its_rule_says(
    field_rule: FieldRule,
    crm: tuple[Any, Any],
    erp: tuple[Any, Any],
    to_crm: dict[str, Any],
    to_erp: dict[str, Any],
    conflict: bool,
    notices: int,
) -> None:
    merged = merge_one(field_rule, crm, erp)
    assert (merged.crm, merged.erp) == (to_crm, to_erp)
    assert bool(merged.conflicts) is conflict
    assert len(merged.notices) == notices
    assert len(merged.changes) == len(to_crm) + len(to_erp)


def test_a_notice_keeps_the_lost_value_and_says_why() -> None:
    (notice,) = merge_one(ERP, ("a", "b"), ("a", "a")).notices
    assert (notice.side, notice.lost, notice.kept) == ("crm", "b", "a")
    assert notice.why == "The ERP owns 'f'; its value replaces the CRM's edit."


def test_a_conflict_shows_both_bases_and_both_values() -> None:
    (conflict,) = merge_one(SHARED, ("a", "b"), ("A", "C")).conflicts
    assert (conflict.crm_base, conflict.erp_base) == ("a", "A")
    assert (conflict.crm, conflict.erp) == ("b", "C")


@pytest.mark.parametrize(
    ("field_rule", "crm", "erp", "to_crm", "to_erp", "conflict"),
    [
        (SHARED, "a", "a", {}, {}, False),
        (SHARED, "a", "", {}, {"f": "a"}, False),
        (SHARED, None, "b", {"f": "b"}, {}, False),
        (SHARED, "a", "b", {}, {}, True),
        (FieldRule(policy="erp"), "a", "b", {"f": "b"}, {}, False),
        (ERP, "a", "b", {"f": "b"}, {}, False),
        (ERP, "a", None, {}, {"f": "a"}, False),
        (FieldRule(owner="erp", fill=False), "a", None, {}, {}, False),
        (FieldRule(owner="erp", fill=False), None, "b", {"f": "b"}, {}, False),
        (FieldRule(owner="erp", direction="to_crm"), "a", None, {}, {}, False),
        (FieldRule(direction="to_erp"), None, "b", {}, {}, False),
        (FieldRule(direction="to_erp"), "a", "b", {}, {"f": "a"}, False),
        (FieldRule(first="crm"), "a", "b", {}, {"f": "a"}, False),
        (FieldRule(policy="erp", first="crm"), "a", "b", {}, {"f": "a"}, False),
        (FieldRule(owner="erp", first="crm"), "a", "b", {"f": "b"}, {}, False),
        (FieldRule(policy="union"), ("b",), ("a",), {"f": ("a", "b")}, {"f": ("a", "b")}, False),
    ],
)
def test_at_the_first_coupling(
    field_rule: FieldRule,
    crm: Any,
    erp: Any,
    to_crm: dict[str, Any],
    to_erp: dict[str, Any],
    conflict: bool,
) -> None:
    merged = merge(rule(f=field_rule), view({"f": crm}), view({"f": erp}))
    assert (merged.crm, merged.erp) == (to_crm, to_erp)
    assert bool(merged.conflicts) is conflict
    assert not merged.notices


def test_a_field_that_joins_the_rule_later_is_coupled_as_for_the_first_time() -> None:
    both = rule(f=SHARED, g=ERP)
    crm = view({"f": "a", "g": "mine"}, {"f": "a"})
    erp = view({"f": "a", "g": "theirs"}, {"f": "a", "g": "theirs"})
    assert merge(both, crm, erp).crm == {"g": "theirs"}


def test_fields_that_a_side_does_not_know_or_the_rule_does_not_name_stay_away() -> None:
    merged = merge(rule(f=SHARED, g=SHARED), view({"f": "a", "x": 1}), view({"g": "b", "x": 2}))
    assert merged == Merge()


T1 = datetime(2026, 11, 25, 10, tzinfo=UTC)
T2 = datetime(2026, 11, 25, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("crm_at", "erp_at", "to_crm", "to_erp"),
    [
        (T1, T2, {"f": "c"}, {}),
        (T2, T1, {}, {"f": "b"}),
        (T1, T1, {}, {}),
        (None, T1, {}, {}),
    ],
)
def test_the_newest_wins_and_a_tie_is_asked(
    crm_at: datetime | None,
    erp_at: datetime | None,
    to_crm: dict[str, Any],
    to_erp: dict[str, Any],
) -> None:
    merged = merge(
        rule(f=FieldRule(policy="newest")),
        view({"f": "b"}, {"f": "a"}, changed_at=crm_at),
        view({"f": "c"}, {"f": "a"}, changed_at=erp_at),
    )
    assert (merged.crm, merged.erp) == (to_crm, to_erp)
    assert bool(merged.conflicts) is not bool(to_crm or to_erp)


UNION = FieldRule(policy="union")


def test_a_union_keeps_what_either_side_added_and_drops_what_either_removed() -> None:
    merged = merge_one(UNION, (("a", "b"), ("b", "x")), (("a", "b"), ("a", "b", "y")))
    assert merged.crm == {"f": ("b", "x", "y")}
    assert merged.erp == {"f": ("b", "x", "y")}


def test_a_union_never_takes_for_a_removal_what_a_side_cannot_store() -> None:
    merged = merge_one(UNION, (("a", "z"), ("a", "z")), (("a",), ("a", "b")))
    assert merged.crm == {"f": ("a", "b", "z")}


def test_the_order_of_a_union_is_no_difference() -> None:
    assert merge_one(UNION, (("a", "b"), ("b", "a")), (("a",), ("a", "b"))) == Merge()


def test_an_open_conflict_stays_open_with_the_values_of_today() -> None:
    merged = merge_one(SHARED, ("b", "b"), ("a", "c"), forced=True)
    (conflict,) = merged.conflicts
    assert (conflict.crm, conflict.erp) == ("b", "c")
    assert not merged.closed
    assert not merged.changes


def test_an_open_conflict_is_over_when_both_sides_agree() -> None:
    merged = merge_one(SHARED, ("a", "b"), ("a", "b"), forced=True)
    assert merged == Merge(closed=frozenset({"f"}))


@pytest.mark.parametrize(
    ("answer", "to_crm", "to_erp"),
    [
        ("b", {}, {"f": "b"}),
        ("c", {"f": "c"}, {}),
        ("d", {"f": "d"}, {"f": "d"}),
        (None, {"f": None}, {"f": None}),
    ],
)
def test_a_persons_answer_goes_to_whichever_side_differs(
    answer: Any, to_crm: dict[str, Any], to_erp: dict[str, Any]
) -> None:
    merged = merge_one(SHARED, ("a", "b"), ("a", "c"), forced=True, resolved={"f": answer})
    assert (merged.crm, merged.erp) == (to_crm, to_erp)
    assert merged.closed == {"f"}
    assert not merged.conflicts


def test_an_open_conflict_ends_when_the_rule_no_longer_asks() -> None:
    merged = merge_one(ERP, ("b", "b"), ("c", "c"), forced=True)
    assert merged.crm == {"f": "c"}
    assert merged.closed == {"f"}
    assert merged.notices[0].lost == "b"


GROUP = {"place": ("street", "city")}


def test_a_group_moves_as_a_whole() -> None:
    place = rule(GROUP, place=SHARED)
    base = {"street": "Weg 1", "city": "Ulm"}
    crm = view({"street": "Allee 2", "city": "Bonn"}, base)
    merged = merge(place, crm, view(dict(base), base))
    assert merged.erp == {"street": "Allee 2", "city": "Bonn"}


def test_a_group_moved_on_both_sides_is_one_conflict() -> None:
    place = rule(GROUP, place=SHARED)
    base = {"street": "Weg 1", "city": "Ulm"}
    crm = view({"street": "Allee 2", "city": "Ulm"}, base)
    erp = view({"street": "Weg 1", "city": "Bonn"}, base)
    merged = merge(place, crm, erp)
    (conflict,) = merged.conflicts
    assert conflict.field == "place"
    assert conflict.crm == {"street": "Allee 2", "city": "Ulm"}
    assert not merged.changes
    answer = {"street": "Allee 2", "city": "Bonn"}
    settled = merge(place, crm, erp, frozenset({"place"}), {"place": answer})
    assert (settled.crm, settled.erp) == ({"city": "Bonn"}, {"street": "Allee 2"})
    assert settled.closed == {"place"}


def test_a_groups_fields_have_no_rule_of_their_own() -> None:
    place = rule(GROUP, place=ERP, street=CRM)
    base = {"street": "Weg 1", "city": "Ulm"}
    merged = merge(place, view({"street": "x", "city": "Ulm"}, base), view(base, base))
    assert merged.crm == {"street": "Weg 1"}
    assert not merged.erp


def test_a_group_without_a_rule_stays_away() -> None:
    crm, erp = view({"street": "x", "city": "y"}), view({"street": "p", "city": "q"})
    assert merge(rule(GROUP), crm, erp) == Merge()


def test_a_new_record_receives_what_may_travel_there() -> None:
    made = creation(
        rule(
            a=CRM,
            b=ERP,
            c=FieldRule(owner="erp", fill=False),
            d=FieldRule(direction="to_crm"),
            e=SHARED,
            n=FieldRule(direction="none"),
        ),
        "erp",
        {"a": 1, "b": 2, "c": 3, "d": 4, "e": None, "n": 5, "x": 6},
    )
    assert made.erp == {"a": 1, "b": 2}
    assert {change.field for change in made.changes} == {"a", "b"}
    assert not made.crm


class TestRebase:
    """The bases after a write."""

    RULE = rule(f=SHARED, g=ERP)

    def test_a_write_that_was_read_back_moves_both_bases(self) -> None:
        crm = view({"f": "Abcdef", "g": "x"}, {"f": "a", "g": "x"})
        erp = view({"f": "a", "g": "x"}, {"f": "a", "g": "x"})
        merged = merge(self.RULE, crm, erp)
        settled = rebase(self.RULE, merged, crm, erp, erp_after={"f": "ABC", "g": "x"})
        assert settled.crm == {"f": "Abcdef", "g": "x"}
        assert settled.erp == {"f": "ABC", "g": "x"}

    def test_a_write_that_did_not_happen_leaves_the_edit_an_edit(self) -> None:
        crm = view({"f": "b", "g": "x"}, {"f": "a", "g": "x"})
        erp = view({"f": "a", "g": "y"}, {"f": "a", "g": "x"})
        merged = merge(self.RULE, crm, erp)
        settled = rebase(self.RULE, merged, crm, erp, crm_after={"f": "b", "g": "y"})
        assert settled.crm == {"f": "a", "g": "y"}
        assert settled.erp == {"f": "a", "g": "y"}
        assert settled.failed == {"f"}

    def test_a_conflict_keeps_the_old_bases(self) -> None:
        crm, erp = view({"f": "b", "g": "x"}, {"f": "a", "g": "x"}), view({"f": "c", "g": "x"})
        settled = rebase(self.RULE, merge(self.RULE, crm, erp), crm, erp)
        assert settled.crm == {"f": "a", "g": "x"}
        assert settled.erp == {"g": "x"}

    def test_an_edit_made_during_the_write_is_seen_next_time(self) -> None:
        crm = view({"f": "a", "g": "x"}, {"f": "a", "g": "x"})
        erp = view({"f": "a", "g": "y"}, {"f": "a", "g": "x"})
        merged = merge(self.RULE, crm, erp)
        settled = rebase(self.RULE, merged, crm, erp, crm_after={"f": "human", "g": "y"})
        later = merge(
            self.RULE, view({"f": "human", "g": "y"}, settled.crm), view(erp.now, settled.erp)
        )
        assert later.erp == {"f": "human"}

    def test_a_conflict_is_not_over_before_the_answer_is_written(self) -> None:
        crm = view({"f": "b", "g": "x"}, {"f": "a", "g": "x"})
        erp = view({"f": "c", "g": "x"}, {"f": "a", "g": "x"})
        merged = merge(self.RULE, crm, erp, frozenset({"f"}), {"f": "b"})
        assert not rebase(self.RULE, merged, crm, erp).closed
        settled = rebase(self.RULE, merged, crm, erp, erp_after={"f": "b", "g": "x"})
        assert settled.closed == {"f"}


def test_all_ways_of_having_no_value_are_the_same() -> None:
    assert all(is_empty(value) for value in (None, "", (), [], frozenset()))
    assert not any(is_empty(value) for value in (0, False, " ", (None,)))
    assert same(None, "")
    assert same((), None)
    assert not same(0, None)


@pytest.mark.parametrize(("first", "winner"), [("crm", "A"), ("erp", "B")])
def test_at_the_first_coupling_the_chosen_side_settles_a_difference(
    first: str, winner: str
) -> None:
    rule = Rule(
        entity="partner",
        connections={"crm": "crm", "erp": "erp"},
        fields={"name": FieldRule(first=first)},  # type: ignore[arg-type]
    )
    merged = merge(rule, View(now={"name": "A"}), View(now={"name": "B"}))
    assert merged.conflicts == ()
    assert [change.new for change in merged.changes] == [winner]
    moved = merge(
        rule,
        View(now={"name": "C"}, base={"name": "A"}),
        View(now={"name": "D"}, base={"name": "A"}),
    )
    assert [conflict.field for conflict in moved.conflicts] == ["name"]
