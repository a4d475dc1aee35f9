"""What an administrator sets, read from Creme's settings module or else from the environment.

* `KOPPEL_URL`: where Koppel listens, for hints, the block and the button. Empty: none of them.
* `KOPPEL_HINT_SECRET`: the secret that signs what is sent to Koppel.
* `KOPPEL_TOKEN` with `KOPPEL_USER` (default `koppel`): one token and the Creme user behind it.
* `KOPPEL_TOKENS`: more of them, `{"token": "user"}` or in the environment `token=user,token=user`.
* `KOPPEL_CONNECTION`: what Koppel calls its connection to this Creme; `creme` where not set.
* `KOPPEL_BROWSER_URL`: Koppel's address for people, where it differs from `KOPPEL_URL`.

Tokens made by the command `koppel_token` need none of these.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.conf import settings


def _setting(name: str, default: str = "") -> Any:
    return getattr(settings, name, None) or os.environ.get(name) or default


def koppel_url() -> str:
    """Koppel's address without a trailing slash; empty where Koppel is not set up."""
    return str(_setting("KOPPEL_URL")).rstrip("/")


def browser_url() -> str:
    """Koppel's address for the browser of a person."""
    return str(_setting("KOPPEL_BROWSER_URL")).rstrip("/") or koppel_url()


def connection() -> str:
    """What Koppel calls its connection to this Creme."""
    return str(_setting("KOPPEL_CONNECTION", "creme"))


def secret() -> bytes:
    """The secret that signs hints and calls to Koppel."""
    return str(_setting("KOPPEL_HINT_SECRET")).encode()


def tokens() -> dict[str, str]:
    """The configured tokens, each with the name of the Creme user behind it."""
    found: dict[str, str] = {}
    many = _setting("KOPPEL_TOKENS")
    if isinstance(many, Mapping):
        found.update(many)
    else:
        for pair in filter(None, (part.strip() for part in str(many).split(","))):
            token, _, user = pair.partition("=")
            found[token.strip()] = user.strip()
    if one := _setting("KOPPEL_TOKEN"):
        found[str(one)] = str(_setting("KOPPEL_USER", "koppel"))
    return {token: user for token, user in found.items() if token and user}
