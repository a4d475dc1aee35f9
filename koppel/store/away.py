"""When the database is away: its broken connection is let go, and the next call makes a new one."""

from __future__ import annotations

from django.db import Error, connections

from koppel.errors import TryLater

LATER = 5
"""Seconds until whoever asked may try again."""


def away(error: Error) -> TryLater:
    """Let this thread's connections go, and say so: `raise away(error) from error`, or tell it."""
    connections.close_all()
    return TryLater(f"the store is away: {error}", after=LATER)
