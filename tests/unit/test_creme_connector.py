"""The Creme connector without a Creme: what travels, and what each kind of trouble becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from koppel.connectors.base import (
    Act,
    Connector,
    Create,
    Delete,
    Gone,
    Record,
    Refused,
    Unknown,
    Update,
    Written,
)
from koppel.connectors.creme import CremeConnector
from koppel.connectors.http import Patience
from koppel.errors import Defect, NeedsUser, TryLater

ORGANISATION = "persons.organisation"
TOKEN = "very-secret-token"
Answer = Callable[[httpx.Request], httpx.Response]

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "max_length": 200, "required": True},
    {"name": "cf_1", "type": "decimal", "scale": 2},
    {"name": "cf_2", "type": "date"},
    {"name": "cf_3", "type": "datetime"},
    {
        "name": "billing_address",
        "type": "object",
        "fields": [{"name": "id", "type": "text", "writable": False}],
    },
    {"name": "other_addresses", "type": "list", "fields": [{"name": "id", "type": "text"}]},
    {"name": "roles", "type": "references", "choices": [{"value": "customer", "label": "Kunde"}]},
]
DESCRIPTION: dict[str, Any] = {
    "resources": [
        {"name": ORGANISATION, "label": "Organisation", "fields": FIELDS},
        {"name": "activities.activity", "label": "Activity", "fields": []},
    ]
}
TOLD: dict[str, Any] = {
    "resource": ORGANISATION,
    "id": "7",
    "version": "v1",
    "fields": {
        "name": "Müller",
        "cf_1": "12.50",
        "cf_2": "2026-11-25",
        "cf_3": "2026-11-25T09:30:00+01:00",
        "billing_address": {"id": "3"},
        "other_addresses": [{"id": "4"}],
        "roles": ["customer"],
    },
}
RECORD = Record(
    resource=ORGANISATION,
    id="7",
    version="v1",
    fields={
        "name": "Müller",
        "cf_1": Decimal("12.50"),
        "cf_2": date(2026, 11, 25),
        "cf_3": datetime(2026, 11, 25, 8, 30, tzinfo=UTC),
        "billing_address": {"id": "3"},
        "other_addresses": [{"id": "4"}],
        "roles": ["customer"],
    },
)
NEW = Create(resource=ORGANISATION, key="k", fields={"name": "Neu"})


class Creme:
    """Answers by path; remembers what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"describe": DESCRIPTION, **answers}
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.rsplit("/", 1)[-1]
        self.asked.append((path, json.loads(request.content) if request.content else None))
        answer = self.answers[path]
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def connect(creme: Answer) -> CremeConnector:
    return CremeConnector(
        "http://creme.example",
        TOKEN,
        patience=Patience(attempts=2, first_wait=0.0, longest_wait=0.0, jitter=0.0),
        transport=httpx.MockTransport(creme),
    )


def lost(error: type[httpx.TransportError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("trouble", request=request)

    return answer


def trouble(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message}})


def test_it_is_a_connector() -> None:
    assert isinstance(connect(Creme()), Connector)


def test_values_are_typed_as_described() -> None:
    creme = Creme(fetch={"records": [TOLD], "gone": []})
    assert connect(creme).fetch(ORGANISATION, ["7"]) == {"7": RECORD}


def test_a_resource_that_koppel_does_not_know_is_left_out_of_the_description() -> None:
    (resource,) = connect(Creme()).describe()
    assert resource.name == ORGANISATION
    info = resource.field("cf_1")
    assert info is not None
    assert info.scale == 2
    roles = resource.field("roles")
    assert roles is not None
    assert [choice.label for choice in roles.choices] == ["Kunde"]


def test_what_is_gone_says_how() -> None:
    gone = [
        {"resource": ORGANISATION, "id": "8", "merged_into": "7", "trashed": False},
        {"resource": ORGANISATION, "id": "9", "merged_into": None, "trashed": True},
    ]
    found = connect(Creme(fetch={"records": [], "gone": gone})).fetch(ORGANISATION, ["8", "9"])
    assert found["8"] == Gone(resource=ORGANISATION, id="8", merged_into="7")
    assert found["9"] == Gone(resource=ORGANISATION, id="9", trashed=True)


def test_an_id_without_an_answer_is_a_defect() -> None:
    connector = connect(Creme(fetch={"records": [], "gone": []}))
    with pytest.raises(Defect):
        connector.fetch(ORGANISATION, ["7"])


def test_values_travel_exactly() -> None:
    creme = Creme(write={"outcomes": [{"kind": "written", "after": {"record": TOLD}}]})
    write = Update(
        resource=ORGANISATION,
        key="k",
        id="7",
        expected="v0",
        fields={**RECORD.fields, "name": None},
    )
    assert connect(creme).write([write]) == (Written(after=RECORD),)
    assert creme.asked[1] == (
        "write",
        {
            "writes": [
                {
                    "kind": "update",
                    "resource": ORGANISATION,
                    "key": "k",
                    "id": "7",
                    "expected": "v0",
                    "fields": {
                        **TOLD["fields"],
                        "name": None,
                        "cf_3": "2026-11-25T08:30:00Z",
                    },
                }
            ]
        },
    )


def test_each_kind_of_write_has_its_shape() -> None:
    refusal = {"kind": "refused", "reason": "missing", "message": "gone", "fields": []}
    creme = Creme(write={"outcomes": [refusal] * 3})
    batch = [
        NEW,
        Delete(resource=ORGANISATION, key="d", id="7"),
        Act(resource=ORGANISATION, key="a", id="7", action="restore"),
    ]
    assert connect(creme).write(batch) == (Refused(reason="missing", message="gone"),) * 3
    assert creme.asked[1][1]["writes"] == [
        {"kind": "create", "resource": ORGANISATION, "key": "k", "fields": {"name": "Neu"}},
        {"kind": "delete", "resource": ORGANISATION, "key": "d", "id": "7", "expected": None},
        {
            "kind": "act",
            "resource": ORGANISATION,
            "key": "a",
            "id": "7",
            "expected": None,
            "action": "restore",
            "fields": {},
        },
    ]


def test_a_large_batch_goes_in_calls_of_a_hundred() -> None:
    def answer(request: httpx.Request) -> dict[str, Any]:
        count = len(json.loads(request.content)["writes"])
        return {"outcomes": [{"kind": "refused", "message": str(count)}] * count}

    creme = Creme(write=answer)
    outcomes = connect(creme).write([NEW] * 250)
    assert len(outcomes) == 250
    assert [path for path, _ in creme.asked] == ["describe", *["write"] * 3]


def test_a_lost_call_leaves_only_its_own_writes_unknown() -> None:
    calls: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) == 1:
            raise httpx.ReadTimeout("late", request=request)
        count = len(json.loads(request.content)["writes"])
        return httpx.Response(200, json={"outcomes": [{"kind": "refused"}] * count})

    outcomes = connect(Creme(write=answer)).write([NEW] * 101)
    assert all(isinstance(outcome, Unknown) for outcome in outcomes[:100])
    assert isinstance(outcomes[100], Refused)


def test_what_was_done_is_not_forgotten_when_a_later_call_fails() -> None:
    calls: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) > 1:
            raise httpx.ConnectError("away", request=request)
        return httpx.Response(200, json={"outcomes": [{"kind": "refused"}] * 100})

    outcomes = connect(Creme(write=answer)).write([NEW] * 150)
    assert all(isinstance(outcome, Refused) for outcome in outcomes[:100])
    assert all(isinstance(outcome, Unknown) for outcome in outcomes[100:])


def test_a_field_that_is_new_is_asked_for_once() -> None:
    descriptions = iter([{"resources": [{**DESCRIPTION["resources"][0], "fields": FIELDS[:1]}]}])
    creme = Creme(
        describe=lambda request: next(descriptions, DESCRIPTION),
        find={"records": [TOLD]},
    )
    connector = connect(creme)
    assert list(connector.find(ORGANISATION, {"name": "Müller"})) == [RECORD]
    assert [path for path, _ in creme.asked] == ["find", "describe", "describe"]


def test_a_record_that_nobody_describes_is_a_defect() -> None:
    told = {**TOLD, "fields": {"mystery": 1}}
    connector = connect(Creme(find={"records": [told]}))
    with pytest.raises(Defect):
        connector.find(ORGANISATION, {"name": "x"})


@pytest.mark.parametrize(
    "answer",
    [
        {"outcomes": []},
        {"outcomes": [{"kind": "written"}]},
        {"outcomes": "none"},
        {"outcomes": [{"kind": "refused", "reason": "because"}]},
    ],
)
def test_an_answer_otherwise_than_agreed_is_a_defect(answer: Any) -> None:
    with pytest.raises(Defect):
        connect(Creme(write=answer)).write([NEW])


def test_recover_knows_done_from_not_done() -> None:
    done = {"outcome": {"kind": "written", "after": {"record": TOLD}}}
    assert connect(Creme(recover=done)).recover(NEW) == Written(after=RECORD)
    assert connect(Creme(recover={"outcome": None})).recover(NEW) is None


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
def test_a_write_that_never_left_is_for_later(error: type[httpx.TransportError]) -> None:
    with pytest.raises(TryLater):
        connect(Creme(write=lost(error))).write([NEW])


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_lost_answer_is_unknown_for_a_write_and_for_later_for_a_read(
    error: type[httpx.TransportError],
) -> None:
    connector = connect(Creme(write=lost(error), now=lost(error), recover=lost(error)))
    (outcome,) = connector.write([NEW])
    assert isinstance(outcome, Unknown)
    with pytest.raises(TryLater):
        connector.now(ORGANISATION)
    with pytest.raises(TryLater):
        connector.recover(NEW)


def test_an_error_of_creme_is_unknown_for_a_write_and_for_later_for_a_read() -> None:
    broken = trouble(500, "failed", "Creme failed; its log tells more.")
    connector = connect(Creme(write=broken, now=broken))
    (outcome,) = connector.write([NEW])
    assert isinstance(outcome, Unknown)
    with pytest.raises(TryLater):
        connector.now(ORGANISATION)


def test_a_busy_creme_says_when_to_come_back() -> None:
    busy = httpx.Response(503, headers={"Retry-After": "2"}, json={"error": {}})
    with pytest.raises(TryLater) as caught:
        connect(Creme(now=busy)).now(ORGANISATION)
    assert caught.value.after == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (trouble(401, "unauthorized", "A valid token is needed."), NeedsUser),
        (trouble(403, "hidden", "koppel may not see 7."), NeedsUser),
        (trouble(404, "unknown_resource", "No such resource."), NeedsUser),
        (trouble(400, "bad_cursor", "No cursor."), NeedsUser),
        (trouble(400, "bad_json", "The body must be JSON."), Defect),
        (httpx.Response(403, text="<html>Forbidden</html>"), NeedsUser),
        (httpx.Response(404, text="<html>Not found</html>"), NeedsUser),
        (httpx.Response(200, html="<html>Log in</html>"), NeedsUser),
        (httpx.Response(302, headers={"Location": "/creme_login"}), NeedsUser),
        (httpx.Response(200, json={"cursor": 5}), Defect),
    ],
)
def test_trouble_with_a_whole_call_has_a_clear_consequence(
    answer: httpx.Response, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        connect(Creme(now=answer)).now(ORGANISATION)
    shown = f"{caught.value} {caught.value!r}"
    assert TOKEN not in shown
    assert "creme" in str(caught.value).lower()
    if kind is NeedsUser:
        assert getattr(caught.value, "remedy", "")


def test_a_creme_without_the_add_on_is_named_as_such() -> None:
    connector = connect(Creme(health=httpx.Response(404, text="<html>Not found</html>")))
    with pytest.raises(NeedsUser) as caught:
        connector.check()
    assert "add-on" in caught.value.message
    assert "koppel-creme" in caught.value.remedy


def test_a_secret_in_the_systems_own_words_is_blotted_out() -> None:
    told = trouble(400, "bad_cursor", f"bad cursor {TOKEN}")
    with pytest.raises(NeedsUser) as caught:
        connect(Creme(now=told)).now(ORGANISATION)
    assert TOKEN not in str(caught.value)


def test_check_passes_on_what_creme_complains_of() -> None:
    told = {
        "system": "Creme CRM",
        "version": "2.8.6",
        "addon": "0.1.0",
        "user": "koppel",
        "resources": [ORGANISATION],
        "messages": ["koppel may not create persons.contact."],
    }
    health = connect(Creme(health=told)).check()
    assert not health.ok
    assert health.messages[0] == "koppel may not create persons.contact."
    assert "persons.contact" in health.messages[1]


def test_settings_make_a_connector() -> None:
    config = {"url": "http://creme.example/", "token": TOKEN, "timeout": "5"}
    connector = CremeConnector.from_config(config)
    assert repr(connector) == "CremeConnector(http://creme.example)"
    connector.close()
    connector.close()


@pytest.mark.parametrize("timeout", ["soon", "0", "-1", "nan"])
def test_a_timeout_that_is_no_time_is_the_users_to_correct(timeout: str) -> None:
    with pytest.raises(NeedsUser):
        CremeConnector.from_config({"url": "http://c", "token": TOKEN, "timeout": timeout})
