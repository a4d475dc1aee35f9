"""A rule as a matrix of fields, a change to it, what the change would do, and its documentation."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import tomlkit

from koppel.errors import KoppelError
from koppel.mapping.document import load_mapping
from koppel.mapping.faults import DocumentFaults
from koppel.mapping.rule_document import load_rule
from koppel.model import agree
from koppel.sync.rule import SIDES, Direction, FieldRule, First, Owner, Policy, Rule, Side
from koppel.web.records import canonical
from koppel.web.service import Service

OWNERS: tuple[str, ...] = get_args(Owner)
POLICIES: tuple[str, ...] = get_args(Policy)
DIRECTIONS: tuple[str, ...] = get_args(Direction)
FIRSTS: tuple[str, ...] = ("", *get_args(First))
EXAMPLES = 100
"""Records that a preview names one by one; beyond that they are counted."""


@dataclass(frozen=True)
class Effect:
    """What a changed rule would do to one field of one pair."""

    coupling: str
    label: str
    field: str
    side: Side
    old: Any
    new: Any
    at_once: bool
    """A conflict is open there, so it is settled at once; else with the next change."""


@dataclass
class Preview:
    """A changed rule: its text, what is wrong with it, and what it would do."""

    text: str
    faults: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    more: int = 0
    looked_at: int = 0


def matrix(service: Service, rule: Rule) -> list[dict[str, Any]]:
    """Each field or group of the rule with its owner, way, policy, and how both sides keep it."""
    lenses = {side: _lenses(service, rule.connections[side], rule.entity) for side in SIDES}
    return [
        {
            "name": name,
            "rule": one,
            "members": rule.groups.get(name, ()),
            "sides": [
                [
                    lens
                    for member in rule.groups.get(name, (name,))
                    if (lens := lenses[side].get(member))
                ]
                for side in SIDES
            ],
        }
        for name, one in rule.fields.items()
    ]


def _lenses(service: Service, connection: str, entity: str) -> dict[str, dict[str, Any]]:
    text, overlay = service.lines.mapping_text(connection, entity)
    document = load_mapping(text, source=f"{connection}/{entity}.toml", overlay=overlay)
    try:
        natives = service.lines.mapper(connection, entity, offline=True).natives
    except KoppelError:
        natives = {}  # a mapping with a fault is shown as it is written
    told = {}
    for one in document.fields:
        written = (one.native,) if isinstance(one.native, str) else one.native or ()
        native = ", ".join(natives.get(one.name) or written)
        told[one.name] = {"native": native, "lens": one.lens or "text", "readonly": one.readonly}
    return told


def changed_text(text: str, form: Mapping[str, Any]) -> str:
    """The rule's document with what the form says of each field; all else stays as written."""
    document = tomlkit.parse(text)
    fields: Any = document["fields"]
    for name in list(fields):
        asked = FieldRule(
            owner=form.get(f"owner-{name}", fields[name].get("owner", "shared")),
            policy=form.get(f"policy-{name}", fields[name].get("policy", "ask")),
            direction=form.get(f"direction-{name}", fields[name].get("direction", "both")),
        )
        entry = fields[name]
        _put(entry, "owner", asked.owner, "shared")
        _put(entry, "direction", asked.direction, "both")
        if asked.owner == "shared":
            _put(entry, "policy", asked.policy, "ask")
            continue
        for settled in ("policy", "first"):  # they say something of shared fields only
            entry.pop(settled, None)
    return tomlkit.dumps(document)


def _put(entry: Any, key: str, value: str, default: str) -> None:
    """Write a setting only where it says something else than before."""
    if entry.get(key, default) == value:
        return
    if value == default and key != "owner":
        del entry[key]
    else:
        entry[key] = value


def preview(service: Service, entity: str, text: str) -> Preview:
    """Check a changed rule, and find the records and fields that it would change."""
    before = load_rule(service.store.documents.get("rule", entity) or "", source="rule")
    found = Preview(text)
    try:
        after = load_rule(text, source=f"rules/{entity}.toml")
    except DocumentFaults as error:
        found.faults = [str(fault) for fault in error.faults]
        return found
    except KoppelError as error:
        found.faults = [str(error)]
        return found
    found.changed = [
        name
        for name in {**before.fields, **after.fields}
        if before.fields.get(name) != after.fields.get(name)
    ]
    names = {member for name in found.changed for member in after.groups.get(name, (name,))}
    for effect in _effects(service, after, names, found):
        if len(found.effects) < EXAMPLES:
            found.effects.append(effect)
        else:
            found.more += 1
    return found


def _effects(service: Service, rule: Rule, names: set[str], told: Preview) -> Iterator[Effect]:
    if not names:
        return
    units = {m: name for name in rule.fields for m in rule.groups.get(name, (name,))}
    for row in service.store.couplings.each(rule.entity):
        if row.state != "active":
            continue
        told.looked_at += 1
        values = {side: canonical(service, rule.entity, side, row.base(side)) for side in SIDES}
        open_fields: Mapping[str, Any] | None = None
        for name in sorted(names):
            if not all(name in values[side] for side in SIDES):
                continue
            crm, erp = values["crm"][name], values["erp"][name]
            giver = _giver(rule.fields.get(units.get(name, name)))
            if agree(crm, erp) or giver is None:
                continue
            if open_fields is None:
                open_fields = service.store.inbox.open_fields([row.id]).get(row.id, {})
            side: Side = "erp" if giver == "crm" else "crm"
            yield Effect(
                coupling=row.id,
                label=row.label,
                field=name,
                side=side,
                old=values[side][name],
                new=values[giver][name],
                at_once=units.get(name, name) in open_fields,
            )


def _giver(rule: FieldRule | None) -> Side | None:
    """Whose value a rule prefers where the two differ; None: nobody's, or it does not travel."""
    if rule is None or rule.direction == "none":
        return None
    if rule.direction != "both":
        return "crm" if rule.direction == "to_erp" else "erp"
    chosen = rule.owner if rule.owner != "shared" else rule.policy
    return chosen if chosen in SIDES else None


def save(service: Service, entity: str, text: str, *, by: str) -> int:
    """Make a text the live rule; records with an open conflict are looked at again. Its number."""
    store = service.store
    rule = load_rule(text, source=f"rules/{entity}.toml")
    version = store.documents.put("rule", entity, text, author=by)
    store.audit_log.write(by, "change rule", entity, version=version)
    waiting: list[tuple[Side, str]] = []
    rows = [row for row in store.inbox.conflicts() if row.entity == entity and row.field]
    for coupling in store.couplings.by_id({row.coupling for row in rows}).values():
        for side in SIDES:
            record = coupling.record(side)
            if record:
                waiting.append((side, record))
    if waiting:
        store.inbox.wait_all(rule.entity, waiting, reason="the rule was changed")
    return version


def difference(old: str, new: str, names: tuple[str, str]) -> list[tuple[str, str]]:
    """(kind, line) of a comparison: `add`, `del`, `at` or empty."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="", n=2)
    return [(kinds.get(line[:1], ""), line) for line in lines]


def interface(service: Service) -> list[dict[str, Any]]:
    """What is live, entity by entity, for the interface documentation."""
    told = []
    documents = service.store.documents
    for rule in service.lines.rules():
        told.append(
            {
                "rule": rule,
                "entity": rule.entity,
                "systems": [
                    (side, name, service.store.connections.get(name))
                    for side, name in rule.connections.items()
                ],
                "fields": matrix(service, rule),
                "versions": documents.versions("rule", rule.entity),
            }
        )
    return told
