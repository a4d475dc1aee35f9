"""When a commit reaches the disk: at once, or with the next one that must.

Every commit survives a process that is killed. That it survives a power cut costs a wait for the
disk, which a run cannot afford for each of its pages, and does not need: after a cut the store is
what it was a moment before, as after a kill, as long as nothing was sent that it does not know of.
So a run commits asynchronously, all but the intents of what is about to be sent. Whatever is
written to the disk takes along what was committed before it, in order.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection

_here = threading.local()
"""What this thread's commits were before they became asynchronous; unset while they are not."""

_ASK = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}
_SET = {"sqlite": "PRAGMA synchronous = {}", "postgresql": "SET synchronous_commit TO {}"}
_LATER = {"sqlite": "NORMAL", "postgresql": "off"}
_WEAKER = (0, 1, "off")
"""Settings that wait for nothing already; tests use them."""


@contextmanager
def asynchronous_commits() -> Iterator[None]:
    """This thread's commits do not wait for the disk, but for those in `synchronous_commit`.

    Must be entered and left outside of a transaction. The first commit afterwards brings all of
    them to the disk. Within another such block it changes nothing.
    """
    if getattr(_here, "before", None) is not None:
        yield
        return
    before = _asked()
    if before in _WEAKER:
        yield
        return
    _tell(_LATER[connection.vendor])
    _here.before = before
    try:
        yield
    finally:
        _here.before = None
        _restore(before)


@contextmanager
def synchronous_commit() -> Iterator[None]:
    """What is committed within is on the disk afterwards, and all that was committed before it."""
    before = getattr(_here, "before", None)
    if before is None:
        yield
        return
    _tell(str(before))
    yield
    # Where the block failed, commits stay synchronous: slower, and never less than was promised.
    _tell(_LATER[connection.vendor])


def _asked() -> int | str:
    with connection.cursor() as cursor:
        cursor.execute(_ASK[connection.vendor])
        found: int | str = cursor.fetchone()[0]
    return found


def _tell(value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SET[connection.vendor].format(value))


def _restore(before: int | str) -> None:
    try:
        _tell(str(before))
    except DatabaseError:
        # A connection that broke is opened anew, with what the settings say.
        connection.close()
