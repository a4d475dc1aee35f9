"""The effectful shell around the pure heart: intake, pairing, planning, executing, undoing."""

from koppel.engine.runner import Engine

__all__ = ["Engine"]
