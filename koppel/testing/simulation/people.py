"""The people of a simulated life: what they do in the two systems, and what they remember of it.

They know nothing of Koppel. `Ledger` keeps what each typed last into which field of which record,
in the order in which it was typed: that is what must be found again afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from koppel.connectors.memory_system import MemorySystem, Refusal
from koppel.sync.rule import Side, other
from koppel.testing.human import MemoryHuman
from koppel.testing.simulation.events import FIELDS, Event

RESOURCE: Mapping[Side, str] = {"crm": "organisation", "erp": "party"}

# Names, towns and numbers that have nothing in common: who is who is not what is tried out here.
COMPANIES = (
    ("Abendroth Pumpen", "Kiel", "431"), ("Brinkmann Lacke", "Passau", "851"),
    ("Cordes Zahnräder", "Görlitz", "3581"), ("Dahlem Optik", "Emden", "4921"),
    ("Ebersbach Ventile", "Lindau", "8382"), ("Falkenberg Seile", "Trier", "651"),
    ("Gutzkow Waagen", "Stralsund", "3831"), ("Hallstein Federn", "Fulda", "661"),
    ("Isenburg Kessel", "Coburg", "9561"), ("Jessen Bohrer", "Husum", "4841"),
    ("Kniephof Farben", "Cottbus", "355"), ("Lohmeyer Ketten", "Konstanz", "7531"),
)  # fmt: skip
_WAYS = ("email", "phone", "website")


@dataclass(frozen=True)
class Typed:
    """A value that a person typed, and when (a running number)."""

    value: str
    number: int


@dataclass
class Ledger:
    """(side, record, field) -> what was typed there last."""

    entered: dict[tuple[Side, str, str], Typed] = field(default_factory=dict)
    latest: dict[tuple[str, str], int] = field(default_factory=dict)
    """(field, value) -> when it was typed or chosen last, in whichever system."""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def copy_of(self, side: Side) -> dict[tuple[Side, str, str], Typed]:
        """What stands in one system at this moment."""
        return {key: typed for key, typed in self.entered.items() if key[0] == side}

    def put_back(self, side: Side, kept: dict[tuple[Side, str, str], Typed]) -> None:
        """What was typed there since is gone with the system."""
        others = {key: typed for key, typed in self.entered.items() if key[0] != side}
        self.entered = {**others, **kept}

    def chosen(self, name: str, value: str) -> None:
        """A value that stood there was put in place of another one, as if it had been typed."""
        self.latest[name, value.casefold()] = next(self._numbers)

    def note(self, side: Side, record: str, name: str, value: str) -> None:
        typed = Typed(value, next(self._numbers))
        self.entered[side, record, name] = typed
        self.latest[name, value.casefold()] = typed.number


class People:
    """Users of both systems. `changed` is told of each record that somebody touched."""

    def __init__(self, crm: MemorySystem, erp: MemorySystem, *, contacts: bool = False) -> None:
        self.systems: dict[Side, MemorySystem] = {"crm": crm, "erp": erp}
        self.humans: dict[Side, MemoryHuman] = {
            side: MemoryHuman(system) for side, system in self.systems.items()
        }
        self.ledger = Ledger()
        self.changed: list[tuple[Side, str]] = []
        self.known: set[tuple[Side, str]] = set()
        """Records that are coupled. Of a company that stands in both systems and is not coupled yet
        nothing is edited: how much of one may change until nobody can tell who it is, that is what
        the tests of matching are about."""
        self.mingled: set[str] = set()
        """Web addresses of companies that somebody merged: one record stands for two of them."""
        self._contacts = contacts
        self._companies = iter(COMPANIES)
        self._count = itertools.count(1)

    # what they see

    def living(self, side: Side) -> list[str]:
        return [row.id for row in self.systems[side].table(RESOURCE[side]).living()]

    def read(self, side: Side, record: str) -> Mapping[str, Any]:
        seen = self.humans[side].read(RESOURCE[side], record)
        assert seen is not None
        return seen

    def see(self, side: Side, record: str, name: str) -> str:
        """A field as a person sees it, whatever the system calls it and how it groups digits."""
        seen = self._seen(side, record, name)
        return seen.replace(" ", "") if name == "phone" else seen.strip()

    def _seen(self, side: Side, record: str, name: str) -> str:
        fields = self.read(side, record)
        if side == "crm":
            return str(fields["billing_city" if name == "city" else name] or "")
        if name in _WAYS:
            return next((w["value"] for w in fields["contact_mechanisms"] if w["type"] == name), "")
        if name == "city":
            return str(next((p["city"] for p in fields["addresses"] if p["invoice"]), "") or "")
        return str(fields[name] or "")

    # what they do

    def act(self, event: Event) -> str:
        """One deed; a sentence about it, empty where there was nothing to do."""
        deed = getattr(self, f"_{event.kind}")
        try:
            return str(deed(event) or "")
        except Refusal as refusal:
            return f"refused: {refusal.message}"

    def _pick(self, side: Side, number: int) -> str | None:
        living = self.living(side)
        return living[number % len(living)] if living else None

    def _enter(self, event: Event) -> str:
        sides: tuple[Side, ...] = ("crm", "erp")
        chosen = sides if event.what == "both" else tuple(s for s in sides if s == event.what)
        return self._new(chosen, "customer")

    def _prospect(self, event: Event) -> str:
        return self._new(("crm",), "prospect")

    def _new(self, sides: tuple[Side, ...], role: str) -> str:
        company = next(self._companies, None)
        if company is None:
            return ""
        name, town, prefix = company
        word = name.split()[0].lower()
        site, phone, email = f"https://{word}.example", f"+49{prefix}555000", f"info@{word}.example"
        made: list[tuple[Side, str]] = []
        if "crm" in sides:
            fields: dict[str, Any] = {
                "name": f"{name} GmbH", "role": role, "website": site, "phone": phone,
                "email": email, "billing_city": town, "billing_country": "DE",
            }  # fmt: skip
            made.append(("crm", self.humans["crm"].create("organisation", fields)))
        if "erp" in sides:
            ways = {"website": site, "phone": phone, "email": email}
            fields = {
                "name": f"{name} GmbH",
                "addresses": [{"city": town, "country": "DE", "invoice": True}],
                "contact_mechanisms": [
                    {"type": kind, "value": value} for kind, value in ways.items()
                ],
            }
            made.append(("erp", self.humans["erp"].create("party", fields)))
        for side, record in made:
            self._touched(side, record)
            if self._contacts:
                self._person(side, record, word)
        return f"{name} as {role}: {made}"

    def _person(self, side: Side, record: str, word: str) -> None:
        fields = {
            RESOURCE[side]: record, "first_name": "Jo", "last_name": word.capitalize(),
            "email": f"jo@{word}.example",
        }  # fmt: skip
        self.humans[side].create("contact", fields)

    def _promote(self, event: Event) -> str:
        found = [r for r in self.living("crm") if self.read("crm", r)["role"] == "prospect"]
        if not found:
            return ""
        record = found[event.pick % len(found)]
        self.humans["crm"].edit("organisation", record, {"role": "customer"})
        self._touched("crm", record)
        return f"crm {record} becomes a customer"

    def _edit(self, event: Event) -> str:
        side: Side = "crm" if event.side == "crm" else "erp"
        record = self._pick(side, event.pick)
        if record is None or self._unpaired(side, record):
            return ""
        return self.type(side, record, event.what)

    def _unpaired(self, side: Side, record: str) -> bool:
        site, far = self.see(side, record, "website"), other(side)
        return (side, record) not in self.known and any(
            self.see(far, twin, "website") == site for twin in self.living(far)
        )

    def type(self, side: Side, record: str, name: str) -> str:
        number = next(self._count)
        values = {
            "name": f" Neuer Name {number} AG  ",
            "email": f"{side}{number}@x.example",
            "phone": f"+4930{1_000_000 + number}",
            "payment_term": f"net {number}",
            "city": f"Stadt{'abcdefghij'[number % 10]}{'klmnopqrst'[number // 10 % 10]}",
        }
        value = values[name]
        self.humans[side].edit(RESOURCE[side], record, self._fields(side, record, name, value))
        self.ledger.note(side, record, name, value.strip())
        self._touched(side, record)
        return f"{side} {record} {name} = {value.strip()}"

    def _fields(self, side: Side, record: str, name: str, value: str) -> dict[str, Any]:
        if side == "crm":
            return {"billing_city" if name == "city" else name: value}
        fields = self.read(side, record)
        if name in _WAYS:
            ways = [w for w in fields["contact_mechanisms"] if w["type"] != name]
            old = [w for w in fields["contact_mechanisms"] if w["type"] == name]
            new = {**old[0], "value": value} if old else {"type": name, "value": value}
            return {"contact_mechanisms": [*ways, new, *old[1:]]}
        if name == "city":
            places = [dict(place) for place in fields["addresses"]]
            for place in places:
                if place["invoice"]:
                    place["city"] = value
                    return {"addresses": places}
            return {"addresses": [*places, {"city": value, "country": "DE", "invoice": True}]}
        return {name: value}

    def _edit_both(self, event: Event) -> str:
        """The same company in both systems, recognised by its web address."""
        sites = {self.see("erp", record, "website"): record for record in self.living("erp")}
        pairs = [
            (record, sites[site])
            for record in self.living("crm")
            if (site := self.see("crm", record, "website")) in sites
            and {("crm", record), ("erp", sites[site])} <= self.known
        ]
        if not pairs:
            return ""
        crm, erp = pairs[event.pick % len(pairs)]
        return f"{self.type('crm', crm, event.what)}, {self.type('erp', erp, event.what)}"

    def _delete(self, event: Event) -> str:
        side: Side = "crm" if event.side == "crm" else "erp"
        living = self.living(side)
        if len(living) < 2:
            return ""
        record = living[event.pick % len(living)]
        self.humans[side].delete(RESOURCE[side], record)
        self._touched(side, record)
        return f"{side} {record} is deleted"

    def _restore(self, event: Event) -> str:
        side: Side = "crm" if event.side == "crm" else "erp"
        rows = self.systems[side].table(RESOURCE[side]).order
        gone = [row.id for row in rows if row.gone is not None and row.gone.trashed]
        if not gone:
            return ""
        record = gone[event.pick % len(gone)]
        self.humans[side].restore(RESOURCE[side], record)
        self._touched(side, record)
        return f"{side} {record} is taken out of the trash"

    def _merge(self, event: Event) -> str:
        side: Side = "crm" if event.side == "crm" else "erp"
        living = self.living(side)
        if len(living) < 3:
            return ""
        one = living[event.pick % len(living)]
        rest = [record for record in living if record != one]
        two = rest[event.other % len(rest)]
        sites = {self.see(side, one, "website"), self.see(side, two, "website")}
        before = {name: self.see(side, one, name) for name in FIELDS}
        self.humans[side].merge(RESOURCE[side], one, two)
        for name in FIELDS:
            # Who merges puts the values of the one in place of the other's.
            if (now := self.see(side, two, name)) != before[name]:
                self.ledger.chosen(name, now)
        self.mingled |= sites
        self._touched(side, one)
        self._touched(side, two)
        return f"{side} {one} is merged into {two}"

    def _touched(self, side: Side, record: str) -> None:
        self.changed.append((side, record))


__all__ = ["COMPANIES", "RESOURCE", "Ledger", "People", "Typed"]
