"""Prices on the real pair: the ERP's own for a customer, a quantity, a day and a currency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import count
from uuid import uuid4

import pytest

from koppel import config
from koppel.connectors.base import Connector, Record
from koppel.errors import NeedsUser, TryLater
from koppel.processes.price_enquiry import Price, Wanted
from koppel.processes.views import transfer_view
from koppel.store import open_store
from koppel.store.secrets import find_key
from lab.creme_seller import CremeSeller
from lab.tryton_sales_human import TrytonSalesHuman
from tests.live.creme_inside import inside
from tests.scenarios.real import RealPair
from tests.scenarios.real_orders import QUOTE, RealSales
from tests.scenarios.test_products_real import RIGHT

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

NOWHERE = {"url": "http://127.0.0.1:9"}
numbers = count(1)
run = uuid4().hex[:5].upper()


@dataclass
class Counter:
    """The pair with quotes, a person at Tryton, a dealer and what is sold to it."""

    selling: RealSales
    clerk: TrytonSalesHuman
    dealer: str
    pump: str
    code: str
    crm_dealer: str
    crm_pump: str

    @property
    def pair(self) -> RealPair:
        return self.selling.pair

    def ask(self, quantity: str, *, away: bool = False, currency: str | None = None) -> Price:
        """What the dealer pays; `away`: while nobody answers at the ERP's address."""
        orders = self.selling.orders(settings=NOWHERE if away else None)
        return orders.prices.ask(self.dealer, self.pump, Decimal(quantity), currency=currency)

    def quote(self, *quantities: str, target: str = "") -> str:
        """A quote over the pump at a price that somebody guessed."""
        lines = [
            {"product": self.crm_pump, "quantity": Decimal(one), "unit_price": Decimal(77),
             "discount": Decimal(0), "discount_unit": "percent", "vat": Decimal(19)}
            for one in quantities
        ]  # fmt: skip
        return self.selling.quote(*lines, target=target or self.crm_dealer)

    def prices(self, quote: str) -> list[Decimal]:
        found = self.selling.crm.fetch(QUOTE, [quote])[quote]
        assert isinstance(found, Record)
        return [line["unit_price"] for line in found.fields["lines"]]


def _crm_of(pair: RealPair, entity: str, erp: str) -> str:
    (crm,) = [c for c, e in pair.coupled(entity).items() if e == erp]
    return crm


@pytest.fixture(scope="module")
def counter(real_pair: RealPair) -> Iterator[Counter]:
    clerk = TrytonSalesHuman.admin(real_pair.tryton)
    address = {"street": "Hafen 1", "city": "Kiel", "postal_code": "24103"}
    dealer = clerk.people.create(
        "party.party",
        {"name": f"Händler {run} GmbH", "addresses": [{**address, "invoice": True}]},
    )
    code = f"PR-{run}"
    pump = clerk.add_product(code, Decimal("100.00"), name=f"Pump {code}")
    steps: list[tuple[float | None, str]] = [
        (50, "unit_price * 0.8217"), (10, "unit_price * 0.9"), (None, "unit_price * 0.95")
    ]  # fmt: skip
    clerk.price_by(dealer, clerk.add_price_list(f"Dealers {run}", steps))
    real_pair.run()
    key = find_key(real_pair.home)
    store = open_store(real_pair.home / "koppel.sqlite3", clock=config.now, key=key)
    with real_pair.connectors() as connectors:
        selling = RealSales(real_pair, connectors["crm"], connectors["erp"], store)
        yield Counter(
            selling, clerk, dealer, pump, code,
            _crm_of(real_pair, "partner", dealer), _crm_of(real_pair, "product", pump),
        )  # fmt: skip
    clerk.close()


@pytest.fixture
def clara(real_pair: RealPair) -> Iterator[CremeSeller]:
    human = CremeSeller.salesperson(real_pair.creme)
    yield human
    human.close()


def test_a_customer_pays_what_the_erp_asks_for_the_quantity_and_the_currency(
    counter: Counter,
) -> None:
    assert [counter.ask(q).unit_price for q in ("1", "10", "50")] == [
        Decimal("95.0000"), Decimal("90.0000"), Decimal("82.1700"),
    ]  # fmt: skip
    told = counter.ask("10")
    assert (told.currency, told.unit, told.price_list) == ("EUR", "C62", f"Dealers {run}")
    assert (told.list_price, told.age_seconds) == (Decimal("100.0000"), 0.0)
    assert counter.ask("10", currency="CHF").unit_price == Decimal("84.6000")


def test_the_last_answer_is_told_with_its_age_while_the_erp_is_away(counter: Counter) -> None:
    here = counter.ask("12")
    away = counter.ask("12", away=True)
    assert away.unit_price == here.unit_price == Decimal("90.0000")
    assert away.age_seconds > 0
    with pytest.raises(TryLater):
        counter.ask("13", away=True)


def test_the_steps_of_a_price_list_are_told_and_kept(counter: Counter) -> None:
    prices = counter.selling.orders().prices
    steps = [
        (one.from_quantity, one.unit_price, one.currency, one.unit)
        for one in prices.breaks(counter.pump).steps
        if one.price_list == f"Dealers {run}"
    ]
    assert steps == [
        (Decimal(0), Decimal("95.0000"), "EUR", "C62"),
        (Decimal(10), Decimal("90.0000"), "EUR", "C62"),
        (Decimal(50), Decimal("82.1700"), "EUR", "C62"),
    ]
    away = counter.selling.orders(settings=NOWHERE).prices.breaks(counter.pump)
    assert away.age_seconds > 0
    assert len(away.steps) >= 3


def test_a_prospect_is_told_the_list_price_and_a_product_out_of_trade_a_sentence(
    counter: Counter,
) -> None:
    prices = counter.selling.orders().prices
    (listed,) = prices.lines(None, [Wanted(quantity=Decimal(60), item=counter.code)])
    assert listed.price is not None
    assert listed.price.unit_price == 100
    assert "customer is not in the ERP yet" in listed.price.note
    gone = counter.clerk.add_product(f"GO-{run}", Decimal(5))
    counter.clerk.stop_selling(gone)
    asked = [
        Wanted(quantity=Decimal(1), item=f"GO-{run}"),
        Wanted(quantity=Decimal(1), item=f"NO-{run}"),
        Wanted(quantity=Decimal(1), item=counter.code, unit="barrel"),
        Wanted(quantity=Decimal(1), item=counter.code, unit="pcs"),
    ]
    told = prices.lines(counter.dealer, asked)
    assert "GO-" in told[0].message
    assert f"no product with the number 'NO-{run}'" in told[1].message
    assert "no unit 'barrel'" in told[2].message
    assert told[3].price is not None


def test_the_command_tells_the_same_price(counter: Counter) -> None:
    party = counter.clerk.people.read("party.party", counter.dealer)
    assert party is not None
    told = counter.pair.ask("price", str(party["code"]), counter.code, "50", "--steps")
    assert Decimal(told["unit_price"]) == Decimal("82.17")
    assert {one["price_list"] for one in told["steps"]} >= {f"Dealers {run}"}
    refused = counter.pair.koppel("price", str(party["code"]), f"NO-{run}")
    assert refused.returncode != 0
    assert f"no product with the number 'NO-{run}'" in refused.stderr


def test_a_quotes_prices_are_compared_and_taken_over_at_the_press_of_a_button(
    counter: Counter, clara: CremeSeller
) -> None:
    quote = counter.quote("1", "10", "50")
    with counter.pair.serving():
        assert clara.press_compare(QUOTE, quote).status_code == 200
        block = clara.block(QUOTE, quote, "koppel-prices-brick")
        assert "3 prices differ from those of the ERP" in block
        assert "82.17" in block
        assert f"Dealers {run}" in block
        assert counter.prices(quote) == [Decimal(77)] * 3
        assert clara.press_take_prices(QUOTE, quote).status_code == 200
        assert "3 prices taken over" in clara.block(QUOTE, quote, "koppel-prices-brick")
        clara.press_compare(QUOTE, quote)
        assert "All prices are those of the ERP" in clara.block(QUOTE, quote, "koppel-prices-brick")
        page = clara.page("products.product", counter.crm_pump)
        assert "koppel-sales-brick" in page
        assert f"Dealers {run}" in page
    assert counter.prices(quote) == [Decimal("95.00"), Decimal("90.00"), Decimal("82.17")]


def test_who_lacks_the_right_takes_no_prices_over(counter: Counter, clara: CremeSeller) -> None:
    quote = counter.quote("2")
    paul = CremeSeller.salesperson(counter.pair.creme, "paul")
    try:
        assert paul.press_take_prices(QUOTE, quote).status_code == 403
        assert "koppel-take-prices" not in paul.page(QUOTE, quote)
    finally:
        paul.close()
    assert "koppel-take-prices" in clara.page(QUOTE, quote)
    assert counter.prices(quote) == [Decimal(77)]
    log = (counter.pair.creme.folder / "log.txt").read_text()
    assert f"was refused to take prices over for {QUOTE} {quote}" in log


def test_without_koppel_nothing_is_taken_over(counter: Counter, clara: CremeSeller) -> None:
    quote = counter.quote("2")
    answer = clara.press_take_prices(QUOTE, quote)
    assert answer.status_code == 409
    assert "Koppel cannot be reached" in answer.text
    assert counter.prices(quote) == [Decimal(77)]


def test_a_term_a_currency_and_a_rate_of_the_erp_can_be_chosen_in_the_crm(
    counter: Counter,
) -> None:
    term = f"net 10 {run}"
    counter.clerk.add_term(term)
    lists = counter.selling.orders().lists
    assert {one.code: one.state for one in lists.look()}[term] == "missing"
    inside(counter.pair.creme, RIGHT, may=False)
    try:
        with pytest.raises(NeedsUser, match="may not add to Creme's list"):
            lists.keep(user="test")
    finally:
        inside(counter.pair.creme, RIGHT, may=True)
    assert term in [one.code for one in lists.keep(user="test")]
    states = {(one.list, one.code): one.state for one in lists.look()}
    assert states["payment_terms", term] == "both"
    assert {states["currencies", code] for code in ("EUR", "CHF", "NOK")} == {"both"}
    assert {states["tax_rates", rate] for rate in ("19", "7", "0")} == {"both"}
    assert lists.keep(user="test") == []
    assert _term(counter.selling.crm, term)


def _term(crm: Connector, name: str) -> str:
    (quotes,) = [one for one in crm.describe() if one.name == QUOTE]
    info = quotes.field("payment_terms")
    assert info is not None
    return next(one.value for one in info.choices if one.label == name)


def test_a_term_that_the_erp_does_not_know_holds_the_order_by_its_name(counter: Counter) -> None:
    lists = counter.selling.orders().lists
    alone = [one for one in lists.look() if (one.list, one.state) == ("payment_terms", "crm only")]
    assert alone
    name = alone[0].code
    quote = counter.selling.quote(
        {"product": counter.crm_pump, "quantity": Decimal(1), "unit_price": Decimal(95),
         "discount": Decimal(0), "discount_unit": "percent", "vat": Decimal(19)},
        target=counter.crm_dealer, payment_terms=_term(counter.selling.crm, name),
    )  # fmt: skip
    row = counter.selling.orders().transfer(QUOTE, quote, user="clara")
    assert row.state == "held"
    assert name in transfer_view(counter.selling.store, row)["message"]
    assert counter.selling.sales_of(quote) == []


def test_the_day_of_the_order_is_asked_for(counter: Counter) -> None:
    told = counter.selling.orders().prices.ask(
        counter.dealer, counter.pump, Decimal(1), date=date(2026, 1, 15)
    )
    assert told.unit_price == Decimal("95.0000")
