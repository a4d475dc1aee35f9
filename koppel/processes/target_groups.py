"""Target groups: a segment of customers that the CRM is to know under a name, for a campaign.

First a plan (whom the CRM would mark, whom it would no longer), which a person approves; then each
organisation is read, changed by this one mark alone under its version, and counted by what came
back. So it may be stopped and repeated at any instant, and nobody else's marks are touched.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from urllib.parse import parse_qsl

from koppel.connectors.base import Record, Unknown, Update, Written
from koppel.errors import NeedsUser
from koppel.processes.systems import Systems
from koppel.store import Store, selecting
from koppel.store.seen_models import Customer, TargetGroup

RESOURCE = "persons.organisation"
FIELD = "properties"
BATCH = 100
LIMIT = 20_000


def make(store: Store, name: str, query: str, today: date, *, user: str) -> TargetGroup:
    """A group with its plan; one of that name is planned anew. `NeedsUser` without a filter."""
    asked = {key: value for key, value in parse_qsl(query) if key in (*selecting.FILTERS, "q")}
    if not any(asked.values()):
        raise NeedsUser("a target group needs a filter", remedy="Choose one in the list first")
    row, _ = TargetGroup.objects.get_or_create(
        name=name, defaults={"made_at": store.clock(), "made_by": user}
    )
    wanted = list(
        selecting.choose(asked, today).order_by("id").values_list("crm_id", flat=True)[:LIMIT]
    )
    here = [one for one in wanted if one is not None]
    before = set(row.written)
    row.query, row.made_by, row.message = query, user, ""
    row.plan = {
        "mark": [one for one in here if one not in before],
        "unmark": sorted(before - set(here)),
        "stay": len(before & set(here)),
        "unknown": len(wanted) - len(here),
    }
    row.state = "planned"
    row.save()
    store.audit_log.write(user, "plan target group", name, mark=len(row.plan["mark"]))
    return row


def carry_out(systems: Systems, row: TargetGroup, *, user: str) -> TargetGroup:
    """Mark and unmark as planned. Raises `TryLater` where the CRM is away; press again then."""
    if row.state != "planned":
        raise NeedsUser(f"the group is {row.state}", place=row.name, remedy="Plan it anew")
    described = {one.name: one for one in systems.lines.describe(systems.settings.crm)}
    organisation = described.get(RESOURCE)
    if organisation is None or organisation.field(FIELD) is None:
        raise NeedsUser(
            "the CRM takes no properties from Koppel",
            place=systems.settings.crm,
            remedy="Update the add-on koppel-creme in Creme",
        )
    refused: list[str] = []
    written = set(row.written)
    for ids, on in ((row.plan["mark"], True), (row.plan["unmark"], False)):
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            done, said = _mark(systems, row.name, part, on=on)
            written = written | done if on else written - done
            refused += said
            TargetGroup.objects.filter(id=row.id).update(written=sorted(written))
    row.written, row.approved_by = sorted(written), user
    row.written_at = systems.store.clock()
    row.state, row.message = ("partly" if refused else "written"), " ".join(refused[:5])
    row.save()
    systems.store.audit_log.write(
        user, "write target group", row.name, marked=len(written), refused=len(refused)
    )
    return row


def _mark(
    systems: Systems, name: str, ids: Sequence[str], *, on: bool
) -> tuple[set[str], list[str]]:
    """Those that have the mark (or lack it) afterwards, and a sentence for each that refused."""
    done: set[str] = set()
    writes: list[Update] = []
    for id, record in systems.crm.fetch(RESOURCE, ids).items():
        if not isinstance(record, Record):
            done.add(id)
            continue
        now = set(record.fields.get(FIELD) or ())
        if (name in now) is on:
            done.add(id)
            continue
        marks = sorted(now | {name} if on else now - {name})
        writes.append(
            Update(
                resource=RESOURCE, key=f"target-{uuid.uuid4().hex}", id=id,
                expected=record.version, fields={FIELD: marks},
            )
        )  # fmt: skip
    refused = []
    for write, outcome in zip(writes, systems.crm.write(writes) if writes else (), strict=True):
        if isinstance(outcome, Unknown):
            recovered = systems.crm.recover(write)
            outcome = recovered if recovered is not None else outcome
        if isinstance(outcome, Written):
            done.add(write.id)
        else:
            label = Customer.objects.filter(crm_id=write.id).values_list("name", flat=True).first()
            refused.append(f"{label or write.id}: {outcome.message.rstrip('.')}.")
    return done, refused
