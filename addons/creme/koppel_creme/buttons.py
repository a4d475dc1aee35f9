"""The button *Transfer to ERP* on the pages of quotes and sales orders."""

from __future__ import annotations

from typing import Any

from creme.billing import get_quote_model, get_sales_order_model
from creme.creme_core.gui.button_menu import Button
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import conf, rights
from .resources import resource_of


class TransferButton(Button):
    """Hands the document over; pressed again, it tells how the same order stands."""

    id = Button.generate_id("koppel_creme", "transfer_order")
    verbose_name = gettext_lazy("Transfer to ERP")
    description = gettext_lazy(
        "This button hands the current quote or sales order over to the ERP.\nApp: Koppel"
    )
    dependencies = (Button.CURRENT,)
    template_name = "koppel_creme/buttons/transfer.html"

    def get_ctypes(self) -> tuple[Any, ...]:
        return get_quote_model(), get_sales_order_model()

    def check_permissions(self, *, entity: Any, request: Any) -> None:
        super().check_permissions(entity=entity, request=request)
        if not request.user.has_special_perm(rights.transfer_order):
            raise PermissionDenied(_("Your role may not transfer orders to the ERP."))

    def is_displayed(self, *, entity: Any, request: Any) -> bool:
        return bool(conf.koppel_url()) and not entity.is_deleted

    def get_context(self, *, entity: Any, request: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(entity=entity, request=request)
        return {**context, "resource": resource_of(type(entity)).name}
