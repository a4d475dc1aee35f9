"""The interface for other programs: tokens, scopes, pages, problems, and the same abilities."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from koppel.config import now
from koppel.engine.lines import Lines
from koppel.engine.watch import Pace, Watch
from koppel.store.people import ACTIONS
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.web import service
from tests.scenarios.pair import PairOfSystems
from tests.scenarios.web_desk import until

PASSWORD = "a password of five words"


@dataclass
class Program:
    """A program with a token."""

    pair: PairOfSystems
    crm: str
    token: str

    def ask(self, path: str, told: Any = None, *, token: str | None = None) -> Any:
        web = Client(SERVER_NAME="127.0.0.1")
        shown = self.token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        if told is None:
            return web.get(f"/api/v1/{path}", headers=headers)
        return web.post(
            f"/api/v1/{path}", json.dumps(told), content_type="application/json", headers=headers
        )

    def with_scopes(self, *scopes: str, user: str = "anna") -> str:
        return self.pair.store.tokens.make(user, "test", scopes)


@pytest.fixture
def program(pair: PairOfSystems) -> Iterator[Program]:
    crm = ""
    for partner in partners(3):
        crm = pair.crm_human.create("organisation", crm_fields(partner))
        pair.erp_human.create("party", erp_fields(partner))
    pair.store.people.add("anna", PASSWORD, ["administrator"])
    pair.store.people.add("vera", PASSWORD, ["viewer"])
    watch = Watch(pair.engine, now, Pace(poll=3600, gather=0.01))
    lines = Lines(pair.store, pair._connect)
    service.use(service.Service(store=pair.store, lines=lines, watch=watch, clock=now))
    watch.start()
    try:
        until(lambda: watch.last_poll is not None)
        yield Program(pair, crm, pair.store.tokens.make("anna", "test", list(ACTIONS)))
    finally:
        watch.stop()
        service._current.clear()


def test_who_shows_no_token_or_a_wrong_one_is_told_so_as_a_problem(program: Program) -> None:
    for token in ("", "koppel_wrong"):
        answer = program.ask("status", token=token)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 401


def test_a_revoked_token_and_one_of_a_user_kept_out_are_worthless(program: Program) -> None:
    people, tokens = program.pair.store.people, program.pair.store.tokens
    vera = program.with_scopes("view", user="vera")
    assert program.ask("status", token=vera).status_code == 200
    people.set_active("vera", False)
    assert program.ask("status", token=vera).status_code == 401
    for row in tokens.all():
        tokens.revoke(row.id)
    assert program.ask("status").status_code == 401


def test_a_token_may_what_its_scopes_and_its_user_both_may(program: Program) -> None:
    path = f"records/partner/crm/{program.crm}/synchronise"
    assert program.ask(path, {}).status_code == 200
    only_view = program.with_scopes("view")
    assert program.ask(path, {}, token=only_view).status_code == 403
    of_viewer = program.with_scopes("view", "synchronise", user="vera")
    assert program.ask(path, {}, token=of_viewer).status_code == 403
    assert program.ask("runs", token=of_viewer).status_code == 200


def test_lists_come_in_pages(program: Program) -> None:
    seen, after = [], ""
    while True:
        page = program.ask(f"couplings?entity=partner&limit=2&after={after}").json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert len(seen) == len(set(seen)) == 3


def test_a_pair_is_told_in_canonical_fields_and_that_is_logged(program: Program) -> None:
    (first, *_) = program.ask("couplings?entity=partner").json()["items"]
    told = program.ask(f"couplings/{first['id']}").json()
    assert told["crm"]["email"] == told["erp"]["email"]
    assert told["crm"]["billing_address"]["city"]
    (line, *_) = program.pair.store.audit_log.recent(1)
    assert (line.user, line.action) == ("anna", "see")


def test_the_button_tells_each_field_it_wrote(program: Program) -> None:
    program.pair.crm_human.edit("organisation", program.crm, {"email": "new@a.example"})
    told = program.ask(f"records/partner/crm/{program.crm}/synchronise", {}).json()
    assert told["state"] == "done"
    assert [(one["field"], one["side"], one["new"]) for one in told["changes"]] == [
        ("email", "erp", "new@a.example")
    ]
    steps = program.ask(f"runs/{told['run']}/steps").json()["items"]
    assert [change["new"] for step in steps for change in step["changes"]] == ["new@a.example"]


def test_a_conflict_is_read_and_decided(program: Program) -> None:
    erp = program.pair.store.couplings.by_record("partner", "crm", [program.crm])
    party = str(erp[program.crm].erp_id)
    program.pair.crm_human.edit("organisation", program.crm, {"email": "crm@a.example"})
    ways = program.pair.erp.row("party", party).fields["contact_mechanisms"]
    changed = [{**w, "value": "erp@a.example"} if w["type"] == "email" else w for w in ways]
    program.pair.erp_human.edit("party", party, {"contact_mechanisms": changed})
    press = f"records/partner/crm/{program.crm}/synchronise"
    program.ask(press, {})
    (conflict,) = program.ask("conflicts").json()["items"]
    assert (conflict["crm"], conflict["erp"]) == ("crm@a.example", "erp@a.example")
    decided = program.ask(f"conflicts/{conflict['number']}", {"choice": "erp"})
    assert decided.status_code == 204
    program.ask(press, {})
    fields = program.pair.crm.row("organisation", program.crm).fields
    assert fields["email"] == "erp@a.example"


@pytest.mark.parametrize(
    ("path", "told", "status"),
    [
        ("couplings?limit=0", None, 422),
        ("couplings?limit=x", None, 422),
        ("couplings/nothing", None, 404),
        ("conflicts/7", {"choice": "crm"}, 404),
        ("conflicts/7", {"choice": "neither"}, 422),
        ("matches/7", {"says": "same"}, 404),
        ("runs/99999999999999999999999/steps", None, 422),
        ("runs/99999999/steps", None, 404),
        ("records/weather/crm/1/synchronise", {}, 404),
    ],
)
def test_what_does_not_fit_is_a_problem_in_words(
    program: Program, path: str, told: Any, status: int
) -> None:
    answer = program.ask(path, told)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_the_description_is_openapi_3_1_and_names_every_operation(program: Program) -> None:
    told = program.ask("openapi.json", token="").json()
    assert told["openapi"].startswith("3.1")
    operations = [one for path in told["paths"].values() for one in path.values()]
    assert len(operations) == len({one["operationId"] for one in operations}) > 30
    assert all(one["security"] for one in operations)


def test_machines_are_told_how_koppel_is(program: Program) -> None:
    web = Client(SERVER_NAME="127.0.0.1")
    assert web.get("/readyz").json() == {"ok": True}
    text = web.get("/metrics").content.decode()
    assert 'koppel_couplings{entity="partner"} 3.0' in text
    assert 'koppel_system_up{connection="crm",side="crm"} 1.0' in text
    assert 'koppel_waiting{kind="conflicts"} 0.0' in text
    service.current().watch.last_poll = None
    assert web.get("/readyz").status_code == 503
