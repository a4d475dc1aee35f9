"""`python -m bench [GROUP] [--size N ...] [--quick] [--docs]`: measure all, or one group of it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import matching_contacts, matching_febrl, report

RESULTS = Path(__file__).parent / "results"
SIZES = (1_000, 10_000, 100_000)
REAL_SIZE = 1_000
WHAT = (
    "memory", "real", "orders", "million", "first_load", "latency", "workers", "pages", "matching",
    "all",
)  # fmt: skip
MATCHING_SIZES, QUICK_MATCHING_SIZES = (20_000, 100_000), (5_000,)
GROWTH_SIZES, QUICK_GROWTH_SIZES = (10_000, 30_000, 100_000), (1_000, 5_000)
WHOLE_GROWTH_SIZES = (10_000, 100_000, 1_000_000)
"""Of `matching` alone: a million on each side takes ten minutes and more."""
QUICK_SIZES, QUICK_REAL_SIZE = (1_000,), 100
ORDERS, QUICK_ORDERS = (20, 20, 10_000), (2, 2, 1_000)
"""Orders handed over, deliveries awaited, orders watched."""
MILLION_SIZES, QUICK_MILLION_SIZES = (10_000, 100_000, 1_000_000), (10_000,)
FIRST_LOAD, QUICK_FIRST_LOAD = 20_000, 500
EDITS, QUICK_EDITS = 200, 20
WORKERS, QUICK_WORKERS = (1, 2, 4), (1, 2)
WORKED, QUICK_WORKED = 48, 8
"""Orders that the workers hand over."""
PAGES, QUICK_PAGES = 200_000, 2_000
"""Partners; five orders of three lines for each."""
AUDITED_UP_TO = 1_000_000
"""The first audit of a coupling compares its bases: some minutes for a million of them."""


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    wanted = _arguments(arguments)
    console = Console()
    figures: dict[str, Any] = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
    }
    begun = time.perf_counter()

    def tell(sentence: str) -> None:
        console.print(f"[dim]{time.perf_counter() - begun:6.0f} s[/dim]  {sentence}")

    if wanted.what in ("memory", "all"):
        sizes = wanted.size or (QUICK_SIZES if wanted.quick else SIZES)
        figures["memory"] = [_memory(size, tell) for size in sizes]
    if wanted.what in ("real", "all"):
        figures["real"] = _real(QUICK_REAL_SIZE if wanted.quick else wanted.real_size, tell)
    if wanted.what in ("orders", "all"):
        counts = QUICK_ORDERS if wanted.quick else ORDERS
        tell(f"{counts[0]} orders to Tryton, {counts[1]} deliveries, {counts[2]:,} orders watched")
        figures["orders"] = _alone("bench.orders", *counts)
    if wanted.what == "million" or (wanted.what == "all" and wanted.quick):
        sizes = wanted.size or (QUICK_MILLION_SIZES if wanted.quick else MILLION_SIZES)
        figures["million"] = [_million(size, wanted.audit, tell) for size in sizes]
    if wanted.what in ("first_load", "all"):
        size = wanted.size[0] if wanted.size else QUICK_FIRST_LOAD if wanted.quick else FIRST_LOAD
        tell(f"first load of {size:,} partners over HTTP")
        figures["first_load"] = _alone("bench.first_load", size)
    if wanted.what in ("latency", "all"):
        tell("from an edit to the other side")
        figures["latency"] = _alone("bench.latency", QUICK_EDITS if wanted.quick else EDITS)
    if wanted.what in ("workers", "all"):
        tell("several workers on PostgreSQL")
        many = QUICK_WORKED if wanted.quick else WORKED
        figures["workers"] = _alone(
            "bench.workers", many, *(QUICK_WORKERS if wanted.quick else WORKERS)
        )
    if wanted.what == "pages" or (wanted.what == "all" and wanted.quick):
        size = wanted.size[0] if wanted.size else QUICK_PAGES if wanted.quick else PAGES
        figures["pages"] = [_pages(size, store, tell) for store in ("sqlite", "postgresql")]
    if wanted.what in ("matching", "all"):
        sizes = wanted.size or (QUICK_MATCHING_SIZES if wanted.quick else MATCHING_SIZES)
        figures["matching"] = [_matching(size, tell) for size in sizes]
        growth = GROWTH_SIZES if wanted.what == "all" else WHOLE_GROWTH_SIZES
        growth = QUICK_GROWTH_SIZES if wanted.quick else growth
        figures["matching_growth"] = [_growth(size, tell) for size in wanted.size or growth]
        tell("matching people")
        figures["matching_people"] = [*matching_febrl.measure(), matching_contacts.measure()]
    figures["seconds"] = round(time.perf_counter() - begun, 1)
    _write(figures)
    for sheet in report.sheets(figures):
        sheet.print(console)
    console.print(f"Measured on {report.machine_line(figures['machine'])}")
    if wanted.docs:
        report.write_docs(_with_earlier(figures))
    return 0


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures, never tests.")
    parser.add_argument("what", nargs="?", default="all", choices=WHAT)
    parser.add_argument("--size", type=int, nargs="+", help="partners on each side")
    parser.add_argument("--real-size", type=int, default=REAL_SIZE, help="partners, real pair")
    parser.add_argument("--audit", action="store_true", help="audit at every size (million)")
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    parser.add_argument("--docs", action="store_true", help="renew the tables in the documentation")
    return parser.parse_args(arguments)


def _memory(size: int, tell: Any) -> dict[str, Any]:
    tell(f"memory pair, {size:,} partners on each side")
    return _alone("bench.memory", size)


def _matching(size: int, tell: Any) -> dict[str, Any]:
    tell(f"matching, {size:,} partners on each side")
    return _alone("bench.matching", size)


def _million(size: int, audit: bool, tell: Any) -> dict[str, Any]:
    tell(f"{size:,} couplings loaded")
    audited = ("audit",) if audit or size <= AUDITED_UP_TO else ()
    return _alone("bench.million", size, *audited)


def _pages(size: int, store: str, tell: Any) -> dict[str, Any]:
    tell(f"pages with {size:,} partners on {store}")
    return _alone("bench.pages", size, store)


def _growth(size: int, tell: Any) -> dict[str, Any]:
    tell(f"matching through the store, {size:,} partners on each side")
    return _alone("bench.matching_growth", size)


def _alone(module: str, *arguments: int | str) -> dict[str, Any]:
    """What a module prints, run in a process of its own: its peak is then that of this size."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _real(size: int, tell: Any) -> dict[str, Any]:
    from koppel.store.opening import setup_django

    setup_django()
    from bench.real import measure

    return measure(size, tell)


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_before": os.getloadavg()[0],
    }


def _write(figures: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(figures, indent=1)
    (RESULTS / "latest.json").write_text(text + "\n", encoding="utf-8")


def _with_earlier(figures: dict[str, Any]) -> dict[str, Any]:
    """With the parts of earlier measurements that this one left out; each says its own day."""
    kept = RESULTS / "reference.json"
    parts: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    for part in report.PARTS:
        if part in figures:
            parts[part] = {
                "made_at": figures["made_at"],
                "machine": figures["machine"],
                "figures": figures[part],
            }
    kept.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
    return parts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
