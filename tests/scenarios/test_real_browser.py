"""A person in a browser, at Koppel's pages between the real Tryton and the real Creme."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lab.creme_human import CremeHuman
from lab.tryton_human import TrytonHuman
from tests.browser.chromium import browser_beside_django, english_left, violations
from tests.scenarios.real import ORGANISATION, PARTY, PATIENCE_SECONDS, RealPair, wait_until
from tests.scenarios.test_real_serve import customer, mechanism, parties

pytestmark = [pytest.mark.tryton, pytest.mark.creme, pytest.mark.xdist_group("real")]

PATIENCE = 150_000
"""Milliseconds for what takes one second, on a machine that others use too."""
NAME, PASSWORD = "bea", "a password of five words"
PAGES = ("/", "/inbox/conflicts", "/inbox/matches", "/inbox/quarantine", "/inbox/plans",
         "/inbox/notices", "/runs", "/journal", "/setup", "/setup/rules/partner",
         "/setup/schedules", "/setup/interface", "/setup/users", "/setup/audit-log",
         "/setup/interfaces", "/setup/rules/partner/mapping/crm", "/inbox/changes",
         "/setup/rules/partner/mapping/erp/fields/billing_address", "/account")  # fmt: skip


class Person:
    """Somebody at Koppel's pages."""

    def __init__(self, running: Any, url: str, language: str, width: int = 1280) -> None:
        self.url = url
        self.context = running.new_context(
            locale=language, viewport={"width": width, "height": 900}
        )
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on(
            "console",
            lambda told: self.troubles.append(told.text) if told.type == "error" else None,
        )

    def open(self, path: str) -> Any:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self) -> None:
        self.open("/login")
        self.page.fill("#id_username", NAME)
        self.page.fill("#id_password", PASSWORD)
        self.page.click("main button[type=submit]")
        self.page.wait_for_selector("nav.parts")

    def press(self, label: str) -> None:
        self.page.get_by_role("button", name=label, exact=False).first.click()

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=PATIENCE)


@pytest.fixture(scope="module")
def served(real_pair: RealPair) -> Iterator[RealPair]:
    """Polling is put off, so that what arrives was brought by a hint or by a button."""
    with real_pair.engine() as engine:
        engine.sync(user="test")
        if NAME not in {one.name for one in engine.store.people.all()}:
            engine.store.people.add(NAME, PASSWORD, ["administrator"])
    with real_pair.serving("--poll", "3600", "--sweep", "7200"):
        yield real_pair


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with browser_beside_django() as found:
        yield found


@pytest.fixture(scope="module")
def clara(served: RealPair) -> Iterator[CremeHuman]:
    human = CremeHuman.salesperson(served.creme)
    yield human
    human.close()


@pytest.fixture(scope="module")
def admin(served: RealPair) -> Iterator[TrytonHuman]:
    human = TrytonHuman.admin(served.tryton)
    yield human
    human.close()


@pytest.fixture(scope="module")
def bea(running: Any, served: RealPair) -> Person:
    person = Person(running, served.url, "en")
    person.sign_in()
    return person


@pytest.fixture(scope="module")
def ids(served: RealPair, clara: CremeHuman, admin: TrytonHuman) -> tuple[str, str]:
    """A customer in both systems."""
    crm = clara.create(ORGANISATION, customer("Riegel Antriebe AG", "+49 731 6000"))
    wait_until(lambda: len(parties(admin, "Riegel Antriebe AG")) == 1)
    wait_until(lambda: (clara.read(ORGANISATION, crm) or {}).get("code") not in (None, ""))
    return crm, parties(admin, "Riegel Antriebe AG")[0]


def change_in_tryton(admin: TrytonHuman, erp: str, phone: str) -> None:
    child = mechanism(admin.read(PARTY, erp))
    admin.write_child("contact_mechanisms", child["id"], {"value": phone})


def test_the_button_brings_a_change_of_tryton_onto_cremes_own_page(
    running: Any, served: RealPair, bea: Person, ids: tuple[str, str], admin: TrytonHuman
) -> None:
    change_in_tryton(admin, ids[1], "+49 731 6100")
    bea.open(f"/records/partner/erp/{ids[1]}")
    bea.press("Synchronise now")
    bea.sees("brought into step")
    bea.sees("+497316100")
    creme = running.new_page()
    creme.set_default_timeout(PATIENCE)
    name, password = served.creme.admin
    creme.goto(served.creme.url)
    creme.fill("input[name=username]", name)
    creme.fill("input[name=password]", password)
    creme.press("input[name=password]", "Enter")
    creme.wait_for_load_state()
    creme.goto(f"{served.creme.url.rstrip('/')}/persons/organisation/{ids[0]}")
    assert "7316100" in re.sub(r"\D", "", creme.inner_text("body"))
    creme.close()


def test_that_run_is_taken_back_after_its_plan_was_read(
    bea: Person, ids: tuple[str, str], clara: CremeHuman
) -> None:
    bea.open("/journal?q=Riegel")
    bea.page.locator("tbody a[href^='/runs/']").first.click()
    bea.press("Take this run back")
    bea.sees("Carry it out")
    assert "6100" in str((clara.read(ORGANISATION, ids[0]) or {}).get("phone"))
    bea.press("Carry it out")
    wait_until(lambda: "6000" in str((clara.read(ORGANISATION, ids[0]) or {}).get("phone")))
    bea.sees("takes back")


def test_a_conflict_is_decided_with_a_third_value(
    bea: Person, ids: tuple[str, str], clara: CremeHuman, admin: TrytonHuman
) -> None:
    change_in_tryton(admin, ids[1], "+49 731 7000")
    clara.edit(ORGANISATION, ids[0], {"phone": "+49 731 8000"})

    def waits() -> bool:
        bea.open(f"/records/partner/erp/{ids[1]}")
        bea.press("Synchronise now")
        bea.page.wait_for_timeout(1500)
        return "Riegel" in bea.open("/inbox/conflicts").inner_text("main")

    wait_until(waits)
    card = bea.page.locator("section[data-card]", has_text="Riegel").first
    card.locator("summary").first.click()
    card.locator("input[name=value]").first.fill("+49 731 9000")
    card.get_by_role("button", name="Write this value to both").first.click()
    bea.sees("it is being written now")
    wait_until(lambda: "9000" in str(mechanism(admin.read(PARTY, ids[1]))["value"]))
    wait_until(lambda: "9000" in str((clara.read(ORGANISATION, ids[0]) or {}).get("phone")))


def test_a_proposed_pair_is_coupled_by_a_key(
    served: RealPair, bea: Person, clara: CremeHuman, admin: TrytonHuman
) -> None:
    crm = clara.create(ORGANISATION, {"name": "Sommer Technik GmbH", "roles": ["prospect"]})
    # Alone: what Tryton hints at would be made in Creme before it can be proposed.
    with served.engine(patience=PATIENCE_SECONDS) as engine, engine.alone(["partner"]):
        engine.store.inbox.log("test", "prepare", "a pair that people have to look at")
        erp = admin.create(PARTY, {"name": "Sommer Technik"})
        engine.store.inbox.propose(
            "partner", crm, erp, score=0.7, reasons=["similar name", "other town"]
        )
    wait_until(lambda: "Sommer" in bea.open("/inbox/matches").inner_text("main"))
    bea.page.locator("section[data-card]", has_text="Sommer").first.focus()
    bea.page.keyboard.press("s")
    bea.sees("the two are being coupled")
    wait_until(lambda: served.coupled().get(crm) == erp)


def test_progress_is_told_by_the_server_as_it_happens(
    bea: Person, ids: tuple[str, str], admin: TrytonHuman
) -> None:
    change_in_tryton(admin, ids[1], "+49 731 6200")
    bea.open(f"/records/partner/erp/{ids[1]}")
    with bea.page.expect_response(lambda told: told.url.endswith("/events")) as told:
        bea.press("Synchronise now")
    assert told.value.headers["content-type"].startswith("text/event-stream")
    bea.sees("+497316200")


def test_a_job_is_checked_while_it_is_typed_and_a_mapping_before_it_is_saved(bea: Person) -> None:
    page = bea.open("/setup/schedules")
    page.locator("summary", has_text="A new job").click()
    page.fill("#job-name-new", "nightly")
    page.fill("#job-cron-new", "99 2 * * *")
    bea.sees("no cron expression")
    page.fill("#job-cron-new", "30 2 * * *")
    bea.sees("It would run at")
    page = bea.open("/setup/rules/partner/mapping/crm/fields/name")
    page.fill("#native", "nmae")
    bea.sees("has no field 'nmae'")
    page.fill("#native", "name")
    page.select_option("[name=option-case]", "upper")
    bea.sees("Nothing is wrong with it")
    page.locator("form.card button.btn-primary").click()
    bea.sees("reads otherwise")
    bea.sees("RIEGEL ANTRIEBE AG")


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_page_breaks_a_rule_of_accessibility_or_leaves_a_string_untranslated(
    running: Any, served: RealPair, bea: Person, ids: tuple[str, str], language: str
) -> None:
    person = Person(running, served.url, language)
    wrong = [f"/login: {one}" for one in violations(person.open("/login"))]
    person.sign_in()
    for path in (*PAGES, f"/records/partner/crm/{ids[0]}"):
        page = person.open(path)
        wrong += [f"{path}: {one}" for one in violations(page)]
        if language == "de":
            wrong += [f"{path}: English: {one}" for one in english_left(page)]
    assert not wrong
    assert not person.troubles


def test_pages_can_be_used_on_a_phone(running: Any, served: RealPair, bea: Person) -> None:
    person = Person(running, served.url, "de", width=390)
    person.sign_in()
    for path in ("/", "/inbox/conflicts", "/runs", "/setup/rules/partner", "/setup/schedules",
                 "/setup/interfaces", "/setup/rules/partner/mapping/crm/fields/phone"):  # fmt: skip
        page = person.open(path)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, path
    assert not violations(person.open("/"))


def test_the_first_page_weighs_less_than_300_kilobytes(running: Any, served: RealPair) -> None:
    person = Person(running, served.url, "en")
    sizes: list[int] = []
    person.page.on("response", lambda told: sizes.append(_size(told)))
    person.sign_in()
    assert 0 < sum(sizes) < 300_000


def _size(answer: Any) -> int:
    told = answer.headers.get("content-length")
    return int(told) if told else len(answer.body()) if answer.ok else 0
