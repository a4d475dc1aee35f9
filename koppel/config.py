"""Where Koppel lives: the home folder with the store and the key file; and its process."""

from __future__ import annotations

import faulthandler
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_data_path


def home(given: Path | None = None) -> Path:
    """The home folder: as given, else `KOPPEL_HOME`, else the platform's data folder."""
    if given is not None:
        return given
    if value := os.environ.get("KOPPEL_HOME"):
        return Path(value)
    return user_data_path("koppel")


def now() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)


def tell_crashes() -> None:
    """Where a library brings the process down, the log says at which line; if there is one."""
    with suppress(OSError, RuntimeError):
        faulthandler.enable()
