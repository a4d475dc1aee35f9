"""Is the record under this number still the one that was coupled?

A system that is put back from a backup gives its numbers out again: party 9 was Abendroth Pumpen
yesterday, and is Gutzkow Waagen today. Taken for an edit, that would rename Abendroth in the other
system. Pure.
"""

from __future__ import annotations

from typing import Any

from koppel.sync.features import features
from koppel.sync.merge import same
from koppel.sync.state import Canonical

_LEAST = 2
"""Kinds of marks beside the name that must have been known: less would tell too little."""


def another(entity: str, base: Canonical, now: Canonical) -> bool:
    """Does nothing remain of what the record was known by, neither its name nor any other mark?

    False where little was known of it: a record with a name and one phone number may change both.
    """
    names = [name for name in ("name", "family_name", "last_name") if name in base]
    if not names or all(same(base[name], now.get(name)) for name in names):
        return False
    was, found = features(entity, base), features(entity, now)
    if not was.words or not found.words or set(was.words) & set(found.words):
        return False
    marks: list[tuple[set[Any], set[Any]]] = [
        ({was.vat} - {""}, {found.vat}),
        (set(was.codes), set(found.codes)),
        (set(was.mails), set(found.mails)),
        (set(was.domains), set(found.domains)),
        (set(was.phones), set(found.phones)),
        (set(was.places), set(found.places)),
    ]
    known = [(old, new) for old, new in marks if old]
    return len(known) >= _LEAST and not any(old & new for old, new in known)
