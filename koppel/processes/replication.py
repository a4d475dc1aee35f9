"""Keeps the rows for views in step with both systems: a bounded round at a time.

Partners and contacts come from what the synchronisation read anyway; products, sales, invoices and
deliveries are asked for by their changes, a page in each round. So a round makes at most two calls
for each resource that changed and one for each that did not, however large the systems are. Safe to
stop at any instant: cursors move after the rows are written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Model

from koppel.connectors.base import Connector, Gone, Record, Resource
from koppel.engine.lines import Line
from koppel.errors import NeedsUser
from koppel.mapping.faults import BadValue
from koppel.model import Ref
from koppel.processes import shown
from koppel.processes.shown import Crm, Seen, Shown, View
from koppel.processes.systems import Systems
from koppel.store.models import Coupling
from koppel.store.order_models import OrderLink
from koppel.store.seen_models import Article, Bill, Customer, Delivery, Overview, Person, Sale
from koppel.store.values import CouplingRow
from koppel.sync.rule import SIDES, Side

logger = logging.getLogger(__name__)

PAGE = 100
CUSTOMERS = 300
CREDIT = 100
OVERVIEW_SECONDS = 60.0
"""The house is reckoned at most this often while changes keep coming."""
_CLOSED = ("cancelled", "gone")


class Replication:
    """One round after the other, over the systems of one engine."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._store = systems.store
        self._moved = False

    def fill(self, rounds: int = 1_000) -> int:
        """Rounds until nothing is left to do, at most so many; how many there were."""
        for number in range(1, rounds + 1):
            if not self.step():
                return number
        return rounds

    def step(self) -> bool:
        """One round; is there more to do at once?"""
        self._systems.follow()
        view = self.view()
        more = self._people()
        more |= self._customers(view)
        more |= self._erp(view)
        more |= self._crm(view)
        more |= self._figures()
        if not more:
            self._overview()
        return more

    @property
    def systems(self) -> Systems:
        """The systems that are read."""
        return self._systems

    def connectors(self) -> tuple[Connector, Connector]:
        """Both systems that are read."""
        return self._systems.crm, self._systems.erp

    def view(self) -> View:
        """The live document, or the one that Koppel brings along."""
        text = self._store.documents.get(shown.KIND, shown.NAME)
        return shown.parse_view(text or shown.shipped_view())

    def refresh(self, customer: Customer) -> None:
        """Read everything of one customer from both systems now, whatever the cursors say.

        Raises `TryLater` where a system is away.
        """
        view = self.view()
        for side in SIDES:
            record = customer.crm_id if side == "crm" else customer.erp_id
            if record is not None:
                self._read_all(view, side, record)
        customer.refresh_from_db()
        self._store.figures.reckon_one(customer, self._today())
        self._credit([customer])

    def _read_all(self, view: View, side: Side, party: str) -> None:
        """The documents of one party, found by the system itself or, failing that, as known."""
        for resource, field, take in self._kinds(view, side):
            found = self._connector(side).find(resource, {field: party}, 200)
            take(list(found))

    def _kinds(
        self, view: View, side: Side
    ) -> Iterable[tuple[str, str, Callable[[Sequence[Record]], None]]]:
        if side == "crm":
            for one in self._crm_view(view).sales:
                if one.resource in self._described("crm"):
                    yield one.resource, one.party, self._taking_crm(one)
            return
        known = self._described("erp")
        erp = view.erp
        for resource, field, take in (
            (erp.sale, "party", self._take_sales),
            (erp.invoice, "party", self._take_bills),
            (erp.shipment, "customer", self._take_deliveries),
        ):
            if resource in known:
                yield resource, field, take

    # Partners and their contacts, from what the synchronisation keeps.

    def _customers(self, view: View) -> bool:
        line = self._line("partner")
        if line is None:
            return False
        stale = self._store.seen.stale(CUSTOMERS)
        if not stale:
            return False
        sets: list[tuple[str | None, dict[Side, Seen]]] = []
        for row in self._store.couplings.by_id(stale.couplings).values():
            sets.append((row.id, self._sides(view, line, row)))
        for side in SIDES:
            records = [record for at, record in stale.loose if at == side]
            for kept in self._store.replica.get("partner", side, records).values():
                if isinstance(kept.content, Record):
                    told = self._seen(view, line, side, kept.content, None)
                    sets.append((None, {side: told}))
        people = self._people_of(sets)
        rows = [
            shown.customer_row(
                line.rule,
                sides,
                coupling,
                [
                    one
                    for side, told in sides.items()
                    for one in people.get((side, told.record), ())
                ],
            )
            for coupling, sides in sets
            if sides
        ]
        self._store.seen.put_customers(rows)
        self._store.seen.remove_customers(stale.lost)
        self._moved = True
        return len(stale.couplings) == CUSTOMERS or len(stale.loose) >= CUSTOMERS

    def _sides(self, view: View, line: Line, row: CouplingRow) -> dict[Side, Seen]:
        at = Coupling.objects.filter(id=row.id).values_list("in_step_at", flat=True).first()
        found: dict[Side, Seen] = {}
        for side in SIDES:
            base = row.base(side)
            if isinstance(base, Record):
                told = self._seen(view, line, side, base, at)
                # The row's own version: a base may be newer by a read that changed nothing.
                version = row.crm_version if side == "crm" else row.erp_version
                found[side] = Seen(
                    record=told.record, version=version, canonical=told.canonical,
                    label=told.label, owner=told.owner, at=told.at,
                )  # fmt: skip
        return found

    def _seen(
        self, view: View, line: Line, side: Side, record: Record, at: datetime | None
    ) -> Seen:
        mapper = line.lanes[side].mapper
        try:
            canonical: Mapping[str, Any] = mapper.get(record, lambda entity, id: id)
        except BadValue:
            # A value that cannot be mapped waits in quarantine; the record has a name all the same.
            canonical = {}
        owner = ""
        if side == "crm":
            resource = self._described("crm").get(record.resource)
            owner = shown.labelled(resource, self._crm_view(view).owner, record.fields)
        return Seen(
            record=record.id,
            version=record.version,
            canonical=canonical,
            label=mapper.label(record),
            owner=owner,
            at=at or self._store.clock(),
        )

    @staticmethod
    def _people_of(
        sets: Sequence[tuple[str | None, Mapping[Side, Seen]]],
    ) -> dict[tuple[Side, str], list[Person]]:
        found: dict[tuple[Side, str], list[Person]] = {}
        for side in SIDES:
            wanted = [told.record for _, sides in sets if (told := sides.get(side)) is not None]
            for start in range(0, len(wanted), 300):
                part = wanted[start : start + 300]
                for one in Person.objects.filter(side=side, partner__in=part):
                    found.setdefault((side, one.partner), []).append(one)
        return found

    def _people(self) -> bool:
        line = self._line("contact")
        if line is None:
            return False
        rows: list[Person] = []
        full = False
        for side in SIDES:
            records, couplings = self._stale_people(side)
            full |= len(records) >= CUSTOMERS
            for record in records:
                rows.append(self._person(line, side, record, couplings.get(record.id, "")))
            self._drop_people(side)
        if rows:
            self._store.seen.put_people(rows)
            for side in SIDES:
                self._renew("crm" if side == "crm" else "erp", rows)
            self._moved = True
        return full

    @staticmethod
    def _renew(side: Side, rows: Sequence[Person]) -> None:
        """Customers are found by their contacts too, so those of changed ones are built again."""
        partners = [row.partner for row in rows if row.side == side]
        for start in range(0, len(partners), 300):
            part = partners[start : start + 300]
            Customer.objects.filter(**{f"{side}_id__in": part}).update(**{f"{side}_version": ""})

    def _stale_people(self, side: Side) -> tuple[list[Record], dict[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT c.id, c.{side}_id FROM store_coupling c LEFT JOIN store_person p"
                f" ON p.side = %s AND p.record = c.{side}_id"
                f" WHERE c.entity = 'contact' AND c.state = 'active' AND c.{side}_id IS NOT NULL"
                f" AND (p.id IS NULL OR p.version <> c.{side}_version) LIMIT %s",
                [side, CUSTOMERS],
            )
            ids = [row[0] for row in cursor.fetchall()]
            cursor.execute(
                "SELECT r.record FROM store_replica r LEFT JOIN store_person p"
                " ON p.side = r.side AND p.record = r.record"
                " WHERE r.entity = 'contact' AND r.side = %s AND r.coupled = %s"
                " AND (p.id IS NULL OR p.version <> r.version) LIMIT %s",
                [side, False, CUSTOMERS],
            )
            loose = [row[0] for row in cursor.fetchall()]
        found: list[Record] = []
        couplings: dict[str, str] = {}
        for row in self._store.couplings.by_id(ids).values():
            base = row.base(side)
            if isinstance(base, Record):
                version = row.crm_version if side == "crm" else row.erp_version
                found.append(
                    Record(resource=base.resource, id=base.id, version=version, fields=base.fields)
                )
                couplings[base.id] = row.id
        for kept in self._store.replica.get("contact", side, loose).values():
            if isinstance(kept.content, Record):
                found.append(kept.content)
        return found, couplings

    def _person(self, line: Line, side: Side, record: Record, coupling: str) -> Person:
        mapper = line.lanes[side].mapper
        try:
            canonical: Mapping[str, Any] = mapper.get(record, lambda entity, id: id)
        except BadValue:
            canonical = {}
        parent = canonical.get("partner")
        partner = (parent.coupling or parent.native or "") if isinstance(parent, Ref) else ""
        now = self._store.clock()
        told = Seen(
            record=record.id, version=record.version, canonical=canonical,
            label=mapper.label(record), at=now,
        )  # fmt: skip
        return shown.person_row(side, told, str(partner), coupling, now)

    @staticmethod
    def _drop_people(side: Side) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT p.id FROM store_person p LEFT JOIN store_coupling c"
                f" ON c.entity = 'contact' AND c.state = 'active' AND c.{side}_id = p.record"
                " LEFT JOIN store_replica r ON r.entity = 'contact' AND r.side = p.side"
                " AND r.record = p.record AND r.coupled = %s"
                " WHERE p.side = %s AND c.id IS NULL AND r.id IS NULL LIMIT 500",
                [False, side],
            )
            gone = [row[0] for row in cursor.fetchall()]
        if gone:
            Person.objects.filter(id__in=gone).delete()

    # Documents, by their changes.

    def _erp(self, view: View) -> bool:
        known = self._described("erp")
        more = False
        for resource, model, take in (
            (view.erp.product, Article, self._take_articles),
            (view.erp.sale, Sale, self._take_sales),
            (view.erp.invoice, Bill, self._take_bills),
            (view.erp.shipment, Delivery, self._take_deliveries),
        ):
            if resource in known:
                more |= self._page("erp", resource, model, take)
        return more

    def _crm(self, view: View) -> bool:
        known = self._described("crm")
        more = False
        for one in self._crm_view(view).sales:
            if one.resource in known:
                more |= self._page("crm", one.resource, Sale, self._taking_crm(one))
        self._won(view)
        return more

    def _page(
        self,
        side: Side,
        resource: str,
        model: type[Model],
        take: Callable[[Sequence[Record]], None],
    ) -> bool:
        """One page of changes; are there more?"""
        connector, place = self._connector(side), f"view:{resource}"
        since = self._store.couplings.cursor(place, side)
        page = connector.changes(resource, since, PAGE)
        where = {"side": side, "resource": resource} if model is Sale else {}
        gone = [change.id for change in page.changes if change.gone]
        living = {change.id: change.version for change in page.changes if not change.gone}
        known = self._store.seen.versions(model, living, **where)
        wanted = [
            id for id, version in living.items() if version is None or known.get(id) != version
        ]
        records = connector.fetch(resource, wanted) if wanted else {}
        take([one for one in records.values() if isinstance(one, Record)])
        gone += [id for id, one in records.items() if isinstance(one, Gone)]
        if gone:
            self._store.seen.remove(model, gone, **where)
        self._store.couplings.move_cursors({(place, side): page.cursor})
        self._moved |= bool(wanted or gone)
        return page.more

    def _take_articles(self, records: Sequence[Record]) -> None:
        now = self._store.clock()
        self._store.seen.put_articles([shown.article_row(one, now) for one in records])

    def _take_sales(self, records: Sequence[Record]) -> None:
        today, now = self._today(), self._store.clock()
        self._store.seen.put_sales([shown.sale_row(one, today, now) for one in records])

    def _take_bills(self, records: Sequence[Record]) -> None:
        now = self._store.clock()
        self._store.seen.put_bills([shown.bill_row(one, now) for one in records])

    def _take_deliveries(self, records: Sequence[Record]) -> None:
        now = self._store.clock()
        self._store.seen.put_deliveries([shown.delivery_row(one, now) for one in records])

    def _taking_crm(self, one: Shown) -> Callable[[Sequence[Record]], None]:
        def take(records: Sequence[Record]) -> None:
            now, resource = self._store.clock(), self._described("crm")[one.resource]
            rows = [shown.crm_sale_row(one, resource, record, now) for record in records]
            self._store.seen.put_sales(rows)

        return take

    def _won(self, view: View) -> None:
        """Quotes that became an order of the ERP are won, whatever their status says."""
        for one in self._crm_view(view).sales:
            if one.kind == "quote":
                lost = Sale.objects.filter(side="crm", resource=one.resource, won=False)
                links = OrderLink.objects.filter(
                    crm_resource=one.resource, erp_id__isnull=False
                ).exclude(state__in=_CLOSED)
                ids = lost.filter(record__in=links.values("crm_id")).values_list("record")
                records = [record for (record,) in ids[:500]]
                if records:
                    self._store.seen.won(one.resource, records)

    # Figures.

    def _figures(self) -> bool:
        today = self._today()
        if self._store.figures.new_day(today):
            self._moved = True
        some = list(Customer.objects.filter(dirty=True).order_by("id").values_list("id")[:CREDIT])
        if not some:
            return False
        self._store.figures.reckon(today, CREDIT)
        trading = Customer.objects.filter(id__in=[id for (id,) in some], erp_id__isnull=False)
        self._credit([one for one in trading if one.orders or one.open_items])
        self._moved = True
        return len(some) == CREDIT

    def _credit(self, some: Sequence[Customer]) -> None:
        """Credit limit, exposure and blocks, as the ERP itself reckons them; one call."""
        ask = getattr(self._systems.erp, "party_figures", None)
        by_id = {one.erp_id: one for one in some if one.erp_id is not None}
        if ask is None or not by_id:
            return
        now = self._store.clock()
        for party, told in ask(list(by_id)).items():
            Customer.objects.filter(id=by_id[party].id).update(
                credit_limit=told.credit_limit, exposure=told.exposure, blocked=told.blocked,
                dunning=told.dunning_level, credit_at=now,
            )  # fmt: skip

    def _overview(self) -> None:
        last = Overview.objects.order_by("-at").values_list("at", flat=True).first()
        now = self._store.clock()
        if not self._moved and last is not None:
            return
        if last is None or now - last > timedelta(seconds=OVERVIEW_SECONDS) or self._small():
            self._store.figures.overview(self._today())
            self._moved = False

    @staticmethod
    def _small() -> bool:
        """So little that reckoning it anew costs nothing."""
        return Sale.objects.order_by("-id").values_list("id", flat=True).first() in range(5_000)

    # Inner matters.

    def _today(self) -> date:
        return self._store.clock().date()

    def _connector(self, side: Side) -> Connector:
        return self._systems.crm if side == "crm" else self._systems.erp

    def _described(self, side: Side) -> Mapping[str, Resource]:
        settings = self._systems.settings
        name = settings.crm if side == "crm" else settings.erp
        return {one.name: one for one in self._systems.lines.describe(name)}

    def _crm_view(self, view: View) -> Crm:
        row = self._store.connections.get(self._systems.settings.crm)
        return view.crm.get(row.type, Crm())

    def _line(self, entity: str) -> Line | None:
        rules = {rule.entity: rule for rule in self._systems.lines.rules()}
        if entity not in rules:
            return None
        try:
            for need in rules[entity].needs:
                self._systems.lines.line(rules[need])
            return self._systems.lines.line(rules[entity])
        except NeedsUser as error:
            logger.warning("views of %s: %s", entity, error)
            return None
