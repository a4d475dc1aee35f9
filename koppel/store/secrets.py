"""Secrets at rest: encrypted with a key from the environment or a key file of mode 600."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from koppel.errors import NeedsUser

ENVIRONMENT = "KOPPEL_KEY"


def find_key(home: Path, *, create: bool = False) -> bytes:
    """The key: `KOPPEL_KEY`, else the file `koppel.key` in `home`; made there if `create`.

    Several keys may stand in it, separated by spaces or lines: the first encrypts, all decrypt, so
    that a key can be rotated. Raises `NeedsUser` for a missing key or a file others can read.
    """
    if value := os.environ.get(ENVIRONMENT):
        return value.encode()
    path = home / "koppel.key"
    if not path.exists():
        if not create:
            raise NeedsUser(
                "the key for the stored secrets is missing",
                place=str(path),
                remedy=f"Set {ENVIRONMENT}, or put the key file back from your backup",
            )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise NeedsUser(
            "the key file can be read by others",
            place=str(path),
            remedy=f"Run: chmod 600 {path}",
        )
    return path.read_bytes().strip()


def _cipher(key: bytes) -> MultiFernet:
    try:
        return MultiFernet([Fernet(part) for part in key.split()])
    except ValueError as error:
        raise NeedsUser(
            "the key for the stored secrets is not valid",
            place=ENVIRONMENT,
            remedy="It is 32 bytes in URL-safe base64; `koppel init` makes one",
        ) from error


def seal(secrets: dict[str, str], key: bytes) -> bytes:
    """Encrypt; an empty dict needs no key."""
    return _cipher(key).encrypt(json.dumps(secrets).encode()) if secrets else b""


def unseal(sealed: bytes, key: bytes) -> dict[str, str]:
    """Decrypt; raises `NeedsUser` where the key does not fit."""
    if not sealed:
        return {}
    try:
        return dict(json.loads(_cipher(key).decrypt(sealed)))
    except InvalidToken as error:
        raise NeedsUser(
            "the stored secrets cannot be read with this key",
            place=ENVIRONMENT,
            remedy="Use the key with which they were written, or enter them again: koppel init",
        ) from error
