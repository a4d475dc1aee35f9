"""The CRM is told: the ERP's number and state in its own document."""

from __future__ import annotations

from typing import Any

from koppel.connectors.base import Gone, Record, Refused, Update
from koppel.errors import NeedsUser, TryLater
from koppel.processes.systems import Systems, written
from koppel.store.orders import status_of


def tell_crm(systems: Systems, link: Any, known: Record | None = None) -> str:
    """Write the ERP's number and state into the CRM's document, where the settings name fields.

    `known`: the document as it was read a moment ago; it is read again where it has moved since.
    """
    back = systems.settings.write_back
    told = status_of(link)
    if link.crm_id is None or told is None:
        return "nothing to tell"
    reader = systems.reader(link.crm_resource)
    fields: dict[str, Any] = {}
    if back.number and reader.has(back.number) and told.number:
        fields[back.number] = told.number
    wanted = back.status.get(told.state)
    if wanted is not None and reader.has(back.status_field):
        fields[back.status_field] = reader.choice(back.status_field, wanted)
    seen = known or systems.crm.fetch(link.crm_resource, [link.crm_id])[link.crm_id]
    if isinstance(seen, Gone):
        return "the CRM's document is gone"
    changes = {name: value for name, value in fields.items() if seen.fields.get(name) != value}
    after: Record | Gone = seen
    if changes:
        outcome = written(
            systems.crm,
            Update(
                resource=link.crm_resource,
                key=f"{link.id}-{told.state}-{told.number}-{seen.version}"[:100],
                id=link.crm_id,
                expected=seen.version,
                fields=changes,
            ),
        )
        if isinstance(outcome, Refused):
            if known is not None:
                return tell_crm(systems, link)
            if outcome.reason == "stale":
                raise TryLater("the CRM's document was changed at this moment", after=1)
            raise NeedsUser(
                f"the CRM does not take the ERP's number: {outcome.message}",
                remedy="Grant Koppel's user the right to change the document",
            )
        after = outcome.after
    # What stood there before was read; only our own fields have moved since.
    if isinstance(after, Record) and link.crm_version == seen.version:
        systems.store.orders.put(key=link.key, crm_version=after.version)
    return f"{told.number} {told.state}"
