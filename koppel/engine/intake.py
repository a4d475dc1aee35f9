"""Stops one to three of a record's journey: notice, fetch, map.

Reads what changed on one side since its cursor, drops what is known already, and leaves two
things behind: replicas of uncoupled records, and the couplings that were touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from koppel.connectors.base import Change, ChangePage, Gone, Record
from koppel.engine.ahead import Given, still
from koppel.engine.lines import Lane, Line, sweep
from koppel.engine.links import Links
from koppel.engine.taken import ENOUGH, Taken
from koppel.mapping.faults import BadValue
from koppel.model import Ref
from koppel.store import Store
from koppel.store.models import Run
from koppel.store.values import ReplicaRow
from koppel.sync.features import STRONG_KEYS
from koppel.sync.match import block_keys, features
from koppel.sync.rule import SIDES, Side

PAGE = 200
AHEAD = 5
"""Pages that are read before they are needed: now and then a page takes longer than a call."""

_encoder = msgspec.msgpack.Encoder()

Fetch = Callable[[Sequence[str]], Mapping[str, Record | Gone]]

_ONE: dict[Side, frozenset[Side]] = {side: frozenset((side,)) for side in SIDES}
_BOTH: frozenset[Side] = frozenset(SIDES)

Mapped = Mapping[str, dict[str, Any]]
"""Record -> its canonical values."""

Draft = Callable[[Side, Sequence[ReplicaRow], Mapped], None]
"""Plans records of a side as soon as they are in the store."""

Progress = Callable[[str, int], None]
"""Called with what is going on and how many records that concerned so far."""


@dataclass
class Work:
    """What one entity's plan has to look at: touched coupling -> the sides that changed."""

    touched: dict[str, frozenset[Side]] = field(default_factory=dict)
    gone: dict[tuple[Side, str], Gone] = field(default_factory=dict)
    at: dict[tuple[Side, str], datetime] = field(default_factory=dict)
    """When a touched record changed, in UTC, where the system tells."""
    given: dict[tuple[Side, str], Record] = field(default_factory=dict)
    """Touched records that were read a moment ago and need not be read again."""
    seen: dict[Side, int] = field(default_factory=dict)
    beside: dict[Side, set[str]] = field(default_factory=dict)
    """New records that were read only to see who is there: another run is about them."""
    anew: set[Side] = field(default_factory=set)
    """Sides that were put back from a backup since they were read last."""
    cursors: dict[Side, str] = field(default_factory=dict)
    read: int = 0
    echoes: int = 0

    def touch(self, coupling: str, side: Side) -> None:
        """A coupling has to be looked at, for this side changed."""
        # Shared sets: a run may touch a hundred thousand couplings.
        one = _ONE[side]
        self.touched[coupling] = one if self.touched.get(coupling, one) == one else _BOTH


@dataclass(frozen=True)
class _Known:
    """What the store knows of the records of one page of changes."""

    coupled: Mapping[str, tuple[str, str, str]]
    replicas: Mapping[str, tuple[str, bool]]
    stuck: Mapping[str, str]
    forced: bool
    own: bool = False
    """All replicas are of this very run: a fresh one is not to be read again."""

    def idle(self, change: Change) -> bool:
        """An uncoupled record that is what it was when it was last dealt with."""
        if _stuck(change, self.stuck):
            return True
        known = self.replicas.get(change.id)
        # A fresh row was read for a plan that was never carried out: what that plan would
        # have coupled is not so, hence its links have to be looked up anew.
        if self.forced or known is None or (known[1] and not self.own):
            return False
        return _echo(change, known[0])


class Intake:
    """Takes one entity in, both sides.

    `guard` is called inside each transaction, and raises where another Koppel has taken the work
    over: who was silent meanwhile must not say of a record what it read before.
    """

    def __init__(
        self,
        store: Store,
        line: Line,
        run: Run,
        progress: Progress,
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._guard = guard
        self._line = line
        self._run = run
        self._pool = pool
        self._progress = progress
        self.links = Links(store, run, line.parents)
        self.work = Work()
        self._taken: dict[Side, Taken] = {side: Taken() for side in SIDES}
        self._keeps = False
        self._given: Given = {}
        self._drafts: tuple[Side, Draft] | None = None
        self.unsteady = False
        """A record that was in the store was read again, or went."""

    def draft(self, side: Side, draft: Draft) -> None:
        """Hand records of this side over as soon as they are kept; nothing is known of any yet."""
        self._drafts = side, draft

    def changes(self, sides: Collection[Side] = SIDES) -> Work:
        """Everything since the cursors of these sides, and what waits on either."""
        for side, lane in self._line.lanes.items():
            if side in sides:
                with self._pool(1) as caller:
                    for page, fetched in self._ahead(side, lane, caller):
                        if page.anew:
                            self.work.anew.add(side)
                        # Versions may be given out again, too: then only the content tells.
                        anew = side in self.work.anew
                        self._look(side, lane, page.changes, fetch=fetched, forced=anew)
                        self.work.cursors[side] = page.cursor
                self._keep(side, lane)
            self._waiting(side, lane)
        self._resolved()
        return self.work

    def _ahead(
        self, side: Side, lane: Lane, caller: Executor
    ) -> Iterator[tuple[ChangePage, Fetch]]:
        """Pages of changes with their records: the next ones are read while one is worked on.

        One thread calls the connector, in the same order as without it.
        """
        since = self._store.couplings.cursor(self._line.entity, side)
        coming: Future[list[ChangePage]] | None = caller.submit(_read, lane, since, 1)
        ready: list[tuple[ChangePage, Fetch]] = []
        while coming:
            pages = coming.result()
            news = [self._news(side, page.changes) for page in pages]
            fetching = [caller.submit(lane.fetch, new) if new else None for new in news]
            last = pages[-1]
            # A few at first, so that work can begin.
            many = min(AHEAD, 2 * len(pages))
            coming = caller.submit(_read, lane, last.cursor, many) if last.more else None
            yield from ready
            ready = [
                (page, _fetch_with(caller, lane, fetched))
                for page, fetched in zip(pages, fetching, strict=True)
            ]
        yield from ready

    def sweep(self, sides: Iterable[Side]) -> Work:
        """All ids of these sides: finds deletes, and changes that no cursor told."""
        for side in sides:
            lane = self._line.lanes[side]
            replica = self._store.replica
            with ThreadPoolExecutor(1) as caller:
                sweep(self._store, lane, caller)
            self.work.seen[side] = replica.swept()
            found = replica.sweep_result(self._line.entity, side)
            self._take(side, lane, [Change(id=record) for record in found.changed])
            self._take(side, lane, [Change(id=record, gone=True) for record in found.missing])
        return self.work

    def only(
        self, selection: dict[Side, list[str]], *, both: bool = False, given: Given | None = None
    ) -> Work:
        """Just these records, on demand; no cursor moves.

        `both`: the other sides of their couplings are read too, whether a change is known or not.
        `given`: what was read of them ahead.
        """
        self._given = given or {}
        for side, records in selection.items():
            lane = self._line.lanes[side]
            self._take(side, lane, [Change(id=record) for record in records], forced=True)
        if both:
            self.work.touched.update(dict.fromkeys(self.work.touched, _BOTH))
        self._resolved()
        return self.work

    def failed_before(self) -> None:
        """What is in quarantine, once more: what it failed on may be over."""
        for row in self._store.inbox.quarantine():
            if row.entity == self._line.entity:
                side: Side = "crm" if row.side == "crm" else "erp"
                self._take(side, self._line.lanes[side], [Change(id=row.record)], forced=True)

    def newcomers(self, sides: Iterable[Side]) -> None:
        """What is new on these sides and not coupled: nobody is made where he stands already.

        Nothing else of them is looked at, and no cursor moves.
        """
        for side in sides:
            lane = self._line.lanes[side]
            beside = self.work.beside.setdefault(side, set())
            read = self.work.cursors.get(side)
            since = read or self._store.couplings.cursor(self._line.entity, side)
            while True:
                page = lane.connector.changes(lane.resource, since, PAGE)
                known = self._known(side, {change.id for change in page.changes})
                new = [
                    change
                    for change in page.changes
                    if change.id not in known.coupled and change.id not in known.replicas
                ]
                beside.update(change.id for change in new)
                self._take(side, lane, new)
                since = page.cursor
                if not page.more:
                    break

    def _waiting(self, side: Side, lane: Lane) -> None:
        pending = self._store.inbox.pending(self._line.entity, side)
        self._take(side, lane, [Change(id=record) for record in pending], forced=True)

    def _resolved(self) -> None:
        for coupling in self._store.inbox.resolved_couplings(self._line.entity):
            for side in self._line.lanes:
                self.work.touch(coupling, side)

    def _take(
        self,
        side: Side,
        lane: Lane,
        changes: Sequence[Change],
        *,
        forced: bool = False,
    ) -> None:
        self._look(side, lane, changes, forced=forced)
        self._keep(side, lane)

    def _look(
        self,
        side: Side,
        lane: Lane,
        changes: Sequence[Change],
        *,
        forced: bool,
        fetch: Fetch | None = None,
    ) -> None:
        for start in range(0, len(changes), PAGE):
            self._page(side, lane, changes[start : start + PAGE], forced, fetch or lane.fetch)
            if len(self._taken[side]) >= ENOUGH:
                self._keep(side, lane)

    def _news(self, side: Side, changes: Iterable[Change]) -> list[str]:
        """Uncoupled records of a page that will have to be fetched."""
        latest = {change.id: change for change in changes}
        known = self._known(side, latest)
        return [
            record
            for record, change in latest.items()
            if record not in known.coupled and not change.gone and not known.idle(change)
        ]

    def _known(self, side: Side, records: Collection[str], *, forced: bool = False) -> _Known:
        entity = self._line.entity
        coupled = self._store.couplings.versions(entity, side, records)
        return _Known(
            coupled=coupled,
            replicas=self._store.replica.versions(
                entity, side, [record for record in records if record not in coupled]
            ),
            stuck={} if forced else self._store.inbox.quarantined(entity, side, records),
            forced=forced,
            own=self._drafts is not None,
        )

    def _page(
        self, side: Side, lane: Lane, changes: Sequence[Change], forced: bool, fetch: Fetch
    ) -> None:
        entity = self._line.entity
        latest = {change.id: change for change in changes}
        known = self._known(side, latest, forced=forced)
        wanted: list[str] = []
        for record, change in latest.items():
            if record in known.coupled:
                self._coupled(side, lane, change, known)
                continue
            if not change.gone and known.idle(change):
                self.work.echoes += 1
                continue
            self.unsteady |= record in known.replicas
            if change.gone:
                self._taken[side].drop(record)
            else:
                wanted.append(record)
        if wanted:
            self._replicate(side, lane, fetch(wanted), known.stuck)
        self._progress(f"reading {entity} from {lane.name}", len(latest))

    def _coupled(self, side: Side, lane: Lane, change: Change, known: _Known) -> None:
        """A change of a coupled record: the coupling is touched, unless it is an echo."""
        record = change.id
        coupling, version, state = known.coupled[record]
        if state in ("undone", "parted"):
            return
        if change.gone:
            self.work.gone[side, record] = Gone(
                resource=lane.resource, id=record, merged_into=change.merged_into
            )
        if not known.forced and (_echo(change, version) or _stuck(change, known.stuck)):
            self.work.echoes += 1
            return
        self.work.touch(coupling, side)
        early = still(self._given, self._line.entity, side, record, version)
        if early is not None:
            self.work.given[side, record] = early
        if change.at is not None:
            self.work.at[side, record] = change.at

    def _replicate(
        self,
        side: Side,
        lane: Lane,
        fetched: Mapping[str, Record | Gone],
        stuck: Mapping[str, str],
    ) -> None:
        """Keep of uncoupled records what matching needs."""
        taken = self._taken[side]
        self.links.prepare(lane, fetched.values())
        for record, found in fetched.items():
            if isinstance(found, Gone):
                taken.drop(record)
                continue
            self.work.read += 1
            if record in stuck and stuck[record] == found.version:
                continue
            try:
                taken.keep(*self._row(side, lane, found))
            except BadValue as error:
                taken.report(found, error)

    def _keep(self, side: Side, lane: Lane) -> None:
        """Bring what was read to the store."""
        taken, self._taken[side] = self._taken[side], Taken()
        if not taken:
            return
        entity = self._line.entity
        with transaction.atomic():
            self._guard()
            self._store.replica.remove(entity, side, taken.gone)
            self._store.replica.put(list(taken.rows.values()))
            drafts = self._drafts if not self.unsteady else None
            if drafts is None or drafts[0] != side:
                self._keep_mapped(side, lane, taken.mapped)
            self._store.inbox.done_waiting(entity, side, [*taken.rows, *taken.gone])
            for found, error in taken.bad.values():
                self.bad(side, lane, found, error)
            if drafts is not None and drafts[0] == side:
                drafts[1](side, list(taken.rows.values()), taken.mapped)

    def _keep_mapped(self, side: Side, lane: Lane, mapped: Mapped) -> None:
        """What was mapped is there for the plan, which looks at it when all is read and matched.

        Not where records of the entity point to others of it: these are coupled by then, perhaps.
        """
        if mapped and self._line.entity not in lane.mapper.references.values():
            if not self._keeps:
                self._store.replica.begin_mapped()
                self._keeps = True
            self._store.replica.keep_mapped(side, mapped)

    def mapped(self, side: Side, records: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The canonical values of those of these records that were mapped while reading."""
        return self._store.replica.mapped(side, records) if self._keeps else {}

    def _row(self, side: Side, lane: Lane, found: Record) -> tuple[ReplicaRow, dict[str, Any]]:
        """What matching needs of a record, and the record mapped; raises `BadValue`."""
        entity = self._line.entity
        canonical = lane.mapper.get(
            found, self.links.resolve(side), country_of=self.links.country_of
        )
        traits = features(entity, canonical)
        keys = tuple((key, key.partition(":")[0] in STRONG_KEYS) for key in block_keys(traits))
        within = self._line.rule.match.within
        if within:
            parent = canonical.get(within)
            bound = parent.coupling if isinstance(parent, Ref) else None
            keys = ((f"within:{bound}", True),) if bound else ()
        row = ReplicaRow(
            entity=entity,
            side=side,
            record=found.id,
            version=found.version,
            label=lane.mapper.label(found),
            content=found,
            features=_encoder.encode(traits),
            keys=keys,
        )
        return row, canonical

    def bad(self, side: Side, lane: Lane, found: Record, error: BadValue) -> None:
        """A record whose content cannot be mapped: counted, and quarantined the second time."""
        open_now = self._store.inbox.failed(
            self._line.entity,
            side,
            found.id,
            label=lane.mapper.label(found),
            reason=str(error),
            remedy=f"Correct the value in {lane.name}",
            version=found.version,
        )
        if not open_now:
            self._store.inbox.wait(self._line.entity, side, found.id, reason=str(error))
        else:
            self._store.inbox.done_waiting(self._line.entity, side, [found.id])


def put_back(line: Line, side: Side) -> str:
    """Why a plan is held that would carry what a backup holds across."""
    return (
        f"{line.lanes[side].name} knows nothing of changes that were read from it before: it seems "
        f"to have been put back from a backup. What it holds of {line.entity} records now would "
        "replace what was entered since."
    )


def _read(lane: Lane, since: str | None, many: int) -> list[ChangePage]:
    """At most that many pages of changes."""
    pages: list[ChangePage] = []
    while len(pages) < many and (not pages or pages[-1].more):
        since = pages[-1].cursor if pages else since
        pages.append(lane.connector.changes(lane.resource, since, PAGE))
    return pages


def _echo(change: Change, version: str) -> bool:
    return bool(version) and not change.gone and change.version == version


def _stuck(change: Change, stuck: Mapping[str, str]) -> bool:
    """In quarantine, and known to be still what it was when it failed."""
    return change.id in stuck and change.version == stuck[change.id]


def _fetch_with(
    caller: Executor, lane: Lane, coming: Future[dict[str, Record | Gone]] | None
) -> Fetch:
    """A fetch that gives what is on its way already, and asks for the rest in the same thread."""

    def fetch(wanted: Sequence[str]) -> Mapping[str, Record | Gone]:
        found = coming.result() if coming else {}
        missing = [record for record in wanted if record not in found]
        more = caller.submit(lane.fetch, missing).result() if missing else {}
        return {record: found[record] if record in found else more[record] for record in wanted}

    return fetch
