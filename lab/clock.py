"""A clock that differs: a server of the lab lives so many seconds ahead of all others, or behind.

It runs inside the real systems' environments, before anything else of theirs is imported. What
counts elapsed time (`time.monotonic`) goes on as it does.
"""

from __future__ import annotations

import os
import time

CLOCK = "LAB_CLOCK"
"""Environment variable with the seconds; missing for a server whose clock is right."""


def set_clock() -> None:
    """Put this process's clock ahead, for good, where the environment says so."""
    ahead = float(os.environ.get(CLOCK) or 0)
    if ahead:
        import time_machine

        time_machine.travel(time.time() + ahead, tick=True).start()
