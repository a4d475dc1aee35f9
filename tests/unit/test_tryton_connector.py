"""The connector's settings and limits, and its value tables, without any server."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.connectors.base import Connector, Create
from koppel.connectors.registry import complete, connect
from koppel.connectors.tryton import TrytonConnector
from koppel.connectors.tryton.connector import MAX_FETCH
from koppel.connectors.tryton.tables import ValueTables
from koppel.connectors.tryton.writing import MAX_WRITE
from koppel.errors import Defect, NeedsUser

CONFIG = {
    "url": "http://tryton.example",
    "database": "db",
    "username": "koppel",
    "password": "very-secret-indeed",
}


def connector(**more: str) -> TrytonConnector:
    settings = complete(TrytonConnector.options, {**CONFIG, **more}, place="tryton")
    return TrytonConnector.from_config(settings)


def test_it_is_a_connector_that_is_made_from_settings_without_a_call() -> None:
    made = connect("tryton", CONFIG)
    assert isinstance(made, TrytonConnector)
    assert isinstance(made, Connector)
    assert made.calls == 0


def test_the_password_is_a_secret_and_not_shown() -> None:
    secret = {option.name for option in TrytonConnector.options if option.secret}
    assert secret == {"password", "hint_secret"}
    assert CONFIG["password"] not in repr(connector())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "soon"),
        ("timeout", "-1"),
        ("overlap_seconds", "1e9"),
        ("timezone", "Mars/Olympus"),
        ("hard_delete", "perhaps"),
        ("url", "tryton.example"),
    ],
)
def test_a_wrong_setting_is_the_users_to_correct(name: str, value: str) -> None:
    with pytest.raises(NeedsUser) as caught:
        connector(**{name: value})
    assert caught.value.remedy


def test_an_unknown_resource_is_the_users_to_correct() -> None:
    write = Create(resource="party.planet", key="k", fields={})
    with pytest.raises(NeedsUser):
        connector().write([write])
    with pytest.raises(NeedsUser):
        connector().fetch("party.planet", ["1"])


def test_more_than_declared_at_once_is_a_defect() -> None:
    made = connector()
    writes = [
        Create(resource="party.party", key=f"k{number}", fields={})
        for number in range(MAX_WRITE + 1)
    ]
    with pytest.raises(Defect):
        made.write(writes)
    with pytest.raises(Defect):
        made.fetch("party.contact", [str(number) for number in range(MAX_FETCH + 1)])


class Rows:
    """Stands for a session that reads one table."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.reads = 0

    def call(self, model: str, method: str, domain: list[Any], *args: Any, context: Any) -> Any:
        self.reads += 1
        assert context == {"active_test": False}
        if domain and domain[0][0] == "id":
            return [row for row in self.rows if row["id"] in domain[0][2]]
        if domain:
            return [row for row in self.rows if row[domain[0][0]] == domain[0][2]]
        return list(self.rows)


def test_a_small_table_is_read_once_and_a_new_row_is_found_at_once() -> None:
    rows = Rows([{"id": 5, "code": "de", "name": "Deutsch"}])
    tables = ValueTables(rows)
    assert tables.number("ir.lang", "de") == 5
    assert tables.code("ir.lang", 5) == "de"
    assert rows.reads == 1
    assert tables.number("ir.lang", "sv") is None
    rows.rows.append({"id": 26, "code": "sv", "name": "Svenska"})
    assert tables.number("ir.lang", "sv") == 26
    assert tables.code("ir.lang", 77) == "77"


def test_a_renamed_row_is_seen_after_a_while() -> None:
    moment = [0.0]
    rows = Rows([{"id": 1, "name": "net 30"}])
    tables = ValueTables(rows, keep_seconds=60, clock=lambda: moment[0])
    assert tables.code("account.invoice.payment_term", 1) == "net 30"
    rows.rows[0] = {"id": 1, "name": "30 days"}
    assert tables.code("account.invoice.payment_term", 1) == "net 30"
    moment[0] = 61
    assert tables.code("account.invoice.payment_term", 1) == "30 days"


def test_of_two_rows_with_one_code_the_older_is_written() -> None:
    tables = ValueTables(Rows([{"id": 1, "name": "net 30"}, {"id": 2, "name": "net 30"}]))
    assert tables.number("account.invoice.payment_term", "net 30") == 1
    assert tables.code("account.invoice.payment_term", 2) == "net 30"


def test_a_large_table_is_read_by_the_rows_needed_and_offers_no_choices() -> None:
    rows = Rows([{"id": number, "code": f"DE-{number}", "name": ""} for number in range(1, 9)])
    tables = ValueTables(rows)
    tables.need("country.subdivision", [1, 2, 3])
    assert rows.reads == 1
    assert tables.code("country.subdivision", 2) == "DE-2"
    assert rows.reads == 1
    assert tables.choices("country.subdivision") == ()
