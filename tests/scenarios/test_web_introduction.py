"""The introduction on pages: each step pressed, looked at, undone, and what both systems hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from koppel.config import now
from koppel.engine.lines import Lines
from koppel.engine.watch import Pace, Watch
from koppel.testing.generated import crm_fields, fill_crm, fill_erp, partners
from koppel.web import service
from tests.scenarios.pair import PairOfSystems

AT = "/setup/introduction"


@dataclass
class Pages:
    """Somebody at the introduction's pages."""

    pair: PairOfSystems
    web: Client

    def see(self, path: str) -> str:
        answer = self.web.get(path, follow=True)
        assert answer.status_code == 200, path
        return str(answer.content.decode())

    def press(self, step: str, what: str = "do", **told: Any) -> str:
        """Press a step's button and wait for what it begins; the step's page then."""
        answer = self.web.post(f"{AT}/{step}/{what}", told, follow=True)
        page = str(answer.content.decode())
        while found := re.search(r'hx-get="(/errands/\w+)"', page):
            time.sleep(0.05)
            page = self.see(found[1])
        assert "alert-danger" not in page, page
        return self.see(f"{AT}/{step}")

    def written(self) -> bool:
        return any(self.pair.connectors[side].calls["write"] for side in ("crm", "erp"))


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.03)


@pytest.fixture
def pages(pair: PairOfSystems) -> Iterator[Pages]:
    """Two filled systems, and a Koppel that serves and has been told to lead on its pages."""
    fill_crm(pair.crm, 6, contacts=0)
    fill_erp(pair.erp, 12, contacts=0)
    pair.crm_human.create("organisation", crm_fields(next(iter(partners(1)))))
    pair.store.guide.add("assess", "open", by="ada", result={})
    pair.store.people.add("ada", "a password of five words", ["administrator"])
    watch = Watch(pair.engine, now, Pace(poll=0.05, gather=0.01))
    lines = Lines(pair.store, pair._connect)
    service.use(service.Service(store=pair.store, lines=lines, watch=watch, clock=now))
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="ada"))
    watch.start()
    try:
        until(lambda: watch.last_error)
        yield Pages(pair, web)
    finally:
        watch.stop()
        service._current.clear()


def test_the_introduction_is_led_through_on_pages(pages: Pages) -> None:
    assert "nothing runs by itself" in pages.see(AT)
    assert 'class="facts"' in pages.press("connect")
    page = pages.press("assess", minutes="4")
    assert "The whole report with charts" in page
    report = pages.web.get(f"{AT}/report")
    assert "attachment" in report.headers["Content-Disposition"]
    assert b"<svg" in report.content
    page = pages.see(f"{AT}/owners")
    rule = pages.pair.store.documents.get("rule", "partner") or ""
    assert "every customer of the ERP".lower() in page.lower()
    pages.press("owners", **{"rule-partner": rule.replace("creates = 1000", "creates = 999")})
    assert "creates = 999" in (pages.pair.store.documents.get("rule", "partner") or "")
    assert "2 pairs wait for your word" in pages.press("match")
    assert "The whole plan" in pages.press("plan", fill="owned")
    assert not pages.written()
    page = pages.press("sample", size="3")
    assert "Look at these in both systems" in page
    assert pages.pair.store.couplings.count() == 3
    pages.press("sample", "undo")
    assert pages.pair.store.couplings.count() == 0
    pages.press("load", per_hour="100000")
    assert pages.pair.store.couplings.count("partner", "active") == 11
    pages.press("schedules", zone="Europe/Berlin", batch="30 2 * * *", audit="")
    assert "nightly" in (pages.pair.store.documents.get("schedule", "koppel") or "")
    page = pages.press("sample", "skip")
    assert "All steps are done" in pages.see(AT)
    assert "nothing runs by itself" not in pages.see(AT)


def test_what_does_not_fit_is_told_and_nothing_is_changed(pages: Pages) -> None:
    pages.press("connect")
    pages.press("assess")
    before = pages.pair.store.documents.get("rule", "partner")
    answer = pages.web.post(f"{AT}/owners/do", {"rule-partner": "entity = 'partner'"}, follow=True)
    page = str(answer.content.decode())
    while found := re.search(r'hx-get="(/errands/\w+)"', page):
        time.sleep(0.05)
        page = pages.see(found[1])
    assert "alert-danger" in page
    assert pages.pair.store.documents.get("rule", "partner") == before
    answer = pages.web.post(f"{AT}/load/do", {"quiet": "evening"}, follow=True)
    assert "is no span of hours" in str(answer.content.decode())
    assert pages.web.get(f"{AT}/lunch").status_code == 404
    assert pages.web.post(f"{AT}/lunch/do").status_code == 404


def test_who_may_only_look_sees_no_buttons_and_writes_nothing(pages: Pages) -> None:
    pages.pair.store.people.add("vera", "a password of five words", ["viewer"])
    pages.web.force_login(get_user_model().objects.get(username="vera"))
    assert "<form" not in pages.see(f"{AT}/load").partition("<main")[2]
    for step in ("connect", "load", "sample"):
        assert pages.web.post(f"{AT}/{step}/do").status_code == 403
        assert pages.web.post(f"{AT}/{step}/undo").status_code == 403
    assert not pages.written()


def test_the_pages_speak_german(pages: Pages) -> None:
    pages.web.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    buttons = {
        "assess": "Bestand bewerten",
        "plan": "Probelauf",
        "sample": "Stichprobe laden",
        "load": "Alles laden",
        "schedules": "Zeitpläne einschalten",
    }
    for step, label in buttons.items():
        assert f'<button class="btn btn-primary">{label}</button>' in pages.see(f"{AT}/{step}")
    owners = pages.see(f"{AT}/owners")
    assert "Zuerst kommt die Bewertung." in owners
    assert "btn-primary" not in owners
    assert "Einführung" in pages.see(AT)
