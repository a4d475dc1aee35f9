"""Something on every page of the house, and what each address is opened with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import reverse

from koppel.config import now
from koppel.engine.guide import NAMES as STEPS
from koppel.processes import cards, target_groups
from koppel.store.models import Quarantine, Run
from koppel.store.order_models import OrderLink, Process
from koppel.store.people_models import Erasure
from koppel.store.seen_models import Article, Bill, Customer, Person, Sale, TargetGroup
from koppel.store.work_models import Webhook
from koppel.web.inbox import TABS
from koppel.web.urls import urlpatterns
from tests.browser.house import NAME, House

SCHEDULE = """zone = "Europe/Berlin"

[jobs.nightly]
run = "sync"
cron = "{} 2 * * *"
"""
OVERLAY = '[fields.phone]\nnative = "phone"\nlens = "phone"\n'
FILES = {
    "export": "a list as a file",
    "assessment": "the report as a file",
    "errand_events": "progress as a stream",
    "run_events": "progress as a stream",
    "order_invoice": "an invoice as the ERP prints it",
    "interface_pdf": "a file",
    "provider_begin": "leads to the sign-in service",
    "provider_back": "comes from the sign-in service",
    "sign_in_code": "comes after a password alone",
}
"""Addresses that show no page of their own, and why."""


def fill_everything(house: House) -> None:
    """Conflicts, proposals, quarantine, plans, orders, versions, alarms, people: one of each."""
    desk, selling, store = house.desk, house.selling, house.desk.pair.store
    told = {
        "organisation": desk.crm,
        "last_name": "Quast",
        "first_name": "Xanthippe",
        "email": "x.quast@example.org",
    }
    house.contact = desk.pair.crm_human.create("contact", told)
    desk.press("/runs/sync")
    desk.edit_crm(email="one@a.example")
    desk.edit_erp("two@a.example")
    desk.press(f"/records/partner/crm/{desk.crm}/synchronise")
    begun = desk.web.post("/runs/sync", {"plan": "1"})
    house.errand = begun.headers["Location"].rpartition("/")[2]
    assert selling.transfer(selling.quote()).state == "done"
    selling.erp.discontinued.add("P-002")
    store.inbox.propose(
        "partner", selling.prospect, desk.erp, score=0.7, reasons=["similar name", "other town"]
    )
    Quarantine.objects.create(
        entity="partner", side="erp", record=desk.erp, label="Muster AG", fingerprint="x",
        reason="the VAT number is not valid", remedy="Correct it in the CRM", state="open",
        failures=2, at=now(),
    )  # fmt: skip
    fill_people(house)
    store.alarms.raise_("audit", "", "The audit found 3 differences.")
    for minute in (30, 45):
        store.documents.put("schedule", "koppel", SCHEDULE.format(minute), author=NAME)
    for text in ("", OVERLAY):
        store.documents.put("overlay", "crm/partner", text, author=NAME)
    store.webhooks.add("https://example.org/hook", ["run.ended"], "secret", by=NAME)
    target_groups.make(store, "Germany", "q=K1", now().date(), user=NAME)
    desk.press(f"/persons/contact/crm/{house.contact}/erase")


def fill_people(house: House) -> None:
    """Contacts of the customer, with the long words of German and of people's addresses."""
    told = (
        ("Heike Wüthrich-Schallenberger", "Geschäftsführung", "crm"),
        ("Lukas Hämmerli", "Konstruktion und Arbeitsvorbereitung", "crm"),
        ("Maximiliane Brünnighoff", "Einkauf", "erp"),
    )
    Person.objects.bulk_create(
        Person(
            side=side, record=f"p{number}", name=name, job=job, phone="+41615128843",
            partner=house.desk.crm if side == "crm" else house.desk.erp,
            email=f"{name.split()[0].lower()}.wuethrich@aebischer-brauereitechnik.example",
            read_at=now(),
        )
        for number, (name, job, side) in enumerate(told)
    )  # fmt: skip


def parts(house: House) -> Mapping[str, list[dict[str, Any]]]:
    """Address -> what stands for its parts, once or more."""
    desk, store = house.desk, house.desk.pair.store
    (row,) = store.couplings.by_record("partner", "crm", [desk.crm]).values()
    link = OrderLink.objects.first()
    process = Process.objects.first()
    assert link is not None
    assert process is not None
    rule = {"entity": "partner"}
    side = {**rule, "side": "crm"}
    token = cards.make_link(store, "partner", "crm", desk.crm, user=NAME, figures=True).path
    sale = cards.make_link(store, "order", "erp", "33", user=NAME, figures=True).path

    def first(model: Any) -> dict[str, Any]:
        return {"number": model.objects.order_by("id").values_list("id", flat=True)[0]}

    return {
        "card_page": [{"token": one.removeprefix("/card/")} for one in (token, sale)],
        "inbox_tab": [{"tab": tab} for tab in TABS],
        "run": [{"number": one.id} for one in Run.objects.order_by("-id")[:3]],
        "step": [{"step": step} for step in STEPS],
        "schema": [{"connection": name} for name in ("crm", "erp")],
        "rule": [rule],
        "version": [{**rule, "number": 1}],
        "erasure": [first(Erasure)],
        "person": [{"entity": "contact", "side": "crm", "record": house.contact}],
        "errand": [{"errand": house.errand}],
        "coupling": [{"coupling": row.id}],
        "record": [{"entity": "partner", "side": "crm", "record": house.selling.prospect}],
        "process": [{"process": process.id}],
        "order_page": [{"link": link.id}],
        "schedule_version": [{"number": 1}],
        "mapping": [side, {**rule, "side": "erp"}],
        "mapping_version": [{**side, "number": 1}],
        "mapping_field": [{**side, "field": "phone"}, {**side, "field": "billing_address"}],
        "webhook": [first(Webhook)],
        "customer": [{"number": Customer.objects.get(number="K1").id}],
        "product": [first(Article)],
        "sale": [first(Sale)],
        "invoice": [first(Bill)],
        "target": [first(TargetGroup)],
    }


MORE: Mapping[str, tuple[str, ...]] = {
    "customer": ("?tab=orders", "?tab=invoices", "?tab=timeline", "?tab=fields"),
    "customers": ("?q=muster", "?abc=A"),
    "orders": ("?kind=quote", "?kind=opportunity"),
    "insight": ("?by=salesperson",),
    "audit": ("?verify=1",),
    "run": ("?kind=update",),
}
"""Other views of a page, by its query."""


def addresses(house: House) -> Iterator[tuple[str, str]]:
    """(name, path) of every page; an address without an example fails with its name."""
    known = parts(house)
    for pattern in urlpatterns:
        name = str(pattern.name)
        if name in FILES or name.startswith("api_"):
            continue
        wanted = pattern.pattern.converters
        if wanted and name not in known:
            yield name, ""
            continue
        for one in known.get(name, [{}]):
            path = reverse(name, kwargs=one)
            yield name, path
            yield from ((name, path + query) for query in MORE.get(name, ()))
