"""The custom fields that an administrator added in Creme: `cf_<id>`, whatever they are called.

The few that the add-on itself brings along go by fixed names, and their choices by their text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from creme.creme_core.models import CustomField, CustomFieldEnumValue
from django.core.exceptions import ValidationError

from .. import extras, values
from ..errors import Invalid
from ..session import Session
from . import Part
from .columns import refused

PREFIX = "cf_"
_CHOICE = (CustomField.ENUM, CustomField.MULTI_ENUM)
_TYPES = {CustomField.ENUM: "choice", CustomField.MULTI_ENUM: "references"}


class CustomFields(Part):
    """All living custom fields of a model; they come and go while Creme runs."""

    def __init__(self, model) -> None:
        self.model = model

    def fields(self, session: Session) -> dict[str, CustomField]:
        """The fields there are now, by their wire name."""
        return session.keep(
            ("custom", self.model),
            lambda: {
                wire_name(field): field
                for field in CustomField.objects.compatible(self.model).filter(is_deleted=False)
            },
        )

    def _choices(self, session: Session) -> dict[int, dict[int, tuple[str, str]]]:
        """For each custom field its values: primary key, wire value and label."""

        def make() -> dict[int, dict[int, tuple[str, str]]]:
            found: dict[int, dict[int, tuple[str, str]]] = defaultdict(dict)
            rows = CustomFieldEnumValue.objects.filter(
                custom_field__in=[field.pk for field in self.fields(session).values()]
            )
            ours = {f.pk for f in self.fields(session).values() if extras.wire_name(f)}
            for row in rows:
                key = row.value if row.custom_field_id in ours else str(row.uuid)
                found[row.custom_field_id][row.pk] = (key, row.value)
            return found

        return session.keep(("custom choices", self.model), make)

    def describe(self, session: Session) -> list[dict[str, Any]]:
        return [self._told(session, name, field) for name, field in self.fields(session).items()]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.fields(session), True)

    def _told(self, session: Session, name: str, field: CustomField) -> dict[str, Any]:
        told: dict[str, Any] = {"name": name, "label": field.name, "required": field.is_required}
        if field.field_type in _CHOICE:
            told["type"] = _TYPES[field.field_type]
            told["choices"] = [
                {"value": key, "label": label}
                for key, label in self._choices(session)[field.pk].values()
            ]
            return told
        column = _column(field)
        told["type"] = values.type_of(column)
        if told["type"] == "text":
            told["max_length"] = column.max_length
        elif told["type"] == "decimal":
            told["scale"] = column.decimal_places
        return told

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        known = self.fields(session)
        names = {field.pk: name for name, field in known.items()}
        empty = {
            name: [] if field.field_type == CustomField.MULTI_ENUM else None
            for name, field in known.items()
        }
        records = {pk: dict(empty) for pk in ids}
        tables: dict[Any, list[CustomField]] = defaultdict(list)
        for field in known.values():
            tables[field.value_class].append(field)
        for table, fields in tables.items():
            rows = table.objects.filter(custom_field__in=fields, entity__in=ids)
            for pk, field_id, value in rows.values_list("entity_id", "custom_field_id", "value"):
                name = names[field_id]
                self._put(session, records[pk], name, known[name], value)
        for record in records.values():
            for value in record.values():
                if isinstance(value, list):
                    value.sort()
        return records

    def _put(
        self, session: Session, record: dict[str, Any], name: str, field: CustomField, value: Any
    ) -> None:
        if field.field_type in _CHOICE:
            told = self._choices(session)[field.pk].get(value)
            if told is None:
                return
            if field.field_type == CustomField.ENUM:
                record[name] = told[0]
            else:
                record[name] = [*record[name], told[0]]
        else:
            record[name] = values.outward(session, _column(field))(value)

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        known = self.fields(session)
        for name in known.keys() & match.keys():
            field, value = known[name], match[name]
            if value is None or field.field_type in _CHOICE:
                continue
            wanted = values.inward(session, _column(field), value, name)
            queryset = queryset.filter(
                pk__in=field.value_class.objects.filter(custom_field=field, value=wanted).values(
                    "entity"
                )
            )
        return queryset

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        known = self.fields(session)
        for name, field in known.items():
            if name in fields:
                self._write(session, entity, name, field, fields[name])
            elif new and field.is_required:
                raise Invalid(f"{name} (“{field.name}”) is required in Creme.", name)
        return False

    def _write(self, session: Session, entity, name: str, field: CustomField, given: Any) -> None:
        table = field.value_class
        if given is None or given == "" or given == []:
            if field.is_required:
                raise Invalid(f"{name} (“{field.name}”) must not be empty.", name)
            for row in table.objects.filter(custom_field=field, entity=entity.pk):
                row.delete()
            return
        if field.field_type in _CHOICE:
            value = self._chosen(session, name, field, given)
        else:
            value = values.inward(session, _column(field), given, name)
        row = table.objects.filter(custom_field=field, entity=entity.pk).first()
        if row is not None and not _differs(row, field, value):
            return
        row = row or table(custom_field=field, entity=entity)
        self._check(row, name, field, value)
        row.set_value_n_save(value)

    def _chosen(self, session: Session, name: str, field: CustomField, given: Any) -> Any:
        keys = {key: pk for pk, (key, _) in self._choices(session)[field.pk].items()}
        wanted = given if field.field_type == CustomField.MULTI_ENUM else [given]
        if not isinstance(wanted, list):
            raise Invalid(f"{name} must be a list of values.", name)
        unknown = [key for key in wanted if key not in keys]
        if unknown:
            raise Invalid(f"{name}: {unknown[0]!r} is none of the values known here.", name)
        found = [keys[key] for key in wanted]
        return found if field.field_type == CustomField.MULTI_ENUM else found[0]

    def _check(self, row, name: str, field: CustomField, value: Any) -> None:
        if field.field_type in _CHOICE:
            return
        try:
            _column(field).clean(value, row)
        except ValidationError as error:
            raise refused({name: error.messages}) from None


def wire_name(field: CustomField) -> str:
    """The name of a custom field on the wire."""
    return extras.wire_name(field) or f"{PREFIX}{field.pk}"


def _column(field: CustomField):
    return field.value_class._meta.get_field("value")


def _differs(row, field: CustomField, value: Any) -> bool:
    if field.field_type == CustomField.MULTI_ENUM:
        return set(row.value.values_list("pk", flat=True)) != set(value)
    return (row.value_id if field.field_type == CustomField.ENUM else row.value) != value
