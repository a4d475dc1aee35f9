"""The labels that people give a record in Creme (its properties), by which campaigns choose."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.creme_core.models import CremeProperty, CremePropertyType
from django.utils.translation import gettext as _

from ..errors import Invalid
from ..session import Session
from . import Part

MAX_LENGTH = 200


class Properties(Part):
    """`properties`: the texts of a record's properties; an unknown text becomes a new one."""

    names = frozenset(("properties",))

    def describe(self, session: Session) -> list[dict[str, Any]]:
        return [{"name": "properties", "type": "references", "label": _("Properties")}]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.names, True)

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        found: dict[int, set[str]] = {pk: set() for pk in ids}
        rows = CremeProperty.objects.filter(creme_entity__in=ids)
        for pk, text in rows.values_list("creme_entity_id", "type__text"):
            found[pk].add(text)
        return {pk: {"properties": sorted(texts)} for pk, texts in found.items()}

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        for text in match.get("properties") or ():
            queryset = queryset.filter(properties__type__text=text)
        return queryset

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        if "properties" not in fields:
            return False
        wanted = set(fields["properties"] or ())
        for text in wanted:
            if not isinstance(text, str) or not 0 < len(text) <= MAX_LENGTH:
                raise Invalid(
                    f"properties: a property is a text of up to {MAX_LENGTH} letters.", "properties"
                )
        here = {
            one.type.text: one
            for one in CremeProperty.objects.filter(creme_entity=entity).select_related("type")
        }
        for text in sorted(set(here) - wanted):
            here[text].delete()
        for text in sorted(wanted - set(here)):
            CremeProperty.objects.safe_get_or_create(type=self._type(text), creme_entity=entity)
        return False

    def _type(self, text: str) -> CremePropertyType:
        found = CremePropertyType.objects.filter(text=text).order_by("pk").first()
        return found or CremePropertyType.objects.create(text=text, is_custom=True)
