"""Blocking keys as numbers: what the store keeps of them."""

from __future__ import annotations

from hashlib import blake2b

_LONGEST = 160
"""Letters of a key that count. Stores of before keep no more, and theirs were made numbers too."""


def number(entity: str, key: str, strong: bool) -> int:
    """A key of an entity as a signed number of 64 bits, whose lowest bit tells a strong one.

    Two keys that get the same number by chance make one more candidate, which is scored as any
    other is. Changing this, or which kinds of keys are strong, parts old rows from new ones: it
    needs a migration.
    """
    raw = blake2b(f"{entity}|{key[:_LONGEST]}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big", signed=True) & ~1 | strong
