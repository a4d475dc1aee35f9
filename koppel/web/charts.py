"""Charts as SVG made on the server: no script, readable without colours, each bar with its words.

Bars show a value when one points at them or goes to them by keyboard; the numbers stand in a table
too. Geometry is plain arithmetic, so a page costs no download.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT = 720, 220
LEFT, BOTTOM, TOP = 64, 24, 10
STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True)
class Bar:
    """One bar of a group: where it is, which series it belongs to, and what it says."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True)
class Mark:
    """A label on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Everything the template draws."""

    label: str
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    names: tuple[Mark, ...]
    series: tuple[str, ...]
    zero: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


@dataclass(frozen=True)
class Group:
    """The values of one place on the axis, one for each series, with the words for each."""

    name: str
    values: tuple[Decimal, ...]
    titles: tuple[str, ...]


def bars(label: str, series: Sequence[str], groups: Sequence[Group], show: object = None) -> Chart:
    """A chart of groups of bars. `show` writes a number of the axis (default: plainly)."""
    write = show if callable(show) else str
    values = [value for group in groups for value in group.values] or [Decimal(0)]
    low, high, step = scale(min(values), max(values))
    span = HEIGHT - BOTTOM - TOP

    def y(value: Decimal) -> float:
        return round(TOP + span * float((high - value) / (high - low)), 1)

    place = (WIDTH - LEFT) / max(1, len(groups))
    wide = place * 0.8 / max(1, len(series))
    made, names = [], []
    every = max(1, -(-len(groups) // 12))
    for number, group in enumerate(groups):
        start = LEFT + number * place + place * 0.1
        if number % every == 0:
            names.append(Mark(round(start + place * 0.4, 1), group.name))
        for which, value in enumerate(group.values):
            top, foot = y(max(value, Decimal(0))), y(min(value, Decimal(0)))
            made.append(
                Bar(
                    x=round(start + which * wide, 1), y=top, width=round(max(wide - 1, 1), 1),
                    height=round(max(foot - top, 0.5), 1), series=which,
                    title=group.titles[which],
                )
            )  # fmt: skip
    ticks, value = [], low
    while value <= high:
        ticks.append(Mark(y(value), str(write(value))))
        value += step
    return Chart(label, tuple(made), tuple(ticks), tuple(names), tuple(series), y(Decimal(0)))


def scale(low: Decimal, high: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Round limits that hold zero and all values, and the step between four to eight marks."""
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    if low == high:
        return Decimal(0), Decimal(4), Decimal(1)
    rough = (high - low) / 5
    power = Decimal(10) ** (len(str(int(rough))) - 1) if rough >= 1 else Decimal("0.01")
    step = next((one * power for one in STEPS if one * power >= rough), 10 * power)
    return (low / step).__floor__() * step, -((-high / step).__floor__()) * step, step
