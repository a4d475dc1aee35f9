"""Who a document is from and for: its source, and its target, an organisation or a contact.

Creme keeps both as relations, and a document cannot be without them. A new document is from the
oldest own company where nothing else is said. A new target changes the addresses too: Creme copies
those of the new one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.creme_core.models import CremeEntity, Relation
from creme.persons import get_contact_model, get_organisation_model
from django.contrib.contenttypes.models import ContentType
from django.utils.translation import gettext as _

from .. import values
from ..errors import Invalid, Refusal
from ..session import Session
from . import Part


class Parties(Part):
    """`source` and `target` (organisations), `target_contact` where the target is a contact."""

    names = frozenset(("source", "target", "target_contact"))

    def __init__(self, model, source_type: str, target_type: str) -> None:
        self.model = model
        self.types = {source_type: "source", target_type: "target"}

    def describe(self, session: Session) -> list[dict[str, Any]]:
        labels = {"source": _("Source"), "target": _("Target"), "target_contact": _("Contact")}
        return [
            {
                "name": name,
                "type": "reference",
                "label": label,
                "reference": "persons.contact"
                if name == "target_contact"
                else "persons.organisation",
            }
            for name, label in labels.items()
        ]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.names, True)

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {pk: dict.fromkeys(self.names) for pk in ids}
        contact = ContentType.objects.get_for_model(get_contact_model()).pk
        rows = Relation.objects.filter(subject_entity__in=ids, type__in=self.types).order_by("-pk")
        for pk, type_id, other, kind in rows.values_list(
            "subject_entity_id", "type_id", "object_entity_id", "object_entity__entity_type_id"
        ):
            name = self.types[type_id]
            found[pk]["target_contact" if kind == contact else name] = str(other)
        return found

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        for type_id, name in self.types.items():
            for given in (name, f"{name}_contact"):
                if match.get(given) is not None:
                    other = values.whole_id(match[given], given)
                    relations = Relation.objects.filter(type=type_id, object_entity=other)
                    queryset = queryset.filter(pk__in=relations.values("subject_entity"))
        return queryset

    def assign(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        changed = False
        source = self._wanted(session, fields, "source")
        if new and source is None:
            source = self._own_company(session)
        if source is not None and (new or entity.source.pk != source.pk):
            entity.source = source
            changed = True
        target = self._wanted(session, fields, "target")
        contact = self._wanted(session, fields, "target_contact")
        if target is not None and contact is not None:
            raise Invalid("A document is for an organisation or for a contact.", "target_contact")
        target = target or contact
        if target is None:
            if new or self._would_clear(entity, fields):
                raise Invalid("target: Creme needs to know for whom a document is.", "target")
        elif new or entity.target.pk != target.pk:
            entity.target = target
            changed = True
        return changed

    def _would_clear(self, entity, fields: Mapping[str, Any]) -> bool:
        """Does this write take the only target away?"""
        contact = isinstance(entity.target, get_contact_model())
        return ("target_contact" if contact else "target") in fields

    def _wanted(self, session: Session, fields: Mapping[str, Any], name: str):
        given = fields.get(name)
        if given is None:
            return None
        model = get_contact_model() if name == "target_contact" else get_organisation_model()
        pk = values.whole_id(given, name)
        found = session.keep(
            ("party", model, pk), lambda: model.objects.filter(pk=pk, is_deleted=False).first()
        )
        if found is None or not session.user.has_perm_to_view(found):
            raise Invalid(f"{name}: there is no {model._meta.verbose_name} {pk}.", name)
        if not session.user.has_perm_to_link(found):
            raise Refusal("forbidden", f"{session.user} may not link “{found}” in Creme.", (name,))
        return found

    def _own_company(self, session: Session) -> CremeEntity:
        if not session.managed():
            raise Invalid(
                "source: no organisation is marked as managed; mark your own company in Creme.",
                "source",
            )
        return session.keep(
            "own company",
            lambda: get_organisation_model().objects.get(pk=session.managed()[0]),
        )

    def touched_by_merge(self, survivor: int) -> Collection[int]:
        ours = ContentType.objects.get_for_model(self.model)
        return (
            Relation.objects.filter(
                type__in=self.types, object_entity=survivor, subject_entity__entity_type=ours
            )
            .values_list("subject_entity_id", flat=True)
            .order_by("subject_entity_id")
        )
