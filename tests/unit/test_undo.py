"""Undo takes back what Koppel wrote, and never what a person wrote since."""

from __future__ import annotations

from koppel.sync.undo import invert, undo_fields


def test_a_written_field_is_restored() -> None:
    restore, refused = undo_fields({"a": 1, "b": 2}, {"a": 9, "b": 2}, {"a": 9, "b": 2}, ["a"])
    assert restore == {"a": 1}
    assert refused == ()


def test_a_field_edited_since_is_refused_and_the_others_are_restored() -> None:
    before, after, current = {"a": 1, "b": 2}, {"a": 9, "b": 8}, {"a": 5, "b": 8}
    restore, refused = undo_fields(before, after, current, ["a", "b"])
    assert restore == {"b": 2}
    assert refused == ("'a' was edited since; it stays.",)


def test_what_was_not_written_is_not_touched() -> None:
    restore, refused = undo_fields({"a": 1, "b": 2}, {"a": 9, "b": 8}, {"a": 9, "b": 8}, ["a"])
    assert restore == {"a": 1}
    assert refused == ()


def test_a_field_that_stands_as_before_needs_nothing() -> None:
    assert undo_fields({"a": 1}, {"a": 9}, {"a": 1}, ["a"]) == ({}, ())
    assert undo_fields({"a": 1}, {"a": 1}, {"a": 7}, ["a"]) == ({}, ())


def test_children_are_undone_one_by_one() -> None:
    before = {"tel": [{"id": 1, "no": "1"}, {"id": 2, "no": "2"}, {"id": 3, "no": "3"}]}
    after = {"tel": [{"id": 1, "no": "x"}, {"id": 2, "no": "y"}, {"id": 4, "no": "new"}]}
    current = {
        "tel": [
            {"id": 1, "no": "x"},
            {"id": 2, "no": "human"},
            {"id": 4, "no": "new"},
            {"id": 5, "no": "human's"},
        ]
    }
    restore, refused = undo_fields(before, after, current, ["tel"])
    assert restore == {
        "tel": [
            {"id": 1, "no": "1"},
            {"id": 2, "no": "human"},
            {"id": 5, "no": "human's"},
            {"no": "3"},
        ]
    }
    assert refused == ("'tel' 2: 'no' was edited since; it stays.",)


def test_a_child_that_a_person_changed_or_removed_since_is_left() -> None:
    before = {"tel": [{"id": 1, "no": "1"}]}
    after = {"tel": [{"id": 1, "no": "x"}, {"id": 4, "no": "new"}]}
    restore, refused = undo_fields(before, after, {"tel": [{"id": 4, "no": "mine"}]}, ["tel"])
    assert restore == {}
    assert len(refused) == 2


def test_a_created_record_is_removed_unless_somebody_used_it() -> None:
    assert invert(None, {"a": 1}, {"a": 1}, ["a"]).kind == "delete"
    assert invert(None, {"a": 1}, None, ["a"]).kind == "nothing"
    used = invert(None, {"a": 1}, {"a": 2}, ["a"])
    assert used.kind == "refused"
    assert used.refused == ("'a' was edited since; the new record stays.",)


def test_a_removed_record_is_made_again_without_its_old_ids() -> None:
    before = {"id": 7, "name": "n", "tel": [{"id": 1, "no": "1"}]}
    made = invert(before, None, None, [])
    assert made.kind == "create"
    assert made.fields == {"name": "n", "tel": [{"no": "1"}]}
    assert invert(before, None, before, []).kind == "nothing"


def test_an_update_is_undone_refused_or_partly_both() -> None:
    assert invert({"a": 1}, {"a": 2}, {"a": 2}, ["a"]).fields == {"a": 1}
    assert invert({"a": 1}, {"a": 2}, {"a": 3}, ["a"]).kind == "refused"
    assert invert({"a": 1}, {"a": 2}, {"a": 1}, ["a"]).kind == "nothing"
    assert invert({"a": 1}, {"a": 2}, None, ["a"]).kind == "refused"
    both = invert({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 2, "b": 3}, ["a", "b"])
    assert (both.kind, both.fields, len(both.refused)) == ("update", {"a": 1}, 1)
