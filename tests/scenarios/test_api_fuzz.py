"""The interface keeps to its own description, whatever is sent: every operation, two tokens.

Schemathesis makes calls from the OpenAPI description, right ones and wrong ones, and checks every
answer: no crash, a status and a type that are described, a body that fits its schema, wrong data
refused, right data taken, no answer without a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from koppel.config import now
from koppel.engine.lines import Lines
from koppel.engine.watch import Pace, Watch
from koppel.store import open_store
from koppel.store.people import ACTIONS
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.web import service
from koppel.web.urls import urlpatterns
from tests.scenarios.pair import KEY, START, make_pair
from tests.scenarios.test_web_pages import until

pytestmark = pytest.mark.xdist_group("api")


def described(*, corners: bool) -> Any:
    """The description; with `corners` each bound of each parameter is tried as well."""
    coverage = {"enabled": corners, "unexpected-methods": ["DELETE"]}
    return schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json",
        get_wsgi_application(),
        config=SchemathesisConfig.from_dict({"phases": {"coverage": coverage}}),
    )


schema, without_corners = described(corners=True), described(corners=False)
FEW = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Koppel with something of everything, and a token of an administrator and of a viewer."""
    folder = tmp_path_factory.mktemp("api")
    template = Path(folder) / "template.sqlite3"
    open_store(template, clock=lambda: START, key=KEY).close()
    pair = make_pair(folder, template)
    for partner in partners(3):
        pair.crm_human.create("organisation", crm_fields(partner))
        pair.erp_human.create("party", erp_fields(partner))
    pair.store.people.add("anna", "a password of five words", ["administrator"])
    pair.store.people.add("vera", "a password of five words", ["viewer"])
    watch = Watch(pair.engine, now, Pace(poll=3600, gather=0.01))
    lines = Lines(pair.store, pair._connect)
    service.use(service.Service(store=pair.store, lines=lines, watch=watch, clock=now))
    watch.start()
    try:
        until(lambda: watch.last_poll is not None)
        yield {
            "anna": pair.store.tokens.make("anna", "all", list(ACTIONS)),
            "vera": pair.store.tokens.make("vera", "all", list(ACTIONS)),
        }
    finally:
        watch.stop()
        service._current.clear()
        pair.store.close()


def call(case: schemathesis.Case, token: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"})


@schema.parametrize()
@FEW
def test_an_administrators_token_finds_every_operation_as_described(
    case: schemathesis.Case, tokens: dict[str, str]
) -> None:
    call(case, tokens["anna"])


@without_corners.parametrize()
@FEW
def test_a_viewers_token_finds_every_operation_as_described(
    case: schemathesis.Case, tokens: dict[str, str]
) -> None:
    call(case, tokens["vera"])


def test_every_operation_is_described() -> None:
    described = {one.ok().label for one in schema.get_all_operations()}
    routes = {name for one in urlpatterns if (name := str(one.name)).startswith("api_")}
    assert len(described) >= len(routes - {"api_description", "api_unknown"}) > 30
