"""Koppel on the pages of quotes, orders and customers: the button, the blocks, the hints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.creme import Creme
from lab.creme_seller import CremeSeller
from lab.system import Running, free_port
from tests.live.creme_inside import inside
from tests.live.creme_listener import Listener

pytestmark = pytest.mark.creme

QUOTE, ORDER, ORGANISATION = "billing.quote", "billing.salesorder", "persons.organisation"
numbers = count(1)
AWAY = "Koppel cannot be reached at the moment"
TRANSFERRED = {
    "ok": True,
    "state": "transferred",
    "erp_number": "SO-42",
    "message": "Transferred as SO-42, delivery on 2026-12-04.",
    "url": "/orders/7",
    "lines": [],
}
STANDING: dict[str, Any] = {
    "state": "transferred",
    "erp_number": "SO-42",
    "erp_status": "processing",
    "currency": "EUR",
    "lines": [
        {
            "position": 1,
            "description": "Kreiselpumpe",
            "ordered": "10",
            "delivered": "4.5",
            "open": "5.5",
            "planned": "2026-12-04",
            "status": "partly shipped",
        }
    ],
    "shipments": [{"number": "LS-7", "effective_date": "2026-11-25", "state": "done"}],
    "invoices": [
        {
            "number": "RE-815",
            "date": "2026-11-25",
            "due": "2026-12-25",
            "net": "1234.50",
            "tax": 234.56,
            "gross": "1469.06",
            "open": "469.06",
            "status": "partial",
            "url": "/invoices/815.pdf",
        }
    ],
    "dunning": {"level": 2, "date": "2026-11-20"},
    "credit": {"limit": "50000", "exposure": "1000"},
    "age_seconds": 190,
    "messages": ["The delivery has moved by three days."],
    "url": "/orders/7",
}
FIGURES = {
    "currency": "EUR",
    "turnover": "123456.78",
    "open_items": "4711",
    "backlog": "99000",
    "credit_limit": None,
    "exposure": "12345.67",
    "dunning_level": 1,
    "age_seconds": 5,
    "orders": [{"number": "SO-42", "date": "2026-11-20", "net": "99", "status": "confirmed"}],
    "invoices": STANDING["invoices"],
}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def talking(port: int, worker_id: str) -> Iterator[Running]:
    """A Creme that knows where Koppel is."""
    lab, instance = Creme(attached=True), f"test-selling-{worker_id}"
    lab.reset(instance, "bare")
    yield lab.start(instance, "bare", koppel_url=f"http://127.0.0.1:{port}", hint_secret="geheim")
    lab.stop(instance)


@pytest.fixture
def koppel(port: int) -> Iterator[Listener]:
    listener = Listener(port, answer=STANDING)
    listener.open()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def clara(talking: Running) -> Iterator[CremeSeller]:
    """She may transfer."""
    human = CremeSeller.salesperson(talking, "clara")
    yield human
    human.close()


@pytest.fixture(scope="module")
def paul(talking: Running) -> Iterator[CremeSeller]:
    """He may not."""
    human = CremeSeller.salesperson(talking, "paul")
    yield human
    human.close()


@pytest.fixture(scope="module")
def customer(clara: CremeSeller) -> str:
    return clara.create(ORGANISATION, {"name": "Kunde"})


@pytest.fixture(scope="module", params=[QUOTE, ORDER])
def document(request: pytest.FixtureRequest, clara: CremeSeller, customer: str) -> tuple[str, str]:
    """A quote or an order with one line: its resource and its id."""
    line = {"on_the_fly_item": "Fracht", "unit_price": Decimal(9), "quantity": Decimal(1)}
    fields = {"name": f"Beleg {next(numbers)}", "target": customer, "lines": [line]}
    return request.param, clara.create(request.param, fields)


def fresh_block(human: CremeSeller, koppel: Listener, resource: str, id: str) -> str:
    """The block, asked for until Creme asks Koppel again."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = human.block(resource, id)
        if AWAY not in text:
            return text
        time.sleep(0.5)
    raise AssertionError("Creme did not ask Koppel again")


def transfers(koppel: Listener) -> list[Any]:
    return [one for one in koppel.heard if one.path.endswith("/transfer")]


# The button.


def test_the_button_transfers_in_the_name_of_its_user(
    koppel: Listener, clara: CremeSeller, document: tuple[str, str]
) -> None:
    resource, id = document
    fresh_block(clara, koppel, resource, id)
    assert f'href="/koppel/transfer/{resource}/{id}"' in clara.page(resource, id)
    koppel.answer = TRANSFERRED
    answer = clara.press_transfer(resource, id)
    assert answer.status_code == 200
    assert (answer.json()["erp_number"], answer.json()["ok"]) == ("SO-42", True)
    (heard,) = transfers(koppel)
    assert (heard.method, heard.path) == ("POST", f"/api/orders/creme/{resource}/{id}/transfer")
    assert heard.told == {"user": "clara"}
    assert heard.signed_with(b"geheim")
    koppel.answer = STANDING
    assert "Transferred as SO-42, delivery on 2026-12-04." in clara.block(resource, id)
    assert "Transferred as SO-42" not in clara.block(resource, id), "it is told once"


def test_a_transfer_that_koppel_refuses_is_told_line_by_line(
    koppel: Listener, talking: Running, clara: CremeSeller, document: tuple[str, str]
) -> None:
    koppel.answer = {
        "ok": False,
        "state": "held",
        "erp_number": None,
        "message": "The totals differ by 0.01 EUR.",
        "url": "/orders/7",
        "lines": ["Line 2: 9.00 here, 8.99 in the ERP"],
    }
    answer = clara.press_transfer(*document)
    assert answer.status_code == 409
    assert answer.text == "The totals differ by 0.01 EUR.\nLine 2: 9.00 here, 8.99 in the ERP"
    log = (Path(talking.folder) / "log.txt").read_text()
    assert f"transferred {document[0]} {document[1]} to the ERP: The totals differ" in log


def test_a_transfer_that_waits_for_the_erp_is_no_failure(
    koppel: Listener, clara: CremeSeller, document: tuple[str, str]
) -> None:
    koppel.answer = {"ok": False, "state": "waiting", "message": "The ERP is away; it follows."}
    answer = clara.press_transfer(*document)
    assert answer.status_code == 200
    koppel.answer = {"state": "waiting"}
    text = fresh_block(clara, koppel, *document)
    assert "The ERP is away; it follows." in text
    assert "State Waiting" in text


def test_who_lacks_the_right_transfers_nothing_and_it_is_logged(
    koppel: Listener, talking: Running, paul: CremeSeller, document: tuple[str, str]
) -> None:
    resource, id = document
    assert paul.press_transfer(resource, id).status_code == 403
    assert transfers(koppel) == []
    log = (Path(talking.folder) / "log.txt").read_text()
    assert f"was refused to transfer {resource} {id}" in log
    page = paul.page(resource, id)
    assert "Your role may not transfer orders to the ERP." in page
    assert f'href="/koppel/transfer/{resource}/{id}"' not in page


def test_nobody_transfers_without_a_log_in(talking: Running, document: tuple[str, str]) -> None:
    path = f"{talking.url}/koppel/transfer/{document[0]}/{document[1]}"
    assert httpx.post(path).status_code in (302, 403)
    assert httpx.get(path).status_code in (302, 405)


def test_only_quotes_and_orders_are_transferred(
    koppel: Listener, clara: CremeSeller, customer: str
) -> None:
    assert clara.press_transfer(ORGANISATION, customer).status_code == 404
    assert clara.press_transfer("no.such", customer).status_code == 404
    assert transfers(koppel) == []


def test_the_button_pressed_five_times_asks_for_the_same_order_five_times(
    koppel: Listener, clara: CremeSeller, document: tuple[str, str]
) -> None:
    koppel.answer = TRANSFERRED
    koppel.delay = 0.2
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: clara.press_transfer(*document), range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["erp_number"] for answer in answers} == {"SO-42"}
    asked = {(one.path, one.body) for one in transfers(koppel)}
    assert len(asked) == 1, "nothing in the calls tells them apart: Koppel makes one order"


def test_a_press_while_koppel_is_away_says_that_pressing_again_is_safe(
    clara: CremeSeller, document: tuple[str, str]
) -> None:
    answer = clara.press_transfer(*document)
    assert answer.status_code == 409
    assert "no second order is made" in answer.text


# The blocks.


def test_the_block_shows_where_the_order_stands_line_by_line(
    koppel: Listener, clara: CremeSeller, document: tuple[str, str]
) -> None:
    text = fresh_block(clara, koppel, *document)
    for part in (
        "Transferred", "SO-42", "In progress", "Kreiselpumpe", "10", "4.5", "5.5", "12/04/2026",
        "Partly shipped", "LS-7", "11/25/2026", "RE-815", "1,234.50", "469.06", "Partly paid",
        "level 2", "50,000.00", "The delivery has moved by three days.", "3 minutes ago",
        "Open in Koppel", "Refresh",
    ):  # fmt: skip
        assert part in text, f"{part} is missing in: {text}"
    page = clara.page(*document)
    assert f'href="http://127.0.0.1:{koppel.port}/invoices/815.pdf"' in page
    assert f'href="http://127.0.0.1:{koppel.port}/orders/7"' in page
    heard = next(one for one in koppel.heard if one.path.startswith("/api/orders/"))
    assert heard.path == f"/api/orders/creme/{document[0]}/{document[1]}"
    assert heard.signed_with(b"geheim")


def test_the_block_of_a_customer_shows_the_erps_figures(
    koppel: Listener, clara: CremeSeller, customer: str
) -> None:
    koppel.answer = FIGURES
    text = fresh_block(clara, koppel, ORGANISATION, customer)
    for part in (
        "Turnover", "123,456.78", "4,711.00", "99,000.00", "12,345.67", "level 1", "SO-42",
        "Confirmed", "RE-815", "just now",
    ):  # fmt: skip
        assert part in text, f"{part} is missing in: {text}"
    assert "Credit limit" not in text, "what Koppel does not know is not shown as zero"
    assert f"/api/figures/creme/{ORGANISATION}/{customer}" in [one.path for one in koppel.heard]


def test_refresh_asks_the_erp_anew(
    koppel: Listener, paul: CremeSeller, document: tuple[str, str], customer: str
) -> None:
    for resource, id, path in (
        (*document, f"/api/orders/creme/{document[0]}/{document[1]}?fresh=1"),
        (ORGANISATION, customer, f"/api/figures/creme/{ORGANISATION}/{customer}?fresh=1"),
    ):
        koppel.heard.clear()
        assert paul.press_refresh(resource, id).status_code == 200
        (heard,) = [one for one in koppel.heard if "fresh" in one.path]
        assert heard.path == path
        heard.path = path.removesuffix("?fresh=1")
        assert heard.signed_with(b"geheim"), "the signature is without the query"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "has not been transferred to the ERP yet"),
        (500, "Koppel answered with an error"),
        (401, "compare the two hint secrets"),
    ],
)
def test_the_block_says_in_a_sentence_why_it_shows_nothing(
    koppel: Listener, clara: CremeSeller, document: tuple[str, str], status: int, sentence: str
) -> None:
    koppel.status = status
    assert sentence in fresh_block(clara, koppel, *document)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"lines": "none", "invoices": [1, {}], "dunning": 7, "credit": [], "age_seconds": "old"},
        {"lines": [{"ordered": "many", "planned": "soon", "status": {"a": 1}}], "url": "ftp://x"},
        {"state": "<script>alert(1)</script>", "messages": [None, {"a": 1}, "<b>x</b>"]},
    ],
)
def test_a_strange_answer_never_breaks_the_page(
    koppel: Listener, clara: CremeSeller, document: tuple[str, str], answer: dict[str, Any]
) -> None:
    koppel.answer = answer
    fresh_block(clara, koppel, *document)
    page = clara.page(*document)
    assert "<script>alert(1)" not in page
    assert "<b>x</b>" not in page


def test_a_page_waits_at_most_once_for_a_koppel_that_is_away(
    clara: CremeSeller, document: tuple[str, str]
) -> None:
    assert AWAY in clara.block(*document)
    started = time.monotonic()
    assert AWAY in clara.block(*document)
    assert time.monotonic() - started < 4.0


def test_the_page_is_german_for_a_user_who_reads_german(
    koppel: Listener, talking: Running, clara: CremeSeller, document: tuple[str, str]
) -> None:
    switch = (
        "from creme.creme_core.models import CremeUser\n"
        "user = CremeUser.objects.get(username='clara')\n"
        "user.language = language\n"
        "user.save()"
    )
    fresh_block(clara, koppel, *document)
    inside(talking, switch, language="de")
    try:
        text = clara.block(*document)
    finally:
        inside(talking, switch, language="")
    for part in ("Nummer im ERP", "In Arbeit", "Teilweise geliefert", "1.234,50", "vor 3 Minuten"):
        assert part in text, f"{part} is missing in: {text}"


# Hints.


@pytest.mark.parametrize("what", ["status", "line", "new line", "gone line", "header"])
def test_all_that_changes_a_document_is_hinted_at(
    koppel: Listener, clara: CremeSeller, customer: str, what: str
) -> None:
    lines = [{"on_the_fly_item": "A", "unit_price": Decimal(1)}]
    resource, label = (QUOTE, "Accepted") if what == "status" else (ORDER, "")
    id = clara.create(resource, {"name": "Q", "target": customer, "lines": lines})
    assert koppel.wait_for(resource, id)
    time.sleep(0.5)
    koppel.heard.clear()
    match what:
        case "status":
            clara.set_status(resource, id, label)
        case "line":
            line = clara.lines(resource, id)[0]
            clara.edit_line(resource, id, line, {"quantity": Decimal(2)})
        case "new line":
            clara.add_line(resource, id, lines[0])
        case "gone line":
            clara.delete_line(resource, id, clara.lines(resource, id)[0])
        case _:
            clara.edit(resource, id, {"comment": "eilig"})
    assert koppel.wait_for(resource, id)
