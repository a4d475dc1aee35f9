"""Before a plan that lay for a while is carried out: does everything stand as it did then?

A plan made from a few records has these fetched again. One made from most of what a system holds,
as a first load is, has all ids and versions swept instead, which takes a fraction of the calls and
the bytes and tells the same: which version a record has, and whether it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Executor

from koppel.connectors.base import Gone, Record
from koppel.engine.lines import Lane, Line, sweep
from koppel.store import Store
from koppel.store.models import Run
from koppel.store.runs import Source
from koppel.sync.rule import Side

MANY = 1000
"""Of fewer records each is fetched: a few calls, whatever the system holds."""

_Place = tuple[str, Side]
_Page = dict[str, Source]
"""Record -> what the plan was made from, of one side of one entity."""


def moved_since(
    store: Store, run: Run, lines: Sequence[Line], pool: Callable[[int], Executor]
) -> list[str]:
    """The labels of the steps of which a record has another version by now, or is gone."""
    lanes = {(line.entity, side): lane for line in lines for side, lane in line.lanes.items()}
    planned = store.runs.planned(run)
    swept = [
        place
        for place in sorted(lanes)
        if planned.get(place, 0) >= max(MANY, _known(store, place) / 2)
    ]
    with pool(1) as caller:
        moved = _moved(store, run, lanes, caller, swept[0] if swept else None, swept)
        for place in swept[1:]:
            moved += _moved(store, run, {place: lanes[place]}, caller, place, swept)
    return moved


def _known(store: Store, place: _Place) -> int:
    entity, side = place
    return store.replica.count(entity, side, coupled=False) + store.couplings.count(entity)


def _moved(
    store: Store,
    run: Run,
    lanes: Mapping[_Place, Lane],
    caller: Executor,
    swept: _Place | None,
    elsewhere: Container[_Place],
) -> list[str]:
    """Of these lanes: one of them swept, the others fetched, but for those swept `elsewhere`.

    A page is read from the systems while the next one is taken from the store.
    """
    if swept is not None:
        sweep(store, lanes[swept], caller)
    moved: list[str] = []
    before = None
    for place, page in _pages(store, run):
        if place == swept:
            now = store.replica.swept_versions(page)
            moved += [one.label for one in page.values() if now.get(one.id) != one.version]
        elif place in lanes and place not in elsewhere:
            coming = caller.submit(lanes[place].fetch, page), page
            if before is not None:
                moved += _fetched(before[0].result(), before[1])
            before = coming
    if before is not None:
        moved += _fetched(before[0].result(), before[1])
    return moved


def _pages(store: Store, run: Run) -> Iterator[tuple[_Place, _Page]]:
    for sources in store.runs.sources(run):
        places: dict[_Place, _Page] = {}
        for source in sources:
            places.setdefault((source.entity, source.side), {})[source.id] = source
        yield from places.items()


def _fetched(found: dict[str, Record | Gone], page: _Page) -> list[str]:
    return [
        source.label
        for record, source in page.items()
        if isinstance(now := found[record], Gone) or now.version != source.version
    ]
