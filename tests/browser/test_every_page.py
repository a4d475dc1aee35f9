"""Every page there is, taken from the list of addresses: a new one is included by itself.

Each breaks no rule of WCAG 2.1 AA, is in the language of the person, fits a phone, and says so in
the audit log where it shows records.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from koppel.store.order_models import Process
from koppel.web import service
from koppel.web.rights import right_of
from koppel.web.urls import urlpatterns
from tests.browser.chromium import english_left, violations
from tests.browser.everything import FILES, addresses, fill_everything
from tests.browser.house import NAME, House

pytestmark = pytest.mark.xdist_group("browser")

UNLOGGED = frozenset({
    "home", "inbox", "login", "account", "second_factor", "setup", "introduction", "step", "schema",
    "rule", "version", "interface", "users", "runs", "errand", "schedules", "schedule_version",
    "mapping", "mapping_version", "mapping_field", "interfaces", "webhook", "healthz", "readyz",
    "metrics", "audit", "persons",
})  # fmt: skip
"""Pages that show nobody's records, or only after a wish that is written down by itself."""
SIGNED_OUT = ("login",)


@pytest.fixture(scope="module")
def full(served: House) -> House:
    fill_everything(served)
    return served


@pytest.fixture(scope="module")
def pages(full: House) -> list[tuple[str, str]]:
    """(name, path) of what answers a GET with a page."""
    found, wrong = [], []
    rights = {str(pattern.name): right_of(pattern.callback) for pattern in urlpatterns}
    for name, path in addresses(full):
        if not path:
            call = next(one.callback for one in urlpatterns if one.name == name)
            if _takes_get(call, rights[name]):
                wrong.append(f"{name}: no example in tests/browser/everything.py")
            continue
        answer = full.desk.web.get(path)
        page = answer.headers.get("Content-Type", "").startswith("text/html")
        if answer.status_code == 200 and page:
            found.append((name, path))
        elif answer.status_code not in (200, 302, 405):
            wrong.append(f"{name} {path}: {answer.status_code}")
    assert not wrong
    return found


def _takes_get(call: Any, right: Any) -> bool:
    """Is it a page that people open? Buttons answer a GET with 405, systems' calls are signed."""
    from django.test import RequestFactory

    if right is not None and right.kind in ("signed", "token"):
        return False
    answer: Any = None
    try:
        answer = call(RequestFactory().get("/"))
    except Exception:
        return True  # it wants the parts of its address
    return bool(answer.status_code != 405)


def test_the_list_is_whole(pages: list[tuple[str, str]]) -> None:
    names = {name for name, _ in pages}
    assert len(names) > 40
    assert not names & set(FILES)


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_page_breaks_a_rule_or_is_in_the_wrong_language(
    full: House, pages: list[tuple[str, str]], running: Any, language: str
) -> None:
    page = full.person(running, language)
    wrong = []
    for _name, path in pages:
        page.goto(full.url + path)
        wrong += [f"{path}: {one}" for one in violations(page)]
        if language == "de":
            wrong += [f"{path}: English: {one}" for one in english_left(page)]
        wrong += [f"{path}: {one}" for one in page.troubles]
        page.troubles.clear()
    assert not wrong


def test_every_page_fits_a_phone(full: House, pages: list[tuple[str, str]], running: Any) -> None:
    page = full.person(running, "de", width=390)
    wrong = []
    for _name, path in pages:
        page.goto(full.url + path)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        wrong += [f"{path}: {wide} too wide"] if wide > 0 else []
    assert not wrong


def test_the_log_of_an_order_is_german(full: House, running: Any) -> None:
    page = full.person(running, "de")
    (order,) = Process.objects.all()
    page.goto(f"{full.url}/processes/{order.id}")
    text = page.inner_text("main")
    said = {part for one in order.entries.all() for part in (one.step, one.text) if part}
    assert len(said) > 10
    assert [one for one in said if one in text] == []
    assert "brutto 23,80 EUR" in text


CUT_OFF = """() => [...document.querySelectorAll("main *")].filter(one =>
    !one.closest(".visually-hidden, textarea") && !one.matches("input")
    && one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1
    && (getComputedStyle(one).overflowX !== "visible" || one.matches(".tile, .card, .choice")))
    .map(one => `${one.tagName}.${one.className} ${one.innerText.slice(0, 60)}`)"""


@pytest.mark.parametrize("language", ["en", "de"])
def test_nothing_is_cut_off_or_scrolls_sideways_on_a_desk(
    full: House, pages: list[tuple[str, str]], running: Any, language: str
) -> None:
    page = full.person(running, language, width=1280)
    wrong = []
    for _name, path in pages:
        page.goto(full.url + path)
        wrong += [f"{path}: {one}" for one in page.evaluate(CUT_OFF)]
    assert not wrong


def test_both_sides_are_compared_at_a_glance_on_a_phone(
    full: House, pages: list[tuple[str, str]], running: Any
) -> None:
    page = full.person(running, "de", width=390)
    (coupling,) = (path for name, path in pages if name == "coupling")
    for path in ("/inbox/matches", coupling):
        page.goto(full.url + path)
        assert page.locator(".compare td").count() > 10
        hidden = page.evaluate(
            """() => [...document.querySelectorAll(".compare")].filter(
                one => one.scrollWidth > one.clientWidth).length"""
        )
        assert hidden == 0, path


def test_every_page_that_shows_records_says_so_in_the_audit_log(
    full: House, pages: list[tuple[str, str]]
) -> None:
    log = full.desk.pair.store.audit_log
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username=NAME))
    silent = set()
    for name, path in pages:
        service.current().looks.settle(everything=True)
        before = log.recent(1)[0].id
        assert web.get(path).status_code == 200, path
        if log.recent(1)[0].id == before:
            silent.add(name)
    assert silent - UNLOGGED == set()
