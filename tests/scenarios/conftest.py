"""Fixtures of the scenario tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from koppel.store import open_store
from tests.scenarios.pair import KEY, START, PairOfSystems, make_pair
from tests.scenarios.real import RealPair
from tests.scenarios.real_orders import RealSales
from tests.scenarios.web_desk import Desk, at_the_desk


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty store, made once."""
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    open_store(path, clock=lambda: START, key=KEY).close()
    return path


@pytest.fixture
def pair(tmp_path: Path, store_template: Path) -> PairOfSystems:
    """A coupled pair of empty memory systems."""
    return make_pair(tmp_path, store_template)


@pytest.fixture
def desk(pair: PairOfSystems) -> Iterator[Desk]:
    """A person at the pages of a Koppel that watches the pair."""
    yield from at_the_desk(pair)


@pytest.fixture(scope="session")
def real_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPair]:
    """A Creme and a Tryton without partners, and a Koppel that knows both; one for all modules."""
    found = RealPair("pair", "bare", tmp_path_factory.mktemp("real"))
    try:
        found.init()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def real_sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSales]:
    """A Creme and a Tryton that sell, with a Koppel that knows both; one for all modules."""
    pair = RealPair("orders", "demo", tmp_path_factory.mktemp("sales"))
    try:
        with pair.connectors() as connectors:
            yield RealSales.begin(pair, connectors["crm"], connectors["erp"])
    finally:
        pair.stop()


@pytest.fixture(scope="module")
def selling(real_sales: RealSales) -> RealSales:
    """It, with its store open in this process again: other modules open others."""
    real_sales.open()
    return real_sales
