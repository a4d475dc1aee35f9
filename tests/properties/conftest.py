"""Settings for all property tests: no deadlines, as the machine may be busy with real systems."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("koppel", deadline=None, max_examples=60)
settings.load_profile("koppel")
