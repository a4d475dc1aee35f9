"""A browser and a served Koppel, one of each for a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import browser
from tests.browser.house import House, house


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # The browser's library runs a loop in this thread; Django asks nothing from within it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with browser() as found:
            yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house")) as found:
        yield found
