"""Orders watched in both systems: what the ERP says of each, and what changed in the CRM since.

The ERP is asked for changes, not order by order: one call for a page of changes, one for each page
of changed orders. An order that somebody entered in the ERP for a coupled customer is kept with the
same detail. What becomes true without anybody's doing (an invoice is overdue) is derived here.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from koppel.connectors.base import Change, Gone, Record, Refused, Update, Written
from koppel.errors import NeedsUser, TryLater
from koppel.mapping.orders import OrderFault
from koppel.model.fulfilment import OrderResponse
from koppel.model.sales import Order, OrderLine
from koppel.processes import rules
from koppel.processes.order_transfer import KIND, order_of, subject_of
from koppel.processes.records import Records
from koppel.processes.rounding import of_tax_alone, with_the_erps_tax
from koppel.processes.systems import Systems, written
from koppel.processes.telling import tell_crm
from koppel.store.order_models import OrderLink
from koppel.store.orders import status_of

logger = logging.getLogger(__name__)

ENTITY = "order"
PAGE = 200


class OrderWatch:
    """One poll after the other; safe to stop at any instant, for cursors move last."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._store = systems.store
        self.records = Records(systems)

    # The ERP.

    def poll_erp(self) -> int:
        """Take in what changed in the ERP since the last poll; how many orders that were."""
        erp, resource = self._systems.erp, self._systems.settings.erp_resource
        if not self._systems.sells():
            return 0
        cursor = self._store.couplings.cursor(ENTITY, "erp")
        changed = 0
        while True:
            page = erp.changes(resource, cursor, PAGE)
            changed += self._take_in(page.changes)
            cursor = page.cursor
            self._store.couplings.move_cursors({(ENTITY, "erp"): cursor})
            if not page.more:
                break
        self._store.orders.touch_all()
        return changed

    def refresh(self, records: Sequence[str]) -> int:
        """Read these orders of the ERP now."""
        return self._take_in([Change(id=record) for record in records])

    def _take_in(self, changes: Sequence[Change]) -> int:
        known = self._store.orders.versions([change.id for change in changes])
        wanted = [
            change.id
            for change in changes
            if change.version is None or known.get(change.id) != change.version
        ]
        changed = 0
        for start in range(0, len(wanted), PAGE):
            part = wanted[start : start + PAGE]
            read = self._systems.erp.fetch(self._systems.settings.erp_resource, part)
            links = self._store.orders.of_erp(part)
            parties = self._coupled(
                [seen for id, seen in read.items() if isinstance(seen, Record) and id not in links]
            )
            for id, seen in read.items():
                changed += self._one(id, seen, links.get(id), parties)
        return changed

    def _coupled(self, records: Sequence[Record]) -> set[str]:
        parties = {str(record.fields.get("party")) for record in records}
        return set(self._store.couplings.by_record("partner", "erp", parties))

    def _one(self, id: str, seen: Record | Gone, link: OrderLink | None, parties: set[str]) -> bool:
        if isinstance(seen, Gone):
            if link is None or link.state == "gone":
                return False
            self._store.orders.put(key=link.key, state="gone")
            return True
        if link is None:
            if str(seen.fields.get("party")) not in parties:
                return False
            key = str(seen.fields.get("koppel_key") or f"erp/{seen.resource}/{id}")
            link = self._store.orders.put(key=key, erp_id=id, trace=uuid.uuid4().hex)
        today = self._store.clock().date()
        told = self._systems.settings.steps.shown(rules.response(id, seen.fields, today))
        before = link.state
        # First, so that the order counts as seen only when its records are there too.
        self.records.follow(link, told)
        changed = self._store.orders.seen(link, seen.version, told)
        if changed and link.crm_id is not None and (before != told.state or not link.written_back):
            self._tell(link, told)
        return changed

    def _tell(self, link: OrderLink, told: OrderResponse) -> None:
        try:
            tell_crm(self._systems, link)
        except (TryLater, NeedsUser) as error:
            # The ERP's view is kept all the same; the next change tells the CRM again.
            logger.warning("order %s: %s", told.number, error)
            return
        self._store.orders.put(key=link.key, written_back=f"{told.number} {told.state}")

    # The CRM.

    def poll_crm(self, begin: Callable[[str, str], Any]) -> int:
        """Carry edits of transferred orders over, and begin the transfers that a status asks for.

        `begin`: (resource, id) of a document that is to be handed over by itself.
        """
        settings = self._systems.settings
        name = settings.crm
        known = {one.name for one in self._systems.lines.describe(name)}
        taken = 0
        for resource in self._systems.mapping().resources:
            if resource not in known:
                continue
            place = f"{ENTITY}:{resource}"
            cursor = self._store.couplings.cursor(place, "crm")
            if cursor is None:
                # What was there before Koppel is not handed over behind anybody's back.
                self._store.couplings.move_cursors(
                    {(place, "crm"): self._systems.crm.now(resource)}
                )
                continue
            while True:
                page = self._systems.crm.changes(resource, cursor, PAGE)
                ids = [change.id for change in page.changes if not change.gone]
                for start in range(0, len(ids), PAGE):
                    read = self._systems.crm.fetch(resource, ids[start : start + PAGE])
                    for record in read.values():
                        if isinstance(record, Record):
                            taken += self._edited(record, begin)
                cursor = page.cursor
                self._store.couplings.move_cursors({(place, "crm"): cursor})
                if not page.more:
                    break
        return taken + self.records.poll_crm()

    def _edited(self, record: Record, begin: Callable[[str, str], Any]) -> bool:
        link = self._store.orders.of_crm(record.resource, record.id)
        if link is None and self.records.is_record(record.resource, record.id) is not None:
            return False
        if link is None or link.state in ("cancelled", "gone"):
            reader = self._systems.reader(record.resource)
            status = reader.status(record)
            wanted = any(
                one.resource == record.resource and one.status == status
                for one in self._systems.settings.automatic
            )
            if wanted and link is None:
                begin(record.resource, record.id)
            return wanted
        if link.crm_version == record.version:
            return False
        return self.carry_over(record, link)

    def carry_over(self, record: Record, link: OrderLink) -> bool:
        """An edit of a transferred document: into the ERP's draft, or what the settings say."""
        before = self._before(record)
        reader = self._systems.reader(record.resource)
        look = self._systems.looking(reader.references(record))
        try:
            now = reader.read(record, f"{self._systems.settings.crm}/{record.id}", look)
        except OrderFault as fault:
            self._note(link, record, f"An edit in the CRM cannot be read: {fault}")
            return True
        if before is None or _content(before) == _content(now):
            self._store.orders.put(key=link.key, crm_version=record.version)
            return False
        told = status_of(link)
        if told is not None and told.native_state == "draft":
            self._update_draft(link, record, now)
        else:
            what = "; ".join(differences(before, now))
            state = told.state if told else "transferred"
            if self._systems.settings.transfer.late_change == "put_back":
                self._put_back(link, record, what)
            else:
                self._note(
                    link, record,
                    f"Change request: the CRM says otherwise ({what}), and the order is {state} "
                    "in the ERP. A clerk decides there",
                )  # fmt: skip
        return True

    def _before(self, record: Record) -> Order | None:
        row = self._store.processes.latest(KIND, subject_of(record.resource, record.id))
        return order_of(row.snapshot) if row is not None else None

    def _update_draft(self, link: OrderLink, record: Record, now: Order) -> None:
        how = self._systems.settings.transfer
        fields: dict[str, Any] = {
            "lines": rules.erp_lines(now, how.price_digits),
            **rules.expected_totals(now.totals, taxes=how.tax_rounding != "erp"),
        }
        units = self._systems.settings.values.units
        for line in fields["lines"]:
            if "unit" in line:
                line["unit"] = units.get(line["unit"], line["unit"])
        if now.buyer_reference:
            fields["reference"] = now.buyer_reference
        if now.requested_delivery:
            fields["shipping_date"] = now.requested_delivery
        outcome, note = self._amended(link, record, fields), ""
        if (
            isinstance(outcome, Refused)
            and how.tax_rounding == "proved"
            and of_tax_alone(outcome)
            and hasattr(self._systems.erp, "compare_order")
        ):
            whole = {**fields, "party": link.erp_party, "currency": now.currency}
            asked = with_the_erps_tax(self._systems, now, whole)
            if asked is not None:
                told, note = asked
                fields = {name: value for name, value in told.items() if name in fields}
                outcome = self._amended(link, record, fields)
        if isinstance(outcome, Refused):
            if outcome.reason in ("stale", "locked"):
                raise TryLater("the order was changed in the ERP at this moment", after=1)
            self._note(link, record, f"The ERP does not take an edit of the CRM: {outcome.message}")
            return
        note = f"{note}." if note else ""
        self._store.orders.put(key=link.key, crm_version=record.version, note=note)
        self.refresh([str(link.erp_id)])

    def _amended(
        self, link: OrderLink, record: Record, fields: dict[str, Any]
    ) -> Written | Refused:
        return written(
            self._systems.erp,
            Update(
                resource=self._systems.settings.erp_resource,
                key=f"{link.id}-{record.version}"[:100],
                id=str(link.erp_id),
                expected=link.erp_version,
                fields=fields,
            ),
        )

    def _put_back(self, link: OrderLink, record: Record, what: str) -> None:
        row = self._store.processes.latest(KIND, subject_of(record.resource, record.id))
        reader = self._systems.reader(record.resource)
        fields = reader.lines_of(bytes(row.snapshot) if row and row.snapshot else None, record)
        outcome = written(
            self._systems.crm,
            Update(
                resource=record.resource,
                key=f"{link.id}-back-{record.version}"[:100],
                id=record.id,
                expected=record.version,
                fields=fields,
            ),
        )
        if isinstance(outcome, Refused):
            self._note(link, record, f"An edit could not be put back: {outcome.message}")
            return
        after = outcome.after
        version = after.version if isinstance(after, Record) else record.version
        self._store.orders.put(
            key=link.key, crm_version=version, note=f"Put back, the ERP owns the order: {what}."
        )

    def _note(self, link: OrderLink, record: Record, text: str) -> None:
        self._store.orders.put(
            key=link.key, crm_version=record.version, note=text.rstrip(".") + "."
        )
        self._store.inbox.log("Koppel", "order change", f"{link.number or link.key}: {text}")


def _content(order: Order) -> tuple[Any, ...]:
    """What an order asks for, without what Koppel or a person's status changes."""
    lines = tuple(
        (one.kind, one.item, one.name, one.note, one.quantity, one.unit, one.price,
         one.discount_percent, one.discount_amount, one.tax_rate)
        for one in order.lines
    )  # fmt: skip
    return (
        lines, order.allowances, order.currency, order.buyer_reference, order.requested_delivery
    )  # fmt: skip


def differences(before: Order, now: Order) -> list[str]:
    """What an edit changed, line by line, in words."""
    found = []
    old: dict[str, OrderLine] = {one.source or str(one.position): one for one in before.lines}
    new: dict[str, OrderLine] = {one.source or str(one.position): one for one in now.lines}
    for key in dict.fromkeys([*old, *new]):
        one, two = old.get(key), new.get(key)
        if one is None and two is not None:
            found.append(f"new line {two.item or two.name}: {two.quantity:f} at {two.price:f}")
        elif one is not None and two is None:
            found.append(f"line {one.item or one.name} taken out")
        elif one is not None:
            for name in ("quantity", "price", "discount_percent", "tax_rate", "name"):
                if getattr(one, name) != getattr(two, name):
                    place = one.item or one.name
                    found.append(
                        f"{name} of {place}: {getattr(one, name)} before, {getattr(two, name)} now"
                    )
    for name in ("buyer_reference", "requested_delivery"):
        if getattr(before, name) != getattr(now, name):
            found.append(f"{name}: {getattr(before, name)} before, {getattr(now, name)} now")
    if before.allowances != now.allowances:
        found.append("the discount on the whole order")
    return found or ["something else than lines and dates"]
