"""The sync rule as TOML: read with all its faults at once, written so that it reads back alike."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, get_args

import tomlkit

from koppel.mapping.faults import DocumentFaults, Fault, nearest
from koppel.model import ENTITIES, EXTRA, Ref, field_types
from koppel.sync.rule import (
    SIDES,
    Condition,
    CreatePolicy,
    DeletePolicy,
    Direction,
    FieldRule,
    First,
    Guards,
    MatchRule,
    Owner,
    Policy,
    Rule,
    Side,
)

_KEYS = (
    "entity", "connections", "needs", "scope", "create", "delete", "fields", "groups", "match",
    "guards",
)  # fmt: skip
_OPS = ("equals", "contains", "present", "one_of", "not_equals")


def load_rule(text: str, *, source: str) -> Rule:
    """Read a sync rule. Raises `DocumentFaults` with every fault that it finds."""
    faults: list[Fault] = []
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = Fault(source, "", f"it is not TOML: {error}", "Correct the line")
        raise DocumentFaults([fault]) from error
    rule = _RuleReader(table, source, faults).rule()
    if faults:
        raise DocumentFaults(faults)
    return rule


class _RuleReader:
    """Takes the rule out of its table, and notes what is wrong."""

    def __init__(self, table: Mapping[str, Any], source: str, faults: list[Fault]) -> None:
        self.table = table
        self.source = source
        self.faults = faults
        self.entity = ""

    def fault(self, place: str, message: str, remedy: str) -> None:
        self.faults.append(Fault(self.source, place, message, remedy))

    def rule(self) -> Rule:
        for key in self.table:
            if key not in _KEYS:
                self.fault(key, "there is no such setting", nearest(key, _KEYS))
        self._read_entity()
        fields, groups = self._fields(), self._groups()
        self._check_names(fields, groups)
        return Rule(
            entity=self.entity,
            connections=self._connections(),
            needs=self._needs(),
            scope={
                side: self._conditions(value, f"scope.{side}")
                for side, value in self._sides("scope")
            },
            create={side: self._create(value, side) for side, value in self._sides("create")},
            delete={
                side: self._word(value, f"delete.{side}", DeletePolicy)
                for side, value in self._sides("delete")
            },
            fields=fields,
            groups=groups,
            match=self._match(),
            guards=self._guards(),
        )

    def _read_entity(self) -> None:
        entity = self.table.get("entity")
        if not isinstance(entity, str) or entity not in ENTITIES:
            message = "is missing" if entity is None else f"{entity!r} is no entity"
            self.fault("entity", message, nearest(str(entity or ""), ENTITIES))
            return
        self.entity = entity

    def _part(self, key: str) -> Mapping[str, Any]:
        value = self.table.get(key, {})
        if isinstance(value, dict):
            return value
        self.fault(key, "must be a table", f"Write it as [{key}]")
        return {}

    def _sides(self, key: str) -> list[tuple[Side, Any]]:
        found: list[tuple[Side, Any]] = []
        for name, value in self._part(key).items():
            if name in SIDES:
                found.append((name, value))
            else:
                self.fault(f"{key}.{name}", "there is no such side", "Write crm or erp")
        return found

    def _connections(self) -> dict[Side, str]:
        found: dict[Side, str] = {}
        for side, value in self._sides("connections"):
            if isinstance(value, str) and value:
                found[side] = value
            else:
                self.fault(f"connections.{side}", "must name a connection", "Put it in quotes")
        for side in SIDES:
            if side not in self._part("connections"):
                self.fault(f"connections.{side}", "is missing", "Name the connection of this side")
        if len(found) == 2 and found["crm"] == found["erp"]:
            self.fault("connections", "both sides are the same connection", "Name two different")
        return found

    def _needs(self) -> tuple[str, ...]:
        value = self.table.get("needs", [])
        if not isinstance(value, list):
            self.fault("needs", "must be a list of entities", 'Write it as ["partner"]')
            return ()
        for name in value:
            if name not in ENTITIES or name == self.entity:
                self.fault("needs", f"{name!r} is no other entity", nearest(str(name), ENTITIES))
        return tuple(str(name) for name in value)

    def _conditions(self, value: Any, place: str) -> tuple[Condition, ...]:
        if not isinstance(value, list):
            self.fault(place, "must be a list of conditions", f"Write each as [[{place}]]")
            return ()
        found = []
        for number, item in enumerate(value, start=1):
            here = f"{place} {number}"
            if not isinstance(item, dict) or not isinstance(item.get("field"), str):
                self.fault(here, "a condition needs a field", 'Write field = "<canonical field>"')
                continue
            for name in item:
                if name not in ("field", "op", "value"):
                    remedy = nearest(name, ("field", "op", "value"))
                    self.fault(f"{here}.{name}", "there is no such setting", remedy)
            op = item.get("op", "equals")
            if op not in _OPS:
                self.fault(f"{here}.op", f"{op!r} is no test", nearest(str(op), _OPS))
                continue
            if op != "present" and "value" not in item:
                self.fault(here, f"the test {op!r} needs a value", "Give value = ...")
            self._check_field(item["field"], f"{here}.field")
            given = item.get("value")
            given = tuple(given) if isinstance(given, list) else given
            found.append(Condition(field=item["field"], op=op, value=given))
        return tuple(found)

    def _create(self, value: Any, side: Side) -> CreatePolicy:
        place = f"create.{side}"
        if isinstance(value, bool):
            return CreatePolicy(allowed=value)
        if not isinstance(value, dict):
            self.fault(place, "must be true, false or a table", f"Write it as [{place}]")
            return CreatePolicy()
        for name in value:
            if name not in ("allowed", "when"):
                self.fault(f"{place}.{name}", "there is no such setting", "Write allowed or when")
        allowed = value.get("allowed", True)
        if not isinstance(allowed, bool):
            self.fault(f"{place}.allowed", "must be true or false", "Correct the value")
        when = self._conditions(value.get("when", []), f"{place}.when")
        return CreatePolicy(allowed=bool(allowed), when=when)

    def _word(self, value: Any, place: str, words: Any) -> Any:
        allowed = get_args(words)
        if value not in allowed:
            self.fault(place, f"{value!r} is not known here", f"Choose one of {', '.join(allowed)}")
            return allowed[0]
        return value

    def _fields(self) -> dict[str, FieldRule]:
        found: dict[str, FieldRule] = {}
        settings = (
            ("owner", Owner), ("policy", Policy), ("direction", Direction), ("first", First),
        )  # fmt: skip
        for name, value in self._part("fields").items():
            place = f"fields.{name}"
            if isinstance(value, str):
                value = {"owner": value}
            if not isinstance(value, dict):
                self.fault(place, "must be an owner or a table", f'Write {name} = "shared"')
                continue
            given: dict[str, Any] = {}
            for key, word in value.items():
                kinds = dict(settings)
                if key == "fill" and isinstance(word, bool):
                    given[key] = word
                elif key == "fill":
                    self.fault(f"{place}.fill", "must be true or false", "Correct the value")
                elif key in kinds:
                    given[key] = self._word(word, f"{place}.{key}", kinds[key])
                else:
                    remedy = nearest(key, (*kinds, "fill"))
                    self.fault(f"{place}.{key}", "there is no such setting", remedy)
            rule = FieldRule(**given)
            self._check_sense(place, value, rule)
            found[name] = rule
        if not found:
            self.fault("fields", "no field has an owner", "Give each field that shall travel one")
        return found

    def _check_sense(self, place: str, given: Mapping[str, Any], rule: FieldRule) -> None:
        if "policy" in given and rule.owner != "shared":
            message = f"a policy says nothing where the owner is {rule.owner}"
            self.fault(place, message, 'Take it away, or write owner = "shared"')
        if rule.first and rule.owner != "shared":
            message = f"`first` says nothing where the owner is {rule.owner}"
            self.fault(place, message, 'Take it away, or write owner = "shared"')
        name = place.removeprefix("fields.")
        if rule.policy == "union" and name in self._types() and not _is_list(self._types()[name]):
            message = "only a list of values can be joined"
            self.fault(f"{place}.policy", message, "Choose one of ask, crm, erp, newest")

    def _groups(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name, members in self._part("groups").items():
            if (
                not isinstance(members, list)
                or not members
                or not all(isinstance(member, str) for member in members)
            ):
                self.fault(f"groups.{name}", "must be a list of fields", 'Write it as ["a", "b"]')
                continue
            found[name] = tuple(members)
        return found

    def _check_names(
        self, fields: Mapping[str, FieldRule], groups: Mapping[str, tuple[str, ...]]
    ) -> None:
        seen: dict[str, str] = {}
        for group, members in groups.items():
            if group not in fields:
                message = "the group has no owner"
                self.fault(f"groups.{group}", message, f"Give it one under [fields]: {group} = ...")
            if group in self._types():
                message = "a group must not be called like a field"
                self.fault(f"groups.{group}", message, "Give it another name")
            for member in members:
                self._check_field(member, f"groups.{group}")
                if member in fields:
                    message = f"{member} has a rule of its own and is in the group {group} too"
                    self.fault(f"groups.{group}", message, "Keep one of the two")
                if member in seen:
                    message = f"{member} is in the group {seen[member]} already"
                    self.fault(f"groups.{group}", message, "Keep one of the two")
                seen[member] = group
        for name in fields:
            if name not in groups:
                self._check_field(name, f"fields.{name}")

    def _types(self) -> Mapping[str, Any]:
        return field_types(self.entity) if self.entity else {}

    def _check_field(self, name: str, place: str) -> None:
        if self.entity and name not in self._types() and not name.startswith(EXTRA):
            message = f"{self.entity} has no field {name!r}"
            self.fault(place, message, nearest(name, self._types()))

    def _match(self) -> MatchRule:
        given = self._numbers("match", {"couple": 0.90, "review": 0.60}, ("within",))
        rule = MatchRule(couple=given["couple"], review=given["review"])
        if rule.review > rule.couple:
            message = f"review ({rule.review}) is above couple ({rule.couple})"
            self.fault("match", message, "Set review lower than couple")
        within = self._part("match").get("within")
        if within is None:
            return rule
        hint = self._types().get(within) if isinstance(within, str) else None
        if self.entity and (hint is None or Ref not in get_args(hint)):
            references = [name for name, one in self._types().items() if Ref in get_args(one)]
            message = f"{within!r} is no reference of {self.entity}"
            self.fault("match.within", message, nearest(str(within), references))
        return MatchRule(couple=rule.couple, review=rule.review, within=str(within))

    def _guards(self) -> Guards:
        shares = self._numbers(
            "guards", {"deletes": 0.05, "changes": 0.50}, ("creates", "least", "empty_side")
        )
        whole: dict[str, Any] = {}
        for name in ("creates", "least"):
            value = self._part("guards").get(name)
            if value is None:
                continue
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                whole[name] = value
            else:
                self.fault(f"guards.{name}", "must be a whole number from 0 on", "Correct it")
        empty = self._part("guards").get("empty_side", True)
        if not isinstance(empty, bool):
            self.fault("guards.empty_side", "must be true or false", "Correct the value")
        return Guards(
            deletes=shares["deletes"], changes=shares["changes"], empty_side=bool(empty), **whole
        )

    def _numbers(
        self, key: str, shares: Mapping[str, float], others: tuple[str, ...]
    ) -> dict[str, float]:
        found = dict(shares)
        for name, value in self._part(key).items():
            if name in others:
                continue
            if name not in shares:
                remedy = nearest(name, (*shares, *others))
                self.fault(f"{key}.{name}", "there is no such setting", remedy)
            elif isinstance(value, bool) or not isinstance(value, int | float):
                self.fault(f"{key}.{name}", "must be a number", "Give a share from 0 to 1")
            elif not 0 <= value <= 1:
                self.fault(f"{key}.{name}", f"{value} is not a share", "Give one from 0 to 1")
            else:
                found[name] = float(value)
        return found


def _is_list(hint: Any) -> bool:
    return any(getattr(arg, "__origin__", None) is tuple for arg in (hint, *get_args(hint)))


def dump_rule(rule: Rule) -> str:
    """The rule as TOML; `load_rule` gives the same rule back."""
    document = tomlkit.document()
    document.add("entity", tomlkit.item(rule.entity))
    if rule.needs:
        document.add("needs", tomlkit.item(list(rule.needs)))
    document.add("connections", tomlkit.item(dict(rule.connections)))
    if rule.scope:
        scope = {side: _conditions(tests) for side, tests in rule.scope.items()}
        document.add("scope", tomlkit.item(scope))
    if rule.create:
        create = {
            side: {"allowed": policy.allowed, "when": _conditions(policy.when)}
            for side, policy in rule.create.items()
        }
        document.add("create", tomlkit.item(create))
    if rule.delete:
        document.add("delete", tomlkit.item(dict(rule.delete)))
    match: dict[str, Any] = {"couple": rule.match.couple, "review": rule.match.review}
    if rule.match.within:
        match["within"] = rule.match.within
    document.add("match", tomlkit.item(match))
    guards = {name: getattr(rule.guards, name) for name in Guards.__struct_fields__}
    document.add("guards", tomlkit.item(guards))
    if rule.groups:
        groups = {name: list(members) for name, members in rule.groups.items()}
        document.add("groups", tomlkit.item(groups))
    fields = tomlkit.table()
    for name, one in rule.fields.items():
        fields.add(name, _field_rule(one))
    document.add("fields", fields)
    return tomlkit.dumps(document)


def _conditions(conditions: tuple[Condition, ...]) -> Any:
    array = tomlkit.array()
    array.extend(_condition(one) for one in conditions)
    return array


def _condition(condition: Condition) -> Any:
    table = tomlkit.inline_table()
    table.update({"field": condition.field, "op": condition.op})
    if condition.value is not None:
        value = condition.value
        table["value"] = list(value) if isinstance(value, tuple) else value
    return table


def _field_rule(rule: FieldRule) -> Any:
    table = tomlkit.inline_table()
    table["owner"] = rule.owner
    if rule.owner == "shared":
        table["policy"] = rule.policy
        if rule.first:
            table["first"] = rule.first
    if rule.direction != "both":
        table["direction"] = rule.direction
    if not rule.fill:
        table["fill"] = rule.fill
    return table
