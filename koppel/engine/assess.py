"""The assessment: what two filled systems hold, how far they agree, and what coupling would bring.

Reads both sides page by page, and writes to neither; it looks at no coupling, so that it gives the
same answer before and after. Records are kept encoded while they are compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import tomlkit
from msgspec import Struct, field

from koppel.connectors.base import Record
from koppel.engine.intake import Progress
from koppel.engine.lines import Lane, Line, Lines
from koppel.insight.assess import (
    Assumptions,
    Disagreement,
    FieldFigures,
    Forecast,
    Proposal,
    Volume,
    forecast,
    hours_saved,
    propose,
    volume,
)
from koppel.mapping.document import default_rule, load_rule
from koppel.mapping.faults import BadValue
from koppel.model import ENTITIES, Address, Ref
from koppel.store import Store
from koppel.store.codec import decode, encode
from koppel.sync.features import Features, features
from koppel.sync.match import Family, Pairing, families, match
from koppel.sync.relatives import KINS, Kin
from koppel.sync.rule import SIDES, Rule, Side, other

PAGE = 200
SAMPLES = 5
"""Single records that are read to measure how long one call takes."""
SHOWN = 50


class Related(Struct, frozen=True, kw_only=True):
    """Records of one side that belong together: `kin` is `twice`, `accounts` or `group`.

    `coupled_as`: what they would be coupled with on the other side, each at most once.
    """

    side: Side
    kin: Kin
    records: tuple[str, ...]
    labels: tuple[str, ...]
    value: float
    reasons: tuple[str, ...]
    meaning: str
    coupled_as: tuple[str, ...] = ()


class EntityAssessment(Struct, kw_only=True):
    """One entity. Counts are records; `likely` and `perhaps` are pairs, by confidence."""

    entity: str
    coupled: bool = True
    """Is there a rule for it already?"""
    records: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    likely: int = 0
    perhaps: int = 0
    confidence: dict[str, int] = field(default_factory=dict)
    """How many pairs are that sure: the lower end of a twentieth ("0.95") -> pairs."""
    only: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    """Records too many: of a company that is there three times, two."""
    accounts: dict[str, int] = field(default_factory=dict)
    """Accounts with several customer numbers of one side."""
    groups: dict[str, int] = field(default_factory=dict)
    """Groups of companies within one side."""
    related: list[Related] = field(default_factory=list)
    fields: dict[str, dict[str, FieldFigures]] = field(default_factory=dict)
    """Field -> side -> figures."""
    between: dict[str, Disagreement] = field(default_factory=dict)
    volume: dict[str, Volume] = field(default_factory=dict)
    shared: float = 0.0
    """The share (0..1) of all records that both sides keep."""
    changes_per_day: float | None = None
    """Changes a day of what both sides keep: each is typed twice without a coupling."""
    hours_per_month: float | None = None
    load: Forecast | None = None
    proposals: list[Proposal] = field(default_factory=list)
    rule: str = ""
    """The proposed rule as TOML, ready to edit."""


class Assessment(Struct, kw_only=True):
    """All entities, with what was assumed."""

    at: datetime
    assumed: Assumptions
    entities: list[EntityAssessment] = field(default_factory=list)
    resources: dict[str, list[str]] = field(default_factory=dict)


class _Sided:
    """What was read of one side of one entity."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.features: dict[str, Features] = {}
        self.labels: dict[str, str] = {}
        self.at: dict[str, datetime] = {}
        self.parents: dict[str, str] = {}
        self.per_read = 0.0
        self.per_call = 0.0


class Assessor:
    """Assesses entities one after the other. Raises what connectors raise."""

    def __init__(
        self,
        store: Store,
        lines: Lines,
        *,
        progress: Progress,
        assumed: Assumptions | None = None,
        timer: Any = time.perf_counter,
    ) -> None:
        self._store = store
        self._lines = lines
        self._progress = progress
        self._assumed = assumed or Assumptions()
        self._timer = timer
        self._pairs: dict[str, dict[str, str]] = {}
        """Entity -> CRM record -> ERP record, of what would be coupled."""
        self._countries: dict[tuple[str, Side, str], str] = {}
        """(entity, side, record) -> country: a contact's phone is read as its partner's."""

    def assess(self, entities: Sequence[str] | None = None) -> Assessment:
        """All entities that both systems have, or these with what they need.

        An entity that no rule couples yet is assessed by the rule that Koppel brings along.
        """
        self._lines.follow_documents()
        lines = self._lines.all()
        known = {line.entity for line in lines}
        ahead = (self._lines.ahead(entity) for entity in ENTITIES if entity not in known)
        lines += [line for line in ahead if line is not None]
        wanted = set(entities or (line.entity for line in lines))
        for line in reversed(lines):
            if line.entity in wanted:
                wanted |= set(line.rule.needs)
        found = Assessment(at=self._store.clock(), assumed=self._assumed)
        for line in lines:
            if line.entity in wanted:
                found.entities.append(self._entity(line))
                found.entities[-1].coupled = line.entity in known
        for line in lines[:1]:
            for lane in line.lanes.values():
                described = self._lines.describe(lane.name)
                found.resources[lane.name] = [resource.name for resource in described]
        return found

    def _entity(self, line: Line) -> EntityAssessment:
        found = EntityAssessment(entity=line.entity)
        names = [n for n in line.lanes["crm"].mapper.fields if n in line.lanes["erp"].mapper.fields]
        for name in names:
            found.fields[name] = {
                side: FieldFigures(limit=self._limit(line, side, name)) for side in SIDES
            }
        read = {side: self._read(line.lanes[side], found) for side in SIDES}
        self._progress(f"matching {line.entity}", 0)
        pairing = self._match(line, read)
        self._pairs[line.entity] = {pair.left: pair.right for pair in pairing.couples}
        self._overlap(found, read, pairing)
        self._related(line, found, read)
        self._between(line, found, read, names)
        self._effort(line, found, read)
        self._proposed(line, found)
        return found

    def _limit(self, line: Line, side: Side, name: str) -> int | None:
        """The characters that the *other* side takes for a field; None where it tells none."""
        lane = line.lanes["erp" if side == "crm" else "crm"]
        natives = lane.mapper.natives.get(name, ())
        if len(natives) != 1:
            return None
        for resource in self._lines.describe(lane.name):
            if resource.name == lane.resource:
                info = resource.field(natives[0])
                return info.max_length if info is not None else None
        return None

    # Reading.

    def _read(self, lane: Lane, found: EntityAssessment) -> _Sided:
        read = _Sided()
        began = self._timer()
        for ids in self._ids(lane, read):
            for record in lane.fetch(ids).values():
                if isinstance(record, Record) and lane.mapper.scope(record):
                    self._take(lane, record, read, found)
            self._progress(f"reading {found.entity} from {lane.name}", len(ids))
        spent = self._timer() - began
        read.per_read = spent / max(1, len(read.rows))
        sample = list(read.rows)[:SAMPLES]
        began = self._timer()
        for record_id in sample:
            lane.connector.fetch(lane.resource, [record_id])
        read.per_call = (self._timer() - began) / max(1, len(sample))
        found.records[lane.side] = len(read.rows)
        found.volume[lane.side] = volume(list(read.at.values()), self._store.clock())
        return read

    def _ids(self, lane: Lane, read: _Sided) -> Iterable[list[str]]:
        """All records in pages, by the changes from the beginning, which also tell when."""
        since: str | None = None
        seen: set[str] = set()
        while True:
            page = lane.connector.changes(lane.resource, since, PAGE)
            for change in page.changes:
                if change.at is not None and not change.gone:
                    read.at[change.id] = change.at
            fresh = [c.id for c in page.changes if not c.gone and c.id not in seen]
            seen.update(fresh)
            yield list(dict.fromkeys(fresh))
            if not page.more:
                return
            since = page.cursor

    def _take(self, lane: Lane, record: Record, read: _Sided, found: EntityAssessment) -> None:
        try:
            canonical = lane.mapper.get(
                record,
                lambda entity, native: native,
                country_of=lambda entity, native: self._countries.get((entity, lane.side, native)),
            )
        except BadValue:
            found.unreadable[lane.side] = found.unreadable.get(lane.side, 0) + 1
            return
        country = _country(canonical)
        if country:
            self._countries[found.entity, lane.side, record.id] = country
        for name in lane.mapper.references:
            parent = canonical.get(name)
            if isinstance(parent, Ref) and parent.coupling is not None:
                read.parents[record.id] = parent.coupling
                place = (parent.entity, lane.side, parent.coupling)
                country = country or self._countries.get(place, "")
        for name, sides in found.fields.items():
            if name in canonical:
                sides[lane.side].add(name, canonical[name], country)
        read.rows[record.id] = encode(canonical)
        read.features[record.id] = features(found.entity, canonical)
        read.labels[record.id] = lane.mapper.label(record)

    # Comparing.

    def _match(self, line: Line, read: Mapping[Side, _Sided]) -> Pairing:
        rule = line.rule.match
        if not rule.within:
            return match(read["crm"].features, read["erp"].features, rule)
        groups: dict[Side, dict[str, dict[str, Features]]] = {"crm": {}, "erp": {}}
        for side in SIDES:
            for record, parent in read[side].parents.items():
                groups[side].setdefault(parent, {})[record] = read[side].features[record]
        couples: list[Any] = []
        review: list[Any] = []
        for crm, erp in self._pairs.get(line.rule.needs[0], {}).items():
            if crm in groups["crm"] and erp in groups["erp"]:
                one = match(groups["crm"][crm], groups["erp"][erp], rule)
                couples += one.couples
                review += one.review
        return Pairing(couples=tuple(couples), review=tuple(review))

    def _overlap(
        self, found: EntityAssessment, read: Mapping[Side, _Sided], pairing: Pairing
    ) -> None:
        found.likely, found.perhaps = len(pairing.couples), len(pairing.review)
        for pair in (*pairing.couples, *pairing.review):
            band = f"{int(pair.score.value * 20) / 20:.2f}"
            found.confidence[band] = found.confidence.get(band, 0) + 1
        met = {
            "crm": {p.left for p in (*pairing.couples, *pairing.review)},
            "erp": {p.right for p in (*pairing.couples, *pairing.review)},
        }
        for side in SIDES:
            found.only[side] = len(read[side].rows.keys() - met[side])

    def _related(self, line: Line, found: EntityAssessment, read: Mapping[Side, _Sided]) -> None:
        """What belongs together within a side; of contacts, nothing: namesakes at two companies
        are two."""
        if line.rule.match.within:
            return
        pairs = self._pairs[line.entity]
        partner: dict[Side, Mapping[str, str]] = {
            "crm": pairs,
            "erp": {erp: crm for crm, erp in pairs.items()},
        }
        for side in SIDES:
            every = families(read[side].features, line.rule.match)
            kins = {kin: [f for f in every if f.kin == kin] for kin in KINS}
            found.duplicates[side] = sum(len(family.records) - 1 for family in kins["twice"])
            found.accounts[side] = len(kins["accounts"])
            found.groups[side] = len(kins["group"])
            found.related += [
                _told(side, family, read[side].labels, partner[side])
                for kin in KINS
                for family in kins[kin][:SHOWN]
            ]

    def _between(
        self,
        line: Line,
        found: EntityAssessment,
        read: Mapping[Side, _Sided],
        names: Sequence[str],
    ) -> None:
        compared = [name for name in names if name not in line.lanes["crm"].mapper.references]
        found.between = {name: Disagreement() for name in compared}
        for crm_id, erp_id in self._pairs[line.entity].items():
            crm, erp = decode(read["crm"].rows[crm_id]), decode(read["erp"].rows[erp_id])
            newer = _newer(read["crm"].at.get(crm_id), read["erp"].at.get(erp_id))
            for name in compared:
                if name in crm and name in erp:
                    found.between[name].add(crm[name], erp[name], newer)

    # What it means.

    def _effort(self, line: Line, found: EntityAssessment, read: Mapping[Side, _Sided]) -> None:
        total = sum(found.records.values())
        # Only changes of what both sides keep are typed twice.
        found.shared = 2 * found.likely / total if total else 0.0
        rates = [found.volume[side].per_day for side in SIDES]
        told = sum(rate for rate in rates if rate is not None) if None not in rates else None
        rate = self._assumed.changes_per_day if self._assumed.changes_per_day is not None else told
        if rate is not None:
            found.changes_per_day = round(rate * found.shared, 2)
            found.hours_per_month = round(hours_saved(rate * found.shared, self._assumed), 1)
        travels = [n for n, r in line.rule.fields.items() if r.direction != "none"]
        names = [n for unit in travels for n in line.rule.groups.get(unit, (unit,))]
        differing = max(
            (d.pairs - d.same for n, d in found.between.items() if n in names), default=0
        )
        creates = sum(
            found.only[other(side)]
            for side in SIDES
            if (policy := line.rule.create.get(side)) is not None and policy.allowed
        )
        found.load = forecast(
            reads=total,
            writes=creates + differing,
            per_read=max(read[side].per_read for side in SIDES),
            per_call=max(read[side].per_call for side in SIDES),
            assumed=self._assumed,
        )

    def _proposed(self, line: Line, found: EntityAssessment) -> None:
        for name, rule in line.rule.fields.items():
            if name in found.fields and name in found.between and rule.direction != "none":
                found.proposals.append(
                    propose(name, rule.owner, found.fields[name], found.between[name])
                )
        found.rule = proposed_rule(
            self._store.documents.get("rule", line.entity) or default_rule(line.entity),
            found.proposals,
            line.rule,
        )


def proposed_rule(text: str, proposals: Iterable[Proposal], rule: Rule) -> str:
    """The rule with the proposed owners, each with its reason; checked to be a rule."""
    document = tomlkit.parse(text)
    fields: Any = document["fields"]
    for one in proposals:
        if (
            one.owner == one.now
            or one.field not in fields
            or rule.fields[one.field].direction
            in (
                f"to_{one.owner}",
                "none",
            )
        ):
            continue
        entry = fields[one.field]
        entry["owner"] = one.owner
        for key in ("policy", "first"):
            if one.owner != "shared" and key in entry:
                del entry[key]
        entry.comment(f"was {one.now}: {one.why}")
    written = tomlkit.dumps(document)
    load_rule(written, source=f"proposed rule for {rule.entity}")
    return written


def _told(
    side: Side, family: Family, labels: Mapping[str, str], partner: Mapping[str, str]
) -> Related:
    return Related(
        side=side,
        kin=family.kin,
        records=family.records,
        labels=tuple(dict.fromkeys(labels[record] for record in family.records)),
        value=family.value,
        reasons=family.reasons,
        meaning=family.sentence,
        coupled_as=tuple(partner[record] for record in family.records if record in partner),
    )


def _country(canonical: Mapping[str, Any]) -> str:
    for name in ("billing_address", "shipping_address"):
        address = canonical.get(name)
        if isinstance(address, Address):
            return address.part("country") or ""
    return ""


def _newer(crm: datetime | None, erp: datetime | None) -> Side | None:
    if crm is None or erp is None or crm == erp:
        return None
    return "crm" if crm > erp else "erp"
