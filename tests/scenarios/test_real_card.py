"""From Tryton's own pages to what Koppel knows of the record, without a second sign-in."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from koppel.connectors.base import Record
from koppel.connectors.tryton.rpc import TrytonSession
from tests.live.test_tryton_card import clicked
from tests.scenarios.real import PARTY, wait_until
from tests.scenarios.real_orders import QUOTE, SALE, RealSales

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]


@pytest.fixture(scope="module")
def admin(real_sales: RealSales) -> Iterator[TrytonSession]:
    """Somebody at Tryton's client, signed in there and nowhere else."""
    running = real_sales.pair.tryton
    made = TrytonSession(running.url, running.koppel["database"], *running.admin, name="tryton")
    yield made
    made.close()


def opened(url: str) -> tuple[int, str]:
    """A browser without any cookie opens the address."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_click_in_tryton_shows_the_customer_and_the_sale_without_a_sign_in(
    selling: RealSales, admin: TrytonSession
) -> None:
    quote = selling.quote(selling.line(0, "3"), customer_reference="PO-0815")
    assert selling.orders().transfer(QUOTE, quote, user="clara").state == "done"
    (sale,) = selling.sales_of(quote)
    party = selling.erp.fetch(PARTY, [sale.fields["party"]])[sale.fields["party"]]
    assert isinstance(party, Record)
    with selling.pair.serving("--poll", "3600"):
        # Links are asked for anew: what is shown is as new as what Koppel has read.
        wait_until(lambda: "PO-0815" in opened(clicked(admin, SALE, int(sale.id)))[1])
        link = clicked(admin, SALE, int(sale.id))
        status, page = opened(link)
        assert (status, sale.fields["number"] in page) == (200, True)
        status, page = opened(clicked(admin, PARTY, int(party.id)))
        assert (status, party.fields["name"] in page) == (200, True)
        assert opened(link[:-1] + ("a" if link[-1] != "a" else "b"))[0] == 401
        lines = selling.store.audit_log.recent(40)
        said = {(one.user, one.action, one.subject) for one in lines}
        for subject in (f"order erp {sale.id}", f"partner erp {party.id}"):
            assert ("admin in tryton", "make card link", subject) in said
            assert ("admin in tryton", "see card", subject) in said


def test_the_card_of_the_crms_quote_tells_what_became_of_it_in_the_erp(selling: RealSales) -> None:
    quote = selling.quote()
    assert selling.orders().transfer(QUOTE, quote, user="clara").state == "done"
    (sale,) = selling.sales_of(quote)

    def card() -> str:
        told: dict[str, Any] = selling.pair.ask("card-link", "order", "crm", quote)
        return opened(selling.pair.url + told["url"])[1]

    with selling.pair.serving("--poll", "3600"):
        wait_until(lambda: str(sale.fields["number"]) in card())
