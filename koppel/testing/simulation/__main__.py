"""`python -m koppel.testing.simulation`: play many lives on all cores, and keep those that fail.

Ends with 1 where a life failed. Each failing life is made short and written into `--kept`; it stays
there as a scenario until somebody has found out why, and then for ever, as a test.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from koppel.testing.simulation.many import play


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    given = _parser().parse_args(arguments)
    if given.show is not None:
        return _show(given.show)
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    played, failed = 0, 0
    for told in play(given.start, given.seeds, given.jobs, not given.as_they_are):
        played += told.seeds
        counts.update(told.counts)
        for seed, wrong, life in told.failures:
            failed += 1
            print(f"\nseed {seed} ({len(life.events)} events): {wrong[0]}", flush=True)
            if given.kept is not None:
                from koppel.testing.simulation.playing import save

                save(replace(life, about=wrong[0]), given.kept / f"seed-{seed}.json")
        rate = played / (time.monotonic() - begun)
        print(f"\r{played} lives, {failed} failed, {rate:.1f}/s ", end="", flush=True)
    seconds = time.monotonic() - begun
    print(f"\n{played} lives in {seconds:.0f} s ({played / seconds:.1f}/s), {failed} failed.")
    if given.docs is not None and not failed:
        from koppel.testing.simulation.page import write

        write(given.docs, given.start, played, seconds, given.jobs, counts)
    return 1 if failed else 0


def _show(what: str) -> int:
    """Print the trace of a seed, or of a kept life."""
    from koppel.store.opening import setup_django

    setup_django()
    from koppel.testing.simulation.playing import Stage, draw, load

    life = draw(int(what)) if what.isdigit() else load(Path(what))
    with Stage() as stage:
        result = stage.play(life)
    print("\n".join([str(life.setting), *result.trace, *result.wrong]))
    return 0 if result.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m koppel.testing.simulation", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=5000, help="how many lives")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--kept", type=Path, help="folder for lives that fail")
    parser.add_argument("--as-they-are", action="store_true", help="do not make them short")
    parser.add_argument("--docs", type=Path, help="write the page about reliability")
    parser.add_argument("--show", help="print one life: a seed, or a file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
