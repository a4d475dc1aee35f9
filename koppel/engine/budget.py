"""How much each system may be asked, by all processes together: the document `budget`.

```toml
[poll]               # for workers; `koppel serve` alone takes its own options
every = 5            # seconds between two looks at a pair while there is work
longest = 15         # seconds between two looks when nothing has happened for a while
sweep = 600          # seconds between two looks for deletes
away = 15            # seconds until a system that does not answer is asked again; doubled each time

[orders]             # how many are handed over at the same time
per_worker = 8       # by each worker
at_once = 20         # by all together; left out: as many as they do. It costs claims some speed

[limits.creme]       # a connection's name
per_second = 20      # calls; a call takes a whole batch of records
per_day = 50000
concurrent = 4
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct, field

from koppel import typed
from koppel.errors import NeedsUser
from koppel.store import Store

KIND, NAME = "budget", "budget"

Urgency = Literal["press", "orders", "records", "nightly"]
"""Who asks: a pressed button, an order, addresses and other records, the nightly batch."""

SHARES: Mapping[Urgency, float] = {
    "press": 1.0, "orders": 0.9, "records": 0.75, "nightly": 0.5,
}  # fmt: skip
"""How much of a budget each may use up: the rest is kept for who is more urgent."""

_GROWTH = 1.15
"""By so much the time between two looks grows with each look that found nothing."""
_LONGEST_AWAY = 300.0


class Poll(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a pair is looked at, in seconds."""

    every: float = 5.0
    longest: float = 15.0
    sweep: float = 600.0
    away: float = 15.0

    def after(self, every: float, *, found: bool) -> float:
        """Seconds until the next look, after one that waited `every` and found something or not."""
        if found or every > self.longest:
            return self.every
        return max(self.every, min(self.longest, every * _GROWTH))

    def after_trouble(self, every: float) -> float:
        """The same after a look at a system that did not answer."""
        return min(_LONGEST_AWAY, max(self.away, every * 2))


class AtOnce(Struct, frozen=True, forbid_unknown_fields=True):
    """How many orders are handed over at the same time: by each worker, and in all.

    Counting them in all makes workers that claim orders at the same moment get into each other's
    way; where a system must be spared, the limit of its calls (`concurrent`) does it better.
    """

    per_worker: int = 8
    at_once: int | None = None


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """How much a connection may be asked, by all processes together; None: as much as we like."""

    per_second: float | None = None
    per_day: int | None = None
    concurrent: int | None = None


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document."""

    poll: Poll = field(default_factory=Poll)
    orders: AtOnce = field(default_factory=AtOnce)
    limits: Mapping[str, Limit] = field(default_factory=dict)


def parse_budget(text: str, *, source: str = "budget.toml") -> Budget:
    """Read the document; `NeedsUser` says what is wrong with it."""
    try:
        budget = typed.convert(tomllib.loads(text), Budget)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the document") from error
    parts: dict[str, Struct] = {"poll": budget.poll, "orders": budget.orders, **budget.limits}
    for name, one in parts.items():
        if any(value is not None and value <= 0 for value in msgspec.structs.astuple(one)):
            raise NeedsUser("a limit must be above zero", place=f"{source}: {name}")
    return budget


def budget_of(store: Store) -> Budget:
    """The live document, or the defaults."""
    text = store.documents.get(KIND, NAME)
    return parse_budget(text, source=f"{KIND} {NAME}") if text else Budget()
