"""The changes of a step: values where people look, bytes on their way to the journal."""

from __future__ import annotations

from decimal import Decimal

from koppel.model import Address
from koppel.store.changes import KeptChanges, encode_items, journalled
from koppel.store.codec import decode, encode
from koppel.sync.state import FieldChange

CHANGES = tuple(
    FieldChange(field=name, side=side, old=None, new=new, owner="erp", why=f"about {name}")
    for name, side, new in (
        ("name", "crm", "Müller GmbH"),
        ("limit", "erp", Decimal("1.50")),
        ("address", "crm", Address(line1="Weg 1", city="Köln")),
        ("roles", "crm", ("customer", "supplier")),
    )
)


def test_changes_come_back_as_they_were() -> None:
    kept = KeptChanges(encode_items(CHANGES))
    assert len(kept) == 4
    assert kept[1].new == Decimal("1.50")
    assert tuple(kept) == CHANGES
    assert kept == CHANGES
    assert tuple(kept[2:]) == CHANGES[2:]


def test_what_was_not_looked_at_is_stored_as_it_is() -> None:
    raw = encode_items(CHANGES)
    assert encode_items(KeptChanges(raw)) is raw


def test_the_journal_gets_the_changes_of_its_side_without_decoding_them() -> None:
    wanted = [[c.field, c.old, c.new, c.owner, c.why] for c in CHANGES if c.side == "crm"]
    for changes in (CHANGES, KeptChanges(encode_items(CHANGES))):
        raw = journalled(changes, "crm")
        assert raw == encode(wanted)
        assert decode(raw) == wanted
    assert decode(journalled(CHANGES[:1], "erp")) == []
