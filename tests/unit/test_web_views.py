"""The pages of customers, documents and insight, in both languages, as people of each right see
them; exports that no spreadsheet calculates; charts that read as tables."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from koppel.connectors import registry
from koppel.engine import Engine
from koppel.engine.lines import Lines
from koppel.engine.watch import Watch
from koppel.store import Store, open_store
from koppel.store.order_models import OrderLink
from koppel.store.seen_models import Article, Bill, BillLine, Customer, Sale, SaleLine
from koppel.web import exports, service

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    found = open_store(tmp_path_factory.mktemp("store") / "koppel.sqlite3", clock=lambda: NOW)
    for role in ("clerk", "viewer"):
        found.people.add(role, "a password of five words", [role])
    _fill(found)
    watch = Watch(lambda: Engine(found), lambda: NOW)
    service.use(service.Service(found, Lines(found, registry.connect), watch, lambda: NOW))
    yield found
    service._current.clear()
    found.close()


def _fill(store: Store) -> None:
    from koppel.store.searching import name_key, searchable

    names = ["Müller & Söhne GmbH", "=cmd()|calc", *(f"Kunde {n:03}" for n in range(60))]
    store.seen.put_customers(
        [
            Customer(
                name=name, name_key=name_key(name), number=f"K{place}", erp_id=str(place),
                search=searchable([name, f"K{place}"]), country="DE", region="DE 5", town="Köln",
                salesperson="Paul",
            )
            for place, name in enumerate(names)
        ]
    )  # fmt: skip
    common = {"party": "0", "currency": "EUR", "read_at": NOW}
    store.seen.put_sales(
        [
            (
                Sale(side="erp", kind="order", resource="sale.sale", record="1", number="SO1",
                     state="partly delivered", payment="overdue", day=date(2026, 9, 1),
                     net=Decimal("1234.50"), gross=Decimal("1469.06"), backlog=Decimal("411.50"),
                     **common),
                [SaleLine(position=1, item="A1", name="Schraube", ordered=3, delivered=2, open=1,
                          net=Decimal("1234.50"), status="partly shipped", unit="C62")],
            )
        ]
    )  # fmt: skip
    store.seen.put_bills(
        [
            (
                Bill(record="1", number="RE1", state="posted", counted=True, day=date(2026, 9, 2),
                     due=date(2026, 10, 2), net=Decimal("1234.50"), gross=Decimal("1469.06"),
                     open=Decimal("1469.06"), dunning=1, sales=["1"], **common),
                [BillLine(position=1, item="A1", name="Schraube", quantity=3,
                          net=Decimal("1234.50"))],
            )
        ]
    )  # fmt: skip
    store.seen.put_articles(
        [Article(record="1", code="A1", name="Schraube", price=Decimal("411.5"), read_at=NOW)]
    )
    store.figures.reckon(TODAY)
    store.figures.overview(TODAY)


@pytest.fixture
def web(store: Store) -> Client:
    return as_("clerk")


def as_(role: str, language: str = "en") -> Client:
    made = Client(SERVER_NAME="127.0.0.1", headers={"accept-language": language})
    made.force_login(get_user_model().objects.get(username=role))
    return made


def first(model: type[Customer] | type[Sale] | type[Bill] | type[Article]) -> int:
    found: int = model.objects.order_by("id").values_list("id", flat=True)[0]
    return found


def test_an_invoice_tells_the_trace_of_the_transfer_that_it_comes_from(web: Client) -> None:
    OrderLink.objects.create(
        id="f" * 32, key="crm/billing.quote/1", trace="7b" * 16, erp_id="1", seen_at=NOW,
        changed_at=NOW,
    )  # fmt: skip
    assert "7b" * 16 in web.get(f"/invoices/{first(Bill)}").content.decode()


def pages() -> list[str]:
    one, sale = first(Customer), first(Sale)
    return [
        "/customers", "/customers?q=mueller", f"/customers/{one}", f"/customers/{one}?tab=orders",
        f"/customers/{one}?tab=invoices", f"/customers/{one}?tab=timeline",
        f"/customers/{one}?tab=fields", "/orders", f"/orders/{sale}", "/invoices",
        f"/invoices/{first(Bill)}", "/products", f"/products/{first(Article)}", "/insight",
        "/insight?by=salesperson", "/orders?kind=quote", "/customers?days=30&abc=A&sort=-turnover",
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_opens_in_both_languages_within_its_weight(store: Store, language: str) -> None:
    web = as_("clerk", language)
    for address in pages():
        answer = web.get(address)
        assert answer.status_code == 200, address
        assert len(answer.content) < 150_000, address
        assert f'<html lang="{language}">' in answer.content.decode()


def test_search_as_one_types_gives_the_rows_alone(web: Client) -> None:
    part = web.get("/customers?q=mueller", headers={"HX-Request": "true"}).content.decode()
    assert "Müller &amp; Söhne GmbH" in part
    assert "<html" not in part
    assert "Kunde 001" not in part


def test_a_list_goes_on_page_by_page_and_every_customer_is_on_one(web: Client) -> None:
    seen = []
    for number in (1, 2):
        text = web.get(f"/customers?page={number}").content.decode()
        seen += re.findall(r'<th scope="row"><a href="/customers/(\d+)"', text)
    assert len(seen) == len(set(seen)) == Customer.objects.count()


def test_a_customer_page_tells_figures_in_the_language_of_the_person(store: Store) -> None:
    address = f"/customers/{first(Customer)}"
    assert "€1,469.06" in as_("clerk").get(address).content.decode()
    german = as_("clerk", "de").get(address).content.decode()
    assert "1.469,06\xa0€" in german
    assert "Offene Posten" in german


def test_who_may_not_see_money_sees_none(store: Store) -> None:
    web = as_("viewer")
    for address in ("/customers", f"/customers/{first(Customer)}",
                    f"/customers/{first(Customer)}?tab=invoices",
                    f"/customers/{first(Customer)}?tab=timeline"):  # fmt: skip
        text = web.get(address).content.decode()
        assert "1,469.06" not in text
        assert "1,234.50" not in text
    assert web.get("/insight").status_code == 403


def test_an_export_holds_the_filtered_list_and_no_formula(web: Client) -> None:
    answer = web.get("/lists/customers/export?format=csv&region=DE 5")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == Customer.objects.count() + 1
    assert "'=cmd()|calc" in {row[0] for row in rows}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]
    book = web.get("/lists/customers/export?format=xlsx&q=cmd")
    with zipfile.ZipFile(io.BytesIO(book.content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert "=cmd()|calc" in archive.read("xl/sharedStrings.xml").decode()
    assert "<f>" not in sheet
    assert web.get("/lists/nothing/export").status_code == 404


@pytest.mark.parametrize("text", ["=1+1", "+49", "-5", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_calculate_is_defused(text: str) -> None:
    assert exports.defused(text) == f"'{text}"
    assert exports.as_csv(["a"], [[Decimal("-5.00")]]).decode("utf-8-sig") == "a\r\n-5.00\r\n"


def test_a_kept_filter_comes_back_and_can_be_let_go(web: Client) -> None:
    web.post("/lists/customers/filters", {"name": "A in Köln", "query": "abc=A&region=DE+5"})
    text = web.get("/customers").content.decode()
    assert 'href="/customers?abc=A&amp;region=DE+5">A in Köln</a>' in text
    number = re.findall(r'name="remove" value="(\d+)"', text)[0]
    web.post("/lists/customers/filters", {"remove": number})
    assert "A in Köln" not in web.get("/customers").content.decode()


def test_a_chart_is_a_table_that_reads_without_a_script(store: Store) -> None:
    """What is drawn is read from these cells: the number for the script, the words for people."""
    text = as_("clerk", "de").get("/insight").content.decode()
    figure = text[text.index('<figure class="chart"') :]
    assert '<th scope="row"><time datetime="2026-09">Sept. 2026</time></th>' in figure
    assert '<data value="1234.50">1.234,50\xa0€</data>' in figure
    assert 'data-currency="EUR"' in figure
    assert text.count("<canvas") == text.count("<caption class=") == 3


def test_only_a_page_with_a_chart_loads_what_draws_it(web: Client) -> None:
    def drawn(address: str) -> bool:
        return "chart.umd.min.js" in web.get(address).content.decode()

    one = f"/customers/{Customer.objects.get(erp_id='0').id}"
    assert [drawn(page) for page in ("/", "/insight", one)] == [True, True, True]
    assert not any(drawn(page) for page in ("/customers", "/runs", f"{one}?tab=orders"))


def test_a_price_has_two_places_at_least_and_as_many_as_it_has(store: Store) -> None:
    number = first(Article)
    assert '<td class="number">411,50</td>' in as_("clerk", "de").get("/products").content.decode()
    Article.objects.filter(id=number).update(price=Decimal("0.4125"))
    try:
        text = as_("clerk").get(f"/products/{number}").content.decode()
    finally:
        Article.objects.filter(id=number).update(price=Decimal("411.5"))
    assert '<div class="big">0.4125</div>' in text


def test_a_line_with_a_mere_number_tells_the_products_name_and_leads_to_it(web: Client) -> None:
    product = first(Article)
    wanted = f'<th scope="row"><a href="/products/{product}">A1</a> Schraube</th>'
    for model, address in (
        (SaleLine, f"/orders/{first(Sale)}"),
        (BillLine, f"/invoices/{first(Bill)}"),
    ):
        model.objects.update(name="A1")
        try:
            assert wanted in web.get(address).content.decode()
        finally:
            model.objects.update(name="Schraube")
    SaleLine.objects.update(item="A2")
    try:
        assert (
            '<th scope="row">A2 Schraube</th>' in web.get(f"/orders/{first(Sale)}").content.decode()
        )
    finally:
        SaleLine.objects.update(item="A1")


def test_who_is_in_the_crm_alone_has_no_empty_figures(web: Client) -> None:
    number = first(Customer)
    told = "No figures: the ERP does not know this customer yet."
    assert told not in web.get(f"/customers/{number}").content.decode()
    Customer.objects.filter(id=number).update(erp_id=None)
    try:
        text = web.get(f"/customers/{number}").content.decode()
    finally:
        Customer.objects.filter(id=number).update(erp_id="0")
    assert told in text
    assert 'class="tile' not in text
