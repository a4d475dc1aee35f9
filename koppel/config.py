"""Where Koppel lives: the home folder with the store and the key file."""

from __future__ import annotations

import os
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
