"""Orders: which order of the CRM is which of the ERP, and where it stands."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from django.db.models import Q, QuerySet

from koppel import typed
from koppel.errors import NeedsUser
from koppel.model.fulfilment import OrderResponse
from koppel.store import bulk
from koppel.store.opening import Clock
from koppel.store.order_models import OrderLink


class OrderStore:
    """Reads and writes links between orders."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def traces(self, sales: Iterable[str]) -> list[str]:
        """Of the transfers of these orders of the ERP: from the press of the button onwards."""
        links = OrderLink.objects.filter(erp_id__in=sales).exclude(trace="")
        return list(links.order_by("changed_at").values_list("trace", flat=True))

    def of_crm(self, resource: str, record: str) -> OrderLink | None:
        """The newest link of an order of the CRM."""
        rows = OrderLink.objects.filter(crm_resource=resource, crm_id=record)
        return rows.order_by("-changed_at", "-id").first()

    def get(self, id: str) -> OrderLink | None:
        """A link by its own id."""
        return OrderLink.objects.filter(id=id).first() if id else None

    def of_erp(self, records: Iterable[str]) -> Mapping[str, OrderLink]:
        """The ERP's id -> link."""
        found: dict[str, OrderLink] = {}
        for part in bulk.chunks(records):
            rows = OrderLink.objects.filter(erp_id__in=part)
            found.update({str(row.erp_id): row for row in rows})
        return found

    def versions(self, records: Iterable[str]) -> Mapping[str, str]:
        """The ERP's id -> version as last seen."""
        sql = "SELECT erp_id, erp_version FROM store_orderlink WHERE erp_id IN ({ids})"
        return dict(bulk.select(sql, records))

    def of_party(self, party: str, limit: int = 200) -> Sequence[OrderLink]:
        """All orders of a customer of the ERP, newest first."""
        return list(OrderLink.objects.filter(erp_party=party).order_by("-changed_at")[:limit])

    def all(self, *, state: str = "", limit: int = 200) -> Sequence[OrderLink]:
        """Links, newest first."""
        rows = OrderLink.objects.all()
        if state:
            rows = rows.filter(state=state)
        return list(rows.order_by("-changed_at")[:limit])

    def put(self, *, key: str, **values: Any) -> OrderLink:
        """Make or change the link of this key.

        Who had its number in the ERP before is gone: the ERP was put back from a backup, and gives
        numbers out again.
        """
        now = self._clock()
        if values.get("erp_id") is not None:
            before = OrderLink.objects.filter(erp_id=values["erp_id"]).exclude(key=key)
            before.update(erp_id=None, state="gone")
        row = OrderLink.objects.filter(key=key).first()
        if row is None:
            row = OrderLink(id=uuid.uuid4().hex, key=key, seen_at=now, changed_at=now)
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
        return row

    def seen(self, row: OrderLink, version: str, told: OrderResponse) -> bool:
        """Keep what the ERP says of an order now; did anything change?"""
        now = self._clock()
        status = msgspec.json.encode(told)
        changed = row.status is None or bytes(row.status) != status
        row.erp_version, row.number, row.state = version, told.number or row.number, told.state
        row.erp_party, row.seen_at = told.partner or row.erp_party, now
        if changed:
            row.status, row.changed_at = status, now
        row.save()
        return changed

    def touch(self, records: Iterable[str]) -> None:
        """These were found unchanged just now."""
        sql = "UPDATE store_orderlink SET seen_at = %s WHERE erp_id IN ({ids})"
        bulk.execute(sql, records, bulk.moment(self._clock()))

    def touch_all(self) -> None:
        """All orders are as last seen: the ERP told every change since."""
        OrderLink.objects.filter(erp_id__isnull=False).update(seen_at=self._clock())

    def requests(self) -> QuerySet[OrderLink]:
        """Orders that the CRM wants otherwise than the ERP has them, the newest first."""
        noted = OrderLink.objects.exclude(note="")
        return noted.filter(
            Q(note__startswith="Change request:")
            | Q(note__startswith="The ERP does not take an edit")
            | Q(note__startswith="An edit in the CRM cannot be read")
        ).order_by("-changed_at")

    def seen_to(self, id: str) -> OrderLink:
        """A clerk has dealt with what the CRM wants otherwise. `NeedsUser` where nothing waits."""
        row = self.requests().filter(id=id).first()
        if row is None:
            raise NeedsUser("this order waits for nobody", remedy="koppel order list")
        OrderLink.objects.filter(id=id, note=row.note).update(note="")
        return row


def status_of(row: OrderLink) -> OrderResponse | None:
    """What the ERP said of the order last."""
    if row.status is None:
        return None
    return typed.from_json(bytes(row.status), OrderResponse)
