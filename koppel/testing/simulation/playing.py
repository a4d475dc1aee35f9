"""Playing a life: its events, then rest, then the checks; and making a failing life short.

`play(life)` is a pure function of the life, but for the folder it works in. `shrink` drops events
and troubles as long as it still fails (delta debugging), so that what is left is the scenario.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from koppel import typed
from koppel.engine import hand
from koppel.engine.watch import held
from koppel.errors import KoppelError
from koppel.store import open_store
from koppel.store.order_models import Process
from koppel.sync.rule import SIDES, Side
from koppel.testing.sales import QUOTE
from koppel.testing.simulation.checks import check, told
from koppel.testing.simulation.events import Event, Life, Trouble, draw
from koppel.testing.simulation.world import KEY, START, World

_SYSTEM_DEEDS = frozenset(
    ("enter", "prospect", "promote", "edit", "edit_both", "delete", "restore", "merge")
)
_ROUNDS = 9


@dataclass
class Result:
    """What came of a life. `wrong` is empty where all is well."""

    life: Life
    wrong: list[str]
    trace: list[str]
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        return not self.wrong


class Stage:
    """Where lives are played: a folder in memory, and an empty store to begin each with."""

    def __init__(self, folder: Path | None = None) -> None:
        memory = Path("/dev/shm")
        self._made = folder is None
        self.folder = folder or Path(
            tempfile.mkdtemp(prefix="koppel-chaos-", dir=memory if memory.is_dir() else None)
        )
        self.template = self.folder / "template.sqlite3"
        open_store(self.template, clock=lambda: START, key=KEY).close()

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *told: object) -> None:
        if self._made:
            self.close()

    def play(self, life: Life) -> Result:
        """A life from its first event to the checks."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        world = World(life, folder, self.template)
        wrong: list[str] = []
        try:
            for number, event in enumerate(life.events):
                _happens(world, number, event)
            wrong = _rest(world) or check(world)
        except AssertionError as error:
            wrong = [f"assertion: {error}"]
        finally:
            world.store.close()
            shutil.rmtree(folder, ignore_errors=True)
        world.counts["events"] += len(life.events)
        return Result(life, wrong, world.trace, world.counts)


def _happens(world: World, number: int, event: Event) -> None:
    world.now += timedelta(minutes=1)
    world.counts[f"event {event.kind}"] += 1
    world.say(f"{number:3} {world.now:%m-%d %H:%M} {event.kind} {event.side} {event.what}".rstrip())
    if event.kind in _SYSTEM_DEEDS:
        world.say(f"    {world.people.act(event)}")
        return
    said = _DEEDS[event.kind](world, event)
    if said:
        world.say(f"    {said}")


def _sync(world: World, event: Event) -> None:
    world.work(world.sync, event.trouble)


def _poll(world: World, event: Event) -> None:
    if held(world.store) is None:
        only = (event.what,) if event.what else None
        world.work(
            lambda: world.sync(trigger="poll", sweep=bool(event.amount), connections=only),
            event.trouble,
        )


def _hint(world: World, event: Event) -> str:
    """Hints come late, twice, out of order, or never; others come while the run for one writes."""
    changed = world.people.changed
    if not changed:
        return ""
    place = {"oldest": 0, "newest": len(changed) - 1}.get(event.what, event.pick % len(changed))
    side, record = changed[place] if event.what == "twice" else changed.pop(place)
    if event.what == "lost":
        return f"the hint about {side} {record} is lost"
    world.work(lambda: world.hinted(side, record, event.other % 8), event.trouble)
    return ""


def _press(world: World, event: Event) -> None:
    side = _side(event)
    living = world.people.living(side)
    if living:
        chosen: dict[Side, list[str]] = {side: [living[event.pick % len(living)]]}
        world.work(
            lambda: world.sync(selection={"partner": chosen}, trigger="button", user="somebody"),
            event.trouble,
        )


def _hand_over(world: World, event: Event) -> str:
    if not world.quotes:
        return ""
    quote = world.quotes[event.pick % len(world.quotes)]
    for _ in range(2 if event.what == "twice" else 1):
        world.work(lambda: world.orders.transfer(QUOTE, quote, user="somebody"), event.trouble)
    return f"quote {quote} is handed over"


def _look_at_orders(world: World, event: Event) -> None:
    world.work(lambda: (world.orders.run_due(), world.orders.poll()), event.trouble)


def _wait(world: World, event: Event) -> None:
    world.now += timedelta(minutes=event.amount)


def _skew(world: World, event: Event) -> None:
    world.skew[_side(event)] = event.amount


def _daylight(world: World, event: Event) -> None:
    for side in SIDES:
        world.skew[side] += event.amount


def _outage(world: World, event: Event) -> None:
    side = _side(event)
    world.away[side] = world.now + timedelta(hours=event.amount)


def _keep_store(world: World, event: Event) -> None:
    world.keep_store()


def _put_store_back(world: World, event: Event) -> str:
    return world.put_store_back(event.pick, lambda: told(world))


def _decide(world: World, event: Event) -> str:
    """A person answers a conflict."""
    found = world.store.inbox.conflicts()
    if not found:
        return ""
    row = found[event.pick % len(found)]
    value: Any = event.what
    if row.field == "":
        value = value if value in ("uncouple", "delete", "create") else "uncouple"
    elif value not in ("crm", "erp"):
        value = "crm"
    hand.resolve(world.store, row.id, value, by="somebody")
    return f"conflict about '{row.field}' of {row.label}: {value}"


def _answer(world: World, event: Event) -> str:
    """A person answers a proposed pair."""
    found = world.store.inbox.reviews()
    if not found:
        return ""
    row = found[event.pick % len(found)]
    try:
        hand.answer(world.store, row.id, event.what, by="somebody")
    except KoppelError as error:
        return f"no answer: {error}"
    return f"{row.crm_id} and {row.erp_id}: {event.what}"


def _side(event: Event) -> Side:
    return "crm" if event.side == "crm" else "erp"


_DEEDS: dict[str, Callable[[World, Event], Any]] = {
    "sync": _sync,
    "poll": _poll,
    "hint": _hint,
    "press": _press,
    "restart": lambda world, event: world.restart(),
    "wait": _wait,
    "skew": _skew,
    "daylight": _daylight,
    "outage": _outage,
    "keep_store": _keep_store,
    "put_store_back": _put_store_back,
    "keep_system": lambda world, event: world.keep_system(_side(event)),
    "put_system_back": lambda world, event: world.put_system_back(
        _side(event), event.pick, event.what == "reused"
    ),
    "quote": lambda world, event: world.quote(event.pick, event.other),
    "hand_over": _hand_over,
    "orders": _look_at_orders,
    "decide": _decide,
    "answer": _answer,
}


def _rest(world: World) -> list[str]:
    """Everything is well again, and Koppel goes on until there is nothing left to do."""
    world.away.clear()
    world.now += timedelta(days=8)
    world.say("--- rest")
    quiet = 0
    for _ in range(_ROUNDS):
        world.now += timedelta(minutes=10)
        run = world.work(world.sync)
        if world.life.setting.orders:
            _look_at_orders(world, Event("orders"))
            _again(world)
        quiet = quiet + 1 if run is not None and not run.counts.get("writes") else 0
        if quiet == 2:
            return []
    return ["it goes on writing, or never gets through"]


def _again(world: World) -> None:
    """A person hands an order over again that a defect has stopped."""
    for quote in world.quotes:
        row = Process.objects.filter(subject=f"{QUOTE}/{quote}").order_by("made_at", "id").last()
        if row is not None and row.state == "failed":
            world.work(partial(world.orders.transfer, QUOTE, quote, user="somebody"))


def shrink(life: Life, fails: Callable[[Life], bool]) -> Life:
    """The shortest life found that still fails: without whatever can be left out."""
    events = list(life.events)

    def still(wanted: list[Event]) -> bool:
        return fails(replace(life, events=tuple(wanted)))

    size = max(1, len(events) // 2)
    while size:
        place = 0
        while place < len(events):
            shorter = events[:place] + events[place + size :]
            if still(shorter):
                events = shorter
            else:
                place += size
        size //= 2
    for place, event in enumerate(events):
        for gone in range(len(event.trouble) - 1, -1, -1):
            kept: tuple[Trouble, ...] = event.trouble[:gone] + event.trouble[gone + 1 :]
            simpler = replace(event, trouble=kept)
            if still([*events[:place], simpler, *events[place + 1 :]]):
                events[place] = event = simpler
    found = replace(life, events=tuple(events))
    return _plainer(found, fails)


def _plainer(life: Life, fails: Callable[[Life], bool]) -> Life:
    """The same in plainer systems, as far as it still fails."""
    plain = {
        "changes": "log", "deletes": "log", "create_key": "native", "lock": "version",
        "lossy": False, "upper": False, "unordered": False, "trash": False, "grain": 0.0,
        "overlap_seconds": 0, "max_write": 100, "ids_page": 10_000, "keeps_keys": False,
    }  # fmt: skip
    for side in SIDES:
        for name, value in plain.items():
            setting = {**getattr(life.setting, side), name: value}
            simpler = replace(life, setting=replace(life.setting, **{side: setting}))
            if fails(simpler):
                life = simpler
    for name in ("contacts", "orders"):
        simpler = replace(life, setting=replace(life.setting, **{name: False}))
        if fails(simpler):
            life = simpler
    return life


def save(life: Life, path: Path) -> None:
    """Keep a life as a scenario."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(life), indent=1) + b"\n")


def load(path: Path) -> Life:
    """A kept life."""
    return typed.from_json(path.read_bytes(), Life)


@contextmanager
def stage() -> Any:
    """A stage for a while."""
    with Stage() as found:
        yield found


__all__ = ["Result", "Stage", "draw", "load", "save", "shrink", "stage"]
