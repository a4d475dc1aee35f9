"""The key that signs links to the card; nothing of any link is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from koppel.errors import NeedsUser


class CardKeys:
    """Derives the signing key from the store's own, so that a rotated key ends all links."""

    def __init__(self, key: bytes, find_key: Callable[[], bytes] | None = None) -> None:
        self._key = key
        self._find_key = find_key

    def key(self, generation: int) -> str:
        """The key of a generation of links. `NeedsUser` where there is no key to derive it from."""
        parts = (self._find_key() if self._find_key else self._key).split()
        if not parts:
            raise NeedsUser(
                "links to the card cannot be signed without the store's key",
                remedy="Put koppel.key back from your backup, or set KOPPEL_KEY",
            )
        seed = b"koppel card %d " % generation + parts[0]
        return hashlib.sha256(seed).hexdigest()
