"""Why couplings are not in step, in a word for counting and in a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from koppel.connectors.base import Change, Gone, Record
from koppel.store import Store
from koppel.store.models import Pending, Quarantine, Run
from koppel.store.values import CouplingRow
from koppel.sync.merge import LABEL
from koppel.sync.rule import SIDES, Side

Because = Literal[
    "edited", "edited_during_run", "refused", "never_synchronised", "conflict",
    "deleted", "trashed", "merged", "missing", "unreadable",
]  # fmt: skip
"""The kind of cause, for counting; the sentence beside it says the rest."""


class Causes:
    """The causes of some couplings, from what the inbox, the runs and the systems tell."""

    def __init__(
        self,
        store: Store,
        entity: str,
        rows: Mapping[str, CouplingRow],
        feed: Mapping[Side, Mapping[str, Change]],
    ) -> None:
        self._store = store
        self._feed = feed
        self._refused = dict(
            Quarantine.objects.filter(coupling__in=list(rows)).values_list("coupling", "reason")
        )
        records = [r for row in rows.values() for r in (row.crm_id, row.erp_id) if r]
        pending = Pending.objects.filter(entity=entity, record__in=records)
        self._waits: dict[tuple[str, str | None], str] = {
            (side, record): reason
            for side, record, reason in pending.values_list("side", "record", "reason")
        }
        self._runs = list(
            Run.objects.filter(ended_at__isnull=False)
            .order_by("-id")[:50]
            .values_list("id", "started_at", "ended_at")
        )

    def drifted(
        self,
        row: CouplingRow,
        now: Mapping[Side, Record | Gone | None],
    ) -> tuple[Because, str]:
        """The cause of a difference that a sync has yet to carry across."""
        if row.id in self._refused:
            return "refused", f"refused: {self._refused[row.id]}"
        never = [side for side in SIDES if row.base(side) is None]
        if never:
            return "never_synchronised", f"never synchronised with the {LABEL[never[0]]}"
        said: list[tuple[Because, str]] = []
        for side in SIDES:
            record, base = now[side], row.base(side)
            if not isinstance(record, Record) or not isinstance(base, Record):
                continue
            if record.version != base.version:
                said.append(self._edited(side, self._feed[side].get(record.id)))
        if said:
            during = any(because == "edited_during_run" for because, _ in said)
            words = "; ".join(sentence for _, sentence in said)
            return "edited_during_run" if during else "edited", words
        waits = [reason for side in SIDES if (reason := self._waits.get((side, row.record(side))))]
        return "never_synchronised", waits[0] if waits else "never synchronised"

    def _edited(self, side: Side, change: Change | None) -> tuple[Because, str]:
        words = f"edited in the {LABEL[side]}"
        if change is None or change.at is None:
            return "edited", f"{words} since the last sync"
        at = change.at
        by = f" by {change.by}" if change.by else ""
        during = [n for n, began, ended in self._runs if ended and began <= at <= ended]
        when = f"while run {during[0]} was at work" if during else "after the last sync"
        because: Because = "edited_during_run" if during else "edited"
        return because, f"{words}{by} at {at:%Y-%m-%d %H:%M:%S} UTC, {when}"

    def orphaned(
        self, row: CouplingRow, now: Mapping[Side, Record | Gone | None], lost: Sequence[Side]
    ) -> tuple[Because, str]:
        """What became of a side that is not there any more."""
        said: list[str] = []
        kinds: list[Because] = []
        for side in lost:
            gone = now[side]
            if not isinstance(gone, Gone):
                kinds.append("missing")
                said.append(f"missing in the {LABEL[side]}")
            elif gone.merged_into:
                kinds.append("merged")
                said.append(f"merged into {gone.merged_into} in the {LABEL[side]}")
            elif gone.trashed:
                kinds.append("trashed")
                said.append(f"in the trash in the {LABEL[side]}")
            else:
                kinds.append("deleted")
                said.append(f"deleted in the {LABEL[side]}")
        return kinds[0], "; ".join(said)
