"""A browser and a served Koppel, one of each for all modules.

One store alone: beside the browser's library, which runs a loop in this thread, Django can keep two
connections of the thread, and the second would stay at the store of the module before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import browser
from tests.browser.house import House, house


@pytest.fixture(scope="session")
def running() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # The browser's library runs a loop in this thread; Django asks nothing from within it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with browser() as found:
            yield found


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as found:
        yield found
