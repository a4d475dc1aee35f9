"""The guards: does a plan look so much like an accident that a person must see it first?

Pure: counts in, sentences out. No sentence: the plan may run.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from koppel.sync.merge import LABEL
from koppel.sync.rule import SIDES, Guards, Side


class PlanCounts(Struct, frozen=True, kw_only=True):
    """What a plan of one entity would do.

    `couplings`: pairs that exist before the plan. `creates`: new records by side. `unmatched`:
    those among them for which no candidate was found. `updates`: existing pairs with a write on
    either side. `deletes`: records that Koppel would remove. `seen`: living records by side, where
    a sweep counted them. `empty`: sides known to be empty otherwise. `drift`: a sentence for each
    way in which a system's schema no longer fits the mapping.
    """

    couplings: int = 0
    creates: Mapping[Side, int] = field(default_factory=dict)
    unmatched: int = 0
    updates: int = 0
    deletes: int = 0
    seen: Mapping[Side, int] = field(default_factory=dict)
    empty: frozenset[Side] = frozenset()
    drift: tuple[str, ...] = ()


def check_guards(guards: Guards, counts: PlanCounts) -> tuple[str, ...]:
    """The reasons why a plan has to be held, as sentences; none: it may run."""
    reasons: list[str] = []
    if guards.empty_side and counts.couplings:
        for side in SIDES:
            if side in counts.empty or counts.seen.get(side) == 0:
                reasons.append(
                    f"The {LABEL[side]} suddenly shows no records, although "
                    f"{counts.couplings} are coupled."
                )
    reasons += _share("delete", counts.deletes, guards.deletes, counts.couplings, guards.least)
    reasons += _share("change", counts.updates, guards.changes, counts.couplings, guards.least)
    if counts.unmatched > guards.creates:
        where = ", ".join(
            f"{counts.creates[side]} in the {LABEL[side]}"
            for side in SIDES
            if counts.creates.get(side)
        )
        reasons.append(
            f"The plan would create {counts.unmatched} records that match nothing"
            f"{f' ({where})' if where else ''}; {guards.creates} are allowed without approval."
        )
    reasons += counts.drift
    return tuple(reasons)


def _share(verb: str, steps: int, limit: float, couplings: int, least: int) -> list[str]:
    if steps < max(least, 1) or not couplings or steps <= limit * couplings:
        return []
    return [
        f"The plan would {verb} {steps} of {couplings} coupled records "
        f"({steps / couplings:.0%}); {limit:.0%} are allowed without approval."
    ]
