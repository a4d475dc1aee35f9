"""What a page asks of the database: so many questions and no more, however long its list is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from koppel.connectors import registry
from koppel.engine.lines import Lines
from koppel.store import Store, open_store
from koppel.store.searching import name_key, searchable
from koppel.store.seen_models import Article, Bill, Customer, Person, Sale, SaleLine
from koppel.web import service
from koppel.web.front import Elsewhere

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MANY = 70
"""More than a page of a list shows."""
SIGNED_IN = 4
"""The session, the user, the second factor, the rights."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    found = open_store(tmp_path_factory.mktemp("store") / "koppel.sqlite3", clock=lambda: NOW)
    found.people.add("clerk", "a password of five words", ["clerk"])
    for side in ("crm", "erp"):
        found.connections.put(side, side=side, type="memory", config={}, secrets={})
    _fill(found)
    service.use(service.Service(found, Lines(found, registry.connect), Elsewhere(), lambda: NOW))
    yield found
    service._current.clear()
    found.close()


def _fill(store: Store) -> None:
    rows = []
    for n in range(MANY):
        name = f"Müller {n:03} GmbH"
        rows.append(
            Customer(
                name=name, name_key=name_key(name), number=f"K{n}", erp_id=str(n), crm_id=str(n),
                search=searchable([name]), region=f"DE {n % 9}", salesperson=f"Paul {n % 9}",
            )
        )  # fmt: skip
    store.seen.put_customers(rows)
    day = date(2026, 9, 1)
    sales, bills = [], []
    for n in range(MANY * 3):
        common = {"party": str(n % MANY), "currency": "EUR", "read_at": NOW}
        net = Decimal(100 + n)
        when = day - timedelta(days=n)
        lines = [SaleLine(position=k, item=f"A{k}", name="Teil", net=net) for k in (1, 2)]
        order = Sale(
            side="erp", kind="order", resource="sale.sale", record=str(n), number=f"SO{n}",
            state="confirmed", day=when, net=net, gross=net, **common,
        )  # fmt: skip
        sales.append((order, lines))
        bill = Bill(
            record=str(n), number=f"RE{n}", state="posted", counted=True, day=when, due=when,
            net=net, gross=net, open=net, **common,
        )  # fmt: skip
        bills.append((bill, []))
    store.seen.put_sales(sales)
    store.seen.put_bills(bills)
    store.seen.put_articles(
        [Article(record=str(n), code=f"A{n}", name="Teil", read_at=NOW) for n in range(MANY)]
    )
    store.seen.put_people(
        [Person(side="crm", record=str(n), partner="1", name=f"P {n}", read_at=NOW) for n in (1, 2)]
    )
    store.figures.reckon(NOW.date())
    store.figures.overview(NOW.date())


@pytest.mark.parametrize(
    ("address", "part", "questions"),
    [
        # Found by number, by the beginning of the name and by anything; then the rows.
        ("/customers?q=muller", True, SIGNED_IN + 4),
        ("/customers?q=K12", True, SIGNED_IN + 4),
        # The rows, two filters of what there is, kept filters of one's own and of others.
        ("/customers", False, SIGNED_IN + 5),
        ("/orders", False, SIGNED_IN + 4),
        ("/invoices", False, SIGNED_IN + 4),
        ("/products", False, SIGNED_IN + 3),
        # What the line in the audit log takes; customer, systems, people, figures, items with
        # their products, offers.
        ("/customers/2", False, SIGNED_IN + 4 + 7),
        ("/customers/2?tab=orders", False, SIGNED_IN + 4 + 4),
        ("/customers/2?tab=timeline", False, SIGNED_IN + 4 + 6),
        # The figures, which currencies there are, and the customers and products that are named.
        ("/insight", False, SIGNED_IN + 4),
    ],
)
def test_a_page_asks_no_more_than_it_must(
    store: Store, address: str, part: bool, questions: int
) -> None:
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="clerk"))
    headers = {"HX-Request": "true"} if part else {}
    # The first look within a minute is a line in the audit log: the test below.
    web.get(address, headers=headers)
    with CaptureQueriesContext(connection) as asked:
        answer = web.get(address, headers=headers)
    assert answer.status_code == 200
    assert len(asked) <= questions, [query["sql"] for query in asked.captured_queries]


def test_the_first_look_at_a_list_within_a_minute_costs_a_line_and_no_other_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="clerk"))
    monkeypatch.setattr(service.current().looks, "_open", {})

    def questions(letters: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            web.get("/customers", {"q": letters}, headers={"HX-Request": "true"})
        return len(asked)

    assert [questions("mul"), questions("mul"), questions("mul")] == [
        SIGNED_IN + 4 + 4, SIGNED_IN + 4, SIGNED_IN + 4,
    ]  # fmt: skip


def test_a_right_that_is_taken_away_is_gone_with_the_next_page(store: Store) -> None:
    store.people.add("late", "a password of five words", ["clerk"])
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="late"))
    assert web.get("/orders").status_code == 200
    store.people.set_roles("late", ["viewer"])
    assert web.get("/orders").status_code == 403
    assert web.get("/customers").status_code == 200
    store.people.set_active("late", False)
    assert web.get("/customers").status_code == 302


@pytest.mark.parametrize(
    ("address", "index"),
    [
        ("/orders", "sale_day"),
        ("/orders?state=paid", "sale_state"),
        ("/orders?sort=state", "sale_state"),
        ("/orders?payment=overdue", "sale_payment"),
        ("/orders?sort=-net", "sale_net"),
        ("/orders?sort=number", "sale_numbered"),
        ("/orders?sort=-backlog", "sale_backlog"),
        ("/invoices", "bill_day"),
        ("/invoices?state=draft", "bill_state"),
        ("/invoices?kind=credit_note", "bill_kind"),
        ("/invoices?dunning=1", "bill_reminded"),
        ("/customers", "customer_name"),
        ("/customers?sort=-open", "customer_open"),
        ("/customers?sort=-last", "customer_last"),
        ("/customers?sort=town", "customer_town"),
    ],
)
def test_a_list_of_millions_goes_through_an_index(store: Store, address: str, index: str) -> None:
    (query,) = rows_of(address)
    assert f"INDEX {index} " in f"{plan(query)} "


@pytest.mark.parametrize("query", ["muller", "SO1", "so1", "nobody"])
def test_a_search_of_documents_looks_at_no_more_than_it_shows(store: Store, query: str) -> None:
    for page, table in (("orders", "store_sale"), ("invoices", "store_bill")):
        asked = rows_of(f"/{page}?q={query}", table)
        assert asked
        for one in asked:
            assert "SCAN" not in plan(one), one


def test_documents_are_found_by_customer_number_and_reference(store: Store) -> None:
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="clerk"))
    Sale.objects.filter(number="SO7").update(reference="Order by phone")
    for query in ("so7", "SO7", "order by", "Order by phone"):
        assert "SO7<" in web.get("/orders", {"q": query}).content.decode(), query
    found = web.get("/orders", {"q": "muller 007"}).content.decode()
    assert {f"SO{n}<" in found for n in (7, 7 + MANY, 7 + 2 * MANY)} == {True}
    assert "SO8<" not in found
    assert "RE7<" in web.get("/invoices", {"q": "re7"}).content.decode()
    assert "RE7<" in web.get("/invoices", {"q": "muller 007"}).content.decode()


def rows_of(address: str, table: str = "") -> list[str]:
    """What a list asks for its rows."""
    page = address.partition("?")[0].strip("/")
    table = table or {"orders": "store_sale", "invoices": "store_bill"}.get(page, "store_customer")
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="clerk"))
    with CaptureQueriesContext(connection) as asked:
        assert web.get(address).status_code == 200
    start = f'SELECT "{table}"'
    found = [one["sql"] for one in asked.captured_queries if one["sql"].startswith(start)]
    return found[:1] if page == "customers" else found


def plan(query: str) -> str:
    """How the database goes about it."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + query.replace("%", "%%"))
        return "; ".join(str(row[3]) for row in cursor.fetchall())
