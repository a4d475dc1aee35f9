"""Names of connections: which are allowed, and giving a connection another one everywhere.

A name stands in addresses (`/hints/NAME`), in rules and in the names of mappings; so it holds
nothing that would have to be escaped there, and a new one is followed in all of these at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tomlkit
from django.db import transaction

from koppel.errors import NeedsUser
from koppel.store import Store
from koppel.sync.rule import SIDES, Side, other

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_OF_CONNECTION = ("mapping", "overlay")


def proposed(side: Side, types: Mapping[Side, str]) -> str:
    """The name for a connection that nobody named: its type, and its side where both are alike."""
    return types[side] if types[side] != types[other(side)] else f"{types[side]}-{side}"


def checked(name: str) -> str:
    """The name, where it can be one; `NeedsUser` says what a name may be."""
    if not _NAME.fullmatch(name):
        raise NeedsUser(
            f"'{name}' cannot name a connection",
            remedy="Use small letters, digits, dots, dashes and underscores, at most 60",
        )
    return name


def of_side(store: Store, side: Side) -> str | None:
    """The connection that a side has at present, None where it has none yet."""
    for row in store.connections.all():
        if row.side == side:
            return row.name
    return None


def rename(store: Store, old: str, new: str, *, user: str = "") -> None:
    """Give a connection another name, in its row and in all documents that speak of it.

    Documents get a new version; nothing is coupled anew. Raises `NeedsUser` for an unknown `old`
    and for a `new` that is taken or cannot be a name.
    """
    row = store.connections.get(checked(old) and old)
    if new == old:
        return
    if any(one.name == checked(new) for one in store.connections.all()):
        raise NeedsUser(f"there is a connection called '{new}' already", remedy="Choose another")
    side: Side = "crm" if row.side == "crm" else "erp"
    documents = store.documents
    with transaction.atomic():
        store.connections.rename(old, new)
        for entity in documents.names("rule"):
            text = documents.get("rule", entity) or ""
            documents.put("rule", entity, _renamed(text, side, old, new), author=user)
        for name in documents.names("process"):
            text = documents.get("process", name) or ""
            documents.put("process", name, _renamed(text, side, old, new), author=user)
        for name in documents.names("schedule"):
            text = documents.get("schedule", name) or ""
            documents.put("schedule", name, _keyed(text, old, new), author=user)
        for kind in _OF_CONNECTION:
            for name in documents.names(kind):
                connection, slash, rest = name.partition("/")
                text = documents.get(kind, name) or ""
                if connection == old and slash:
                    documents.put(kind, f"{new}/{rest}", text, author=user)
        store.inbox.log(user, "rename connection", old, to=new)


def _renamed(text: str, side: Side, old: str, new: str) -> str:
    document: Any = tomlkit.parse(text)
    for table in (document.get("connections"), document):
        if table is not None and table.get(side) == old:
            table[side] = new
    return tomlkit.dumps(document)


def _keyed(text: str, old: str, new: str) -> str:
    """Schedules speak of connections as the keys of tables."""
    document: Any = tomlkit.parse(text)
    for table in (document.get("poll"), document.get("quiet")):
        if table is not None and old in table:
            table[new] = table.pop(old)
    return tomlkit.dumps(document)


def named(text: str, names: Mapping[Side, str]) -> str:
    """A document that Koppel brings along, with the connections' names instead of the sides'."""
    for side in SIDES:
        text = _renamed(text, side, side, names[side])
    return text
