"""Units, taxes, currencies and terms: by number in Tryton, by code outside.

Units are told by their code of UN/ECE Recommendation 20 where Tryton knows it (module
edocument_unece), else by their symbol; taxes by rate and category of UNCL 5305; currencies by
ISO 4217; payment terms by name, as in parties; Incoterms by code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from koppel.connectors.base import Choice
from koppel.connectors.tryton.models import Models
from koppel.connectors.tryton.rpc import TrytonSession

KEEP_SECONDS = 300.0


@dataclass(frozen=True)
class Unit:
    """A unit of measure; `factor` makes quantities of one category comparable."""

    id: int
    code: str
    label: str
    category: int
    factor: float
    digits: int


@dataclass(frozen=True)
class Tax:
    """A tax; `rate` is a share (0.19), None for a tax that is no percentage."""

    id: int
    name: str
    rate: Decimal | None
    category: str | None

    def told(self) -> dict[str, Any]:
        """As a native value."""
        return {"id": str(self.id), "name": self.name, "rate": self.rate, "category": self.category}


@dataclass
class _Loaded:
    units: dict[int, Unit]
    taxes: dict[int, Tax]
    named: dict[str, dict[int, str]]
    at: float


class Codes:
    """Reads these tables of one session when they are needed, and again after five minutes."""

    def __init__(
        self, session: TrytonSession, *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._ticks = ticks
        self._now: _Loaded | None = None
        self.models = Models(session)

    def forget(self) -> None:
        """Read everything anew when it is next needed."""
        self._now = None
        self.models.forget()

    def unit(self, number: int | None) -> str | None:
        """The code of a unit."""
        found = None if number is None else self._found("units", number)
        return found.code if isinstance(found, Unit) else None

    def unit_number(self, code: str) -> int | None:
        """The unit with that code (or symbol); None where there is none."""
        for attempt in (self._tables(), None):
            tables = attempt or self._read()
            for unit in tables.units.values():
                if unit.code == code:
                    return unit.id
        return None

    def converted(self, quantity: Decimal, start: int | None, end: int | None) -> Decimal:
        """A quantity in another unit of the same category, rounded to that unit's digits."""
        one, other = self._found("units", start), self._found("units", end)
        if not isinstance(one, Unit) or not isinstance(other, Unit) or one.id == other.id:
            return quantity
        share = Decimal(str(one.factor)) / Decimal(str(other.factor))
        return round(quantity * share, other.digits)

    def tax(self, number: int) -> dict[str, Any]:
        """A tax as a native value."""
        found = self._found("taxes", number)
        if isinstance(found, Tax):
            return found.told()
        return {"id": str(number), "name": None, "rate": None, "category": None}

    def tax_number(self, told: Mapping[str, Any]) -> int | None:
        """The tax that is told by id, or by rate and (where given) category."""
        if told.get("id"):
            return int(told["id"]) if str(told["id"]).isdigit() else None
        for tax in self._tables().taxes.values():
            if tax.rate == told.get("rate") and told.get("category") in (None, tax.category):
                return tax.id
        return None

    def name(self, table: str, number: int | None) -> str | None:
        """The code of a row of one of NAMED."""
        if number is None:
            return None
        known = self._tables().named[table]
        if number not in known:
            known = self._read().named[table]
        return known.get(number, str(number))

    def number(self, table: str, code: str) -> int | None:
        """The row of one of NAMED with that code; None where there is none."""
        for fresh in (False, True):
            known = (self._read() if fresh else self._tables()).named[table]
            for number, name in known.items():
                if name == code:
                    return number
        return None

    def choices(self, table: str) -> tuple[Choice, ...]:
        """All codes of one of NAMED, or of the units."""
        if table == "product.uom":
            units = sorted(self._tables().units.values(), key=lambda unit: unit.code)
            return tuple({unit.code: Choice(unit.code, unit.label) for unit in units}.values())
        return tuple(
            Choice(name, name) for name in sorted(set(self._tables().named[table].values()))
        )

    def _found(self, table: str, number: int | None) -> Unit | Tax | None:
        if number is None:
            return None
        rows: Mapping[int, Unit | Tax] = getattr(self._tables(), table)
        if number not in rows:
            rows = getattr(self._read(), table)
        return rows.get(number)

    def _tables(self) -> _Loaded:
        if self._now is None or self._ticks() - self._now.at > KEEP_SECONDS:
            return self._read()
        return self._now

    def _read(self) -> _Loaded:
        units = self._rows(
            "product.uom", ("symbol", "name", "category", "factor", "digits", "unece_code")
        )
        taxes = self._rows("account.tax", ("name", "type", "rate", "unece_category_code"))
        self._now = _Loaded(
            units={row["id"]: _unit(row) for row in units},
            taxes={row["id"]: _tax(row) for row in taxes},
            named={
                table: {row["id"]: row[field] for row in self._rows(table, (field,))}
                for table, field in NAMED.items()
            },
            at=self._ticks(),
        )
        return self._now

    def _rows(self, model: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
        """All rows, archived ones too; none where the model is not there."""
        if not self.models.has(model):
            return []
        optional = _OPTIONAL & set(wanted)
        fields = self.models.fields(model, optional) if optional else {}
        rows: list[dict[str, Any]] = self._session.call(
            model,
            "search_read",
            [],
            0,
            None,
            [["id", "ASC"]],
            [name for name in wanted if name not in optional or name in fields],
            context={"active_test": False},
        )
        return rows


NAMED = {
    "currency.currency": "code",
    "account.invoice.payment_term": "name",
    "incoterm.incoterm": "code",
    "product.category": "name",
}
"""Tables of codes, with the field that holds the code."""
_OPTIONAL = frozenset(("unece_code", "unece_category_code"))
"""Fields of Tryton's UNECE modules, which need not be there."""


def _unit(row: Mapping[str, Any]) -> Unit:
    code = row.get("unece_code") or row["symbol"] or row["name"]
    return Unit(row["id"], code, row["name"], row["category"], row["factor"], row["digits"])


def _tax(row: Mapping[str, Any]) -> Tax:
    rate = row["rate"] if row["type"] == "percentage" else None
    return Tax(row["id"], row["name"], rate, row.get("unece_category_code"))
