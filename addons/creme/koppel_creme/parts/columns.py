"""The fields that Creme itself keeps on the record: columns, choices, references, many-to-many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from creme.creme_core.models import CremeEntity, FieldsConfig
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models import Q

from .. import values
from ..errors import Invalid
from ..session import Session, choices
from . import Part

# `modified` is left out because a save that changes nothing touches it; the feed tells the times.
_HOUSEKEEPING = frozenset(
    ("id", "cremeentity_ptr", "entity_type", "header_filter_search_field", "is_deleted", "uuid",
     "sandbox", "extra_data", "image", "modified", "is_user", "billing_address", "shipping_address")
)  # fmt: skip
_READ_ONLY = frozenset(("created", "is_managed", "total_vat", "total_no_vat"))


class Columns(Part):
    """All columns of a model that people can see, found through Django's own description of it."""

    def __init__(self, model: type[CremeEntity], starting: Mapping[str, str] | None = None) -> None:
        """`starting`: for new records, values of choices that Creme needs and nobody told."""
        self.model = model
        self.starting = dict(starting or {})
        self.columns: dict[str, models.Field] = {
            column.name: column
            for column in model._meta.concrete_fields
            if column.name not in _HOUSEKEEPING and values.type_of(column)
        }
        self.many: dict[str, models.Field] = {
            column.name: column
            for column in model._meta.many_to_many
            if not values.is_entity(column.related_model)
        }
        self.names = frozenset(self.columns) | frozenset(self.many)

    def describe(self, session: Session) -> list[dict[str, Any]]:
        required = FieldsConfig.objects.get_for_model(self.model).required_field_names
        return [
            self._told(session, name, column, name in required)
            for name, column in {**self.columns, **self.many}.items()
        ]

    def writable(self, session: Session) -> dict[str, bool]:
        return {name: name not in _READ_ONLY for name in self.names}

    def _told(self, session: Session, name: str, column: Any, asked: bool) -> dict[str, Any]:
        kind = values.type_of(column)
        told: dict[str, Any] = {
            "name": name,
            "type": kind,
            "label": str(column.verbose_name),
            "writable": name not in _READ_ONLY,
            "required": name not in _READ_ONLY
            and name not in self.starting
            and (asked or not (column.blank or column.has_default() or name == "user")),
        }
        if kind == "text":
            told["max_length"] = column.max_length
        elif kind == "decimal":
            told["scale"] = column.decimal_places
        elif kind in ("choice", "references"):
            told["choices"] = choices(session, column.related_model)
        elif kind == "reference":
            told["reference"] = column.related_model._meta.label_lower
        return told

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        plain = [
            (name, column.attname, values.outward(session, column))
            for name, column in self.columns.items()
        ]
        wanted = [attname for _, attname, _ in plain]
        records: dict[int, dict[str, Any]] = {}
        for row in self.model.objects.filter(pk__in=ids).values("pk", *wanted):
            records[row["pk"]] = {name: tell(row[attname]) for name, attname, tell in plain}
        for name, column in self.many.items():
            for pk, found in self._read_many(session, column, records).items():
                records[pk][name] = found
        return records

    def _read_many(
        self, session: Session, column: Any, ids: Collection[int]
    ) -> dict[int, list[str]]:
        outward = session.outward(column.related_model)
        found: dict[int, list[str]] = {pk: [] for pk in ids}
        pairs = column.remote_field.through.objects.filter(
            **{f"{column.m2m_field_name()}__in": list(ids)}
        ).values_list(column.m2m_column_name(), column.m2m_reverse_name())
        for pk, other in pairs:
            found[pk].append(outward[other])
        return {pk: sorted(keys) for pk, keys in found.items()}

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        for name in self.columns.keys() & match.keys():
            column = self.columns[name]
            value = match[name]
            if value is None or value == "":
                empty = Q(**{f"{name}__isnull": True})
                queryset = queryset.filter(
                    empty | Q(**{name: ""}) if values.type_of(column) == "text" else empty
                )
            elif values.type_of(column) != "text":
                wanted = values.inward(session, column, value, name)
                queryset = queryset.filter(**{column.attname: wanted})
            elif "\n" not in value:
                queryset = queryset.filter(**{name: value})
        return queryset

    def assign(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        if new:
            fields = {**self._starting(session), **fields}
        touched = self.columns.keys() & fields.keys()
        changed = False
        for name in touched:
            column = self.columns[name]
            value = values.inward(session, column, fields[name], name)
            if new or getattr(entity, column.attname) != value:
                setattr(entity, column.attname, value)
                changed = True
        if new and entity.user_id is None:
            entity.user = session.user
        if new or changed:
            self._validate(entity, touched, new)
        return changed

    def _starting(self, session: Session) -> dict[str, str]:
        """Those of the starting values that this installation (still) has."""
        return {
            name: value
            for name, value in self.starting.items()
            if value in session.inward(self.columns[name].related_model)
        }

    def _validate(self, entity, touched: Collection[str], new: bool) -> None:
        """Creme's own checks. On an update nothing is blamed that is not touched.

        A record may hold older values that would not be accepted today.
        """
        untouched = [c.name for c in entity._meta.fields if c.name not in touched and not new]
        # These are Creme's own, or were looked up a moment ago: no need to ask the database again.
        untouched += ["cremeentity_ptr", "entity_type", "uuid", "user"]
        try:
            entity.full_clean(exclude=untouched)
        except ValidationError as error:
            faults = {
                name: messages
                for name, messages in error.message_dict.items()
                if new or name in touched or name == NON_FIELD_ERRORS
            }
            if faults:
                raise refused(faults) from None

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        for name in self.many.keys() & fields.keys():
            column = self.many[name]
            inward = session.inward(column.related_model)
            wanted = fields[name] or []
            unknown = [key for key in wanted if key not in inward]
            if unknown:
                raise Invalid(f"{name}: {unknown[0]!r} is none of the values known here.", name)
            here = set(getattr(entity, name).values_list("pk", flat=True))
            if here != {inward[key] for key in wanted}:
                getattr(entity, name).set([inward[key] for key in wanted])
        return False


def refused(faults: Mapping[str, Collection[str]], prefix: str = "") -> Invalid:
    """Creme's complaints as one refusal that names each field."""
    told = defaultdict(list)
    for name, messages in faults.items():
        told["" if name == NON_FIELD_ERRORS else prefix + name].extend(messages)
    sentence = " ".join(
        f"{name}: {' '.join(messages)}" if name else " ".join(messages)
        for name, messages in told.items()
    )
    return Invalid(sentence, *filter(None, told))
