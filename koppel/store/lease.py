"""The lease: at most one process writes at a time, and a dead one gives way at once."""

from __future__ import annotations

import os
import socket
import threading
from datetime import timedelta

from django.db import transaction

from koppel.store.models import Lease
from koppel.store.opening import Clock

SECONDS = 60


def me() -> str:
    """This thread as a holder: host, process and thread. Two threads of one process are two."""
    return f"{socket.gethostname()}:{os.getpid()}/{threading.get_ident()}"


class LeaseStore:
    """Takes, renews and gives back leases by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def take(self, name: str, holder: str | None = None, seconds: float = SECONDS) -> bool:
        """Take or renew; False where somebody else, who is alive, holds it."""
        holder = holder or me()
        now = self._clock()
        with transaction.atomic():
            row = Lease.objects.filter(name=name).first()
            if row and row.holder != holder and row.until > now and not _dead(row.holder):
                return False
            Lease.objects.update_or_create(
                name=name,
                defaults={"holder": holder, "until": now + timedelta(seconds=seconds)},
            )
            return True

    def holder(self, name: str) -> str:
        """Who holds it; empty where nobody does."""
        row = Lease.objects.filter(name=name).first()
        return row.holder if row and row.until > self._clock() else ""

    def give_back(self, name: str, holder: str | None = None) -> None:
        """Give it back if it is ours."""
        Lease.objects.filter(name=name, holder=holder or me()).delete()


def _dead(holder: str) -> bool:
    """A process of this host that is no more; of other hosts nothing is known."""
    host, _, rest = holder.rpartition(":")
    pid = rest.partition("/")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
