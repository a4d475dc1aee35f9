"""Records that come back after their pair was over: out of the trash, or with a backup.

Who was with whom is remembered. So such a record finds its partner of then, whatever its name is by
now, and no second record is made of it: the two are coupled again, or a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from koppel.connectors.base import Gone, Record
from koppel.engine.lines import Line, contents
from koppel.engine.links import unlinked
from koppel.mapping.faults import BadValue
from koppel.store import Store
from koppel.store.pairs import Kind
from koppel.store.values import CouplingRow, FormerPair
from koppel.sync.identity import another
from koppel.sync.rule import SIDES, Side

_AGAIN = "they were a pair until one of them was gone, and it came back"
_ASKED = "a person had ended the pair"
_APART = "one of the two was set aside meanwhile"
_TAKEN = "one of the two is coupled to another record by now"


class Returned(Struct, frozen=True, kw_only=True):
    """Two records that were a pair, and what to do: couple them again, or ask."""

    crm_id: str
    erp_id: str
    kind: Kind
    reasons: tuple[str, ...]


def returned(store: Store, line: Line) -> list[Returned]:
    """The former pairs of the new records of an entity; each record is coupled at most once.

    Left out are pairs of which a person said that they are two, those whose other record is gone
    as well, and numbers under which another record stands by now.
    """
    former = store.couplings.returned(line.entity)
    if not former:
        return []
    answers = store.inbox.answers(line.entity)
    # All at once: with a backup, thousands come back.
    records = {side: [pair.record(side) for pair in former] for side in SIDES}
    coupled = {side: store.couplings.by_record(line.entity, side, records[side]) for side in SIDES}
    there = {side: contents(store, line, side, records[side]) for side in SIDES}
    found = []
    used: set[tuple[Side, str]] = set()
    for pair in former:
        answer = answers.get((pair.crm_id, pair.erp_id))
        if answer == "different" or not _themselves(line, pair, there):
            continue
        rows = [row for side in SIDES if (row := coupled[side].get(pair.record(side)))]
        taken = any(not row.left_alone for row in rows) or any(
            (side, pair.record(side)) in used for side in SIDES
        )
        doubt = _TAKEN if taken else ""
        if not taken and answer != "same":
            apart = any(row.id != pair.coupling for row in rows)
            doubt = _ASKED if pair.asked else _APART if apart else ""
        if not doubt:
            used |= {(side, pair.record(side)) for side in SIDES}
        found.append(
            Returned(
                crm_id=pair.crm_id,
                erp_id=pair.erp_id,
                kind="review" if doubt else "couple",
                reasons=(_AGAIN, doubt) if doubt else (_AGAIN,),
            )
        )
    return found


def left_alone(
    store: Store, entity: str, ids: Mapping[Side, Sequence[str]]
) -> dict[tuple[Side, str], CouplingRow]:
    """Of these records those whose pair is over, with its coupling: it may be taken up again."""
    found: dict[tuple[Side, str], CouplingRow] = {}
    for side in SIDES:
        rows = store.couplings.by_record(entity, side, ids[side])
        found.update({(side, record): row for record, row in rows.items() if row.left_alone})
    return found


def _themselves(
    line: Line, pair: FormerPair, there: Mapping[Side, Mapping[str, Record | Gone]]
) -> bool:
    """Are both there, each the record that it was?"""
    for side in SIDES:
        mapper = line.lanes[side].mapper
        was, now = pair.base(side), there[side].get(pair.record(side))
        if not isinstance(now, Record) or not isinstance(was, Record):
            return False
        try:
            # Without links: a record's marks are its own.
            if another(pair.entity, mapper.get(was, unlinked), mapper.get(now, unlinked)):
                return False
        except BadValue:
            continue
    return True


__all__ = ["Returned", "left_alone", "returned"]
