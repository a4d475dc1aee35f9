"""Koppel as an app of Creme."""

from __future__ import annotations

from creme.creme_core.apps import CremeAppConfig
from django.apps import apps
from django.utils.translation import gettext_lazy as _


class KoppelCremeConfig(CremeAppConfig):
    default = True
    name = "koppel_creme"
    verbose_name = _("Koppel")
    dependencies = ["creme.persons"]
    credentials = CremeAppConfig.CRED_NONE
    default_auto_field = "django.db.models.BigAutoField"

    @property
    def url_root(self) -> str:
        return "koppel/"

    def all_apps_ready(self) -> None:
        super().all_apps_ready()
        if not self.MIGRATION_MODE:
            from . import signals

            signals.connect()
            if apps.is_installed("creme.billing"):
                from . import copies

                copies.connect()

    def register_permissions(self, special_perm_registry) -> None:
        from . import rights

        special_perm_registry.register(
            rights.synchronise_now, rights.transfer_order, rights.take_prices, rights.keep_lists
        )

    def register_bricks(self, brick_registry) -> None:
        from . import bricks

        brick_registry.register(bricks.KoppelBrick, bricks.FiguresBrick)
        if apps.is_installed("creme.products"):
            brick_registry.register(bricks.ProductBrick)
        if apps.is_installed("creme.billing"):
            brick_registry.register(bricks.OrderBrick, bricks.PricesBrick)

    def register_buttons(self, button_registry) -> None:
        if apps.is_installed("creme.billing"):
            from . import buttons

            button_registry.register(buttons.TransferButton)

    def register_setting_keys(self, setting_key_registry) -> None:
        from . import setting_keys

        setting_key_registry.register(
            setting_keys.placed, setting_keys.sales_placed, setting_keys.products_placed
        )
