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
