"""An overlay that a page edits: one field at a time, and all else stays as it is written."""

from __future__ import annotations

import tomllib

import pytest

from koppel.mapping.overlay import (
    field_table,
    from_inline,
    inline,
    removed,
    with_field,
    without_field,
)

MAPPING = """
connector = "creme"
[fields]
name = "name"
phone = { native = "phone", lens = "phone" }
"""
OVERLAY = """# ours
remove = ["fax"]

[fields.x_limit] # of credit
native = "custom_7"
lens = "decimal"
"""


def test_a_field_is_laid_over_and_taken_back_while_the_rest_stays() -> None:
    changed = with_field(MAPPING, OVERLAY, "phone", {"native": "phone", "lens": "text"})
    assert changed.startswith(OVERLAY.rstrip())
    assert field_table(MAPPING, changed, "phone") == {"native": "phone", "lens": "text"}
    assert without_field(changed, "phone").strip() == OVERLAY.strip()


def test_what_the_mapping_says_already_is_not_laid_over() -> None:
    table = {"native": "phone", "lens": "phone"}
    assert with_field(MAPPING, "", "phone", table) == ""
    assert (
        with_field(MAPPING, with_field(MAPPING, "", "phone", {"native": "p"}), "phone", table) == ""
    )


def test_a_field_is_taken_out_and_mapped_again() -> None:
    out = removed(MAPPING, OVERLAY, "name")
    assert tomllib.loads(out)["remove"] == ["fax", "name"]
    assert field_table(MAPPING, out, "name") == {}
    again = with_field(MAPPING, out, "name", {"native": "title"})
    assert tomllib.loads(again)["remove"] == ["fax"]
    first = removed(MAPPING, "[fields]\nx_a = 'a'\n", "name")
    assert tomllib.loads(first) == {"remove": ["name"], "fields": {"x_a": "a"}}
    assert removed(MAPPING, "[fields]\nx_a = 'a'\n", "x_a") == ""


@pytest.mark.parametrize(
    "value",
    ["text", 'with "quotes"', 7, 1.5, True, ["a", "b"], {"a b": {"c": [1, 2]}, "d": "ü"}, {}],
)
def test_a_value_on_one_line_reads_back_as_it_was(value: object) -> None:
    assert from_inline(inline(value)) == value


def test_what_is_no_toml_is_taken_as_the_text_it_is() -> None:
    assert from_inline("upper case") == "upper case"
