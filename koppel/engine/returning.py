"""Records that come back after their pair was over: out of the trash, or with a backup.

Who was with whom is remembered. So such a record finds its partner of then, whatever its name is by
now, and no second record is made of it: the two are coupled again, or a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from koppel.connectors.base import Record
from koppel.engine.lines import Line
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
    found = []
    used: set[tuple[Side, str]] = set()
    former = store.couplings.returned(line.entity)
    answers = store.inbox.answers(line.entity) if former else {}
    for pair in former:
        if answers.get((pair.crm_id, pair.erp_id)) == "different":
            continue
        rows = _coupled(store, pair)
        taken = any(not row.left_alone for row in rows.values()) or any(
            (side, pair.record(side)) in used for side in SIDES
        )
        if not _themselves(store, line, pair):
            continue
        doubt = _TAKEN if taken else ""
        if not taken and answers.get((pair.crm_id, pair.erp_id)) != "same":
            apart = any(row.id != pair.coupling for row in rows.values())
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


def _coupled(store: Store, pair: FormerPair) -> Mapping[Side, CouplingRow]:
    """The couplings in which the two are by now."""
    found: dict[Side, CouplingRow] = {}
    for side in SIDES:
        found.update(
            (side, row)
            for row in store.couplings.by_record(pair.entity, side, [pair.record(side)]).values()
        )
    return found


def _themselves(store: Store, line: Line, pair: FormerPair) -> bool:
    """Are both there, each the record that it was?"""
    for side in SIDES:
        record, lane = pair.record(side), line.lanes[side]
        row = store.replica.get(pair.entity, side, [record]).get(record)
        now = row.content if row is not None and row.content is not None else None
        now = now if now is not None else lane.fetch([record])[record]
        was = pair.base(side)
        if not isinstance(now, Record) or not isinstance(was, Record):
            return False
        try:
            if another(
                pair.entity, lane.mapper.get(was, _unlinked), lane.mapper.get(now, _unlinked)
            ):
                return False
        except BadValue:
            continue
    return True


def _unlinked(entity: str, record: str) -> None:
    """No link is looked up: a record's marks are its own."""


__all__ = ["Returned", "left_alone", "returned"]
