"""Edits made behind Koppel's back, as the system's own user would make them in its own pages.

`Human` is what tests ask of such a user; `MemoryHuman` is one for the memory systems. For a real
system, a `Human` uses the system's own interface with a user other than Koppel's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from koppel.connectors.memory_system import MemorySystem, Table


class NotPossible(Exception):
    """The system lets no user do this; the reason is a sentence for the test report."""


class Human(Protocol):
    """A user of the system. Fields are native, as the connector's; ids are the connector's too.

    Whatever the system does not offer raises `NotPossible`.
    """

    def create(self, resource: str, fields: Mapping[str, Any]) -> str:
        """Make a record; its id."""

    def edit(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        """Change these fields and no others."""

    def edit_child(self, resource: str, id: str) -> None:
        """Change something in a child record (an address, a phone) on its own, not its parent."""

    def trash(self, resource: str, id: str) -> None:
        """Put it where it can be taken back from: into the trash, or inactive."""

    def restore(self, resource: str, id: str) -> None:
        """Take it back."""

    def delete(self, resource: str, id: str) -> None:
        """Delete it for good."""

    def merge(self, resource: str, id: str, into: str) -> None:
        """Make `id` a part of `into`, with the system's own function for duplicates."""

    def read(self, resource: str, id: str) -> Mapping[str, Any] | None:
        """What the user sees of it; None where it is gone."""


class MemoryHuman:
    """A user of a `MemorySystem`."""

    def __init__(self, system: MemorySystem, name: str = "human") -> None:
        self.system = system
        self.name = name
        self._edits = 0

    def create(self, resource: str, fields: Mapping[str, Any]) -> str:
        return self.system.create(resource, fields, self.name).id

    def edit(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        self.system.update(resource, id, fields, self.name)

    def edit_child(self, resource: str, id: str) -> None:
        table = self.system.table(resource)
        fields = table.copy(self.system.row(resource, id).fields)
        place = _child_text(table, fields)
        if place is None:
            raise NotPossible(f"this {resource} has no child records")
        list_name, name = place
        self._edits += 1
        fields[list_name][0][name] = f"edit {self._edits}"
        self.system.update(resource, id, {list_name: fields[list_name]}, self.name)

    def trash(self, resource: str, id: str) -> None:
        if self.system.behaviour.deletes == "never":
            raise NotPossible("this system never deletes")
        if not self.system.behaviour.trash:
            raise NotPossible("this system has no trash")
        self.system.delete(resource, id, self.name)

    def restore(self, resource: str, id: str) -> None:
        self.system.restore(resource, id, self.name)

    def delete(self, resource: str, id: str) -> None:
        if self.system.behaviour.deletes == "never":
            raise NotPossible("this system never deletes")
        self.system.delete(resource, id, self.name)

    def merge(self, resource: str, id: str, into: str) -> None:
        self.system.merge(resource, id, into, self.name)

    def read(self, resource: str, id: str) -> Mapping[str, Any] | None:
        table = self.system.table(resource)
        row = table.rows.get(id)
        return None if row is None or row.gone else table.copy(row.fields)


def _child_text(table: Table, fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """A list with a child in it, and a text field of the child."""
    for info in table.resource.fields:
        if info.type == "list" and fields[info.name]:
            for inner in info.fields:
                if inner.type == "text":
                    return info.name, inner.name
    return None
