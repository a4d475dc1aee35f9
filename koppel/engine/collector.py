"""Python's collector of reference cycles, set for records that go through by the hundred thousand.

A page of records is some ten thousand lists and dicts that live for a moment and are in no cycle.
With Python's own settings the collector looks for cycles every 700 of them, through everything that
was ever loaded: a fifth of a run's processor time. What refers to itself (tracebacks, queries) is
collected all the same, only seldom.
"""

from __future__ import annotations

import gc

_YOUNG = 20_000
"""Lists, dicts and the like that may be made until the young ones are looked through."""

_relieved = False


def relieve_collector() -> None:
    """Look at what is loaded by now never again, and at what comes less often; once per process."""
    global _relieved
    if not _relieved:
        _relieved = True
        gc.freeze()
        gc.set_threshold(_YOUNG, 20, 20)
