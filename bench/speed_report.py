"""The tables and goals of the first load, of latency, of several workers and of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rows = list[tuple[str, ...]]
Table = tuple[str, tuple[str, ...], Rows]
"""Title, columns, rows."""
Goal = tuple[str, str, bool]

PAGES_MS = {"search": 100, "customer": 100, "insight": 500}
"""Milliseconds at the 95th percentile, by kind of page."""
PAGE_KB = 300


def tables(figures: Mapping[str, Any]) -> list[Table]:
    """All tables that these figures fill."""
    found: list[Table] = []
    if figures.get("first_load"):
        found.append(_first_load(figures["first_load"]))
    if figures.get("latency"):
        found.append(_latency(figures["latency"]))
    if figures.get("workers"):
        found += _workers(figures["workers"])
    if figures.get("pages"):
        found += [_pages(figures["pages"]), _filled(figures["pages"])]
    return found


def goals(figures: Mapping[str, Any]) -> list[Goal]:
    """What was to be reached, what was measured, and whether that is it."""
    found: list[Goal] = []
    if one := figures.get("first_load"):
        name = f"first load of {one['records']:,}, {one['latency_ms']:.0f} ms a call"
        ratio, ordered = one["ratio"], one["ordered_ratio"]
        told = f"{name}: 85 % of a loop of the same calls in the same order"
        found.append((told, f"{ordered:.0%}", ordered >= 0.85))
        found.append(("... of one that writes while it reads", f"{ratio:.0%}", ratio >= 0.85))
    if told := figures.get("latency"):
        found += [_latency_goal(told, rate) for rate in told["rates"]]
    if told := figures.get("workers"):
        found += _workers_goals(told)
    for one in figures.get("pages") or ():
        found += _pages_goals(one)
    return found


def _first_load(one: Mapping[str, Any]) -> Table:
    columns = (
        f"{one['records']:,} partners into an empty CRM, {one['latency_ms']:.0f} ms a call",
        "seconds",
        "per second",
        "calls, ERP",
        "calls, CRM",
    )
    erp, crm = (sum(one["calls"][side].values()) for side in ("erp", "crm"))
    second = {"erp": one["calls"]["erp"]["write"], "crm": one["calls"]["crm"]["fetch"]}
    rows: Rows = [
        (
            f"Koppel ({one['own_seconds']:.1f} s of its own work)",
            f"{one['seconds']:.1f}", f"{one['per_second']:,.0f}", f"{erp}", f"{crm}",
        ),
        (
            "a loop of the same calls in the same order",
            f"{one['ordered_seconds']:.1f}",
            f"{one['records'] / one['ordered_seconds']:,.0f}", f"{erp}", f"{crm}",
        ),
        (
            "the same, both sides at once",
            f"{one['loop_seconds']:.1f}", f"{one['loop_per_second']:,.0f}", f"{erp}", f"{crm}",
        ),
        ("of these, to read back what was written", "", "", f"{second['erp']}", f"{second['crm']}"),
    ]  # fmt: skip
    return "First load over HTTP", columns, rows


def allowed_ms(told: Mapping[str, Any]) -> float:
    """Milliseconds: a fifth more than the two calls alone, and 50."""
    return float(told["bare"]["p95_ms"]) * 1.2 + 50


def _latency(told: Mapping[str, Any]) -> Table:
    columns = ("edits per second", "edits", "median, ms", "95 %, ms", "99 %, ms", "calls per edit")
    bare = told["bare"]
    rows: Rows = [
        ("read here and write there, nothing else", "-", f"{bare['p50_ms']:.0f}",
         f"{bare['p95_ms']:.0f}", f"{bare['p99_ms']:.0f}", "2"),
        *(
            (f"{one['per_second']}", f"{one['edits']}", f"{one['p50_ms']:.0f}",
             f"{one['p95_ms']:.0f}", f"{one['p99_ms']:.0f}", f"{one['calls_per_edit']:.2f}")
            for one in told["rates"]
        ),
    ]  # fmt: skip
    title = f"From an edit to the other side, by hints, {told['latency_ms']:.0f} ms a call"
    return title, columns, rows


def _latency_goal(told: Mapping[str, Any], rate: Mapping[str, Any]) -> Goal:
    most = allowed_ms(told)
    name = f"{rate['per_second']} edits/s: 95 % within the two calls x 1.2 + 50 ms ({most:.0f} ms)"
    return name, f"{rate['p95_ms']:.0f} ms", rate["p95_ms"] <= most


def _workers(told: Mapping[str, Any]) -> list[Table]:
    title = f"{told['orders']} orders of {told['lines']} lines, {told['latency_ms']:.0f} ms a call"
    return [
        (f"{title}; {how}", *_by_workers(runs))
        for how, runs in (
            (f"{_as_words(told)} in each worker", told.get("each_runs")),
            ("eight orders at a time in each worker, as by default", told["runs"]),
        )
        if runs
    ]


def _as_words(told: Mapping[str, Any]) -> str:
    return "one order at a time" if told["each"] == 1 else f"{told['each']} orders at a time"


def _by_workers(runs: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], Rows]:
    columns = (
        "workers on PostgreSQL", "seconds", "times as fast as one",
        "seconds of a processor, all workers", "calls to both systems",
        "orders doubled", "conflicts", "edits meanwhile", "slowest of them, s",
    )  # fmt: skip
    first = runs[0]["seconds"]
    rows: Rows = [
        (
            f"{one['workers']}", f"{one['seconds']:.1f}", f"{first / one['seconds']:.2f}",
            f"{one.get('own_seconds', 0):.1f}",
            f"{one['calls']:,}", f"{one['doubled']}", f"{one['conflicts']}", f"{one['edits']}",
            f"{one['slowest_edit']:.1f}",
        )
        for one in runs
    ]  # fmt: skip
    return columns, rows


def _workers_goals(told: Mapping[str, Any]) -> list[Goal]:
    by = {one["workers"]: one["seconds"] for one in told.get("each_runs", told["runs"])}
    if not {1, 4} <= by.keys():
        return []
    times = by[1] / by[4]
    name = f"four workers, {told['latency_ms']:.0f} ms a call: 3 times as fast as one"
    how = f" ({_as_words(told)} in each)" if "each" in told else ""
    return [(f"{name}{how}", f"x {times:.2f}", times >= 3)]


def _pages(stores: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        "page, 20 people at once", "store", "median, ms", "95 %, ms", "95 % with one process, ms",
        "own work, ms", "questions to the database", "kB",
    )  # fmt: skip
    rows: Rows = [
        (
            kind, one["store"], f"{page['median_ms']:.0f}", f"{page['p95_ms']:.0f}",
            f"{one['runs'][0]['pages'][kind]['p95_ms']:.0f}", f"{page['cpu_ms']:.1f}",
            str(page["questions"]), f"{page['bytes'] / 1000:.0f}",
        )
        for one in stores
        for kind, page in one["pages"].items()
    ]  # fmt: skip
    return "Pages", columns, rows


def _filled(stores: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        "store", "partners", "orders", "lines", "MB", "figures of all customers, s",
        "figures of the house, s", "first load of a customer's page, kB",
    )  # fmt: skip
    rows: Rows = [
        (
            one["store"], f"{one['partners']:,}", f"{one['orders']:,}", f"{one['lines']:,}",
            f"{one['megabytes']:,}", f"{one['customers_s']:.0f}", f"{one['house_s']:.1f}",
            f"{one['first_bytes'] / 1000:.0f}",
        )
        for one in stores
    ]  # fmt: skip
    return "What the pages were measured on", columns, rows


def _pages_goals(one: Mapping[str, Any]) -> list[Goal]:
    place = f"{one['store']}, {one['partners']:,} partners"
    found: list[Goal] = [
        (f"{place}, {kind}: 95 % under {most} ms", f"{one['pages'][kind]['p95_ms']:.0f} ms",
         one["pages"][kind]["p95_ms"] < most)
        for kind, most in PAGES_MS.items()
    ]  # fmt: skip
    kb = one["first_bytes"] / 1000
    return [*found, (f"... first load under {PAGE_KB} kB", f"{kb:.0f} kB", kb < PAGE_KB)]
