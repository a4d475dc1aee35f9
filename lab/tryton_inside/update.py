"""Brings an instance's tables up to date with Koppel's add-on, keeping what is in them.

Run inside Tryton's environment: `python -m lab.tryton_inside.update DATABASE`.
"""

from __future__ import annotations

import sys

from trytond.pool import Pool

from lab.tryton_inside.telling import tell


def main(database: str) -> None:
    """Update the module `koppel` as `trytond-admin -u koppel` does."""
    tell(0.1, "tryton: bringing the add-on up to date")
    Pool.start()
    Pool(database).init(update=["koppel"])
    tell(1.0, "tryton: up to date")


if __name__ == "__main__":
    main(*sys.argv[1:])
