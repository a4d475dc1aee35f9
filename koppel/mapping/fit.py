"""Do a rule and the two mappings fit together? Every shared field needs an owner and a way.

A field that both sides know and that no rule names would neither travel nor be seen to differ; so
it is a fault, and so is a field that shall travel to a side that cannot write it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from koppel.mapping.compiled import Mapper
from koppel.mapping.faults import Fault, nearest
from koppel.sync.rule import SIDES, Condition, FieldRule, Rule, Side, other

LABEL: Mapping[Side, str] = {"crm": "CRM", "erp": "ERP"}


def unfit(rule: Rule, mappers: Mapping[Side, Mapper], *, source: str) -> tuple[Fault, ...]:
    """All faults of a rule with respect to the mappings of its two sides; empty if they fit."""
    shared = set(mappers["crm"].fields) & set(mappers["erp"].fields)
    ruled = _ruled(rule)
    faults = [
        Fault(
            source,
            f"fields.{name}",
            f"both sides know {name}, and the rule says nothing about it",
            f'Give it an owner, or write {name} = {{ owner = "crm", direction = "none" }}',
        )
        for name in sorted(shared - ruled.keys())
    ]
    for name, one in ruled.items():
        if name in shared:
            faults.extend(_unwritable(name, one, mappers, source))
    faults.extend(_conditions(rule, mappers, source))
    if rule.match.within is not None and rule.match.within not in shared:
        message = f"{rule.match.within} is not known on both sides"
        faults.append(Fault(source, "match.within", message, "Choose one of the shared references"))
    return tuple(faults)


def _ruled(rule: Rule) -> dict[str, FieldRule]:
    """Every single field with its rule, those of groups too."""
    found: dict[str, FieldRule] = {}
    for name, one in rule.fields.items():
        for member in rule.groups.get(name, (name,)):
            found[member] = one
    return found


def _unwritable(
    name: str, rule: FieldRule, mappers: Mapping[Side, Mapper], source: str
) -> Iterator[Fault]:
    for side in SIDES:
        receives = rule.direction in ("both", f"to_{side}") and rule.owner != side
        if receives and name not in mappers[side].writable:
            way = "none" if rule.direction == f"to_{side}" else f"to_{other(side)}"
            yield Fault(
                source,
                f"fields.{name}",
                f"it shall travel to the {LABEL[side]}, which cannot write it",
                f'Write direction = "{way}" for it',
            )


def _conditions(rule: Rule, mappers: Mapping[Side, Mapper], source: str) -> Iterator[Fault]:
    for side in SIDES:
        policy = rule.create.get(side)
        if policy is not None and policy.allowed:
            yield from _known(policy.when, mappers, other(side), source, f"create.{side}.when")
        yield from _known(rule.scope.get(side, ()), mappers, side, source, f"scope.{side}")


def _known(
    conditions: tuple[Condition, ...],
    mappers: Mapping[Side, Mapper],
    side: Side,
    source: str,
    place: str,
) -> Iterator[Fault]:
    for condition in conditions:
        if condition.field not in mappers[side].fields:
            message = f"the {LABEL[side]} does not know {condition.field}, so this never holds"
            remedy = nearest(condition.field, mappers[side].fields)
            yield Fault(source, place, message, remedy)
