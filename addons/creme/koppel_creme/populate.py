"""Puts Koppel's blocks, its button and its fields in place when the add-on is new here."""

from __future__ import annotations

from creme.creme_core.management.commands.creme_populate import BasePopulator
from creme.creme_core.models import BrickDetailviewLocation, ButtonMenuItem, SettingValue
from creme.persons import get_contact_model, get_organisation_model
from django.apps import apps

from . import extras, setting_keys
from .bricks import FiguresBrick, KoppelBrick, OrderBrick
from .resources import resources


class Populator(BasePopulator):
    """An administrator who takes something away is not contradicted by the next run."""

    dependencies = ["creme_core", "persons", "products", "billing", "opportunities"]
    SETTING_VALUES = [
        SettingValue(key=setting_keys.placed, value=True),
        SettingValue(key=setting_keys.sales_placed, value=True),
        SettingValue(key=setting_keys.products_placed, value=True),
    ]

    def populate(self) -> None:
        keys = (setting_keys.sales_placed, setting_keys.products_placed)
        placed = [SettingValue.objects.filter(key_id=key.id).exists() for key in keys]
        super().populate()
        for done, place in zip(placed, (self._place_sales, self._place_products), strict=True):
            if not done:
                place()

    def _already_populated(self) -> bool:
        return SettingValue.objects.filter(key_id=setting_keys.placed.id).exists()

    def _populate_bricks_config(self) -> None:
        _place(KoppelBrick, [get_organisation_model(), get_contact_model()])

    def _place_sales(self) -> None:
        _place(FiguresBrick, [get_organisation_model()], order=3)
        for kind in resources().values():
            if kind.app != "products":
                extras.make(kind.name, kind.model)
        if apps.is_installed("creme.products"):
            extras.make_categories()
            _place(KoppelBrick, [resources()["products.product"].model])
        if apps.is_installed("creme.billing"):
            from .buttons import TransferButton

            models = TransferButton().get_ctypes()
            _place(OrderBrick, models, order=1, zone=BrickDetailviewLocation.TOP)
            for model in models:
                ButtonMenuItem.objects.proxy(
                    button=TransferButton, order=1, model=model
                ).get_or_create()

    def _place_products(self) -> None:
        for kind in resources().values():
            if kind.app == "products":
                extras.make(kind.name, kind.model)
        if apps.is_installed("creme.products"):
            from .bricks import ProductBrick

            _place(ProductBrick, ProductBrick.target_ctypes, order=3)
        if apps.is_installed("creme.billing"):
            from .bricks import PricesBrick

            _place(PricesBrick, PricesBrick.target_ctypes, order=3)


def _place(brick, models, order: int = 2, zone: int = BrickDetailviewLocation.RIGHT) -> None:
    BrickDetailviewLocation.objects.multi_create(
        defaults={"brick": brick, "order": order, "zone": zone},
        data=[{"model": model} for model in models],
    )
