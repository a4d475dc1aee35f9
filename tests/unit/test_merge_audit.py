"""The audit tells what differs, and why."""

from __future__ import annotations

from koppel.sync.audit import audit, drifting
from koppel.sync.rule import FieldRule, Rule
from koppel.sync.state import View

RULE = Rule(
    entity="partner",
    connections={"crm": "creme", "erp": "tryton"},
    fields={
        "same": FieldRule(),
        "cut": FieldRule(),
        "edited": FieldRule(),
        "new": FieldRule(),
        "both": FieldRule(),
        "never": FieldRule(direction="none"),
    },
)
CRM = View(
    now={"same": "a", "cut": "Abcdef", "edited": "x", "new": 1, "both": "p", "never": 1},
    base={"same": "a", "cut": "Abcdef", "edited": "a", "both": "a", "never": 1},
)
ERP = View(
    now={"same": "a", "cut": "ABC", "edited": "a", "new": 2, "both": "q", "never": 2},
    base={"same": "a", "cut": "ABC", "edited": "a", "new": 2, "both": "a", "never": 2},
)


def test_each_field_gets_its_verdict() -> None:
    found = audit(RULE, CRM, ERP, frozenset({"both"}))
    assert {one.field: one.verdict for one in found} == {
        "same": "agree",
        "cut": "stored_differently",
        "edited": "pending",
        "new": "pending",
        "both": "conflict",
    }
    assert {one.field for one in drifting(found)} == {"edited", "new", "both"}


def test_it_says_where_the_change_was_made() -> None:
    (edited,) = (one for one in audit(RULE, CRM, ERP) if one.field == "edited")
    assert edited.why == "Changed in the CRM since the last sync."
