"""One transaction around a piece of work, as Tryton's own programs do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from trytond.transaction import Transaction, TransactionError

T = TypeVar("T")


def in_transaction(database: str, work: Callable[[], T], **context: Any) -> T:
    """Run `work` and commit; Tryton asks for a lock by raising, so roll back, lock, repeat."""
    extras: dict[str, Any] = {}
    while True:
        with Transaction().start(database, 0, context=context, **extras) as transaction:
            try:
                return work()
            except TransactionError as wish:
                transaction.rollback()
                wish.fix(extras)
