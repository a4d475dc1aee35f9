"""Figures about two systems before they are coupled: quality, overlap, disagreement, effort.

Pure: counts what it is shown, judges single values, and derives an owner for each field. All times
are seconds unless a name says otherwise; shares are 0..1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import phonenumbers
from msgspec import UNSET, Struct, field
from rapidfuzz.distance import OSA
from stdnum import iban

from koppel.model import Address
from koppel.sync.features import vat_id
from koppel.sync.merge import is_empty, same
from koppel.sync.rule import SIDES, Owner, Side

Quality = Literal["empty", "filled", "valid", "invalid", "outdated"]

_MAIL = re.compile(r"[^@\s,;]+@[^@\s,;.]+(\.[^@\s,;.]+)+")
_WEB = re.compile(r"(https?://)?[^\s/.]+(\.[^\s/.]+)+(/\S*)?")
_POSTAL = {
    "DE": re.compile(r"\d{5}"),
    "FR": re.compile(r"\d{5}"),
    "IT": re.compile(r"\d{5}"),
    "ES": re.compile(r"\d{5}"),
    "AT": re.compile(r"\d{4}"),
    "CH": re.compile(r"\d{4}"),
    "LI": re.compile(r"\d{4}"),
    "BE": re.compile(r"\d{4}"),
    "DK": re.compile(r"\d{4}"),
    "NO": re.compile(r"\d{4}"),
    "NL": re.compile(r"\d{4} ?[A-Z]{2}"),
    "PL": re.compile(r"\d{2}-\d{3}"),
    "CZ": re.compile(r"\d{3} ?\d{2}"),
    "SE": re.compile(r"\d{3} ?\d{2}"),
    "FI": re.compile(r"\d{5}"),
}
_OLD_POSTAL = {"DE": re.compile(r"([WO]-?)?\d{4}")}
"""German codes from before July 1993."""
_OLD_COUNTRIES = frozenset(("DD", "YU", "CS", "SU", "AN", "ZR"))


def judge(name: str, value: Any, country: str = "") -> Quality:
    """What one value of a field is worth; `filled` where nothing about it can be checked."""
    if value is UNSET or is_empty(value):
        return "empty"
    if isinstance(value, Address):
        return _address(value)
    text = str(value).strip()
    match name:
        case "tax_id":
            return "valid" if vat_id(text, country)[1] else "invalid"
        case "iban":
            return "valid" if iban.is_valid(text) else "invalid"
        case "email":
            return "valid" if _MAIL.fullmatch(text) else "invalid"
        case "website":
            return "valid" if _WEB.fullmatch(text) else "invalid"
        case "phone" | "mobile" | "fax":
            return _phone(text, country)
        case _:
            return "filled"


def _phone(text: str, country: str) -> Quality:
    try:
        number = phonenumbers.parse(text.replace("(0)", ""), country or None)
    except phonenumbers.NumberParseException:
        return "invalid"
    return "valid" if phonenumbers.is_valid_number(number) else "invalid"


def _address(address: Address) -> Quality:
    country = address.part("country") or ""
    code = (address.part("postal_code") or "").strip().upper()
    if country in _OLD_COUNTRIES:
        return "outdated"
    if country not in _POSTAL or not code:
        return "filled"
    if _POSTAL[country].fullmatch(code.removeprefix(f"{country}-")):
        return "valid"
    old = _OLD_POSTAL.get(country)
    return "outdated" if old is not None and old.fullmatch(code) else "invalid"


class FieldFigures(Struct, kw_only=True):
    """One field on one side. `cut`: values longer than the other side's `limit` in characters."""

    records: int = 0
    filled: int = 0
    checked: int = 0
    valid: int = 0
    outdated: int = 0
    longest: int = 0
    limit: int | None = None
    cut: int = 0

    def add(self, name: str, value: Any, country: str) -> None:
        """Count one record's value."""
        self.records += 1
        quality = judge(name, value, country)
        if quality == "empty":
            return
        self.filled += 1
        if quality != "filled":
            self.checked += 1
            self.valid += quality == "valid"
            self.outdated += quality == "outdated"
        if isinstance(value, str):
            self.longest = max(self.longest, len(value))
            self.cut += self.limit is not None and len(value) > self.limit

    @property
    def fill(self) -> float:
        """The share of records with a value."""
        return self.filled / self.records if self.records else 0.0

    @property
    def sound(self) -> float:
        """The share of checkable values that are valid; 1 where none can be checked."""
        return self.valid / self.checked if self.checked else 1.0


class Disagreement(Struct, kw_only=True):
    """One field over all pairs that belong together. `newer`: whose record changed later."""

    pairs: int = 0
    same: int = 0
    differ: int = 0
    only: dict[str, int] = field(default_factory=lambda: {"crm": 0, "erp": 0})
    newer: dict[str, int] = field(default_factory=lambda: {"crm": 0, "erp": 0})
    likeness: float = 0.0
    """The sum over differing texts of how alike they are, 0 (nothing in common) to 1."""
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, crm: Any, erp: Any, newer: Side | None) -> None:
        """Count one pair's values."""
        self.pairs += 1
        one, two = is_empty(crm), is_empty(erp)
        if same(crm, erp):
            self.same += 1
        elif one or two:
            self.only["erp" if one else "crm"] += 1
        else:
            self.differ += 1
            self.likeness += float(OSA.normalized_similarity(str(crm), str(erp)))
            if newer:
                self.newer[newer] += 1
            if len(self.examples) < 3:
                self.examples.append((str(crm), str(erp)))

    @property
    def alike(self) -> float:
        """How alike differing values are on average, 0..1."""
        return self.likeness / self.differ if self.differ else 1.0


class Proposal(Struct, frozen=True, kw_only=True):
    """Who should own a field, and why."""

    field: str
    owner: Owner
    now: Owner
    why: str


_CLEARLY = 0.10
_FRESHER = 0.65
_ENOUGH = 10


def propose(
    name: str, now: Owner, figures: Mapping[str, FieldFigures], between: Disagreement
) -> Proposal:
    """The owner of a field: where it is fuller, then where it is sounder, then where fresher."""
    crm, erp = figures["crm"], figures["erp"]
    for what, one, two in (("filled", crm.fill, erp.fill), ("valid", crm.sound, erp.sound)):
        if abs(one - two) >= _CLEARLY:
            owner: Owner = "crm" if one > two else "erp"
            why = f"{what} in {one:.0%} of the CRM's and {two:.0%} of the ERP's records"
            return Proposal(field=name, owner=owner, now=now, why=why)
    told = sum(between.newer.values())
    if told >= _ENOUGH:
        for side in SIDES:
            if between.newer[side] / told >= _FRESHER:
                why = f"where they differ, the {side.upper()}'s record is newer in " + (
                    f"{between.newer[side]} of {told} pairs"
                )
                return Proposal(field=name, owner=side, now=now, why=why)
    return Proposal(field=name, owner=now, now=now, why="neither side is clearly fuller or fresher")


class Assumptions(Struct, frozen=True, kw_only=True):
    """What the saving is reckoned with; all of it can be adjusted."""

    minutes_per_entry: float = 3.0
    """To type one change a second time, with finding the record."""
    calls_per_hour: float | None = None
    """The most that a system allows or that one wants to ask of it."""
    calls_per_write: float = 3.0
    """Check, write and read back, in the time of reading one record each."""
    changes_per_day: float | None = None
    """Changes of either side a calendar day, where one knows better than the time stamps tell."""


class Volume(Struct, frozen=True, kw_only=True):
    """Changes of one side, as far as its time stamps tell: a lower bound, one per record."""

    days: int
    """How many days back the stamps were counted; 0: they tell nothing yet."""
    changes: int
    last_change: datetime | None = None
    stale: int = 0
    """Records that nobody has changed for three years."""

    @property
    def per_day(self) -> float | None:
        """Changes per calendar day; None where the history is too short to tell."""
        return self.changes / self.days if self.days >= SHORTEST else None


SHORTEST = 7
"""Days of history below which the time stamps tell nothing."""
_WINDOW = 90
_STALE_DAYS = 3 * 365


def volume(stamps: list[datetime], now: datetime) -> Volume:
    """From when each record changed last (UTC)."""
    ages = [(now - stamp).days for stamp in stamps]
    recent = [age for age in ages if 0 <= age < _WINDOW]
    days = min(_WINDOW, max(ages, default=-1) + 1)
    return Volume(
        days=days,
        changes=len(recent),
        last_change=max(stamps, default=None),
        stale=sum(age > _STALE_DAYS for age in ages),
    )


def hours_saved(changes_per_day: float, assumed: Assumptions) -> float:
    """Hours per month that nobody types a second time; `changes_per_day` is per calendar day."""
    per_month = changes_per_day * 365 / 12
    return per_month * assumed.minutes_per_entry / 60


class Forecast(Struct, frozen=True, kw_only=True):
    """How long the first load takes, from calls that were measured."""

    reads: int
    writes: int
    seconds_per_read: float
    seconds_per_call: float
    seconds: float


def forecast(
    reads: int, writes: int, per_read: float, per_call: float, assumed: Assumptions
) -> Forecast:
    """`per_read` is one record of a page, `per_call` one call for a single record."""
    calls = writes * assumed.calls_per_write
    seconds = reads * per_read + calls * per_call
    if assumed.calls_per_hour:
        seconds = max(seconds, calls * 3600 / assumed.calls_per_hour)
    return Forecast(
        reads=reads,
        writes=writes,
        seconds_per_read=per_read,
        seconds_per_call=per_call,
        seconds=seconds,
    )
