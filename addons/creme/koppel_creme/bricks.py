"""Koppel's blocks: on the pages of partners and products, of customers' figures, and of orders."""

from __future__ import annotations

from typing import Any

from creme.creme_core.gui.bricks import SimpleBrick
from creme.persons import get_contact_model, get_organisation_model
from django.apps import apps
from django.utils.translation import gettext_lazy as _

from . import card, rights, sales
from .resources import resource_of
from .views.page import last_prices, last_result, last_transfer


def _products() -> tuple[Any, ...]:
    if not apps.is_installed("creme.products"):
        return ()
    from creme.products import get_product_model

    return (get_product_model(),)


def _orders() -> tuple[Any, ...]:
    if not apps.is_installed("creme.billing"):
        return ()
    from creme.billing import get_quote_model, get_sales_order_model

    return get_quote_model(), get_sales_order_model()


class KoppelBrick(SimpleBrick):
    """Coupled or not, the ERP's number, when last in step, open conflicts, link and button."""

    id = SimpleBrick.generate_id("koppel_creme", "record")
    verbose_name = _("Koppel: in step with the ERP")
    description = _(
        "Tells whether this record is coupled with the ERP and when both were last in step.\n"
        "App: Koppel"
    )
    template_name = "koppel_creme/bricks/record.html"
    target_ctypes = (get_organisation_model(), get_contact_model(), *_products())
    dependencies = target_ctypes

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


class FiguresBrick(SimpleBrick):
    """Turnover, open items, backlog, credit, dunning; orders and invoices of the customer."""

    id = SimpleBrick.generate_id("koppel_creme", "figures")
    verbose_name = _("Koppel: figures from the ERP")
    description = _(
        "Shows turnover, open items, credit, orders and invoices of this organisation as the ERP "
        "knows them.\nApp: Koppel"
    )
    template_name = "koppel_creme/bricks/sales.html"
    target_ctypes = (get_organisation_model(),)
    dependencies = target_ctypes

    def get_template_context(self, context: dict, **extra: Any) -> dict:
        entity = context["object"]
        return super().get_template_context(
            context,
            told=sales.figures(entity.pk),
            resource=resource_of(type(entity)).name,
            **extra,
        )

    def detailview_display(self, context: dict) -> str:
        return self._render(self.get_template_context(context))


class OrderBrick(SimpleBrick):
    """Where a quote or a sales order stands in the ERP, line by line."""

    id = SimpleBrick.generate_id("koppel_creme", "order")
    verbose_name = _("Koppel: order in the ERP")
    description = _(
        "Shows number, status, deliveries and invoices of this document in the ERP.\nApp: Koppel"
    )
    template_name = "koppel_creme/bricks/sales.html"
    target_ctypes = _orders()
    dependencies = target_ctypes

    def get_template_context(self, context: dict, **extra: Any) -> dict:
        entity = context["object"]
        kind = resource_of(type(entity))
        return super().get_template_context(
            context,
            told=sales.order(kind.name, entity.pk),
            resource=kind.name,
            result=last_transfer(context["request"], kind.name, entity.pk),
            **extra,
        )

    def detailview_display(self, context: dict) -> str:
        return self._render(self.get_template_context(context))


class ProductBrick(SimpleBrick):
    """Stock, price and price lists of a product in the ERP."""

    id = SimpleBrick.generate_id("koppel_creme", "product")
    verbose_name = _("Koppel: product in the ERP")
    description = _(
        "Shows stock, list price, tax and price lists of this product in the ERP.\nApp: Koppel"
    )
    template_name = "koppel_creme/bricks/sales.html"
    target_ctypes = _products()
    dependencies = target_ctypes

    def get_template_context(self, context: dict, **extra: Any) -> dict:
        entity = context["object"]
        return super().get_template_context(
            context,
            told=sales.product(entity.pk),
            resource=resource_of(type(entity)).name,
            **extra,
        )

    def detailview_display(self, context: dict) -> str:
        return self._render(self.get_template_context(context))


class PricesBrick(SimpleBrick):
    """The prices of a quote or a sales order beside the ERP's, and the button that takes them."""

    id = SimpleBrick.generate_id("koppel_creme", "prices")
    verbose_name = _("Koppel: prices in the ERP")
    description = _(
        "Compares the prices of this document with those that the ERP asks of the customer.\n"
        "App: Koppel"
    )
    template_name = "koppel_creme/bricks/prices.html"
    target_ctypes = _orders()
    dependencies = "*"

    def get_template_context(self, context: dict, **extra: Any) -> dict:
        entity = context["object"]
        kind = resource_of(type(entity))
        user = context["user"]
        return super().get_template_context(
            context,
            resource=kind.name,
            result=last_prices(context["request"], kind.name, entity.pk),
            may_take=user.has_special_perm(rights.take_prices) and user.has_perm_to_change(entity),
            **extra,
        )

    def detailview_display(self, context: dict) -> str:
        return self._render(self.get_template_context(context))
