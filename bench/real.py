"""The real pair: Koppel beside the tight loop that writes the very same records and does no more.

Both directions, each on new copies of the empty systems. What Koppel sent is recorded and sent
again, call by call, to another new copy: that is the rate which the system itself sustains.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.coupling import Measured, engine_of, new_store, sync, writes_of
from koppel.connectors.base import Connector, Create, Update, Write, Written
from koppel.connectors.creme import CremeConnector
from koppel.connectors.http import HttpSession, Reply
from koppel.connectors.tryton import TrytonConnector
from koppel.mapping.document import load_mapping, shipped_mapping
from koppel.mapping.mapper import Mapper, compile_mapping
from koppel.model import Address
from koppel.testing.generated import Partner, partners
from lab import process
from lab.creme import Creme
from lab.system import Running, System
from lab.tryton import TrytonLab

Told = Callable[[str], None]
TYPES = {"crm": "creme", "erp": "tryton"}
RESOURCES = {"crm": "persons.organisation", "erp": "party.party"}
NAMES = {"crm": "Creme", "erp": "Tryton"}


@dataclass
class Tap:
    """Counts the calls of one HTTP session, and keeps those that change something."""

    session: HttpSession
    calls: int = 0
    sent: int = 0
    """Bytes."""
    received: int = 0
    seconds: float = 0.0
    """Waiting for answers."""
    effects: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._request = self.session.request
        self.session.request = self._counted  # type: ignore[method-assign]

    def _counted(self, method: str, path: str = "", **options: Any) -> Reply:
        begun = time.perf_counter()
        reply = self._request(method, path, **options)
        self.seconds += time.perf_counter() - begun
        self.calls += 1
        self.received += len(reply.content)
        payload = options.get("payload")
        if payload is not None:
            self.sent += len(msgspec.json.encode(payload, enc_hook=str))
        if options["effect"]:
            self.effects.append((path, payload))
        return reply

    def replay(self, effects: Sequence[tuple[str, Any]]) -> float:
        """Send them again, one after the other and nothing else; how many seconds that took."""
        begun = time.perf_counter()
        for path, payload in effects:
            plain = _plain(payload)
            reply = self._request("POST", path, effect=True, payload=plain, expected=(503,))
            if reply.status != 200 or b'"error"' in reply.content[:200]:
                raise SystemExit(f"the tight loop was refused: {reply.content[:300]!r}")
        return time.perf_counter() - begun

    def clear(self) -> None:
        """Begin to count anew."""
        self.calls = self.sent = self.received = 0
        self.seconds = 0.0
        self.effects = []


def _plain(payload: Any) -> Any:
    """The same write by what Tryton itself offers, without Koppel's module and its read-back."""
    method = payload.get("method", "")
    if not method.endswith(".koppel_create"):
        return payload
    values, _, context = payload["params"]
    method = method.replace("koppel_create", "create")
    return {**payload, "method": method, "params": [values, context]}


class Desk:
    """New copies of both systems, one after the other, and connectors to them."""

    def __init__(self, tell: Told) -> None:
        self._instance = f"bench-{os.getpid()}"
        self._systems: dict[str, System] = {
            "crm": Creme(attached=True),
            "erp": TrytonLab(attached=True),
        }
        self._running: dict[str, Running] = {}
        self._tell = tell
        self.connectors: dict[str, Connector] = {}
        self.taps: dict[str, Tap] = {}

    def renew(self, *sides: str) -> None:
        """A new, empty copy of these systems."""
        for side in sides:
            self._tell(f"a new {NAMES[side]}")
            system = self._systems[side]
            if side in self.connectors:
                self.connectors[side].close()
            system.set_up("bare", process.quiet)
            system.reset(self._instance, "bare")
            running = system.start(self._instance, "bare")
            self._running[side] = running
            self._connect(side, running)

    def _connect(self, side: str, running: Running) -> None:
        if side == "crm":
            creme = CremeConnector.from_config(running.koppel)
            self.connectors[side], session = creme, creme._session
        else:
            tryton = TrytonConnector.from_config(running.koppel)
            self.connectors[side], session = tryton, tryton._session._http
        # Logged in and described: what every connection does once is not what is measured.
        self.connectors[side].check()
        self.connectors[side].describe()
        self.connectors[side].capabilities(RESOURCES[side])
        self.taps[side] = Tap(session)

    def spent(self, side: str) -> float:
        """Processor seconds of a system so far, its children's included; 0 where nobody tells."""
        pid = process.running_pid(self._running[side].folder)
        return _spent(pid) if pid is not None else 0.0

    def clear(self) -> None:
        """Begin to count anew on both sides."""
        for tap in self.taps.values():
            tap.clear()

    def close(self) -> None:
        """Stop both and throw their databases away."""
        for connector in self.connectors.values():
            connector.close()
        for side, running in self._running.items():
            self._systems[side].stop(self._instance)
            shutil.rmtree(running.folder, ignore_errors=True)


def _spent(pid: int) -> float:
    seconds = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(told[1]) == pid:
            seconds += (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


@contextmanager
def desk(tell: Told) -> Iterator[Desk]:
    """Both systems, stopped and removed at the end."""
    opened = Desk(tell)
    try:
        opened.renew("crm", "erp")
        yield opened
    finally:
        opened.close()


def measure(size: int, tell: Told) -> dict[str, Any]:
    """Both directions with that many partners, delta and no-change runs after the first."""
    with desk(tell) as at:
        tell(f"{size} partners into Tryton")
        _fill(at, size)
        to_crm = _direction(at, "crm", size, tell)
        # Creme now holds what the tight loop wrote: nothing of it is known to Koppel.
        at.renew("erp")
        to_erp = _direction(at, "erp", size, tell)
    return {"records": size, "to_crm": to_crm, "to_erp": to_erp}


def _direction(at: Desk, target: str, size: int, tell: Told) -> dict[str, Any]:
    """Koppel's first coupling into `target`, later runs, then the tight loop into a new copy."""
    name = NAMES[target]
    with tempfile.TemporaryDirectory() as folder, new_store(Path(folder), TYPES) as store:
        engine = engine_of(store, at.connectors)
        # Both described and all mappings compiled, as every Koppel that runs has it already.
        engine.lines.all(None)
        tell(f"Koppel: first coupling into {name}")
        at.clear()
        before = at.spent(target)
        found = {"first": _step(at, sync(store, at.connectors, engine=engine), size)}
        worked = at.spent(target) - before
        effects = list(at.taps[target].effects)
        couplings = store.couplings.count("partner", "active")
        if target == "crm":
            sync(store, at.connectors, engine=engine)
            tell("Koppel: nothing has changed")
            at.clear()
            found["nothing"] = _step(at, sync(store, at.connectors, engine=engine), size)
            changed = _rename(at, store.couplings.each("partner"), max(1, size // 100))
            tell("Koppel: 1 % has changed")
            at.clear()
            found["delta"] = _step(at, sync(store, at.connectors, engine=engine), changed)
    tell(f"tight loop into {name}")
    at.renew(target)
    before = at.spent(target)
    seconds = at.taps[target].replay(effects)
    alone = at.spent(target) - before
    rate = size / seconds
    return {
        **found,
        "couplings": couplings,
        "tight": {"records": size, "seconds": round(seconds, 3), "per_second": round(rate, 1)},
        "ratio": round(found["first"]["per_second"] / rate, 3),
        "system_cpu": {"koppel": round(worked, 2), "tight": round(alone, 2)},
        "calls": len(effects),
    }


def _step(at: Desk, done: Measured, records: int) -> dict[str, Any]:
    return {
        "records": records,
        "seconds": round(done.seconds, 3),
        "own_seconds": round(done.own_seconds, 3),
        "per_second": round(done.rate(records), 1),
        "writes": writes_of(done.run),
        "sides": {
            side: {
                "calls": tap.calls,
                "seconds": round(tap.seconds, 3),
                "sent_kb": tap.sent // 1024,
                "received_kb": tap.received // 1024,
            }
            for side, tap in at.taps.items()
        },
    }


def _fill(at: Desk, size: int) -> None:
    """The generated partners as Koppel itself would write them."""
    connector = at.connectors["erp"]
    mapper = _mapper(connector, "tryton")
    writes = [
        Create(
            resource=RESOURCES["erp"],
            key=f"bench-{partner.number}",
            fields=mapper.put(_canonical(partner), None, lambda entity, coupling: None),
        )
        for partner in partners(size, contacts=0)
    ]
    _write(connector, writes)


def _rename(at: Desk, couplings: Iterator[Any], many: int) -> int:
    """Somebody renames some parties."""
    connector = at.connectors["erp"]
    ids = [row.erp_id for row, _ in zip(couplings, range(many), strict=False)]
    found = connector.fetch(RESOURCES["erp"], ids)
    writes = [
        Update(
            resource=record.resource,
            key=f"bench-rename-{record.id}",
            id=record.id,
            expected=None,
            fields={"name": f"{record.fields['name']} neu"},  # type: ignore[union-attr]
        )
        for record in found.values()
    ]
    _write(connector, writes)
    return len(writes)


def _write(connector: Connector, writes: Sequence[Write]) -> None:
    size = connector.capabilities(RESOURCES["erp"]).max_write
    for start in range(0, len(writes), size):
        outcomes = connector.write(writes[start : start + size])
        kinds = Counter(type(outcome).__name__ for outcome in outcomes)
        if set(kinds) != {Written.__name__}:
            raise SystemExit(f"Tryton did not take the generated partners: {outcomes[0]}")


def _mapper(connector: Connector, kind: str) -> Mapper:
    document = load_mapping(shipped_mapping(kind, "partner"), source=f"{kind}/partner.toml")
    return compile_mapping(document, connector.describe())


def _canonical(partner: Partner) -> Mapping[str, Any]:
    return {
        "name": partner.name,
        "kind": "organisation",
        "roles": ("customer",),
        "phone": partner.phone,
        "email": partner.email,
        "website": partner.website,
        "billing_address": Address(
            line1=partner.street,
            postal_code=partner.postal_code,
            city=partner.city,
            country=partner.country,
        ),
    }
