"""When people in Creme make one document from another: what goes along, and what must not.

Creme forgets which quote a sales order was made from, and leaves the custom fields behind. Both
would hurt: the same sale could be handed over to the ERP twice, once as a quote and once as an
order. So the order keeps its quote (`converted_from`) and gets our fields; a clone, which is a new
sale, gets neither the ERP's number nor the memory of a quote.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.billing import get_quote_model, get_sales_order_model
from creme.billing.core.conversion import converter_registry
from creme.creme_core.core.cloning import entity_cloner_registry
from creme.creme_core.core.copying import PostSaveCopier
from creme.creme_core.models import CustomField, CustomFieldEnumValue
from django.utils.translation import gettext as _

from . import extras, values
from .parts import Part
from .session import Session

_KEY = "koppel_creme-converted_from"
_NUMBER = "erp_number"
QUOTE, ORDER = "billing.quote", "billing.salesorder"


class ConvertedFrom(Part):
    """`converted_from`: the quote from which a sales order was made in Creme; read only."""

    name = "converted_from"

    def __init__(self, model: Any) -> None:
        self.model = model

    def describe(self, session: Session) -> list[dict[str, Any]]:
        return [
            {
                "name": self.name,
                "type": "reference",
                "label": _("Made from the quote"),
                "reference": QUOTE,
                "writable": False,
            }
        ]

    def writable(self, session: Session) -> dict[str, bool]:
        return {self.name: False}

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        rows = self.model.objects.filter(pk__in=ids).values_list("pk", "extra_data")
        return {pk: {self.name: kept.get(_KEY)} for pk, kept in rows}

    def narrow(self, session: Session, queryset: Any, match: Mapping[str, Any]) -> Any:
        if match.get(self.name) is None:
            return queryset
        quote = str(values.whole_id(match[self.name], self.name))
        return queryset.filter(**{f"extra_data__{_KEY}": quote})


class _AlongWithTheQuote(PostSaveCopier):
    """For an order that is made from a quote."""

    def copy_to(self, target: Any) -> bool:
        for extra in extras.ORDER_FIELDS:
            if extra.name != _NUMBER:
                _copy(extra, self.source, target)
        target.extra_data[_KEY] = str(self.source.pk)
        return True


class _NotIntoTheClone(PostSaveCopier):
    """For a clone of a quote or an order."""

    def copy_to(self, target: Any) -> bool:
        for resource in (QUOTE, ORDER):
            field = _field(resource, extras.ORDER_FIELDS[0])
            if field is not None:
                field.value_class.objects.filter(custom_field=field, entity=target.pk).delete()
        return target.extra_data.pop(_KEY, None) is not None


def _field(resource: str, extra: extras.Extra) -> CustomField | None:
    uuid = extras.uuid_of(resource, extra)
    return CustomField.objects.filter(uuid=uuid, is_deleted=False).first()


def _copy(extra: extras.Extra, source: Any, target: Any) -> None:
    """One of our fields, from the quote's to the order's custom field of that name."""
    theirs, ours = _field(QUOTE, extra), _field(ORDER, extra)
    if theirs is None or ours is None:
        return
    row = theirs.value_class.objects.filter(custom_field=theirs, entity=source.pk).first()
    if row is None:
        return
    value = row.value
    if isinstance(value, CustomFieldEnumValue):
        same = CustomFieldEnumValue.objects.filter(custom_field=ours, value=value.value).first()
        if same is None:
            return
        value = same.pk
    ours.value_class(custom_field=ours, entity=target).set_value_n_save(value)


def connect() -> None:
    """Add both to what Creme itself does; called once, when all apps are ready."""
    quote, order = get_quote_model(), get_sales_order_model()
    pair = {"source_model": quote, "target_model": order}
    before = converter_registry.get_converter_class(**pair)
    if before is not None:
        converter_registry.unregister(**pair)
        converter_registry.register(**pair, converter_class=_extended(before, _AlongWithTheQuote))
    for model in (quote, order):
        cloner = entity_cloner_registry.get(model)
        if cloner is not None:
            entity_cloner_registry.unregister(model)
            entity_cloner_registry.register(
                model=model, cloner_class=_extended(type(cloner), _NotIntoTheClone)
            )


def _extended(base: Any, copier: type[PostSaveCopier]) -> Any:
    return type(base.__name__, (base,), {"post_save_copiers": [*base.post_save_copiers, copier]})
