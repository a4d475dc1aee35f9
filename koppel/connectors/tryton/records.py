"""From a row of Tryton's nested read to a native record, with its version.

The version is a digest of the time stamps and ids of the party and of everything that belongs to
it: a child's own edit, its creation and its deletion change it, and so does another employer. The
server's module `koppel` makes it; without that module the time stamps are read and the digest is
made here. Where an employer was merged into another company, the contact belongs to
that one; Tryton leaves the contact itself as it was, so the heir is put into its version.
The time stamps themselves are kept for Tryton's own check at a write.
Texts that are empty are None, since Tryton tells both apart only by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from koppel.connectors.base import Record
from koppel.connectors.tryton.schema import (
    BANK_ACCOUNTS,
    CONTACT,
    EMPLOYER,
    PARTY,
    VERSION,
    ChildSpec,
    Leaf,
    Schema,
)
from koppel.connectors.tryton.tables import ValueTables

Row = Mapping[str, Any]
Heirs = Mapping[int, int]
"""From each party that was merged into another one to that one."""


@dataclass(frozen=True)
class Snapshot:
    """One living record as read at one moment.

    `stamps` are Tryton's own time stamps by "model,id", verbatim. `relations` are the rows that tie
    a contact person to the employers of today: (id of the row, id of the employer).
    """

    record: Record
    stamps: Mapping[str, str]
    relations: tuple[tuple[int, int], ...]


def read_names(schema: Schema, resource: str) -> list[str]:
    """The field names of one nested read that holds all that a snapshot needs."""
    names = ["_timestamp", *schema.leaves, *([VERSION] if schema.module else ())]
    for child in schema.children.values():
        names += [f"{child.name}.{leaf}" for leaf in ("_timestamp", *child.leaves)]
    if schema.bank is not None:
        names.append(f"{BANK_ACCOUNTS}._timestamp")
        names += [f"{BANK_ACCOUNTS}.numbers.{leaf}" for leaf in _NUMBER]
    if resource == CONTACT:
        names += _TIES
    return names


_NUMBER = ("_timestamp", "type", "number_compact")
_TIES = ("relations.type", "relations.to")


def version_names(schema: Schema, resource: str, heirs: Heirs) -> list[str]:
    """The field names that `version_of` needs."""
    ties = _TIES if resource == CONTACT and (heirs or not schema.module) else ()
    return [*([VERSION] if schema.module else stamp_names(schema)), *ties]


def stamp_names(schema: Schema) -> list[str]:
    """The field names of all time stamps."""
    names = ["_timestamp", *(f"{name}._timestamp" for name in schema.children)]
    if schema.bank is not None:
        names += [f"{BANK_ACCOUNTS}._timestamp", f"{BANK_ACCOUNTS}.numbers._timestamp"]
    return names


def version_of(schema: Schema, row: Row, heirs: Heirs) -> str:
    """The version of a row; `heirs` is empty except for contact persons."""
    if not schema.module:
        stamps = sorted(stamps_of(schema, row).items())
        content = msgspec.json.encode([stamps, _relations(schema, row, heirs)])
        return hashlib.blake2b(content, digest_size=8).hexdigest()
    relations = _relations(schema, row, {}) if heirs else []
    if relations and relations[0][1] in heirs:
        return f"{row[VERSION]}-{heirs[relations[0][1]]}"
    return str(row[VERSION])


def newest_stamp(schema: Schema, row: Row) -> float:
    """The youngest time stamp of a row, in seconds since 1970 by the database's clock."""
    return max(float(stamp) for stamp in stamps_of(schema, row).values())


def stamps_of(schema: Schema, row: Row) -> dict[str, str]:
    """The time stamps of the party and its children by "model,id", verbatim."""
    stamps = {f"{PARTY},{row['id']}": row["_timestamp"]}
    for child in schema.children.values():
        for item in row.get(f"{child.name}.") or ():
            stamps[f"{child.model},{item['id']}"] = item["_timestamp"]
    for account in row.get(f"{BANK_ACCOUNTS}.") or ():
        stamps[f"bank.account,{account['id']}"] = account["_timestamp"]
        for number in account.get("numbers.") or ():
            stamps[f"bank.account.number,{number['id']}"] = number["_timestamp"]
    return stamps


def snapshots(
    schema: Schema, tables: ValueTables, resource: str, rows: Sequence[Row], heirs: Heirs
) -> dict[str, Snapshot]:
    """The rows of living records of a resource, by id, in the same order."""
    _look_up(schema, tables, rows)
    return {str(row["id"]): _snapshot(schema, tables, resource, row, heirs) for row in rows}


def _look_up(schema: Schema, tables: ValueTables, rows: Sequence[Row]) -> None:
    """Fetch the codes that the rows need in one go for each table."""
    needed: dict[str, set[int]] = {}

    def note(leaves: Mapping[str, Leaf], row: Row) -> None:
        for leaf in leaves.values():
            if leaf.table and row.get(leaf.name):
                needed.setdefault(leaf.table, set()).add(row[leaf.name])

    for row in rows:
        note(schema.leaves, row)
        for child in schema.children.values():
            for item in row.get(f"{child.name}.") or ():
                note(child.leaves, item)
    for table, ids in needed.items():
        tables.need(table, ids)


def _snapshot(
    schema: Schema, tables: ValueTables, resource: str, row: Row, heirs: Heirs
) -> Snapshot:
    fields = {name: native(leaf, row.get(name), tables) for name, leaf in schema.leaves.items()}
    for child in schema.children.values():
        fields[child.name] = _children(child, tables, row)
    if schema.bank is not None:
        fields[BANK_ACCOUNTS] = _accounts(row)
    relations = _relations(schema, row, heirs)
    if resource == CONTACT:
        fields[EMPLOYER] = str(relations[0][1]) if relations else None
    record = Record(
        resource=resource, id=str(row["id"]), version=version_of(schema, row, heirs), fields=fields
    )
    return Snapshot(record=record, stamps=stamps_of(schema, row), relations=tuple(relations))


def native(leaf: Leaf, value: Any, tables: ValueTables) -> Any:
    """One value of Tryton as a native field value."""
    if value is None or value == "":
        return None
    if leaf.table:
        return tables.code(leaf.table, value)
    match leaf.info.type:
        case "boolean":
            return bool(value)
        case "reference":
            return str(value)
        case "datetime" if isinstance(value, datetime):
            return value
    return value


def _children(child: ChildSpec, tables: ValueTables, row: Row) -> list[dict[str, Any]]:
    return [
        {
            "id": str(item["id"]),
            **{name: native(leaf, item.get(name), tables) for name, leaf in child.leaves.items()},
        }
        for item in row.get(f"{child.name}.") or ()
    ]


def _accounts(row: Row) -> list[dict[str, Any]]:
    """Bank accounts by their IBAN; one without an IBAN has None there."""
    accounts = []
    for item in row.get(f"{BANK_ACCOUNTS}.") or ():
        numbers = item.get("numbers.") or ()
        compact = [number["number_compact"] for number in numbers if number["type"] == "iban"]
        accounts.append({"id": str(item["id"]), "iban": compact[0] if compact else None})
    return accounts


def _relations(schema: Schema, row: Row, heirs: Heirs) -> list[tuple[int, int]]:
    """Tryton itself leaves out the ones that are over; the oldest comes first."""
    return sorted(
        (item["id"], heirs.get(item["to"], item["to"]))
        for item in row.get("relations.") or ()
        if item["type"] == schema.relation_type
    )
