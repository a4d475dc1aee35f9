"""What Creme keeps as relations: the roles towards our own company, and a contact's employer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.creme_core.models import CremeEntity, Relation, RelationType
from creme.persons import constants, get_organisation_model
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from .. import values
from ..errors import Invalid, Refusal
from ..session import Session
from . import Part

ROLES = {
    "customer": constants.REL_SUB_CUSTOMER_SUPPLIER,
    "prospect": constants.REL_SUB_PROSPECT,
    "suspect": constants.REL_SUB_SUSPECT,
    "inactive_customer": constants.REL_SUB_INACTIVE,
    "supplier": constants.REL_OBJ_CUSTOMER_SUPPLIER,
    "competitor": constants.REL_SUB_COMPETITOR,
    "partner": constants.REL_SUB_PARTNER,
}
_NAME_OF = {type_id: role for role, type_id in ROLES.items()}
_EMPLOYMENT = (constants.REL_SUB_EMPLOYED_BY, constants.REL_SUB_MANAGES)


class Roles(Part):
    """`roles`: what a record is to one of the own companies; new ones go to the oldest of these."""

    names = frozenset(("roles",))

    def describe(self, session: Session) -> list[dict[str, Any]]:
        label = {row.pk: str(row.predicate) for row in RelationType.objects.filter(pk__in=_NAME_OF)}
        return [
            {
                "name": "roles",
                "type": "references",
                "label": _("Roles"),
                "choices": [
                    {"value": role, "label": label[type_id]}
                    for role, type_id in ROLES.items()
                    if type_id in label
                ],
            }
        ]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.names, True)

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        found: dict[int, set[str]] = {pk: set() for pk in ids}
        pairs = Relation.objects.filter(
            subject_entity__in=ids, type__in=_NAME_OF, object_entity__in=session.managed()
        ).values_list("subject_entity_id", "type_id")
        for pk, type_id in pairs:
            found[pk].add(_NAME_OF[type_id])
        return {pk: {"roles": sorted(roles)} for pk, roles in found.items()}

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        for role in match.get("roles") or ():
            queryset = queryset.filter(
                pk__in=Relation.objects.filter(
                    type=ROLES.get(role, ""), object_entity__in=session.managed()
                ).values("subject_entity")
            )
        return queryset

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        if "roles" not in fields:
            return False
        wanted = fields["roles"] or []
        unknown = [role for role in wanted if role not in ROLES]
        if unknown:
            raise Invalid(
                f"roles: {unknown[0]!r} is no role; there are {', '.join(ROLES)}.", "roles"
            )
        here = Relation.objects.filter(
            subject_entity=entity.pk, type__in=_NAME_OF, object_entity__in=session.managed()
        )
        for relation in here:
            if _NAME_OF[relation.type_id] not in wanted:
                unlink(session, entity, relation)
        for role in sorted(set(wanted) - {_NAME_OF[relation.type_id] for relation in here}):
            link(session, entity, ROLES[role], self._own_company(session), "roles")
        return False

    def _own_company(self, session: Session) -> CremeEntity:
        if not session.managed():
            raise Invalid(
                "roles: no organisation is marked as managed; mark your own company in Creme.",
                "roles",
            )
        return session.keep(
            "own company",
            lambda: get_organisation_model().objects.get(pk=session.managed()[0]),
        )


class Employer(Part):
    """`employer`: the organisation that a contact works for ("is an employee of", or "manages")."""

    names = frozenset(("employer",))

    def describe(self, session: Session) -> list[dict[str, Any]]:
        return [
            {
                "name": "employer",
                "type": "reference",
                "label": _("Employer"),
                "reference": "persons.organisation",
            }
        ]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.names, True)

    def _relations(self, ids: Collection[int]):
        return Relation.objects.filter(subject_entity__in=ids, type__in=_EMPLOYMENT)

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        found: dict[int, tuple[int, int, str]] = {}
        rows = self._relations(ids).values_list(
            "subject_entity_id", "type_id", "pk", "object_entity_id"
        )
        for pk, type_id, relation, employer in rows:
            rank = (_EMPLOYMENT.index(type_id), relation, str(employer))
            found[pk] = min(rank, found.get(pk, rank))
        return {pk: {"employer": found[pk][2] if pk in found else None} for pk in ids}

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        if "employer" not in match:
            return queryset
        relations = Relation.objects.filter(type__in=_EMPLOYMENT)
        if match["employer"] is None:
            return queryset.exclude(pk__in=relations.values("subject_entity"))
        employer = values.whole_id(match["employer"], "employer")
        return queryset.filter(
            pk__in=relations.filter(object_entity=employer).values("subject_entity")
        )

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        if "employer" not in fields:
            return False
        now = self.read(session, [entity.pk])[entity.pk]["employer"]
        wanted = fields["employer"]
        if wanted is not None and str(wanted) == now:
            return False
        employer = None if wanted is None else self._organisation(session, wanted)
        if now is not None:
            for relation in self._relations([entity.pk]).filter(object_entity=int(now)):
                unlink(session, entity, relation)
        taken = employer is not None and self._relations([entity.pk]).filter(object_entity=employer)
        if employer is not None and not taken:
            link(session, entity, constants.REL_SUB_EMPLOYED_BY, employer, "employer")
        return False

    def _organisation(self, session: Session, wanted: Any) -> CremeEntity:
        pk = values.whole_id(wanted, "employer")
        found = get_organisation_model().objects.filter(pk=pk, is_deleted=False).first()
        if found is None or not session.user.has_perm_to_view(found):
            raise Invalid(f"employer: there is no organisation {pk}.", "employer")
        return found

    def touched_by_merge(self, survivor: int) -> Collection[int]:
        return (
            Relation.objects.filter(type__in=_EMPLOYMENT, object_entity=survivor)
            .values_list("subject_entity_id", flat=True)
            .order_by("subject_entity_id")
        )


def link(
    session: Session, entity: CremeEntity, type_id: str, other: CremeEntity, field: str
) -> None:
    """Relate two records as their user could, with Creme's own conditions on the relation type."""
    for side in (entity, other):
        if not session.user.has_perm_to_link(side):
            raise Refusal("forbidden", f"{session.user} may not link “{side}” in Creme.", (field,))
    relation_type = _relation_type(session, type_id)
    if not relation_type.enabled:
        raise Invalid(f"{field}: relations “{relation_type}” are disabled in Creme.", field)
    relation = Relation(
        user=session.user, subject_entity=entity, type=relation_type, object_entity=other
    )
    try:
        relation.clean()
    except ValidationError as error:
        raise Invalid(f"{field}: {' '.join(error.messages)}", field) from None
    relation.save()


def _relation_type(session: Session, type_id: str) -> RelationType:
    """A relation type with all that Creme's own check of a relation asks for."""
    conditions = ("subject_ctypes", "subject_properties", "subject_forbidden_properties")
    return session.keep(
        ("relation type", type_id),
        lambda: (
            RelationType.objects.select_related("symmetric_type")
            .prefetch_related(*conditions, *(f"symmetric_type__{name}" for name in conditions))
            .get(pk=type_id)
        ),
    )


def unlink(session: Session, entity: CremeEntity, relation: Relation) -> None:
    """Take a relation away, if the user may unlink both of its ends."""
    for side in (entity, relation.object_entity):
        if not session.user.has_perm_to_unlink(side):
            raise Refusal("forbidden", f"{session.user} may not unlink “{side}” in Creme.")
    relation.delete()
