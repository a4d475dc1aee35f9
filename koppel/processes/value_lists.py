"""The lists that people choose from in the CRM, beside those of the ERP: terms, currencies, taxes.

Whatever the ERP has and the CRM lacks is added there, where the CRM lets Koppel. What only the CRM
has stays, and is told: an order with it is held, unless the settings of orders say what it means.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from koppel.connectors.base import Choice
from koppel.errors import NeedsUser
from koppel.processes.systems import Systems

logger = logging.getLogger(__name__)

State = Literal["both", "mapped", "missing", "crm only"]
KEPT = ("payment_terms", "currencies", "tax_rates")
"""Lists that follow the ERP by themselves. Categories are made when a product needs one."""
EVERY = timedelta(minutes=10)


class Value(Struct, frozen=True, kw_only=True):
    """One value of one list. `code` is the ERP's, or the CRM's where only that has it.

    both: spelt alike. mapped: the settings of orders translate it. missing: the CRM lacks it. crm
    only: the ERP does not know it.
    """

    list: str
    code: str
    label: str
    state: State


class ValueLists:
    """Compares the lists of both systems, and adds to the CRM's."""

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._next: datetime | None = None

    def look(self) -> list[Value]:
        """Every value of every list. Raises `NeedsUser` where a system tells no lists."""
        ours, theirs = self._lists(self._systems.crm), self._lists(self._systems.erp)
        found: list[Value] = []
        for name in KEPT:
            if name in ours and name in theirs:
                found += self._compared(name, theirs[name], ours[name])
        return found

    def keep(self, *, user: str) -> list[Value]:
        """Add to the CRM's lists what they lack; what was added. Raises `NeedsUser` if refused."""
        missing = [one for one in self.look() if one.state == "missing"]
        add = getattr(self._systems.crm, "keep_values", None)
        for name in KEPT:
            wanted = [Choice(one.code, one.label) for one in missing if one.list == name]
            if wanted and add is not None:
                add(name, wanted)
                codes = [one.value for one in wanted]
                self._systems.store.inbox.log(user, "keep values", name, added=codes)
        return missing if add is not None else []

    def follow(self) -> None:
        """`keep`, at most every ten minutes, where both systems tell lists."""
        now = self._systems.store.clock()
        if self._next is not None and now < self._next:
            return
        if not all(hasattr(one, "value_lists") for one in (self._systems.crm, self._systems.erp)):
            return
        self._next = now + EVERY
        try:
            self.keep(user="Koppel")
        except NeedsUser as refused:
            # Orders do not wait for this; `koppel values` tells what is missing.
            logger.warning("value lists: %s", refused)

    def _lists(self, connector: Any) -> Mapping[str, Sequence[Choice]]:
        tell = getattr(connector, "value_lists", None)
        if tell is None:
            raise NeedsUser("this system tells no value lists", place=repr(connector))
        lists: Mapping[str, Sequence[Choice]] = tell()
        return lists

    def _compared(self, name: str, theirs: Sequence[Choice], ours: Sequence[Choice]) -> list[Value]:
        table = self._systems.settings.values.payment_terms if name == "payment_terms" else {}
        here = {one.value for one in ours}
        means = {table[word] for word in here if word in table}
        there = {one.value for one in theirs}
        found = [
            Value(
                list=name,
                code=one.value,
                label=one.label or one.value,
                state="both"
                if one.value in here
                else "mapped"
                if one.value in means
                else "missing",
            )
            for one in theirs
        ]
        alone = sorted(one for one in here - there if one not in table)
        return found + [Value(list=name, code=one, label=one, state="crm only") for one in alone]
