"""`python -m bench [memory|real|matching|all] [--size N ...] [--quick] [--docs]`."""

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

from bench import report

RESULTS = Path(__file__).parent / "results"
SIZES = (1_000, 10_000, 100_000)
REAL_SIZE = 1_000
WHAT = ("memory", "real", "matching", "all")
MATCHING_SIZES, QUICK_MATCHING_SIZES = (20_000, 100_000), (5_000,)
QUICK_SIZES, QUICK_REAL_SIZE = (1_000,), 100


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    if arguments[:1] == ["pages"]:
        from bench import pages

        return pages.main(arguments[1:])
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
    if wanted.what in ("matching", "all"):
        sizes = wanted.size or (QUICK_MATCHING_SIZES if wanted.quick else MATCHING_SIZES)
        figures["matching"] = [_matching(size, tell) for size in sizes]
    figures["seconds"] = round(time.perf_counter() - begun, 1)
    _write(figures)
    for sheet in report.sheets(figures):
        sheet.print(console)
    console.print(f"Measured on {report.machine_line(figures['machine'])}")
    if wanted.docs:
        report.write_docs(figures)
    return 0


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures, never tests.")
    parser.add_argument("what", nargs="?", default="all", choices=WHAT)
    parser.add_argument("--size", type=int, nargs="+", help="partners on each side, memory pair")
    parser.add_argument("--real-size", type=int, default=REAL_SIZE, help="partners, real pair")
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    parser.add_argument("--docs", action="store_true", help="renew the tables in the documentation")
    return parser.parse_args(arguments)


def _memory(size: int, tell: Any) -> dict[str, Any]:
    tell(f"memory pair, {size:,} partners on each side")
    return _alone("bench.memory", size)


def _matching(size: int, tell: Any) -> dict[str, Any]:
    tell(f"matching, {size:,} partners on each side")
    return _alone("bench.matching", size)


def _alone(module: str, size: int) -> dict[str, Any]:
    """What a module prints, run in a process of its own: its peak is then that of this size."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(size)],
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
