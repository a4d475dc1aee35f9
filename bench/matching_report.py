"""The tables and goals of matching, from its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.matching_growth import exponent

Rows = list[tuple[str, ...]]
Table = tuple[str, tuple[str, ...], Rows]
"""Title, columns, rows."""


def tables(figures: Mapping[str, Any]) -> list[Table]:
    """All tables that these figures fill."""
    found: list[Table] = []
    if figures.get("matching"):
        found.append(_world(figures["matching"]))
    if figures.get("matching_people"):
        found.append(_people(figures["matching_people"]))
    if figures.get("matching_growth"):
        found.append(_growth(figures["matching_growth"]))
    return found


def _world(sizes: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        "Partners", "seed", "precision", "recall", "asked about", "twice in one side", "time",
        "of a processor", "peak",
    )  # fmt: skip
    rows: Rows = [
        (
            f"{one['crm']:,} x {one['erp']:,}",
            str(one["seed"]),
            f"{one['precision']:.3%}",
            f"{one['recall']:.1%}",
            f"{one['review_share']:.1%}",
            f"{one['twice_found']} of {one['twice']}, {one['twice_wrong']} wrong"
            if "twice" in one
            else "-",
            f"{one['seconds']:,.0f} s",
            f"{one['cpu_seconds']:,.0f} s",
            f"{one['peak_mb']:,} MB",
        )
        for one in sizes
    ]
    return "Matching a generated world with known truth", columns, rows


_SETS = {
    "febrl4": "Febrl 4: 5,000 people on each side",
    "febrl1": "Febrl 1: within one side, one copy each",
    "febrl2": "Febrl 2: within one side, up to five copies",
    "febrl3": "Febrl 3: within one side, up to five copies, more errors",
    "contacts": "contacts within coupled partners, generated",
}


def _people(sets: Sequence[Mapping[str, Any]]) -> Table:
    rows: Rows = [
        (
            _SETS[one["set"]],
            f"{one['records']:,}",
            f"{one['pairs']:,}",
            str(one["wrong"]),
            f"{one['precision']:.3%}",
            f"{one['recall']:.1%}",
            f"{one['review_share']:.1%}" if "review_share" in one else "-",
        )
        for one in sets
    ]
    columns = ("People", "records", "true pairs", "wrong", "precision", "recall", "asked about")
    return "Matching people", columns, rows


def _growth(sizes: Sequence[Mapping[str, Any]]) -> Table:
    rows: Rows = [
        (
            f"{one['crm']:,} x {one['erp']:,}",
            f"{one['cpu_seconds']:,.0f} s",
            f"{1000 * one['cpu_seconds'] / (one['crm'] + one['erp']):.2f} ms",
            f"{one['peak_mb']:,} MB",
            f"{one['store_mb']:,} MB",
            f"{one['precision']:.3%}",
            f"{one['recall']:.1%}",
            f"{one['review_share']:.1%}",
        )
        for one in sizes
    ]
    columns = (
        "Partners, through the store", "of a processor", "per record", "peak", "store",
        "precision", "recall", "asked about",
    )  # fmt: skip
    grown = exponent(list(sizes), "cpu_seconds")
    title = "Matching as a run does it: growth"
    return (
        f"{title} (time grows as size to the power of {grown})" if grown else title,
        columns,
        rows,
    )


def goals(figures: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Each goal with what was measured, and whether it is met."""
    rows: list[tuple[str, str, bool]] = []
    for one in figures.get("matching") or []:
        who = f"matching {one['crm']:,} x {one['erp']:,}"
        rows.append((f"{who}: precision 99.8 % at a recall of 90 %", *_right(one)))
        share = one["review_share"]
        rows.append((f"{who}: asked about less than 5 %", f"{share:.1%}", share < 0.05))
        fits = one["seconds"] < 180 and one["peak_mb"] < 2048
        spent = f"{one['seconds']:,.0f} s, {one['peak_mb']:,} MB"
        rows.append((f"{who}: under 3 minutes and 2 GB", spent, fits))
    for one in figures.get("matching_people") or []:
        if one["set"] == "febrl4":
            rows.append(("Febrl 4: precision 99.8 % at a recall of 90 %", *_right(one)))
    return rows


def _right(one: Mapping[str, Any]) -> tuple[str, bool]:
    precise = one["precision"] >= 0.998 and one["recall"] >= 0.9
    return f"{one['precision']:.3%} at {one['recall']:.1%}", precise
