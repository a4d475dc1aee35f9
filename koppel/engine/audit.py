"""The audit: proof that both sides agree, or a list of what does not, each with its cause.

Sweeps the ids and versions of both sides, page by page, and lays them beside the couplings. What
has the version of the last sync is judged by the bases, which are compared once and remembered;
content is fetched only for what has another version. Neither system is written to, and nothing is
planned: `selection` is what a repair plan has to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal

from msgspec import Struct, field

from koppel.connectors.base import Change, Gone, Record
from koppel.engine.causes import Because, Causes
from koppel.engine.intake import Progress
from koppel.engine.lines import Lane, Line, Lines
from koppel.engine.links import Links
from koppel.mapping.faults import BadValue
from koppel.store import Store
from koppel.store.models import Pending
from koppel.store.proof import Moved, ProofStore, Single
from koppel.store.values import CouplingRow
from koppel.sync.audit import CUT, FieldAudit, audit, storing
from koppel.sync.rule import SIDES, Side
from koppel.sync.state import View

PAGE = 200
MOST_CHANGES = 200
"""Pages of a side's changes since its cursor that are read to learn when and by whom."""
MOST_SHOWN = 1000
"""Uncoupled records of a side that are listed one by one; beyond that they are counted."""

Verdict = Literal["drifted", "conflict", "orphaned"]


class Finding(Struct, frozen=True, kw_only=True):
    """One coupling that is not in step. `cause` is a sentence; `fields` are those that differ."""

    entity: str
    coupling: str
    label: str
    crm: str | None
    erp: str | None
    verdict: Verdict
    because: Because
    cause: str
    fields: tuple[FieldAudit, ...] = ()


class Kept(Struct, frozen=True, kw_only=True):
    """A field that the two sides keep differently for good, though nobody edited it since.

    `truncated`: one side holds only the beginning of what the other one holds.
    """

    coupling: str
    label: str
    field: str
    crm: Any
    erp: Any
    why: str
    truncated: bool = False


class Uncoupled(Struct, frozen=True, kw_only=True):
    """A living record without a counterpart. `new`: the last sync has not seen this version."""

    side: Side
    record: str
    label: str
    why: str
    new: bool = False


class EntityAudit(Struct, kw_only=True):
    """One entity. The counts are records or couplings; `kept` and `uncoupled` may be cut short.

    `began` and `ended` (UTC): the moments between which both sides were read.
    """

    entity: str
    began: datetime
    ended: datetime
    seen: dict[str, int] = field(default_factory=dict)
    couplings: int = 0
    unmoved: int = 0
    """Proved equal or kept differently by versions alone, without content."""
    fetched: int = 0
    equal: int = 0
    dormant: int = 0
    parted: int = 0
    findings: list[Finding] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    uncoupled: list[Uncoupled] = field(default_factory=list)
    uncoupled_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    new: dict[str, list[str]] = field(default_factory=dict)
    """Side -> records that the last sync has not seen."""

    @property
    def in_step(self) -> bool:
        """Is everything that the rule couples equal, and nothing new on either side?"""
        return not self.findings and not any(self.new.values())


def selection(audits: Iterable[EntityAudit]) -> dict[str, dict[Side, list[str]]]:
    """The records that a repair plan looks at: what drifted, is orphaned or new.

    What waits for a person is left out. For `Engine.plan(selection=...)`.
    """
    chosen: dict[str, dict[Side, list[str]]] = {}
    for one in audits:
        sides: dict[Side, list[str]] = {side: list(one.new.get(side, ())) for side in SIDES}
        for finding in one.findings:
            if finding.verdict != "conflict":
                for side, record in zip(SIDES, (finding.crm, finding.erp), strict=True):
                    if record:
                        sides[side].append(record)
        if any(sides.values()):
            chosen[one.entity] = sides
    return chosen


class Auditor:
    """Audits entities one after the other. Raises what connectors raise."""

    def __init__(self, store: Store, lines: Lines, *, progress: Progress) -> None:
        self._store = store
        self._lines = lines
        self._progress = progress
        self._proof = ProofStore()

    def audit(self, entities: Sequence[str] | None = None) -> list[EntityAudit]:
        """All entities that have a rule, or these, in dependency order."""
        self._lines.follow_documents()
        return [self._entity(line) for line in self._lines.all(entities or None)]

    def _entity(self, line: Line) -> EntityAudit:
        found = EntityAudit(
            entity=line.entity, began=self._store.clock(), ended=self._store.clock()
        )
        links = Links(self._store, parents=line.parents)
        self._sweep(line, found)
        self._unmoved(line, links, found)
        self._moved(line, links, found)
        for side in SIDES:
            self._singles(line.entity, side, found)
        found.couplings = self._store.couplings.count(line.entity, "active")
        found.dormant = self._store.couplings.count(line.entity, "dormant")
        found.parted = sum(
            self._store.couplings.count(line.entity, state) for state in ("parted", "undone")
        )
        found.ended = self._store.clock()
        return found

    def _sweep(self, line: Line, found: EntityAudit) -> None:
        self._proof.begin()
        for side, lane in line.lanes.items():
            page: str | None = None
            while True:
                answer = lane.connector.ids(lane.resource, page)
                self._proof.add(side, answer.items)
                self._progress(f"reading versions from {lane.name}", len(answer.items))
                page = answer.next
                if page is None:
                    break
            found.seen[side] = self._proof.count_seen(side)

    # Both sides have the version of the last sync: the bases tell.

    def _unmoved(self, line: Line, links: Links, found: EntityAudit) -> None:
        documents = self._store.documents.newest()
        found.unmoved = self._proof.count_unmoved(line.entity)
        for ids in self._proof.unproved(line.entity, documents, PAGE):
            rows = self._store.couplings.by_id(ids)
            for side, lane in line.lanes.items():
                links.prepare(lane, (b for row in rows.values() if (b := row.base(side))))
            proved = [
                (row.id, row.crm_version, row.erp_version, _differs(line, links, row))
                for row in rows.values()
            ]
            self._proof.put(line.entity, documents, proved)
            self._progress(f"comparing {line.entity}", len(rows))
        differing = 0
        for page in self._proof.differing(line.entity, documents, PAGE):
            waiting = self._store.inbox.open_fields(coupling for coupling, *_ in page)
            for coupling, differs, label, crm, erp in page:
                differing += 1
                fields = tuple(FieldAudit(**one) for one in differs)
                self._judge(
                    line, found, coupling, label, crm, erp, fields, waiting.get(coupling, {})
                )
        found.equal += found.unmoved - differing

    def _judge(
        self,
        line: Line,
        found: EntityAudit,
        coupling: str,
        label: str,
        crm: str | None,
        erp: str | None,
        fields: tuple[FieldAudit, ...],
        waiting: Mapping[str, Any],
    ) -> None:
        """An unmoved coupling whose sides differ: a conflict, or kept differently for good."""
        disputed = _disputed(line, waiting)
        open_fields = tuple(one for one in fields if one.field in disputed)
        for one in fields:
            if one.field not in disputed:
                how = storing(one.crm, one.erp)
                found.kept.append(
                    Kept(
                        coupling=coupling,
                        label=label,
                        field=one.field,
                        crm=one.crm,
                        erp=one.erp,
                        why=f"{one.why} ({how})" if how else one.why,
                        truncated=how.startswith(CUT),
                    )
                )
        if open_fields:
            found.findings.append(
                Finding(
                    entity=found.entity,
                    coupling=coupling,
                    label=label,
                    crm=crm,
                    erp=erp,
                    verdict="conflict",
                    because="conflict",
                    cause="a conflict waits for a person",
                    fields=open_fields,
                )
            )
        else:
            found.equal += 1

    # A side has another version, or is gone: content tells.

    def _moved(self, line: Line, links: Links, found: EntityAudit) -> None:
        feed: dict[Side, dict[str, Change]] | None = None
        for page in self._proof.moved(line.entity, PAGE):
            if feed is None:
                feed = {side: self._feed(line.entity, lane) for side, lane in line.lanes.items()}
            self._moved_page(line, links, found, page, feed)

    def _moved_page(
        self,
        line: Line,
        links: Links,
        found: EntityAudit,
        page: Sequence[Moved],
        feed: Mapping[Side, Mapping[str, Change]],
    ) -> None:
        records: dict[Side, dict[str, Record | Gone]] = {}
        for side, lane in line.lanes.items():
            records[side] = lane.fetch(
                record for one in page if (record := one.crm if side == "crm" else one.erp)
            )
            links.prepare(lane, records[side].values())
            found.fetched += len(records[side])
        # Read after the records, so that a sync that runs meanwhile is not taken for drift.
        rows = self._store.couplings.by_id(one.coupling for one in page)
        waiting = self._store.inbox.open_fields(rows)
        causes = Causes(self._store, line.entity, rows, feed)
        for row in rows.values():
            now: dict[Side, Record | Gone | None] = {
                side: records[side].get(row.record(side) or "") for side in SIDES
            }
            one = self._one(line, links, row, now, waiting.get(row.id, {}), causes)
            if one is None:
                found.equal += 1
            else:
                found.findings.append(one)
        self._progress(f"comparing {line.entity}", len(page))

    def _one(
        self,
        line: Line,
        links: Links,
        row: CouplingRow,
        now: Mapping[Side, Record | Gone | None],
        waiting: Mapping[str, Any],
        causes: Causes,
    ) -> Finding | None:
        verdict: Verdict
        because: Because
        fields: tuple[FieldAudit, ...] = ()
        lost = [side for side in SIDES if not isinstance(now[side], Record)]
        try:
            if lost:
                verdict = "orphaned"
                because, cause = causes.orphaned(row, now, lost)
            else:
                fields = _differing(line, links, row, now, _disputed(line, waiting))
                pending = any(one.verdict == "pending" for one in fields)
                if not fields or not (pending or waiting):
                    return None
                verdict = "drifted" if pending else "conflict"
                because, cause = (
                    causes.drifted(row, now)
                    if pending
                    else ("conflict", "a conflict waits for a person")
                )
        except BadValue as error:
            verdict, because = "drifted", "unreadable"
            cause = f"a value cannot be read: {error}"
        return Finding(
            entity=line.entity,
            coupling=row.id,
            label=_label(line, now) or row.label,
            crm=row.crm_id,
            erp=row.erp_id,
            verdict=verdict,
            because=because,
            cause=cause,
            fields=fields,
        )

    def _feed(self, entity: str, lane: Lane) -> dict[str, Change]:
        """Who changed what when, since the cursor; empty where the system does not tell."""
        since = self._store.couplings.cursor(entity, lane.side)
        if lane.capabilities.changes == "scan" or since is None:
            return {}
        found: dict[str, Change] = {}
        for _ in range(MOST_CHANGES):
            page = lane.connector.changes(lane.resource, since, PAGE)
            found.update({change.id: change for change in page.changes})
            if not page.more:
                break
            since = page.cursor
        return found

    # Records without a coupling.

    def _singles(self, entity: str, side: Side, found: EntityAudit) -> None:
        counts = found.uncoupled_counts.setdefault(side, {})
        new = found.new.setdefault(side, [])
        shown = 0
        for page in self._proof.singles(entity, side, PAGE):
            for one, why in self._reasons(entity, side, page):
                counts[why] = counts.get(why, 0) + 1
                fresh = why == _NEW
                if fresh:
                    new.append(one.record)
                if shown < MOST_SHOWN:
                    shown += 1
                    found.uncoupled.append(
                        Uncoupled(side=side, record=one.record, label=one.label, why=why, new=fresh)
                    )

    def _reasons(
        self, entity: str, side: Side, page: Sequence[Single]
    ) -> Iterable[tuple[Single, str]]:
        records = [one.record for one in page]
        asked = self._store.inbox.under_review(entity, side, records)
        stuck = self._store.inbox.quarantined(entity, side, records)
        rows = Pending.objects.filter(entity=entity, side=side, record__in=records)
        waits = dict(rows.values_list("record", "reason"))
        for one in page:
            if not one.known:
                why = _NEW
            elif one.record in asked:
                why = "a proposed pair waits for a person"
            elif one.record in stuck:
                why = "refused; it is in quarantine"
            elif one.record in waits:
                why = waits[one.record] or "waits for the next run"
            else:
                why = "has no counterpart, and the rule makes none"
            yield one, why


_NEW = "new or changed since the last sync"


def _differs(line: Line, links: Links, row: CouplingRow) -> list[dict[str, Any]]:
    """The fields in which the bases of a coupling differ, as the store keeps them."""
    now: dict[Side, Record | Gone | None] = {side: row.base(side) for side in SIDES}
    try:
        fields = _differing(line, links, row, now, set())
    except BadValue as error:
        return [{"field": "", "verdict": "pending", "crm": None, "erp": None, "why": str(error)}]
    return [
        {"field": f.field, "verdict": f.verdict, "crm": f.crm, "erp": f.erp, "why": f.why}
        for f in fields
    ]


def _differing(
    line: Line,
    links: Links,
    row: CouplingRow,
    now: Mapping[Side, Record | Gone | None],
    disputed: set[str],
) -> tuple[FieldAudit, ...]:
    views: dict[Side, View] = {}
    for side, lane in line.lanes.items():
        base, found = row.base(side), now[side]
        read = partial(lane.mapper.get, resolve=links.resolve(side), country_of=links.country_of)
        mapped = read(found) if isinstance(found, Record) else None
        # Bases are compared with each other: then what is there now is the base.
        same = (
            isinstance(base, Record) and isinstance(found, Record) and found.fields == base.fields
        )
        views[side] = View(
            now=mapped,
            base=mapped if same else read(base) if isinstance(base, Record) else None,
        )
    every = audit(line.rule, views["crm"], views["erp"], frozenset(disputed))
    return tuple(one for one in every if one.verdict != "agree")


def _disputed(line: Line, waiting: Iterable[str]) -> set[str]:
    """The fields of open conflicts, groups taken apart."""
    return {name for unit in waiting for name in line.rule.groups.get(unit, (unit,))}


def _label(line: Line, now: Mapping[Side, Record | Gone | None]) -> str:
    for side in reversed(SIDES):
        record = now[side]
        if isinstance(record, Record):
            return line.lanes[side].mapper.label(record)
    return ""
