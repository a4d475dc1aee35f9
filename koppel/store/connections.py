"""Connections: the configured systems, their secrets and their described schema."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from koppel import typed
from koppel.connectors.base import Resource
from koppel.errors import NeedsUser
from koppel.store.models import Connection
from koppel.store.opening import Clock
from koppel.store.secrets import seal, unseal


class ConnectionStore:
    """Reads and writes connections."""

    def __init__(
        self, clock: Clock, key: bytes, find_key: Callable[[], bytes] | None = None
    ) -> None:
        self._clock = clock
        self._key = key
        self._find_key = find_key

    def put(
        self,
        name: str,
        *,
        side: str,
        type: str,
        config: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> None:
        """Add or replace a connection."""
        Connection.objects.update_or_create(
            name=name,
            defaults={
                "side": side,
                "type": type,
                "config": dict(config),
                "secrets": seal(dict(secrets), self._newest_key()),
                "paused": "",
            },
        )

    def rename(self, old: str, new: str) -> None:
        """Give a connection another name; what speaks of it is the caller's to follow."""
        Connection.objects.filter(name=old).update(name=new)

    def remove(self, name: str) -> None:
        """Forget a connection with its secrets."""
        Connection.objects.filter(name=name).delete()

    def all(self) -> list[Connection]:
        """All connections by name; what was described, which is long, is read when asked for."""
        return list(Connection.objects.order_by("name").defer("schema", "secrets"))

    def get(self, name: str) -> Connection:
        """One connection; `NeedsUser` where there is none of that name."""
        try:
            return Connection.objects.get(name=name)
        except Connection.DoesNotExist:
            known = ", ".join(c.name for c in self.all()) or "none yet"
            raise NeedsUser(
                f"there is no connection called '{name}' (known: {known})",
                remedy="Make it with: koppel init",
            ) from None

    def settings(self, name: str) -> dict[str, str]:
        """Configuration and secrets together, as a connector's `from_config` takes them."""
        row = self.get(name)
        try:
            return {**row.config, **unseal(bytes(row.secrets), self._key)}
        except NeedsUser:
            if self._newest_key() == self._key:
                raise
            self._key = self._newest_key()
            return {**row.config, **unseal(bytes(row.secrets), self._key)}

    def _newest_key(self) -> bytes:
        """The key as it stands now: it may have been rotated since this process began."""
        return self._find_key() if self._find_key is not None else self._key

    def pause(self, name: str, reason: str) -> None:
        """Stop using a connection until a person acts; an empty reason lifts it."""
        Connection.objects.filter(name=name).update(paused=reason)

    def away(self, name: str) -> None:
        """Note that a system does not answer, from its first time on."""
        Connection.objects.filter(name=name, away_since=None).update(away_since=self._clock())

    def seen(self, *names: str) -> None:
        """Note that these systems answered."""
        Connection.objects.filter(name__in=names).update(away_since=None, seen_at=self._clock())

    def drifted(self, name: str, resources: Sequence[Resource]) -> bool:
        """Does `describe()` say something else than what was accepted last?"""
        accepted = self.get(name).schema_digest
        return bool(accepted) and accepted != _digest(resources)

    def accept_schema(self, name: str, resources: Sequence[Resource]) -> None:
        """Keep what `describe()` said as what is expected from now on."""
        digest = _digest(resources)
        if self.get(name).schema_digest != digest:
            Connection.objects.filter(name=name).update(
                schema=_raw(resources), schema_digest=digest, described_at=self._clock()
            )

    def schema(self, name: str) -> tuple[Resource, ...]:
        """What was accepted last; empty before the first time."""
        raw = bytes(self.get(name).schema)
        return typed.from_json(raw, tuple[Resource, ...]) if raw else ()


def _raw(resources: Sequence[Resource]) -> bytes:
    return msgspec.json.encode(sorted(resources, key=lambda resource: resource.name))


def _digest(resources: Sequence[Resource]) -> str:
    return hashlib.sha256(_raw(resources)).hexdigest()
