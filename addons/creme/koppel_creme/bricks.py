"""Koppel's block on the pages of organisations and contacts."""

from __future__ import annotations

from typing import Any

from creme.creme_core.gui.bricks import SimpleBrick
from creme.persons import get_contact_model, get_organisation_model
from django.utils.translation import gettext_lazy as _

from . import card, rights
from .resources import resource_of
from .views.page import last_result


class KoppelBrick(SimpleBrick):
    """Coupled or not, the ERP's number, when last in step, open conflicts, link and button."""

    id = SimpleBrick.generate_id("koppel_creme", "record")
    verbose_name = _("Koppel: in step with the ERP")
    description = _(
        "Tells whether this record is coupled with the ERP and when both were last in step.\n"
        "App: Koppel"
    )
    template_name = "koppel_creme/bricks/record.html"
    target_ctypes = (get_organisation_model(), get_contact_model())
    dependencies = (get_organisation_model(), get_contact_model())

    def get_template_context(self, context: dict, **extra: Any) -> dict:
        entity = context["object"]
        kind = resource_of(type(entity))
        return super().get_template_context(
            context,
            card=card.card(kind.name, entity.pk),
            resource=kind.name,
            result=last_result(context["request"], kind.name, entity.pk),
            may_synchronise=context["user"].has_special_perm(rights.synchronise_now),
            **extra,
        )

    def detailview_display(self, context: dict) -> str:
        return self._render(self.get_template_context(context))
