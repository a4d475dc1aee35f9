"""A rule as a matrix of fields, a change to it, what the change would do, and its documentation."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import tomlkit

from koppel.engine.foresee import Foreseen, Terms, changed_fields, foresee
from koppel.errors import KoppelError, NeedsUser
from koppel.mapping.document import load_mapping
from koppel.mapping.faults import DocumentFaults, Fault
from koppel.mapping.fit import unfit
from koppel.mapping.rule_document import load_rule
from koppel.processes.settings import order_settings
from koppel.sync.rule import (
    SIDES,
    CreatePolicy,
    DeletePolicy,
    Direction,
    FieldRule,
    MatchRule,
    Owner,
    Policy,
    Rule,
    Side,
)
from koppel.web.service import Service

OWNERS: tuple[str, ...] = get_args(Owner)
POLICIES: tuple[str, ...] = get_args(Policy)
DIRECTIONS: tuple[str, ...] = get_args(Direction)
DELETES: tuple[str, ...] = get_args(DeletePolicy)


@dataclass
class Preview:
    """A changed document: its text, what is wrong with it, and what it would do."""

    text: str
    faults: Sequence[Fault] = ()
    changed: Sequence[str] = ()
    """Single fields whose rule is another one."""
    foreseen: Foreseen = field(default_factory=Foreseen)


def matrix(service: Service, rule: Rule) -> list[dict[str, Any]]:
    """Each field or group of the rule with its owner, way, policy, and how both sides keep it."""
    lenses = {side: _lenses(service, rule.connections[side], rule.entity, side) for side in SIDES}
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


def _lenses(
    service: Service, connection: str, entity: str, side: Side
) -> dict[str, dict[str, Any]]:
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
        told[one.name] = {
            "name": one.name,
            "side": side,
            "native": native,
            "lens": one.lens or "text",
            "readonly": one.readonly,
        }
    return told


def changed_text(text: str, form: Mapping[str, Any]) -> str:
    """The rule's document with what the form says; all else stays as written."""
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
    _records(document, form)
    return tomlkit.dumps(document)


def _records(document: Any, form: Mapping[str, Any]) -> None:
    """What the form says of whole records: made, deleted, matched."""
    for side in SIDES:
        wanted = form.get(f"create-{side}")
        if wanted in ("yes", "no"):
            _allow(document, side, wanted == "yes")
        gone = form.get(f"delete-{side}")
        if gone and gone != document.get("delete", {}).get(side, "uncouple"):
            document.setdefault("delete", tomlkit.table())[side] = gone
    for name, default in (("couple", MatchRule().couple), ("review", MatchRule().review)):
        typed = form.get(f"match-{name}", "").strip().replace(",", ".")
        if not typed or typed == _plain(document.get("match", {}).get(name, default)):
            continue
        value = float(typed) if typed.replace(".", "", 1).isdecimal() else typed
        document.setdefault("match", tomlkit.table())[name] = value


def _allow(document: Any, side: Side, wanted: bool) -> None:
    entry = document.get("create", {}).get(side, False)
    now = entry if isinstance(entry, bool) else entry.get("allowed", True)
    if bool(now) == wanted:
        return
    if isinstance(entry, bool):
        document.setdefault("create", tomlkit.table())[side] = wanted
    else:
        entry["allowed"] = wanted


def _plain(value: Any) -> str:
    """A share as it stands in the form."""
    return f"{float(value):g}" if isinstance(value, int | float) else str(value)


def records_of(rule: Rule) -> dict[str, Any]:
    """What a rule says of whole records, for the form."""
    return {
        "create": [(side, rule.create.get(side, CreatePolicy())) for side in SIDES],
        "delete": [(side, rule.delete.get(side, "uncouple")) for side in SIDES],
        "match": [("couple", _plain(rule.match.couple)), ("review", _plain(rule.match.review))],
    }


def _put(entry: Any, key: str, value: str, default: str) -> None:
    """Write a setting only where it says something else than before."""
    if entry.get(key, default) == value:
        return
    if value == default and key != "owner":
        del entry[key]
    else:
        entry[key] = value


def preview(service: Service, entity: str, text: str) -> Preview:
    """Check a changed rule against both systems, and find what it would change."""
    found = Preview(text)
    try:
        after = _fitting(service, entity, text)
    except KoppelError as error:
        found.faults = faults_of(error)
        return found
    before = _live_terms(service, entity, after)
    if before is not None:
        found.changed = sorted(changed_fields(before.rule, after.rule))
        found.foreseen = foresee(service.store, before, after)
    return found


def checked(service: Service, entity: str, text: str) -> Sequence[Fault]:
    """All that is wrong with a changed rule."""
    try:
        _fitting(service, entity, text)
    except KoppelError as error:
        return faults_of(error)
    return ()


def _fitting(service: Service, entity: str, text: str) -> Terms:
    """A rule's text with its mappings. Raises `DocumentFaults` where they do not fit together."""
    source = f"rules/{entity}.toml"
    rule = load_rule(text, source=source)
    if rule.entity != entity:
        message = f"this is the rule of {entity}, not of {rule.entity}"
        raise DocumentFaults([Fault(source, "entity", message, f'Write entity = "{entity}"')])
    found = terms(service, rule)
    faults = unfit(rule, found.mappers, source=source)
    if faults:
        raise DocumentFaults(faults)
    return found


def deletions(before: str, after: str) -> list[tuple[Side, str, str]]:
    """(side, old, new): where another thing becomes of a record whose partner is deleted."""
    one, two = load_rule(before, source="rule").delete, load_rule(after, source="rule").delete
    told: list[tuple[Side, str, str]] = []
    for side in SIDES:
        old, new = one.get(side, "uncouple"), two.get(side, "uncouple")
        if old != new:
            told.append((side, old, new))
    return told


def _live_terms(service: Service, entity: str, after: Terms) -> Terms | None:
    """The terms that are live, with the same mappings where these stay; None where they are faulty.

    A fault in what is live must not keep anybody from putting it right.
    """
    try:
        rule = load_rule(service.store.documents.get("rule", entity) or "", source=entity)
        if rule.connections == after.rule.connections:
            return Terms(rule=rule, mappers=after.mappers)
        return terms(service, rule)
    except KoppelError:
        return None


def terms(service: Service, rule: Rule) -> Terms:
    """A rule with its mappings, compiled against what both systems said of themselves last."""
    for name in rule.connections.values():
        if not service.store.connections.schema(name):
            raise NeedsUser(
                "the system was not described yet", place=name, remedy="Check the connection first"
            )
    lines = service.lines
    mappers = {s: lines.mapper(rule.connections[s], rule.entity, offline=True) for s in SIDES}
    return Terms(rule=rule, mappers=mappers)


def faults_of(error: KoppelError) -> Sequence[Fault]:
    """All that is wrong, each with its place and remedy."""
    if isinstance(error, DocumentFaults):
        return error.faults
    return (Fault(error.place, "", error.message, error.remedy),)


def save(service: Service, entity: str, text: str, *, by: str) -> int:
    """Make a text the live rule; records with an open conflict are looked at again. Its number."""
    store = service.store
    rule = load_rule(text, source=f"rules/{entity}.toml")
    before = next((one for one in service.lines.rules() if one.entity == entity), None)
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
    if before is not None and _weighs_otherwise(before, rule):
        store.replica.refresh_uncoupled(entity)
    return version


def _weighs_otherwise(before: Rule, after: Rule) -> bool:
    """Do records without a partner have to be looked at again?"""
    return (before.match, before.create, before.scope) != (after.match, after.create, after.scope)


def difference(old: str, new: str, names: tuple[str, str]) -> list[tuple[str, str]]:
    """(kind, line) of a comparison: `add`, `del`, `at` or empty."""
    kinds = {"+": "add", "-": "del", "@": "at"}
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="", n=2)
    return [(kinds.get(line[:1], ""), line) for line in lines]


def steps(service: Service) -> dict[str, Any]:
    """Which step runs where and what follows, or what is wrong with the settings that say so."""
    try:
        return {"steps": order_settings(service.store).steps.told()}
    except NeedsUser as error:
        return {"steps": [], "steps_fault": str(error)}


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
