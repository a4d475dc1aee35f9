"""From native fields to what Tryton's `create` and `write` take, with nothing in it that stays.

A list of children stands for the whole list: a child with a known id is changed where it differs,
one without an id (or with an id that is not there any more) is made, one that is missing is
archived, the way Tryton's own users do it. A bank account that is missing is only untied from the
party; an IBAN that Tryton knows already is tied to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from koppel.connectors.base import Fields, Record
from koppel.connectors.tryton.schema import (
    BANK_ACCOUNTS,
    CONTACT,
    EMPLOYER,
    ChildSpec,
    Leaf,
    Schema,
)
from koppel.connectors.tryton.tables import ValueTables


class FieldRefused(Exception):
    """A field cannot be written so; `fields` are the ones to blame."""

    def __init__(self, message: str, *fields: str) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


@dataclass(frozen=True)
class Builder:
    """Builds values for one call. `accounts` maps IBANs that Tryton knows to their account."""

    schema: Schema
    tables: ValueTables
    accounts: Mapping[str, int]

    def create(self, resource: str, key: str, fields: Fields) -> dict[str, Any]:
        """All values of a new party; `FieldRefused` where a field cannot be written."""
        if resource == CONTACT and not fields.get(EMPLOYER):
            raise FieldRefused("a contact needs an employer", EMPLOYER)
        values = self._values(resource, fields, None, ())
        keys = {"koppel_key": key} if self.schema.module else {}
        return {**values, **keys, "addresses": values.get("addresses", [])}

    def update(
        self, fields: Fields, current: Record, relations: Sequence[tuple[int, int]]
    ) -> dict[str, Any]:
        """What has to change; empty where nothing does."""
        return self._values(current.resource, fields, current, relations)

    def _values(
        self,
        resource: str,
        fields: Fields,
        current: Record | None,
        relations: Sequence[tuple[int, int]],
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, wanted in fields.items():
            now = current.fields.get(name) if current is not None else None
            if name in self.schema.leaves:
                leaf = self.schema.leaves[name]
                if current is None or not same(now, wanted):
                    values[name] = self.leaf(leaf, wanted, name)
            elif name in self.schema.children:
                actions = self._children(self.schema.children[name], wanted, now or [])
                if actions:
                    values[name] = actions
            elif name == BANK_ACCOUNTS and self.schema.bank is not None:
                actions = self._accounts(wanted, now or [])
                if actions:
                    values[name] = actions
            elif name == EMPLOYER and resource == CONTACT:
                actions = self._employer(wanted, now, relations)
                if actions:
                    values["relations"] = actions
            else:
                raise FieldRefused(f"Tryton has no field {name!r} here", name)
        return values

    def leaf(self, leaf: Leaf, value: Any, place: str) -> Any:
        """One value as Tryton takes it."""
        if not leaf.info.writable:
            raise FieldRefused(f"{place} cannot be written", place)
        if value is None:
            return None
        if leaf.table:
            number = self.tables.number(leaf.table, value) if isinstance(value, str) else None
            if number is None:
                raise FieldRefused(f"Tryton knows no {leaf.info.label} {value!r}", place)
            return number
        if leaf.info.type == "reference":
            return _number(value, place)
        if not isinstance(value, _ACCEPTED[leaf.info.type]) or (
            isinstance(value, bool) and leaf.info.type != "boolean"
        ):
            raise FieldRefused(f"{value!r} is not a value for a {leaf.info.type}", place)
        choices = leaf.info.choices
        if choices and value not in {choice.value for choice in choices}:
            raise FieldRefused(f"{leaf.info.label} cannot be {value!r}", place)
        if isinstance(value, int) and leaf.info.type == "decimal":
            return Decimal(value)
        if isinstance(value, int) and leaf.info.type == "float":
            return float(value)
        return value

    def _children(
        self, child: ChildSpec, wanted: Any, now: Sequence[Mapping[str, Any]]
    ) -> list[Any]:
        items = _checked_list(wanted, child.name)
        known = {item["id"]: item for item in now}
        actions: list[Any] = []
        created: list[dict[str, Any]] = []
        kept = set()
        for item in items:
            before = known.get(str(item.get("id")))
            values = {
                name: self.leaf(self._child_leaf(child, name), value, f"{child.name}.{name}")
                for name, value in item.items()
                if name != "id" and (before is None or not same(before.get(name), value))
            }
            if before is None:
                created.append(_unstructured(values, child, fresh=True))
                continue
            kept.add(before["id"])
            if values:
                values = _unstructured(values, child, fresh=False)
                actions.append(["write", [int(before["id"])], values])
        missing = [int(key) for key in known if key not in kept]
        if missing:
            actions.append(self._drop(child, missing))
        if created:
            actions.append(["create", created])
        return actions

    def _drop(self, child: ChildSpec, ids: list[int]) -> list[Any]:
        if "active" in child.leaves:
            return ["write", ids, {"active": False}]
        return ["delete", ids]

    def _child_leaf(self, child: ChildSpec, name: str) -> Leaf:
        leaf = child.leaves.get(name)
        if leaf is None:
            place = f"{child.name}.{name}"
            raise FieldRefused(f"Tryton has no field {place!r} here", place)
        return leaf

    def _accounts(self, wanted: Any, now: Sequence[Mapping[str, Any]]) -> list[Any]:
        items = _checked_list(wanted, BANK_ACCOUNTS)
        by_id = {item["id"]: item for item in now}
        by_iban = {item["iban"]: item for item in now if item["iban"]}
        actions: list[Any] = []
        kept = set()
        for item in items:
            iban = compact_iban(item.get("iban"))
            before = by_id.get(str(item.get("id")))
            if before is not None and (iban is None or before["iban"] == iban):
                kept.add(before["id"])
            elif iban is None:
                raise FieldRefused("a bank account needs an IBAN", f"{BANK_ACCOUNTS}.iban")
            elif iban in by_iban:
                kept.add(by_iban[iban]["id"])
            elif iban in self.accounts:
                actions.append(["add", [self.accounts[iban]]])
            else:
                number = {"type": "iban", "number": iban}
                actions.append(["create", [{"numbers": [["create", [number]]]}]])
        missing = [int(key) for key in by_id if key not in kept]
        if missing:
            actions.append(["remove", missing])
        return actions

    def _employer(self, wanted: Any, now: Any, relations: Sequence[tuple[int, int]]) -> list[Any]:
        if wanted is None:
            raise FieldRefused("a contact needs an employer", EMPLOYER)
        number = _number(wanted, EMPLOYER)
        if wanted == now:
            return []
        for relation, employer in relations:
            if str(employer) == now:
                return [["write", [relation], {"to": number}]]
        return [["create", [{"type": self.schema.relation_type, "to": number}]]]


_ACCEPTED: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "choice": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "decimal": (Decimal, int),
    "float": (float, int),
    "date": (date,),
    "datetime": (datetime,),
}


_STREET_PARTS = ("street_name", "building_name", "building_number", "unit_number", "floor_number",
                 "room_number", "post_box", "private_bag", "post_office")  # fmt: skip


def _unstructured(values: dict[str, Any], child: ChildSpec, *, fresh: bool) -> dict[str, Any]:
    """The street as one text; Tryton refuses it beside a filled structured part: clear them."""
    if child.model != "party.address" or "street" not in values:
        return values
    street = values.pop("street")
    cleared = {} if fresh else dict.fromkeys(_STREET_PARTS)
    return {**values, **cleared, "street_unstructured": street}


def ibans(fields: Fields) -> set[str]:
    """The IBANs in the fields of a write, compact."""
    items = fields.get(BANK_ACCOUNTS)
    if not isinstance(items, (list, tuple)):
        return set()
    found = {compact_iban(item.get("iban")) for item in items if isinstance(item, Mapping)}
    return {iban for iban in found if iban}


def compact_iban(value: Any) -> str | None:
    """An IBAN without blanks and in capitals; None for an empty one."""
    if not isinstance(value, str):
        return None
    return "".join(value.split()).upper() or None


def same(now: Any, wanted: Any) -> bool:
    """Equal for Tryton: an empty text is None, and True is not 1."""
    if now in (None, "") and wanted in (None, ""):
        return True
    return type(now) is type(wanted) and bool(now == wanted)


def holds(record: Record, fields: Fields) -> bool:
    """Does the record hold these fields already? Children are matched by id or by content."""
    for name, wanted in fields.items():
        now = record.fields.get(name)
        if isinstance(wanted, (list, tuple)):
            if not _holds_list(now or [], wanted):
                return False
        elif not same(now, wanted):
            return False
    return True


def _holds_list(now: Sequence[Mapping[str, Any]], wanted: Sequence[Any]) -> bool:
    left = list(now)
    if len(left) != len(wanted):
        return False
    for item in wanted:
        if not isinstance(item, Mapping):
            return False
        for candidate in left:
            if _holds_child(candidate, item):
                left.remove(candidate)
                break
        else:
            return False
    return True


def _holds_child(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tryton writes numbers in its own way: blanks, signs and capitals do not count."""
    for name, value in wanted.items():
        if name != "id" and not same(_squeezed(now.get(name)), _squeezed(value)):
            return False
    return True


def _squeezed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(sign for sign in value.casefold() if sign.isalnum())


def _checked_list(wanted: Any, place: str) -> list[Mapping[str, Any]]:
    if wanted is None:
        return []
    if not isinstance(wanted, (list, tuple)) or not all(
        isinstance(item, Mapping) for item in wanted
    ):
        raise FieldRefused(f"{place} has to be a list of records", place)
    return list(wanted)


def _number(value: Any, place: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise FieldRefused(f"{value!r} is not the id of a record", place)
