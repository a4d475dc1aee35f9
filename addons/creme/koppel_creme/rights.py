"""The rights that the add-on adds to Creme's roles."""

from creme.creme_core.auth.special import SpecialPermission
from django.utils.translation import gettext_lazy as _

synchronise_now = SpecialPermission(
    id="koppel_creme-synchronise_now",
    verbose_name=_("Koppel: synchronise now"),
    description=_("Can bring a single record into step with the ERP at once"),
)

transfer_order = SpecialPermission(
    id="koppel_creme-transfer_order",
    verbose_name=_("Koppel: transfer orders"),
    description=_("Can hand a quote or a sales order over to the ERP"),
)

take_prices = SpecialPermission(
    id="koppel_creme-take_prices",
    verbose_name=_("Koppel: take the ERP's prices over"),
    description=_("Can set the prices of a quote's or a sales order's lines to those of the ERP"),
)

keep_lists = SpecialPermission(
    id="koppel_creme-keep_lists",
    verbose_name=_("Koppel: keep value lists"),
    description=_(
        "Can add payment terms, currencies, VAT rates and product categories that the ERP has; "
        "meant for the user behind Koppel's interface"
    ),
)
