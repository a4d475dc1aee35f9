"""A server of the lab that ends together with the process that started it.

Standard library only: it runs inside the real systems' environments too.
"""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "KOPPEL_LAB_PARENT"
"""Environment variable with the process id of the starter; missing for a server that stays."""

LOOK_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process as soon as it is no child of its starter any more."""
    parent = os.environ.get(PARENT)
    if parent:
        threading.Thread(target=_look, args=(int(parent),), daemon=True).start()


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
