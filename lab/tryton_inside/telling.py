"""Progress from inside Tryton's environment: one line of standard output per message."""

from __future__ import annotations

import logging
import sys


def tell(share: float, sentence: str) -> None:
    """Say how far (0..1) the work is; the lab reads it line by line (`lab.process.MARK`)."""
    sys.stdout.write(f"@ {share:.3f} {sentence}\n")
    sys.stdout.flush()


class ModuleTeller(logging.Handler):
    """Turns Tryton's own log of loaded modules into progress between two shares."""

    def __init__(self, modules: int, start: float, end: float) -> None:
        super().__init__(logging.INFO)
        self.modules, self.start, self.end = modules, start, end
        self.loaded: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell once per module."""
        words = record.getMessage().split()
        if words[1:] == ["load"] and words[0] not in self.loaded:
            self.loaded.add(words[0])
            share = self.start + (self.end - self.start) * len(self.loaded) / self.modules
            tell(min(share, self.end), f"tryton: module {words[0]}")
