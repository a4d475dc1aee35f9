"""What the tests against Tryton itself have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from koppel.connectors.tryton.rpc import TrytonSession
from lab.system import Running
from tests.live.tryton_inside import session


@pytest.fixture(scope="module")
def admin(running: Running) -> Iterator[TrytonSession]:
    """The administrator of the Tryton that the module's `running` has started."""
    made = session(running, *running.admin)
    yield made
    made.close()
