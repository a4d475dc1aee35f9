"""Tryton asked by its own users, beside Koppel."""

from __future__ import annotations

from koppel.connectors.tryton.rpc import TrytonSession
from lab.system import Running


def session(running: Running, name: str, password: str) -> TrytonSession:
    """Somebody's session in a Tryton of the lab."""
    return TrytonSession(running.url, running.koppel["database"], name, password, name="tryton")
