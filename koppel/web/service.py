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
from koppel.processes.cards import ORDER
from koppel.processes.settings import order_settings
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

    def card_of(self, connection: str, resource: str, record: str) -> tuple[str, Side] | None:
        """(entity, side) whose card shows a native record; orders have one, without a rule.

        A person in the ERP may be kept as a party like any other: where the party is not known,
        and a contact person under the same id is, it is the person's.
        """
        settings = order_settings(self.store)
        if connection == settings.erp and resource == settings.erp_resource:
            return ORDER, "erp"
        found = self.entity_of(connection, resource)
        if found == ("partner", "erp") and not self._knows("partner", record):
            return ("contact", "erp") if self._knows("contact", record) else found
        return found

    def _knows(self, entity: str, record: str) -> bool:
        coupled = self.store.couplings.by_record(entity, "erp", [record])
        return bool(coupled or self.store.replica.get(entity, "erp", [record]))

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
