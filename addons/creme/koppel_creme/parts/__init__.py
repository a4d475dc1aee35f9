"""The parts a record is made of. Each part reads its fields in bulk, and writes them for one.

A part promises: `describe` tells its fields as the wire tells them; `read` takes a few queries for
any number of records; `assign` sets what lives on the entity itself before it is saved; `follow`
writes what needs a saved entity, and may ask for it to be saved again. Refusals name the field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..session import Session


class Part:
    """A group of fields of a record."""

    def describe(self, session: Session) -> list[dict[str, Any]]:
        """The part's fields: name, type, label, required, writable, and what limits them."""
        raise NotImplementedError

    def writable(self, session: Session) -> dict[str, bool]:
        """The part's fields and whether Koppel may write them; cheaper than `describe`."""
        raise NotImplementedError

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        """For each id that is there, the part's fields as wire values."""
        raise NotImplementedError

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        """The records that may equal `match` in this part's fields; a superset will do."""
        return queryset

    def assign(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        """Set and validate what lives on the entity; True where something changed."""
        return False

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        """Write what hangs on the saved entity; True where the entity must be saved again."""
        return False

    def hanging(self, ids: Collection[int]) -> Collection[int]:
        """Further entities to lock before one of these records is changed."""
        return ()

    def touched_by_merge(self, survivor: int) -> Collection[int]:
        """Records whose fields here change when others were merged into `survivor`."""
        return ()
