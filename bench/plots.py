"""Plots as SVG: lines over a logarithmic size, and bars with the goal drawn across.

Each is drawn from the same figures as the tables, in plain arithmetic; shapes tell the series
apart as well as colours do, and every point says its number when one points at it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bench.speed_report import allowed_ms

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 44, 40, 70
COLOURS = ("#1f5fa8", "#b5480c", "#2f7d32", "#6a3d9a")
DASHES = ("", "6 4", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Line:
    """One series: size -> value."""

    name: str
    points: Mapping[float, float]


def lines(title: str, x: str, y: str, series: Sequence[Line]) -> str:
    """Both axes logarithmic: what grows as the size does is a straight line of slope one."""
    xs = [at for line in series for at in line.points]
    ys = [max(value, 0.001) for line in series for value in line.points.values()]
    low_x, high_x = math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs)))
    low_y, high_y = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    high_x, high_y = max(high_x, low_x + 1), max(high_y, low_y + 1)

    def at_x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - low_x) / (high_x - low_x)

    def at_y(value: float) -> float:
        span = HEIGHT - TOP - BOTTOM
        return TOP + span * (high_y - math.log10(max(value, 0.001))) / (high_y - low_y)

    parts = []
    for power in range(low_x, high_x + 1):
        parts.append(_grid(at_x(10**power), TOP, at_x(10**power), HEIGHT - BOTTOM))
        parts.append(_text(at_x(10**power), HEIGHT - BOTTOM + 16, f"{10**power:,}", "middle"))
    for power in range(low_y, high_y + 1):
        parts.append(_grid(LEFT, at_y(10.0**power), WIDTH - RIGHT, at_y(10.0**power)))
        parts.append(_text(LEFT - 6, at_y(10.0**power) + 4, f"{10.0**power:g}", "end"))
    for number, line in enumerate(series):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        ordered = sorted(line.points.items())
        path = " ".join(f"{at_x(a):.1f},{at_y(b):.1f}" for a, b in ordered)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"'
            f' stroke-dasharray="{dash}"/>'
        )
        parts += [
            f'<circle cx="{at_x(a):.1f}" cy="{at_y(b):.1f}" r="4" fill="{colour}">'
            f"<title>{escape(line.name)}, {a:,.0f}: {b:,.2f}</title></circle>"
            for a, b in ordered
        ]
    parts.append(_text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - BOTTOM + 34, x, "middle"))
    return _drawing(title, y, parts, [line.name for line in series])


def bars(title: str, y: str, values: Sequence[tuple[str, float]], goal: float, told: str) -> str:
    """One bar for each value, and the goal as a line across."""
    top = max([value for _, value in values] + [goal]) * 1.15
    span = HEIGHT - TOP - BOTTOM
    place = (WIDTH - LEFT - RIGHT) / len(values)

    def at_y(value: float) -> float:
        return TOP + span * (1 - value / top)

    parts = []
    step = 10 ** math.floor(math.log10(top / 2))
    step = next(s for s in (step, 2 * step, 5 * step, 10 * step) if top / s <= 6)
    for tick in range(int(top / step) + 1):
        parts.append(_grid(LEFT, at_y(tick * step), WIDTH - RIGHT, at_y(tick * step)))
        parts.append(_text(LEFT - 6, at_y(tick * step) + 4, f"{tick * step:g}", "end"))
    for number, (name, value) in enumerate(values):
        start = LEFT + number * place + place * 0.2
        parts.append(
            f'<rect x="{start:.1f}" y="{at_y(value):.1f}" width="{place * 0.6:.1f}"'
            f' height="{HEIGHT - BOTTOM - at_y(value):.1f}" fill="{COLOURS[0]}">'
            f"<title>{escape(name)}: {value:,.1f}</title></rect>"
        )
        middle = start + place * 0.3
        parts.append(_text(middle, at_y(value) - 5, f"{value:,.0f}", "middle"))
        parts.append(_text(middle, HEIGHT - BOTTOM + 16, name, "middle"))
    parts.append(
        f'<line x1="{LEFT}" y1="{at_y(goal):.1f}" x2="{WIDTH - RIGHT}" y2="{at_y(goal):.1f}"'
        f' stroke="{COLOURS[1]}" stroke-width="2" stroke-dasharray="6 4"/>'
    )
    return _drawing(title, y, parts, [], f"{told}: {goal:,.0f}")


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#d5d9de"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#2b3036") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(text)}</text>'


def _drawing(title: str, y: str, parts: Sequence[str], names: Sequence[str], goal: str = "") -> str:
    legend = []
    at = LEFT
    for number, name in enumerate(names):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        foot = HEIGHT - 14
        legend.append(
            f'<line x1="{at}" y1="{foot - 4}" x2="{at + 26}" y2="{foot - 4}" stroke="{colour}"'
            f' stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        legend.append(_text(at + 32, foot, name, "start"))
        at += 52 + 7 * len(name)
    if goal:
        legend.append(_text(WIDTH - RIGHT, HEIGHT - 14, goal, "end", COLOURS[1]))
    inner = "\n".join([*parts, *legend])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(title)}</text>\n'
        f"{_text(8, TOP - 8, y, 'start')}\n{inner}\n</svg>\n"
    )


def drawn(figures: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """File name -> its title and the drawing, for all that these figures fill."""
    found: dict[str, tuple[str, str]] = {}

    def keep(name: str, title: str, drawing: str) -> None:
        found[f"{name}.svg"] = (title, drawing)

    if sizes := figures.get("million"):
        title = "Own work of a run, by couplings"
        series = [
            Line(name, {one["records"]: one[key]["own_seconds"] for one in sizes})
            for key, name in (
                ("nothing", "nothing changed"),
                ("sweep", "all ids swept"),
                ("changed", "1,000 changed"),
            )
        ]
        keep("million", title, lines(title, "couplings", "seconds", series))
        title = "Peak memory, by couplings"
        peaks = Line("peak", {one["records"]: one["peak_mb"] for one in sizes})
        keep("million-memory", title, lines(title, "couplings", "MB", [peaks]))
    if sizes := figures.get("memory"):
        title = "Peak memory of a first coupling, by partners on each side"
        first = Line("first coupling", {one["records"]: one["first_mb"] for one in sizes})
        keep("first-memory", title, lines(title, "partners", "MB", [first]))
    if told := figures.get("latency"):
        title = "From an edit to the other side, 95th percentile"
        values = [(f"{one['per_second']} edits/s", one["p95_ms"]) for one in told["rates"]]
        keep("latency", title, bars(title, "milliseconds", values, allowed_ms(told), "goal"))
    if told := figures.get("workers"):
        runs = told.get("each_runs", told["runs"])
        title = "Speed of several workers"
        alone = runs[0]["seconds"]
        values = [(f"with {one['workers']}", 100 * alone / one["seconds"]) for one in runs]
        keep("workers", title, bars(title, "% of one worker", values, 300, "goal with four"))
    for one in figures.get("pages") or ():
        title = f"Pages on {one['store']}, 20 people at once, 95th percentile"
        values = [(kind, page["p95_ms"]) for kind, page in one["pages"].items()]
        name = f"pages-{one['store'].lower()}"
        keep(name, title, bars(title, "milliseconds", values, 100, "goal but for insight"))
    return found


def write(figures: Mapping[str, Any], folder: Path) -> list[tuple[str, str]]:
    """Draw all into a folder; file and title of each."""
    folder.mkdir(exist_ok=True)
    made = drawn(figures)
    for name, (_, drawing) in made.items():
        (folder / name).write_text(drawing, encoding="utf-8")
    return [(name, title) for name, (title, _) in made.items()]
