"""Python itself, set for records that go through by the hundred thousand.

A page of records is some ten thousand lists and dicts that live for a moment and are in no cycle.
With Python's own settings the collector looks for cycles every 700 of them, through everything that
was ever loaded: a fifth of a run's processor time. What refers to itself (tracebacks, queries) is
collected all the same, only seldom.

While one thread works on a page, another one waits for the systems. With Python's own settings it
waits five milliseconds more for its turn, several times in each call.
"""

from __future__ import annotations

import gc
import sys

_YOUNG = 100_000
"""Lists, dicts and the like that may be made until the young ones are looked through."""
_TURN = 0.001
"""Seconds after which a thread that works lets one that waits go on."""

_tuned = False


def tune_interpreter() -> None:
    """Look at what is loaded by now never again, and at what comes less often; once per process."""
    global _tuned
    if not _tuned:
        _tuned = True
        gc.freeze()
        gc.set_threshold(_YOUNG, 20, 20)
        sys.setswitchinterval(_TURN)
