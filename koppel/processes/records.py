"""The ERP's documents as the CRM's own records: orders, invoices and credit notes, to the cent.

The order settings say which kinds are kept. A record belongs to the ERP: it is written from the
ERP's document, again where that changes, and an edit in the CRM is put back. Each has one coupling,
and is made under a key of the ERP's document, so it is never made twice.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from koppel.connectors.base import Create, Gone, Record, Refused, Update
from koppel.errors import NeedsUser
from koppel.mapping.billing import CannotKeep, Sheet, differs, native, sheet_lines
from koppel.mapping.orders import OrderReader
from koppel.model.billing import Invoice
from koppel.model.fulfilment import OrderResponse
from koppel.processes.settings import RecordSettings
from koppel.processes.systems import Systems, written
from koppel.store.order_models import OrderLink
from koppel.store.orders import status_of
from koppel.store.values import CouplingRow

logger = logging.getLogger(__name__)

INVOICES = "account.invoice"
PAGE = 200
Kind = Literal["order", "invoice", "credit_note"]
KINDS: tuple[Kind, ...] = ("order", "invoice", "credit_note")


def entity_of(kind: Kind) -> str:
    """Under which name the couplings of a kind are kept."""
    return f"record:{kind}"


@dataclass(frozen=True)
class Wanted:
    """A document of the ERP that the CRM is to have."""

    kind: Kind
    erp_resource: str
    erp_id: str
    status: str


class Records:
    """Writes and guards the CRM's records of the ERP's documents."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._store = systems.store
        self._items: dict[str, str | None] = {}

    @property
    def settings(self) -> RecordSettings:
        """What is kept, as the order settings say now."""
        return self._systems.settings.records

    def kept(self) -> dict[Kind, str]:
        """The CRM's resource of each kind that is kept; empty where none is."""
        names = self._systems.mapping().records if self.settings.any() else None
        return {
            kind: getattr(names, kind)
            for kind in KINDS
            if names is not None and getattr(self.settings, kind) and getattr(names, kind)
        }

    def is_record(self, resource: str, record: str) -> CouplingRow | None:
        """The coupling, where a record of the CRM is one that was written from the ERP."""
        for kind, name in self.kept().items():
            if name == resource:
                rows = self._store.couplings.by_record(entity_of(kind), "crm", [record])
                return rows.get(record)
        return None

    # From the ERP.

    def follow(self, link: OrderLink, told: OrderResponse) -> int:
        """Bring the CRM's records of an order into step; how many were written.

        Raises `TryLater` where a system is away; whatever else is wrong is logged for a person.
        """
        kept = self.kept()
        target = self._target(told.partner) if kept else None
        if target is None:
            return 0
        changed = 0
        for one in self._wanted(link, told, kept):
            try:
                changed += self._bring(one, kept[one.kind], link, target)
            except (CannotKeep, NeedsUser) as error:
                self._say(f"{told.number}: {one.kind} {one.erp_id} is not kept in the CRM: {error}")
        return changed

    def _target(self, party: str) -> str | None:
        row = self._store.couplings.by_record("partner", "erp", [party]).get(party)
        return row.crm_id if row is not None and row.state == "active" else None

    def _wanted(
        self, link: OrderLink, told: OrderResponse, kept: Mapping[Kind, str]
    ) -> Iterator[Wanted]:
        if "order" in kept and link.crm_resource != kept["order"] and told.number:
            status = self.settings.order_status.get(told.state, "")
            yield Wanted("order", self._systems.settings.erp_resource, told.id, status)
        for one in told.invoices:
            if one.type in kept and one.number:
                yield Wanted(one.type, INVOICES, one.id, self._status(one))

    def _status(self, one: Invoice) -> str:
        names = (
            self.settings.credit_note_status
            if one.type == "credit_note"
            else self.settings.invoice_status
        )
        if one.dunning_level and one.status in ("open", "partial", "overdue") and "dunned" in names:
            return names["dunned"]
        return names.get(one.status, "")

    def _bring(self, wanted: Wanted, resource: str, link: OrderLink, target: str) -> bool:
        entity = entity_of(wanted.kind)
        rows = self._store.couplings.by_record(entity, "erp", [wanted.erp_id])
        row = rows.get(wanted.erp_id)
        if row is not None and row.state != "active":
            return False
        seen = self._systems.erp.fetch(wanted.erp_resource, [wanted.erp_id])[wanted.erp_id]
        if isinstance(seen, Gone):
            return False
        fields = self._fields(wanted, resource, seen, link, target)
        if row is None or row.crm_id is None:
            return self._make(wanted, resource, seen, fields, link)
        here = self._systems.crm.fetch(resource, [row.crm_id])[row.crm_id]
        if isinstance(here, Gone):
            row.state = "parted"
            self._store.couplings.save([row])
            self._say(f"{row.label}: the CRM's record was deleted there; it is not made again")
            return False
        if not differs(here.fields, fields, self._systems.mapping().lines.list):
            row.crm_version, row.erp_version = here.version, seen.version
            self._store.couplings.save([row])
            return False
        return self._write(wanted, resource, row, here, seen, fields)

    def _fields(
        self, wanted: Wanted, resource: str, seen: Record, link: OrderLink, target: str
    ) -> dict[str, Any]:
        mapping, told = self._systems.mapping(), seen.fields
        sign = -1 if wanted.kind == "credit_note" else 1
        lines, texts = sheet_lines(told, mapping.tax_rounding, sign=sign)
        number = str(told.get("number") or "")
        made_from = link.crm_id
        described = {
            one.name: one for one in self._systems.lines.describe(self._systems.settings.crm)
        }
        reader = OrderReader(mapping, described.get(resource))
        sheet = Sheet(
            kind=wanted.kind,
            number=number,
            name=str(told.get("description") or number),
            currency=str(told.get("currency") or "EUR"),
            lines=lines,
            date=told.get("invoice_date") or told.get("sale_date"),
            due=told.get("due_date"),
            reference=str(told.get("reference") or ""),
            status=reader.choice(mapping.header.status, wanted.status) if wanted.status else "",
            note="\n".join(texts),
            made_from=made_from,
        )
        fields = native(sheet, mapping, target, self._item)
        return {name: value for name, value in fields.items() if reader.has(name)}

    def _item(self, code: str) -> str | None:
        names = self._systems.mapping().lines
        if code not in self._items:
            found = self._systems.crm.find(names.items, {names.item_number: code}, limit=1)
            self._items[code] = found[0].id if found else None
        return self._items[code]

    # Into the CRM.

    def _make(
        self,
        wanted: Wanted,
        resource: str,
        seen: Record,
        fields: dict[str, Any],
        link: OrderLink,
    ) -> bool:
        key = f"{self._systems.settings.erp}/{seen.resource}/{seen.id}"
        outcome = written(self._systems.crm, Create(resource=resource, key=key, fields=fields))
        if isinstance(outcome, Refused):
            self._say(f"the CRM does not take {key}: {outcome.message}")
            return False
        after = outcome.after
        row = CouplingRow(
            id=uuid.uuid4().hex,
            entity=entity_of(wanted.kind),
            crm_id=after.id,
            erp_id=seen.id,
            label=str(seen.fields.get("number") or seen.id),
            made_by=f"order:{link.id}",
        )
        self._keep(row, after, seen)
        return True

    def _write(
        self,
        wanted: Wanted,
        resource: str,
        row: CouplingRow,
        here: Record,
        seen: Record,
        fields: dict[str, Any],
    ) -> bool:
        edited = row.crm_version != here.version and row.erp_version == seen.version
        outcome = written(
            self._systems.crm,
            Update(
                resource=resource,
                key=f"{row.id}-{seen.version}-{here.version}"[:100],
                id=here.id,
                expected=here.version,
                fields=fields,
            ),
        )
        if isinstance(outcome, Refused):
            if outcome.reason != "stale":  # Else the edit that came between is seen in a moment.
                self._say(f"{row.label}: the CRM does not take it: {outcome.message}")
            return False
        if edited:
            self._say(f"{row.label}: an edit in the CRM was put back, the ERP owns the document")
        self._keep(row, outcome.after, seen)
        return True

    def _keep(self, row: CouplingRow, after: Record | Gone, seen: Record) -> None:
        """Remember what both returned, and say so where the CRM reckons another sum."""
        header, told = self._systems.mapping().header, seen.fields
        row.erp_version = seen.version
        if isinstance(after, Record):
            row.crm_version = after.version
            for name, native_name in (
                ("untaxed_amount", header.net),
                ("total_amount", header.gross),
            ):
                here, there = after.fields.get(native_name), told.get(name)
                if here is not None and there is not None and abs(here) != abs(there):
                    self._say(f"{row.label}: {here} in the CRM, {there} in the ERP")
        self._store.couplings.save([row])

    # Edits in the CRM.

    def poll_crm(self) -> int:
        """Put back what was edited in the CRM since the last look; how many that were."""
        changed = 0
        for kind, resource in self.kept().items():
            place = entity_of(kind)
            cursor = self._store.couplings.cursor(place, "crm")
            while cursor is not None:
                page = self._systems.crm.changes(resource, cursor, PAGE)
                rows = self._store.couplings.by_record(
                    place, "crm", [change.id for change in page.changes]
                )
                for row in rows.values():
                    changed += self._guard(row, resource)
                cursor = page.cursor
                self._store.couplings.move_cursors({(place, "crm"): cursor})
                if not page.more:
                    break
            else:
                now = self._systems.crm.now(resource)
                self._store.couplings.move_cursors({(place, "crm"): now})
        return changed

    def _guard(self, row: CouplingRow, resource: str) -> int:
        if row.state != "active" or row.crm_id is None:
            return 0
        here = self._systems.crm.fetch(resource, [row.crm_id])[row.crm_id]
        if isinstance(here, Record) and here.version == row.crm_version:
            return 0
        link = self._store.orders.get(row.made_by.partition(":")[2])
        told = status_of(link) if link is not None else None
        return self.follow(link, told) if link is not None and told is not None else 0

    def _say(self, text: str) -> None:
        logger.warning("records: %s", text)
        self._store.inbox.log("Koppel", "record", text[:190])
