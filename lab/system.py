"""What every system of the lab offers, so that demo, tests and benchmarks use the same code.

Folder of a system: `.lab/<name>/` with `venv/`, `templates/<template>/` (set-up databases, kept)
and `run/<instance>/` (working copies, logs, pid). `KOPPEL_LAB` moves `.lab` elsewhere.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Progress = Callable[[str, float], None]
"""Called with a sentence and the share done (0..1), at least once a second while work goes on."""


class LabError(Exception):
    """The lab cannot go on: one sentence for a person that names the place and the remedy."""


ROOT = Path(__file__).resolve().parent.parent


def lab_folder() -> Path:
    """Where the lab lives; created when asked for."""
    folder = Path(os.environ.get("KOPPEL_LAB", ROOT / ".lab"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def free_port() -> int:
    """A port on loopback that nobody listens on right now.

    Below the range from which systems lend ports to outgoing connections (from 32768 or 49152 on):
    so that a server finds its port free again after a stop.
    """
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LabError("no port of 127.0.0.1 between 20000 and 32000 is free; stop other programs")


@dataclass
class Running:
    """A started system: its address and how to log in, for people and for Koppel."""

    name: str
    url: str
    admin: tuple[str, str]
    koppel: dict[str, str]
    folder: Path
    pid: int
    extra: dict[str, str] = field(default_factory=dict)


class System(Protocol):
    """One real system. `template` is `bare` (set up, no partners) or `demo` (the whole world)."""

    name: str

    def install(self, progress: Progress) -> None:
        """Its own virtual environment, from its lock; nothing to do where it is up to date."""

    def set_up(self, template: str, progress: Progress) -> None:
        """Make the template database, or keep the one that is there."""

    def start(
        self, instance: str = "demo", template: str = "demo", port: int | None = None
    ) -> Running:
        """Start an instance, from a copy of the template where it has no database yet."""

    def stop(self, instance: str = "demo") -> None:
        """Stop it and wait until it is gone; harmless where it does not run."""

    def reset(self, instance: str = "demo", template: str = "demo") -> None:
        """Throw its database away and take a new copy of the template (stopped meanwhile)."""

    def snapshot(self, name: str, instance: str = "demo") -> None:
        """Keep the instance's present state as a template of that name."""
