"""Any rule that makes sense is written as TOML that reads back as the same rule."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from koppel.mapping.document import dump_rule, load_rule
from koppel.model import field_types
from koppel.sync.rule import Condition, CreatePolicy, FieldRule, Guards, MatchRule, Rule

NAMES = sorted(field_types("contact"))
names = st.sampled_from([*NAMES, "x_limit", "x_colour"])
sides = st.sampled_from(["crm", "erp"])
words = st.text(max_size=8)
values: st.SearchStrategy[Any] = st.one_of(
    words, st.integers(-(10**6), 10**6), st.booleans(), st.lists(words, max_size=3).map(tuple)
)
conditions = st.one_of(
    st.builds(Condition, field=names, op=st.just("present")),
    st.builds(
        Condition,
        field=names,
        op=st.sampled_from(["equals", "contains", "one_of", "not_equals"]),
        value=values,
    ),
)
several = st.lists(conditions, max_size=3).map(tuple)
ways = st.sampled_from(["both", "to_crm", "to_erp", "none"])
field_rules = st.one_of(
    st.builds(FieldRule, owner=sides, direction=ways, fill=st.booleans()),
    st.builds(
        FieldRule,
        owner=st.just("shared"),
        policy=st.sampled_from(["ask", "crm", "erp", "newest"]),
        direction=ways,
        fill=st.booleans(),
        first=st.sampled_from([None, "ask", "crm", "erp", "newest"]),
    ),
)
shares = st.floats(0, 1)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    fields = draw(st.dictionaries(names, field_rules, min_size=1))
    free = [name for name in NAMES if name not in fields]
    groups: dict[str, tuple[str, ...]] = {}
    if len(free) > 1 and draw(st.booleans()):
        groups["the group"] = tuple(free[:2])
        fields["the group"] = draw(field_rules)
    review, couple = sorted((draw(shares), draw(shares)))
    return Rule(
        entity="contact",
        connections={"crm": "a b", "erp": 'q"uoted'},
        needs=draw(st.sampled_from([(), ("partner",)])),
        scope=draw(st.dictionaries(sides, several)),
        create=draw(
            st.dictionaries(sides, st.builds(CreatePolicy, allowed=st.booleans(), when=several))
        ),
        delete=draw(st.dictionaries(sides, st.sampled_from(["uncouple", "delete", "ask"]))),
        fields=fields,
        groups=groups,
        match=MatchRule(
            couple=couple, review=review, within=draw(st.sampled_from([None, "partner"]))
        ),
        guards=draw(
            st.builds(
                Guards,
                deletes=shares,
                changes=shares,
                creates=st.integers(0, 10**6),
                least=st.integers(0, 1000),
                empty_side=st.booleans(),
            )
        ),
    )


@given(rule=rules())
def test_a_rule_is_read_back_from_its_text(rule: Rule) -> None:
    text = dump_rule(rule)
    assert load_rule(text, source="rule.toml") == rule
    assert dump_rule(load_rule(text, source="rule.toml")) == text
