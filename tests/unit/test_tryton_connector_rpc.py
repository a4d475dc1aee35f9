"""What a Tryton answers, and what it means: log-in, refusals, trouble, and its JSON."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.connectors.http import Patience, ReplyLost
from koppel.connectors.tryton import codec
from koppel.connectors.tryton.rpc import (
    ChangedMeanwhile,
    Overloaded,
    RuleBroken,
    ServerFault,
    TrytonSession,
    WarningRaised,
)
from koppel.errors import Defect, NeedsUser, TryLater

PASSWORD = "very-secret-indeed"
Answer = Callable[[str, list[Any]], httpx.Response]


class Server:
    """Stands for a Tryton: log-ins are answered, all other calls by `answer`."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.log_ins = 0
        self.methods: list[str] = []
        self.contexts: list[dict[str, Any]] = []
        self.headers: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        assert set(asked) == {"id", "method", "params"}
        method, params = asked["method"], asked["params"]
        self.methods.append(method)
        self.headers.append(request.headers.get("authorization", ""))
        if method == "common.db.login":
            self.log_ins += 1
            if params[1]["password"] != PASSWORD:
                return httpx.Response(401)
            return result([7, f"token{self.log_ins}", None])
        if method == "model.res.user.get_preferences":
            return result({"company": 1, "language": "de", "locale": {"big": "thing"}})
        if method != "common.db.logout":
            self.contexts.append(params[-1])
            return self.answer(method, params)
        return result(None)


def result(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": 1, "result": value})


def error(*parts: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": 1, "error": list(parts)})


def session(answer: Answer, *, password: str = PASSWORD) -> tuple[TrytonSession, Server]:
    server = Server(answer)
    made = TrytonSession(
        "http://tryton.example",
        "db",
        "koppel",
        password,
        patience=Patience(attempts=2, first_wait=0.0, longest_wait=0.0, jitter=0.0),
        transport=httpx.MockTransport(server),
    )
    return made, server


def failing(response: httpx.Response, *, effect: bool = True) -> Exception:
    """What a call raises that is answered so."""
    calls, _ = session(lambda method, params: response)
    with pytest.raises(Exception) as caught:
        calls.call("party.party", "write", [1], {}, effect=effect)
    return caught.value


def test_one_log_in_serves_many_calls_with_the_users_context() -> None:
    calls, server = session(lambda method, params: result([1, 2]))
    assert calls.call("party.party", "search", []) == [1, 2]
    calls.call("party.party", "search", [], context={"active_test": False})
    assert server.log_ins == 1
    assert server.contexts[0] == {"company": 1, "language": "de"}
    assert server.contexts[1] == {"company": 1, "language": "de", "active_test": False}
    scheme, token = server.headers[-1].split()
    assert scheme == "Session"
    assert b64decode(token) == b"koppel:7:token1"


def test_a_session_that_has_run_out_is_opened_again_once() -> None:
    answers = iter([httpx.Response(401), result("done")])
    calls, server = session(lambda method, params: next(answers))
    assert calls.call("party.party", "write", [1], {}, effect=True) == "done"
    assert server.log_ins == 2


def test_a_user_who_stays_locked_out_has_to_act() -> None:
    calls, server = session(lambda method, params: httpx.Response(401))
    with pytest.raises(NeedsUser):
        calls.call("party.party", "search", [])
    assert server.log_ins == 2


def test_a_wrong_password_is_the_users_to_correct_and_never_shown() -> None:
    calls, _ = session(lambda method, params: result(None), password="not-the-right-one")
    with pytest.raises(NeedsUser) as caught:
        calls.call("party.party", "search", [])
    assert "not-the-right-one" not in f"{caught.value} {calls!r}"


def test_an_unknown_database_is_named() -> None:
    raised = failing(httpx.Response(404, text="<html>"))
    assert isinstance(raised, NeedsUser)
    assert "'db'" in str(raised)


def test_a_business_rule_speaks_in_its_own_words() -> None:
    raised = failing(error("UserError", ["The code must be unique.", "Change it.", None]))
    assert isinstance(raised, RuleBroken)
    assert raised.message == "The code must be unique. Change it."
    assert raised.part == ""


def test_koppels_module_says_beside_the_sentence_what_it_is_about() -> None:
    told = ["Position 2: unbekannt.", "", {"koppel_part": "lines"}]
    raised = failing(error("UserError", told))
    assert isinstance(raised, RuleBroken)
    assert (raised.message, raised.part) == ("Position 2: unbekannt.", "lines")
    plain = failing(error("UserError", ["No.", "", [["x", "=", 1], {}]]))
    assert isinstance(plain, RuleBroken)
    assert plain.part == ""


def test_a_question_can_be_skipped_by_its_name() -> None:
    raised = failing(error("UserWarning", ["name-of-it", "Are you sure?", ""]))
    assert isinstance(raised, WarningRaised)
    assert (raised.name, raised.message) == ("name-of-it", "Are you sure?")


def test_trytons_own_stale_check_is_recognised() -> None:
    raised = failing(error("ConcurrencyException", "Records were modified in the meanwhile"))
    assert isinstance(raised, ChangedMeanwhile)


def test_a_second_factor_is_the_users_to_switch_off() -> None:
    assert isinstance(failing(error("LoginException", ["sms", "Code?", "char"])), NeedsUser)


def test_any_other_exception_of_tryton_is_a_fault_with_its_text() -> None:
    raised = failing(error("'nam'", "Traceback ..."))
    assert isinstance(raised, ServerFault)
    assert raised.message == "'nam'"


@pytest.mark.parametrize("cause", ["parser stack overflow", "database is locked"])
def test_a_write_that_the_database_rolled_back_did_not_happen(cause: str) -> None:
    assert isinstance(failing(httpx.Response(503, text=f"<p>{cause}</p>")), Overloaded)


def test_a_call_that_is_too_large_did_not_happen() -> None:
    assert isinstance(failing(httpx.Response(413, text="<p>too large</p>")), Overloaded)


def test_a_503_of_unknown_cause_leaves_a_write_unknown() -> None:
    assert isinstance(failing(httpx.Response(503, text="<p>proxy error</p>")), ReplyLost)


def test_a_503_during_a_read_is_for_later() -> None:
    raised = failing(httpx.Response(503, text="<p>database is locked</p>"), effect=False)
    assert isinstance(raised, TryLater)


def test_a_503_with_a_time_waits_that_long() -> None:
    raised = failing(httpx.Response(503, text="x", headers={"Retry-After": "9"}))
    assert isinstance(raised, TryLater)
    assert raised.after == 9


def test_json_without_an_envelope_is_a_defect() -> None:
    assert isinstance(failing(httpx.Response(200, json=[1, 2])), Defect)


def test_closing_logs_out_once_and_never_fails() -> None:
    calls, server = session(lambda method, params: result(None))
    calls.call("party.party", "search", [])
    calls.close()
    calls.close()
    assert server.methods.count("common.db.logout") == 1


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "lines", "id"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(values)
def test_every_value_comes_back_as_it_went(value: Any) -> None:
    assert codec.parse(codec.dump(value)) == value


def test_values_look_as_tryton_writes_them() -> None:
    sent = [Decimal("1.00"), date(2026, 11, 25), datetime(2026, 1, 2, 3, 4, 5, 6), time(7)]
    assert json.loads(codec.dump(sent)) == [
        {"__class__": "Decimal", "decimal": "1.00"},
        {"__class__": "date", "year": 2026, "month": 11, "day": 25},
        {"__class__": "datetime", "year": 2026, "month": 1, "day": 2}
        | {"hour": 3, "minute": 4, "second": 5, "microsecond": 6},
        {"__class__": "time", "hour": 7, "minute": 0, "second": 0, "microsecond": 0},
    ]


def test_what_tryton_cannot_receive_is_refused() -> None:
    with pytest.raises(TypeError):
        codec.dump(object())
