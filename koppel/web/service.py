"""What the pages share with the running process: the store, the watch and the mappings."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from koppel.engine.lines import HINT_SECRET, Lines
from koppel.engine.watch import Watching
from koppel.errors import NeedsUser
from koppel.store import Store
from koppel.sync.rule import SIDES, Side
from koppel.web.looks import Looks

WINDOW = 300
"""Seconds by which a signed message may be off Koppel's clock."""


@dataclass
class Service:
    """One serving process."""

    store: Store
    lines: Lines
    watch: Watching
    clock: Callable[[], datetime]
    _seen: dict[str, float] = field(default_factory=dict)
    looks: Looks = field(init=False)

    def __post_init__(self) -> None:
        self.looks = Looks(self.store.audit_log, self.clock)

    def entity_of(self, connection: str, resource: str) -> tuple[str, Side] | None:
        """(entity, side) of a native resource, where a rule couples it."""
        for rule in self.lines.rules():
            for side in SIDES:
                if rule.connections[side] == connection:
                    mapper = self.lines.mapper(connection, rule.entity, offline=True)
                    if mapper.resource == resource:
                        return rule.entity, side
        return None

    def signed(
        self,
        connection: str,
        call: str,
        timestamp: str,
        signature: str,
        body: bytes,
        *,
        once: bool,
    ) -> bool:
        """Is a message from that system, fresh, and (with `once`) not a repeat?

        `call` is the method and the path as sent, so that a signature fits one address only. It is
        checked before anything of the body is read.
        """
        try:
            secret = self.store.connections.settings(connection).get(HINT_SECRET, "")
            age = abs(self.clock().timestamp() - int(timestamp))
        except (NeedsUser, ValueError):
            return False
        if not secret or age > WINDOW:
            return False
        message = f"{timestamp}.{call}\n".encode() + body
        wanted = "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), signature.encode()):
            return False
        return not once or self._first(signature)

    def _first(self, signature: str) -> bool:
        now = self.clock().timestamp()
        for old in [key for key, at in self._seen.items() if now - at > 2 * WINDOW]:
            del self._seen[old]
        if signature in self._seen:
            return False
        self._seen[signature] = now
        return True


_current: list[Service] = []


def use(service: Service) -> None:
    """The service of this process."""
    _current[:] = [service]


def current() -> Service:
    """The service of this process; `NeedsUser` where it does not serve."""
    if not _current:
        raise NeedsUser("Koppel does not serve in this process", remedy="koppel serve")
    return _current[0]
