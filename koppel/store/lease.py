"""The lease: at most one process writes at a time, and a dead one gives way at once.

A holder that was taken for dead (it was stopped, or cut off, for longer than its lease) may come
back and believe that it still holds it. So a lease is checked again, and locked, in each
transaction that tells what came of work (`hold`): whoever lost it meanwhile settles nothing.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from datetime import timedelta
from functools import cache
from pathlib import Path

from django.db import connection, transaction

from koppel.errors import TryLater
from koppel.store import bulk
from koppel.store.opening import Clock
from koppel.store.work_models import Lease

SECONDS = 60

# One statement, so that of two who try at the same instant one sees what the other did.
_TAKE = """
    INSERT INTO store_lease (name, holder, until) VALUES (%s, %s, %s)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE store_lease.holder IN (%s, %s) OR store_lease.until <= %s
"""


def me() -> str:
    """This thread as a holder: host, process and thread. Two threads of one process are two."""
    return f"{_host()}:{os.getpid()}/{threading.get_ident()}"


class LeaseStore:
    """Takes, renews and gives back leases by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def take(self, name: str, holder: str | None = None, seconds: float = SECONDS) -> bool:
        """Take or renew; False where somebody else, who is alive, holds it."""
        holder = holder or me()
        now = self._clock()
        until = now + timedelta(seconds=seconds)
        with transaction.atomic():
            held = _holder(name)
            gone = held if held and held != holder and _dead(held) else holder
            taken = bulk.tell(
                _TAKE, name, holder, bulk.moment(until), holder, gone, bulk.moment(now)
            )
            return taken > 0

    def hold(self, name: str, holder: str | None = None) -> None:
        """Make sure, to the end of this transaction, that the lease is still ours.

        Raises `TryLater` where it is not: whoever has it now does the work.
        """
        holder = holder or me()
        held = _holder(name, " FOR UPDATE" if connection.vendor == "postgresql" else "")
        if held != holder:
            raise TryLater(
                f"another Koppel has taken the work over ({held or 'nobody'} has it now), because"
                " this one was silent for too long",
                after=5,
            )

    def holder(self, name: str) -> str:
        """Who holds it; empty where nobody does."""
        row = Lease.objects.filter(name=name).first()
        return row.holder if row and row.until > self._clock() else ""

    def alive(self, prefix: str = "") -> list[str]:
        """The names of leases that somebody living holds."""
        rows = Lease.objects.filter(name__startswith=prefix, until__gt=self._clock())
        return [row.name for row in rows.order_by("name") if not _dead(row.holder)]

    def give_back(self, name: str, holder: str | None = None) -> None:
        """Give it back if it is ours."""
        bulk.tell("DELETE FROM store_lease WHERE name = %s AND holder = %s", name, holder or me())


def _holder(name: str, lock: str = "") -> str:
    """Who holds it, or held it last; empty where nobody does."""
    rows = bulk.ask(f"SELECT holder FROM store_lease WHERE name = %s{lock}", name)
    return str(rows[0][0]) if rows else ""


@cache
def _host() -> str:
    """This host in this run of it: two containers may bear one name, and see not each other's ids.

    What tells them apart is the boot and the name space of process ids, where the system tells.
    """
    marks = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            link = Path(path)
            marks.append(os.readlink(link) if link.is_symlink() else link.read_text().strip())
        except OSError:
            continue
    digest = hashlib.sha256(" ".join(marks).encode()).hexdigest()[:8]
    return f"{socket.gethostname()}-{digest}"


def _dead(holder: str) -> bool:
    """A process of this host that is no more; of other hosts nothing is known."""
    host, _, rest = holder.rpartition(":")
    pid = rest.partition("/")[0]
    if host != _host() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        # Killed, but nobody has taken notice of its end yet.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] == "Z"
    except OSError:
        return False
