"""Charts: a table of numbers on the page, of which a script draws what one can hover over.

The page holds the table, which reads without a script, is exact, and says each number as the rest
of the page says it. `static/web/charts.js` draws that same table with Chart.js, so what is drawn
and what is read cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Cell:
    """One value: as a number for the script, and as people read it."""

    value: str
    text: str


@dataclass(frozen=True)
class Row:
    """One place on the axis, with a value for each series.

    `when`: the month (`2026-11`) or day (`2026-11-25`) that it stands for, else empty.
    """

    name: str
    cells: tuple[Cell, ...]
    when: str = ""


@dataclass(frozen=True)
class Chart:
    """Bars of one or more series beside each other.

    `places` heads the column of the rows' names; amounts are in `currency`, or are counts. `sides`:
    the two series are the CRM and the ERP, stacked in their colours.
    """

    label: str
    places: str
    series: tuple[str, ...]
    rows: tuple[Row, ...]
    currency: str = ""
    sides: bool = False


def cells(values: Iterable[Decimal | int], say: Callable[[Decimal | int], str]) -> tuple[Cell, ...]:
    """The values of one row; `say` writes a value as people read it."""
    return tuple(Cell(f"{value:f}", say(value)) for value in values)
