"""What may happen in a simulated life of a coupling, as plain values: drawn, kept and replayed.

An event names nothing by id: `pick` and `other` are numbers that choose among whatever is there
when it happens (modulo how many there are). So any event can be left out, and the rest still make
sense: that is what makes a failing run shrinkable.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

TroubleKind = Literal[
    "refuse",  # nobody listens
    "slow",  # done, and the answer comes too late
    "cut",  # done, and the answer ends in the middle
    "drop_reply",  # done, and the answer never comes
    "lose",  # never reached the system
    "401",
    "429",
    "500",
    "html",  # a page where JSON was due
    "not_json",
    "kill",  # the process dies at a call, with no word of farewell
    "kill_in_store",  # the process dies at a statement to its own store
    "disk_full",  # the store takes nothing more for some statements
    "database_gone",  # the store answers nothing to the end of the run
    "taken_over",  # silent for too long: another worker does all the work, then this one goes on
    "meanwhile",  # somebody acts in one of the systems in the middle of the run
]


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that strikes a run at its `at`-th call or statement."""

    kind: TroubleKind
    at: int
    count: int = 1
    side: str = ""
    then: Event | None = None
    """What somebody does meanwhile."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happens."""

    kind: str
    side: str = ""
    pick: int = 0
    other: int = 0
    what: str = ""
    amount: int = 0
    trouble: tuple[Trouble, ...] = ()


class Setting(msgspec.Struct, frozen=True):
    """The two systems of a run, and what travels."""

    crm: dict[str, Any]
    erp: dict[str, Any]
    contacts: bool = False
    orders: bool = False


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One run: everything that is needed to play it again."""

    seed: int
    setting: Setting
    events: tuple[Event, ...]
    about: str = ""
    """What it showed, where it is kept as a scenario."""


SIDES = ("crm", "erp")
FIELDS = ("name", "email", "phone", "payment_term", "city")

_PEOPLE: tuple[tuple[str, int], ...] = (
    ("enter", 10),
    ("prospect", 4),
    ("promote", 4),
    ("edit", 34),
    ("edit_both", 10),
    ("delete", 5),
    ("restore", 2),
    ("merge", 3),
    ("decide", 7),
    ("answer", 3),
)
_KOPPEL: tuple[tuple[str, int], ...] = (
    ("sync", 26),
    ("poll", 18),
    ("hint", 8),
    ("press", 4),
    ("restart", 2),
)
_BY_HINTS: tuple[tuple[str, int], ...] = (
    ("sync", 3),
    ("poll", 6),
    ("hint", 16),
    ("press", 4),
    ("restart", 2),
)
"""Koppel where the systems tell of what changes, and polls come between."""
_WORLD: tuple[tuple[str, int], ...] = (
    ("wait", 6),
    ("skew", 2),
    ("daylight", 1),
    ("outage", 3),
    ("keep_store", 2),
    ("put_store_back", 3),
    ("keep_system", 4),
    ("put_system_back", 4),
)
_ORDERS: tuple[tuple[str, int], ...] = (("quote", 8), ("hand_over", 18), ("orders", 8))
_TROUBLES: tuple[tuple[TroubleKind, int], ...] = (
    ("refuse", 2), ("slow", 2), ("cut", 2), ("drop_reply", 4), ("lose", 3), ("401", 1), ("429", 1),
    ("500", 2), ("html", 1), ("not_json", 1), ("kill", 6), ("kill_in_store", 6), ("disk_full", 2),
    ("database_gone", 2), ("taken_over", 4), ("meanwhile", 8),
)  # fmt: skip
_DURING = ("edit", "edit", "edit", "edit_both", "enter", "delete", "merge", "promote")


def draw(seed: int, length: int = 0) -> Life:
    """The life of a seed: always the same for the same seed."""
    chance = random.Random(seed)
    setting = Setting(
        crm=_system(chance),
        erp=_system(chance),
        contacts=chance.random() < 0.25,
        orders=chance.random() < 0.35,
    )
    koppel = _BY_HINTS if seed % 4 == 3 else _KOPPEL
    kinds = [*_PEOPLE, *koppel, *_WORLD, *(_ORDERS if setting.orders else ())]
    steps = length or chance.randrange(10, 26)
    first = [Event("enter", what="both", pick=chance.randrange(1000)) for _ in range(2)]
    if setting.orders:
        first.append(Event("quote", pick=chance.randrange(1000), other=chance.randrange(1000)))
    events = [*first, Event("sync"), *(_event(chance, kinds) for _ in range(steps))]
    return Life(seed=seed, setting=setting, events=tuple(events))


def _system(chance: random.Random) -> dict[str, Any]:
    return {
        "changes": chance.choice(("log", "log", "timestamp", "timestamp", "scan")),
        "deletes": chance.choice(("log", "tombstone", "scan", "scan")),
        "create_key": chance.choice(("native", "native", "external_id")),
        "lock": chance.choice(("version", "timestamp")),
        "lossy": chance.random() < 0.6,
        "upper": chance.random() < 0.5,
        "unordered": chance.random() < 0.3,
        "trash": chance.random() < 0.5,
        "grain": chance.choice((0.0, 0.0, 1.0, 60.0)),
        "overlap_seconds": chance.choice((0, 0, 120)),
        "max_write": chance.choice((1, 2, 100)),
        "ids_page": chance.choice((2, 10_000)),
        "keeps_keys": chance.random() < 0.5,
    }


def _event(chance: random.Random, kinds: Sequence[tuple[str, int]]) -> Event:
    kind = chance.choices([name for name, _ in kinds], [weight for _, weight in kinds])[0]
    return _of_kind(chance, kind)


def _of_kind(chance: random.Random, kind: str) -> Event:
    side = chance.choice(SIDES)
    pick, other = chance.randrange(1000), chance.randrange(1000)
    what, amount = "", 0
    trouble: tuple[Trouble, ...] = ()
    if kind == "enter":
        what = chance.choice(("crm", "erp", "both", "both"))
    elif kind in ("edit", "edit_both"):
        what = chance.choice(FIELDS)
    elif kind == "decide":
        what = chance.choice(("crm", "erp", "third", "uncouple", "create", "delete"))
    elif kind == "answer":
        what = chance.choice(("same", "different", "later"))
    elif kind == "wait":
        amount = chance.choice((1, 10, 60, 600, 1440, 10_080))
    elif kind == "skew":
        amount = chance.choice((-600, 0, 600))
    elif kind == "daylight":
        amount = chance.choice((-3600, 3600))
    elif kind == "outage":
        amount = chance.choice((1, 24, 168))
    elif kind == "hint":
        what = chance.choice(("oldest", "newest", "any", "twice", "lost"))
    elif kind == "put_system_back":
        what = chance.choice(("", "reused"))
    elif kind == "hand_over":
        what = chance.choice(("", "", "twice"))
    if kind in ("sync", "poll", "hint", "press", "hand_over", "orders") and chance.random() < 0.6:
        trouble = tuple(_trouble(chance) for _ in range(chance.choice((1, 1, 1, 2))))
    if kind == "poll":
        what, amount = chance.choice(("", "", "crm", "erp")), chance.choice((0, 1))
    return Event(kind, side, pick, other, what, amount, trouble)


def _trouble(chance: random.Random) -> Trouble:
    kind = chance.choices([name for name, _ in _TROUBLES], [weight for _, weight in _TROUBLES])[0]
    in_store = kind in ("kill_in_store", "disk_full", "database_gone")
    return Trouble(
        kind=kind,
        at=chance.randrange(1, 140 if in_store else 30),
        count=chance.choice((1, 1, 1, 2, 6)),
        side=chance.choice(("", "crm", "erp")),
        then=_of_kind(chance, chance.choice(_DURING)) if kind == "meanwhile" else None,
    )
