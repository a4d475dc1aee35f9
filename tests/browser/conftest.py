"""A browser and a served Koppel, one of each for the modules of this folder.

One store alone: beside the browser's library, which runs a loop in this thread, Django can keep two
connections of the thread, and the second would stay at the store of the module before. Both end
with the folder, so that the tests after it find a thread without a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import browser_beside_django
from tests.browser.house import House, house


@pytest.fixture(scope="package")
def running() -> Iterator[Any]:
    with browser_beside_django() as found:
        yield found


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as found:
        yield found
