"""Billing, shipping and further addresses of an organisation or a contact.

`billing_address` and `shipping_address` are objects: a field that is absent inside stays as it is,
null for the whole object removes the address. `other_addresses` is a list that is written as a
whole: an entry with an `id` changes that address, one without makes one, and what is not in the
list any more is removed.

Quotes, orders and invoices have the first two only, and Creme never leaves them without: it copies
those of the target. So there an address without content is null on the wire, and null empties it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.persons import get_address_model
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from .. import values
from ..errors import Invalid
from ..session import Session
from . import Part
from .columns import refused

_FIELDS = ("name", "address", "po_box", "zipcode", "city", "department", "state", "country")
_CONTENT = _FIELDS[1:]
_MAIN = {"billing_address": "Billing address", "shipping_address": "Shipping address"}
_OTHERS = "other_addresses"


class Addresses(Part):
    """The addresses of a model with Creme's billing and shipping address."""

    names = frozenset((*_MAIN, _OTHERS))

    def __init__(self, model) -> None:
        self.model = model
        self.address = get_address_model()
        self.columns = {name: self.address._meta.get_field(name) for name in _FIELDS}

    def describe(self, session: Session) -> list[dict[str, Any]]:
        children = [{"name": "id", "type": "text", "label": "Id", "writable": False}]
        children += [
            {
                "name": name,
                "type": "text",
                "label": str(column.verbose_name),
                "max_length": column.max_length,
            }
            for name, column in self.columns.items()
        ]
        return [
            {"name": name, "type": "object", "label": _(label), "fields": children}
            for name, label in _MAIN.items()
        ] + [{"name": _OTHERS, "type": "list", "label": _("Other addresses"), "fields": children}]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.names, True)

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        records: dict[int, dict[str, Any]] = {}
        place: dict[int, tuple[int, str]] = {}
        mains = self.model.objects.filter(pk__in=ids).values_list("pk", *(f"{m}_id" for m in _MAIN))
        for pk, *address_ids in mains:
            records[pk] = {**dict.fromkeys(_MAIN), _OTHERS: []}
            for name, address_id in zip(_MAIN, address_ids, strict=True):
                if address_id is not None:
                    place[address_id] = (pk, name)
        tellers = {name: values.outward(session, c) for name, c in self.columns.items()}
        rows = self.address.objects.filter(object_id__in=ids).order_by("pk")
        for row in rows.values("pk", "object_id", *_FIELDS):
            told = {"id": str(row["pk"])}
            told.update((name, tell(row[name])) for name, tell in tellers.items())
            pk, name = place.get(row["pk"], (row["object_id"], ""))
            if pk in records and name:
                records[pk][name] = told
            elif pk in records:
                records[pk][_OTHERS].append(told)
        return records

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        for main in _MAIN.keys() & match.keys():
            if match[main] is None:
                queryset = queryset.filter(**{f"{main}__isnull": True})
                continue
            for name, value in _checked(main, match[main]).items():
                if name in _FIELDS and value and "\n" not in value:
                    queryset = queryset.filter(**{f"{main}__{name}": value})
        return queryset

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        again = False
        for main in _MAIN:
            if main in fields:
                again |= self._write_main(session, entity, main, fields[main])
        if _OTHERS in fields:
            self._write_others(session, entity, fields[_OTHERS] or [])
        return again

    def _write_main(self, session: Session, entity, main: str, given: Any) -> bool:
        address = getattr(entity, main)
        if given is None:
            if address is None:
                return False
            setattr(entity, main, None)
            entity.save()
            address.delete()
            return False
        given = _checked(main, given)
        if address is None:
            if not any(given.get(name) for name in _FIELDS):
                return False
            # Creme's own forms give a new address this name.
            given = {"name": _(_MAIN[main]), **given}
            setattr(entity, main, self._write(session, entity, self.address(), given, main))
            return True
        self._write(session, entity, address, given, main)
        return False

    def _write_others(self, session: Session, entity, given: Any) -> None:
        if not isinstance(given, list):
            raise Invalid(f"{_OTHERS} must be a list of addresses.", _OTHERS)
        here = {str(address.pk): address for address in entity.other_addresses}
        for entry in given:
            entry = _checked(_OTHERS, entry)
            key = entry.get("id")
            if key is not None and str(key) not in here:
                raise Invalid(f"{_OTHERS}: this record has no further address {key}.", _OTHERS)
            address = self.address() if key is None else here.pop(str(key))
            self._write(session, entity, address, entry, _OTHERS)
        for address in here.values():
            address.delete()

    def _write(self, session: Session, entity, address, given: Mapping[str, Any], place: str):
        new = address.pk is None
        changed = new
        for name in self.columns.keys() & given.keys():
            value = values.inward(session, self.columns[name], given[name], f"{place}.{name}")
            if getattr(address, name) != value:
                setattr(address, name, value)
                changed = True
        if new:
            address.owner = entity
        if changed:
            try:
                address.full_clean(exclude=("content_type", "object"))
            except ValidationError as error:
                raise refused(error.message_dict, f"{place}.") from None
            address.save()
        return address


class DocumentAddresses(Addresses):
    """Billing and shipping address of a quote, an order, an invoice or a credit note."""

    names = frozenset(_MAIN)

    def describe(self, session: Session) -> list[dict[str, Any]]:
        return [told for told in super().describe(session) if told["name"] in _MAIN]

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        records = super().read(session, ids)
        for record in records.values():
            del record[_OTHERS]
            for main in _MAIN:
                if record[main] is not None and _is_placeholder(record[main]):
                    record[main] = None
        return records

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        told = {name: value for name, value in match.items() if name in _MAIN and value is not None}
        return super().narrow(session, queryset, told)

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        again = False
        for main in _MAIN.keys() & fields.keys():
            given = fields[main]
            if given is None:
                given = dict.fromkeys(_CONTENT)
            elif new:
                # Nothing of the target's own address, which Creme copied, stays in between.
                given = {**dict.fromkeys(_CONTENT), **_checked(main, given)}
            again |= self._write_main(session, entity, main, given)
        return again


def _is_placeholder(told: Mapping[str, Any]) -> bool:
    """Is this empty, or what Creme makes where the target has no address: just its own name?"""
    if any(told[name] for name in _CONTENT[1:]):
        return False
    return told["address"] in (None, told["name"])


def _checked(place: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Invalid(f"{place} must be an address with named fields.", place)
    unknown = sorted(given.keys() - {"id", *_FIELDS})
    if unknown:
        raise Invalid(f"{place} has no field {unknown[0]}.", f"{place}.{unknown[0]}")
    return given
