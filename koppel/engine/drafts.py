"""A first load into a system that holds nothing is planned while it is read.

There is nobody to be matched with, so each record that was read can be planned at once, while the
next ones are on their way. Whether that was right is looked at when all is read: where somebody
came to be on the other side meanwhile, or a record was read twice or went, the drafts are thrown
away and the plan is made as ever.
"""

from __future__ import annotations

from koppel.engine.intake import Intake
from koppel.engine.lines import Line
from koppel.store import Store
from koppel.sync.rule import SIDES, Side, other


def side_to_draft(store: Store, line: Line) -> Side | None:
    """The side whose records can only be made on the other one, at a first load; else None.

    Asks a system that nothing is known of for its first page of ids.
    """
    entity = line.entity
    if any(store.couplings.cursor(entity, side) is not None for side in SIDES):
        # Both were read before, and may have had nothing then: no poll is to ask again.
        return None
    if store.couplings.count(entity) or any(store.replica.count(entity, side) for side in SIDES):
        return None
    if any(entity in lane.mapper.references.values() for lane in line.lanes.values()):
        # Whom a record points to is planned with it, and may be read after it.
        return None
    for side in SIDES:
        far = line.lanes[other(side)]
        page = far.connector.ids(far.resource, None)
        if not page.items and page.next is None:
            return side
    return None


def drafts_hold(store: Store, intake: Intake, entity: str, side: Side) -> bool:
    """Is what was drafted what a plan would be that is made now?"""
    return not (
        intake.unsteady
        or intake.work.touched
        or store.replica.count(entity, other(side))
        or store.couplings.returned(entity)
    )
