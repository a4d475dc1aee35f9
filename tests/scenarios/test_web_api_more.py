"""The interface's further abilities: once under a key, filters, runs, rules, customers, people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from koppel.store.models import Quarantine
from koppel.store.people_models import KeptReply
from koppel.web import service
from tests.scenarios.test_web_api import Program
from tests.scenarios.test_web_api import program as _program

program = _program


def send(
    program: Program, path: str, told: Any, key: str, *, method: str = "post", token: str = ""
) -> Any:
    headers = {"Authorization": f"Bearer {token or program.token}", "Idempotency-Key": key}
    call = getattr(Client(SERVER_NAME="127.0.0.1"), method)
    return call(
        f"/api/v1/{path}", json.dumps(told), content_type="application/json", headers=headers
    )


@pytest.fixture
def later(program: Program) -> Iterator[Any]:
    """Moves the pages' clock on."""
    served = service.current()
    real = served.clock
    by = [timedelta()]
    served.clock = lambda: real() + by[0]
    yield lambda **more: by.__setitem__(0, by[0] + timedelta(**more))
    served.clock = real


def test_the_same_call_under_a_key_is_carried_out_once_and_answered_alike(
    program: Program,
) -> None:
    first = send(program, "runs", {"only_plan": True}, "key-1")
    again = send(program, "runs", {"only_plan": True}, "key-1")
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    other = send(program, "runs", {"only_plan": True}, "key-2")
    assert other.json()["id"] != first.json()["id"]


def test_another_call_under_the_same_key_is_a_conflict(program: Program) -> None:
    send(program, "runs", {"only_plan": True}, "key-1")
    for path, told in (("runs", {"only_plan": False}), ("persons/find", {"q": "abc"})):
        answer = send(program, path, told, "key-1")
        assert answer.status_code == 409
        assert "another call" in answer.json()["detail"]


def test_a_key_is_a_tokens_own_and_forgotten_after_a_day(program: Program, later: Any) -> None:
    first = send(program, "runs", {"only_plan": True}, "key-1").json()
    mine = program.with_scopes("approve", "view")
    assert send(program, "runs", {"only_plan": True}, "key-1", token=mine).json() != first
    later(hours=25)
    assert send(program, "runs", {"only_plan": True}, "key-1").json() != first


def test_a_call_that_is_under_way_is_not_begun_again_until_it_counts_as_dead(
    program: Program, later: Any
) -> None:
    send(program, "runs", {"only_plan": True}, "key-1")
    KeptReply.objects.update(status=0)
    assert send(program, "runs", {"only_plan": True}, "key-1").status_code == 409
    later(minutes=3)
    assert send(program, "runs", {"only_plan": True}, "key-1").status_code == 200


def test_what_was_not_allowed_may_be_tried_again_and_a_strange_key_is_refused(
    program: Program,
) -> None:
    only_view = program.with_scopes("view")
    assert send(program, "runs", {}, "key-1", token=only_view).status_code == 403
    assert not KeptReply.objects.exists()
    assert send(program, "runs", {}, "x" * 201).status_code == 422
    assert send(program, "runs", {}, "key-1", token="koppel_wrong").status_code == 401


def test_a_mistake_is_answered_alike_too(program: Program) -> None:
    for _ in range(2):
        answer = send(program, "rules/partner", {"text": "["}, "key-1", method="put")
        assert answer.status_code == 409
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_lists_are_filtered_and_paged(program: Program) -> None:
    crm = program.ask("couplings?entity=partner").json()["items"][0]["crm_id"]
    (found,) = program.ask(f"couplings?entity=partner&crm_id={crm}").json()["items"]
    assert found["crm_id"] == crm
    assert program.ask("runs?kind=undo").json()["items"] == []
    assert program.ask("runs?begun=2999-01-01T00:00:00").json()["items"] == []
    entries, before = [], 0
    while True:
        page = program.ask(f"journal?entity=partner&limit=2&before={before}").json()
        entries += [one["number"] for one in page["items"]]
        if page["next"] is None:
            break
        before = page["next"]
    assert entries == sorted(set(entries), reverse=True)


def test_a_run_is_planned_applied_and_taken_back(program: Program) -> None:
    program.pair.crm_human.edit("organisation", program.crm, {"email": "new@a.example"})
    planned = program.ask("runs", {"only_plan": True, "entities": ["partner"]}).json()
    assert planned["state"] == "ready"
    assert program.ask(f"runs/{planned['id']}/apply", {}).json()["state"] == "done"
    assert program.ask("journal?run=" + str(planned["id"])).json()["items"][0]["changes"]
    undo = program.ask(f"runs/{planned['id']}/undo", {}).json()
    assert (undo["kind"], undo["state"]) == ("undo", "ready")
    assert program.ask(f"runs/{undo['id']}/reject", {}).status_code == 204
    assert program.ask(f"runs/{undo['id']}").json()["state"] == "superseded"
    assert program.ask(f"runs/{undo['id']}/apply", {}).status_code == 409
    assert program.ask("runs", {"entities": ["weather"]}).status_code == 409


def test_a_rule_is_previewed_and_changed(program: Program) -> None:
    text = program.ask("rules/partner").json()["text"]
    changed = text + "\n# said by a program\n"
    assert program.ask("rules/partner/preview", {"text": "["}).json()["faults"]
    assert program.ask("rules/partner/preview", {"text": changed}).json()["faults"] == []
    answer = send(program, "rules/partner", {"text": changed}, "key", method="put").json()
    assert (answer["text"], answer["version"], answer["author"]) == (changed, 2, "anna")
    assert {one["entity"] for one in program.ask("rules").json()["items"]} == {
        "partner",
        "contact",
    }


def test_what_is_in_quarantine_is_told_and_released(program: Program) -> None:
    row = Quarantine.objects.create(
        entity="partner", side="crm", record=program.crm, reason="No.", fingerprint="1",
        state="open", at=service.current().clock(),
    )  # fmt: skip
    (stuck,) = program.ask("quarantine?side=crm").json()["items"]
    assert (stuck["number"], stuck["reason"]) == (row.id, "No.")
    assert program.ask(f"quarantine/{row.id}/release", {}).status_code == 204
    assert program.ask("quarantine").json()["items"] == []


def test_a_customer_is_told_from_all_sides_without_money_for_who_may_not_see_it(
    program: Program,
) -> None:
    from koppel.store.seen_models import Customer

    (pair, *_) = program.ask("couplings?entity=partner").json()["items"]
    row = Customer.objects.create(
        coupling=pair["id"], crm_id=pair["crm_id"], erp_id=pair["erp_id"], name=pair["label"],
        crm_version="1", erp_version="1", turnover=12,
    )  # fmt: skip
    told = program.ask(f"customers/{row.id}").json()
    assert told["figures"]["turnover"] == "12.00"
    assert any(one["name"] == "name" and one["value"] for one in told["fields"])
    only_view = program.with_scopes("view")
    told = program.ask(f"customers/{row.id}", token=only_view).json()
    assert (told["figures"], told["sales"]) == (None, [])
    assert program.ask("orders", token=only_view).status_code == 403
    assert program.ask("invoices").json() == {"items": [], "next": None}
    assert program.ask("figures").status_code == 404


def test_a_person_is_found_exported_and_erased(program: Program) -> None:
    number = program.pair.crm_human.create(
        "contact",
        {"organisation": program.crm, "first_name": "Xanthippe", "last_name": "Quast"},
    )
    program.ask("runs", {})
    (found,) = program.ask("persons/find", {"q": "Xanthippe"}).json()["items"]
    assert found["records"]["crm"] == number
    place = f"persons/contact/crm/{number}"
    assert "Quast" in program.ask(place).content.decode()
    plan = program.ask(f"{place}/erasure", {}).json()
    assert plan["state"] == "planned"
    done = program.ask(f"erasures/{plan['number']}/approve", {}).json()
    assert (done["state"], done["label"]) == ("done", f"Erased-{done['number']}")
    assert program.ask("persons/find", {"q": "Xanthippe"}).json()["items"] == []
    assert program.ask(f"erasures/{plan['number']}/reject", {}).status_code == 409
    lines = program.ask("audit-log?action=export%20person").json()["items"]
    assert [line["user"] for line in lines] == ["anna"]
    only_view = program.with_scopes("view")
    for path in (place, "erasures", "audit-log"):
        assert program.ask(path, token=only_view).status_code == 403
