"""A rehearsal: the same configuration in a home of its own, over copies of both systems.

Rules, mappings, settings and schedules are taken over as they are; only where the systems are is
another thing. So what is decided and seen in the rehearsal holds for the real go-live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from koppel.connectors import registry
from koppel.engine.lines import HINT_SECRET
from koppel.errors import NeedsUser
from koppel.store import Store

DOCUMENTS = ("rule", "mapping", "overlay", "process", "schedule")
"""The kinds of documents that are the configuration."""


class Configuration(Struct, frozen=True, kw_only=True):
    """All that a Koppel is set to. `connections`: name -> (side, type, settings with secrets)."""

    connections: Mapping[str, tuple[str, str, Mapping[str, str]]]
    documents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Configuration({', '.join(self.connections)})"


def read_configuration(store: Store) -> Configuration:
    """The live configuration of a store, secrets included: it is never printed."""
    return Configuration(
        connections={
            row.name: (row.side, row.type, store.connections.settings(row.name))
            for row in store.connections.all()
        },
        documents={
            kind: {
                name: store.documents.get(kind, name) or "" for name in store.documents.names(kind)
            }
            for kind in DOCUMENTS
        },
    )


def overridden(found: Configuration, given: Sequence[str]) -> Configuration:
    """The configuration with settings of its connections replaced: `NAME.SETTING=VALUE`.

    Raises `NeedsUser` for an unknown name or setting, and where a connection would still be the
    real system: at least one setting that is no secret must differ in each.
    """
    changes: dict[str, dict[str, str]] = {name: {} for name in found.connections}
    for text in given:
        place, equals, value = text.partition("=")
        name, dot, setting = place.rpartition(".")
        if not equals or not dot or name not in changes:
            raise NeedsUser(
                f"'{place}' names no setting of a connection",
                remedy=f"Write NAME.SETTING=VALUE with one of {', '.join(changes)}",
            )
        changes[name][setting] = value
    connections: dict[str, tuple[str, str, Mapping[str, str]]] = {}
    for name, (side, type_name, settings) in found.connections.items():
        options = registry.options(type_name)
        known = {option.name for option in options} | {HINT_SECRET}
        unknown = sorted(set(changes[name]) - known)
        if unknown:
            raise NeedsUser(
                f"unknown setting {', '.join(unknown)}",
                place=name,
                remedy=f"Possible are: {', '.join(sorted(known))}",
            )
        secret = {option.name for option in options if option.secret} | {HINT_SECRET}
        if all(settings.get(n) == v for n, v in changes[name].items() if n not in secret):
            raise NeedsUser(
                "the rehearsal would work on the real system",
                place=name,
                remedy=f"Say where the copy is, for example with --set {name}.url=https://...",
            )
        connections[name] = (side, type_name, {**settings, **changes[name]})
    return Configuration(connections=connections, documents=found.documents)


def write_configuration(store: Store, found: Configuration, *, user: str) -> dict[str, Any]:
    """Make it the live configuration of this store; which documents it has now."""
    for name, (side, type_name, settings) in found.connections.items():
        options = registry.options(type_name)
        secret = {option.name for option in options if option.secret} | {HINT_SECRET}
        store.connections.put(
            name,
            side=side,
            type=type_name,
            config={n: v for n, v in settings.items() if n not in secret},
            secrets={n: v for n, v in settings.items() if n in secret},
        )
    for kind, texts in found.documents.items():
        for name, text in texts.items():
            store.documents.put(kind, name, text, author=user)
    store.inbox.log(user, "rehearse", " ".join(found.connections))
    return {kind: list(texts) for kind, texts in found.documents.items()}
