"""Rows for views: put again without doubling, searched, and reckoned into figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from koppel.store import Store, open_store
from koppel.store.searching import search, searchable
from koppel.store.seen_models import Bill, Customer, Figure, Sale, SaleLine

TODAY = date(2026, 11, 25)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store") / "koppel.sqlite3", clock=lambda: NOW)
    yield store
    store.close()


@pytest.fixture
def store(opened: Store, tmp_path: Path) -> Iterator[Store]:
    opened.seen.remove_customers(list(Customer.objects.values_list("id", flat=True)))
    for model in (Sale, SaleLine, Bill, Figure):
        model.objects.all().delete()
    return opened


def customer(name: str, number: str, erp: str | None = None, **more: Any) -> Customer:
    from koppel.store.searching import name_key

    texts = [name, number, *(str(more.get(key, "")) for key in ("email", "town", "tax_id"))]
    return Customer(
        name=name,
        name_key=name_key(name),
        number=number,
        erp_id=erp or number,
        search=searchable(texts, phones=[str(more.get("phone", ""))]),
        **more,
    )


def sale(record: str, party: str, day: date, net: str, **more: Any) -> Sale:
    given = {"side": "erp", "kind": "order", "state": "confirmed", "currency": "EUR", **more}
    return Sale(
        resource="sale.sale", record=record, party=party, day=day, net=Decimal(net), read_at=NOW,
        **given,
    )  # fmt: skip


def bill(record: str, party: str, day: date, net: str, **more: Any) -> Bill:
    given = {"state": "posted", "counted": True, "currency": "EUR", **more}
    return Bill(
        record=record, party=party, day=day, net=Decimal(net), gross=Decimal(net), read_at=NOW,
        **given,
    )  # fmt: skip


def names(query: str) -> list[str]:
    found = {one.id: one.name for one in Customer.objects.all()}
    return [found[id] for id in search(query)]


def test_search_forgives_umlauts_spacing_and_how_a_number_is_written(store: Store) -> None:
    store.seen.put_customers(
        [
            customer("Müller Maschinenbau GmbH", "K-0042", phone="+49 221 123456", town="Köln"),
            customer("Stahlwerk Mueller AG", "K-0043", tax_id="DE 123 456 789"),
            customer("Bäckerei Groß", "K-0044", email="info@gross.example"),
        ]
    )
    assert names("müller") == names("mueller") == names("MULLER")
    assert names("muller")[0] == "Müller Maschinenbau GmbH"
    assert len(names("muller")) == 2
    for query in ("0221 123456", "+49221123456", "221/123456", "koeln", "köl", "K-0042", "k0042"):
        assert names(query) == ["Müller Maschinenbau GmbH"], query
    assert names("DE123456789") == names("123 456 789") == ["Stahlwerk Mueller AG"]
    assert names("gross.ex") == names("baeckerei") == names("ba") == ["Bäckerei Groß"]
    assert names('"; DROP') == names("xyzzy") == names(" ") == []


def test_a_changed_customer_is_found_by_the_new_name_alone(store: Store) -> None:
    store.seen.put_customers([customer("Alpha GmbH", "1")])
    store.seen.put_customers([customer("Omega GmbH", "1")])
    assert names("alpha") == []
    assert names("omega") == ["Omega GmbH"]
    store.seen.remove_customers(list(Customer.objects.values_list("id", flat=True)))
    assert names("omega") == []


def test_two_loose_records_become_one_customer_when_they_are_coupled(store: Store) -> None:
    crm = customer("Alpha", "")
    crm.crm_id, crm.erp_id = "7", None
    store.seen.put_customers([crm, customer("Alpha GmbH", "9")])
    both = customer("Alpha GmbH", "9")
    both.crm_id, both.coupling = "7", "c" * 32
    store.seen.put_customers([both])
    assert Customer.objects.count() == 1
    assert names("alpha") == ["Alpha GmbH"]


def test_sales_put_twice_are_there_once_with_their_new_lines(store: Store) -> None:
    def put(net: str) -> None:
        line = SaleLine(position=1, item="A1", name="Screw", ordered=3, net=Decimal(net))
        store.seen.put_sales([(sale("1", "9", TODAY, net), [line])])

    put("10.00")
    put("12.34")
    assert [one.net for one in Sale.objects.all()] == [Decimal("12.34")]
    assert [one.net for one in SaleLine.objects.all()] == [Decimal("12.34")]


def test_figures_of_a_customer_and_of_the_house_agree(store: Store) -> None:
    store.seen.put_customers([customer("Alpha", "1", region="DE 5"), customer("Beta", "2")])
    store.seen.put_bills(
        [
            (bill("1", "1", date(2026, 3, 1), "1000.10", open=Decimal("1000.10"),
                  due=date(2026, 11, 1)), []),
            (bill("2", "1", date(2025, 3, 1), "500", paid=date(2025, 3, 11)), []),
            (bill("3", "2", date(2026, 11, 1), "99.90"), []),
            (bill("4", "2", date(2026, 11, 2), "50.00", currency="CHF"), []),
            (bill("5", "1", date(2026, 4, 1), "70", state="draft", counted=False), []),
        ]
    )  # fmt: skip
    days = (date(2026, 1, 1), date(2026, 1, 31), date(2026, 3, 2), date(2026, 3, 2))
    store.seen.put_sales(
        [(sale(str(place), "1", day, "100"), []) for place, day in enumerate(days)]
    )
    assert store.figures.reckon(TODAY) == 2
    store.figures.overview(TODAY)
    alpha = Customer.objects.get(number="1")
    assert (alpha.turnover, alpha.turnover_before) == (Decimal("1000.10"), Decimal("500.00"))
    assert (alpha.trend, alpha.abc, alpha.overdue) == ("growing", "A", Decimal("1000.10"))
    assert (alpha.orders, alpha.rhythm, alpha.quiet_from) == (4, 30, date(2026, 5, 2))
    assert alpha.paid_days / alpha.paid_gross == 10
    told = store.figures.read()
    assert told is not None
    house = told[0]
    assert house["currency"] == "EUR"
    assert Decimal(house["year"]["now"]) == Decimal("1100.00")
    assert Decimal(house["ageing"]["1-30"]) == Decimal("1000.10")
    assert sum(Decimal(one["now"]) for one in house["split"]["region"]) == Decimal("1100.00")
    swiss = store.figures.read("CHF")
    assert swiss is not None
    assert Decimal(swiss[0]["year"]["now"]) == 50
    assert Customer.objects.get(number="2").currency in ("EUR", "CHF")


def test_a_credited_invoice_counts_whichever_of_the_two_is_read_first(store: Store) -> None:
    note = {"kind": "credit_note", "credits": ["1"]}
    cancelled = {"state": "cancelled", "counted": False}
    for order in (("1", "2"), ("2", "1")):
        Bill.objects.all().delete()
        for record in order:
            made = (
                bill("1", "9", TODAY, "100", **cancelled)
                if record == "1"
                else bill("2", "9", TODAY, "-100", **note)
            )
            store.seen.put_bills([(made, [])])
        assert {one.record: one.counted for one in Bill.objects.all()} == {"1": True, "2": True}
