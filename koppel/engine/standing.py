"""Before a plan that lay for a while is carried out: does everything stand as it did then?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

from koppel.connectors.base import Gone, Record
from koppel.engine.lines import Line
from koppel.store import Store
from koppel.store.models import Run
from koppel.store.runs import Source
from koppel.sync.rule import Side

_Page = dict[str, Source]
"""Record -> what the plan was made from, of one side of one entity."""


def moved_since(
    store: Store, run: Run, lines: Sequence[Line], pool: Callable[[int], Executor]
) -> list[str]:
    """The labels of the steps of which a record has another version by now, or is gone.

    A page is read from the systems while the next one is taken from the store.
    """
    lanes = {(line.entity, side): lane for line in lines for side, lane in line.lanes.items()}
    moved: list[str] = []
    with pool(1) as caller:
        before = None
        for place, page in _pages(store, run):
            coming = caller.submit(lanes[place].fetch, page), page
            if before is not None:
                moved += _moved(before[0].result(), before[1])
            before = coming
        if before is not None:
            moved += _moved(before[0].result(), before[1])
    return moved


def _pages(store: Store, run: Run) -> Iterator[tuple[tuple[str, Side], _Page]]:
    for sources in store.runs.sources(run):
        places: dict[tuple[str, Side], _Page] = {}
        for source in sources:
            places.setdefault((source.entity, source.side), {})[source.id] = source
        yield from places.items()


def _moved(found: dict[str, Record | Gone], page: _Page) -> list[str]:
    return [
        source.label
        for record, source in page.items()
        if isinstance(now := found[record], Gone) or now.version != source.version
    ]
