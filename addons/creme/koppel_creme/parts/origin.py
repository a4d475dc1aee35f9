"""What a document was made from: an invoice, a credit note or an order, and its quote or order.

Creme's own conversion forgets it. Here it is a relation, so that both pages show it and lead to the
other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.billing import get_quote_model, get_sales_order_model
from creme.creme_core.models import CremeEntity, Relation, RelationType
from django.utils.translation import gettext as _

from .. import values
from ..errors import Invalid
from ..session import Session
from . import Part
from .relations import link, unlink

MADE_FROM = "koppel_creme-subject_made_from"
LED_TO = "koppel_creme-object_made_from"


class MadeFrom(Part):
    """`made_from`: the quote or sales order that an ERP's document belongs to."""

    names = frozenset(("made_from",))

    def describe(self, session: Session) -> list[dict[str, Any]]:
        return [
            {
                "name": "made_from",
                "type": "reference",
                "label": _("Made from"),
                "reference": "billing.quote",
            }
        ]

    def writable(self, session: Session) -> dict[str, bool]:
        return dict.fromkeys(self.names, True)

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {pk: {"made_from": None} for pk in ids}
        rows = Relation.objects.filter(subject_entity__in=ids, type=MADE_FROM).order_by("-pk")
        for pk, other in rows.values_list("subject_entity_id", "object_entity_id"):
            found[pk]["made_from"] = str(other)
        return found

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        if match.get("made_from") is None:
            return queryset
        other = values.whole_id(match["made_from"], "made_from")
        relations = Relation.objects.filter(type=MADE_FROM, object_entity=other)
        return queryset.filter(pk__in=relations.values("subject_entity"))

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        if "made_from" not in fields:
            return False
        wanted = fields["made_from"]
        wanted = None if wanted is None else str(values.whole_id(wanted, "made_from"))
        here = Relation.objects.filter(subject_entity=entity.pk, type=MADE_FROM)
        known = {str(relation.object_entity_id): relation for relation in here}
        for other, relation in known.items():
            if other != wanted:
                unlink(session, entity, relation)
        if wanted is not None and wanted not in known:
            made_from = self._document(session, int(wanted))
            _make_type()
            link(session, entity, MADE_FROM, made_from, "made_from")
        return False

    def _document(self, session: Session, pk: int) -> CremeEntity:
        for model in (get_quote_model(), get_sales_order_model()):
            found = model.objects.filter(pk=pk, is_deleted=False).first()
            if found is not None and session.user.has_perm_to_view(found):
                return found
        raise Invalid(f"made_from: there is no quote or order {pk}.", "made_from")

    def touched_by_merge(self, survivor: int) -> Collection[int]:
        return ()


def _make_type() -> None:
    """Make the relation type where this Creme does not have it yet."""
    if not RelationType.objects.filter(pk=MADE_FROM).exists():
        RelationType.objects.smart_update_or_create(
            (MADE_FROM, _("belongs to")), (LED_TO, _("led to")), is_internal=True
        )
