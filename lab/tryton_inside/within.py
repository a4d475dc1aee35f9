"""One transaction around a piece of work, as Tryton's own programs do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from trytond.pool import Pool
from trytond.transaction import Transaction, TransactionError

T = TypeVar("T")


def in_transaction(
    database: str, work: Callable[[], T], *, alone: bool = False, **context: Any
) -> T:
    """Run `work` and commit; Tryton asks for a lock by raising, so roll back, lock, repeat.

    `alone`: nobody else uses the database, so everything is locked from the start, and nothing has
    to be repeated.
    """
    extras: dict[str, Any] = {}
    if alone:
        models = (model for _, model in Pool(database).iterobject())
        extras["_lock_tables"] = [model._table for model in models if hasattr(model, "_table")]
    while True:
        with Transaction().start(database, 0, context=context, **extras) as transaction:
            try:
                return work()
            except TransactionError as wish:
                transaction.rollback()
                wish.fix(extras)
