"""What people in the ERP see of the CRM on a customer's page: owner, source, last activity, a link.

Told where the order settings say so, and where the ERP has fields for it. The fields are Koppel's
alone: no sync rule maps them, so nothing of it comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from koppel.connectors.base import Gone, Record, Refused, Update
from koppel.mapping.orders import OrderReader
from koppel.processes.systems import Systems, written
from koppel.store.values import CouplingRow

ENTITY, PLACE = "partner", "face:partner"
PAGE = 200
FIELDS = ("koppel_crm_owner", "koppel_crm_source", "koppel_crm_activity", "koppel_crm_url")


class Faces:
    """Tells the ERP's customers what the CRM knows."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._store = systems.store

    def poll(self) -> int:
        """Tell what changed in the CRM since the last look; how many customers were written.

        The first look tells all of them. Raises `TryLater` where a system is away.
        """
        erp = self._systems.lines.mapper(self._systems.settings.erp, ENTITY).resource
        if not self._systems.settings.face.partner or not self._systems.erp_has(erp, FIELDS[0]):
            return 0
        crm = self._systems.lines.mapper(self._systems.settings.crm, ENTITY).resource
        told = 0
        while True:
            cursor = self._store.couplings.cursor(PLACE, "crm")
            page = self._systems.crm.changes(crm, cursor, PAGE)
            ids = [change.id for change in page.changes if not change.gone]
            rows = self._store.couplings.by_record(ENTITY, "crm", ids)
            told += self._tell({id: row for id, row in rows.items() if _live(row)}, crm, erp)
            self._store.couplings.move_cursors({(PLACE, "crm"): page.cursor})
            if not page.more:
                return told

    def _tell(self, rows: Mapping[str, CouplingRow], crm: str, erp: str) -> int:
        if not rows:
            return 0
        seen = self._systems.crm.fetch(crm, sorted(rows))
        there = self._systems.erp.fetch(erp, sorted({str(row.erp_id) for row in rows.values()}))
        described = self._systems.lines.describe(self._systems.settings.crm)
        info = next((one for one in described if one.name == crm), None)
        reader = OrderReader(self._systems.mapping(), info)
        told = 0
        for id, row in rows.items():
            here, party = seen[id], there[str(row.erp_id)]
            if isinstance(here, Gone) or isinstance(party, Gone):
                continue
            told += self._write(row, self._face(row, here, reader), party)
        return told

    def _face(self, row: CouplingRow, here: Record, reader: OrderReader) -> dict[str, Any]:
        roles = ", ".join(str(one).replace("_", " ") for one in here.fields.get("roles") or ())
        source = f"{self._systems.settings.crm}: {here.resource} {here.id}"
        return {
            "koppel_crm_owner": reader.owner(here),
            "koppel_crm_source": f"{source} ({roles})" if roles else source,
            "koppel_crm_activity": self._activity(row, here),
            "koppel_crm_url": self._systems.link(f"/couplings/{row.id}") or None,
        }

    def _activity(self, row: CouplingRow, here: Record) -> str:
        """The last that happened in the CRM, as far as Koppel saw it."""
        sold = [
            one
            for one in self._store.orders.of_party(str(row.erp_id))
            if one.crm_id is not None and one.number
        ]
        text = f"Changed on {self._store.clock():%Y-%m-%d}"
        return f"{text}; last order handed over: {sold[0].number}" if sold else text

    def _write(self, row: CouplingRow, face: Mapping[str, Any], party: Record) -> bool:
        changes = {
            name: text for name, text in face.items() if (party.fields.get(name) or None) != text
        }
        if not changes:
            return False
        outcome = written(
            self._systems.erp,
            Update(
                resource=party.resource,
                key=f"face-{row.id}-{party.version}"[:100],
                id=party.id,
                expected=None,
                fields=changes,
            ),
        )
        if isinstance(outcome, Refused):
            self._store.inbox.log("Koppel", "face", f"{row.label}: {outcome.message}"[:190])
            return False
        return True


def _live(row: CouplingRow) -> bool:
    return row.state == "active" and row.erp_id is not None
