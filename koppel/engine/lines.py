"""Lines: for each entity the rule, and on each side the connection, the mapper and what it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from koppel.connectors.base import (
    Capabilities,
    Connector,
    FieldInfo,
    Gone,
    IdPage,
    Linking,
    Record,
    Resource,
)
from koppel.engine.budget import Limit, Urgency, budget_of
from koppel.engine.gates import Gated
from koppel.errors import Defect, NeedsUser
from koppel.mapping.document import default_rule, load_mapping, load_rule, shipped_mapping
from koppel.mapping.faults import DocumentFaults
from koppel.mapping.fit import unfit
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.model import ENTITIES
from koppel.store import Store
from koppel.sync.match import Rarity
from koppel.sync.rule import SIDES, Rule, Side, other

HINT_SECRET = "hint_secret"
"""A connection's secret of its own: signs what the system sends to Koppel."""

Connect = Callable[[str, Mapping[str, str]], Connector]
"""Connector type and settings -> connector (`koppel.connectors.registry.connect`)."""


@dataclass
class Lane:
    """One side of one entity."""

    side: Side
    name: str
    connector: Connector
    mapper: Mapper
    capabilities: Capabilities

    @property
    def resource(self) -> str:
        """The native resource."""
        return self.mapper.resource

    def link(self, record: str) -> str | None:
        """Where a person sees a record in its own system; None where the system has no address."""
        connector = self.connector
        return connector.link(self.resource, record) if isinstance(connector, Linking) else None

    def fetch(self, ids: Iterable[str]) -> dict[str, Record | Gone]:
        """All of these records, in calls of at most what the connector takes."""
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Record | Gone] = {}
        size = max(1, self.capabilities.max_fetch)
        for start in range(0, len(wanted), size):
            part = wanted[start : start + size]
            answer = self.connector.fetch(self.resource, part)
            missing = [record for record in part if record not in answer]
            if missing:
                raise Defect(
                    f"fetch left out {len(missing)} of {len(part)} records, first {missing[0]}",
                    place=f"{self.name}, {self.resource}",
                )
            found.update(answer)
        return found

    def living(self, caller: Executor) -> Iterator[IdPage]:
        """All pages of ids and versions: `caller` reads the next while this one is worked on."""
        coming: Future[IdPage] | None = caller.submit(self.connector.ids, self.resource, None)
        while coming:
            answer = coming.result()
            coming = (
                caller.submit(self.connector.ids, self.resource, answer.next)
                if answer.next is not None
                else None
            )
            yield answer


@dataclass
class Line:
    """One entity with both lanes."""

    entity: str
    rule: Rule
    lanes: dict[Side, Lane]
    parents: dict[str, Line] = field(default_factory=dict)
    rarity: tuple[int, Rarity] | None = None

    def supplies(self, side: Side) -> dict[str, tuple[str, ...]]:
        """Fields that a new record of `side` may have from its own system: name -> natives.

        Only those that the other side may receive, and whose natives feed no other field.
        """
        here, there = self.lanes[side].mapper, self.lanes[other(side)].mapper
        users = Counter(native for natives in here.natives.values() for native in natives)
        found: dict[str, tuple[str, ...]] = {}
        for name, rule in self.rule.fields.items():
            if rule.direction not in ("both", f"to_{other(side)}"):
                continue
            for member in self.rule.groups.get(name, (name,)):
                natives = here.natives.get(member, ())
                if member in there.writable and all(users[native] == 1 for native in natives):
                    found[member] = natives
        return found


def sweep(store: Store, lane: Lane, caller: Executor) -> None:
    """Lay all ids and versions of a lane into the store's table of the sweep."""
    store.replica.begin_sweep()
    for answer in lane.living(caller):
        store.replica.add_sweep(answer.items)


def contents(
    store: Store, line: Line, side: Side, records: Sequence[str]
) -> dict[str, Record | Gone]:
    """The replicas' contents; fetched where there is none, as of one that was coupled."""
    rows = store.replica.get(line.entity, side, records)
    found = {r: row.content for r, row in rows.items() if row.content is not None}
    missing = [record for record in records if record not in found]
    return {**found, **(line.lanes[side].fetch(missing) if missing else {})}


@dataclass
class Lines:
    """All entities in dependency order, over connections that are opened once."""

    store: Store
    connect: Connect
    connectors: dict[str, Connector] = field(default_factory=dict)
    _built: dict[str, Line] = field(default_factory=dict)
    _schemas: dict[str, tuple[Resource, ...]] = field(default_factory=dict)
    urgency: Urgency = "records"
    """For whom the connectors are asked at present: decides how much of a budget may be used."""
    _newest: int = 0
    _settings: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    _rules: tuple[int, tuple[Rule, ...]] | None = None
    _steady: bool = False

    def connector(self, name: str) -> Connector:
        """The connector of a connection; `NeedsUser` where the connection is paused."""
        if name not in self.connectors:
            row = self.store.connections.get(name)
            settings = self.store.connections.settings(name)
            settings.pop(HINT_SECRET, None)
            gated: Any = Gated(
                self.connect(row.type, settings),
                name,
                self.store,
                budget_of(self.store).limits.get(name, Limit()),
                lambda: self.urgency,
            )
            self.connectors[name] = gated
        return self.connectors[name]

    def describe(self, name: str) -> tuple[Resource, ...]:
        """What a connection describes, once until `refresh`."""
        if name not in self._schemas:
            self._schemas[name] = tuple(self.connector(name).describe())
            if not self.store.connections.schema(name):
                self.store.connections.accept_schema(name, self._schemas[name])
        return self._schemas[name]

    def drift(self, lines: Iterable[Line]) -> tuple[str, ...]:
        """A sentence for each mapped resource that describes itself otherwise than accepted."""
        sentences = []
        for lane in (lane for line in lines for lane in line.lanes.values()):
            now = self.describe(lane.name)
            if self.store.connections.drifted(lane.name, now):
                before = {r.name: r for r in self.store.connections.schema(lane.name)}
                after = {r.name: r for r in now}
                names = changed_fields(before.get(lane.resource), after.get(lane.resource))
                if names:
                    sentences.append(
                        f"{lane.name} describes {lane.resource} otherwise than before: "
                        f"{', '.join(names)}."
                    )
        return tuple(dict.fromkeys(sentences))

    def accept(self) -> None:
        """Take the present descriptions as the expected ones: a person has seen the drift."""
        for name, resources in self._schemas.items():
            self.store.connections.accept_schema(name, resources)

    def refresh(self) -> None:
        """Forget rules, mappings and schemas: read them again at the next use."""
        self._built.clear()
        self._schemas.clear()
        self._rules = None

    def follow_documents(self) -> None:
        """Read rules and mappings again where somebody has changed a document since."""
        newest = self.store.documents.newest()
        if newest != self._newest:
            self._built.clear()
            self._rules = None
            self._newest = newest
        self._follow_settings()

    def _follow_settings(self) -> None:
        """Open a connection anew where its settings or secrets were changed since."""
        for row in self.store.connections.all():
            mark = (row.type, repr(sorted(row.config.items())), bytes(row.secrets))
            if self._settings.setdefault(row.name, mark) != mark:
                self._settings[row.name] = mark
                self._built.clear()
                old = self.connectors.pop(row.name, None)
                if old is not None:
                    old.close()

    def rules(self) -> list[Rule]:
        """All live rules, each after those that it needs."""
        documents = self.store.documents
        if self._steady and self._rules:
            return list(self._rules[1])
        newest = documents.newest()
        if self._rules and self._rules[0] == newest:
            return list(self._rules[1])
        rules = {}
        for name in documents.names("rule"):
            text = documents.get("rule", name) or ""
            rule = load_rule(text, source=f"rule {name}")
            rules[rule.entity] = rule
        self._rules = (newest, tuple(in_order(rules)))
        return list(self._rules[1])

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Within, the rules are those that were read first: one run goes by one set of rules."""
        before, self._steady = self._steady, True
        try:
            yield
        finally:
            self._steady = before

    def ahead(self, entity: str) -> Line | None:
        """The line of an entity that no rule couples yet, by the rule that Koppel brings along.

        None where it brings none, or no mapping for one of the two systems, or where these do not
        have what it needs.
        """
        sides: dict[Side, str] = {}
        for rule in self.rules():
            sides.update(rule.connections)
        try:
            rule = replace(load_rule(default_rule(entity), source=entity), connections=sides)
            line = self.line(rule)
        except NeedsUser:
            return None
        finally:
            self._built.pop(entity, None)
        return line

    def pairs(self) -> dict[str, list[str]]:
        """Pair of connections, as `crm/erp` -> its entities; work on two pairs is independent."""
        found: dict[str, list[str]] = {}
        for rule in self.rules():
            name = "/".join(rule.connections[side] for side in SIDES)
            found.setdefault(name, []).append(rule.entity)
        return found

    def mapping_text(self, connection: str, entity: str) -> tuple[str, str | None]:
        """The live mapping of a connection and the user's overlay, where there is one."""
        row = self.store.connections.get(connection)
        documents = self.store.documents
        name = f"{connection}/{entity}"
        text = documents.get("mapping", name) or shipped_mapping(row.type, entity)
        return text, documents.get("overlay", name)

    def mapper(self, connection: str, entity: str, *, offline: bool = False) -> Mapper:
        """The compiled mapping; raises all its faults at once.

        `offline`: against the description that was accepted last, without asking the system.
        """
        text, overlay = self.mapping_text(connection, entity)
        document = load_mapping(text, source=f"{connection}/{entity}.toml", overlay=overlay)
        resources = (
            self.store.connections.schema(connection) if offline else self.describe(connection)
        )
        return compile_mapping(document, resources, entity_type=ENTITIES.get(entity))

    def line(self, rule: Rule) -> Line:
        """The line of a rule, compiled once."""
        if rule.entity not in self._built:
            lanes: dict[Side, Lane] = {}
            for side in SIDES:
                name = rule.connections[side]
                row = self.store.connections.get(name)
                if row.paused:
                    raise NeedsUser(
                        f"the connection is paused: {row.paused}",
                        place=name,
                        remedy="Put it right, then: koppel check",
                    )
                mapper = self.mapper(name, rule.entity)
                connector = self.connector(name)
                lanes[side] = Lane(
                    side=side,
                    name=name,
                    connector=connector,
                    mapper=mapper,
                    capabilities=connector.capabilities(mapper.resource),
                )
            mappers = {side: lane.mapper for side, lane in lanes.items()}
            faults = unfit(rule, mappers, source=f"rules/{rule.entity}.toml")
            if faults:
                raise DocumentFaults(faults)
            parents = {need: self._built[need] for need in rule.needs if need in self._built}
            self._built[rule.entity] = Line(
                entity=rule.entity, rule=rule, lanes=lanes, parents=parents
            )
        return self._built[rule.entity]

    def all(self, entities: Sequence[str] | None = None) -> list[Line]:
        """The lines of these entities (default: all), in dependency order."""
        rules = self.rules()
        if not rules:
            raise NeedsUser("nothing is configured yet", remedy="Begin with: koppel init")
        known = {rule.entity for rule in rules}
        for entity in entities or ():
            if entity not in known:
                raise NeedsUser(
                    f"there is no sync rule for '{entity}' (there is: {', '.join(sorted(known))})"
                )
        return [self.line(rule) for rule in rules if not entities or rule.entity in entities]

    def close(self) -> None:
        """Close all connectors."""
        for connector in self.connectors.values():
            connector.close()
        self.connectors.clear()
        self.refresh()


def in_order(rules: Mapping[str, Rule]) -> Iterator[Rule]:
    """Each rule after those that it needs; `NeedsUser` for a ring or an unknown need."""
    done: set[str] = set()
    waiting = dict(rules)
    while waiting:
        ready = [e for e, rule in waiting.items() if all(need in done for need in rule.needs)]
        if not ready:
            raise NeedsUser(
                f"these rules need each other or something unknown: {', '.join(sorted(waiting))}",
                place="needs",
                remedy="Correct the rules' `needs`",
            )
        for entity in ready:
            done.add(entity)
            yield waiting.pop(entity)


def changed_fields(before: Resource | None, after: Resource | None) -> list[str]:
    """Fields that came, went or changed their type or limits; labels and choices do not count."""
    old = {info.name: _shape(info) for info in (before.fields if before else ())}
    new = {info.name: _shape(info) for info in (after.fields if after else ())}
    words = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            words.append(f"{name} is gone")
        elif name not in old:
            words.append(f"{name} is new")
        elif old[name] != new[name]:
            words.append(f"{name} changed")
    return words


def _shape(info: FieldInfo) -> tuple[object, ...]:
    children = tuple(sorted((child.name, _shape(child)) for child in info.fields))
    return (info.type, info.required, info.writable, info.max_length, info.scale, children)
