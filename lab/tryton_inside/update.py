"""Brings an instance's tables up to date with Koppel's add-on, keeping what is in them.

Run inside Tryton's environment: `python -m lab.tryton_inside.update DATABASE`.
"""

from __future__ import annotations

import sys

from sql import Literal, Table
from trytond.pool import Pool
from trytond.transaction import Transaction

from lab.tryton_inside.telling import tell


def languages(database: str) -> list[str]:
    """The languages whose words Tryton loads; asked before its models are there."""
    table = Table("ir_lang")
    with Transaction().start(database, 0, readonly=True) as transaction:
        cursor = transaction.connection.cursor()
        cursor.execute(*table.select(table.code, where=table.translatable == Literal(True)))
        return sorted(code for (code,) in cursor)


def main(database: str) -> None:
    """Update the module `koppel` as `trytond-admin -u koppel` does."""
    tell(0.1, "tryton: bringing the add-on up to date")
    Pool.start()
    Pool(database).init(update=["koppel"], lang=languages(database))
    tell(1.0, "tryton: up to date")


if __name__ == "__main__":
    main(*sys.argv[1:])
