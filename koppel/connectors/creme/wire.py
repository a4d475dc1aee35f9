"""The wire between Koppel and its add-on in Creme: what travels, and how values are read from it.

The reference of the wire says what each part means. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec
from msgspec import Struct

from koppel.connectors.base import (
    Act,
    Change,
    ChangePage,
    Choice,
    Create,
    FieldInfo,
    FieldType,
    Gone,
    IdPage,
    Outcome,
    Reason,
    Record,
    Refused,
    Resource,
    Unknown,
    Update,
    Write,
    Written,
)

API = "/koppel/api/v1"


class Trouble(Struct, frozen=True):
    """What the add-on says when it refuses a whole call."""

    code: str
    message: str


class ErrorAnswer(Struct, frozen=True):
    error: Trouble


class HealthAnswer(Struct, frozen=True):
    system: str
    version: str
    addon: str
    user: str
    resources: list[str]
    messages: list[str]
    notes: list[str] = []


class ListsAnswer(Struct, frozen=True):
    lists: dict[str, list[str]]
    may_keep: bool = False


class KeepAnswer(Struct, frozen=True):
    values: list[str]
    made: list[str]


class WireChoice(Struct, frozen=True):
    value: str
    label: str = ""


class WireField(Struct, frozen=True):
    name: str
    type: FieldType
    label: str = ""
    required: bool = False
    writable: bool = True
    max_length: int | None = None
    scale: int | None = None
    choices: list[WireChoice] = []
    reference: str | None = None
    fields: list[WireField] = []


class WireResource(Struct, frozen=True):
    name: str
    label: str
    fields: list[WireField]


class DescribeAnswer(Struct, frozen=True):
    resources: list[WireResource]


class WireRecord(Struct, frozen=True):
    resource: str
    id: str
    version: str
    fields: dict[str, Any]


class WireGone(Struct, frozen=True):
    resource: str
    id: str
    merged_into: str | None
    trashed: bool


class FetchAnswer(Struct, frozen=True):
    records: list[WireRecord]
    gone: list[WireGone]


class FindAnswer(Struct, frozen=True):
    records: list[WireRecord]


class WireChange(Struct, frozen=True):
    id: str
    gone: bool
    merged_into: str | None
    version: str | None
    at: datetime | None
    by: str | None


class ChangesAnswer(Struct, frozen=True):
    changes: list[WireChange]
    cursor: str
    more: bool


class NowAnswer(Struct, frozen=True):
    cursor: str


class IdsAnswer(Struct, frozen=True):
    items: list[tuple[str, str]]
    next: str | None


class After(Struct, frozen=True):
    record: WireRecord | None = None
    gone: WireGone | None = None


class WireOutcome(Struct, frozen=True):
    kind: Literal["written", "refused", "unknown"]
    after: After | None = None
    reason: Reason = "invalid"
    message: str = ""
    fields: list[str] = []


class WriteAnswer(Struct, frozen=True):
    outcomes: list[WireOutcome]


class RecoverAnswer(Struct, frozen=True):
    outcome: WireOutcome | None


class Misread(ValueError):
    """The other end said something that the reference of the wire does not allow."""


class UnknownField(Misread):
    """A record holds a field that the description does not name (yet)."""


def resource(told: WireResource) -> Resource:
    """A resource from its description."""
    return Resource(name=told.name, label=told.label, fields=tuple(map(_field, told.fields)))


def _field(told: WireField) -> FieldInfo:
    return FieldInfo(
        name=told.name,
        type=told.type,
        label=told.label,
        required=told.required,
        writable=told.writable,
        max_length=told.max_length,
        scale=told.scale,
        choices=tuple(Choice(choice.value, choice.label) for choice in told.choices),
        reference=told.reference,
        fields=tuple(map(_field, told.fields)),
    )


def record(told: WireRecord, known: Mapping[str, FieldInfo]) -> Record:
    """A record with its values typed as described; `UnknownField` for one not described."""
    return Record(
        resource=told.resource,
        id=told.id,
        version=told.version,
        fields=_typed(told.fields, known),
    )


def _typed(fields: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> dict[str, Any]:
    typed = {}
    for name, value in fields.items():
        info = known.get(name)
        if info is None:
            raise UnknownField(f"the field {name} is not described")
        try:
            typed[name] = _value(value, info)
        except (TypeError, ValueError, AttributeError, InvalidOperation):
            raise Misread(f"the field {name} holds no {info.type}") from None
    return typed


def _value(value: Any, info: FieldInfo) -> Any:
    if value is None:
        return None
    match info.type:
        case "decimal":
            return Decimal(value)
        case "date":
            return date.fromisoformat(value)
        case "datetime":
            return datetime.fromisoformat(value).astimezone(UTC)
        case "float":
            return float(value)
        case "object":
            return _typed(value, {child.name: child for child in info.fields})
        case "list":
            children = {child.name: child for child in info.fields}
            return [_typed(child, children) for child in value]
        case _:
            return value


def gone(told: WireGone) -> Gone:
    """How a record is gone."""
    return Gone(
        resource=told.resource, id=told.id, merged_into=told.merged_into, trashed=told.trashed
    )


def _line(cursor: str) -> int:
    """The line of the history at which a cursor stands: `log:17`, `all:3:17`, maybe with gaps."""
    kind, *rest = cursor.split(":")
    return int(rest[1] if kind == "all" else rest[0])


def change_page(told: ChangesAnswer, since: str | None = None) -> ChangePage:
    """A page of changes. The place in Creme's history goes back only by a backup put back."""
    return ChangePage(
        anew=since is not None and _line(told.cursor) < _line(since),
        changes=tuple(
            Change(
                id=change.id,
                gone=change.gone,
                merged_into=change.merged_into,
                version=change.version,
                at=change.at,
                by=change.by,
            )
            for change in told.changes
        ),
        cursor=told.cursor,
        more=told.more,
    )


def id_page(told: IdsAnswer) -> IdPage:
    """A page of the sweep."""
    return IdPage(items=tuple(told.items), next=told.next)


def outcome(told: WireOutcome, known: Mapping[str, FieldInfo]) -> Outcome:
    """What became of one write."""
    if told.kind == "refused":
        return Refused(reason=told.reason, message=told.message, fields=tuple(told.fields))
    if told.kind == "unknown":
        return Unknown(message=told.message)
    if told.after is not None and told.after.record is not None:
        return Written(after=record(told.after.record, known))
    if told.after is not None and told.after.gone is not None:
        return Written(after=gone(told.after.gone))
    raise Misread("a write was done, but what came of it is missing")


def wish(write: Write) -> dict[str, Any]:
    """A write as it travels. Decimals, dates and times become texts when it is dumped as JSON."""
    told: dict[str, Any] = {
        "kind": type(write).__struct_config__.tag,
        "resource": write.resource,
        "key": write.key,
    }
    if not isinstance(write, Create):
        told["id"] = write.id
        told["expected"] = write.expected
    if isinstance(write, Act):
        told["action"] = write.action
    if isinstance(write, Create | Update | Act):
        told["fields"] = write.fields
    return told


_encoder = msgspec.json.Encoder(decimal_format="string")


def dump(payload: Any) -> bytes:
    """JSON with decimals as texts and times in ISO 8601."""
    return _encoder.encode(payload)
