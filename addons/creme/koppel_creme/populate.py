"""Puts Koppel's block on the pages of organisations and contacts when the add-on is new here."""

from __future__ import annotations

from creme.creme_core.management.commands.creme_populate import BasePopulator
from creme.creme_core.models import BrickDetailviewLocation, SettingValue
from creme.persons import get_contact_model, get_organisation_model

from . import setting_keys
from .bricks import KoppelBrick


class Populator(BasePopulator):
    """An administrator who takes the block away is not contradicted by the next run."""

    dependencies = ["creme_core", "persons"]
    SETTING_VALUES = [SettingValue(key=setting_keys.placed, value=True)]

    def _already_populated(self) -> bool:
        return SettingValue.objects.filter(key_id=setting_keys.placed.id).exists()

    def _populate_bricks_config(self) -> None:
        BrickDetailviewLocation.objects.multi_create(
            defaults={
                "brick": KoppelBrick,
                "order": 2,
                "zone": BrickDetailviewLocation.RIGHT,
            },
            data=[{"model": get_organisation_model()}, {"model": get_contact_model()}],
        )
