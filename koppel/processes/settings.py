"""The settings of the order processes: which step runs where, rules, value tables. A document."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from koppel import typed
from koppel.errors import NeedsUser
from koppel.processes.process_map import ProcessMap, derived
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
    """Where it is not given, the process map says so (`steps.confirmation`)."""
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
    steps: ProcessMap = field(default_factory=ProcessMap)
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
        document = tomllib.loads(text, parse_float=str)
        found = typed.convert(document, OrderSettings, strict=False)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise NeedsUser(str(error), place=source, remedy="Correct the settings") from error
    found.steps.check(source)
    said = document.get("transfer", {}).get("until")
    steps, until = derived(found.steps, said, source)
    found = replace(found, steps=steps, transfer=replace(found.transfer, until=until))
    _fit(found, source)
    return found


def _fit(settings: OrderSettings, source: str) -> None:
    """`NeedsUser` where a setting asks for what the process map has put elsewhere."""
    steps, records = settings.steps, settings.records
    found: list[tuple[bool, str, str]] = [
        (
            bool(settings.automatic) and steps.order != "koppel",
            f"documents are to be handed over by their status, and the step 'order' is "
            f"'{steps.order}'",
            'Take the table [[automatic]] out, or let Koppel do it: order = "koppel"',
        ),
        (
            (records.invoice or records.credit_note) and steps.invoice == "elsewhere",
            "the CRM is to keep invoices as records, and the step 'invoice' runs elsewhere",
            "Set invoice and credit_note in [records] to false",
        ),
    ]
    found += [
        (
            rule.dunning_from is not None and steps.dunning == "elsewhere",
            f"the rule '{rule.name}' looks at reminders, and the step 'dunning' runs elsewhere",
            "Take dunning_from out of the rule",
        )
        for rule in settings.incoming
    ]
    for wrong, sentence, remedy in found:
        if wrong:
            raise NeedsUser(sentence, place=source, remedy=remedy)


def shipped_settings() -> str:
    """The settings that Koppel brings along."""
    return (files("koppel") / "mappings" / "processes" / "order.toml").read_text(encoding="utf-8")


def order_settings(store: Store) -> OrderSettings:
    """The live settings: the user's document, or those that Koppel brings along."""
    text = store.documents.get(KIND, NAME)
    return parse_settings(text or shipped_settings(), source=f"{KIND} {NAME}")
