"""A person at Koppel's pages, with the two memory systems behind them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from koppel.config import now
from koppel.engine.lines import Lines
from koppel.engine.watch import Pace, Watch
from koppel.testing.generated import crm_fields, erp_fields, partners
from koppel.web import service
from tests.scenarios.pair import PairOfSystems


@dataclass
class Desk:
    """A person at Koppel's pages, and both systems behind them."""

    pair: PairOfSystems
    watch: Watch
    web: Client
    crm: str
    erp: str

    def see(self, path: str, **query: str) -> str:
        answer = self.web.get(path, query, follow=True)
        assert answer.status_code == 200, (path, answer.status_code)
        return str(answer.content.decode())

    def press(self, path: str, **told: Any) -> str:
        """Post a form, follow what it leads to, and wait for an errand to end."""
        answer = self.web.post(path, told, follow=True)
        page = str(answer.content.decode())
        while found := re.search(r'hx-get="(/errands/\w+)"', page):
            time.sleep(0.05)
            page = self.see(found[1])
        return page

    def erp_emails(self) -> list[str]:
        fields = self.pair.erp.row("party", self.erp).fields
        return [way["value"] for way in fields["contact_mechanisms"] if way["type"] == "email"]

    def crm_email(self) -> Any:
        return self.pair.crm.row("organisation", self.crm).fields["email"]

    def edit_crm(self, **fields: Any) -> None:
        self.pair.crm_human.edit("organisation", self.crm, fields)

    def edit_erp(self, email: str) -> None:
        ways = self.pair.erp.row("party", self.erp).fields["contact_mechanisms"]
        kept = [{**w, "value": email} if w["type"] == "email" else w for w in ways]
        self.pair.erp_human.edit("party", self.erp, {"contact_mechanisms": kept})


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.03)


def at_the_desk(pair: PairOfSystems) -> Iterator[Desk]:
    """The person, an administrator, while Koppel watches; one partner stands on both sides."""
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    erp = pair.erp_human.create("party", erp_fields(partner))
    pair.store.people.add("anna", "a password of five words", ["administrator"])
    watch = Watch(pair.engine, now, Pace(poll=3600, gather=0.01))
    lines = Lines(pair.store, pair._connect)
    service.use(service.Service(store=pair.store, lines=lines, watch=watch, clock=now))
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(get_user_model().objects.get(username="anna"))
    watch.start()
    try:
        until(lambda: watch.last_poll is not None)
        yield Desk(pair, watch, web, crm, erp)
    finally:
        watch.stop()
        service._current.clear()
