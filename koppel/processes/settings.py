"""The settings of the order processes: which step runs where, rules, value tables. A document."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct, field

from koppel.errors import NeedsUser
from koppel.processes.rules import IncomingRule
from koppel.store import Store

KIND, NAME = "process", "order"

Until = Literal["draft", "quote", "confirm"]
TaxDifference = Literal["proved", "hold", "erp"]
"""Where only the rounding of tax differs: taken where that can be proved, held in any case, or
taken where the difference is small enough to be that."""


class Transfer(Struct, frozen=True, forbid_unknown_fields=True):
    """How far, and what to do where people may want it otherwise."""

    until: Until = "confirm"
    promote: bool = True
    tax_rounding: TaxDifference = "proved"
    late_change: Literal["request", "put_back"] = "request"
    price_digits: int = 4


class Automatic(Struct, frozen=True, forbid_unknown_fields=True):
    """Documents of this resource are handed over when they reach the status."""

    resource: str
    status: str


class WriteBack(Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of the CRM's document for the ERP's number, and statuses by the ERP's state."""

    number: str = ""
    status: Mapping[str, str] = field(default_factory=dict)
    status_field: str = "status"


class Values(Struct, frozen=True, forbid_unknown_fields=True):
    """Tables from the CRM's words to the ERP's."""

    payment_terms: Mapping[str, str] = field(default_factory=dict)
    delivery_terms: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


class RecordSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the ERP's documents the CRM keeps as records, and its statuses for their states."""

    order: bool = False
    invoice: bool = False
    credit_note: bool = False
    order_status: Mapping[str, str] = field(default_factory=dict)
    invoice_status: Mapping[str, str] = field(default_factory=dict)
    credit_note_status: Mapping[str, str] = field(default_factory=dict)

    def any(self) -> bool:
        """Is any kind kept?"""
        return self.order or self.invoice or self.credit_note


class Face(Struct, frozen=True, forbid_unknown_fields=True):
    """What people in the ERP see of the CRM beside the order itself."""

    partner: bool = False


class OrderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    crm: str = "crm"
    erp: str = "erp"
    url: str = ""
    """Koppel's address in people's browsers, for links in the ERP; empty: where it serves."""
    erp_resource: str = "sale.sale"
    transfer: Transfer = field(default_factory=Transfer)
    automatic: tuple[Automatic, ...] = ()
    write_back: WriteBack = field(default_factory=WriteBack)
    incoming: tuple[IncomingRule, ...] = ()
    values: Values = field(default_factory=Values)
    records: RecordSettings = field(default_factory=RecordSettings)
    face: Face = field(default_factory=Face)


def parse_settings(text: str, *, source: str = "order.toml") -> OrderSettings:
    """Read the document; `NeedsUser` says what is wrong with it."""
    try:
        return msgspec.convert(tomllib.loads(text, parse_float=str), OrderSettings, strict=False)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the settings") from error


def shipped_settings() -> str:
    """The settings that Koppel brings along."""
    return (files("koppel") / "mappings" / "processes" / "order.toml").read_text(encoding="utf-8")


def order_settings(store: Store) -> OrderSettings:
    """The live settings: the user's document, or those that Koppel brings along."""
    text = store.documents.get(KIND, NAME)
    return parse_settings(text or shipped_settings(), source=f"{KIND} {NAME}")
